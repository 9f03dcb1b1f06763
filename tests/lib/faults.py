# SPDX-License-Identifier: MIT
"""Faults while an update is under way: a state to have them in, the faults, what must come of it, and the page that has a cell for each. What is updated, a unit
or a release, is a kind of Update."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/update-faults.md"
FAULTS = ["cut", "kill", "silence", "registry-gone", "full-disk"]
# State: the program whose job it is, and how a shell knows the job.
JOBS = {"checking": ("fetch", '[ "$1" = check ]'), "downloading": ("fetch", '[ "$1" = pull ]'), "verified": ("bundle", '[ "$1 $2" = "slot stage" ]'),
        "switching": ("bundle", '[ "$1 $2" = "slot switch" ]'), "committed": ("bundle", '[ "$1 $2" = "slot commit" ]'),
        "rolled-back": ("bundle", '[ "$1 $2" = "slot rollback" ]')}


@contextlib.contextmanager
def mounted(disk, at):
    subprocess.run(["mount", "-o", "loop", disk, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=False)


def make_disk(path, mib=32):
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", path], check=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    return path


def fill(folder):
    """Until no byte fits any more."""
    with open(folder / "filler", "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass


def shut_window():
    """UpdateWindow= that is hours away."""
    hour = time.gmtime().tm_hour
    return "UpdateWindow=%02d:00-%02d:00" % ((hour + 2) % 24, (hour + 3) % 24)


class Update:
    """An update of BOARD from what it runs, ONE, to TWO, held in STATE. IS_BAD: it is to be rolled back. A kind of it says state() of the update, runs(): the
    digest of what is up, None where not all of it is; slot(), ask() for the update, and takes_order()."""

    jobs = JOBS

    def __init__(self, board, state):
        self.board, self.state, self.real = board, state, board.bin / "real"
        self.one = self.two = None
        self.is_bad = state == "rolled-back"

    def hold(self):
        """The job of STATE stops before it begins, until go_on()."""
        program, match = self.jobs[self.state]
        self.board.intercept(program, self.holding(match))
        (self.real / "wait").touch()

    def holding(self, match, before=""):
        return f'{match} && [ ! -e {self.real}/over ] && {{ {before}touch {self.real}/held; while [ -e {self.real}/wait ]; do sleep 0.05; done; }}'

    def wait_held(self):
        self.board.wait(lambda: (self.real / "held").exists(), "held")

    def go_on(self):
        if self.real.exists():
            (self.real / "over").touch()
        (self.real / "wait").unlink(missing_ok=True)

    def victim(self):
        """The process of the job that is held, or a program's."""
        for pid in self.board.children():
            name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() if pathlib.Path(f"/proc/{pid}").exists() else b""
            if b"/bin/sh" in name if self.state in self.jobs else name.startswith(b"/guest"):
                return pid
        raise AssertionError("nothing to kill\n" + self.board.told())

    def happens(self, fault, registry):
        board = self.board
        if fault == "cut":
            board.kill()
            self.go_on()
            board.start()
        elif fault == "kill":
            os.kill(self.victim(), signal.SIGKILL)
        elif fault == "silence":
            os.kill(registry.pid(), signal.SIGSTOP)
            self.go_on()
            time.sleep(3)
            os.kill(registry.pid(), signal.SIGCONT)
        elif fault == "registry-gone":
            registry.stop()
            self.go_on()
            time.sleep(3)
            board.wait(self.runs, "runs on")
            registry.start()
        else:
            fill(board.data)
            self.go_on()
            if self.state in self.jobs and self.state not in ("rolled-back", "committed", "collecting") or self.state == "confirming":
                board.wait(lambda: self.update() != self.state, "moves on", 30)
            assert board.wait(self.runs, "runs on a full disk", 40) in (self.one, self.two)
            (board.data / "filler").unlink()
        self.go_on()

    def converges(self):
        """What the update comes to, asked for again where the fault ended it."""
        wanted = self.one if self.is_bad else self.two
        end = time.monotonic() + 90
        while time.monotonic() < end:
            slot = self.slot()
            if self.update() == "idle" and self.runs() == wanted and slot["next"] == "-" and slot["current"] == wanted and \
               (not self.is_bad or self.two in slot["refused"]):
                assert slot["tries"] == "0"
                assert self.is_bad or slot["refused"] == "-", "a fault is no verdict"
                return
            if self.update() in ("idle", "staged") and self.takes_order():
                self.ask()
            time.sleep(0.3)
        raise AssertionError("never came to its end\n" + self.board.told())


@contextlib.contextmanager
def mended(board, registry):
    """However a test ends, the registry is there again."""
    try:
        yield
    finally:
        if registry.pid():
            os.kill(registry.pid(), signal.SIGCONT)
        registry.start()
        board.stop()


def tables(heading):
    """The names that the cells of each table below HEADING of docs/update-faults.md end with; "the same" stands for the one to its left."""
    section = PAGE.read_text().split(f"{heading}\n", 1)[1].split("\n## ")[0]
    out = []
    for table in re.findall(r"(?m)(?:^\|.*\n)+", section):
        head, _, *rows = [line.strip("|\n").split("|") for line in table.splitlines()]
        out.append([])
        for row in rows:
            assert len(row) == len(head), row
            for cell in row[1:]:
                name = re.search(r"<br>(?:`([^`]+)`|the same)\s*$", cell)
                assert name, f"no test is named: {cell}"
                out[-1].append(name.group(1) or out[-1][-1])
    return out


def is_there(test):
    """Is there a test of that name, FILE::NAME or NAME?"""
    file, _, name = test.rpartition("::")
    places = [ROOT / "tests" / file] if file else [*ROOT.glob("tests/test_*.py"), *ROOT.glob("tests/unit/*.c")]
    return any(re.search(rf"(def |static void ){name}\(", path.read_text()) for path in places)
