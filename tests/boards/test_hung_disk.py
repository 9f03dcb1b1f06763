# SPDX-License-Identifier: MIT
"""The data disk stops answering while the board runs: the console answers, PID 1 feeds the watchdog, units run, and the way down ends by its deadlines."""
import time
import pytest
from test_line import Line, Qmp


@pytest.mark.full
def test_a_disk_that_answers_no_more(boot, unit_text, tmp_path):
    """A command that waits for it is left behind at the third Ctrl-C; on a second serial line, as the first one's would end the emulator."""
    line = Line(tmp_path / "line")
    board = boot(units={"hello.container": unit_text()}, more=("-serial", "unix:%s,server=on,wait=off" % line.path, "-qmp", "unix:%s,server=on,wait=off" % (tmp_path / "qmp")),
                 conf="hostname=hung\ndata-label=coracle-data\nnetwork=dhcp\nwatchdog=10\nconsole=/dev/ttyS0\nconsole=/dev/ttyS1\n")
    line.connect()
    line.expect(rb"coracle> ", b"\r")
    board.wait_unit("hello", "running")
    board.wait_says("log", r"watchdog: armed, 10 s")
    limits = {k: 0 for k in ("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")}
    Qmp(tmp_path / "qmp").do("block_set_io_throttle", device="d0", bps=1, **limits)        # a byte a second
    up = board.status()["up_ms"]
    line.socket.send(b"set hostname=never\r")
    time.sleep(3)
    for _ in range(3):
        line.socket.send(b"\x03")
        time.sleep(1)
    line.expect(rb"it waits in the kernel[^\n]*\n(?s:.)*coracle> ", timeout=20)
    line.expect(rb"coracle \d+\.\d+", b"version\r")
    end = time.monotonic() + 25                             # well beyond the watchdog's 10 s
    while time.monotonic() < end:
        for command, said in (("status", "hello +running"), ("ps", "hello +\\d+ "), ("logs hello -n 1", "std"), ("log -n 3", "T"), ("net", "eth0")):
            begin = time.monotonic()
            board.wait_says(command, said, 1)
            assert time.monotonic() - begin < 10, command
    assert board.status()["up_ms"] > up + 25000
    assert board.poweroff() == 0
