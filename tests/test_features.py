# SPDX-License-Identifier: MIT
"""What a kernel lacks is said once a boot with what is lost; who may be without a user namespace the board says by name."""
import json
import os
import re
import subprocess

import pytest

import bundle_kit

UNIT = "[Container]\nImage=registry.test/%s:1\nUserNS=%s\n"


@pytest.fixture
def units(workdir):
    for name, userns in (("clock", "host"), ("wifi", "host"), ("plain", "auto")):
        folder = workdir / "units"
        folder.mkdir(exist_ok=True)
        (folder / (name + ".container")).write_text(UNIT % (name, userns))
    return workdir / "units"


def show(units, board, text):
    if text is not None:
        board.write_text(text)
    p = subprocess.run([bundle_kit.BUNDLE, "units", "--board", board, units], capture_output=True, text=True)
    return {line.split()[0]: line for line in p.stdout.splitlines() if line}, p.returncode


@pytest.mark.parametrize("text, allowed", [
    ("userns-host=clock\n", {"clock"}), ("hostname=x\n  userns-host =\tclock  wifi\r\n", {"clock", "wifi"}), ("userns-host=clock\nuserns-host=wifi\n", {"clock", "wifi"}),
    ("", set()), ("userns-host=\nclock\n", set()), ("userns-host=clocks cloc plain\n", set()), ("# userns-host=clock\n", set()), ("xuserns-host=clock\n", set()),
    ("userns-hosts=clock\n", set()), ("userns-host=x\nhostname=clock wifi", set()), (None, set())])
def test_only_units_that_the_board_names_have_the_boards_ids(units, workdir, text, allowed):
    lines, code = show(units, workdir / "board.conf", text)
    assert " ok " in lines["plain"]
    for name in ("clock", "wifi"):
        assert (" ok " in lines[name]) == (name in allowed), lines
        assert name in allowed or "userns-host= of board.conf" in lines[name]
    assert code == (0 if len(allowed) == 2 else 1)


def test_without_a_board_file_nothing_is_judged(units):
    p = subprocess.run([bundle_kit.BUNDLE, "units", units], capture_output=True, text=True)
    assert p.returncode == 0 and p.stdout.count(" ok ") == 3


def test_status_marks_it_and_the_log_has_a_note_once(board):
    """And the parser of PID 1 takes the key without a word."""
    board.conf(data_dir=str(board.data), console="none", hostname="bench", userns_host="clock")
    board.unit("clock", "later", 300, 1, has_host_users=1, change=lambda c: c.update(_cgroup_files={"no.such": "1"}))
    board.unit("plain", "quiet")
    board.start()
    board.wait(lambda: board.status("clock")["restarts"] >= 2, "restarts")
    assert "board.conf" not in board.log()
    note = board.status("clock")["note"]
    assert note and board.status("plain")["note"] == ""
    if "UserNS=host" not in note:       # what the kernel or the host lacks comes in its place
        assert board.log().count(note) == 1
    board.unit("own", "quiet", has_host_users=1)
    board.write_units()
    board.stop()
    board.process = None
    board.start()
    assert "(UserNS=host)" in board.wait_state("own", "running")["note"]
    assert "note      in the board's own user namespace" in board.coracle("status", "own").stdout


LACKS = {
    "clone:error=ENOSPC": "user namespaces: No space left on device: units run with the board's own ids, those with UserNS=auto are refused",
    "seccomp:error=ENOSYS": "seccomp filters: Function not implemented: no unit starts but those with SeccompProfile=unconfined",
    "fsopen:error=ENODEV": "overlay file system: No such device: images of more than one layer are refused",
    "bpf:error=ENOSYS": "BPF programs for devices: Function not implemented: a unit's devices are limited by the nodes it is given alone",
}


def job(units, *strace, store=None):
    """What two jobs of one boot say."""
    command = "mount -t tmpfs t /run && mkdir /run/coracle && for i in 1 2; do %s %s units --table-fd 9 --result-fd 8 %s %s 9>/dev/null 8>/dev/null; echo turn $i >&2; done" % (
        " ".join(strace), bundle_kit.BUNDLE, "--store %s" % (store or units), units)
    return subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=True).stderr


def test_a_kernel_that_has_all_says_nothing_of_it(units):
    said = job(units)
    assert "user namespaces" not in said and "seccomp" not in said and "overlay" not in said and "BPF" not in said


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skip: elsewhere fork(2) is clone(2) too, and both would fail")
@pytest.mark.parametrize("call", LACKS)
def test_each_feature_is_missed_once(units, call):
    said = job(units, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=" + call)
    assert said.count("this kernel has no " + LACKS[call]) == 1, said
    assert said.index(LACKS[call]) < said.index("turn 1") < said.index("turn 2")


def test_file_system_that_cannot_be_mapped_is_said(units, workdir):
    """A store there, of a kind that has no id-mapped mounts: as soon as there is a store."""
    said = job(units, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount_setattr:error=EINVAL", store=workdir)
    assert said.count("id-mapped mounts of the data partition's file system: Invalid argument") == 1, said
    assert "id-mapped" not in job(units, store=workdir)
