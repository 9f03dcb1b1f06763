# SPDX-License-Identifier: MIT
"""The power goes on a board that updates and rolls back, live: QEMU is killed at a random instant of each life, what its disk's cache held is lost, and the board
is switched on again, on the same disk. Each life looks at the tag, which names a new image: a good one, then one that ends at once. A board comes up with a good one
each time, and never starts one that it had refused. LIVECUTS=N: so many cuts (default 3); POWERSEED=N: others. It prints in which state each cut found the disk."""
import collections
import os
import random
import re
import subprocess
import sys
import time

import board as board_kit
import images
import pytest

sys.path.insert(0, str(board_kit.ROOT / "tests/powercut"))
import nbddisk  # noqa: E402
import powercut  # noqa: E402

COUNT = int(os.environ.get("LIVECUTS") or 3)
SEED = int(os.environ.get("POWERSEED") or 1)
PARTITION = 1 << 20
UNIT = """[Container]
Image=%s
AddDevice=/dev/ttyS1

[Service]
Restart=always
RestartSec=100ms
TimeoutStopSec=300ms

[X-Coracle]
ConfirmSec=500ms
"""


class Life:
    """QEMU from the power's coming to its going. said(): what programs told on the second line, each with a whole line."""

    def __init__(self, board, folder, disk):
        self.folder, self.disk = folder, disk
        (folder / "told").write_bytes(b"")
        self.console = open(folder / "console", "wb")
        self.process = subprocess.Popen(board.command + ["-serial", "file:%s" % (folder / "told")], stdin=subprocess.PIPE, stdout=self.console, stderr=self.console)

    def said(self):
        return [line for line in (self.folder / "told").read_text(errors="replace").replace("\r", "").split("\n")[:-1] if re.fullmatch(r"(good|bad)\d+", line)]

    def heard(self):
        return (self.folder / "console").read_text(errors="replace")

    def wait(self, what, seconds):
        end = time.monotonic() + seconds * board_kit.PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if what():
                return True
            time.sleep(0.02)
        return False

    def order(self):
        """At the prompt, as soon as it takes it."""
        def is_taken():
            self.process.stdin.write(b"update app --no-wait\n")
            self.process.stdin.flush()
            return self.wait(lambda: re.search("app: (checking|an update is under way)", self.heard()), 0.7)
        return self.wait(is_taken, 60)

    def cut(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.console.close()


class Bench:
    """The board's disk and its registry's tag. made: {digest: word} of all that the tag ever named."""

    def __init__(self, folder, registry, board_name, programs, random):
        self.folder, self.registry, self.arch, self.programs, self.random = folder, registry, board_kit.arch(board_name), programs, random
        self.ref, self.made, self.number = "registry.demo:%d/demo/powercut" % registry.port, {}, 0
        tell = board_kit.build_tool(board_name, "tell.c", folder / "tell").read_bytes()
        self.layer = [images.entry("tell", tell, mode=0o755), images.entry("more", random.randbytes(300000))]
        self.refused, self.states, self.starts = {}, collections.Counter(), collections.Counter()

    def push(self, word):
        images.make_image(self.folder / "image", [self.layer], config={"Entrypoint": ["/tell", word]}, arch=self.arch)
        digest = self.registry.push(self.folder / "image", "demo/powercut")
        self.registry.sign_by_hand("demo/powercut", self.registry.key("cosign"), identity=self.ref)
        self.made[digest] = word
        return digest

    def push_next(self):
        self.number += 1
        self.layer[1] = images.entry("more", self.random.randbytes(300000))
        return self.push("%s%d" % ("bad" if self.number % 2 == 0 else "good", self.number))

    def slot(self):
        """What the disk holds after a cut: of a copy, whose journal is replayed as the next boot will."""
        copy = self.folder / "copy.img"
        subprocess.run(["cp", "--sparse=always", self.disk, copy], check=True)
        with powercut.Mounted(copy, self.folder / "mnt", "loop,offset=%d" % PARTITION) as at:
            must = powercut.must(self.programs.bundle, "units", "--store", at, self.folder / "unit")
            assert "state/slots" not in must, must
            return powercut.Board(at, self.programs, (), (), None).slot(), any((at / "partial").iterdir()), any((at / "tmp").iterdir())

    def judge(self, before, life):
        """The state that the cut found; asserts what must hold of it."""
        slot, is_partial, is_staging = self.slot()
        said = life.said()
        self.starts.update(said)
        again = [word for word in said if word in self.refused.values()]
        assert not again, "started again after it was refused: %s; %s" % (again, life.heard()[-3000:])
        assert all(self.starts[w] <= 9 for w in said if w.startswith("bad")), (self.starts, "three ends in each of three attempts")
        assert self.made.get(slot["current"], "").startswith("good"), (slot, self.made)
        assert slot["previous"] == "-" or self.made[slot["previous"]].startswith("good"), (slot, self.made)
        for digest in slot["refused"].replace("-", "").split(","):
            if digest:
                assert self.made[digest].startswith("bad") or slot["next"] == "-", slot
                self.refused[digest] = self.made[digest]
        if slot["next"] != "-":
            return slot, "staged" if slot["tries"] == "0" else "trial %s of a %s one" % (slot["tries"], self.made[slot["next"]].rstrip("0123456789"))
        if slot["current"] != before["current"]:
            return slot, "committed"
        if slot["refused"] != before["refused"]:
            return slot, "rolled back"
        return slot, "pulling" if is_partial or is_staging else "before"


@pytest.fixture
def bench(registry, etc, board_name, programs, tmp_path):
    rnd = random.Random(SEED)
    made = Bench(tmp_path, registry, board_name, programs, rnd)
    local = "localhost:%d/demo/powercut" % registry.port
    import registry as kit
    (tmp_path / "policy.json").write_text(kit.policy({local: {"type": "insecureAcceptAnything"}}))
    trust = ["--policy", tmp_path / "policy.json", "--authfile", registry.login_file(tmp_path / "auth.json"), "--cert-dir", registry.certs_dir(tmp_path / "certs.d"),
             "--platform", "linux/" + made.arch]
    (tmp_path / "unit").mkdir()
    unit = tmp_path / "unit/app.container"
    unit.write_text(UNIT.replace("AddDevice=", "AddDevice=-") % (made.ref + ":1"))
    made.disk = board_kit.make_disk(tmp_path / "disk", 64)
    first = made.push("good0")
    with powercut.Mounted(made.disk, tmp_path / "mnt", "loop,offset=%d" % PARTITION) as at:
        board = powercut.Updates(at, programs, [made.ref + ":1"] * 2, trust, unit)
        assert board.pull(local + ":1") == first
        board.prepare(made.ref + ":1", first)
    return made


def test_the_power_goes_at_any_instant_of_updates_and_rollbacks(bench, boot_later, tmp_path):
    board = boot_later(units={"app.container": UNIT % (bench.ref + ":1")}, disk="nbd:unix:%s" % (tmp_path / "sock"), drive="cache=writeback", memory=160)
    slot, span, writes, lost, cuts = {"current": bench.slot()[0]["current"], "refused": "-"}, 6.0, 0, 0, 0
    has_ended, begun = True, time.monotonic()
    while cuts < COUNT:
        has_ended and bench.push_next()
        (tmp_path / "sock").unlink(missing_ok=True)
        with nbddisk.VolatileDisk(bench.disk, tmp_path / "sock", bench.random.random(), PARTITION + 1024) as disk:
            life, came = Life(board, tmp_path, disk), time.monotonic()
            in_boot = bench.random.random() < 0.1
            try:
                if in_boot:
                    time.sleep(bench.random.random() * span)
                else:
                    assert life.wait(lambda: life.said(), board_kit.BOOT_S) or board_kit.EMULATORS_FAULT in life.heard(), "nothing runs: " + life.heard()[-4000:]
                    span = time.monotonic() - came
                    slot.get("next", "-") == "-" and life.order()
                    is_late = bench.random.random() < 0.5 and life.wait(lambda: len(life.said()) > 1, span)     # on trial, or back from it
                    time.sleep(bench.random.random() * (2 if is_late else span / 2))
            finally:
                life.cut()
        assert board_kit.EMULATORS_FAULT in life.heard() or in_boot or any(w.startswith("good") for w in life.said()) or slot.get("next", "-") != "-", life.said()
        slot, state = bench.judge(slot, life)
        cuts, writes, lost = cuts + 1, writes + disk.writes, lost + disk.lost
        bench.states["in the boot, " + state if in_boot else state] += 1
        has_ended = state in ("committed", "rolled back")
        print("%d: %s; said %s; %.0f s up" % (cuts, state, " ".join(life.said()), time.monotonic() - came), flush=True)
    print("%d cuts in %.0f s, of %d writes %d lost or torn: %s" % (
        cuts, time.monotonic() - begun, writes, lost, ", ".join("%s %d" % s for s in sorted(bench.states.items()))), flush=True)
    assert lost or COUNT < 20
    with nbddisk.VolatileDisk(bench.disk, tmp_path / "last", 1, PARTITION + 1024) as disk:
        board.command = [w.replace(str(tmp_path / "sock"), str(tmp_path / "last")) for w in board.command]
        life = Life(board, tmp_path, disk)
        assert life.wait(lambda: any(w.startswith("good") for w in life.said()), board_kit.BOOT_S), life.heard()[-4000:]
        life.cut()
