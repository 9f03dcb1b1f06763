# SPDX-License-Identifier: MIT
"""The prompt and the client, in PID 1 in namespaces on this host: help, history, completion, the page of a unit, top, events, metrics, the
passphrase, factory reset, and what a bad line or a lying terminal can do."""
import errno
import io
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import time

import pexpect
import pytest

import init_kit

PROMPT = "coracle> "
INACTIVE, RUNNING = 0, 6        # enum unit_state
# `openssl passwd -5 -salt abcdefgh 'correct horse'`
LOCK = "$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB"


@pytest.fixture
def prompt(board):
    """prompt(**board.conf): PID 1 on a pseudo terminal, at its prompt, with the units hello and help-desk."""
    started = []

    def go(size=(24, 80), **conf):
        board.unit("hello", "say", "hi there", confirm_ms=300, timeout_stop_ms=200)
        board.unit("help-desk", "say", "x")
        board.write_units()
        board.conf(data_dir=str(board.data), hostname="bench", **conf)
        c = pexpect.spawn(board.command()[0], board.command()[1:], encoding="utf-8", codec_errors="replace", timeout=15, dimensions=size)
        started.append(c)
        c.expect_exact("PID 1 ready")
        c.expect_exact(PROMPT)
        for _ in range(100):
            if "2 running" in ask(c, "status"):
                return c
        raise AssertionError("not running")
    yield go
    for c in started:
        c.close(force=True)


def ask(c, line, timeout=15):
    c.send(line + "\r")
    c.expect_exact(PROMPT, timeout=timeout)
    return c.before.replace("\r", "")


def test_help_history_completion(prompt):
    c = prompt()
    for command in ("status", "logs", "reset", "metrics"):
        assert re.search(r"(?m)^  %s " % command, ask(c, "help"))
    page = ask(c, "help logs")
    assert "--since" in page and "reboot" not in page
    assert "no such command: dance" in ask(c, "help dance")
    c.send("ver\t\r")
    c.expect_exact("coracle 0.")
    c.expect_exact(PROMPT)
    c.send("status he\t")                   # hello, help-desk
    c.send("\t")
    c.expect_exact("hello  help-desk")
    c.send("p\t\r")
    c.expect_exact("unit      help-desk")
    c.expect_exact(PROMPT)
    c.send("\033[A\033[A\r")               # two lines back
    c.expect_exact("coracle 0.")
    c.expect_exact(PROMPT)
    c.send("nothing-like-it\t\025status hello\r")
    c.expect_exact("unit      hello")


def test_every_line_of_help_fits_80_columns(prompt):
    c = prompt()
    for command in ("help", "status hello", "top", "help reset"):
        if command == "top":
            c.send("top\r")
            c.expect("UNIT +STATE")
            c.expect("hello +running")
            c.send("\003")
            c.expect_exact(PROMPT)
            continue
        wide = [l for l in ask(c, command).splitlines()[1:] if len(l) > 80 and not l.startswith(("digest", "-n N", "With", "Images"))]
        assert wide == [], command


def test_reasons_are_broken_at_blanks_on_a_terminal_alone(prompt, board):
    reason = "no signature: " + "a word and another " * 12 + "the end"
    board.unit("bad", "say", "x", current="")
    board.say("pull.bad", "refused " + reason)
    c = prompt()
    board.pid = next(int(p) for p in pathlib.Path(f"/proc/{c.pid}/task/{c.pid}/children").read_text().split())
    board.wait_state("bad", "refused")
    for command in ("status", "status bad"):
        said = ask(c, command)
        lines = said.splitlines()[1:]
        assert [l for l in lines if len(l) > 80 and "digest" not in l and "registry.test" not in l] == [], said
        assert reason in " ".join(said.split()) and reason in board.coracle(*command.split()).stdout
    board.pid = None


class Dumb:
    """A terminal that knows carriage return, line feed, backspace and bell, and nothing else: the lines that it shows."""

    def __init__(self):
        self.lines, self.at = [""], 0

    def write(self, text):
        for c in text:
            if c == "\n":
                self.lines.append(" " * self.at)
            elif c == "\r":
                self.at = 0
            elif c == "\b":
                assert self.at, "backspace at the edge"
                self.at -= 1
            elif c != "\a":
                assert " " <= c <= "~", repr(c)
                line = self.lines[-1].ljust(self.at)
                self.lines[-1] = line[:self.at] + c + line[self.at + 1:]
                self.at += 1

    def flush(self):
        pass


def test_no_colour_and_no_escapes(prompt, board):
    """Whatever is asked, and the line editor, on a line that was said to be plain; elsewhere nothing more than what `top` clears the screen with."""
    board.say("pull.hello", "slow 700")
    seen = io.StringIO()
    for console in ("- plain", "-"):
        c = prompt(console=console)
        c.logfile_read, c.delaybeforesend = seen, None
        for command in ("help", "help top", "status", "status hello", "ps", "logs hello", "log -n 50", "images", "net", "version", "metrics", "help nothing",
                        "update hello", "status nothing"):
            ask(c, command, 30)
        c.send("top\r")
        for _ in range(2 if "plain" in console else 1):
            c.expect_exact("UNIT ")
            c.expect_exact("hello ")
        c.send("\003")
        c.expect_exact(PROMPT)
        c.send("hatus\001s\033[C\010t\005 hellox\033[D\033[3~ there\027\001\005\013\033[A\033[B\r")
        c.expect_exact("unit      hello")
        c.expect_exact(PROMPT)
        said, seen = seen.getvalue(), io.StringIO()
        for part in ("UNIT ", "hello: downloading ", "# EOF", "no such command", "hi there"):
            assert part in said, part
        assert "\x1b[H\x1b[J" in said or console == "- plain"
        rest = said.replace("\x1b[H\x1b[J", "") if console == "-" else said
        assert "\x1b" not in rest and "\x9b" not in rest, re.findall(r".{,40}[\x1b\x9b].{,40}", rest)
        Dumb().write(rest)
        c.close(force=True)


def test_the_line_as_a_terminal_shows_it_that_knows_no_escapes(prompt):
    """Key by key: the screen has the prompt and the line as it is, the cursor stands where the next key would go."""
    c = prompt(size=(24, 40))
    screen = Dumb()
    c.logfile_read, c.delaybeforesend = screen, None
    screen.write(PROMPT)
    room = 40 - len(PROMPT) - 1
    line, at = "", 0
    some = random.Random(5)
    keys = ["x"] * 30 + [some.choice("abc \001\005\010\013\004\025\027") if some.random() < 0.8 else some.choice(("\033[D", "\033[C", "\033[3~", "\033[H", "\033[F")) for _ in range(400)]
    for key in keys:
        if key in ("\004", "\033[3~"):
            if not line:
                continue
            line = line[:at] + line[at + 1:]
        elif key == "\010":
            line, at = line[:max(at - 1, 0)] + line[at:], max(at - 1, 0)
        elif key == "\013":
            line = line[:at]
        elif key == "\025":
            line, at = line[at:], 0
        elif key == "\027":
            start = len(line[:at].rstrip(" "))
            start = line.rfind(" ", 0, start) + 1
            line, at = line[:start] + line[at:], start
        elif key in ("\001", "\033[H"):
            at = 0
        elif key in ("\005", "\033[F"):
            at = len(line)
        elif key in ("\033[D", "\033[C"):
            at = max(at - 1, 0) if key[-1] == "D" else min(at + 1, len(line))
        else:
            line, at = line[:at] + key + line[at:], at + 1
        begin = at - room + 1 if at >= room else 0
        expected = (PROMPT + line[begin:begin + room]).rstrip(), len(PROMPT) + at - begin
        c.send(key)
        end = time.monotonic() + 10
        while (screen.lines[-1].rstrip(), screen.at) != expected and time.monotonic() < end:
            try:
                c.read_nonblocking(4096, 0.05)
            except pexpect.TIMEOUT:
                pass
        assert (screen.lines[-1].rstrip(), screen.at) == expected, (key, line, at)


def test_a_long_line_on_a_narrow_screen(prompt):
    c = prompt(size=(24, 40))
    line = "status " + "x" * 100
    c.send(line)
    c.send("\001" + "\006" * 3 + "\005" + "\r")
    c.expect_exact("no unit 'xxx")
    c.expect_exact(PROMPT)


def test_noise_breaks_and_a_terminal_that_lies(prompt):
    c = prompt(size=(0, 0))
    noise = "".join(chr(b) for b in (0, 1, 27, 91, 255, 128, 200, 7, 27, 27, 79, 14, 127, 8, 21, 23) * 20)
    c.send(noise + "\003")
    c.send("\x00" * 50 + "\003")
    for size in ((1, 1), (65535, 65535), (24, 80)):
        c.setwinsize(*size)
        c.send("x" * 300 + "\025")
    time.sleep(0.3)
    c.send("\003version\r")
    c.expect_exact("coracle 0.")
    c.expect_exact(PROMPT)
    assert "2 running" in ask(c, "status")


def test_the_page_of_a_unit(board):
    board.unit("app", "later", 400, 3)
    board.start()
    board.wait(lambda: (board.status("app") or {"restarts": 0})["restarts"] >= 2, "restarts")
    page = board.coracle("status", "app").stdout
    for said in (r"unit      app\n", r"state     \w+ for 00:00:\d\d, since \d{4}-\d\d-\d\dT", r"image     registry.test/app:1\n",
                 r"version   1\.2\.3\n", r"digest    sha256:0{64}\n", r"signed by /etc/coracle/keys/test.pub\n", r"restarts  \d+\n +00:00:\d\d ago: exited with code 3"):
        assert re.search(said, page), (said, page)


def test_the_page_of_json_names_every_field(board):
    """docs/console.md: "status  a b{c d} units[]", each word a field."""
    def fields(text):
        found = {}
        for name, inner in re.findall(r"(\w+)(?:\[\])?(?:\{([^}]*)\})?", text):
            found[name] = set(inner.replace("[]", "").split())
        return found
    page = (init_kit.ROOT / "docs/console.md").read_text()
    said = {name: fields(" ".join(text.split(";")[0].split())) for name, text in re.findall(r"(?m)^    (status|units\[\]) +((?:.+\n)(?:     +.+\n)*)", page)}
    board.unit("app", "exit", 3)
    board.start()
    board.wait(lambda: board.status("app")["ends"], "an end")
    status = board.status()
    for found, name in ((status, "status"), (status["units"][0], "units[]")):
        without = {"memory", "memory_max"} - set(found)
        assert set(found) == set(said[name]) - without, (name, set(found) ^ set(said[name]))
        for key, inner in said[name].items():
            one = found.get(key)
            one = one[0] if isinstance(one, list) else one
            assert not inner or set(one) == inner, (key, one, inner)


def test_metrics_are_openmetrics(board):
    board.unit("app", "say", "x")
    board.unit("bad", "exit", 3)
    board.start()
    board.wait_state("app", "running")
    board.wait(lambda: board.status("bad")["restarts"] >= 2, "restarts")
    text = board.coracle("metrics").stdout
    assert text.endswith("# EOF\n") and 'coracle_unit_up{unit="app"} 1\n' in text
    assert re.search(r'coracle_unit_restarts_total\{unit="bad"\} [2-9]', text)
    families = re.findall(r"# TYPE (\S+) (\S+)", text)
    assert len(families) == len(set(families)) > 5
    for line in text.splitlines()[:-1]:
        assert re.fullmatch(r"# (TYPE \w+ (gauge|counter|info)|HELP \w+ .+)|\w+(\{unit=\"[\w.-]+\"\})? \d+(\.\d+)?"
                            r"|coracle_device_info\{hostname=\"[^\"]*\",id=\"[a-z0-9-]*\",version=\"[\d.]+\"\} 1"
                            r"|coracle_unit_image_info\{unit=\"[\w.-]+\",digest=\"(sha256:[0-9a-f]{64})?\"\} 1", line), line
        name = re.match(r"(# (TYPE|HELP) )?(\w+)", line).group(3)
        assert name in dict(families) or re.sub("_(total|info)$", "", name) in dict(families)


def test_events_are_a_stream_of_json(board):
    board.unit("app", "say", "x", is_enabled=0)
    board.start()
    board.wait_state("app", "inactive")
    with open(board.base / "events", "w") as f:
        reader = subprocess.Popen([board.bin / "coracle", "--socket", board.socket(), "events"], stdout=f)
    events = lambda: [json.loads(l) for l in (board.base / "events").read_text().splitlines()]
    try:
        board.wait(lambda: any(e["state"] == "inactive" for e in events()), "first")
        board.coracle("start", "app")
        board.wait(lambda: any(e["state"] == "running" for e in events()), "running")
        board.coracle("stop", "app")
        board.wait(lambda: events()[-1]["state"] == "inactive", "stopped")
        assert events()[-1]["unit"] == "app" and events()[-1]["reason"] == "stopped"
        board.stop("poweroff")
        assert reader.wait(20) == 1
    finally:
        reader.kill()
        reader.wait()
    assert events()[-1]["power"] == "poweroff" if "power" in events()[-1] else True


EVENT = "<6I2q64s384s"         # struct control_event of init/events.h


class Reader:
    """A connection that asked for events and reads when it is told to."""

    def __init__(self, board):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(20)
        self.s.connect(board.socket())
        self.s.send(struct.pack("<II64s128s", 0x4c544e43, 14, b"", b""))
        reply, fds, _, _ = socket.recv_fds(self.s, 1024, 1)
        self.code, = struct.unpack_from("<i", reply, 4)
        for fd in fds:
            os.close(fd)

    def read(self, until):
        """(lost, unit, value) of each record, until UNTIL(record) is true."""
        got = []
        while not got or not until(got[-1]):
            magic, kind, value, sequence, lost, _, _, _, unit, reason = struct.unpack(EVENT, self.s.recv(1024))
            assert magic == 0x544e5645
            got.append((lost, unit.rstrip(b"\0").decode(), kind, value, reason.rstrip(b"\0").decode()))
        return got


def test_a_slow_reader_of_events_loses_its_place_and_not_the_count(board):
    board.unit("app", "exit", 0, is_enabled=0, restart=init_kit.NO)
    board.unit("last", "say", "x", is_enabled=0)
    board.start()
    board.wait_state("last", "inactive")
    fast, slow = Reader(board), Reader(board)
    assert fast.code == slow.code == 0
    all_of_it = []
    for _ in range(25):
        board.coracle("start", "app")
        all_of_it += fast.read(lambda e: e[3] == INACTIVE)
    assert len(all_of_it) > 100 and not any(e[0] for e in all_of_it)
    board.status()                                        # answered once the last event went to all
    first = []
    slow.s.setblocking(False)
    try:
        while True:
            first += slow.read(lambda e: True)
    except BlockingIOError:
        pass
    slow.s.settimeout(20)
    board.coracle("start", "last")
    rest = slow.read(lambda e: e[3] == RUNNING)
    assert first == all_of_it[:len(first)] and 10 < len(first) < len(all_of_it)        # from the beginning, without a hole
    assert rest[0][0] == len(all_of_it) - len(first) and {e[1] for e in rest} == {"last"}
    assert board.status("last")["state"] == "running"

    more = [Reader(board) for _ in range(3)]
    assert [r.code for r in more] == [0, 0, -errno.EBUSY]
    more[0].s.close()
    board.wait(lambda: Reader(board).code == 0, "a place that is free again")


def test_events_go_on_over_a_reexec(board):
    board.unit("app", "say", "x")
    board.start()
    board.wait_state("app", "running")
    reader = Reader(board)
    board.coracle("reexec")
    board.wait(lambda: "goes on from the one before" in board.log(), "reexec")
    board.coracle("stop", "app")
    assert reader.read(lambda e: e[3] == INACTIVE)[-1][4] == "stopped"


def test_a_group_may_read_and_only_root_may_change(board):
    board.unit("app", "say", "hi there")
    board.conf(data_dir=str(board.data), console="none", hostname="bench", read_group=4242)
    board.start()
    board.wait_state("app", "running")
    # The socket in PID 1's namespace is reached by a path that only root may walk.
    inside = ["nsenter", "-t", str(board.pid), "-m", "-p", "--", "setpriv", "--reuid", "12345", "--clear-groups"]
    ask = lambda gid, *words, groups="": subprocess.run(
        inside[:-1] + (["--groups", groups] if groups else ["--clear-groups"]) + ["--regid", str(gid), board.bin / "coracle", *words],
        capture_output=True, text=True)
    for gid, groups in ((4242, ""), (100, "4242")):
        assert "running" in ask(gid, "status", groups=groups).stdout
        assert "hi there" in ask(gid, "logs", "app", groups=groups).stdout
        p = ask(gid, "stop", "app", groups=groups)
        assert p.returncode == 1 and "only root" in p.stderr
    p = ask(100, "status")
    assert p.returncode == 1 and "Permission denied" in p.stderr
    assert board.state("app") == "running"
    board.coracle("stop", "app")


def test_metrics_on_a_port_of_loopback(board):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    board.unit("app", "say", "x")
    board.conf(data_dir=str(board.data), console="none", hostname="bench", metrics_port=port)
    board.start()
    board.wait_state("app", "running")

    def http(request, timeout=10):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout) as s:
                s.sendall(request)
                data = b""
                while part := s.recv(65536):
                    data += part
            return data
        except ConnectionError:
            return b""
    got = board.wait(lambda: http(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "answer")
    head, body = got.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"Content-Type: application/openmetrics-text; version=1.0.0" in head
    assert b'coracle_unit_up{unit="app"} 1\n' in body and body.endswith(b"# EOF\n")
    assert http(b"HEAD /metrics HTTP/1.1\r\n\r\n").split(b"\r\n\r\n")[1] == b""
    assert http(b"GET /etc/passwd HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert http(b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
    assert http(b"\0" * 5000) == http(b"GET / HTTP/1.1\r\n") == b""         # too long; and one that never ends its head
    pid = next(c for c in board.children() if board.comm(c) == "metrics")
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert "Uid:\t65534\t65534\t65534\t65534" in status and "NoNewPrivs:\t1" in status
    os.kill(pid, signal.SIGKILL)                          # a helper: it comes back
    board.wait(lambda: b"# EOF" in http(b"GET /metrics HTTP/1.1\r\n\r\n"), "again")


def test_changes_wait_for_the_passphrase(prompt):
    c = prompt(console_lock=LOCK)
    assert "2 running" in ask(c, "status")       # looking is free
    c.send("stop hello\r")
    c.expect_exact("passphrase: ")
    c.send("wrong\r")
    c.expect_exact("wrong passphrase")
    c.expect_exact(PROMPT)
    assert "correct" not in c.before and "running" in ask(c, "status hello")
    c.send("stop hello\r")
    c.expect_exact("passphrase: ")
    c.send("correct horsf\177e\r")
    c.expect_exact("hello: ")
    c.expect_exact(PROMPT)
    assert "horse" not in c.before
    assert "passphrase" not in ask(c, "start hello")        # for a while it stays open


def test_a_lock_that_is_no_hash_is_said(board):
    board.conf(data_dir=str(board.data), console="none", hostname="bench", console_lock="secret")
    board.start()
    assert "console-lock: a hash as `openssl passwd -5` prints it" in board.log() and "secret" not in board.log()


def test_factory_reset_is_confirmed_and_erases(board):
    board.unit("hello", "say", "hi")
    (board.data / "volumes/app/deep/er").mkdir(parents=True)
    (board.data / "volumes/app/deep/er/file").write_text("x")
    outside = board.base / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (board.data / "volumes/link").symlink_to(outside)
    (board.data / "lost+found").mkdir()
    board.start()
    board.wait_state("hello", "running")
    for words in (("reset",), ("reset", "hello")):
        p = board.coracle(*words, check=False)
        assert p.returncode in (1, 2) and "name" in p.stderr, words
    assert (board.data / "volumes").exists()
    board.coracle("reset", "bench")
    board.process.wait(30)
    assert -board.process.returncode == signal.SIGHUP or board.process.returncode - 128 == signal.SIGHUP
    assert sorted(p.name for p in board.data.iterdir()) == ["lost+found", "trash"]
    assert list((board.data / "trash").iterdir()) == [] and (outside / "kept").exists()
    board.start()
    board.wait_state("hello", "running")
