# SPDX-License-Identifier: MIT
"""The clock of a board whose own one is wrong: by SNTP from a real server (chronyd on this machine), by the build and by the last confirmed time."""
import calendar, pathlib, re, socket, struct, subprocess, threading, time
import pytest
import board as board_kit

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHRONYD = ROOT / "build/x86_64/deps/bin/chronyd"
CONF = "hostname=clock\ndata-label=coracle-data\nnetwork=dhcp\nntp=10.0.2.2:%d\n"
YEAR = 365 * 86400


def free_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def server(tmp_path):
    """A real NTP server on loopback, which leaves this machine's clock alone: its port."""
    port = free_udp()
    (tmp_path / "chrony.conf").write_text("local stratum 3\nallow\nport %d\nbindaddress 127.0.0.1\npidfile /\n" % port)
    child = subprocess.Popen([CHRONYD, "-x", "-d", "-U", "-f", tmp_path / "chrony.conf"], stderr=open(tmp_path / "chronyd.log", "w"))
    yield port
    child.kill()
    child.wait()


@pytest.fixture
def liar():
    """One that says it is 2020: its port."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    began = time.time()

    def serve():
        while True:
            try:
                asked, who = s.recvfrom(512)
            except OSError:
                return
            now = 2208988800 + 1577836800 + time.time() - began
            stamp = struct.pack("!II", int(now) & 0xffffffff, int(now % 1 * 2 ** 32))
            s.sendto(b"\x24\x01\x06\xe8" + bytes(8) + b"LIAR" + stamp + asked[40:48] + stamp + stamp, who)
    threading.Thread(target=serve, daemon=True).start()
    yield s.getsockname()[1]
    s.close()


def seconds(status):
    return calendar.timegm(time.strptime(status["clock"][:19], "%Y-%m-%d %H:%M:%S"))


def wait_state(board, state, timeout=120):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = board.status()
        if found["clock_state"] == state:
            return found
        time.sleep(1)
    raise AssertionError("the clock is not %s but %s\n%s" % (state, found["clock_state"], board.say("log")))


@pytest.mark.parametrize("rtc", ["2099-03-01T00:00:00", *(pytest.param(t, marks=pytest.mark.full) for t in ("1970-01-01T00:00:10", "2044-02-29T00:00:00"))])
def test_a_wrong_clock_is_set_by_a_server_and_the_time_is_kept(boot, server, tmp_path, unit_text, rtc):
    """Pulls wait for the time; the time that was confirmed is where a later boot without clock and server begins."""
    disk = board_kit.make_disk(tmp_path / "data.img", 64)
    units = {"hello.container": unit_text()}
    board = boot(units=units, disk=disk, rtc=rtc, conf=CONF % server)
    before = time.time()
    status = wait_state(board, "confirmed")
    assert before - 5 < seconds(status) < time.time() + 5
    assert "(confirmed by SNTP)" in board.say("status")
    board.wait_unit("hello", "running")
    log = board.say("log")
    assert "clock: confirmed by SNTP" in log
    if rtc.startswith("2099"):
        assert re.search(r"clock: it said 20[6-9]\d-\S+ \S+, which is not believed", log)    # 2099 in QEMU 7.2 is 2063 on the board
    assert board.poweroff() == 0
    again = boot(units=units, disk=disk, rtc="1970-01-01T00:00:10", conf=CONF % free_udp())
    again.wait_unit("hello", "running")
    status = again.status()
    assert before - 5 < seconds(status) < time.time() + 600 and status["clock_state"] != "confirmed"
    assert "it was before the last confirmed time; set to it" in again.say("log")


def test_a_server_that_says_a_time_before_the_build_is_not_believed(boot, liar, unit_text):
    """And one that confirms nothing holds a pull up for a bounded time alone: certificates are then judged by the clock there is."""
    board = boot(units={"hello.container": unit_text()}, conf=CONF % liar)
    board.wait_says("log -n 400", r"clock: it said 2020-\S+ \S+, which is not believed: set to \S+ \S+, as before", timeout=120)
    assert abs(seconds(board.status()) - time.time()) < 30
    board.wait_unit("hello", "running", timeout=180)
    assert board.status()["clock_state"] != "confirmed"
