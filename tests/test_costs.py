# SPDX-License-Identifier: MIT
"""What a pull costs: memory of the unpacker whatever the layer, and bytes written to the disk for each byte unpacked."""
import gzip
import io
import os
import resource
import subprocess
import sys
import tarfile

import pytest

import images
import layerkit
from layerkit import BUNDLE, Store, folder, hard, item, make_tar, sha, stage_tool, zstd

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


def peaks(inject, store, report, tar, kind="gzip", lowers=(), options=(), data_max=None):
    """KiB that the two jailed processes have resident at their most, together, while TAR is put over LOWERS; what launches them may have DATA_MAX
    bytes of memory of its own."""
    blob = store.scratch / "blob"
    blob.write_bytes(gzip.compress(tar, 1) if kind == "gzip" else zstd(tar, *options))
    chain = sha((lowers[-1] + " " + sha(tar)).encode()) if lowers else sha(tar)
    argv = [inject, "peak", report, stage_tool(), "layer", store.path, BUNDLE, str(len(lowers)), kind, blob, sha(tar), chain, *lowers]
    limit = data_max and (lambda: resource.setrlimit(resource.RLIMIT_DATA, (data_max, data_max)))
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, timeout=600, preexec_fn=limit)
    assert done.returncode == 0, done.stdout
    lines = [line.split() for line in report.read_text().splitlines()]
    ours = [int(kib) for program, kib in lines if program == "coracle-bundle"]
    assert len(ours) == 2, lines        # one decompresses, one writes
    return sum(ours)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zstd -19"])
def test_memory_of_the_unpacker(tmp_path, inject, kind):
    store, seen = Store(tmp_path / "store"), {}
    for name, lower, tar in layers():
        store.chains, store.diffs = [], []
        if lower:
            store.put(lower)
        seen[name] = peaks(inject, store, tmp_path / "report", tar, kind.split()[0], store.chains, ["-19" if "19" in kind else "-3"])
    print("%s: peak KiB" % kind, seen)
    assert max(seen.values()) <= KIB_MAX + (WINDOW_KIB if "zstd" in kind else 0), seen


def long_names(count, top, name):
    """A tar of empty files in TOP whose names, NAME % n, do not fit a header."""
    said = tarfile.TarInfo("././@LongLink")
    said.type, said.size = tarfile.GNUTYPE_LONGNAME, len(top) + len(name % 0) + 1
    said = said.tobuf(tarfile.GNU_FORMAT)
    head = tarfile.TarInfo("")
    head.mtime = layerkit.EPOCH
    head = bytearray(head.tobuf(tarfile.GNU_FORMAT))
    out = io.BytesIO()
    for n in range(count):
        path = (top + name % n).encode()
        head[:100], head[148:156] = path[:100], b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        out.write(said + path + bytes(512 - len(path) % 512) + head)
    out.write(bytes(1024))
    return out.getvalue()


def worst_layers(store):
    """Name, chains of lower layers, tar: as much of one thing as a layer may have."""
    store.put(long_names(1000, "d/", "%06d" + "w" * 245))
    yield "65,536 whiteouts of 255 bytes", store.chains, long_names(65536, "d/", ".wh.%06d" + "w" * 245)
    yield "100,000 files of 255 bytes in a folder", [], long_names(100000, "d/", "%06d" + "f" * 249)
    deep = ["d" * 14] * 255
    yield "255 folders deep", [], make_tar(*(folder("/".join(deep[:n])) for n in range(1, 256)), item("/".join([*deep, "f" * 255]), "x"))
    yield "15 folders of 255 bytes", [], make_tar(*(item("/".join(["d" * 255] * n + ["f" * 255]), "x") for n in range(1, 15)))
    some = {"SCHILY.xattr.user.%04d" % n: "v" * 8 for n in range(1500)}
    yield "attributes", [], make_tar(folder("d", pax=some), item("f", "x", pax={"SCHILY.xattr.user.big": "v" * 65536, **some}),
                                     item("many", "x", pax={"SCHILY.xattr.user.%04d" % n: "v" for n in range(3600)}), folder("d", pax=some))
    parts = ",".join("%d,1" % (n * 8192) for n in range(4096))
    yield "a sparse file of 4,096 parts", [], make_tar(item("s", "x" * 4096, pax={"GNU.sparse.map": parts, "GNU.sparse.size": str(4096 * 8192),
                                                                                "GNU.sparse.name": "s"}))
    store.chains, store.diffs = [], []
    for n in range(126):
        store.put(make_tar(item("%03d/f" % n, str(n)), item("a/%03d" % n, str(n))), "plain")
    yield "the 127th layer", store.chains, make_tar(*(item("a/.wh.%03d" % n, "") for n in range(126)), *(hard("l%03d" % n, "%03d/f" % n) for n in range(126)),
                                                    *(item("%03d/.wh..wh..opq" % n, "") for n in range(0, 126, 2)))


def test_memory_of_the_unpacker_at_the_limits(tmp_path, inject):
    """Of the two in their jails together; what launches them, and writes the list of the layer, gets no more than that either."""
    top, seen = tmp_path / "memory", {}
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g,nr_inodes=1m", "tmpfs", top], check=True)     # has room for attributes that ext4 has not
    try:
        store = Store(top / "store")
        for name, lowers, tar in worst_layers(store):
            seen[name] = peaks(inject, store, tmp_path / "report", tar, lowers=lowers, data_max=KIB_MAX << 10)
            if "100,000" in name:
                layer = store.layer(sha(tar))
                paths = [line.split(b" ")[0] for line in (store.path / "layers/list" / layer.name).read_bytes().splitlines()]
                assert paths == [b"/", b"/d", *(b"/d/%06df" % n + b"f" * 248 for n in range(100000))], "the list is not sorted, or not whole"
                subprocess.run([BUNDLE, "verify", "--store", store.path], check=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (KIB_MAX << 10,) * 2))
    finally:
        subprocess.run(["umount", "-l", top], check=True)
    print("peak KiB", seen)
    assert max(seen.values()) <= KIB_MAX, seen


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
