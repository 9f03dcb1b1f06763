# SPDX-License-Identifier: MIT
"""PID 1 in namespaces on this host, its jobs scripted: life of units, what fails and heals, control socket, console, way down."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import pexpect
import pytest

import init_kit


# Life of a unit


def test_unit_in_the_store_starts_without_a_pull(board):
    board.unit("hello", "say", "hi there")
    board.start()
    u = board.wait_state("hello", "running")
    assert u["pid"] > 0 and u["restarts"] == 0 and u["signer"] == "/etc/coracle/keys/test.pub"
    assert "pull.hello" not in board.log_of_jobs()


def test_unit_not_in_the_store_is_pulled_with_progress(board):
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", "slow 800")
    board.start()
    u = board.wait(lambda: (lambda u: u and u["bytes_done"] and u)(board.status("hello")), "progress")
    assert u["state"] == "pulling" and u["reason"] == "layer 1 of 1" and u["bytes_total"] == 800
    u = board.wait_state("hello", "running")
    assert u["digest"].startswith("sha256:") and u["digest"].endswith("abc")


def test_logs_are_cri_lines_of_both_streams(board):
    board.unit("hello", "say", "hi there")
    board.start()
    board.wait(lambda: "warning" in board.coracle("logs", "hello", check=False).stdout, "output")
    out = board.coracle("logs", "hello").stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F hi there", out[0])
    assert out[1].endswith(" stderr F warning: hi there")
    assert board.coracle("logs", "hello", "-n", "1").stdout.splitlines() == out[1:]


def test_exit_is_counted_backed_off_and_named(board):
    board.unit("bad", "exit", 3, restart=init_kit.ON_FAILURE)
    board.start()
    board.wait(lambda: board.status("bad")["restarts"] >= 3, "restarts")
    u = board.wait_state("bad", "backoff")
    assert u["reason"] == "exited with code 3"
    starts = [l.split()[0] for l in board.log().splitlines() if l.endswith("unit bad: starting")]
    assert len(starts) >= 3


def test_clean_exit_rests_where_the_policy_says_so(board):
    board.unit("once", "exit", 0, restart=init_kit.ON_FAILURE)
    board.unit("badly", "exit", 4, restart=init_kit.NO)
    board.start()
    assert board.wait_state("once", "inactive")["reason"] == "exited with code 0"
    assert board.wait_state("badly", "failed")["reason"] == "exited with code 4"


def test_start_limit_fails_the_unit_until_asked(board):
    board.unit("bad", "exit", 3, start_limit_burst=3)
    board.start()
    u = board.wait_state("bad", "failed")
    assert "StartLimitBurst" in u["reason"] and u["restarts"] == 3
    board.coracle("start", "bad")
    board.wait(lambda: board.status("bad")["restarts"] > 3, "another try")


def test_start_that_fails_is_named_and_prepared_again(board):
    board.unit("none", "say", "x")
    os.unlink(board.rootfs / "guest")
    board.start()
    u = board.wait_state("none", "backoff")
    assert u["reason"].startswith("start failed: ") and "/guest" in u["reason"] and "No such file" in u["reason"]
    board.wait(lambda: board.log_of_jobs().count("prepare.none") >= 2, "prepare again")
    foreign = bytearray(pathlib.Path(board.tools.guest).read_bytes())
    foreign[18:20] = b"\xf3\0"      # e_machine: RISC-V
    (board.rootfs / "guest").write_bytes(foreign)
    (board.rootfs / "guest").chmod(0o755)
    board.wait(lambda: "/guest: Exec format error: no program of this processor's architecture" in board.status("none")["reason"], "a foreign program by name")
    (board.rootfs / "guest").unlink()
    shutil.copy2(board.tools.guest, board.rootfs / "guest")
    board.wait_state("none", "running")


def test_stop_start_restart(board):
    board.unit("hello", "say", "hi")
    board.start()
    first = board.wait_state("hello", "running")["pid"]
    board.coracle("stop", "hello")
    assert board.wait_state("hello", "inactive")["reason"] == "stopped"
    board.coracle("start", "hello")
    second = board.wait_state("hello", "running")["pid"]
    board.coracle("restart", "hello")
    board.wait(lambda: board.status("hello")["pid"] not in (0, second) and board.state("hello") == "running", "restart")
    assert first != second and board.status("hello")["restarts"] == 0


def test_deaf_program_is_killed_after_its_time(board):
    board.unit("deaf", "deaf", "what?", timeout_stop_ms=400)
    board.start()
    board.wait_state("deaf", "running")
    board.wait(lambda: "what?" in board.coracle("logs", "deaf").stdout, "SIGTERM ignored")
    before = time.monotonic()
    board.coracle("stop", "deaf")
    board.wait_state("deaf", "inactive")
    assert 0.3 < time.monotonic() - before < 5


def test_stop_signal_is_what_ends_it(board):
    """In the board's own pid namespace, where a program without a handler dies of a signal: of any but SIGTERM, which this one ignores."""
    board.unit("deaf", "deaf", "ready", stop_signal=int(signal.SIGUSR1), timeout_stop_ms=30_000, namespaces=("mount", "ipc", "uts"))
    board.start()
    board.wait_state("deaf", "running")
    board.wait(lambda: "ready" in board.coracle("logs", "deaf").stdout, "SIGTERM ignored")
    board.coracle("stop", "deaf")
    board.wait_state("deaf", "inactive", 15)


def test_after_orders_and_a_circle_is_broken(board):
    board.unit("second", "say", "2", after=("first",))
    board.unit("first", "say", "1", current="")
    board.unit("a", "say", "a", after=("b",))
    board.unit("b", "say", "b", after=("a",))
    board.say("pull.first", "slow 3000")
    board.start()
    board.wait(lambda: (board.status("second") or {}).get("reason") == "waits for first (After=)", "second waits")
    for name in ("second", "first", "a", "b"):
        board.wait_state(name, "running")
    log = board.log()
    assert log.index("unit first: running") < log.index("unit second: starting")
    assert "After= leads in a circle" in log


def test_orphans_of_a_program_die_with_it(board):
    # In the board's own pid namespace: nothing but the unit's cgroup and PID 1 holds them.
    board.unit("forks", "forks", 5, namespaces=("mount", "ipc", "uts"))
    board.start()
    u = board.wait_state("forks", "running")
    if not u["cgroup"]:
        pytest.skip("skip: no cgroup v2 on this host")
    procs = pathlib.Path(u["cgroup"]) / "cgroup.procs"
    board.wait(lambda: len(procs.read_text().split()) == 6, "children")
    board.coracle("stop", "forks")
    board.wait_state("forks", "inactive")
    board.wait(lambda: not procs.exists(), "cgroup gone")
    assert board.zombies() == []


def test_ps_shows_some_of_many(board):
    for n in range(3):
        board.unit(f"u{n}", "forks", 13)
    board.start()
    for n in range(3):
        u = board.wait_state(f"u{n}", "running")
        if not u["cgroup"]:
            pytest.skip("skip: no cgroup v2 on this host")
        board.wait(lambda: len((pathlib.Path(u["cgroup"]) / "cgroup.procs").read_text().split()) == 14, "all there")
    of = lambda n, text: re.findall(rf"(?m)^u{n} +\d+ +0 +\w .*  (?:/guest forks 13|\[guest\])$", text)     # the name where the machine is that slow
    some, more = board.coracle("ps").stdout, board.coracle("ps", "-n", "12").stdout
    for n in range(3):
        assert len(of(n, some)) == 10 and f"u{n}               and 4 more: ps -n N\n" in some, some
        assert len(of(n, more)) == 12 and f"u{n}               and 2 more: ps -n N\n" in more, more
    every = json.loads(board.coracle("ps", "--json").stdout)
    assert [p["unit"] for p in every] == [f"u{n}" for n in range(3) for _ in range(14)] and {p["command"] for p in every} == {"/guest forks 13"}


# Jobs that fail


def test_refused_pull_shows_its_reason_and_others_run(board):
    board.unit("unsigned", "say", "x", current="")
    board.unit("hello", "say", "hi")
    board.say("pull.unsigned", "refused no signature: registry.test/unsigned:1")
    board.start()
    u = board.wait_state("unsigned", "refused")
    assert u["reason"] == "no signature: registry.test/unsigned:1" and u["again_in_ms"] > 200_000 and u["digest"] == ""
    board.wait_state("hello", "running")
    board.say("pull.unsigned", "done")
    board.coracle("start", "unsigned")
    board.wait_state("unsigned", "running")


def test_refuse_secrets_is_told_to_the_pull(board):
    board.unit("careful", "say", "x", current="", refuses_secrets=1)
    board.unit("hello", "say", "hi", current="")
    board.say("pull-refusing-secrets.careful", "refused layer 0: /key looks like a secret")
    board.start()
    assert "looks like a secret" in board.wait_state("careful", "refused")["reason"]
    board.wait_state("hello", "running")


def test_pull_that_fails_is_tried_again(board):
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", "retry registry.test: connection refused", "done")
    board.start()
    u = board.wait_state("hello", "backoff")
    assert u["reason"] == "registry.test: connection refused" and 500 < u["again_in_ms"] <= 2400
    board.wait_state("hello", "running")
    assert "gc" not in board.log_of_jobs()


def test_a_pull_that_finds_no_room_lets_gc_make_some(board):
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", "full the image needs at least 9 MiB of room", "done")
    board.start()
    assert board.wait_state("hello", "backoff")["reason"] == "the image needs at least 9 MiB of room"
    board.wait(lambda: "gc" in board.log_of_jobs(), "gc")
    board.wait_state("hello", "running")


def test_damaged_store_leads_to_a_pull(board):
    board.unit("hello", "say", "hi")
    board.say("prepare.hello", "damaged layer 2 is not what it was", "done")
    board.start()
    board.wait_state("hello", "running")
    assert board.log_of_jobs().count("pull.hello") == 1
    assert "layer 2 is not what it was" in board.log()


@pytest.mark.parametrize("how, why", [
    ("crash", "killed by signal 11"), ("silent", "said nothing"), ("garbage", "said nothing"),
    ("lie", "said done but ended with code 1"), ("shout", "said nothing")])
def test_jobs_that_misbehave_are_tried_again(board, how, why):
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", how, "done")
    board.start()
    assert why in board.wait_state("hello", "backoff")["reason"]
    board.wait_state("hello", "running")
    assert "\033" not in board.log()


def test_record_that_is_damaged_is_not_started(board):
    board.unit("hello", "say", "hi")
    record = board.script / "record.hello"
    good = record.read_bytes()
    record.write_bytes(good[:-1] + b"\xff")
    board.start()
    assert "damaged" in board.wait_state("hello", "backoff")["reason"]
    record.write_bytes(good)
    board.wait_state("hello", "running")


def test_pull_always_falls_back_on_the_store(board):
    board.unit("hello", "say", "hi", pull=init_kit.PULL_ALWAYS)
    board.say("pull.hello", "retry no network")
    board.start()
    board.wait_state("hello", "running")
    assert "not pulled anew, the image in the store is used: no network" in board.log()


def test_pull_never_refuses_what_is_not_there(board):
    board.unit("hello", "say", "hi", pull=init_kit.NEVER, current="")
    board.start()
    assert "Pull=never" in board.wait_state("hello", "refused")["reason"]
    assert "pull.hello" not in board.log_of_jobs()


def test_stop_ends_a_pull_that_hangs_and_all_it_started(board):
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", "hang")
    board.start()
    board.wait_state("hello", "pulling")
    board.wait(lambda: sum(board.comm(c) == "coracle-fetch" for c in board.children()) == 1, "job")
    board.coracle("stop", "hello")
    board.wait_state("hello", "inactive")
    board.wait(lambda: not any(board.comm(c) == "coracle-fetch" for c in board.children()), "nothing left")
    assert board.zombies() == []


def test_bad_unit_is_refused_with_its_line_and_mended(board):
    board.unit("broken", "say", "x", error="/etc/coracle/units/broken.container:3: unknown key Imag= (Image=?)")
    board.unit("hello", "say", "hi")
    board.start()
    assert ":3: unknown key" in board.wait_state("broken", "refused")["reason"]
    board.wait_state("hello", "running")


def test_unit_table_that_fails_is_read_again(board):
    board.unit("hello", "say", "hi")
    board.write_units()
    good = (board.script / "table").read_bytes()
    (board.script / "table").write_bytes(good[:-1] + b"x")
    board.start()
    board.wait(lambda: "checksum" in board.status()["units_error"], "checksum")
    (board.script / "table").write_bytes(good)
    board.wait_state("hello", "running")
    assert board.status()["units_error"] == ""


def test_units_of_the_data_partition_change_the_table(board):
    board.unit("old", "say", "x")
    board.unit("kept", "say", "x", current="")
    board.write_units()
    board.units = {"kept": {"current": "sha256:" + "1" * 64}, "new": {"current": "sha256:" + "0" * 64}}
    board.write_units("table.store")
    (board.script / "record.new").write_bytes((board.script / "record.kept").read_bytes())
    board.say("units", "done", "slow 600", "done")
    os.rmdir(board.data)
    board.start()
    board.wait(lambda: board.state("old") == "waiting", "first table")
    board.data.mkdir()
    board.wait_state("new", "running")
    board.wait_state("kept", "running")
    assert board.state("old") is None and "pull.kept" not in board.log_of_jobs()


# The board


def test_no_data_directory_is_named_and_waited_for(board):
    board.unit("hello", "say", "hi")
    os.rmdir(board.data)
    board.start()
    board.wait(lambda: board.status()["data"]["text"].startswith(str(board.data)), "said")
    assert not board.status()["data"]["mounted"] and board.state("hello") in ("waiting", None)
    board.wait(lambda: board.state("hello") == "waiting", "waiting")
    assert board.status("hello")["reason"] == "waits for the data partition"
    assert "not mounted" in board.coracle("status").stdout
    board.data.mkdir()
    board.wait_state("hello", "running")


def test_mistakes_in_board_conf_are_lines_not_the_end(board):
    board.unit("hello", "say", "hi")
    with open(board.etc / "board.conf", "a") as f:
        f.write("colour=blue\n")
    board.start()
    board.wait_state("hello", "running")
    assert "board.conf:5: unknown key 'colour'" in board.log()


def test_status_is_for_all_and_changes_are_for_root(board):
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    # Beneath /proc only root may look: a hard way in would be another test's matter, so the socket is bound to where all may go.
    code = ("import os,sys,subprocess;os.setgid(65534);os.setuid(65534);"
            "sys.exit(subprocess.run(sys.argv[1:]).returncode)")
    inside = ["nsenter", "-t", str(board.pid), "-m", "-p", sys.executable, "-c", code, str(board.bin / "coracle")]
    run = lambda *args: subprocess.run([*inside, *args], capture_output=True, text=True, timeout=20)
    p = run("status")
    assert p.returncode == 0 and "hello" in p.stdout, p.stderr
    for args in (("stop", "hello"), ("reboot",), ("logs", "hello")):
        p = run(*args)
        assert p.returncode == 1 and "root" in p.stderr, args
    assert board.state("hello") == "running"


def test_control_socket_takes_no_nonsense(board):
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    # Idle ones, more than there are places; then rubbish of every length.
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(20)]
    for s in idle:
        s.connect(board.socket())
    for data in (b"x", b'{"command": "status", "na', b"\0" * 200, struct.pack("<II64s128s", 0x4c544e43, 99, b"x" * 64, b"y" * 128), b"z" * 5000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Not settimeout(): that makes the socket non-blocking, and connect() then fails while PID 1 has yet to accept the others.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            s.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 5, 0))
        s.connect(board.socket())
        s.send(data)
        reply = s.recv(1000)
        assert struct.unpack_from("<Ii", reply)[1] < 0
    assert board.state("hello") == "running"
    p = board.coracle("stop", "nosuch", check=False)
    assert p.returncode == 1 and "no unit 'nosuch'" in p.stderr


def test_json_is_json(board):
    board.unit("hello", "say", 'quote " backslash \\')
    board.start()
    board.wait_state("hello", "running")
    board.wait(lambda: board.coracle("logs", "hello").stdout, "output")
    for args in (["status"], ["ps"], ["net"], ["version"], ["status", "hello"]):
        json.loads(board.coracle(*args, "--json").stdout)
    for line in board.coracle("logs", "hello", "--json").stdout.splitlines():
        assert "quote" in json.loads(line)["line"]
    assert [p["unit"] for p in json.loads(board.coracle("ps", "--json").stdout)] == ["hello"]


def test_flood_does_not_block_the_program_nor_grow(board):
    board.unit("flood", "flood")
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    number = lambda: int(re.findall(r"flood (\d+) x", board.coracle("logs", "flood").stdout)[-1])
    board.wait(lambda: "flood 1" in board.coracle("logs", "flood").stdout, "flood")
    first = number()
    board.wait(lambda: number() > first + 20_000, "goes on")
    out = board.coracle("logs", "flood").stdout
    assert len(out) <= 64 * 1024
    assert all(re.search(r" stdout F flood \d+ x+$", l) for l in out.splitlines())
    board.coracle("stop", "flood")
    board.wait_state("flood", "inactive")


def dhcp_script(board, **env):
    return subprocess.run(["nsenter", "-t", str(board.pid), "-m", "-p", str(board.bin / "dhcp-script")], text=True,
                          capture_output=True, timeout=20, env={"PATH": os.environ["PATH"], **env})


def test_dhcp_lease_is_written_and_wakes_failed_pulls(board):
    os.symlink("coracle-init", board.bin / "dhcp-script")
    board.unit("hello", "say", "hi", current="")
    board.say("pull.hello", *["retry no address for registry.test"] * 4, "done")
    board.start()
    board.wait(lambda: board.log_of_jobs().count("pull.hello") == 2, "failed twice")
    board.wait_state("hello", "backoff")
    lease = dict(reason="BOUND", interface="eth0", new_ip_address="10.0.2.15", new_subnet_cidr="24",
                 new_routers="10.0.2.2", new_domain_name_servers="10.0.2.3")
    for _ in range(3):
        p = dhcp_script(board, **lease)
        assert p.returncode == 0, p.stderr
        board.wait(lambda: board.state("hello") in ("backoff", "running"), "tried again")
    board.wait_state("hello", "running", 3)
    run = pathlib.Path(f"/proc/{board.pid}/root/run/coracle")
    assert (run / "resolv.conf").read_text() == "nameserver 10.0.2.3\n"
    assert (run / "lease.eth0").read_text() == "address=10.0.2.15/24\ngateway=10.0.2.2\ndns=10.0.2.3\n"
    assert "network: eth0 10.0.2.15/24 via 10.0.2.2 (dhcp)" in board.log()
    p = dhcp_script(board, **{**lease, "new_domain_name_servers": "10.0.2.3\nnameserver 6.6.6.6"})
    assert p.returncode == 1 and "new_domain_name_servers" in p.stderr
    assert (run / "resolv.conf").read_text() == "nameserver 10.0.2.3\n"
    assert dhcp_script(board, reason="EXPIRE", interface="eth0").returncode == 0
    assert not (run / "lease.eth0").exists() and "lost the lease of eth0" in board.log()


# The way down


def signal_of(board, how):
    code = board.stop(how)
    return -code if code < 0 else code - 128


@pytest.mark.parametrize("how, sig", [("poweroff", signal.SIGINT), ("reboot", signal.SIGHUP)])
def test_way_down_ends_everything(board, how, sig):
    board.unit("hello", "say", "hi")
    board.unit("deaf", "deaf", "x", timeout_stop_ms=300)
    board.unit("pulled", "say", "x", current="")
    board.say("pull.pulled", "hang")
    board.start()
    board.wait_state("hello", "running")
    board.wait_state("deaf", "running")
    cgroup = board.cgroup_dir()
    # reboot(2) in a pid namespace: SIGINT for power off, SIGHUP for a restart (man 2 reboot).
    assert signal_of(board, how) == sig
    assert cgroup is None or not cgroup.exists()


@pytest.mark.parametrize("sent, sig", [(signal.SIGINT, signal.SIGHUP), (signal.SIGTERM, signal.SIGINT),
                                       (signal.SIGPWR, signal.SIGINT)])
def test_signals_mean_what_they_mean_to_an_init(board, sent, sig):
    board.start()
    os.kill(board.pid, sent)
    board.process.wait(20)
    assert -board.process.returncode == sig or board.process.returncode - 128 == sig


def test_other_signals_do_nothing(board):
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    for sig in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM,
                signal.SIGSEGV, signal.SIGABRT, signal.SIGTSTP, signal.SIGRTMIN):
        os.kill(board.pid, sig)
    time.sleep(0.3)
    assert board.state("hello") == "running"


# PID 1 itself


def test_nothing_in_the_binary_can_allocate_or_abort():
    debug = str(init_kit.bundle_kit.INIT) + ".debug"
    names = subprocess.run(["nm", debug], capture_output=True, text=True, check=True).stdout.split()
    assert {"main", "__libc_start_main"} <= set(names)
    assert not {"malloc", "calloc", "realloc", "free", "abort", "__assert_fail", "opendir", "fopen"} & set(names)


def test_no_exit_brk_or_mmap_after_the_line(board, tmp_path):
    """A life with pulls, starts, ends, logs and clients under strace: PID 1 itself maps nothing and opens no file of the data partition. A run record, which
    the starter maps, it reads once, when it is handed over, and at no start."""
    board.unit("hello", "say", "hi", current="")
    board.unit("bad", "exit", 3, restart_max_sec_ms=100)
    trace = tmp_path / "trace"
    board.start()
    board.wait_state("hello", "running")
    board.wait(lambda: board.status("bad")["restarts"] > 0, "its record")
    strace = subprocess.Popen(["strace", "-q", "-y", "-p", str(board.pid), "-o", str(trace)], stderr=subprocess.PIPE)
    board.wait(lambda: trace.exists() and trace.stat().st_size > 0, "strace")
    maps = pathlib.Path(f"/proc/{board.pid}/maps")
    for _ in range(3):
        board.coracle("restart", "hello")
        board.wait_state("hello", "running")
        board.coracle("logs", "hello")
        assert "/memfd:coracle-job" not in maps.read_text(), maps.read_text()
    before = board.status("bad")["restarts"]
    board.wait(lambda: board.status("bad")["restarts"] > before + 3, "restarts")
    strace.terminate()
    strace.wait()
    lines = trace.read_text().splitlines()
    prepares = sum("memfd_create(" in line and "coracle-job" in line for line in lines)
    reads = [line for line in lines if re.match(r"p?(read|readv|read64|readv2)\(\d+</memfd:coracle-job", line)]
    starts = sum(line.startswith(("fork(", "clone(")) for line in lines)
    # Of each record that is handed over its head and its first block, of none twice.
    assert 0 < sum(re.search(r", 0\) = \d+$", line) is not None for line in reads) <= 2 * prepares and starts > 2 * prepares, (starts, prepares, reads)
    calls = [l.split("(")[0] for l in lines if "(" in l]
    assert "ppoll" in calls and ("fork" in calls or "clone" in calls)
    assert not {"brk", "mmap", "mremap", "exit_group", "mount", "fsync", "sync"} & set(calls), sorted(set(calls))
    assert str(board.data) not in trace.read_text()


def test_resident_memory_is_small(board):
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    status = pathlib.Path(f"/proc/{board.pid}/status").read_text()
    rss = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))
    assert rss <= 512, status


def test_a_low_limit_of_files_is_no_failed_start(board):
    """PID 1's own descriptors are no longer in the way when the program's limit counts."""
    for n in range(init_kit.units_max()):
        board.unit(f"u{n:02}", "quiet", nofile=16)
    board.start()
    board.wait(lambda: all(u["state"] == "running" for u in board.status()["units"]), "all running", 60)
    assert len(os.listdir(f"/proc/{board.pid}/fd")) > 200


def test_what_pid_1_holds_is_closed_to_root_without_ptrace(board):
    """PID 1, and what of it only forks, is not dumpable: another process of uid 0 that lacks nothing but CAP_SYS_PTRACE, which PID 1 here lacks too, may
    look into a program of a unit and not into them; nor after a re-exec."""
    without = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]

    def look(pid, what):
        return subprocess.run([*without, *what.split(), f"/proc/{pid}/" + {"readlink": "exe", "head": "io", "stat": "ns/mnt"}[what.split()[0]]],
                              capture_output=True, text=True)
    ways = "readlink", "head -c1", "stat -L"           # /proc/PID/mem and environ ask for the same, but other modules and capabilities have a say there
    board.unit("hello", "say", "hi")
    board.start(*without)
    board.wait_state("hello", "running")
    for _ in range(2):
        board.wait(lambda: {"logger", "saver"} <= {board.comm(c) for c in board.children()}, "helpers")
        of = {board.comm(c): c for c in board.children()}
        for what in ways:
            assert look(of["guest"], what).stdout, what
            for pid in (board.pid, of["logger"], of["saver"]):
                p = look(pid, what)
                assert p.returncode == 1 and not p.stdout, (board.comm(pid), what, p)
        board.coracle("reexec")
        board.wait(lambda: "goes on from the one before" in board.log(), "reexec")


def test_descriptors_do_not_leak(board):
    board.unit("bad", "exit", 3, restart_max_sec_ms=100)
    board.unit("hello", "say", "x")
    board.start()
    board.wait_state("hello", "running")
    count = lambda: len(os.listdir(f"/proc/{board.pid}/fd"))
    board.wait(lambda: board.status("bad")["restarts"] >= 2, "restarts")
    board.wait_state("bad", "backoff")
    first = count()
    for _ in range(5):
        board.coracle("restart", "hello")
        board.wait_state("hello", "running")
    board.wait(lambda: board.status("bad")["restarts"] >= 12, "restarts", 30)
    board.wait_state("bad", "backoff")
    time.sleep(0.2)
    assert count() <= first + 1


# The prompt


@pytest.fixture
def console(board):
    board.unit("hello", "say", "hi there")
    board.write_units()
    board.conf(data_dir=str(board.data), hostname="bench")
    c = pexpect.spawn(board.command()[0], board.command()[1:], encoding="utf-8", timeout=15, dimensions=(40, 160))
    c.expect("PID 1 ready, 1 unit; data: .* directory; network: the host's")
    c.expect("coracle> ")
    yield c
    c.close(force=True)


def ask(c, line):
    c.sendline(line)
    c.expect_exact("coracle> ")
    return c.before


def test_prompt_commands(console):
    assert "status [NAME]" in ask(console, "help")
    for _ in range(100):
        if "running" in ask(console, "status hello"):
            break
        time.sleep(0.05)
    assert "hi there" in ask(console, "logs hello")
    assert re.search(r"hello +\d+ ", ask(console, "ps"))
    assert "no such command: dance" in ask(console, "dance")
    assert "needs the name of a unit" in ask(console, "restart")
    assert "hello: restarting" in ask(console, "restart hello")
    json.loads(ask(console, "version --json").split("\n", 1)[1])
    assert ask(console, "").strip() == ""


def test_prompt_editing(console):
    console.send("versixx\x7f\x7fon\r")
    console.expect("coracle 0")
    console.expect_exact("coracle> ")
    console.send("rubbish\x15version\r")
    console.expect("coracle 0")
    console.expect_exact("coracle> ")
    console.send("poweroff\x03")
    console.expect_exact("coracle> ")
    console.send("logs hello -f\r")
    console.expect("hi there")
    console.send("\x03")
    console.expect_exact("coracle> ")
    console.send("version\nversion\r\nversion\r")
    for _ in range(3):
        console.expect("coracle 0")


@pytest.mark.parametrize("keys", ["poweroff\r", "\x04"])
def test_prompt_poweroff(console, keys):
    console.send(keys)
    console.expect("powering off")
    console.expect("off now")
    console.expect(pexpect.EOF)
    console.close()
    assert console.signalstatus == signal.SIGINT
