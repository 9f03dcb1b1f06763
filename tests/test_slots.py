# SPDX-License-Identifier: MIT
"""The steps of state/slots as jobs (`coracle-bundle slot`): killed at every system call, and cut off from power at random moments of updates and
rollbacks: the file is the old one or the new one, and the step can be done again."""
import collections
import multiprocessing
import os
import pathlib
import shutil
import sys
import types

import pytest

import images
import layerkit

sys.path.insert(0, str(layerkit.ROOT / "tests/powercut"))
import powercut  # noqa: E402
from test_powercut import rig  # noqa: E402, F401

CALLS = "openat2,openat,read,write,fsync,fdatasync,syncfs,rename,renameat,renameat2,flock,unlinkat,mkdirat,mkdir,close,fstat,getdents64,munmap"


@pytest.fixture(scope="module")
def scene(tmp_path_factory, registry, programs):
    """A store with app running image one, and two pulled; step(NAME, ..., before=words) runs a step of app for two."""
    folder = tmp_path_factory.mktemp("slots")
    digests = []
    for n in ("one", "two"):
        images.make_image(folder / n, [[images.entry("bin/true", n.encode() * 9, mode=0o755)]])
        digests.append(registry.push(folder / n, "slots/app", tag=n))
        registry.sign_by_hand("slots/app", registry.key(), tag=n)
    import registry as kit
    (folder / "policy.json").write_text(kit.policy({registry.host + "/slots/app": registry.key().pub}))
    trust = ["--policy", folder / "policy.json", "--authfile", registry.login_file(folder / "auth.json"),
             "--cert-dir", registry.certs_dir(folder / "certs.d")]
    store, ref, unit = folder / "store", registry.host + "/slots/app:stable", folder / "app.container"
    store.mkdir()
    unit.write_text(powercut.UNIT % ref)
    for n in ("one", "two"):
        powercut.must(programs.fetch, "pull", "--store", store, *trust, "%s/slots/app:%s" % (registry.host, n))
    powercut.Board(store, programs, [ref], trust, unit).prepare(ref, digests[0])

    def step(*words, before=(), digest=digests[1]):
        return powercut.run(*before, programs.bundle, "slot", *words, "--store", store, "--name", "app", "--unit", unit, "--ref", ref, digest)

    def slot():
        line = next(l for l in (store / "state/slots").read_text().splitlines() if l.startswith("unit app "))
        return dict(w.split("=", 1) for w in line.split()[2:])

    return types.SimpleNamespace(store=store, one=digests[0], two=digests[1], step=step, slot=slot)


# Each after those before it; what is committed can be rolled back.
STEPS = [("stage",), ("switch",), ("try", "--count", "2"), ("commit",), ("rollback", "--verdict", "yes")]


def test_a_kill_at_every_call_leaves_the_old_or_the_new(scene):
    saved = scene.store.parent / "saved"
    for words in STEPS:
        before = scene.slot()
        shutil.copytree(scene.store / "state", saved, dirs_exist_ok=True)
        assert scene.step(*words).returncode == 0
        after = scene.slot()
        assert after != before
        seen = collections.Counter()
        for call in CALLS.split(","):       # strace counts each call by itself
            for n in range(1, 400):
                shutil.copyfile(saved / "slots", scene.store / "state/slots")
                shutil.rmtree(scene.store / "bundles", ignore_errors=True)
                done = scene.step(*words, before=("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={n}"))
                if done.returncode == 0:
                    break
                now = scene.slot()
                assert now in (before, after), (words, call, n, now)
                seen["new" if now == after else "old"] += 1
                again = scene.step(*words)
                assert again.returncode == 0 and scene.slot() == after, (words, call, n, again.stdout)
        assert seen["old"] > 20 and seen["new"] > 4, (words, seen)
        assert scene.slot() == after
        assert not [f for f in os.listdir(scene.store / "state") if f.endswith(".new")] or scene.step(*words).returncode == 0


def test_a_step_out_of_order_is_refused_and_changes_nothing(scene):
    now = (scene.store / "state/slots").read_bytes()
    for words, why in ((("commit",), "is not on trial"), (("switch",), "is not staged"), (("try", "--count", "2"), "is not staged")):
        done = scene.step(*words)
        assert done.returncode == 1 and why in done.stdout.decode(), done.stdout
    done = scene.step("stage")
    assert done.returncode == 1 and "failed here before" in done.stdout.decode()
    done = scene.step("stage", digest=scene.one)
    assert done.returncode == 1 and "uses that image already" in done.stdout.decode()
    assert (scene.store / "state/slots").read_bytes() == now
    assert scene.step("nonsense").returncode == 2
    (scene.store / "state/slots").write_bytes(now[:-3] + b"xx\n")
    done = scene.step("stage")
    assert done.returncode == 1 and "checksum" in done.stdout.decode()
    (scene.store / "state/slots").write_bytes(now)


# Power cuts: recorded once at the block device, replayed at random moments (tests/powercut)


COUNT = int(os.environ.get("POWERCUTS") or (500 if os.environ.get("CORACLE_FULL") == "1" else 24))
WORDS = ("pull", "stage", "switch", "try", "commit", "again", "condemn", "gc")


class Recording(powercut.Recording):
    steps = WORDS


def update(board, mark, one):
    """Image one runs; two comes, is switched to, interrupted once, committed; three (called old) comes, fails its trial and is gone again."""
    mark("pull")
    two = board.pull(board.refs[2])
    mark("stage")
    board.slots("stage", two)
    mark("staged")
    mark("switch")
    board.slots("switch", two)
    mark("switched")
    mark("try")
    board.slots("try", "--count", "2", two)
    mark("tried")
    mark("commit")
    board.slots("commit", two)
    mark("committed")
    mark("again")
    three = board.pull(board.refs[0])
    board.slots("stage", three)
    board.slots("switch", three)
    mark("condemn")
    board.slots("rollback", "--verdict", "yes", three)
    mark("condemned")
    mark("gc")
    board.gc()
    return one, two, three


def check(job):
    """One cut: what lies there is one of the states, with all images it names; the update goes on from there; None, or what was lost."""
    rec, cut, folder, (programs, refs, trust) = job
    folder = pathlib.Path(folder) / ("worker-%d" % os.getpid())
    one, two, three = rec.digests
    said = rec.step(cut.at)[1]

    def judge(at):
        unit = folder / "app.container"
        unit.write_text(powercut.UNIT % refs[1])
        board = powercut.Updates(at / "store", programs, refs, trust, unit)
        board.verify()
        s = board.slot()
        there = board.images()
        now = board.state()
        assert now in [(one, "-", 0, "-"), (one, two, 0, "-"), (one, two, 1, "-"), (one, two, 2, "-"), (two, "-", 0, "-"), (two, three, 0, "-"),
                       (two, three, 1, "-"), (two, "-", 0, three)], now
        assert all(d in there for d in (s["current"], s["next"], s["previous"]) if d != "-"), (s, there)
        order = {"staged": s["next"] == two or s["current"] == two, "switched": int(s["tries"]) >= 1 or s["current"] == two,
                 "tried": int(s["tries"]) == 2 or s["current"] == two, "committed": s["current"] == two, "condemned": s["refused"] == three}
        assert all(order[w] for w in said if w in order), (said, s)
        board.prepare(refs[1], s["current"])       # what runs there starts
        assert board.slot() == s
        if s["next"] != "-":                       # and the trial goes on, counted
            board.slots("try", "--count", str(int(s["tries"]) + 1), s["next"])
            board.prepare(refs[1], s["next"])
            board.slots("commit" if s["next"] == two else "rollback", *(() if s["next"] == two else ("--verdict", "yes")), s["next"])
        s = board.slot()
        assert s["next"] == "-" and s["tries"] == "0"
        if s["current"] == one:
            assert board.pull(refs[2]) == two
            board.slots("stage", two)
        board.gc()
        board.verify()

    return cut, powercut.examine(rec, cut, folder, judge)


def test_power_cuts_over_updates_and_rollbacks(rig):
    rec = powercut.record_with(rig.top / "good", *rig.args, board=powercut.Updates, play=update, recording=Recording)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        done = pool.map(check, [(rec, cut, rig.top, rig.args) for cut in rec.cuts(COUNT)], chunksize=4)
    steps = collections.Counter(cut.step for cut, _ in done)
    lost = [loss for _, loss in done if loss]
    print("%d cuts: %s; %d losses" % (len(done), ", ".join("%s %d" % (s, steps[s]) for s in WORDS), len(lost)))
    assert not lost, "\n".join(lost[:10])
    assert len(done) >= COUNT * 9 // 10 and all(steps[s] >= COUNT // 16 for s in WORDS), steps
