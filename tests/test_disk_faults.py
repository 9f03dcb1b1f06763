# SPDX-License-Identifier: MIT
"""Every write, sync, rename, mkdir and link of a pull fails once: the pull says why or did without, nothing half there is seen, the other image is
as it was, staging is gone, and the next pull completes. With ENOSPC; CORACLE_FULL=1: with EIO as well. And what reads, opens, looks, sets owner, mode and
times, unlinks or locks, with EIO: of each kind of call in each program one, under CORACLE_FULL=1 every one."""
import collections
import json
import os
import re
import shutil
import subprocess
import zlib

import pytest

import images
import layerkit

FULL = os.environ.get("CORACLE_FULL") == "1"
ENOSPC, EIO = 28, 5


@pytest.fixture(scope="module")
def inject():
    if os.uname().machine != "x86_64":
        pytest.skip("tests/tools/inject.c knows the registers of x86_64 alone")
    out = layerkit.BUILD / "tests/inject"
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O1", "-Wall", "-o", out, layerkit.ROOT / "tests/tools/inject.c"], check=True)
    return out


def push(registry, folder, name, layers):
    images.make_image(folder, layers)
    registry.push(folder, name)
    registry.sign(name, registry.key())


def more():
    """So many files that the list and the table of digests take several writes."""
    return [images.entry("many/%03d" % n + "x" * 60, b"%d" % n * 50) for n in range(90)] if FULL else []


BASE = [images.entry("./", kind=images.tarfile.DIRTYPE), images.entry("etc", kind=images.tarfile.DIRTYPE), images.entry("etc/a", b"a" * 9000),
        images.entry("gone", b"g"), images.entry("dir", kind=images.tarfile.DIRTYPE, pax={"SCHILY.xattr.user.d": "v"}), images.entry("dir/x", b"x")]
NEW = [images.entry("new", b"n" * 70000), images.entry("hard", kind=images.tarfile.LNKTYPE, link="new"), images.entry("soft", kind=images.tarfile.SYMTYPE, link="new"),
       images.entry("fifo", kind=images.tarfile.FIFOTYPE), images.entry(".wh.gone"), images.entry("dir/.wh..wh..opq"), images.entry("dir/y", b"y"),
       images.entry("dev/null", kind=images.tarfile.CHRTYPE, dev=(1, 3)), images.entry("attr", b"", pax={"SCHILY.xattr.user.k": "v"}),
       images.entry("copy", kind=images.tarfile.LNKTYPE, link="etc/a"), *more()]


class Scene:
    """A store on a tmpfs with image one in it; image two is to come."""

    def __init__(self, top, registry, programs, trust_args):
        self.top, self.programs, self.args = top, programs, trust_args
        self.refs = [registry.host + "/faults/%s:1" % n for n in ("one", "two")]
        self.before, self.store = top / "before", top / "store"
        self.before.mkdir()
        self.store = self.before
        assert self.pull(0).returncode == 0
        self.store = top / "store"

    def reset(self):
        shutil.rmtree(self.store, ignore_errors=True)
        subprocess.run(["cp", "-a", self.before, self.store], check=True)

    def pull(self, which, *wrap):
        return subprocess.run([*map(str, wrap), str(self.programs.fetch), "pull", "--store", str(self.store), *map(str, self.args), self.refs[which]],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)

    def bundle(self, *argv):
        return subprocess.run([str(self.programs.bundle), *argv, "--store", str(self.store)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def images(self):
        return sorted(i["ref"] for i in json.loads(self.bundle("ls", "--json").stdout)["images"])

    def lists(self):
        """What each layer holds: {chain: text}."""
        index = self.store / "layers/index"
        return {e.name: (self.store / "layers/list" / e.read_text().split()[0]).read_bytes() for e in index.iterdir() if len(e.name) == 64}

    def whole(self):
        done = self.bundle("verify")
        assert done.returncode == 0, done.stdout
        return self.images()


@pytest.fixture(scope="module")
def scene(tmp_path_factory, registry, programs):
    top = tmp_path_factory.mktemp("faults")
    made = tmp_path_factory.mktemp("made")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", top], check=True)
    try:
        push(registry, made / "one", "faults/one", [BASE])
        push(registry, made / "two", "faults/two", [BASE, NEW])
        import registry as kit
        (made / "policy.json").write_text(kit.policy({registry.host + "/faults/" + n: registry.key().pub for n in ("one", "two")}))
        yield Scene(top, registry, programs, ["--policy", made / "policy.json", "--authfile", registry.login_file(made / "auth.json"),
                                              "--cert-dir", registry.certs_dir(made / "certs.d")])
    finally:
        subprocess.run(["umount", top], check=True)


def one_fault(scene, inject, serial, error, mode="fail"):
    """What came of it: the failed call and "refused" or "done without"."""
    scene.reset()
    report = scene.top / "report"
    done = scene.pull(1, inject, mode, serial, error, report)
    call = report.read_text().split()
    if not call:
        assert done.returncode == 0, done.stderr
        return "-", "not made this time"        # one connection, and its jail, fewer
    what = "call %s failed with %d: exit %d\n%s" % (" ".join(call), error, done.returncode, done.stderr)
    assert done.returncode in (0, 1), what
    assert done.returncode == 0 or scene.refs[1] in done.stderr, what
    there = scene.whole()
    assert there == (scene.refs if done.returncode == 0 else scene.refs[:1]) or (done.returncode == 1 and there == scene.refs), what
    assert done.returncode or scene.lists() == scene.expected, "a layer is other than it is to be: " + what
    assert mode == "fail-more" or os.listdir(scene.store / "tmp") == [], what       # what cannot be looked at or unlinked, the next pull sweeps
    again = scene.pull(1)
    assert again.returncode == 0, what + again.stderr
    assert scene.whole() == scene.refs and os.listdir(scene.store / "tmp") == [], what
    lines = "coracle-slots 1\n" + "".join("unit u%d ref=r current=%s previous=- next=- tries=0 floor=- refused=-\n" % (n, i["digest"]) for n, i in
                                          enumerate(json.loads(scene.bundle("ls", "--json").stdout)["images"]))
    (scene.store / "state/slots").write_text(lines + "crc32 %08x\n" % zlib.crc32(lines.encode()))
    assert scene.bundle("gc").returncode == 0, what
    # 2 layers, their index and list; nothing else was left behind by the one that failed
    assert len(os.listdir(scene.store / "layers")) == 4 and len(os.listdir(scene.store / "layers/list")) == 2, what
    assert not [n for d, _, names in os.walk(scene.store) for n in names if n.endswith(".new")], what
    return call[1], "done without" if done.returncode == 0 else "refused"


def test_every_call_to_the_disk_fails_once(scene, inject):
    scene.reset()
    report = scene.top / "report"
    assert scene.pull(1, inject, "count", report).returncode == 0
    scene.expected = scene.lists()
    names = re.findall(r"^\d+ (\S+)", report.read_text(), re.M)[:-1]
    assert len(names) >= 35 and {"write", "writev", "fsync", "syncfs", "renameat", "renameat2", "mkdirat", "linkat", "symlinkat", "mknodat"} <= set(names)
    seen = collections.Counter()
    for error in (ENOSPC, EIO) if FULL else (ENOSPC,):
        for serial in range(1, len(names) + 1):
            seen[one_fault(scene, inject, serial, error)] += 1
    print("%d calls failed once each:" % len(names), *("%s %s %d" % (*key, n) for key, n in sorted(seen.items(), key=str)), sep="\n  ")
    assert seen["-", "not made this time"] < len(names) // 5
    assert sum(n for (name, outcome), n in seen.items() if outcome == "refused") > len(names) // 2


def test_every_other_kind_of_call_fails_once(scene, inject):
    scene.reset()
    report = scene.top / "report"
    assert scene.pull(1, inject, "count-more", report).returncode == 0
    scene.expected = scene.lists()
    calls = [line.split() for line in report.read_text().splitlines()[:-1]]
    kinds = {}
    for serial, name, program, *_ in calls:
        kinds.setdefault((name, program), []).append(int(serial))
    assert {"read", "openat2", "newfstatat", "fchmod", "unlinkat", "utimensat"} <= {name for name, _ in kinds}, sorted(kinds)
    seen = collections.Counter()
    for serials in kinds.values():
        for serial in serials if FULL else serials[len(serials) // 2:][:1]:
            seen[one_fault(scene, inject, serial, EIO, "fail-more")] += 1
    print("%d calls, of %d kinds:" % (len(calls), len(kinds)), *("%s %s %d" % (*key, n) for key, n in sorted(seen.items(), key=str)), sep="\n  ")
    assert sum(n for (name, outcome), n in seen.items() if outcome == "refused") >= 10
