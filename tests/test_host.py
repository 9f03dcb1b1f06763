# SPDX-License-Identifier: MIT
"""`make host`: the demo with coracle-init as PID 1 of namespaces on this machine, at its prompt."""
import os, pathlib, re, subprocess, time
import pexpect
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROMPT = "coracle> "


@pytest.fixture
def host(programs, workdir):
    env = dict(os.environ, RUN_DIR=str(workdir), DEMO_PORT="5444", O=str(programs.folder.parent))
    one = pexpect.spawn(str(ROOT / "tests/demo/host.sh"), timeout=60, encoding="utf-8", codec_errors="replace", dimensions=(50, 160),
                        env=env, cwd=str(ROOT))
    one.logfile_read = open(workdir / "console.log", "w")
    yield one
    one.close(force=True)
    subprocess.run(["/usr/bin/python3", ROOT / "tests/demo/demo.py", "stop", workdir / "demo"], check=True)


def say(host, line, timeout=30):
    host.sendline(line)
    host.expect_exact(PROMPT, timeout=timeout)
    return host.before.partition(line)[2].replace("\r", "")


def test_host_run_pulls_runs_and_refuses(host, workdir):
    host.expect_exact(PROMPT)
    end, screen = time.monotonic() + 60, ""
    while time.monotonic() < end and not ("1 running" in screen and "1 refused" in screen):
        time.sleep(0.5)
        screen = say(host, "status")
    assert re.search(r"(?m)^hello +running .*/demo/hello:1", screen), screen + say(host, "log")
    assert "signed by /etc/coracle/keys/cosign.pub" in screen and "digest sha256:" in screen
    assert re.search(r"(?m)^unsigned +refused(?s:.*)signature", screen), screen
    time.sleep(1)
    logs = say(host, "logs hello")
    assert "started on" in logs and "a greeting from layer 3" in logs and "processes I can see: 1" in logs
    host.sendline("poweroff")
    host.expect_exact("registry stopped", timeout=60)
    host.expect(pexpect.EOF)
    host.close()
    assert host.exitstatus == 0
    assert str(workdir) not in pathlib.Path("/proc/self/mountinfo").read_text()
