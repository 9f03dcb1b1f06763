# SPDX-License-Identifier: MIT
"""Somebody has a board's disk while the board is off. The key is in the initramfs: what they changed is named, not run, and pulled again."""
import os
import sys
import zlib

import board as board_kit
import pytest

sys.path.insert(0, str(board_kit.ROOT / "tests/powercut"))
import powercut  # noqa: E402

PARTITION = 1 << 20


@pytest.fixture
def keyed(boot, etc):
    """boot(...) with a key in /etc/coracle."""
    (etc / "store.key").write_bytes(os.urandom(32))
    yield boot
    (etc / "store.key").unlink()


def replace(disk, old, new):
    """OLD's bytes on the raw disk, wherever they lie as a file's data: each place overwritten by NEW, of the same length."""
    assert len(old) == len(new)
    data, n = bytearray(disk.read_bytes()), 0
    at = data.find(old)
    while at >= 0:
        data[at:at + len(new)] = new
        n, at = n + 1, data.find(old, at + len(new))
    disk.write_bytes(data)
    return n


def once(keyed, unit_text, folder):
    disk = board_kit.make_disk(folder / "disk", 64)
    board = keyed(units={"hello.container": unit_text()}, disk=disk, conf=CONF)
    one = board.wait_unit("hello", "running")["digest"]
    assert board.poweroff() == 0
    return disk, one


CONF = "hostname=sealed\ndata-label=coracle-data\nnetwork=dhcp\nverify=boot\n"


@pytest.mark.full
def test_a_program_changed_on_the_disk_does_not_run(keyed, unit_text, tmp_path):
    disk, one = once(keyed, unit_text, tmp_path)
    board = keyed(units={"hello.container": unit_text()}, disk=disk, conf=CONF)       # untouched: starts from the disk, and verifies
    board.wait_unit("hello", "running")
    board.wait_says("log", "verify: 1 images, [0-9]+ layers: all as published", timeout=120)
    assert "changed since" not in board.say("log") and "pulling" not in board.say("log")
    assert board.poweroff() == 0
    assert replace(disk, b"hello: told to stop", b"hello: taken by me!") >= 1
    board = keyed(units={"hello.container": unit_text()}, disk=disk, conf=CONF)
    board.wait_says("log", "refused, to be pulled again: layer [a-z0-9]+: /usr/bin/hello: content is", timeout=120)
    assert board.wait_unit("hello", "running")["digest"] == one
    board.say("stop hello")
    board.wait_says("logs hello", "told to stop")
    assert board.poweroff() == 0


@pytest.mark.full
def test_slots_changed_on_the_disk_are_refused(keyed, unit_text, tmp_path):
    disk, one = once(keyed, unit_text, tmp_path)
    with powercut.Mounted(disk, tmp_path / "mnt", "loop,offset=%d" % PARTITION) as at:
        text = (at / "state/slots").read_text().split("crc32")[0].replace("floor=-", "floor=9").replace("tries=0", "tries=1")
        (at / "state/slots").write_text(text + "crc32 %08x\n" % zlib.crc32(text.encode()))
    board = keyed(units={"hello.container": unit_text()}, disk=disk, conf=CONF)
    board.wait_says("log", "state/slots: not written under this board's key: refused", timeout=120)
    assert board.wait_unit("hello", "running")["digest"] == one
    assert board.poweroff() == 0
