# SPDX-License-Identifier: MIT
"""coracle-init run BUNDLE: exit statuses, signals, records that don't fit, layers, what is left behind."""
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "tools"))
import bundle_kit  # noqa: E402
import record_writer  # noqa: E402


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def start(bundle, **kw):
    return subprocess.Popen([bundle_kit.INIT, "run", bundle], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kw)


# Exit statuses


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_exit_status_is_the_programs(kit, status):
    assert kit.probe_in("exit", status).returncode == status


def test_signal_is_128_plus_n(kit):
    assert kit.probe_in("raise", int(signal.SIGSEGV)).returncode == 128 + signal.SIGSEGV


@pytest.mark.parametrize("arg", ["/no/such", "nosuch"])
def test_not_found_is_127_and_named(kit, arg):
    b = kit.bundle()
    c = kit.config()
    c["process"]["args"] = [arg]
    p = kit.run(b, c)
    assert p.returncode == 127
    assert arg in p.stderr and "No such file" in p.stderr


def test_not_executable_is_126(kit):
    b = kit.bundle()
    (b / "rootfs/etc/data").write_text("data")
    c = kit.config()
    c["process"]["args"] = ["/etc/data"]
    p = kit.run(b, c)
    assert p.returncode == 126
    assert "/etc/data" in p.stderr


def test_wrong_format_is_126(kit):
    b = kit.bundle()
    (b / "rootfs/etc/prog").write_text("no program at all")
    (b / "rootfs/etc/prog").chmod(0o755)
    c = kit.config()
    c["process"]["args"] = ["/etc/prog"]
    p = kit.run(b, c)
    assert p.returncode == 126 and "exec /etc/prog: Exec format error: no program of this processor's architecture" in p.stderr
    foreign = bytearray(kit.probe.read_bytes())
    foreign[18:20] = b"\xf3\0"      # e_machine: RISC-V
    (b / "rootfs/etc/prog").write_bytes(foreign)
    p = kit.run(b, c)
    assert p.returncode == 126 and "exec /etc/prog: Exec format error: no program of this processor's architecture" in p.stderr


def test_ours_is_125_and_says_step_object_reason(kit):
    p = kit.probe_in("exit", 0, cwd="/not/there")
    assert p.returncode == 125
    assert "cwd" in p.stderr and "/not/there" in p.stderr and "No such file" in p.stderr


def test_usage_is_2():
    for args in ([], ["-x"], ["a", "b"]):
        p = subprocess.run([bundle_kit.INIT, "run", *args], capture_output=True, text=True)
        assert p.returncode == 2
        assert "usage" in p.stderr


def test_missing_bundle_is_125():
    p = subprocess.run([bundle_kit.INIT, "run", "/no/such/bundle"], capture_output=True, text=True)
    assert p.returncode == 125
    assert "/no/such/bundle" in p.stderr


# PATH, environment, stdio


def test_path_of_the_containers_environment(kit):
    b = kit.bundle()
    (b / "rootfs/opt/x").mkdir(parents=True)
    os.rename(b / "rootfs/probe", b / "rootfs/opt/x/tool")
    c = kit.config()
    c["process"]["args"] = ["tool", "exit", "9"]
    c["process"]["env"] = ["PATH=/nowhere:/opt/x"]
    assert kit.run(b, c).returncode == 9


def test_environment_is_the_records_only(kit):
    b = kit.bundle()
    os.environ["LEAKED"] = "1"
    try:
        p = kit.run(b, kit.config("env", "LEAKED", "env", "TERM"))
    finally:
        del os.environ["LEAKED"]
    assert "env LEAKED=(unset)" in p.stdout
    assert "env TERM=xterm" in p.stdout


def test_stdin_passes_through(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("cat", "/dev/stdin"))
    p = subprocess.run([bundle_kit.INIT, "run", b], input="through\n", capture_output=True, text=True)
    assert "through" in p.stdout


def test_closed_stdio_is_null_and_none_of_ours(kit):
    """With 0 and 1 closed in the caller, its next descriptors (bundle, record) must not become the program's stdio."""
    b = kit.bundle()
    c = kit.config()
    c["mounts"].append({"destination": "/tmp", "type": "bind", "source": str(b / "out"), "options": ["bind"]})
    (b / "out").mkdir()
    c["process"]["args"] = ["/probe", "save-links", "/tmp/links", "exit", "3"]
    kit.write_record(b, c)
    p = subprocess.run(["sh", "-c", 'exec "$0" run "$1" 1>&- 0<&-', bundle_kit.INIT, b], capture_output=True, text=True)
    assert p.returncode == 3, p.stderr
    links = (b / "out/links").read_text().split()
    assert links[:2] == ["/dev/null", "/dev/null"] and links[2].startswith("pipe:")


# Signals and life


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(kit, sig):
    b = kit.bundle()
    kit.write_record(b, kit.config("term", "got it"))
    p = start(b)
    assert p.stdout.readline() == "ready\n"
    p.send_signal(sig)
    out, _ = p.communicate(timeout=10)
    assert out == "got it\n"
    assert p.returncode == 40 + sig


TICKS = ["sleep", 20, "echo", "tick"] * 50 + ["exit", 7]


def test_stopped_and_continued(kit):
    """SIGTSTP, as Ctrl-Z sends it: the program stands still, then the runner, as a shell waits for; SIGCONT: both go on, nothing is lost."""
    b = kit.bundle()
    kit.write_record(b, kit.config(*TICKS))
    p = start(b)
    for _ in range(2):
        assert p.stdout.readline() == "tick\n"
        p.send_signal(signal.SIGTSTP)
        bundle_kit.wait_stopped(p.pid)
        waiting = struct.Struct("i")
        count = lambda: waiting.unpack(fcntl.ioctl(p.stdout, termios.FIONREAD, waiting.pack(0)))[0]
        time.sleep(0.05)                                    # the program's own stop is under way
        before = count()
        time.sleep(0.3)
        assert count() == before
        p.send_signal(signal.SIGCONT)
    out, err = p.communicate(timeout=20)
    assert out.count("tick\n") == 48 and p.returncode == 7, (out, err)


def children_named(name):
    found = []
    for d in pathlib.Path("/proc").iterdir():
        if d.name.isdigit():
            try:
                if name in (d / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(d.name))
            except OSError:
                pass
    return found


def test_container_dies_with_its_runner(kit):
    b = kit.bundle()
    token = f"token-{os.getpid()}"
    kit.write_record(b, kit.config("term", token))
    p = start(b)
    assert p.stdout.readline() == "ready\n"
    assert len(children_named(token)) == 1
    p.kill()
    p.communicate()
    deadline = time.monotonic() + 5
    while children_named(token) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children_named(token) == []


def ignore_every_signal():
    """By the kernel's own call: a C library keeps some (32, 33) for itself, and a caller with another library may ignore them."""
    number = {"x86_64": 13, "aarch64": 134}[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    ignore = (ctypes.c_ulong * 8)(1)
    for s in range(1, 65):
        if s not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
            assert libc.syscall(number, s, ignore, None, 8) == 0, s


def test_ignored_and_blocked_signals_are_not_inherited(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("cat", "/proc/self/status"))
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       preexec_fn=ignore_every_signal)
    status = dict(line.split(":\t", 1) for line in p.stdout.splitlines() if ":\t" in line)
    assert status["SigBlk"] == status["SigIgn"] == status["SigCgt"] == "0" * 16


def host_mounts():
    """Less what other tests on this machine mount and unmount beneath their own folders."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if "/pytest-" not in line]


def test_nothing_stays_on_the_host(kit):
    before = host_mounts()
    for _ in range(3):
        assert kit.probe_in("exit", 0).returncode == 0
        assert kit.probe_in("exit", 0, cwd="/not/there").returncode == 125
    assert host_mounts() == before


@pytest.mark.parametrize("order", ["told of first", "dead first"])
def test_starter_that_dies_before_it_lets_the_program_go_is_named(kit, order):
    """The program's process reads an end instead of the word that lets it go, and says so; also when it is dead before the starter has told of it."""
    b = kit.bundle()
    kit.write_record(b, kit.config("exit", 0))
    late = {"told of first": "inject=read:retval=0:when=1:delay_enter=300000", "dead first": "inject=sendmsg:delay_enter=300000"}[order]
    p = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=read,sendmsg", "-e", "inject=read:retval=0:when=1", "-e", late, bundle_kit.INIT, "run", b],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (p.returncode, p.stdout) == (125, "") and "starter: it died" in p.stderr, p


def injected(bundle, call, *follow, **kw):
    """run, with one of its own system calls refused by strace."""
    return subprocess.run(["strace", *follow, "-qq", "-o", "/dev/null", "-e", "trace=" + call.split(":")[0], "-e", "inject=" + call, bundle_kit.INIT, "run", bundle],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **kw)


def test_compiler_that_is_killed_is_named(kit):
    b = kit.bundle()
    (b / "config.json").write_text("{}")
    (kit.base / "bin").mkdir()
    shutil.copy2(bundle_kit.INIT, kit.base / "bin/coracle-init")
    (kit.base / "bin/coracle-bundle").write_text("#!/bin/sh\nkill -9 $$\n")
    (kit.base / "bin/coracle-bundle").chmod(0o755)
    p = subprocess.run([kit.base / "bin/coracle-init", "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert p.returncode == 125 and "compile was killed" in p.stderr, p


def test_no_process_for_the_compiler_is_said(kit):
    b = kit.bundle()
    (b / "config.json").write_text("{}")
    p = injected(b, "fork:error=EAGAIN")
    assert p.returncode == 125 and "no process for coracle-bundle" in p.stderr, p


def test_no_null_device_of_the_host_is_said(kit):
    p = injected(kit.bundle(), "open:error=ENFILE:when=1")
    assert p.returncode == 125 and "/dev/null: " in p.stderr, p


@pytest.mark.parametrize("when", ["1", "2+"])
def test_wait_that_is_refused_is_no_end(kit, when):
    """Short of memory poll(2) fails: the program's own status is what counts, never a status of its own making while it runs."""
    b = kit.bundle()
    kit.write_record(b, kit.config("sleep", 300, "exit", 7))
    p = injected(b, "poll:error=ENOMEM:when=" + when)
    assert p.returncode == 7, p


def test_stages_killed_at_any_time(kit):
    """The first child that can be seen (starter, then program) is killed after a delay that sweeps the whole start: never a
    hang, always a status that says so, no process and no mount left."""
    b = kit.bundle()
    token = f"killed-{os.getpid()}"
    kit.write_record(b, kit.config("echo", token, "sleep", 5000))
    before = host_mounts()
    seen = set()
    for i in range(400):
        if i >= 60 and len(seen) == 2:
            break
        p = start(b)
        children = pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children")
        found = []
        while not found:
            found = children.read_text().split()
        time.sleep(i % 200 * 0.00005)
        deadline = time.monotonic() + 60
        while p.poll() is None:     # a starter that was seen may be gone when the kill comes, and its program still there
            for pid in children.read_text().split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            assert time.monotonic() < deadline, "it hangs"
            time.sleep(0.005)
        out, err = p.communicate()
        assert p.returncode in (125, 137), (i, p.returncode, out, err)
        if p.returncode == 125:
            assert "starter" in err or "coracle-init" in err
        seen.add(p.returncode)
    assert seen == {125, 137}, "the sweep did not reach both stages"
    assert children_named(token) == []
    assert host_mounts() == before


# Records


def good_record(kit):
    b = kit.bundle()
    return b, record_writer.oci(kit.config("exit", 0), b)


def refused(kit, b, data):
    """A record that is not taken, and with no config.json to compile there is nothing to run."""
    kit.write_record(b, data)
    p = kit.run(b)
    assert p.returncode == 125, p.stderr
    assert p.stdout == ""
    return p


def test_record_is_good_to_begin_with(kit):
    b, data = good_record(kit)
    kit.write_record(b, data)
    assert kit.run(b).returncode == 0


@pytest.mark.parametrize("keep", [0, 1, 8, 303, 304, -1])
def test_truncated_record(kit, keep):
    b, data = good_record(kit)
    refused(kit, b, data[:keep])


def test_bit_flips(kit):
    """One flip in each stretch of the record; the checksum finds them all."""
    b, data = good_record(kit)
    for at in range(0, len(data), len(data) // 40):
        bad = bytearray(data)
        bad[at] ^= 1 << at % 8
        refused(kit, b, bytes(bad))


def test_wrong_format_version(kit):
    b, data = good_record(kit)
    bad = bytearray(data)
    struct.pack_into("<I", bad, 8, record_writer.FORMAT + 1)
    refused(kit, b, record_writer.seal(bad))


@pytest.mark.parametrize("at", [32, 48, 56, 64, 72, 96, 104, 160, 168, 176, 184, 192, 208, 216, 224, 232, 240, 248, 256,
                                264, 280, 288, 296, 312])
def test_offset_outside(kit, at):
    """Each string and list of the head in turn points behind the end; the checksum is right."""
    b, data = good_record(kit)
    bad = bytearray(data)
    struct.pack_into("<II", bad, at, len(data) & ~7, 64)
    refused(kit, b, record_writer.seal(bad))


def test_string_without_end(kit):
    b, data = good_record(kit)
    bad = bytearray(data)
    off, length = struct.unpack_from("<II", bad, 72)
    assert bad[off:off + length] == b"/"
    struct.pack_into("<II", bad, 72, off, length - 1 + 5)
    refused(kit, b, record_writer.seal(bad))


def test_record_older_than_config_is_not_used(kit):
    b, data = good_record(kit)
    path = kit.write_record(b, data)
    (b / "config.json").write_text("{")
    os.utime(path, (1, 1))
    p = kit.run(b)
    assert p.returncode == 125


def test_newest_fitting_record_wins(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("exit", 3), name="record.2.aa")
    kit.write_record(b, kit.config("exit", 4), name="record.2.bb")
    kit.write_record(b, b"damaged", name="record.2.cc")
    kit.write_record(b, kit.config("exit", 5), name="record.3.dd")
    for n, t in (("record.2.aa", 100), ("record.2.bb", 200), ("record.2.cc", 300), ("record.3.dd", 400)):
        os.utime(b / n, (t, t))
    assert kit.run(b).returncode == 4


def test_user_namespace_is_refused_by_name(kit):
    b = kit.bundle()
    c = kit.config("exit", 0)
    c["linux"]["namespaces"].append({"type": "user"})
    p = kit.run(b, c)
    assert p.returncode == 125
    assert "user namespace" in p.stderr


# Rootfs from layers


def make_store(kit, count):
    """COUNT layers; each has a file of its own and all have /etc/which; topmost first."""
    b = kit.bundle()
    store = b / "store"
    names = []
    for i in range(count):
        layer = store / "layers" / f"l{i}"
        (layer / "etc").mkdir(parents=True)
        (layer / "etc/which").write_text(f"layer {i}\n")
        (layer / "etc" / f"own{i}").write_text("x")
        names.append(f"l{i}")
    bottom = store / "layers" / names[-1]
    for d in ("proc", "sys", "dev", "tmp"):
        (bottom / d).mkdir()
    os.rename(b / "rootfs/probe", bottom / "probe")
    return b, store, names


@pytest.mark.parametrize("count", [1, 2, 3, 127])
def test_layers(kit, count):
    b, store, names = make_store(kit, count)
    c = kit.config("cat", "/etc/which", "ls", "/etc", "write", "/etc/x", "cat", "/proc/self/mountinfo")
    c["root"]["readonly"] = False
    kit.write_record(b, record_writer.oci(c, b, layers=names, store=store))
    p = kit.run(b)
    assert p.returncode == 0, p.stderr
    assert "\nlayer 0\n" in p.stdout
    assert p.stdout.count("ls /etc=own") == count
    assert "write /etc/x!EROFS" in p.stdout


def test_whiteout_hides(kit):
    b, store, names = make_store(kit, 3)
    os.mknod(store / "layers/l0/etc/own2", 0o20000, 0)
    p = kit.run(b, kit.config("ls", "/etc"), layers=names, store=store)
    assert "ls /etc=own1" in p.stdout and "own2" not in p.stdout


def test_missing_layer_is_named(kit):
    b, store, names = make_store(kit, 1)
    p = kit.run(b, kit.config("exit", 0), layers=["gone"], store=store)
    assert p.returncode == 125 and "gone" in p.stderr


def test_missing_mount_target_in_a_read_only_image_is_named(kit):
    b, store, names = make_store(kit, 2)
    c = kit.config("exit", 0)
    c["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": []})
    p = kit.run(b, c, layers=names, store=store)
    assert p.returncode == 125 and "/data" in p.stderr


# Mounts


def test_bind_of_directory_and_file(kit):
    b = kit.bundle()
    (b / "vol").mkdir()
    (b / "vol/in").write_text("volume\n")
    (b / "one").write_text("one file\n")
    c = kit.config("cat", "/vol/in", "write", "/vol/new", "cat", "/etc/one", "write", "/etc/one")
    c["mounts"] += [
        {"destination": "/vol", "type": "bind", "source": str(b / "vol"), "options": ["rbind", "rw"]},
        {"destination": "/etc/one", "type": "bind", "source": str(b / "one"), "options": ["bind", "ro"], "is_file": True},
        {"destination": "/vol2", "type": "bind", "source": str(b / "gone"), "options": ["bind"], "optional": True},
    ]
    p = kit.run(b, c)
    assert "\nvolume\n" in p.stdout and "\none file\n" in p.stdout
    assert "write /vol/new=1" in p.stdout
    assert "write /etc/one!EROFS" in p.stdout
    assert (b / "vol/new").exists()


def test_unknown_file_system_option_is_named(kit):
    c = kit.config("exit", 0)
    c["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nonsense=1"]})
    p = kit.run(kit.bundle(), c)
    assert p.returncode == 125 and "nonsense" in p.stderr


def test_rlimits_umask_groups_user(kit):
    b = kit.bundle()
    c = kit.config("rlimit", 7, "ids", ".", "cat", "/proc/self/status")
    c["process"]["user"] = {"uid": 1000, "gid": 1001, "umask": 0o077, "additionalGids": [5, 6]}
    p = kit.run(b, c)
    assert "rlimit 7=512 1024" in p.stdout
    assert "ids=1000:1001 5 6" in p.stdout
    assert "Umask:\t0077" in p.stdout


def test_oom_score_adj(kit):
    b = kit.bundle()
    p = kit.run(b, kit.config("cat", "/proc/self/oom_score_adj", oomScoreAdj=321))
    assert "\n321\n" in p.stdout


def test_sysctl_of_its_own_namespace(kit):
    c = kit.config("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start")
    c["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "77"}
    host = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    assert "\n77\n" in kit.run(kit.bundle(), c).stdout
    assert pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == host


def test_sysctl_of_the_host_is_refused(kit):
    c = kit.config("exit", 0)
    c["linux"]["sysctl"] = {"kernel.panic": "77"}
    host = pathlib.Path("/proc/sys/kernel/panic").read_text()
    p = kit.run(kit.bundle(), c)
    assert p.returncode == 125 and "kernel/panic" in p.stderr
    assert pathlib.Path("/proc/sys/kernel/panic").read_text() == host


def test_missing_limits_are_one_warning_line(kit):
    """Only where the host has no cgroup v2 at /sys/fs/cgroup; elsewhere the limit is there."""
    c = kit.config("cat", "/sys/fs/cgroup/pids.max", "exit", 0)
    c["_cgroup_files"] = {"pids.max": "33", "memory.max": "100000000"}
    p = kit.run(kit.bundle(), c)
    assert p.returncode == 0
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert p.stderr == "" and "\n33\n" in p.stdout
    else:
        assert p.stderr.count("\n") == 1 and "limits skipped" in p.stderr


# cgroup v2, in a mount namespace where /sys/fs/cgroup is nothing else


def run_on_cgroup2(kit, b, after="", env=None):
    script = ('umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup || exit 99; "$0" run "$1"; r=$?; '
              + after + ' exit $r')
    return subprocess.run(["unshare", "-m", "sh", "-c", script, bundle_kit.INIT, b], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)


def test_cgroup_is_its_own_view_and_gone_afterwards(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("cat", "/proc/self/cgroup", "cat", "/sys/fs/cgroup/cgroup.procs", "mkdir",
                                   "/sys/fs/cgroup/sub", "cat", "/proc/self/mountinfo"))
    p = run_on_cgroup2(kit, b, after='ls -d /sys/fs/cgroup/coracle.run*; echo "left above";')
    assert p.returncode == 0, p.stderr
    assert re.search(r"cgroup:\n(.*\n)*0::/\n", p.stdout)
    assert "cgroup.procs:\n1\nend" in p.stdout
    assert "mkdir /sys/fs/cgroup/sub!EROFS" in p.stdout
    assert " /sys/fs/cgroup ro," in p.stdout and "- cgroup2 " in p.stdout
    assert p.stdout.endswith("end /proc/self/mountinfo\nleft above\n")


def test_all_of_the_group_is_stopped_and_continued(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config(*TICKS))
    script = ('umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup || exit 99; "$0" run "$1" & p=$!; g=/sys/fs/cgroup/coracle.run.$p/cgroup.events; '
              'sleep 0.3; kill -TSTP $p; sleep 0.2; cat $g; kill -CONT $p; sleep 0.2; cat $g; wait $p')
    p = subprocess.run(["unshare", "-m", "sh", "-c", script, bundle_kit.INIT, b], capture_output=True, text=True, timeout=30)
    assert p.returncode == 7 and p.stdout.count("tick\n") == 50, p
    assert re.findall("frozen ([01])", p.stdout) == ["1", "0"], p.stdout


def test_writable_cgroup_with_groups_inside_is_removed_too(kit):
    b = kit.bundle()
    c = kit.config("mkdir", "/sys/fs/cgroup/a", "mkdir", "/sys/fs/cgroup/a/b", "exit", 3)
    c["mounts"][-1]["options"] = ["nosuid", "noexec", "nodev", "rw"]
    kit.write_record(b, c)
    p = run_on_cgroup2(kit, b, after='ls -d /sys/fs/cgroup/coracle.run*;')
    assert p.returncode == 3
    assert p.stdout == "mkdir /sys/fs/cgroup/a=0\nmkdir /sys/fs/cgroup/a/b=0\n"


def test_failed_start_leaves_no_cgroup(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("exit", 0, cwd="/not/there"))
    p = run_on_cgroup2(kit, b, after='ls -d /sys/fs/cgroup/coracle.run*;')
    assert p.returncode == 125 and p.stdout == ""


def test_limit_that_the_kernel_lacks_is_named(kit):
    b = kit.bundle()
    c = kit.config("exit", 0)
    c["_cgroup_files"] = {"nosuch.max": "1", "cgroup.max.depth": "0"}
    kit.write_record(b, c)
    p = run_on_cgroup2(kit, b)
    assert p.returncode == 0 and "nosuch.max" in p.stderr and "cgroup.max.depth" not in p.stderr


def test_limit_with_a_bad_value_fails_the_start(kit):
    b = kit.bundle()
    c = kit.config("exit", 0)
    c["_cgroup_files"] = {"cgroup.max.depth": "nonsense"}
    kit.write_record(b, c)
    p = run_on_cgroup2(kit, b)
    assert p.returncode == 125 and "cgroup.max.depth" in p.stderr


def test_limit_key_cannot_leave_the_group(kit):
    b = kit.bundle()
    c = kit.config("exit", 0)
    c["_cgroup_files"] = {"../cgroup.max.depth": "1"}
    kit.write_record(b, c)
    p = run_on_cgroup2(kit, b)
    assert p.returncode == 125 and "../cgroup.max.depth" in p.stderr


# The whole way: config.json through the compiler


def test_config_json_is_compiled_and_run(kit):
    b = kit.bundle()
    c = kit.config("host", ".", "cat", "/proc/self/status", "exit", 6)
    (b / "config.json").write_text(json.dumps(c))
    p = kit.run(b)
    assert p.returncode == 6, p.stderr
    assert "host=boxed" in p.stdout
    assert list(b.glob("record.2.*"))
    changed = dict(c, hostname="other")
    (b / "config.json").write_text(json.dumps(changed))
    p = kit.run(b)
    assert p.returncode == 6 and "host=other" in p.stdout, p.stderr


def test_crun_spec_runs(kit):
    """The config.json that `crun spec` writes, less the terminal, with the probe as its program."""
    b = kit.bundle()
    subprocess.run(["crun", "spec"], cwd=b, check=True)
    c = json.loads((b / "config.json").read_text())
    c["process"]["terminal"] = False
    c["process"]["args"] = ["/probe", "pwd", ".", "exit", "5"]
    (b / "config.json").write_text(json.dumps(c))
    p = kit.run(b)
    assert p.returncode == 5, p.stderr
    assert "pwd=/" in p.stdout
