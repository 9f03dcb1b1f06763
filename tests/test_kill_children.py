# SPDX-License-Identifier: MIT
"""Children of PID 1 (and their children) killed at random while pulls, unpacking, compiling, starts and shutdowns are in
progress, each hit at least 20 times. Afterwards every unit is as `status` says, and no zombie, stray mount, cgroup, process or
descriptor is left. First with scripted jobs, which can be held in each phase; then with the real programs and a real registry."""
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

import images
import init_kit

HITS = 20


def read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def descendants(board):
    """(pid, depth) of everything below PID 1."""
    found, todo = [], [(board.pid, 0)]
    while todo:
        pid, depth = todo.pop()
        for child in board.children(pid):
            found.append((child, depth + 1))
            todo.append((child, depth + 1))
    return found


def kind(pid, depth):
    """What a process is at work on; None for a zombie or one already gone."""
    args = read(f"/proc/{pid}/cmdline").split(b"\0")
    name = read(f"/proc/{pid}/comm").strip().decode()
    if not args[0]:
        return None
    if b"pull" in args[:2] or name in ("net", "judge", "resolve") or args[0].endswith(b"coracle-fetch"):
        return "pull" if depth == 1 else "pull helper"
    if b"unpack" in args or b"inflate" in args:
        return "unpack"
    if b"prepare" in args:
        return "compile"
    if b"units" in args:
        return "units"
    if name in ("logger", "saver", "console"):
        return name
    if args[0] in (b"/guest", b"/probe"):
        return "program"
    if args[0].endswith(b"coracle-init"):
        return "start"
    return None


class Killer(threading.Thread):
    """Kills what it meets, by chance and after a chance delay, until each kind in WANTED was hit HITS times."""

    def __init__(self, board, wanted, seed):
        super().__init__(daemon=True)
        self.board, self.wanted, self.random = board, wanted, random.Random(seed)
        self.hits, self.killed = collections.Counter(), set()
        self.over = threading.Event()

    def is_done(self):
        return all(self.hits[k] >= HITS for k in self.wanted)

    def run(self):
        while not self.over.is_set():
            for pid, depth in descendants(self.board):
                what = kind(pid, depth)
                chance = 0.05 if what in ("program", "logger", "saver", "console") else 0.5
                if what not in self.wanted or self.hits[what] >= HITS or pid in self.killed or self.random.random() > chance:
                    continue
                if what != "start":
                    time.sleep(self.random.random() * 0.02)
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.hits[what] += 1
                    self.killed.add(pid)
                except OSError:
                    pass

    def stop(self):
        self.over.set()
        self.join()


def state_of_board(board):
    fds = len(os.listdir(f"/proc/{board.pid}/fd"))
    return fds, sorted(l.split(" - ")[0].split(" ", 3)[3] for l in board.mounts())


def check_quiet(board, running, before):
    """Every unit runs, and nothing else is there."""
    for name in running:
        board.coracle("start", name)
    for name in running:
        board.wait_state(name, "running", 60)
    helpers = ["logger", "saver"]
    board.wait(lambda: set(helpers) <= {board.comm(c) for c in board.children()}, "logger and saver")
    time.sleep(0.3)
    units = {u["name"]: u for u in board.status()["units"]}
    inside = {}
    for pid, depth in descendants(board):
        for line in read(f"/proc/{pid}/status").decode().splitlines():
            if line.startswith("NSpid:"):
                inside[int(line.split()[2])] = (pid, depth)
    for name in running:
        assert units[name]["state"] == "running"
        pid, _ = inside[units[name]["pid"]]
        assert kind(pid, 1) == "program", name
    assert board.zombies() == []
    below = sorted(filter(None, (kind(pid, depth) for pid, depth in descendants(board))))
    assert below == sorted(["program"] * len(running) + helpers), below
    fds, mounts = state_of_board(board)
    assert mounts == before[1]
    assert fds <= before[0], subprocess.run(["ls", "-l", f"/proc/{board.pid}/fd"], capture_output=True, text=True).stdout
    cgroup = board.cgroup_dir()
    if cgroup:
        assert sorted(d.name for d in cgroup.iterdir() if d.is_dir()) == sorted(running)


def go_down(board, seed, hits):
    """One way down with whatever is a child being killed meanwhile."""
    chance = random.Random(seed)
    cgroup = board.cgroup_dir()
    pid = board.pid
    board.coracle("poweroff")
    end = time.monotonic() + 40
    while board.process.poll() is None:
        assert time.monotonic() < end, "did not go down"
        for child in board.children(pid):
            if chance.random() < 0.3:
                try:
                    os.kill(child, signal.SIGKILL)
                    hits["shutdown"] += 1
                except OSError:
                    pass
        time.sleep(chance.random() * 0.01)
    assert board.process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert cgroup is None or not cgroup.exists()


class RealBoard(init_kit.Board):
    """The real coracle-fetch and coracle-bundle, units as .container files, trust as the registry's fixture wrote it."""

    def __init__(self, base, tools, programs, trust):
        super().__init__(base, tools)
        for name, path in (("coracle-bundle", programs.bundle), ("coracle-fetch", programs.fetch)):
            (self.bin / name).unlink()
            shutil.copy2(path, self.bin / name)
        for path in (trust.policy, trust.auth):
            shutil.copy2(path, self.etc / path.name)
        shutil.copytree(trust.certs, self.etc / "certs.d")
        (self.etc / "units").mkdir()
        self.conf(data_dir=str(self.data), console="none", hostname="bench", units=str(self.etc / "units"))

    def write_units(self, name="table"):
        pass

    def container(self, name, image):
        self.units[name] = image
        (self.etc / f"units/{name}.container").write_text(
            f"[Container]\nImage={image}\nExec=say {name}\n\n[Service]\nRestart=always\nRestartSec=100ms\n")


@pytest.fixture
def real(tools, programs, registry, trust, workdir):
    image = [[images.entry("guest", tools.guest.read_bytes(), mode=0o755)],
             [images.entry(f"many-{i}", b"x" * 100) for i in range(2000)],
             [images.entry("big", random.Random(1).randbytes(12 << 20))]]
    images.make_image(workdir / "image", image, how="gzip", config={"Entrypoint": ["/guest"]},
                      arch={"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm"))
    names = ["one", "two"]
    for n in names:
        registry.push(workdir / "image", f"kill/{n}")
        registry.sign(f"kill/{n}", registry.key("cosign"))
    t = trust({f"{registry.host}/kill/{n}": registry.key("cosign").pub for n in names})
    with init_kit.scratch() as d:
        os.chmod(d, 0o755)
        b = RealBoard(pathlib.Path(d) / "b", tools, programs, t)
        for n in names:
            b.container(n, f"{registry.host}/kill/{n}:1")
        yield b
        b.kill()


def empty(folder):
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_real(real):
    names = list(real.units)
    real.start()
    for n in names:
        real.wait_state(n, "running", 60)
    before = state_of_board(real)
    killer = Killer(real, {"pull", "pull helper", "unpack", "compile", "start", "program", "logger"}, 11)
    killer.start()
    end = time.monotonic() + 400
    while not killer.is_done():
        assert time.monotonic() < end, f"{killer.hits}\n{real.told()}"
        for n in names:
            real.coracle("stop", n)
        for n in names:
            real.wait_state(n, "inactive", 30)
        empty(real.data)		# so that everything has to be got again
        for _ in range(12):
            for n in names:
                real.coracle("start", n)	# out of a backoff at once
            time.sleep(0.3)
    killer.stop()
    check_quiet(real, names, before)
    assert list((real.data / "tmp").iterdir()) == []
    print(dict(killer.hits))


def test_real_shutdown(real):
    names = list(real.units)
    hits = collections.Counter()
    for seed in range(40):
        if hits["shutdown"] >= HITS:
            break
        if seed % 2:
            empty(real.data)		# every other time it is pulling when it is told to go
        real.start()
        if seed % 2 == 0:
            for n in names:
                real.wait_state(n, "running", 60)
        else:
            real.wait(lambda: "pulling" in (real.state(n) for n in names), "pulling")
        go_down(real, seed, hits)
    assert hits["shutdown"] >= HITS
    real.start()
    for n in names:
        real.wait_state(n, "running", 60)
    print(dict(hits))


def test_scripted(board):
    names = ["one", "two", "three"]
    for n in names:
        board.unit(n, "say", n, current="", pull=init_kit.PULL_ALWAYS)
        board.say(f"pull.{n}", "slow 100")
        board.say(f"prepare.{n}", "slow 100")
    board.conf(data_dir=str(board.data), console="none", hostname="bench")
    board.start()
    for n in names:
        board.wait_state(n, "running")
    before = state_of_board(board)
    killer = Killer(board, {"pull", "compile", "start", "program", "logger"}, 7)
    killer.start()
    end = time.monotonic() + 240
    while not killer.is_done():
        assert time.monotonic() < end, killer.hits
        for n in names:
            board.coracle("restart", n)	# Pull=always: through every phase again; does nothing to one under way
            board.coracle("start", n)	# out of a backoff at once
        time.sleep(0.2)
    killer.stop()
    check_quiet(board, names, before)
    print(dict(killer.hits))


def test_scripted_shutdown(tools):
    hits = collections.Counter()
    seed = 0
    while hits["shutdown"] < HITS:
        seed += 1
        assert seed < 30
        with init_kit.scratch() as d:
            os.chmod(d, 0o755)
            b = init_kit.Board(pathlib.Path(d) / "b", tools)
            for i in range(4):
                b.unit(f"u{i}", "deaf", "x", timeout_stop_ms=200)
            b.unit("pulling", "say", "x", current="")
            b.say("pull.pulling", "hang")
            b.start()
            try:
                for i in range(4):
                    b.wait_state(f"u{i}", "running")
                go_down(b, seed, hits)
            finally:
                b.kill()
    print(dict(hits))
