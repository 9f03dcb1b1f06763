# SPDX-License-Identifier: MIT
"""Critical units, the resets they lead to, and rescue: PID 1 in namespaces on this host, booted again and again on one data directory.
The watchdog itself is tested where there is one: tests/boards/test_watchdog.py."""
import signal

import init_kit


def rebooted(board, timeout=30):
    """PID 1 ended by asking for a restart (man 2 reboot: SIGHUP in a pid namespace)."""
    board.process.wait(timeout)
    return -board.process.returncode == signal.SIGHUP or board.process.returncode - 128 == signal.SIGHUP


def cause(board):
    board.wait(lambda: board.status()["came_up_after"], "cause")
    return board.status()["came_up_after"]


def test_an_orderly_way_down_says_so(board):
    board.start()
    assert cause(board) == "power, or a reset from outside"
    board.stop("reboot")
    board.start()
    assert cause(board) == "rebooted: asked for" and board.status()["resets"] == 0
    board.kill()
    board.start()
    assert cause(board) == "power, or a reset from outside" and board.status()["resets"] == 0


def test_three_resets_lead_to_rescue_and_a_good_program_heals_it(board):
    board.unit("brain", "exit", 3, is_critical=1, start_limit_burst=3)
    board.unit("extra", "say", "x")
    for n in range(3):
        board.start()
        if n:
            assert "critical unit brain is beyond its restarts" in cause(board)
        assert rebooted(board)
    board.start()
    assert "brain" in cause(board)
    s = board.status()
    assert s["rescue"] and s["resets"] == 3
    board.wait(lambda: board.status("brain")["restarts"] > 4, "tried on, beyond its start limit")
    assert board.process.poll() is None
    assert board.state("extra") == "waiting" and "rescue" in board.status("extra")["reason"]
    assert "rescue    after 3 resets in a row" in board.coracle("status").stdout
    board.coracle("start", "extra")
    board.wait_state("extra", "running")
    board.unit("brain", "say", "well again")           # as an update would: a new record
    board.coracle("restart", "brain")
    board.wait_state("brain", "running")
    board.stop("reboot")
    board.start()
    assert cause(board) == "rebooted: asked for" and board.status()["rescue"]


def test_bad_ends_in_a_row_count_too(board):
    board.unit("brain", "exit", 3, is_critical=1, restart_max_sec_ms=100)
    board.start()
    assert rebooted(board)
    board.unit("brain", "exit", 0, is_critical=1, restart=init_kit.NO)
    board.write_units()
    board.start()
    board.wait_state("brain", "inactive")               # a good end is no failure
    assert board.process.poll() is None


ONE = "sha256:" + "1" * 64


def test_the_image_from_before_gets_its_turn_before_a_reset(board):
    """Restart, roll back, reboot: each once there is nothing left of the one before."""
    board.unit("brain", "exit", 3, is_critical=1, start_limit_burst=2, previous=ONE)
    board.start()
    assert rebooted(board)
    text = (board.base / "output").read_text()
    said = [text.index(s) for s in ("started too often", "update rolled back: critical, and beyond its restarts", "the board reboots")]
    assert said == sorted(said), text
    assert board.log_of_jobs().count("slot.brain") == 1
    assert text.count("unit brain: starting") == 4, text


def test_a_disk_that_takes_no_rollback_keeps_nobody_from_the_reset(board):
    board.unit("brain", "exit", 3, is_critical=1, start_limit_burst=2, previous=ONE)
    board.say("slot.brain", "retry disk full")
    board.start()
    assert rebooted(board)
    assert "beyond its restarts" in (board.base / "output").read_text()


def test_a_rollback_that_is_refused_ends_in_the_reset(board):
    board.unit("brain", "exit", 3, is_critical=1, start_limit_burst=2, previous=ONE)
    board.say("slot.brain", "refused no such image")
    board.start()
    assert rebooted(board)
    assert board.log_of_jobs().count("slot.brain") <= 2         # and the note of it


def test_refused_is_never_a_reset(board):
    board.unit("brain", "say", "x", current="", is_critical=1)
    board.say("pull.brain", "refused no signature")
    board.start()
    board.wait_state("brain", "refused")
    for _ in range(12):
        board.coracle("start", "brain")
        board.wait_state("brain", "refused")
    assert board.process.poll() is None and board.status()["resets"] == 0


def test_a_disk_that_takes_nothing_keeps_nobody_from_the_reset(board):
    (board.data / "state").write_text("a file in the way")
    board.unit("brain", "exit", 3, is_critical=1, start_limit_burst=2)
    board.start()
    assert rebooted(board)
