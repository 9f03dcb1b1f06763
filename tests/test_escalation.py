# SPDX-License-Identifier: MIT
"""What a critical unit beyond its restarts leads to, with real images: its image from before comes back, and the board does not reboot."""
from test_update import app, board, first, make_board       # noqa: F401: fixtures


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
