# SPDX-License-Identifier: MIT
"""The logger and the saver, in PID 1 in namespaces on this host: killed at any time they lose no line; floods are counted; what is saved."""
import os
import pathlib
import re
import signal
import subprocess
import time

import init_kit


def logs(board, *args):
    return board.coracle("logs", *args, check=False).stdout


def helper(board, name):
    return next((c for c in board.children() if board.comm(c) == name), None)


def test_a_killed_logger_repeats_lines_and_loses_none(board):
    count = 2500
    board.unit("counts", "count", count, 1500, is_enabled=0, restart=init_kit.NO)
    board.start()
    board.wait(lambda: helper(board, "logger"), "logger")
    board.wait_state("counts", "inactive")
    with open(board.base / "followed", "w") as f:
        follower = subprocess.Popen([board.bin / "coracle", "--socket", board.socket(), "logs", "counts", "-f"], stdout=f)
    board.coracle("start", "counts")
    kills = 0
    try:
        while kills < 12:
            pid = board.wait(lambda: helper(board, "logger"), "logger again")
            time.sleep(0.02 + 0.02 * (kills % 4))
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:          # replaced meanwhile
                pass
        board.wait(lambda: f"number {count - 1}" in logs(board, "counts"), "the last line", 60)
        time.sleep(0.5)
    finally:
        follower.terminate()
        follower.wait()
    told = (board.base / "followed").read_text()
    assert "went by too fast" not in told
    seen = [int(n) for n in re.findall(r"stdout F number (\d+)$", told, re.M)]
    assert set(seen) == set(range(count)), sorted(set(range(count)) - set(seen))[:20]
    assert all(re.fullmatch(r"\S+Z stdout F number \d+", line) for line in told.splitlines()), "torn lines"
    print(f"{kills} kills, {len(seen) - count} lines repeated")


def test_the_end_of_a_line_is_waited_for_in_the_pipe(board):
    board.unit("half", "half", "first ", 2000, "second")
    board.start()
    board.wait_state("half", "running")
    time.sleep(0.5)
    assert logs(board, "half") == ""
    os.kill(helper(board, "logger"), signal.SIGKILL)
    board.wait(lambda: "first second" in logs(board, "half"), "whole line")
    used = pathlib.Path(f"/proc/{board.wait(lambda: helper(board, 'logger'), 'logger')}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(used[11]) + int(used[12]) < 100      # it does not spin on the half line


def test_lines_over_the_rate_are_counted(board):
    board.unit("chatty", "count", 500, 0, log_burst=100, log_interval_ms=1500, restart=init_kit.NO)
    board.unit("hello", "say", "hi")
    board.start()
    said = board.wait(lambda: re.search(r"stderr F coracle: (\d+) lines dropped, over the rate", logs(board, "chatty")), "gap line")
    assert int(said.group(1)) == 400
    assert len(re.findall("number", logs(board, "chatty"))) == 100
    assert "hi" in logs(board, "hello")


def cpu_ticks(pid):
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))


def test_output_as_fast_as_the_pipe_takes_it(board):
    """Two programs that do nothing but write, one of them without one line's end: a third loses no line, PID 1 has nothing to do with it, and every line
    dropped is counted."""
    blocks, lines = 4096, 400
    board.unit("gush", "gush", blocks, log_burst=20, log_interval_ms=1000, is_enabled=0, restart=init_kit.NO)
    board.unit("endless", "gush", 0, log_burst=20, log_interval_ms=1000)
    board.unit("counts", "count", lines, 1000, is_enabled=0, restart=init_kit.NO)
    board.start()
    board.wait_state("endless", "running")
    board.wait(lambda: re.search(r"stdout P x{2048}$", logs(board, "endless"), re.M), "parts of a line")
    logger = board.wait(lambda: helper(board, "logger"), "logger")
    before = cpu_ticks(board.pid), cpu_ticks(logger)
    with open(board.base / "followed", "w") as f:
        follower = subprocess.Popen([board.bin / "coracle", "--socket", board.socket(), "logs", "gush", "-f"], stdout=f)
    try:
        begin = time.monotonic()
        board.coracle("start", "gush")
        board.coracle("start", "counts")
        board.wait(lambda: f"number {lines - 1}\n" in logs(board, "counts"), "the last line of the third", 120)
        board.wait_state("gush", "inactive", 240)
        took = time.monotonic() - begin
        used = cpu_ticks(board.pid) - before[0], cpu_ticks(logger) - before[1]
        told = lambda: (board.base / "followed").read_text()
        dropped = lambda: sum(map(int, re.findall(r"stderr F coracle: (\d+) lines dropped", told())))
        kept = lambda: len(re.findall(r"stdout F x{63}$", told(), re.M))
        board.wait(lambda: kept() + dropped() == blocks * 1024, "every line kept or counted", 60)
    finally:
        follower.terminate()
        follower.wait()
    assert re.findall(r"number (\d+)$", logs(board, "counts"), re.M) == [str(n) for n in range(lines)]
    assert helper(board, "logger") == logger and board.status("endless")["restarts"] == 0
    assert re.search(r"coracle: \d+ lines dropped", logs(board, "endless"))
    assert used[0] < used[1] / 2, used
    print(f"{blocks * 65536 / took / 1e6:.0f} MB/s beside another, {kept()} lines kept, {dropped()} counted; ticks of PID 1, logger: {used}")


def test_saved_at_the_end_and_shown_after_the_next_boot(board):
    board.unit("hello", "say", "from the first run", log_size_max=100_000)
    board.unit("secret", "say", "never on disk", log_size_max=0)
    board.start()
    board.wait(lambda: "first run" in logs(board, "hello"), "output")
    board.wait(lambda: helper(board, "saver"), "saver")
    board.stop("reboot")
    file = board.data / "logs/hello/0.log"
    assert "stdout F from the first run" in file.read_text() and file.stat().st_mode & 0o777 == 0o600
    assert not (board.data / "logs/secret").exists()
    board.unit("hello", "say", "from the second run", log_size_max=100_000)
    board.start()
    board.wait(lambda: "second run" in logs(board, "hello"), "output")
    assert "first run" not in logs(board, "hello") and "first run" in logs(board, "hello", "--saved")
    p = board.coracle("logs", "secret", "--saved", check=False)
    assert p.returncode == 1 and "nothing saved of secret" in p.stderr


def test_a_flood_is_saved_in_bounds(board):
    board.unit("flood", "flood", log_size_max=50_000)
    board.start()
    folder = board.data / "logs/flood"
    board.wait(lambda: (folder / "1.log").exists(), "turned over", 30)
    # A batch is at most one ring; a file that is not empty never grows beyond its size.
    assert max(f.stat().st_size for f in folder.iterdir()) <= max(50_000, 64 * 1024 + 200)
    assert "bytes of log lost before they were saved" in (folder / "0.log").read_text() + (folder / "1.log").read_text()
    saver = helper(board, "saver")
    os.kill(saver, signal.SIGKILL)
    board.wait(lambda: helper(board, "saver") not in (None, saver), "saver again")
    board.coracle("stop", "flood")
    board.wait_state("flood", "inactive")


def test_since(board):
    board.unit("hello", "count", 3, 1200_000)
    board.start()
    board.wait(lambda: "number 2" in logs(board, "hello"), "output", 20)
    lines = logs(board, "hello").splitlines()
    second = next(l for l in lines if "number 1" in l).split()[0]
    assert [l.split()[-1] for l in logs(board, "hello", "--since", second).splitlines()][:2] == ["1", "2"]
    assert "number 0" not in logs(board, "hello", "--since", second)
    assert len(logs(board, "hello", "--since", "1h").splitlines()) >= 3
    assert logs(board, "hello", "--since", "2099-01-01") == ""
    p = board.coracle("logs", "hello", "--since", "yesterday", check=False)
    assert p.returncode == 2 and "--since" in p.stderr
