# SPDX-License-Identifier: MIT
"""A new coracle-init takes over from the running one in mid-traffic: no program is restarted, no log line lost, every job, health check, timer
and socket goes on; and one that cannot read the state is not executed."""
import os
import re
import shutil
import socket
import struct
import subprocess
import time

import init_kit


def install(board):
    """The same program as a new file in the old one's place; its inode."""
    new = board.bin / "coracle-init.new"
    shutil.copy2(board.bin / "coracle-init", new)
    os.replace(new, board.bin / "coracle-init")
    return os.stat(board.bin / "coracle-init").st_ino


def runs(board):
    return os.stat(f"/proc/{board.pid}/exe").st_ino


def reexec(board):
    inode = install(board)
    board.coracle("reexec")
    board.wait(lambda: runs(board) == inode, "the new one runs")
    assert board.coracle("status").returncode == 0


def test_in_mid_traffic(board):
    count = 4000
    board.unit("counts", "count", count, 2000, is_enabled=0, restart=init_kit.NO)
    board.unit("fed", "notify", "READY=1", *["WATCHDOG=1", "sleep=200"] * 300, notify=1, watchdog_ms=2000)
    board.unit("deaf", "deaf", "x", timeout_stop_ms=3000)
    board.unit("bad", "exit", 3, restart_max_sec_ms=300)
    board.unit("checked", "quiet", health_kind=init_kit.HEALTH_CMD, health_arg="/guest\0check\0who\0", health_interval_ms=200)
    board.unit("pulled", "say", "x", current="", is_enabled=0)
    board.unit("slow", "later", 100000, 0, is_enabled=0)
    board.say("pull.pulled", "slow 3000")
    board.start()
    for name in ("fed", "deaf", "checked"):
        board.wait_state(name, "running")
    with open(board.base / "followed", "w") as f:
        follower = subprocess.Popen([board.bin / "coracle", "--socket", board.socket(), "logs", "counts", "-f"], stdout=f)
    try:
        board.coracle("start", "counts")
        board.coracle("start", "pulled")
        before = {u["name"]: (u["pid"], u["restarts"]) for u in board.status()["units"]}
        fds = len(os.listdir(f"/proc/{board.pid}/fd"))
        logger = next(c for c in board.children() if board.comm(c) == "logger")
        board.coracle("stop", "deaf")                       # a stop timer runs
        for n in range(5):
            reexec(board)
            board.coracle("start" if n % 2 else "restart", "slow")
        board.wait_state("pulled", "running", 20)           # the job that was under way was heard to its end
        board.wait_state("deaf", "inactive", 20)
        assert "pull.pulled" in board.log_of_jobs() and board.log_of_jobs().count("pull.pulled") == 1
        board.wait(lambda: f"number {count - 1}" in board.coracle("logs", "counts").stdout, "the last line", 60)
        time.sleep(0.5)
    finally:
        follower.terminate()
        follower.wait()
    seen = [int(n) for n in re.findall(r"stdout F number (\d+)$", (board.base / "followed").read_text(), re.M)]
    assert seen == list(range(count)), "not one line lost, torn or repeated"
    after = {u["name"]: (u["pid"], u["restarts"]) for u in board.status()["units"]}
    for name in ("fed", "checked"):
        assert after[name] == before[name], name
    assert after["bad"][1] > before["bad"][1]               # its backoff goes on, counted on
    assert board.status("checked")["health"] == "healthy"
    assert next(c for c in board.children() if board.comm(c) == "logger") == logger
    assert board.log().count("goes on from the one before") == 5
    assert board.zombies() == []
    board.wait_state("slow", "running")
    board.coracle("stop", "slow")
    assert len(os.listdir(f"/proc/{board.pid}/fd")) <= fds + 3
    board.stop("poweroff")


def test_a_client_that_is_connected_is_answered_by_the_new_one(board):
    board.unit("hello", "say", "hi")
    board.start()
    board.wait_state("hello", "running")
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
    for c in clients:
        c.connect(board.socket())
    reexec(board)                                           # its own question came after these were accepted
    for c in clients:
        c.settimeout(20)
        c.send(struct.pack("<II64s128s", 0x4c544e43, 3, b"nosuch", b""))
        assert b"no unit 'nosuch'" in c.recv(1000)
        c.close()


def test_one_that_cannot_read_the_state_is_not_executed(board):
    board.unit("hello", "say", "hi")
    board.start()
    pid = board.wait_state("hello", "running")["pid"]
    old = runs(board)
    shutil.copy2(board.bin / "coracle-init", board.bin / "kept")
    refused = 0
    for bad in (shutil.which("true"), shutil.which("false"), None):
        new = board.bin / "new"
        if bad:
            shutil.copy2(bad, new)
        else:
            new.write_bytes(b"no program at all")
            new.chmod(0o755)
        os.replace(new, board.bin / "coracle-init")
        c = subprocess.run(["coracle", "--socket", board.socket(), "reexec"], executable=board.bin / "kept", capture_output=True)
        assert c.returncode == 0, c.stderr
        refused += 1
        log = lambda: subprocess.run(["coracle", "--socket", board.socket(), "log"], executable=board.bin / "kept", capture_output=True,
                                     text=True).stdout
        board.wait(lambda: log().count("cannot go on from here") == refused, "said")
    shutil.copy2(board.bin / "kept", board.bin / "new")
    os.replace(board.bin / "new", board.bin / "coracle-init")
    assert runs(board) == old and board.status("hello")["pid"] == pid
