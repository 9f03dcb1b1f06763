# SPDX-License-Identifier: MIT
"""The rest of docs/update-faults.md, on this host: jobs that are killed, boots that find something, and each fault in each state."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from test_update import app, board, first, make_board  # noqa: F401


# Jobs that are killed, boots that find something


STEPS = ["check", "pull", "stage", "switch", "commit", "rollback"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_job(board, app, step, when):
    """Each job killed once: before it did anything, and after it did all and before it could say so. The end is the same."""
    one = first(board, app)
    fetch = step in ("check", "pull")
    match = f'[ "$1" = {step} ]' if fetch else f'[ "$1 $2" = "slot {step}" ]'
    kill = "kill -9 $$" if when == "before" else '"$real" "$@" 3>/dev/null; kill -9 $$'
    board.intercept("fetch" if fetch else "bundle", f'if {match} && [ ! -e $state/hit ]; then touch $state/hit; {kill}; fi')
    bad = step == "rollback"
    two = app.push(*(("exit", 1) if bad else ("say", "two")))
    said = board.update("app", ok=None)
    assert (board.bin / "real/hit").exists()
    for _ in range(3):
        if "failed here before" in said or "committed" in said or "rolled back" in said or "nothing to do" in said:
            break
        assert board.status("app")["state"] == "running", said       # the old one, all the time
        said = board.update("app", ok=None)
    board.wait_runs(one if bad else two)
    slot = board.slot()
    assert (slot["current"], slot["next"], slot["tries"], slot["refused"]) == (one if bad else two, "-", "0", two if bad else "-"), said


def found(board, app, programs, run, *steps, **more):
    """A board that was cut while an update was under way: its slots after STEPS, its image two in the store."""
    one = first(board, app, **more)
    two = app.push("say", "two")
    board.stop()
    etc = board.etc
    run(programs.fetch, "pull", "--store", board.data, "--policy", etc / "policy.json", "--authfile", etc / "auth.json", "--cert-dir",
        etc / "certs.d", f"{app.ref}:1")
    for step in steps:
        run(programs.bundle, "slot", *step, "--store", board.data, "--name", "app", "--unit", etc / "units/app.container", "--ref",
            f"{app.ref}:1", two)
    return one, two


def test_boot_finds_a_staged_image(board, app, programs, run):
    one, two = found(board, app, programs, run, ["stage"])
    board.start()
    board.wait_runs(two)
    assert board.slot()["previous"] == one and board.history()[-1][:2] == ("committed", two)


def test_boot_finds_a_trial_and_counts_the_next_attempt(board, app, programs, run):
    one, two = found(board, app, programs, run, ["stage"], ["switch"], x="ConfirmSec=3s")
    board.start()
    board.wait_update("confirming")
    assert board.slot()["tries"] == "2" and board.slot()["current"] == one
    board.wait_runs(two)


def test_boot_after_the_last_attempt_rolls_back(board, app, programs, run):
    one, two = found(board, app, programs, run, ["stage"], ["switch"], ["try", "--count", "2"], ["try", "--count", "3"])
    board.start()
    board.wait(lambda: board.slot()["refused"] == two, "refused")
    board.wait_runs(one)
    assert "interrupted" in board.history()[-1][2]
    log = board.log()
    assert "on trial: " + two not in log


def test_attempts_that_are_interrupted_are_counted_down(board, app):
    """Power goes three times in mid-trial: the fourth boot runs the old one, and the new one is never tried again."""
    one = first(board, app, x="ConfirmSec=60s")
    two = app.push("say", "two")
    board.update("app", "--no-wait")
    for n in (1, 2, 3):
        board.wait(lambda: board.status("app")["update"]["state"] == "confirming" and board.state("app") == "running", f"trial {n}")
        assert board.slot()["tries"] == str(n)
        board.kill()
        board.start()
    board.wait_runs(one)
    assert board.slot()["refused"] == two and board.slot()["next"] == "-"
    assert "failed here before" in board.update("app")


def test_a_verdict_of_an_earlier_boot_is_not_forgotten(board, app):
    one = first(board, app)
    two = app.push("exit", 2)
    board.update("app", ok=False)
    board.stop()
    board.start()
    board.wait_runs(one)
    assert "failed here before" in board.update("app")
    assert board.history()[-1][:2] == ("rolled-back", two)


# Each fault in each state


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
