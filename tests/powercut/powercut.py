# SPDX-License-Identifier: MIT
"""Power cuts: one update (pull, publish, switch, gc) by the real programs is recorded at the block device, write by write and flush by flush;
then the disk is put together as it may lie there when the power went at any of these points, and the real jobs go over it.

What a cut leaves: every write before the last flush; of the writes since, each or none or part of it, 512 bytes being whole (`Cut.seed`); but for the superblock of ext4.

A loss is: the file system does not mount or needs repair; `verify` finds a difference; state/slots is unreadable or names neither the old
image nor the new; what a job had said was done is not there; the current image cannot be prepared; the next pull, switch or gc fails
or leaves rubbish."""
import collections
import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import threading

import images
import layerkit

DISK_MIB = 48
DEADLINE_S = 1800     # of one job: none here is measured, and thousands of cuts run at the lowest priority
STEPS = ("pull", "publish", "switch", "gc")
Cut = collections.namedtuple("Cut", "at seed step")      # after so many events; seed 0: every write since the flush, 1: none, else a torn part
UNIT = "[Container]\nImage=%s\nExec=/bin/true\n"


def run(*argv, **more):
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S, **more)


def must(*argv, **more):
    done = run(*argv, **more)
    assert done.returncode == 0, (argv, done.stdout.decode(errors="replace"))
    return done.stdout.decode()


def tool(name, folder):
    out = layerkit.BUILD / "tests" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    must("gcc", "-O1", "-Wall", "-o", out, layerkit.ROOT / "tests" / folder / (name + ".c"))
    return out


def push(registry, folder):
    """Three images: old, which nothing names; one, which runs; two, the update, with two layers more. Their references."""
    def some(top, count, size):
        return [images.entry("%s/%03d" % (top, n), os.urandom(size)) for n in range(count)]
    base = [images.entry("./", kind=images.tarfile.DIRTYPE), images.entry("bin/true", b"#!", mode=0o755), *some("base", 30, 3000)]
    new = [*some("new", 60, 2500), images.entry("base/.wh.001"), images.entry("hard", kind=images.tarfile.LNKTYPE, link="new/000"),
           images.entry("soft", kind=images.tarfile.SYMTYPE, link="hard"), images.entry("big", os.urandom(400000))]
    refs = []
    for name, layers in (("old", [some("old", 60, 4000)]), ("one", [base]), ("two", [base, new, some("newer", 20, 9000)])):
        images.make_image(folder / name, layers)
        registry.push(folder / name, "powercut/" + name)
        registry.sign("powercut/" + name, registry.key())
        refs.append("%s/powercut/%s:1" % (registry.host, name))
    import registry as kit
    (folder / "policy.json").write_text(kit.policy({r.rsplit(":", 1)[0]: registry.key().pub for r in refs}))
    return refs, ["--policy", folder / "policy.json", "--authfile", registry.login_file(folder / "auth.json"),
                  "--cert-dir", registry.certs_dir(folder / "certs.d")]


class Board:
    """The jobs of an update, in the store at STORE. WRAP(step) gives words to put before a job."""

    def __init__(self, store, programs, refs, trust, unit, wrap=lambda step: ()):
        self.store, self.programs, self.refs, self.trust, self.unit, self.wrap = pathlib.Path(store), programs, refs, trust, unit, wrap

    def pull(self, ref):
        done = subprocess.run([str(a) for a in (*self.wrap("pull"), self.programs.fetch, "pull", "--store", self.store, *self.trust, ref)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        assert done.returncode == 0, "pull: " + done.stderr.decode(errors="replace")[-400:]
        return done.stdout.decode().strip()

    def prepare(self, ref, digest):
        fd = os.memfd_create("record")
        try:
            must(*self.wrap("switch"), self.programs.bundle, "prepare", "--record-fd", fd, "--store", self.store, "--name", "app", "--unit", self.unit,
                 "--ref", ref, digest, pass_fds=(fd,))
        finally:
            os.close(fd)

    def gc(self):
        must(*self.wrap("gc"), self.programs.bundle, "gc", "--store", self.store)

    def verify(self):
        must(self.programs.bundle, "verify", "--store", self.store)

    def images(self):
        return sorted(i["digest"] for i in json.loads(must(self.programs.bundle, "ls", "--json", "--store", self.store))["images"])

    def slot(self):
        """{"current": ..., "previous": ...} of the unit, by the file's own words."""
        lines = [line for line in (self.store / "state/slots").read_text().splitlines() if line.startswith("unit app ")]
        assert len(lines) == 1, lines
        return dict(f.split("=", 1) for f in lines[0].split()[2:])

    def is_tidy(self):
        left = [n for d in ("tmp", "trash") for n in os.listdir(self.store / d)]
        left += [n for d, _, names in os.walk(self.store) for n in names if n.endswith(".new")]
        assert not left, "rubbish is left: %s" % left

    def lists(self):
        """What each layer is said to hold: {chain: hash of its list}."""
        out = {}
        for entry in (self.store / "layers/index").iterdir():
            if len(entry.name) == 64:
                out[entry.name] = hashlib.sha256((self.store / "layers/list" / entry.read_text().split()[0]).read_bytes()).hexdigest()
        return out


class Updates(Board):
    """The jobs of an update on trial."""

    def slots(self, *words, ref=None):
        must(self.programs.bundle, "slot", *words[:-1], "--store", self.store, "--name", "app", "--unit", self.unit, "--ref", ref or self.refs[1], words[-1])

    def state(self):
        s = self.slot()
        return s["current"], s["next"], int(s["tries"]), s["refused"]


class Recording:
    """events: ("W", offset, bytes) or ("F",); marks: [(number of events before it, word)]; base: the disk before the first."""

    steps = STEPS
    start = 0       # of the file system, in bytes: behind the partition table of a whole disk

    def __init__(self, trace, base, digests, lists):
        self.base, self.digests, self.lists = base, digests, lists
        self.events, self.marks = [], []
        data, at = trace.read_bytes(), 0
        while at < len(data):
            kind, size, where = struct.unpack_from("=cIQ", data, at)
            at += 13 + size
            if kind == b"M":
                self.marks.append((len(self.events), data[at - size:at].decode()))
            else:
                self.events.append(("W", where, data[at - size:at]) if kind == b"W" else ("F",))

    def step(self, at):
        """The step that the event number AT is of, and what was said to be done before it."""
        words = [w for n, w in self.marks if n <= at]
        return next((w for w in reversed(words) if w in self.steps), None), {w for w in words if w not in self.steps}

    def cuts(self, count, seed=1):
        """COUNT different cuts, all steps alike as far as they have as many."""
        rnd = random.Random(seed)
        places = {s: [] for s in self.steps}
        for at in range(1, len(self.events) + 1):
            step = self.step(at)[0]
            if step:
                places[step].append(at)
        out, seen = [], set()
        for tries in range(count * 200):
            if len(out) == count:
                break
            step = self.steps[tries % len(self.steps)]
            if not places[step]:
                continue
            cut = Cut(rnd.choice(places[step]), rnd.choice((0, 1) + (2,) * 6) and rnd.randrange(1, 1 << 30), step)
            key = self.kept(cut)
            if key not in seen:
                seen.add(key)
                out.append(cut)
        return sorted(out)

    def kept(self, cut):
        """(last flush before the cut, {(event, bytes of it that came through)})"""
        flush = max((n for n in range(cut.at) if self.events[n][0] == "F"), default=-1)
        rnd, out = random.Random(cut.seed), []
        for n in range(flush + 1, cut.at):
            size = len(self.events[n][2])
            if cut.seed == 0 or (cut.seed > 1 and rnd.random() < 0.5):
                part = size if cut.seed == 0 or rnd.random() < 0.6 else rnd.randrange(0, size // 512 + 1) * 512
                # ext4's superblock, 1 KiB at 1024, has to be whole or old: no ext4 mounts otherwise, whatever is on it.
                out.append((n, part - 512 if self.events[n][1] + part == self.start + 1536 else part))
        return flush, tuple(k for k in out if k[1])

    def disk(self, cut, path):
        """The disk as it lies there after CUT."""
        flush, kept = self.kept(cut)
        shutil.copyfile(self.base, path)
        with open(path, "r+b") as f:
            for event in self.events[:flush + 1]:
                if event[0] == "W":
                    f.seek(event[1])
                    f.write(event[2])
            for n, size in kept:
                f.seek(self.events[n][1])
                f.write(self.events[n][2][:size])


class Mounted:
    def __init__(self, device, at, options="loop"):
        self.device, self.at, self.options = device, at, options

    def __enter__(self):
        self.at.mkdir(exist_ok=True)
        must("mount", "-t", "ext4", "-o", self.options, self.device, self.at)
        return self.at

    def __exit__(self, *_):
        # Another mount namespace of this machine may hold a copy of the mount for a while: read-only, the disk is at rest all the same.
        done = run("mount", "-o", "remount,ro", self.at)
        must("umount", self.at)
        assert done.returncode == 0, done.stdout


class Busy:
    """Somebody else who syncs the file system all the time, as a board's other programs do: so what is half done comes to lie on the disk as well."""

    def __init__(self, at):
        self.at, self.end = at, threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        libc = ctypes.CDLL(None)
        fd = os.open(self.at, os.O_RDONLY)
        while not self.end.wait(0.01):
            libc.syncfs(fd)
        os.close(fd)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def update(board, mark, one):
    mark("pull")
    two = board.pull(board.refs[2])
    mark("pulled")
    mark("switch")
    board.prepare(board.refs[2], two)
    mark("switched")
    mark("gc")
    board.gc()
    return one, two


def record(folder, programs, refs, trust, control=None):
    """One update on a fresh disk. CONTROL: None, "no fsync" (the programs' syncs are not done) or "no barriers" (the file system's flushes)."""
    return record_with(folder, programs, refs, trust, control)


def record_with(folder, programs, refs, trust, control=None, board=Board, play=update, recording=Recording):
    """The same with other steps: PLAY(BOARD, mark, digest of what runs) -> digests."""
    folder.mkdir(exist_ok=True)
    image, base, trace, fuse, at = (folder / n for n in ("image", "base", "trace", "fuse", "mnt"))
    recdisk, inject = tool("recdisk", "powercut"), tool("inject", "tools")
    unit = folder / "app.container"
    unit.write_text(UNIT % refs[1])
    with open(image, "wb") as f:
        f.truncate(DISK_MIB << 20)
    must("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    with Mounted(image, at):
        (at / "store").mkdir()
        first = Board(at / "store", programs, refs, trust, unit)
        first.pull(refs[0])
        one = first.pull(refs[1])
        first.prepare(refs[1], one)
    shutil.copyfile(image, base)
    fuse.mkdir(exist_ok=True)
    server = subprocess.Popen([recdisk, image, trace, fuse], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    try:
        loop = must("losetup", "-f", "--show", fuse / "disk").strip()
        mark = lambda word: (fuse / "mark").write_text(word)
        wrap = lambda step: (inject, "nosync", folder / "report") if control == "no fsync" else (inject, "mark", fuse / "mark") if step == "pull" else ()
        try:
            with Mounted(loop, at, "barrier=0" if control == "no barriers" else "defaults"):
                played = board(at / "store", programs, refs, trust, unit, wrap)
                with contextlib.nullcontext() if control == "no fsync" else Busy(at):
                    digests = play(played, mark, one)
                if control != "no fsync":
                    must("sync", "-f", at)
                lists = played.lists()
        finally:
            must("losetup", "-d", loop)
    finally:
        run("umount", fuse)
        server.send_signal(signal.SIGTERM)
        server.wait()
    return recording(trace, base, digests, lists)


def examine(rec, cut, folder, judge):
    """Puts the disk of CUT together and mounts it; JUDGE(where) lets the jobs go over it and asserts. None, or what was lost."""
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / ("image-%d-%d" % (cut.at, cut.seed))   # a loop device may outlive its umount for a moment
    rec.disk(cut, image)
    try:
        with Mounted(image, folder / "mnt", "loop,offset=%d" % rec.start) as at:
            judge(at)
        done = run("e2fsck", "-fn", "%s?offset=%d" % (image, rec.start))
        assert done.returncode == 0, "the file system needs repair: " + done.stdout.decode(errors="replace")[-300:]
    except (AssertionError, OSError) as e:
        return "%s: %s" % (cut, re.sub(r"\s+", " ", str(e))[:600])
    finally:
        image.unlink()
    return None


def check(rec, cut, folder, programs, refs, trust):
    """The jobs after a cut of the update that `record` records; None, or what was lost."""
    one, two = rec.digests
    said = rec.step(cut.at)[1]

    def judge(at):
        unit = folder / "app.container"
        unit.write_text(UNIT % refs[1])
        board = Board(at / "store", programs, refs, trust, unit)
        board.verify()
        slot = board.slot()
        assert slot["current"] in ((two,) if "switched" in said else (one, two)), "the unit's image is %s" % slot["current"]
        there = board.images()
        assert slot["current"] in there and one in there and ("pulled" not in said or two in there), "of the images there are %s" % there
        assert all(rec.lists.get(chain, h) == h for chain, h in board.lists().items()), "a layer is other than it was"
        board.prepare(refs[1] if slot["current"] == one else refs[2], slot["current"])
        assert board.pull(refs[2]) == two
        board.prepare(refs[2], two)
        board.gc()
        board.verify()
        slot = board.slot()
        assert (slot["current"], slot["previous"]) == (two, one) and board.images() == sorted((one, two)), "after the next update: %s" % slot
        assert board.lists() == rec.lists, "after the next update the layers are others"
        board.is_tidy()

    return examine(rec, cut, folder, judge)
