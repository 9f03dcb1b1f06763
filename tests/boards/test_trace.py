# SPDX-License-Identifier: MIT
"""What is executed between power-on and power-off: the kernel's own trace of every execve, printed on the console."""
import re

OURS = {"/init", "/usr/bin/coracle-fetch", "/usr/bin/coracle-bundle", "/usr/bin/dhcpcd", "/usr/bin/dhcp-script",
        "/dev/fd/201"}          # /init is coracle-init; a jail of coracle-fetch: itself or coracle-bundle, by descriptor (lib/jail.c)
THE_UNITS = {"/usr/bin/hello"}


def test_nothing_but_our_programs_is_executed(boot):
    """A first boot with a pull, a refusal, a restart; no shell, no helper program of somebody else's."""
    board = boot(append="ignore_loglevel tp_printk trace_event=sched:sched_process_exec")
    board.wait_says("status", r"(?m)^hello +running", timeout=180)
    board.wait_says("status", r"(?m)^unsigned +refused", timeout=180)
    board.say("restart hello")
    board.wait_says("logs hello", r"told to stop(?s:.*)started on")
    assert board.poweroff() == 0
    ran = re.findall(r"sched_process_exec: filename=(\S+)", board.told())
    assert set(ran) == OURS | THE_UNITS, sorted(set(ran) ^ (OURS | THE_UNITS))
    assert ran.count("/usr/bin/hello") == 2
