# SPDX-License-Identifier: MIT
"""The life of a unit, its finer parts, in PID 1 in namespaces on this host: dependencies, exit lists, oneshot, sd_notify and its watchdog;
and docs/unit-states.md, which is the table."""
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

import init_kit

ROOT = init_kit.ROOT


def test_the_page_is_the_table(workdir):
    program = workdir / "unit_states"
    init_kit.musl(ROOT / "tests/tools/unit_states.c", program, ROOT / "init/unit.c", "-I", ROOT / "init")
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    doc = (ROOT / "docs/unit-states.md").read_text()
    assert doc.endswith(printed), "docs/unit-states.md differs from init/unit.c: replace its table by what %s prints" % program
    states = set(re.findall(r"^\| ([a-z]+) \| [a-z]", printed, re.M))
    assert {s for s in states if not re.search(r"^\| %s(,| \||\b)" % s, doc.split("## The table")[0], re.M)} == set()


# Dependencies


def test_requires_takes_along_and_waits(board):
    board.unit("app", "say", "app", after=("db",), requires=("db",))
    board.unit("db", "say", "db", is_enabled=0, current="")
    board.say("pull.db", "refused no signature")
    board.unit("other", "say", "x", is_enabled=0)
    board.start()
    board.wait_state("db", "refused")          # nobody enabled it: it was started for app
    board.wait(lambda: "db, which is refused (Requires=)" in board.status("app")["reason"], "named")
    assert board.state("app") == "waiting" and board.state("other") == "inactive"
    board.say("pull.db", "done")
    board.coracle("start", "db")
    board.wait_state("app", "running")
    board.coracle("stop", "db")
    board.wait_state("app", "inactive")
    board.wait_state("db", "inactive")
    board.coracle("start", "app")
    board.wait_state("app", "running")
    pid = board.status("app")["pid"]
    board.coracle("restart", "db")
    board.wait(lambda: board.status("app")["pid"] not in (0, pid) and board.state("app") == "running", "app restarted too")


def test_wants_takes_along_and_does_not_insist(board):
    board.unit("app", "say", "app", after=("extra",), wants=("extra",))
    board.unit("extra", "say", "x", is_enabled=0, current="")
    board.say("pull.extra", "refused no signature")
    board.start()
    board.wait_state("app", "running")
    assert board.wait_state("extra", "refused")
    board.coracle("stop", "extra")
    assert board.state("app") == "running"


class Events:
    """The stream of events, as JSON, while the block runs."""

    def __init__(self, board):
        self.board, self.file = board, board.base / "events"

    def __enter__(self):
        with open(self.file, "w") as f:
            self.reader = subprocess.Popen([self.board.bin / "coracle", "--socket", self.board.socket(), "events"], stdout=f)
        self.board.wait(lambda: self.told(), "the first events")
        return self

    def told(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def states(self):
        """(unit, state) of all that was told."""
        return [(e["unit"], e["state"]) for e in self.told() if "state" in e]

    def __exit__(self, *_):
        self.reader.kill()
        self.reader.wait()


def chain(board):
    """base <- middle <- app: each After= and Requires= the one before; app takes its time to end, the others end at once."""
    board.unit("base", "quiet")
    board.unit("middle", "quiet", after=("base",), requires=("base",))
    board.unit("app", "notify", "term=1500", "READY=1", notify=1, after=("middle",), requires=("middle",), timeout_stop_ms=60000)
    board.unit("bystander", "quiet", after=("base",))
    board.start()
    for name in ("base", "middle", "app", "bystander"):
        board.wait_state(name, "running")


def last(states, *wanted):
    """Where each of WANTED comes last in STATES."""
    return [len(states) - 1 - states[::-1].index(w) for w in wanted]


def test_what_others_need_is_stopped_after_them(board):
    chain(board)
    pid = board.status("bystander")["pid"]
    with Events(board) as events:
        board.coracle("stop", "base")
        for name, reason in (("base", "waits for middle to stop (After=)"), ("middle", "waits for app to stop (After=)")):
            u = board.status(name)
            assert (u["state"], u["reason"]) == ("stopping", reason) and u["pid"], u
        board.wait_state("base", "inactive")
        board.wait(lambda: ("base", "inactive") in events.states(), "told")
        at = last(events.states(), ("app", "inactive"), ("middle", "inactive"), ("base", "inactive"))
        assert at == sorted(at), events.states()
    assert board.status("base")["reason"] == "stopped" and board.status("bystander")["pid"] == pid
    board.coracle("start", "app")
    board.wait_state("app", "running")


def test_a_restart_stops_and_starts_in_order(board):
    chain(board)
    with Events(board) as events:
        board.coracle("restart", "base")
        board.wait(lambda: events.states().count(("app", "running")) == 2, "up again")
        states = events.states()
        down = [states.index((name, "waiting")) for name in ("app", "middle", "base")]
        up = last(states, ("base", "running"), ("middle", "starting"), ("middle", "running"), ("app", "starting"))
        assert down + up == sorted(down + up), states
        # One that is wished up again meanwhile comes up, and the others with it.
        board.coracle("stop", "base")
        board.coracle("start", "app")
        board.wait(lambda: events.states().count(("app", "running")) == 3, "up again")
        assert {board.state(name) for name in ("base", "middle", "app")} == {"running"}


def test_the_way_down_is_the_reverse_of_after(board):
    chain(board)
    with Events(board) as events:
        board.stop("poweroff", 60)
        events.reader.wait(60)
        at = last(events.states(), ("app", "inactive"), ("middle", "inactive"), ("base", "inactive"))
        assert at == sorted(at) and ("bystander", "inactive") in events.states(), events.states()


def test_a_program_that_will_not_end_holds_the_others_up_for_its_time_alone(board):
    board.unit("base", "quiet")
    board.unit("app", "deaf", "x", after=("base",), requires=("base",), timeout_stop_ms=1000)
    board.start()
    board.wait_state("app", "running")
    board.wait(lambda: "x" in board.coracle("logs", "app").stdout, "SIGTERM ignored")
    board.coracle("stop", "base")
    assert board.status("base")["reason"] == "waits for app to stop (After=)"
    board.wait_state("base", "inactive")
    assert board.state("app") == "inactive"


# How it ends


def test_exit_lists_decide_before_restart(board):
    code, sig = 0x100, 0x200
    board.unit("well", "exit", 75, restart=init_kit.ON_FAILURE, exit_success=(code | 75,))
    board.unit("never", "exit", 3, exit_prevent=(code | 3,))
    board.unit("always", "exit", 0, restart=init_kit.NO, exit_force=(sig | 9, code | 0))
    board.start()
    assert board.wait_state("well", "inactive")["reason"] == "exited with code 75"
    assert board.wait_state("never", "failed")["restarts"] == 0
    board.wait(lambda: board.status("always")["restarts"] >= 2, "restarts")


def test_reasons_of_restarts_are_kept(board):
    board.unit("bad", "exit", 3)
    board.start()
    u = board.wait(lambda: (lambda u: u and len(u["ends"]) == 4 and u)(board.status("bad")), "four ends")
    assert {e["reason"] for e in u["ends"]} == {"exited with code 3"}
    ago = [e["ms_ago"] for e in u["ends"]]
    assert ago == sorted(ago, reverse=True)


def test_oneshot_is_up_when_it_is_done(board):
    board.unit("setup", "later", 400, 0, type=init_kit.ONESHOT, restart=init_kit.NO)
    board.unit("kept", "exit", 0, type=init_kit.ONESHOT, restart=init_kit.NO, remains=1)
    board.unit("broken", "exit", 1, type=init_kit.ONESHOT, restart=init_kit.NO)
    board.unit("app", "say", "app", after=("setup", "kept"), requires=("setup", "kept"))
    board.unit("late", "say", "late", after=("broken",), requires=("broken",))
    board.start()
    board.wait_state("setup", "activating")
    assert board.state("app") == "waiting"
    board.wait_state("app", "running")
    assert board.state("setup") == "inactive" and board.state("kept") == "exited"
    assert board.wait_state("broken", "failed")["reason"] == "exited with code 1"
    assert board.state("late") == "waiting"
    board.coracle("stop", "kept")
    board.wait_state("kept", "inactive")
    board.wait_state("app", "inactive")


def test_started_some_time_after_boot(board):
    board.unit("job", "exit", 0, type=init_kit.ONESHOT, restart=init_kit.NO, on_boot_ms=1500)
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    u = board.wait(lambda: (lambda u: u["ends"] and u)(board.status("job")), "has run")
    assert u["state"] == "inactive" and u["ends"][0]["reason"] == "exited with code 0"
    assert board.status()["up_ms"] >= 1500


# sd_notify


def test_ready_is_what_others_wait_for(board):
    board.unit("slow", "notify", "STATUS=warming up", "sleep=600", "READY=1\\nSTATUS=serving", notify=1)
    board.unit("app", "say", "app", after=("slow",))
    board.start()
    board.wait(lambda: board.state("slow") == "activating" and board.status("slow")["says"] == "warming up", "activating")
    assert board.state("app") == "waiting" and board.status("app")["reason"] == "waits for slow (After=)"
    board.wait_state("app", "running")
    assert board.status("slow")["says"] == "serving"
    assert "says: serving" in board.coracle("status", "slow").stdout


def test_not_ready_in_time_is_a_failed_start(board):
    board.unit("never", "notify", "sleep=60000", notify=1, timeout_start_ms=500, restart=init_kit.ON_FAILURE)
    board.unit("asks", "notify", "EXTEND_TIMEOUT_USEC=20000000", "sleep=1200", "READY=1", notify=1, timeout_start_ms=500)
    board.start()
    assert "TimeoutStartSec" in board.wait_state("never", "backoff")["reason"]
    assert board.wait_state("asks", "running")["restarts"] == 0


def test_watchdog_ends_the_silent(board):
    board.unit("fed", "notify", "READY=1", *["WATCHDOG=1", "sleep=100"] * 300, notify=1, watchdog_ms=1000)
    board.unit("silent", "notify", "READY=1", notify=1, watchdog_ms=400, restart=init_kit.ON_WATCHDOG)
    board.unit("asks", "notify", "READY=1", "sleep=300", "WATCHDOG=trigger", notify=1, restart=init_kit.ON_WATCHDOG)
    board.start()
    board.wait(lambda: board.status("silent")["restarts"] >= 2 and board.status("asks")["restarts"] >= 1, "restarts")
    for name in ("silent", "asks"):
        assert "WatchdogSec" in board.status(name)["ends"][0]["reason"]
    assert board.status("fed")["restarts"] == 0 and board.state("fed") == "running"


def test_stopping_is_ending_and_extends(board):
    board.unit("slow", "notify", "term=1500", "READY=1", notify=1, timeout_stop_ms=20000)
    board.unit("leaves", "notify", "READY=1", "sleep=300", "STOPPING=1", "sleep=700", "exit=0", notify=1, restart=init_kit.ON_FAILURE)
    board.start()
    board.wait_state("leaves", "ending")
    assert board.wait_state("leaves", "inactive")["reason"] == "exited with code 0"
    board.wait_state("slow", "running")
    board.coracle("stop", "slow")
    board.wait_state("slow", "stopping")
    board.wait_state("slow", "inactive")


def test_flood_of_notifications_keeps_pid_1_idle(board):
    board.unit("flood", "notify", "READY=1", "flood=2000000000", notify=1)
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("flood", "running")
    board.wait_state("hello", "running")
    used = lambda: sum(map(int, pathlib.Path(f"/proc/{board.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    before, begin = used(), time.monotonic()
    for _ in range(10):
        board.coracle("status")
        time.sleep(0.2)
    ticks = used() - before
    assert ticks / os.sysconf("SC_CLK_TCK") < 0.25 * (time.monotonic() - begin), ticks
    assert set(board.status("flood")["says"]) == {"x"}
    board.coracle("stop", "flood")
    board.wait_state("flood", "inactive")


def test_another_units_socket_is_out_of_reach(board):
    board.unit("one", "notify", "READY=1", notify=1)
    board.unit("two", "say", "x")
    board.start()
    one, two = board.wait_state("one", "running"), board.wait_state("two", "running")
    host = {int(l.split()[2]): int(l.split()[1]) for c in board.children()
            for l in pathlib.Path(f"/proc/{c}/status").read_text().splitlines() if l.startswith("NSpid:")}
    assert os.listdir(f"/proc/{host[one['pid']]}/root/dev/notify") == ["socket"]
    assert not os.path.exists(f"/proc/{host[two['pid']]}/root/dev/notify")
    assert not os.path.exists(f"/proc/{host[two['pid']]}/root/run/coracle")


# Health


def health(board, name, *words, **keys):
    """A unit that waits, checked by the guest's WORDS every 200 ms."""
    keys = {"health_kind": init_kit.HEALTH_CMD, "health_arg": "\0".join(("/guest", *words)) + "\0", "health_interval_ms": 200,
            "health_retries": 2, **keys}
    board.unit(name, "quiet", **keys)


def inside(board, name):
    """The unit's /dev/shm, seen from here."""
    pid = board.status(name)["pid"]
    for c in board.children():
        for line in pathlib.Path(f"/proc/{c}/status").read_text().splitlines():
            if line.startswith("NSpid:") and int(line.split()[2]) == pid:
                return pathlib.Path(f"/proc/{c}/root/dev/shm")


def is_health(board, name, what):
    return lambda: board.status(name)["health"] == what


def test_health_command_goes_up_and_down(board):
    health(board, "app", "check", "f", health_start_period_ms=60000)
    board.start()
    board.wait_state("app", "running")
    assert board.status("app")["health"] == "starting"
    shm = inside(board, "app")
    (shm / "f").write_text("0 all well\n")
    board.wait(is_health(board, "app", "healthy"), "healthy")
    assert board.status("app")["health_text"] == "0 all well"
    (shm / "f").write_text("3 \033[31mbroken\n")
    board.wait(is_health(board, "app", "unhealthy"), "unhealthy")
    u = board.status("app")
    assert u["health_text"] == "3 ?[31mbroken" and u["state"] == "running" and u["restarts"] == 0
    assert "unhealthy: 3 ?[31mbroken" in board.coracle("status", "app").stdout
    (shm / "f").write_text("0 again\n")
    board.wait(is_health(board, "app", "healthy"), "healthy again")
    assert board.zombies() == []


def test_health_command_has_the_programs_rights(board):
    health(board, "app", "check", "who")
    board.start()
    board.wait(is_health(board, "app", "healthy"), "healthy")
    pid = next(int(l.split()[1]) for c in board.children() for l in pathlib.Path(f"/proc/{c}/status").read_text().splitlines()
               if l.startswith("NSpid:") and int(l.split()[2]) == board.status("app")["pid"])
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    field = lambda name: re.search(rf"^{name}:\s+(\S+)", status, re.M).group(1)
    assert board.status("app")["health_text"] == "pid inside uid 0 caps %s seccomp %s nnp %s" % (
        field("CapEff"), field("Seccomp"), field("NoNewPrivs"))


@pytest.mark.parametrize("on_failure, restart, state, restarts", [
    (init_kit.ON_FAILURE_KILL, init_kit.ON_FAILURE, None, 1), (init_kit.ON_FAILURE_RESTART, init_kit.NO, None, 1),
    (init_kit.ON_FAILURE_STOP, init_kit.ALWAYS, "failed", 0), (init_kit.ON_FAILURE_KILL, init_kit.NO, "failed", 0)])
def test_unhealthy_is_what_the_unit_says(board, on_failure, restart, state, restarts):
    health(board, "app", "check", "none", on_failure=on_failure, restart=restart)
    board.start()
    if state:
        board.wait_state("app", state)
    board.wait(lambda: board.status("app")["restarts"] >= restarts and board.status("app")["ends"], "ended")
    assert board.status("app")["ends"][0]["reason"] == "unhealthy: too many health checks failed"


def test_checks_that_hang_or_cannot_be_run_are_failures(board):
    health(board, "hangs", "check", "f", health_timeout_ms=300)
    health(board, "none", health_arg="/nowhere\0")
    board.start()
    board.wait_state("hangs", "running")
    (inside(board, "hangs") / "f").write_text("hang\n")
    board.wait(is_health(board, "hangs", "unhealthy"), "unhealthy")
    assert board.status("hangs")["health_text"] == "took longer than HealthTimeout="
    board.wait(is_health(board, "none", "unhealthy"), "unhealthy")
    assert board.status("none")["health_text"] == "exec /nowhere: No such file or directory"
    before = len(os.listdir(f"/proc/{board.pid}/fd"))
    time.sleep(1)
    assert len(os.listdir(f"/proc/{board.pid}/fd")) <= before + 2
    board.coracle("stop", "hangs")
    board.wait_state("hangs", "inactive")
    board.wait(lambda: len([c for c in board.children() if board.comm(c) == "guest"]) == 1, "no check left behind")


def startup(board, name, *words, regular="f", **keys):
    """A unit whose startup check is the guest's WORDS, its regular one the file REGULAR."""
    keys = {"startup_kind": init_kit.HEALTH_CMD, "startup_arg": "\0".join(("/guest", *words)) + "\0", "startup_interval_ms": 200, **keys}
    if regular:
        health(board, name, "check", regular, **keys)
    else:
        board.unit(name, "quiet", **keys)


def test_a_startup_check_comes_before_the_regular_one(board):
    startup(board, "app", "check", "up", startup_success=3, notify=init_kit.NOTIFY_HEALTHY)
    startup(board, "alone", "check", "up", regular=None)
    startup(board, "never", "check", "up", regular="none", startup_interval_ms=0xffffffff, health_retries=1)       # HealthStartupInterval=disable
    board.start()
    board.wait(is_health(board, "never", "unhealthy"), "the regular check alone")
    board.wait(lambda: board.status("app")["health_text"] and board.status("alone")["health_text"], "checked")
    for name in "app", "alone":
        assert board.status(name)["health"] == "starting" and board.status(name)["restarts"] == 0
        (inside(board, name) / "up").write_text("0 is up\n")
        board.wait(lambda: board.status(name)["health_text"] == "0 is up", "said")
    board.wait(is_health(board, "alone", "healthy"), "there is no other")
    assert board.state("app") == "activating"
    board.wait(is_health(board, "app", "unhealthy"), "the regular check fails at once")       # its file is not there
    assert board.status("app")["restarts"] == 0
    (inside(board, "app") / "f").write_text("0 all well\n")
    (inside(board, "app") / "up").write_text("1 nobody asks any more\n")
    board.wait_state("app", "running")
    board.wait(is_health(board, "app", "healthy"), "healthy")
    assert board.status("app")["health_text"] == "0 all well"


def test_a_startup_check_that_fails_too_often_restarts_whatever_restart_says(board):
    startup(board, "app", "check", "up", startup_retries=3, restart=init_kit.NO)
    startup(board, "hangs", "check", "up", startup_retries=1, startup_timeout_ms=300, startup_interval_ms=5000, restart=init_kit.NO)
    board.start()
    board.wait_state("hangs", "running")
    board.wait(lambda: board.status("app")["restarts"] >= 2, "restarts")
    assert {e["reason"] for e in board.status("app")["ends"]} == {"not up: too many startup health checks failed (HealthStartupRetries=)"}
    board.wait(lambda: board.status("hangs")["restarts"] >= 1, "the first failure is the last")


def test_probes_knock_in_the_units_own_network(board):
    board.unit("tcp", "serve", 7001, health_kind=init_kit.HEALTH_TCP, health_port=7001, health_interval_ms=200)
    board.unit("http", "serve", 7001, 3, health_kind=init_kit.HEALTH_HTTP, health_port=7001, health_arg="/health",
               health_interval_ms=200, health_retries=2)
    board.unit("shut", "quiet", health_kind=init_kit.HEALTH_TCP, health_port=7001, health_interval_ms=200, health_retries=2)
    board.start()
    board.wait(is_health(board, "tcp", "healthy"), "tcp")
    board.wait(is_health(board, "shut", "unhealthy"), "shut")
    assert board.status("shut")["health_text"] == "connect: Connection refused"
    board.wait(is_health(board, "http", "unhealthy"), "http")
    assert board.status("http")["health_text"] == "HTTP/1.1 503"
    assert "unit http: healthy: HTTP/1.1 200" in board.log()


def test_ready_once_healthy(board):
    health(board, "app", "check", "f", notify=init_kit.NOTIFY_HEALTHY, health_start_period_ms=60000)
    board.unit("next", "say", "x", after=("app",))
    board.start()
    board.wait_state("app", "activating")
    (inside(board, "app") / "f").write_text("0\n")
    board.wait_state("app", "running")
    board.wait_state("next", "running")
