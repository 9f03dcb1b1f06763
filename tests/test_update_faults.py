# SPDX-License-Identifier: MIT
"""The rest of docs/update-faults.md, on this host: jobs that are killed, boots that find something, and each fault in each state."""
import os

import pytest

import faults
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


def stage(board, app, programs, run, two, *steps):
    """By the jobs, while no PID 1 runs: the image TWO pulled, staged, and what STEPS say."""
    etc = board.etc
    run(programs.fetch, "pull", "--store", board.data, "--policy", etc / "policy.json", "--authfile", etc / "auth.json", "--cert-dir",
        etc / "certs.d", f"{app.ref}:1")
    for step in (["stage"], *steps):
        run(programs.bundle, "slot", *step, "--store", board.data, "--name", "app", "--unit", etc / "units/app.container", "--ref",
            f"{app.ref}:1", two)


def found(board, app, programs, run, *steps, **more):
    """A board that was cut while an update was under way: its slots after `stage` and STEPS, its image two in the store."""
    one = first(board, app, **more)
    two = app.push("say", "two")
    board.stop()
    stage(board, app, programs, run, two, *steps)
    return one, two


def test_boot_finds_a_staged_image(board, app, programs, run):
    one, two = found(board, app, programs, run)
    board.start()
    board.wait_runs(two)
    assert board.slot()["previous"] == one and board.history()[-1][:2] == ("committed", two)


def test_boot_finds_a_trial_and_counts_the_next_attempt(board, app, programs, run):
    one, two = found(board, app, programs, run, ["switch"], x="ConfirmSec=3s")
    board.start()
    board.wait_update("confirming")
    assert board.slot()["tries"] == "2" and board.slot()["current"] == one
    board.wait_runs(two)


def test_boot_after_the_last_attempt_rolls_back(board, app, programs, run):
    one, two = found(board, app, programs, run, ["switch"], ["try", "--count", "2"], ["try", "--count", "3"])
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
IN_CI = {("cut", "downloading"), ("cut", "confirming"), ("cut", "committed"), ("cut", "rolled-back"), ("full-disk", "verified"),
         ("full-disk", "committed"), ("kill", "confirming"), ("silence", "downloading"), ("registry-gone", "downloading")}


class Unit(faults.Update):
    """An update of app, on a board whose data is on a disk of its own."""

    def reach(self, app, programs, run):
        board, state = self.board, self.state
        x = {"confirming": "ConfirmSec=4s", "staged": "ConfirmSec=500ms\n" + faults.shut_window()}.get(state, "ConfirmSec=500ms")
        self.one = first(board, app, x=x, container="AutoUpdate=registry" if state == "staged" else "")
        if state in self.jobs:
            self.hold()
        self.two = app.push(*(("exit", 1) if self.is_bad else ("say", "two")), size=200000)
        if state == "staged":       # outside its window, as a board finds it at boot
            board.stop()
            stage(board, app, programs, run, self.two)
            board.start()
        elif state != "idle":
            board.update("app", "--no-wait")
        board.wait_update(state.replace("-", " "))
        if state == "staged":
            board.wait_state("app", "running")
        if state in self.jobs:
            self.wait_held()
        elif state == "confirming":
            board.wait(lambda: self.runs() == self.two, "trial")

    def update(self):
        u = self.board.status("app")
        return u and u["update"]["state"]

    def runs(self):
        u = self.board.status("app")
        return u["digest"] if u and u["state"] == "running" else None

    def slot(self):
        return self.board.slot()

    def takes_order(self):
        return self.board.state("app") in ("running", "backoff", "refused")

    def ask(self):
        self.board.update("app", "--no-wait", ok=None)


@pytest.mark.parametrize("fault,state", [pytest.param(f, s, marks=() if (f, s) in IN_CI else pytest.mark.full, id=f"{f}-{s}")
                                         for f in faults.FAULTS for s in STATES])
def test_fault(fault, state, make_board, app, registry, programs, run, workdir):
    """Whatever happens, wherever: a good image runs in the end, the failed one never again, and the update is not lost for good."""
    os.chmod(workdir, 0o755)
    board = make_board(app, base=workdir / "b")
    with faults.mounted(faults.make_disk(workdir / "disk"), board.data), faults.mended(board, registry):
        at = Unit(board, state)
        at.reach(app, programs, run)
        at.happens(fault, registry)
        at.converges()


def test_the_page_has_each_cell():
    held, = faults.tables("tests/test_update_faults.py::test_fault[FAULT-STATE]")
    assert held == [f"{f}-{s}" for f in faults.FAULTS for s in STATES]
    jumps, = faults.tables("## The clock jumps")
    assert len(jumps) == len(STATES) and all(map(faults.is_there, jumps))
