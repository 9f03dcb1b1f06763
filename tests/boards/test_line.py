# SPDX-License-Identifier: MIT
"""The serial lines of a board: breaks, and a break before a character, which to Linux is a command; noise from before the boot on, on a second
line, which has a prompt of its own (on a pseudo terminal, where sizes lie too: tests/test_console.py)."""
import json, random, re, socket, threading, time
import pytest


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

    def send_break(self, line=0):
        self.do("chardev-send-break", id=self.serials()[line])

    def serials(self):
        return sorted(c["label"] for c in self.do("query-chardev") if c["label"].startswith("serial"))


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
    kernel = board.say("log --kernel").splitlines()
    assert "Linux version" in kernel[0] and any("coracle-init 0." in line for line in kernel), kernel
    assert len(kernel) > 20 and len(board.say("log --kernel -n 3").splitlines()) == 3
    assert "no --since" in board.say("log --kernel --since 5m")
    assert "SysRq" not in board.told() and "sysrq:" not in board.told()
    assert board.poweroff() == 0


class Line:
    """A serial line of a board that is a socket, to which noise is sent again and again, also from before the boot on, while what comes back is not read."""

    def __init__(self, path):
        self.path, self.sent, self.read, self.socket = path, 0, b"", None
        self.over = threading.Event()

    def begin(self, noise):
        self.over.clear()
        self.thread = threading.Thread(target=self.run, args=(noise,), daemon=True)
        self.thread.start()

    def connect(self):
        while not self.over.is_set():
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)      # what is under way, the board has to read
            try:
                self.socket.connect(str(self.path))
                break
            except OSError:
                time.sleep(0.01)
        self.socket.settimeout(0.1)

    def run(self, noise):
        if not self.socket:
            self.connect()
        while not self.over.is_set():
            try:
                at = self.sent % len(noise)
                self.sent += self.socket.send(noise[at:at + 64])
            except socket.timeout:
                pass

    def quiet(self):
        self.over.set()
        self.thread.join()

    def expect(self, pattern, send=b"", timeout=120):
        """Reads on until PATTERN comes, and sends SEND each few seconds until then."""
        end, again = time.monotonic() + timeout, 0
        while not re.search(pattern, self.read):
            assert time.monotonic() < end, self.read[-2000:]
            try:
                self.read += self.socket.recv(65536)
            except socket.timeout:
                pass
            if send and time.monotonic() > again:
                try:
                    self.socket.send(send)
                    again = time.monotonic() + 10
                except socket.timeout:
                    pass
        self.read = b""


def test_noise_from_before_the_boot_on(boot, board_name, tmp_path):
    """Until the prompt is there, characters that are echoed and XOFF without one XON: what is held back is waited for by nobody. Then every byte there
    is, nobody reading what it answers; the other line's prompt never notices, and once it is quiet this one is well."""
    if board_name != "qemu-x86_64":
        pytest.skip("skip: a second serial line of this kind is qemu-x86_64's; nothing in it depends on the processor")
    some = random.Random(7)
    noise = bytes(range(256)) + some.randbytes(1500) + b"\x13" + bytes(some.choices(b"\0\x13\x11\x1b[\x7f\xff\x03\x04\t\r\x1a\x1c", k=500)) + b"\x13"
    line = Line(tmp_path / "line")
    line.begin(b"x\x13" * 32)
    board = boot(units={}, disk=None, conf="hostname=noisy\nconsole=/dev/ttyS0\nconsole=/dev/ttyS1\n",
                 more=("-serial", "unix:%s,server=on,wait=off" % line.path, "-qmp", "unix:%s,server=on,wait=off" % (tmp_path / "qmp")))
    line.quiet()
    line.expect(rb"coracle> ", b"\r", 30)                   # by a Ctrl-C all would be well at once
    line.begin(noise)
    qmp = Qmp(tmp_path / "qmp")
    before = line.sent
    for _ in range(50):
        qmp.send_break(1)
    end = time.monotonic() + 60
    while line.sent < before + 1000 and time.monotonic() < end:        # it takes what comes, or its terminal is full of what nobody reads
        assert board.say("version").startswith("coracle ")
    assert board.status()["hostname"] == "noisy"
    line.quiet()
    line.expect(rb"coracle> ", b"\x03\x15\r")
    line.expect(rb"coracle \d+\.\d+\S*, kernel ", b"\x03\x15version\r")
    line.expect(rb"\nboard     noisy", b"\x03\x15status\r")
    assert board.status()["hostname"] == "noisy" and board.console.isalive()
    assert "SysRq" not in board.told() and "sysrq:" not in board.told()
    assert board.poweroff() == 0
