# SPDX-License-Identifier: MIT
"""What a container can see and do, and what a hostile rootfs can make the start do. Each known hole of other runtimes
that applies to starting has a test here named after it."""
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "tools"))
import bundle_kit  # noqa: E402
import record_writer  # noqa: E402


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def status_of(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def mounts_of(text):
    """mountinfo -> [(mount point, options, optional fields, fstype, source)]"""
    found = []
    for line in text.splitlines():
        m = re.match(r"\d+ \d+ \S+ (\S+) (\S+) (\S+) (.*?)- (\S+) (\S+) (\S+)$", line)
        if m:
            found.append(dict(root=m[1], point=m[2], options=m[3].split(","), optional=m[4].strip(), fstype=m[5],
                              source=m[6]))
    return found


def inner(kit, *args, **process):
    p = kit.probe_in(*args, **process)
    assert p.returncode == 0, p.stderr
    return p.stdout


# What it sees


def test_root_is_read_only(kit):
    out = inner(kit, "write", "/x", "write", "/etc/x", "mkdir", "/d", "write", "/probe")
    assert out.count("!EROFS") == 3 and "write /probe!" in out


def test_writable_places_are_the_mounted_ones(kit):
    out = inner(kit, "write", "/dev/shm/x", "write", "/proc/sys/kernel/hostname", "write", "/sys/x")
    assert "write /dev/shm/x=1" in out
    assert "write /proc/sys/kernel/hostname!EROFS" in out
    assert "write /sys/x!" in out


def test_other_processes_are_invisible(kit):
    out = inner(kit, "ls", "/proc", "sid", ".")
    pids = [m for m in re.findall(r"^ls /proc=(\d+)$", out, re.M)]
    assert pids == ["1"]
    assert "sid=1 pid=1 pgid=1 ppid=0" in out


def test_hostname_and_cwd(kit):
    host = os.uname().nodename
    out = inner(kit, "host", ".", "pwd", ".", cwd="/etc")
    assert "host=boxed" in out and "pwd=/etc" in out
    assert os.uname().nodename == host


def test_descriptors_are_0_1_2_only(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("links", "/proc/self/fd"))
    leak = os.open("/etc", os.O_RDONLY)
    os.set_inheritable(leak, True)
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       pass_fds=[leak])
    os.close(leak)
    fds = re.findall(r"^ls /proc/self/fd=(\d+) ->", p.stdout, re.M)
    assert fds == ["0", "1", "2"]


def test_mounts_are_the_records_and_no_other(kit):
    out = inner(kit, "cat", "/proc/self/mountinfo")
    mounts = mounts_of(out)
    want = {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"}
    allowed = want | set(bundle_kit.CONFIG["linux"]["maskedPaths"]) | set(bundle_kit.CONFIG["linux"]["readonlyPaths"])
    points = [m["point"] for m in mounts]
    assert want <= set(points) <= allowed
    assert len(points) == len(set(points))
    assert all(m["optional"] == "" for m in mounts), "a mount still has a peer on the host"
    root = next(m for m in mounts if m["point"] == "/")
    assert {"ro", "nodev"} <= set(root["options"])


def test_dev_is_fresh_and_minimal(kit):
    b = kit.bundle()
    (b / "rootfs/dev/evil").write_text("of the image")
    p = kit.run(b, kit.config("ls", "/dev", "stat", "/dev/null", "stat", "/dev/tty", "stat", "/dev/full"))
    assert set(re.findall(r"^ls /dev=(\S+)", p.stdout, re.M)) == {
        "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm",
        "mqueue"}
    assert "stat /dev/null=20666 0:0 1:3" in p.stdout
    assert "stat /dev/tty=20666 0:0 5:0" in p.stdout
    assert "stat /dev/full=20666 0:0 1:7" in p.stdout


def test_device_of_the_record(kit):
    c = kit.config("stat", "/dev/mine/fuse", "open", "/dev/mine/fuse")
    c["linux"]["devices"] = [{"path": "/dev/mine/fuse", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7,
                              "gid": 8}]
    out = kit.run(kit.bundle(), c).stdout
    assert "stat /dev/mine/fuse=20640 7:8 1:3" in out


@pytest.mark.parametrize("path", ["/etc/x", "/dev/../etc/x", "/dev/../../x", "/dev"])
def test_device_outside_dev_is_refused(kit, path):
    b = kit.bundle()
    c = kit.config("exit", 0)
    c["linux"]["devices"] = [{"path": path, "type": "c", "major": 1, "minor": 3}]
    p = kit.run(b, c)
    assert p.returncode == 125 and path in p.stderr
    assert not (b / "rootfs/etc/x").exists() and not (b / "x").exists() and not (b / "rootfs/x").exists()


def test_masked_paths(kit):
    masked = [p for p in bundle_kit.CONFIG["linux"]["maskedPaths"] if os.path.exists(p)]
    assert "/proc/keys" in masked and "/sys/firmware" in masked
    args = []
    for p in masked:
        args += ["ls" if os.path.isdir(p) else "cat", p]
    out = inner(kit, *args)
    for p in masked:
        if os.path.isdir(p):
            assert f"ls {p}" not in out
        else:
            assert f"cat {p}:\nend {p}\n" in out


def test_readonly_paths(kit):
    out = inner(kit, "write", "/proc/sys/net/ipv4/ip_forward", "write", "/proc/sysrq-trigger",
                "write", "/proc/irq/default_smp_affinity")
    assert "write /proc/sys/net/ipv4/ip_forward!EROFS" in out
    assert "write /proc/sysrq-trigger=1" not in out
    assert "write /proc/irq/default_smp_affinity!EROFS" in out


def test_masks_cannot_be_taken_off(kit):
    out = inner(kit, "sys", "umount-proc-sys", "sys", "remount-root", "sys", "mount", "sys", "pivot")
    assert out.count("!EPERM") == 4


def test_network_is_its_own_with_loopback_up(kit):
    out = inner(kit, "ls", "/sys/class/net", "sys", "loopback")
    assert re.findall(r"^ls /sys/class/net=(\S+)", out, re.M) == ["lo"]
    assert "sys loopback=1" in out


# Capabilities, no_new_privs, seccomp


def hex_caps(names):
    return f"{record_writer.caps(names):016x}"


@pytest.mark.parametrize("names", [[], ["CAP_KILL"], bundle_kit.DEFAULT_CAPS])
def test_capabilities_are_the_records(kit, names):
    c = kit.config("cat", "/proc/self/status")
    c["process"]["capabilities"] = {k: names for k in ("bounding", "effective", "permitted")}
    s = status_of(kit.run(kit.bundle(), c).stdout)
    assert s["CapPrm"] == s["CapEff"] == s["CapBnd"] == hex_caps(names)
    assert s["NoNewPrivs"] == "1"


def test_cve_2022_24769_inheritable_and_ambient_are_empty(kit):
    s = status_of(inner(kit, "cat", "/proc/self/status"))
    assert s["CapInh"] == s["CapAmb"] == "0" * 16


def test_user_has_no_capabilities_without_ambient(kit):
    s = status_of(inner(kit, "cat", "/proc/self/status", user={"uid": 1000, "gid": 1000}))
    assert s["CapPrm"] == s["CapEff"] == "0" * 16
    assert s["Uid"] == "\t".join(["1000"] * 4) and s["Gid"] == "\t".join(["1000"] * 4)


def test_user_has_the_ambient_ones(kit):
    c = kit.config("cat", "/proc/self/status", user={"uid": 1000, "gid": 1000})
    c["process"]["capabilities"] = {k: ["CAP_NET_BIND_SERVICE"]
                                    for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    s = status_of(kit.run(kit.bundle(), c).stdout)
    assert s["CapEff"] == s["CapAmb"] == s["CapPrm"] == hex_caps(["CAP_NET_BIND_SERVICE"])


def test_capability_that_cannot_be_granted_is_a_warning(kit):
    """runtime-spec, process.capabilities. The runner is started without CAP_SYS_TIME."""
    b = kit.bundle()
    c = kit.config("cat", "/proc/self/status")
    names = ["CAP_KILL", "CAP_SYS_TIME"]
    c["process"]["capabilities"] = {k: names for k in ("bounding", "effective", "permitted")}
    kit.write_record(b, c)
    p = subprocess.run(["setpriv", "--bounding-set=-sys_time", bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True)
    assert p.returncode == 0
    assert "capabilities" in p.stderr and "25" in p.stderr
    assert status_of(p.stdout)["CapEff"] == hex_caps(["CAP_KILL"])


def test_set_user_id_does_nothing(kit):
    b = kit.bundle()
    (b / "rootfs/probe").chmod(0o4755)
    c = kit.config("ids", ".", "setuid", 0, user={"uid": 1000, "gid": 1000})
    out = kit.run(b, c).stdout
    assert "ids=1000:1000" in out and "setuid 0!EPERM" in out


@pytest.mark.parametrize("which", ["uid", "gid"])
def test_cve_2024_40635_id_that_means_no_change_is_refused(kit, which):
    p = kit.probe_in("ids", ".", user={"uid": 1000, "gid": 1000, which: 0xFFFFFFFF})
    assert p.returncode == 125 and "ids=" not in p.stdout and "4294967295" in p.stderr


# struct sock_filter: unshare and bpf are EPERM, everything else allowed
FILTER = [(0x20, 0, 0, 0), (0x15, 2, 0, 272), (0x15, 1, 0, 321), (0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]


@pytest.mark.parametrize("nnp", [True, False])
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skip: the filter's numbers are x86_64's")
def test_seccomp_is_the_records(kit, nnp):
    c = kit.config("cat", "/proc/self/status", "sys", "bpf", "sys", "unshare-user", noNewPrivileges=nnp)
    c["_filter"] = FILTER
    p = kit.run(kit.bundle(), c)
    s = status_of(p.stdout)
    assert (s["Seccomp"], s["Seccomp_filters"], s["NoNewPrivs"]) == ("2", "1", "1" if nnp else "0"), p.stderr
    assert "sys bpf!EPERM" in p.stdout and "sys unshare-user!EPERM" in p.stdout


def test_seccomp_comes_last(kit):
    """Allowed is what a program that is told to exit needs; not one system call of the set-up between filter and exec."""
    if os.uname().machine != "x86_64":
        pytest.skip("skip: the filter's numbers are x86_64's")
    allowed = [0, 1, 12, 9, 11, 16, 20, 59, 60, 158, 218, 231, 10, 5]
    f = [(0x20, 0, 0, 0)]
    for i, n in enumerate(allowed):
        f.append((0x15, len(allowed) - i, 0, n))
    f += [(0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
    c = kit.config("exit", 4)
    c["_filter"] = f
    assert kit.run(kit.bundle(), c).returncode == 4


# Holes others fell into


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("to", ["/tmp", "../../host", "/proc/self/fd/5", "/etc"])
def test_cve_2019_19921_symlink_in_place_of(kit, name, to):
    b = kit.bundle()
    (b / "rootfs" / name).rmdir()
    os.symlink(to, b / "rootfs" / name)
    (b / "host").mkdir()
    p = kit.run(b, kit.config("exit", 0))
    assert p.returncode == 125
    assert name in p.stderr and "symlink" in p.stderr
    assert not any((b / "host").iterdir())


def test_cve_2026_41579_dev_symlink_makes_nothing_on_the_host(kit):
    b = kit.bundle()
    target = b / "target"
    target.mkdir()
    (b / "rootfs/dev").rmdir()
    os.symlink(target, b / "rootfs/dev")
    assert kit.run(b, kit.config("exit", 0)).returncode == 125
    assert list(target.iterdir()) == []


def test_cve_2026_88264_console_symlink(kit):
    b = kit.bundle()
    victim = b / "victim"
    victim.write_text("untouched")
    os.symlink(victim, b / "rootfs/dev/console")
    os.symlink(victim, b / "rootfs/dev/null")
    p = kit.run(b, kit.config("stat", "/dev/null", "stat", "/dev/console"))
    assert p.returncode == 0
    assert "stat /dev/null=20666 0:0 1:3" in p.stdout and "stat /dev/console!ENOENT" in p.stdout
    st = victim.stat()
    assert victim.read_text() == "untouched" and (st.st_uid, st.st_gid) == (0, 0)


def test_cve_2026_88265_caller_stdio_is_not_chowned(kit):
    b = kit.bundle()
    out = b / "out"
    kit.write_record(b, kit.config("ids", ".", user={"uid": 1000, "gid": 1000}))
    with out.open("w") as f:
        subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, stdout=f, check=True)
    assert out.stat().st_uid == 0
    assert os.stat("/dev/null").st_uid == 0


def test_cve_2025_31133_null_of_the_image_is_never_used_for_masking(kit):
    b = kit.bundle()
    os.symlink("/proc/sys/kernel/core_pattern", b / "rootfs/dev/null")
    p = kit.run(b, kit.config("cat", "/proc/keys", "cat", "/proc/self/mountinfo"))
    masks = [m for m in mounts_of(p.stdout) if m["point"] == "/proc/keys"]
    assert [(m["fstype"], m["root"]) for m in masks] == [("tmpfs", "/null")]
    assert "cat /proc/keys:\nend /proc/keys" in p.stdout


def test_cve_2025_31133_record_cannot_replace_null(kit):
    c = kit.config("exit", 0)
    c["linux"]["devices"] = [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]
    p = kit.run(kit.bundle(), c)
    assert p.returncode == 125 and "/dev/null" in p.stderr


def test_cve_2021_30465_mount_target_is_a_symlink_out(kit):
    """A target that is a symlink to a host path is resolved inside the rootfs."""
    b = kit.bundle()
    outside = b / "outside"
    outside.mkdir()
    (b / "vol").mkdir()
    (b / "vol/in").write_text("in")
    os.symlink("../../outside", b / "rootfs/etc/link")
    (b / "rootfs/outside").mkdir()
    c = kit.config("cat", "/outside/in")
    c["mounts"].append({"destination": "/etc/link", "type": "bind", "source": str(b / "vol"), "options": ["bind"]})
    p = kit.run(b, c)
    assert p.returncode == 0, p.stderr
    assert "/outside/in:\nin" in p.stdout
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("to", ["/proc/self/fd/3", "/proc/self/root", "/proc/1/root", "/proc/self/cwd"])
def test_cve_2024_45310_mount_target_through_a_magic_link(kit, to):
    b = kit.bundle()
    (b / "vol").mkdir()
    os.symlink(to, b / "rootfs/etc/link")
    c = kit.config("exit", 0)
    c["mounts"].append({"destination": "/etc/link/x", "type": "bind", "source": str(b / "vol"), "options": ["bind"]})
    p = kit.run(b, c)
    assert p.returncode == 125 and "/etc/link/x" in p.stderr
    assert not os.path.exists("/x")


@pytest.mark.parametrize("n", range(3, 12))
def test_cve_2024_21626_cwd_through_a_descriptor(kit, n):
    p = kit.probe_in("pwd", ".", cwd=f"/proc/self/fd/{n}")
    assert p.returncode == 125 and "cwd" in p.stderr
    assert "pwd=" not in p.stdout


@pytest.mark.parametrize("to", ["/proc/self/fd/4", "/proc/self/fd/6/../..", "/proc/1/cwd", "/proc/self/root/.."])
def test_cve_2024_21626_cwd_through_a_symlink_of_the_image(kit, to):
    b = kit.bundle()
    os.symlink(to, b / "rootfs/work")
    p = kit.run(b, kit.config("pwd", ".", cwd="/work"))
    assert p.returncode == 125 and "pwd=" not in p.stdout


def test_cwd_through_a_symlink_stays_inside(kit):
    b = kit.bundle()
    os.symlink("../../../../etc", b / "rootfs/work")
    p = kit.run(b, kit.config("pwd", ".", cwd="/work"))
    assert "pwd=/etc" in p.stdout


def test_cve_2025_52881_sysctl_does_not_go_through_the_images_proc(kit):
    """/proc is a tmpfs of the record with decoys; the sysctl still reaches the kernel and not the decoy."""
    c = kit.config("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "ls", "/proc")
    c["mounts"][0] = {"destination": "/proc", "type": "tmpfs", "source": "tmpfs", "options": []}
    c["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "55"}
    c["mounts"].append({"destination": "/etc", "type": "proc", "source": "proc", "options": []})
    c["process"]["args"] += ["cat", "/etc/sys/net/ipv4/ip_unprivileged_port_start"]
    p = kit.run(kit.bundle(), c)
    assert p.returncode == 0, p.stderr
    assert "cat /proc/sys/net/ipv4/ip_unprivileged_port_start!ENOENT" in p.stdout
    assert "\n55\n" in p.stdout


def test_cve_2023_25173_supplementary_groups(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("ids", ".", user={"uid": 1000, "gid": 1000}))
    p = subprocess.run(["setpriv", "--groups", "4,20,27", bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True)
    assert "ids=1000:1000\n" in p.stdout


def test_cve_2019_5736_own_program_is_out_of_reach(kit):
    """No /proc/PID/exe in the container leads to coracle-init, and the host's program is not in any of its mounts."""
    out = inner(kit, "links", "/proc/1", "ls", "/proc", "cat", "/proc/1/maps")
    assert "exe -> /probe" in out
    assert "coracle-init" not in out


def test_cve_2016_9962_stages_are_not_dumpable(kit):
    """Seen in a trace: PR_SET_DUMPABLE 0 comes before the clone and before anything is mounted."""
    b = kit.bundle()
    kit.write_record(b, kit.config("exit", 0))
    trace = b / "trace"
    subprocess.run(["strace", "-f", "-o", trace, bundle_kit.INIT, "run", b], check=True, stdin=subprocess.DEVNULL)
    text = trace.read_text()
    assert 0 < text.index("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < text.index("unshare(") < text.index("clone3(")


def test_everything_is_close_on_exec_before_exec(kit):
    b = kit.bundle()
    kit.write_record(b, kit.config("exit", 0))
    trace = b / "trace"
    subprocess.run(["strace", "-f", "-o", trace, bundle_kit.INIT, "run", b], check=True, stdin=subprocess.DEVNULL)
    text = trace.read_text()
    last = text.index('execve("/probe"')
    closes = text.rindex("close_range(3", 0, last)      # the starter closed what is the caller's before
    assert 0 < text.index("pivot_root(") < text.index("getcwd(") < closes < last
    between = text[closes:last]
    assert between.count("\n") == 1, "something runs between close_range and execve"


def test_cve_2022_0492_no_cgroup_v1(kit):
    c = kit.config("cat", "/proc/self/mountinfo", "write", "/sys/fs/cgroup/release_agent")
    c["mounts"][-1]["options"] = ["nosuid", "noexec", "nodev"]
    p = kit.run(kit.bundle(), c)
    assert "cgroup" not in [m["fstype"] for m in mounts_of(p.stdout)]
    assert "release_agent!" in p.stdout


def test_tiocsti_own_session(kit):
    """The caller's terminal is not the program's controlling one, so nothing can be typed into it."""
    b = kit.bundle()
    kit.write_record(b, kit.config("sid", ".", "open", "/dev/tty", "sys", "tiocsti"))
    p = subprocess.run(["script", "-qec", f"{bundle_kit.INIT} run {b}", "/dev/null"], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True)
    assert "sid=1 " in p.stdout
    assert "open /dev/tty!ENXIO" in p.stdout
    assert "sys tiocsti!" in p.stdout


def test_session_keyring_is_a_new_one(kit):
    """A key in the caller's session keyring cannot be found inside, while a plain child finds it."""
    number = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)

    def add_key():
        libc.syscall(number[1], 1, None)
        libc.syscall(number[0], b"user", b"coracle-test", b"secret", 6, -3)

    b = kit.bundle()
    kit.write_record(b, kit.config("key", "coracle-test"))
    outside = subprocess.run([kit.probe, "key", "coracle-test"], preexec_fn=add_key, capture_output=True, text=True)
    assert "key coracle-test=1" in outside.stdout
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, preexec_fn=add_key, capture_output=True,
                       text=True)
    assert "key coracle-test!ENOKEY" in p.stdout


def test_device_node_of_the_image_does_not_open(kit):
    b = kit.bundle()
    os.mknod(b / "rootfs/etc/kmsg", 0o20666, os.makedev(1, 3))
    assert "open /etc/kmsg!EACCES" in kit.run(b, kit.config("open", "/etc/kmsg")).stdout


def test_program_cannot_make_nodes(kit):
    assert "mknod /dev/shm/disk!EPERM" in inner(kit, "mknod", "/dev/shm/disk")


def test_hostile_rootfs_leaves_the_host_alone(kit):
    """All the traps at once; whatever the outcome, nothing beside the rootfs changes."""
    b = kit.bundle()
    host = b / "host"
    host.mkdir()
    (host / "file").write_text("host")
    root = b / "rootfs"
    for name, to in (("etc/hosts", "../../host/file"), ("etc/resolv.conf", "/proc/self/fd/3"), ("tmp/x", "../../host"),
                     ("dev/pts", "../../host"), ("dev/shm", "../../host"), ("dev/ptmx", "../../host/file")):
        os.symlink(to, root / name)
    c = kit.config("exit", 0)
    (b / "vol").mkdir()
    c["mounts"].append({"destination": "/tmp/x/new", "type": "bind", "source": str(b / "vol"), "options": ["bind"]})
    kit.run(b, c)
    assert sorted(os.listdir(host)) == ["file"] and (host / "file").read_text() == "host"


def test_cve_2020_15257_abstract_sockets_of_the_host(kit):
    """Not in reach from a network namespace of its own; we listen at none ourselves."""
    name = "coracle-canary-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("\0" + name)
        s.listen()
        c = kit.config("abstract", name)
        assert f"abstract {name}!ECONNREFUSED" in kit.run(kit.bundle(), c).stdout
        # The canary sings where the network is shared.
        c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]
        assert f"abstract {name}=0" in kit.run(kit.bundle(), c).stdout
    source = "".join(p.read_text() for d in ("init", "lib", "fetch", "bundle") for p in (bundle_kit.ROOT / d).glob("*.c"))
    assert "sun_path[0] = 0" not in source and "sun_path[0] = '\\0'" not in source
