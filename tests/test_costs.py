# SPDX-License-Identifier: MIT
"""What a pull costs: memory of the unpacker whatever the layer, and bytes written to the disk for each byte unpacked."""
import gzip
import os
import subprocess
import sys

import pytest

import images
import layerkit
from layerkit import BUNDLE, Store, folder, item, make_tar, sha, stage_tool, zstd

sys.path.insert(0, str(layerkit.ROOT / "tests/powercut"))
import powercut  # noqa: E402

KIB_MAX, WINDOW_KIB = 4096, 8192


@pytest.fixture(scope="module")
def inject():
    if os.uname().machine != "x86_64":
        pytest.skip("tests/tools/inject.c knows the registers of x86_64 alone")
    return powercut.tool("inject", "tools")


def layers():
    """Name: (lower layer or None, tar)"""
    yield "one large file", None, make_tar(item("a", os.urandom(1 << 20) * 24))
    yield "20,000 files", None, make_tar(*(item("d%02d/%05d" % (n % 100, n), b"x") for n in range(20000)))
    yield "attributes and long names", None, make_tar(*(item("%03d/" % n + "n" * 250, b"x", pax={"SCHILY.xattr.user.a": "v" * 3000}) for n in range(500)))
    yield "deep", None, make_tar(*(folder("/".join(["d" * 15] * n)) for n in range(1, 200)))
    names = ["whited/out/%05d" % n for n in range(33000)]
    yield "whiteouts", make_tar(*(item(n, "") for n in names)), make_tar(*(item("whited/out/.wh.%05d" % n, "") for n in range(32000)))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zstd -19"])
def test_memory_of_the_unpacker(tmp_path, inject, kind):
    store = Store(tmp_path / "store")
    report, seen = tmp_path / "report", {}
    for name, lower, tar in layers():
        store.chains, store.diffs = [], []
        if lower:
            store.put(lower)
        blob = tmp_path / "blob"
        blob.write_bytes(gzip.compress(tar, 6) if kind == "gzip" else zstd(tar, "-19" if "19" in kind else "-3"))
        chain = sha((store.chains[-1] + " " + sha(tar)).encode()) if lower else sha(tar)
        argv = [inject, "peak", report, stage_tool(), "layer", store.path, BUNDLE, str(len(store.chains)), kind.split()[0], blob, sha(tar), chain, *store.chains]
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, timeout=600)
        assert done.returncode == 0, done.stdout
        lines = [line.split() for line in report.read_text().splitlines()]
        ours = [int(kib) for program, kib in lines if program == "coracle-bundle"]
        assert len(ours) == 2, lines        # one decompresses, one writes
        seen[name] = sum(ours)
    print("%s: peak KiB" % kind, seen)
    assert max(seen.values()) <= KIB_MAX + (WINDOW_KIB if "zstd" in kind else 0), seen


def written(top, programs, ref, trust, *options):
    """Bytes that went to the block device during a pull, and bytes of the files unpacked."""
    image, trace, fuse, at = (top / n for n in ("image", "trace", "fuse", "mnt"))
    with open(image, "wb") as f:
        f.truncate(256 << 20)
    powercut.must("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    fuse.mkdir(exist_ok=True)
    server = subprocess.Popen([powercut.tool("recdisk", "powercut"), image, trace, fuse], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    try:
        loop = powercut.must("losetup", "-f", "--show", fuse / "disk").strip()
        try:
            with powercut.Mounted(loop, at, "defaults"):
                (at / "store").mkdir()
                powercut.must("sync", "-f", at)
                before = trace.stat().st_size
                powercut.must(programs.fetch, "pull", "--store", at / "store", *options, *trust, ref)
                powercut.must("sync", "-f", at)
                size = sum(p.lstat().st_size for p in (at / "store/layers").rglob("*") if p.is_file() and "index" not in p.parts and "list" not in p.parts)
                total = trace.stat().st_size - before
        finally:
            powercut.must("losetup", "-d", loop)
    finally:
        powercut.run("umount", fuse)
        server.terminate()
        server.wait()
    return total, size


@pytest.mark.parametrize("options,limit", [((), 2.2), (("--no-partial",), 1.2)])
def test_bytes_written_for_each_byte_unpacked(tmp_path, registry, programs, trust, options, limit):
    """Files that do not compress, so that the partial file is as large as what is unpacked of it."""
    ref = registry.host + "/costs/app"
    images.make_image(tmp_path / "layout", [[images.entry("big", os.urandom(12 << 20)), *(images.entry("f%03d" % n, os.urandom(40000)) for n in range(150))]])
    registry.push(tmp_path / "layout", "costs/app")
    registry.sign("costs/app", registry.key())
    total, size = written(tmp_path, programs, ref + ":1", trust({ref: registry.key().pub}).args, *options)
    print("%d bytes written for %d unpacked: %.2f" % (total, size, total / size))
    assert size > 17 << 20 and size < total < limit * size
