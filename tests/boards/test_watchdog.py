# SPDX-License-Identifier: MIT
"""The watchdog of a board (QEMU's i6300esb; on qemu-aarch64 with Debian's full kernel, as the cloud one lacks its driver; on qemu-armv7, whose
kernel lacks it too, the kernel's own softdog, which does not say after the reset that it was it): PID 1's loop stopped for good, a critical unit beyond its restarts; the board resets, says why
after it, stays in rescue after the third time, and an image that is mended in the registry heals it there."""
import pytest

# What boot() takes for a board that has a watchdog.
DOG = {"qemu-x86_64": {},
       "qemu-aarch64": {"which": "FULL_KERNEL", "modules": ("crc32c_generic", "ext4", "i6300esb"), "more": ("-device", "i6300esb")},
       "qemu-armv7": {"modules": ("softdog",)}}


@pytest.fixture
def push(push_guest):
    return lambda *args: push_guest("demo/hello", "watchdog", *args)


def unit(registry, more="", service=""):
    return ("[Container]\nImage=registry.demo:%d/demo/hello:watchdog\nPull=always\n%s\n\n[Service]\nRestart=always\nRestartSec=200ms\n"
            "RestartMaxDelaySec=400ms\n%s\n" % (registry.port, more, service))


def comes_back(board, timeout=240):
    """The reset, seen on the console, up to the next prompt."""
    board.console.expect_exact("PID 1 ready", timeout=timeout)
    return board.wait_prompt()


@pytest.mark.every_board("qemu-armv7")     # softdog: with BOARD= and CORACLE_FULL=1, until it has been run more often
def test_a_loop_that_stands_still_is_reset(boot, board_name, registry, push):
    push("stall", "/hostproc")
    text = unit(registry, "UserNS=host\nVolume=/proc:/hostproc\nAddCapability=CAP_SYS_PTRACE\n") + "[X-Coracle]\nEnabled=no\n"
    board = boot(units={"stall.container": text}, conf="hostname=dog\ndata-label=coracle-data\nnetwork=dhcp\nwatchdog=10\nuserns-host=stall\n",
                 **DOG[board_name])
    board.wait_says("log", r"watchdog: armed, 10 s")
    board.wait_says("status", r"came up   after: power, or a reset from outside")
    board.console.sendline("start stall")
    comes_back(board)
    assert "Kernel panic" not in board.told()
    is_soft = board_name == "qemu-armv7"
    board.wait_says("status", "came up   after: " + ("power, or a reset from outside" if is_soft else "the watchdog"))
    status = board.status()
    assert status["resets"] == (0 if is_soft else 1) and not status["rescue"] and status["watchdog_s"] == 10
    assert board.poweroff() == 0


def test_a_critical_unit_beyond_its_restarts_ends_in_rescue_and_is_healed_there(boot, board_name, registry, push):
    push("exit", "3")
    text = unit(registry).replace("Pull=always\n", "") + "StartLimitBurst=3\n[X-Coracle]\nCritical=yes\nConfirmSec=2s\n"
    board = boot(units={"brain.container": text}, **DOG[board_name])
    for n in range(3):
        board.console.expect_exact("rebooting: critical unit brain is beyond its restarts", timeout=240)
        comes_back(board)
    board.wait_says("status", r"rescue    after 3 resets in a row")
    status = board.status()
    assert status["came_up_after"].startswith("critical unit brain is beyond its restarts: ") and status["rescue"]
    board.wait_unit("brain", "backoff", and_also=lambda u: u["restarts"] > 3)
    push("say", "well again")
    board.say("update brain", 120)
    board.wait_unit("brain", "running", and_also=lambda u: u["update"]["last"] == "committed")
    assert "well again" in board.say("logs brain")
    assert board.poweroff() == 0
