# SPDX-License-Identifier: MIT
"""Releases of five units: each fault in each state of one (docs/update-faults.md). Whatever happens, all five are the old ones or all five the new ones, and in the
end those that are good; a release that failed is not tried again. Real programs, registry and file system; the state is held while the fault happens."""
import os
import pathlib
import shutil
import types

import pytest

import faults
from test_release import Fleet, FleetBoard, digests, five, release_file, requirement
from test_update import App, manifest_of

STATES = ["idle", "checking", "downloading", "images", "verified", "staged", "ordered", "switching", "confirming", "committed", "rolled-back", "collecting"]
# Beside those of a unit: the release is there and half of its images; staged by an order, which the cut makes forgotten; gc.
JOBS = {**faults.JOBS, "downloading": ("bundle", '[ "$1" = release ]'), "images": ("fetch", 'case "$*" in *app2@*) true;; *) false;; esac'),
        "ordered": ("bundle", '[ "$1 $2" = "slot stage" ]'), "collecting": ("bundle", '[ "$1" = gc ]')}
# What PID 1 says of itself there.
SAYS = {"images": "downloading", "ordered": "verified", "rolled-back": "rolled back", "collecting": "idle"}
IN_CI = {("cut", "images"), ("cut", "ordered"), ("cut", "rolled-back"), ("kill", "switching"), ("full-disk", "committed")}


class Release(faults.Update):
    jobs = JOBS

    def __init__(self, board, state, kit):
        super().__init__(board, state)
        self.kit, self.one, self.two = kit, kit.one, kit.bad if self.is_bad else kit.two
        self.units = {kit.one: kit.units["one"], kit.two: kit.units["two"], kit.bad: kit.units["bad"]}

    def reach(self, programs, run):
        board, state = self.board, self.state
        if state in ("staged", "confirming"):
            release_file(board, self.kit.fleet, x="ConfirmSec=4s" if state == "confirming" else "ConfirmSec=200ms\n" + faults.shut_window(),
                         container="AutoUpdate=registry" if state == "staged" else "")
        self.kit.tag(self.one)
        if state == "images":
            self.hold_image()
        elif state in JOBS:
            program, match = JOBS[state]
            done = '"$real" "$@" 3>/dev/null; ' if state == "ordered" else ""
            board.intercept(program, self.holding(match, done))
            (self.real / "wait").touch()
        if state == "staged":
            self.kit.tag(self.two)
            self.stage(programs, run)
        board.start()
        board.wait(lambda: self.runs() == self.one, "the first release")
        self.kit.tag(self.two)
        if state not in ("idle", "staged"):
            board.release("--no-wait")
        board.wait(lambda: self.update() == SAYS.get(state, state), state)
        if state in JOBS:
            self.wait_held()
        elif state == "confirming":
            board.wait(lambda: self.runs() == self.two, "trial")

    def hold_image(self):
        """The program that `release pull` starts for each image is a script too."""
        self.board.intercept("bundle", "")
        inner = self.real / "inner"
        inner.mkdir()
        for name in ("coracle-bundle", "coracle-fetch"):
            os.link(self.real / name, inner / name)
        (self.real / "coracle-fetch").unlink()
        (self.real / "coracle-fetch").write_text(f'#!/bin/sh\n{self.holding(JOBS["images"][1])}\nexec {inner}/coracle-fetch "$@"\n')
        (self.real / "coracle-fetch").chmod(0o755)
        (self.real / "wait").touch()

    def victim(self):
        return super().victim() if self.state != "images" else next(
            pid for pid in self.board.children() if b"\0release\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())

    def stage(self, programs, run):
        etc, kit = self.board.etc, self.kit
        run(programs.bundle, "release", "pull", "--store", self.board.data, "--policy", etc / "policy.json", "--authfile", etc / "auth.json", "--cert-dir",
            etc / "certs.d", self.board.ref)
        run(programs.bundle, "slot", "stage", "--store", self.board.data, "--name", "@release", "--unit", etc / "units/fleet.release", "--ref",
            f"{kit.fleet.ref}:stable", self.two)

    def update(self):
        return self.board.fleet() and self.board.fleet()["update"]["state"]

    def runs(self):
        now = self.board.running()
        return next((d for d, units in self.units.items() if digests(units) == now), None)

    def slot(self):
        return self.board.slot("@release")

    def takes_order(self):
        return True

    def ask(self):
        self.board.release("--no-wait", ok=None)


@pytest.fixture(scope="module")
def kit(registry, tools, programs, tmp_path_factory):
    """Five repositories, releases one, two and bad (its app3 ends at once) of them, and a disk on which one is in force, and one before it."""
    folder = tmp_path_factory.mktemp("releases")
    apps = [App(registry, f"releasefaults/app{n}", tools, folder / f"app{n}") for n in range(5)]
    fleet = Fleet(registry, "releasefaults/fleet", tools, folder / "fleet")
    made = types.SimpleNamespace(fleet=fleet, apps=apps, folder=folder)
    made.units = {"one": five(apps, "one"), "two": five(apps, "two")}
    made.units["bad"] = {**made.units["two"], "app3": (apps[3], apps[3].push("exit", 3))}
    zero = fleet.release({name: made.units["one"][name] for name in ("app0", "app1")})
    for word in ("one", "two", "bad"):
        setattr(made, word, fleet.release(made.units[word]))
    made.tag = lambda digest: registry.request("PUT", f"/v2/{fleet.name}/manifests/stable", *manifest_of(fleet, digest))
    made.disk = faults.make_disk(folder / "disk")
    made.tools, made.programs = tools, programs
    made.rules = {**{a.ref: requirement(registry.key("cosign").pub) for a in apps},
                  fleet.ref: requirement(registry.key("cosign").pub, may_change_trust=True)}
    made.zero = zero
    return made


@pytest.fixture
def make_fleet(kit, trust, registry):
    """make_fleet(BASE, DISK): a board with its data on DISK, mounted by whoever calls."""
    boards = []

    def make(base):
        board = FleetBoard(base, kit.tools, kit.programs, trust(kit.rules))
        board.ref = f"docker://{kit.fleet.ref}:stable"
        boards.append(board)
        return board

    yield make
    for board in boards:
        board.kill()


@pytest.fixture
def in_force(kit, make_fleet, workdir):
    """A copy of the disk on which release one is in force, made once."""
    workdir.chmod(0o755)
    done = kit.folder / "disk.done"
    if not done.exists():
        board = make_fleet(workdir / "first")
        with faults.mounted(kit.disk, board.data):
            board.start()
            for release in (kit.zero, kit.one):
                kit.tag(release)
                assert "committed" in board.release(board.ref)
            board.stop()
        shutil.copyfile(kit.disk, done)
    return shutil.copyfile(done, workdir / "disk")


@pytest.mark.parametrize("fault,state", [pytest.param(f, s, marks=() if (f, s) in IN_CI else pytest.mark.full, id=f"{f}-{s}")
                                         for f in faults.FAULTS for s in STATES])
def test_fault(fault, state, kit, make_fleet, in_force, registry, programs, run, workdir):
    board = make_fleet(workdir / "b")
    with faults.mounted(in_force, board.data), faults.mended(board, registry):
        at = Release(board, state, kit)
        at.reach(programs, run)
        at.happens(fault, registry)
        at.converges()
        assert [board.slot(f"app{n}") for n in range(5)] == [None] * 5, "a unit went its own way"
        if at.is_bad:
            assert "failed here before" in board.release()
            assert at.runs() == at.one
        run(programs.bundle, "verify", "--store", board.data)


def order_and_cut(board, at, ref):
    """By hand; the power goes when the release is staged and PID 1 does not know it yet."""
    board.intercept("bundle", at.holding(JOBS["ordered"][1], '"$real" "$@" 3>/dev/null; '))
    (at.real / "wait").touch()
    board.start()
    board.release(ref, "--no-wait")
    at.wait_held()
    assert at.slot()["next"] == at.two
    board.kill()
    at.go_on()
    board.start()
    board.wait(lambda: at.update() == "idle" and at.runs() == at.two, "the release that was ordered")
    assert (at.slot()["current"], at.slot()["next"]) == (at.two, "-")


def test_the_first_release_of_a_board_is_ordered_and_the_power_goes(kit, make_fleet, workdir):
    board = make_fleet(workdir / "b")
    kit.tag(kit.two)
    order_and_cut(board, Release(board, "ordered", kit), board.ref)
    assert "nothing to do" in board.release()


def test_a_release_is_ordered_from_elsewhere_and_the_power_goes(kit, make_fleet, in_force, registry, workdir):
    """What was ordered is what its name says, after the cut too."""
    board = make_fleet(workdir / "b")
    kit.tag(kit.one)
    other = f"{kit.fleet.ref}:next"
    registry.request("PUT", f"/v2/{kit.fleet.name}/manifests/next", *manifest_of(kit.fleet, kit.two))
    with faults.mounted(in_force, board.data), faults.mended(board, registry):
        order_and_cut(board, Release(board, "ordered", kit), "docker://" + other)
        assert board.slot("@release")["ref"] == other and board.fleet()["image"] == other
        assert "nothing to do" in board.release()


@pytest.mark.parametrize("lost", [pytest.param("pins", marks=pytest.mark.full), "units/app3.container"])
def test_a_release_that_is_damaged_while_it_waits(lost, kit, make_fleet, in_force, registry, programs, run, workdir):
    """Half a release is none: the old one runs on without a gap, and what was damaged is pulled again."""
    board = make_fleet(workdir / "b")
    with faults.mounted(in_force, board.data), faults.mended(board, registry):
        at = Release(board, "switching", kit)
        at.reach(programs, run)
        pids = [u["pid"] for u in board.status()["units"]]
        (board.data / "releases" / kit.two[7:39] / lost).unlink()
        at.go_on()
        board.wait(lambda: at.update() == "idle", "given up")
        assert at.runs() == at.one and at.slot()["next"] == at.slot()["refused"] == "-" and at.slot()["current"] == at.one
        assert [u["pid"] for u in board.status()["units"]] == pids
        at.converges()


def test_an_order_of_what_is_not_there(kit, make_fleet, in_force, registry, workdir):
    """A name that was mistyped, and one that comes while another is under way, leave the board with the name it had."""
    board = make_fleet(workdir / "b")
    with faults.mounted(in_force, board.data), faults.mended(board, registry):
        at = Release(board, "checking", kit)
        kit.tag(kit.one)
        board.start()
        board.wait(lambda: at.runs() == at.one, "the first release")
        gone = f"docker://{kit.fleet.ref}:gone"
        assert "404" in board.release(gone, ok=False)
        assert "nothing to do" in board.release()
        at.hold()
        kit.tag(kit.two)
        board.release("--no-wait")
        at.wait_held()
        assert "an update is under way" in board.release(gone, ok=False)
        at.go_on()
        board.wait_release(kit.two)
        assert board.slot("@release")["ref"] == f"{kit.fleet.ref}:stable"


def test_the_page_has_each_cell():
    held, other = faults.tables("tests/test_release_faults.py::test_fault[FAULT-STATE]")
    assert held == [f"{f}-{s}" for f in faults.FAULTS for s in STATES]
    assert len(other) == 2 * len(STATES) and [name for name in other if not faults.is_there(name)] == []
