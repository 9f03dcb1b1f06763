# SPDX-License-Identifier: MIT
"""Breaks on the serial line of a board, and a break before a character, which to Linux is a command (noise: tests/test_console.py)."""
import json, socket


class Qmp:
    """QEMU's own socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.do("qmp_capabilities")

    def do(self, command, **words):
        self.socket.sendall(json.dumps({"execute": command, "arguments": words}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer or "error" in answer:
                assert "error" not in answer, answer
                return answer["return"]

    def send_break(self):
        self.do("chardev-send-break", id=self.serial())

    def serial(self):
        return next(c["label"] for c in self.do("query-chardev") if c["label"].startswith("serial"))


def test_breaks_are_nothing_to_the_console(boot, tmp_path):
    board = boot(units={}, disk=None, more=("-qmp", "unix:%s,server=on,wait=off" % (tmp_path / "qmp")))
    qmp = Qmp(tmp_path / "qmp")
    up = board.status()["up_ms"]
    for command in "bocsu":         # to SysRq: reboot, power off, crash, sync, remount read-only
        qmp.send_break()
        board.console.send(command + "\025")
    for _ in range(50):
        qmp.send_break()
    board.settle()
    board.console.send("\025")
    board.settle()
    status = board.status()
    assert status["up_ms"] > up and board.console.isalive()
    assert "SysRq" not in board.told() and "sysrq:" not in board.told()
    assert board.poweroff() == 0
