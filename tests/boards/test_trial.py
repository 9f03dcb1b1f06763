# SPDX-License-Identifier: MIT
"""An update on a real kernel: the power goes in mid-trial; the next boot counts the second attempt, and commits; then back by hand. What a failed image and its
PreSwitch= did to a volume that is copied goes with it, what a good one's did stays."""
import sys

import board as board_kit
import images
import pytest

sys.path.insert(0, str(board_kit.ROOT / "tests/powercut"))
import powercut  # noqa: E402

VOLUME = "/data/log"
COPIED = """[Container]
Image=registry.demo:%d/demo/guest:trial
Volume=data:/data
User=0

[Service]
Restart=always
RestartSec=100ms

[X-Coracle]
ConfirmSec=1s
VolumeOnUpdate=copy
PreSwitch=/guest put /data/log migrated exit 0
"""


@pytest.fixture
def second(registry, etc, demo_image, tmp_path, board_name):
    """Another image under demo/hello:1, for as long as the test runs; called when it is to appear."""
    identity = "registry.demo:%d/demo/hello" % registry.port

    def push():
        images.build_hello(tmp_path / "hello", board_kit.gnu(board_name))
        images.make_image(tmp_path / "two", [[images.entry("usr/bin/hello", (tmp_path / "hello").read_bytes(), mode=0o755)]], arch=board_kit.arch(board_name))
        digest = registry.push(tmp_path / "two", "demo/hello")
        registry.sign("demo/hello", registry.key("cosign"), identity=identity)
        return digest
    yield push
    registry.push(demo_image, "demo/hello")


@pytest.mark.every_board
def test_the_power_goes_in_mid_trial(boot, board_name, unit_text, second, push_guest, registry, tmp_path):
    text = unit_text() + "\n[X-Coracle]\nConfirmSec=30s\n"
    push_guest("demo/guest", "trial", "put", VOLUME, "one", "say", "one")
    board = boot(units={"hello.container": text, "app.container": COPIED % registry.port})
    one = board.wait_unit("hello", "running")["digest"]
    two = second()
    board.say("update hello --no-wait")
    trial = lambda u: u["update"]["state"] == "confirming" and u["digest"] == two
    assert board.wait_unit("hello", "running", and_also=trial)["update"]["tries"] == 1
    board.console.close(force=True)
    board.start()
    assert board.wait_unit("hello", "running", and_also=trial)["update"]["tries"] == 2
    unit = board.wait_unit("hello", "running", and_also=lambda u: u["update"]["state"] == "idle")
    assert unit["digest"] == two and unit["update"]["previous"] == one and unit["update"]["history"][-1]["outcome"] == "committed"
    assert "rolled back" in board.say("rollback hello", timeout=120)
    assert board.wait_unit("hello", "running", and_also=lambda u: u["digest"] == one)["update"]["refused"] == two
    assert "failed here before" in board.say("update hello", timeout=120)
    if board_name == "qemu-x86_64":
        volume_goes_with_its_image(board, push_guest, tmp_path)


def volume_goes_with_its_image(board, push_guest, folder):
    boots = ["one", "one"]      # each start of it is a line
    push_guest("demo/guest", "trial", "put", VOLUME, "two", "exit", "1")
    assert "rolled back" in board.say("update app", timeout=120)
    board.wait_unit("app", "running", and_also=lambda u: u["update"]["state"] == "idle")
    push_guest("demo/guest", "trial", "put", VOLUME, "three", "say", "three")
    assert "committed" in board.say("update app", timeout=120)
    assert board.poweroff() == 0
    with powercut.Mounted(board.disk, folder / "mnt", "loop,offset=%d" % (1 << 20)) as at:
        log = (at / "volumes/data/log").read_text().split()
        assert log == [*boots, "one", "migrated", "three"], log
        assert not any((at / "volumes/.before").iterdir())
