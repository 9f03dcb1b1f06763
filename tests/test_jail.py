# SPDX-License-Identifier: MIT
"""A hostile program in the net, layout, inflate, unpack, judge and resolve jails, put there by the real launcher: what it tries fails, with seccomp and without."""
import os, socket, subprocess
import pytest

import layerkit

ATTEMPTS = ("open", "write", "execute", "dotdot", "connect", "packet", "ptrace", "kill", "memory", "mount", "mknod", "setuid")
SPECS = [jail + how for jail in ("net", "unpack", "inflate", "layout", "judge", "resolve") for how in ("", "+open")]


@pytest.fixture(scope="session")
def hostile(programs, tmp_path_factory):
    """tests/tools/jail_hostile.c on the same objects as the programs."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    deps, out = programs.folder / "deps", tmp_path_factory.mktemp("hostile") / "jail_hostile"
    archives = [str(programs.folder / f / ("lib%s.a" % f)) for f in ("fetch", "bundle", "lib")]
    subprocess.run([str(deps / "bin/musl-gcc"), "-std=c11", "-D_GNU_SOURCE", "-Os", "-fPIE", "-static-pie",
                    '-DMBEDTLS_CONFIG_FILE="coracle_mbedtls_config.h"', "-I%s" % programs.folder, "-I%s/include" % deps,
                    *["-I%s/%s" % (root, d) for d in ("lib", "fetch", "bundle")], root + "/tests/tools/jail_hostile.c", "-o", str(out),
                    "-L%s/lib" % deps, "-Wl,--gc-sections,--start-group", *archives, "-lcurl", *layerkit.LIBS, "-Wl,--end-group"], check=True)
    return out


@pytest.fixture
def listener():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        yield s.getsockname()[1]


@pytest.fixture
def victim():
    sleeper = subprocess.Popen(["sleep", "60"])
    yield sleeper.pid
    assert sleeper.poll() is None, "the victim died"
    sleeper.kill()
    sleeper.wait()


def go(hostile, spec, attempt, victim, port):
    return subprocess.run([str(hostile), spec, attempt, str(victim), str(port)], timeout=30).returncode


@pytest.mark.parametrize("spec", SPECS)
def test_harmless_program_runs(hostile, spec, victim, listener):
    assert go(hostile, spec, "nothing", victim, listener) == 42


def test_attempts_work_outside(hostile, victim, listener):
    """The attempts are real: outside of a jail the same program succeeds."""
    for attempt in ("open", "connect", "memory"):
        assert subprocess.run([str(hostile), "--inside", attempt, str(victim), str(listener)]).returncode == 0


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("spec", SPECS)
def test_attempt_fails(hostile, spec, attempt, victim, listener):
    code = go(hostile, spec, attempt, victim, listener)
    if (spec[:7], attempt) == ("resolve", "connect"):
        assert code == 0        # it asks name servers: the network is what it has, and all that it has
        return
    assert code == 1 or (code == 128 + 31 and "+open" not in spec), code
