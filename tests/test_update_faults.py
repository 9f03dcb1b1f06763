# SPDX-License-Identifier: MIT
"""The matrix of docs/update-faults.md: each fault in each state of an update, on this host."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from test_update import app, first, make_board, tools  # noqa: F401


STATES = ["idle", "checking", "downloading", "verified", "staged", "switching", "confirming", "committed", "rolled-back"]
FAULTS = ["cut", "kill", "silence", "registry-gone", "full-disk"]
JOB = {"checking": ("fetch", '[ "$1" = check ]'), "downloading": ("fetch", '[ "$1" = pull ]'), "verified": ("bundle", '[ "$1 $2" = "slot stage" ]'),
       "switching": ("bundle", '[ "$1 $2" = "slot switch" ]'), "committed": ("bundle", '[ "$1 $2" = "slot commit" ]'),
       "rolled-back": ("bundle", '[ "$1 $2" = "slot rollback" ]')}
IN_CI = {("cut", "downloading"), ("cut", "confirming"), ("cut", "committed"), ("cut", "rolled-back"), ("full-disk", "verified"),
         ("full-disk", "committed"), ("kill", "confirming"), ("silence", "downloading"), ("registry-gone", "downloading")}


class Faulty:
    """A board on a disk of its own, brought into STATE of an update of app from `one` to `two` and held there."""

    def __init__(self, board, app, state):
        self.board, self.app, self.state = board, app, state
        self.real = board.bin / "real"

    def reach(self, programs, run):
        board, app, state = self.board, self.app, self.state
        now = time.gmtime()
        shut = "UpdateWindow=%02d:00-%02d:00" % ((now.tm_hour + 2) % 24, (now.tm_hour + 3) % 24)
        x = {"confirming": "ConfirmSec=4s", "staged": "ConfirmSec=500ms\n" + shut}.get(state, "ConfirmSec=500ms")
        self.one = first(board, app, x=x, container="AutoUpdate=registry" if state == "staged" else "")
        if state in JOB:
            program, match = JOB[state]
            board.intercept(program, f"{match} && [ ! -e $state/over ] && {{ touch $state/held; while [ -e $state/wait ]; do sleep 0.05; done; }}")
            (self.real / "wait").touch()
        self.two = app.push(*(("exit", 1) if state == "rolled-back" else ("say", "two")), size=200000)
        if state == "staged":       # outside its window, as a board finds it at boot
            board.stop()
            etc = board.etc
            run(programs.fetch, "pull", "--store", board.data, "--policy", etc / "policy.json", "--authfile", etc / "auth.json", "--cert-dir",
                etc / "certs.d", f"{app.ref}:1")
            run(programs.bundle, "slot", "stage", "--store", board.data, "--name", "app", "--unit", etc / "units/app.container", "--ref",
                f"{app.ref}:1", self.two)
            board.start()
        elif state != "idle":
            board.update("app", "--no-wait")
        board.wait_update(state.replace("-", " "))
        if state == "staged":
            board.wait_state("app", "running")
        if state in JOB:
            board.wait(lambda: (self.real / "held").exists(), "held")
        elif state == "confirming":
            board.wait(lambda: board.state("app") == "running" and board.status("app")["digest"] == self.two, "trial")

    def release(self):
        (self.real / "over").touch() if self.real.exists() else None
        (self.real / "wait").unlink(missing_ok=True)

    def job(self):
        """The process of the job that is held, or the program's."""
        for pid in self.board.children():
            name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() if pathlib.Path(f"/proc/{pid}").exists() else b""
            if self.state in JOB and b"/bin/sh" in name:
                return pid
            if self.state not in JOB and name.startswith(b"/guest"):
                return pid
        raise AssertionError("nothing to kill\n" + self.board.told())


def fill(folder):
    """Until no byte fits any more."""
    with open(folder / "filler", "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass


@pytest.mark.parametrize("fault,state", [pytest.param(f, s, marks=() if (f, s) in IN_CI else pytest.mark.full, id=f"{f}-{s}")
                                         for f in FAULTS for s in STATES])
def test_fault(fault, state, make_board, app, registry, programs, run, workdir, request):
    """Whatever happens, wherever: a good image runs in the end, the failed one never again, and the update is not lost for good."""
    disk = workdir / "disk"
    with open(disk, "wb") as f:
        f.truncate(32 << 20)
    run("mkfs.ext4", "-q", "-m", "0", disk, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    os.chmod(workdir, 0o755)
    board = make_board(app, base=workdir / "b")
    run("mount", "-o", "loop", disk, board.data)
    at = Faulty(board, app, state)
    try:
        at.reach(programs, run)
        if fault == "cut":
            board.kill()
            at.release()
            board.start()
        elif fault == "kill":
            os.kill(at.job(), 9)
        elif fault == "silence":
            os.kill(registry.pid(), signal.SIGSTOP)
            at.release()
            time.sleep(3)
            os.kill(registry.pid(), signal.SIGCONT)
        elif fault == "registry-gone":
            registry.stop()
            at.release()
            time.sleep(3)
            assert board.wait(lambda: board.state("app") == "running", "runs on")
            registry.start()
        else:
            fill(board.data)
            at.release()
            board.wait(lambda: board.status("app")["update"]["state"] != state or state in ("idle", "staged"), "moves on", 30) \
                if state != "rolled-back" and state != "committed" else None
            board.wait(lambda: board.state("app") == "running", "runs on a full disk", 40)
            assert board.status("app")["digest"] in (at.one, at.two)
            (board.data / "filler").unlink()
        at.release()
        converge(board, at)
    finally:
        try:
            if registry.pid():
                os.kill(registry.pid(), signal.SIGCONT)
            registry.start()
            board.stop()
        finally:
            subprocess.run(["umount", board.data], check=False)


def converge(board, at):
    """What the update comes to, asked for again where the fault ended it."""
    bad = at.state == "rolled-back"
    wanted = at.one if bad else at.two
    end = time.monotonic() + 90
    while time.monotonic() < end:
        u = board.status("app")
        slot = board.slot()
        if u and u["update"]["state"] == "idle" and u["state"] == "running" and slot["next"] == "-" and u["digest"] == wanted and \
           slot["current"] == wanted and (not bad or at.two in slot["refused"]):
            assert slot["tries"] == "0"
            assert bad or slot["refused"] == "-", "a fault is no verdict"
            return
        if u and u["update"]["state"] in ("idle", "staged") and u["state"] in ("running", "backoff", "refused"):
            board.update("app", "--no-wait", ok=None)
        time.sleep(0.3)
    raise AssertionError("never came to its end\n" + board.told())
