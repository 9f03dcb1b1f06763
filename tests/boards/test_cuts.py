# SPDX-License-Identifier: MIT
"""Power cuts on a board: one update on trial (`update app`: pull, stage, switch, commit, gc), done by PID 1 and its jobs in QEMU, is recorded at its data disk
(tests/powercut/nbddisk.py); cuts of it are put together and gone over by the real jobs on this host, every 50th by a board that boots from it. A sample by
default, 2,000 under CORACLE_FULL=1, POWERCUTS=N another number. The rig finds losses on a disk that ignores flushes, and where fsync is compiled out."""
import collections
import multiprocessing
import multiprocessing.pool
import os
import pathlib
import shutil
import subprocess
import sys
import types
import warnings

import board as board_kit
import images
import layerkit
import pytest

sys.path.insert(0, str(layerkit.ROOT / "tests/powercut"))
import nbddisk  # noqa: E402
import powercut  # noqa: E402

FULL = os.environ.get("CORACLE_FULL") == "1"
COUNT = int(os.environ.get("POWERCUTS") or (2000 if FULL else 16))
CONTROL = 40 if FULL else 8
STEPS = ("boot", "pull", "publish", "stage", "switch", "commit", "gc")
GNU = {"qemu-x86_64": ("x86_64-linux-gnu", "amd64"), "qemu-aarch64": ("aarch64-linux-gnu", "arm64"), "qemu-armv7": ("arm-linux-gnueabihf", "arm")}
UNIT = "[Container]\nImage=%s\n\n[Service]\nRestart=always\n\n[X-Coracle]\nConfirmSec=1s\n"
PARTITION = 1 << 20


class Recording(powercut.Recording):
    """What the board does, it does by itself: a step begins where its first bytes come to the disk."""

    steps, start = STEPS, PARTITION

    def place(self, manifest):
        """MANIFEST: the new image's, whose writing begins the publishing."""
        two, found, flushes = self.digests[1], {"boot": 0}, 0
        asked = next(n for n, w in self.marks if w == "pull")
        for n, event in enumerate(self.events):
            flushes += "commit" in found and (event[0] == "F" or not self.has_flushes())
            if flushes == 4:    # the commit's file and its folder are on the disk: the rest is gc, and the end of the board
                found.setdefault("gc", n + 1)
            data = event[2] if event[0] == "W" else b""
            if n >= asked and data.startswith(manifest):
                found.setdefault("publish", n)
            for line in data.split(b"\0", 1)[0].decode(errors="replace").splitlines() if data.startswith(b"coracle-slots 1\n") else ():
                if line.startswith("unit app "):
                    s = dict(f.split("=", 1) for f in line.split()[2:])
                    found.setdefault("commit" if s["current"] == two else "boot" if s["next"] != two else "stage" if s["tries"] == "0" else "switch", n)
        self.marks = sorted([*self.marks, *((n, w) for w, n in found.items())], key=lambda m: m[0])
        return self

    def has_flushes(self):
        return any(e[0] == "F" for e in self.events)

    def without_flushes(self):
        """What the same disk would have got if it ignored them."""
        kept = [n for n, e in enumerate(self.events) if e[0] == "W"]
        other = Recording.__new__(Recording)
        other.base, other.digests, other.lists = self.base, self.digests, self.lists
        other.events = [self.events[n] for n in kept]
        other.marks = [(sum(k < n for k in kept), w) for n, w in self.marks]
        return other


def push(registry, folder, name, arch, layers):
    shutil.rmtree(folder / name, ignore_errors=True)
    images.make_image(folder / name, layers, arch=arch)
    digest = registry.push(folder / name, "demo/powercut")
    registry.sign("demo/powercut", registry.key("cosign"), identity="registry.demo:%d/demo/powercut" % registry.port)
    return digest, images.get_blob(folder / name, digest)


@pytest.fixture(scope="module")
def scene(board_name, registry, programs, etc, tmp_path_factory):
    """Image one on a disk, where app uses it; image two behind the same tag. record(...) boots a board on a copy of the disk and updates app."""
    folder, top = tmp_path_factory.mktemp("cuts"), tmp_path_factory.mktemp("rig")
    gnu, arch = GNU[board_name]
    images.build_hello(folder / "hello", gnu)
    hello = images.entry("usr/bin/hello", (folder / "hello").read_bytes(), mode=0o755)
    some = lambda top, count, size: [images.entry("%s/%03d" % (top, n), os.urandom(size)) for n in range(count)]
    old, _ = push(registry, folder, "old", arch, [[hello, *some("old", 40, 4000)]])
    local = "localhost:%d/demo/powercut" % registry.port
    import registry as kit
    (folder / "policy.json").write_text(kit.policy({local: {"type": "insecureAcceptAnything"}}))
    trust = ["--policy", folder / "policy.json", "--authfile", registry.login_file(folder / "auth.json"), "--cert-dir", registry.certs_dir(folder / "certs.d"),
             "--platform", "linux/" + arch]
    ref, unit, disk = "registry.demo:%d/demo/powercut:1" % registry.port, folder / "app.container", folder / "disk"
    unit.write_text(UNIT % ref)
    subprocess.run([layerkit.ROOT / "boards/common/data.sh", disk, "64"], check=True)
    with powercut.Mounted(disk, folder / "mnt", "loop,offset=%d" % PARTITION) as at:
        first = powercut.Updates(at, programs, [ref] * 2, trust, unit)
        assert first.pull(local + ":1") == old          # which nothing names: gc's
        one, _ = push(registry, folder, "one", arch, [[hello, *some("base", 20, 3000)]])
        assert first.pull(local + ":1") == one
        first.prepare(ref, one)
    two, manifest = push(registry, folder, "two", arch, [[hello, *some("base", 20, 3000)], [*some("new", 60, 2500), images.entry("big", os.urandom(400000))],
                                                         [*some("newer", 20, 9000), images.entry("base/.wh.001")]])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", top], check=True)
    yield types.SimpleNamespace(folder=folder, top=top, disk=disk, unit=unit, one=one, two=two, manifest=manifest, ref=ref, local=local + ":1",
                                programs=programs, trust=trust)
    subprocess.run(["umount", "-l", top], check=True)


def record(scene, boot, name, is_honest=True, **more):
    """One update of a board, at its disk, which flushes where it IS_HONEST."""
    image, trace = scene.top / (name + ".img"), scene.top / (name + ".trace")
    shutil.copyfile(scene.disk, image)
    with nbddisk.NbdDisk(image, trace, scene.folder / (name + ".sock"), is_honest) as disk:
        board = boot(units={"app.container": scene.unit.read_text()}, disk=disk.url, drive="cache=writeback", **more)
        board.wait_unit("app", "running")
        board.settle()
        disk.mark("pull")
        board.say("update app --no-wait")
        trial = lambda u: u["digest"] == scene.two
        board.wait_unit("app", "running", and_also=trial)
        disk.mark("switched")
        board.wait_unit("app", "running", and_also=lambda u: trial(u) and u["update"]["state"] == "idle")
        disk.mark("committed")
        board.settle(5)     # gc says nothing
        assert board.poweroff() == 0
    rec = Recording(trace, scene.disk, (scene.one, scene.two), None)
    with powercut.Mounted(image, scene.top / "mnt", "loop,offset=%d" % PARTITION) as at:
        board = powercut.Updates(at, scene.programs, [scene.ref] * 2, scene.trust, scene.unit)
        rec.lists = board.lists()
        assert board.images() == sorted((scene.one, scene.two)), "gc was not done"
    image.unlink()
    return rec.place(scene.manifest[:512])


def check(job):
    """One cut: the unit's image is the old one or the new, whole; the update goes on from there. (cut, None or what was lost)"""
    rec, cut, scene = job
    one, two = rec.digests
    said = rec.step(cut.at)[1]

    def judge(at):
        board = powercut.Updates(at, scene.programs, [scene.ref] * 2, scene.trust, scene.unit)
        must = powercut.must(scene.programs.bundle, "units", "--store", at, scene.unit.parent)
        assert "state/slots" not in must, must
        board.verify()
        s, there = board.slot(), board.images()
        assert board.state() in [(one, "-", 0, "-"), (one, two, 0, "-"), (one, two, 1, "-"), (two, "-", 0, "-")], s
        assert all(d in there for d in (s["current"], s["next"], s["previous"]) if d != "-"), (s, there)
        assert "switched" not in said or s["tries"] == "1" or s["current"] == two, "said to be on trial: %s" % s
        assert "committed" not in said or s["current"] == two, "said to be committed: %s" % s
        assert all(rec.lists.get(chain, h) == h for chain, h in board.lists().items()), "a layer is other than it was"
        board.prepare(scene.ref, s["current"])
        if s["current"] == one:
            if s["next"] == "-":
                assert board.pull(scene.local) == two
                board.slots("stage", two)
            board.slots("try", "--count", str(int(board.slot()["tries"]) + 1), two)
            board.prepare(scene.ref, two)
            board.slots("commit", two)
        board.gc()
        board.verify()
        s = board.slot()
        assert (s["current"], s["previous"]) == (two, one) and board.images() == sorted((one, two)), s
        assert board.lists() == rec.lists, "after the update the layers are others"
        board.is_tidy()

    return cut, powercut.examine(rec, cut, scene.top / ("worker-%d" % os.getpid()), judge)


def replay(rec, cuts, scene, meanwhile=lambda: None):
    """[(cut, None or what was lost)] on all processors, which MEANWHILE shares."""
    out = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        done = pool.imap(check, [(rec, cut, scene) for cut in cuts])
        meanwhile()
        for one in done:
            out.append(one)
            if len(out) % 100 == 0:
                print("%d of %d cuts gone over, %d losses" % (len(out), len(cuts), len(losses(out))), flush=True)
    return out


def losses(done):
    return [loss for _, loss in done if loss]


def boots(scene, boot, rec, cut, tries=3):
    """A board comes up on the disk of CUT with the old image or the new, and the update comes to its end."""
    name = "%d-%d" % (cut.at, cut.seed)
    disk = scene.folder / (name + ".img")
    rec.disk(cut, disk)
    board = None
    try:
        board = boot(units={"app.container": scene.unit.read_text()}, disk=disk)
        finishes(scene, board, rec, cut)
    except AssertionError as e:
        if board_kit.EMULATORS_FAULT not in (board.told() if board else str(e)) or tries == 0:
            raise
        warnings.warn("%s: the guest's kernel died by the emulator (int3); booted again" % str(cut))
        return boots(scene, boot, rec, cut, tries - 1)
    with powercut.Mounted(disk, scene.folder / ("mnt-" + name), "loop,offset=%d" % PARTITION) as at:
        board = powercut.Updates(at, scene.programs, [scene.ref] * 2, scene.trust, scene.unit)
        board.verify()
        assert board.state() == (scene.two, "-", 0, "-"), (cut, board.state())
        board.gc()          # where the cut was in it, the next update's on a board
        assert board.lists() == rec.lists, (cut, board.state())
        board.is_tidy()
    disk.unlink()
    print("booted after %s" % str(cut), flush=True)


def finishes(scene, board, rec, cut):
    unit = board.wait_unit("app", "running")
    assert unit["digest"] in rec.digests, (cut, unit)
    if unit["digest"] == scene.one and unit["update"]["state"] == "idle":
        board.say("update app --no-wait")
    board.wait_unit("app", "running", and_also=lambda u: u["digest"] == scene.two and u["update"]["state"] == "idle")
    assert board.poweroff() == 0


def test_no_cut_of_a_boards_update_loses_anything(scene, boot):
    rec = record(scene, boot, "good")
    cuts = rec.cuts(COUNT)
    booted = cuts[min(25, len(cuts) // 2)::50]

    def boot_some():
        with multiprocessing.pool.ThreadPool(2) as pool:
            pool.map(lambda cut: boots(scene, boot, rec, cut), booted, chunksize=1)

    done = replay(rec, cuts, scene, boot_some)
    steps, writes = collections.Counter(cut.step for cut in cuts), sum(e[0] == "W" for e in rec.events)
    print("%d writes, %d flushes; %d cuts: %s; %d losses; %d of them booted" % (
        writes, len(rec.events) - writes, len(cuts), ", ".join("%s %d" % (s, steps[s]) for s in STEPS), len(losses(done)), len(booted)))
    assert not losses(done), "\n".join(losses(done)[:10])
    assert len(cuts) >= COUNT * 9 // 10 and all(steps[s] >= (20 if COUNT >= 2000 else 1) for s in STEPS), steps
    lost = losses(replay(rec.without_flushes(), rec.without_flushes().cuts(CONTROL), scene))
    print("a disk that ignores flushes: %d of %d cuts lose something, such as: %s" % (len(lost), CONTROL, lost[:1]))
    assert lost


@pytest.mark.full
@pytest.mark.parametrize("control", ["no barriers", "no fsync"])
def test_the_boards_rig_finds_losses(scene, boot, board_name, programs, control):
    if control == "no fsync" and board_name != "qemu-x86_64":
        pytest.skip("skip: programs without fsync are linked for this machine")
    more = {"is_honest": False}
    if control == "no fsync":
        folder = layerkit.BUILD / "tests/nosync"
        none = layerkit.ROOT / "tests/powercut/nosync.c"
        for name in ("bundle", "fetch"):
            layerkit.link_program("nosync/coracle-" + name, [layerkit.ROOT / name / (name + "_main.c"), none], fetches=name == "fetch")
        for name in ("coracle-init", "deps"):
            if not (folder / name).exists():
                (folder / name).symlink_to(programs.folder / name)
        more = {"bin_folder": pathlib.Path(folder)}
    rec = record(scene, boot, control.replace(" ", "-"), **more)
    done = replay(rec, rec.cuts(CONTROL), scene)
    print("%s: %d of %d cuts lose something, such as: %s" % (control, len(losses(done)), len(done), losses(done)[:1]))
    assert losses(done)
