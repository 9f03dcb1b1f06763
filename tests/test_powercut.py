# SPDX-License-Identifier: MIT
"""Power cuts at every kind of moment of an update, replayed from one recording (tests/powercut/powercut.py). A sample by default, 2,000 under
CORACLE_FULL=1. The rig is shown to find losses: with fsync taken away from the programs, and with barriers taken away from the file system."""
import collections
import multiprocessing
import os
import pathlib
import subprocess
import sys
import types

import pytest

import layerkit

sys.path.insert(0, str(layerkit.ROOT / "tests/powercut"))
import powercut  # noqa: E402

COUNT = int(os.environ.get("POWERCUTS") or (2000 if os.environ.get("CORACLE_FULL") == "1" else 48))
CONTROL = 40


@pytest.fixture(scope="module")
def rig(tmp_path_factory, registry, programs):
    """Everything on a tmpfs of our own: thousands of small disks."""
    if os.uname().machine != "x86_64":
        pytest.skip("tests/tools/inject.c knows the registers of x86_64 alone")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse: the recording disk is a FUSE file")
    made, top = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("rig")
    refs, trust = powercut.push(registry, made)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", top], check=True)
    yield types.SimpleNamespace(top=top, args=(programs, refs, trust))
    subprocess.run(["umount", "-l", top], check=True)     # the kernel lets go of a loop device a moment after its umount


def one(job):
    rec, cut, folder, args = job
    return cut, powercut.check(rec, cut, pathlib.Path(folder) / ("worker-%d" % os.getpid()), *args)


def replay(rig, rec, count):
    """[(cut, loss or None)] of COUNT cuts, on all processors."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        return pool.map(one, [(rec, cut, rig.top, rig.args) for cut in rec.cuts(count)], chunksize=4)


def test_no_cut_loses_anything(rig):
    rec = powercut.record(rig.top / "good", *rig.args)
    done = replay(rig, rec, COUNT)
    steps = collections.Counter(cut.step for cut, _ in done)
    writes = sum(e[0] == "W" for e in rec.events)
    lost = [loss for _, loss in done if loss]
    print("%d writes, %d flushes; %d cuts: %s; %d losses" % (writes, len(rec.events) - writes, len(done),
                                                             ", ".join("%s %d" % (s, steps[s]) for s in powercut.STEPS), len(lost)))
    assert not lost, "\n".join(lost[:10])
    least = 20 if COUNT >= 200 else 5
    assert len(done) >= COUNT * 9 // 10 and all(steps[s] >= least for s in powercut.STEPS), steps


@pytest.mark.parametrize("control", ["no fsync", "no barriers"])
def test_the_rig_finds_losses(rig, control):
    rec = powercut.record(rig.top / control.replace(" ", "-"), *rig.args, control)
    done = replay(rig, rec, CONTROL)
    lost = [loss for _, loss in done if loss]
    print("%s: %d of %d cuts lose something, such as: %s" % (control, len(lost), len(done), lost[0] if lost else None))
    assert lost
