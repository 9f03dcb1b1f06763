# SPDX-License-Identifier: MIT
"""An update on a real kernel: the power goes in mid-trial; the next boot counts the second attempt, and commits; then back by hand."""
import board as board_kit
import images
import pytest


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
def test_the_power_goes_in_mid_trial(boot, unit_text, second):
    text = unit_text() + "\n[X-Coracle]\nConfirmSec=30s\n"
    board = boot(units={"hello.container": text})
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
