# SPDX-License-Identifier: MIT
"""What a critical unit beyond its restarts leads to, with real images: its image from before comes back, and the board does not reboot; or the board
is in rescue, and an update heals it."""
from test_resets import rebooted
from test_update import app, board, first, make_board, make_stick       # noqa: F401: fixtures


def test_a_committed_image_that_fails_later_is_rolled_back(board, app):
    one = first(board, app, x="ConfirmSec=300ms\nCritical=yes", service="StartLimitBurst=2\nStartLimitIntervalSec=60s")
    two = app.push("later", 3000, 3)
    assert "committed: up for long enough" in board.update("app")
    assert board.slot()["previous"] == one
    board.wait_runs(one)
    slot = board.slot()
    assert (slot["current"], slot["previous"], slot["refused"]) == (one, "-", two)
    assert board.history()[-1] == ("rolled-back", two, "critical, and beyond its restarts")
    assert board.process.poll() is None and board.status()["resets"] == 0
    assert "failed here before" in board.update("app")


def test_an_update_heals_a_board_in_rescue(board, app, registry):
    """There is no image from before, and the one that is there fails for ever: each update starts from its backoff. The one of the registry is no
    better and rolled back, the one of a stick stays (from the registry: tests/boards/test_watchdog.py)."""
    bad = app.push("exit", 3)
    board.unit("app", app, x="ConfirmSec=1s\nCritical=yes", service="StartLimitBurst=2")
    for _ in range(3):
        board.start()
        assert rebooted(board)
    board.start()
    board.wait(lambda: board.status()["rescue"] and board.status("app")["restarts"] > 3, "tried on in rescue")
    worse = app.push("exit", 4)
    assert "rolled back: " in board.update("app", ok=False)
    board.wait(lambda: board.status("app")["digest"] == bad and board.state("app") == "backoff", "the one before, which is no better")
    good = app.push("say", "well again")
    stick = make_stick(app, board.base / "app.tar")
    registry.stop()
    try:
        assert "committed: up for long enough" in board.update("app", stick)
    finally:
        registry.start()
    board.wait_runs(good)
    slot = board.slot()
    assert slot["current"] == good and worse in slot["refused"] and slot["next"] == "-"
    board.stop("reboot")
    board.start()
    board.wait_runs(good)
    assert board.process.poll() is None and board.status()["resets"] == 3
