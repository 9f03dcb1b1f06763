# SPDX-License-Identifier: MIT
"""RunInit=: a reaper as the first process. What podman's --init does, the same here."""
import json
import os
import re
import signal
import subprocess
import time

import pexpect
import pytest

import bundle_kit


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def mapped(c, b):
    c["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        c["linux"][key] = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
    for path in [b / "rootfs", *(b / "rootfs").rglob("*")]:
        os.lchown(path, 1000000, 1000000)


def make(kit, *args, change=None, init="yes", **process):
    b = kit.bundle()
    c = kit.config(*args, **process)
    c["annotations"] = {"org.coracle.init": init}
    if change:
        change(c, b)
    (b / "config.json").write_text(json.dumps(c))
    subprocess.run([bundle_kit.BUNDLE, "compile", b], check=True, capture_output=True)
    return b


def run(*args, **kw):
    return subprocess.run([bundle_kit.INIT, "run", make(*args, **kw)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("init, left", [("yes", 0), ("no", 1)])
def test_orphans_are_reaped(kit, init, left):
    """Without the reaper the orphan stays a zombie: the program does not wait for it."""
    p = run(kit, "orphan", 50, "sleep", 400, "processes", ".", init=init)
    assert p.returncode == 0, p.stderr
    assert len(re.findall(r"^process .*\) Z", p.stdout, re.M)) == left, p.stdout
    assert len(re.findall("^process ", p.stdout, re.M)) == 2, p.stdout


@pytest.mark.parametrize("change", [None, mapped], ids=["host", "userns"])
def test_program_is_its_child_and_has_its_rights(kit, change):
    p = run(kit, "sid", ".", "cat", "/proc/self/status", "cat", "/proc/1/status", "links", "/proc/self/fd", change=change, user={"uid": 1000, "gid": 1000})
    assert re.search(r"^sid=1 pid=(\d+) pgid=\1 ppid=1$", p.stdout, re.M) and p.returncode == 0, p
    own, first = ({k: v for k, v in re.findall(r"^(\w+):\t(.*)$", text, re.M)} for text in p.stdout.split("end /proc/self/status"))
    for key in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"):
        assert own[key] == first[key], key
    assert own["SigBlk"] == "0" * 16 and own["SigIgn"] == "0" * 16
    assert int(first["VmRSS"].split()[0]) < 1024 and int(first["FDSize"]) <= 64
    assert len(re.findall("^ls /proc/self/fd=", p.stdout, re.M)) == 3


@pytest.mark.parametrize("args, code", [(("exit", 0), 0), (("exit", 93), 93), (("raise", signal.SIGKILL), 137), (("raise", signal.SIGSEGV), 139), (("raise", 15), 143)])
def test_ends_as_the_program_did(kit, args, code):
    assert run(kit, *args).returncode == code


def test_program_that_cannot_be_executed(kit):
    b = make(kit, "x")
    for args, code in ((["/nope"], 127), (["/etc"], 126)):
        c = json.loads((b / "config.json").read_text())
        c["process"]["args"] = args
        (b / "config.json").write_text(json.dumps(c))
        subprocess.run([bundle_kit.BUNDLE, "compile", b], check=True, capture_output=True)
        p = subprocess.run([bundle_kit.INIT, "run", b], capture_output=True, text=True, timeout=60)
        assert p.returncode == code and args[0] in p.stderr


def test_end_of_the_program_is_the_end_of_the_rest(kit):
    """As with podman --init: what is left in the pid namespace goes with it, and its output is over."""
    begin = time.monotonic()
    p = run(kit, "orphan", 600000, "exit", 4)
    assert p.returncode == 4 and time.monotonic() - begin < 60


def test_every_signal_is_handed_on_once(kit):
    """All but those that the caller keeps, SIGCHLD, and those that nobody can have."""
    p = subprocess.Popen([bundle_kit.INIT, "run", make(kit, "all-signals", 0)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    sent = [s for s in (1, 2, 3, 10, 12, 13, 14, 16, 18, 23, 25, 26, 28, 29, 30, 40, 64)]
    for s in sent:
        p.send_signal(s)
        assert p.stdout.readline() == "got %02d\n" % s
    p.send_signal(15)
    assert p.stdout.read() == "got 15\n" and p.wait(20) == 3


def test_first_process_cannot_be_looked_into(kit):
    """It is a fork of ours: exe, mem and environ of it are closed, also for a tracer among the container's own."""
    caps = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]
    p = run(kit, "spy", 50, "read", "/proc/1/exe", "read", "/proc/1/mem", "read", "/proc/1/environ", "links", "/proc/1", change=mapped,
            capabilities={k: caps for k in ("bounding", "effective", "permitted")})
    assert p.returncode == 0 and "spy saw 1\n" in p.stdout, p
    assert not re.search("spy (got|wrote|traced)", p.stdout), p.stdout
    assert p.stdout.count("!EACCES") + p.stdout.count("!EPERM") >= 3 and "coracle" not in p.stdout, p.stdout


def test_tracer_with_the_boards_powers_is_refused(kit):
    caps = ["CAP_SYS_PTRACE"]
    b = kit.bundle()
    c = kit.config("exit", 0, capabilities={k: caps for k in ("bounding", "effective", "permitted")})
    c["annotations"] = {"org.coracle.init": "yes"}
    (b / "config.json").write_text(json.dumps(c))
    p = subprocess.run([bundle_kit.BUNDLE, "compile", b], capture_output=True, text=True)
    assert p.returncode == 1 and "RunInit=" in p.stderr and "CAP_SYS_PTRACE" in p.stderr


def test_with_a_terminal(kit):
    """Ctrl-C comes to the program once; it has the foreground."""
    t = pexpect.spawn(str(bundle_kit.INIT), ["run", str(make(kit, "tty", ".", "all-signals", 0, terminal=True))], timeout=20, encoding="utf-8")
    t.expect_exact("foreground 1")
    t.expect_exact("ready")
    t.sendintr()
    t.expect_exact("got 02")
    t.kill(signal.SIGTERM)
    t.expect_exact("got 15")
    t.expect(pexpect.EOF)
    assert "got 02" not in t.before
    t.close()
    assert t.exitstatus == 3
