# SPDX-License-Identifier: MIT
"""A release on a board whose store is under a key, and a rollout by percentages, which the board's own device id decides: what docs/updates.md says of both."""
import json

import board as board_kit
import images
import pytest
from test_offline import keyed      # noqa: F401: a fixture

APP = "[Container]\nImage=registry.demo:%d/demo/guest@%s\n[Service]\nRestart=always\nRestartSec=100ms\n[X-Coracle]\nConfirmSec=1s\n"
SHARED = "[Container]\nImage=registry.demo:%d/demo/hello:share\nAutoUpdate=registry\n[Service]\nRestart=always\n[X-Coracle]\nUpdateInterval=10s\nConfirmSec=1s\n"


@pytest.fixture
def may_change_trust(etc):
    """The board's policy lets its releases do so; the key does not."""
    path, before = etc / "policy.json", (etc / "policy.json").read_text()
    policy = json.loads(before)
    for scope, rules in policy["transports"]["docker"].items():
        if scope.endswith("/demo/fleet"):
            rules[0]["X-Coracle-MayChangeTrust"] = True
    path.write_text(json.dumps(policy))
    yield
    path.write_text(before)


@pytest.fixture
def release(registry, push_guest, board_name, tmp_path):
    """release({unit: ARGS of its program}, more entries): pushes and signs it; {unit: digest}."""
    def make(units, *more):
        made, entries = {}, [images.entry("units", kind=images.tarfile.DIRTYPE)]
        for name, args in units.items():
            made[name] = push_guest("demo/guest", name, *args)
            entries.append(images.entry("units/%s.container" % name, (APP % (registry.port, made[name])).encode()))
        images.make_image(tmp_path / "release", [entries + list(more)], arch=board_kit.arch(board_name))
        registry.push(tmp_path / "release", "demo/fleet", "stable")
        registry.sign("demo/fleet", registry.key("cosign"), "stable", identity="registry.demo:%d/demo/fleet" % registry.port)
        return made
    return make


def run(board, units):
    for name, digest in units.items():
        board.wait_unit(name, "running", and_also=lambda u: u["digest"] == digest)


@pytest.mark.full
def test_a_release_under_a_key_and_a_share_of_the_boards(may_change_trust, keyed, release, push_guest, registry):     # noqa: F811
    share = lambda percent: registry.sign("demo/hello", registry.key("cosign"), "share", identity="registry.demo:%d/demo/hello" % registry.port,
                                          annotations={"coracle.rollout": str(percent)})
    first = push_guest("demo/hello", "share", "say", "first")
    board = keyed(units={"shared.container": SHARED % registry.port})
    board.wait_unit("shared", "running", and_also=lambda u: u["digest"] == first)
    stable = "docker://registry.demo:%d/demo/fleet:stable" % registry.port
    one = release({"one": ("say", "1"), "two": ("say", "1")})
    assert "committed: all its units are well" in board.say("update --release " + stable, timeout=180)
    run(board, one)
    board.reboot()
    run(board, one)
    release({"one": ("say", "2"), "two": ("exit", "3")})
    assert "rolled back: unit two: its program ended too often" in board.say("update --release", timeout=180)
    run(board, one)
    release({"one": ("say", "3")}, images.entry("policy.json", b"{}"))
    assert "under a key does not take yet" in board.say("update --release", timeout=180)
    run(board, one)

    second = push_guest("demo/hello", "share", "say", "second", annotations={"coracle.rollout": "0"})
    waits = board.wait_unit("shared", "running", and_also=lambda u: "not yet" in u["update"]["why"])
    assert "signed for 0.00 % of the boards" in waits["update"]["why"] and waits["digest"] == first and waits["update"]["refused"] == "", waits
    share(100)
    board.wait_unit("shared", "running", and_also=lambda u: u["digest"] == second and u["update"]["state"] == "idle")
    run(board, one)
