# SPDX-License-Identifier: MIT
"""The same config.json under crun, runc and coracle-init: what the program sees of itself and of its container agrees, or the difference is one
that is_stricter_mount and is_known_line name (docs/runtime-spec.md lists them)."""
import json, os, pathlib, re, shutil, subprocess
import pytest

import bundle_kit, record_writer

pytestmark = pytest.mark.skipif(not (shutil.which("crun") and shutil.which("runc")), reason="skip: crun or runc is not installed")

ALL = record_writer.CAPS
VIEW = ["cat", "/proc/self/status", "cat", "/proc/self/mountinfo", "cat", "/proc/self/limits", "cat", "/proc/self/oom_score_adj", "links", "/proc/self/fd",
        "ls", "/dev", "stat", "/dev/null", "stat", "/dev/zero", "stat", "/dev/full", "stat", "/dev/random", "stat", "/dev/urandom", "stat", "/dev/tty", "stat",
        "/dev/shm", "stat", "/dev/pts/ptmx", "ls", "/", "ls", "/proc/sys/fs/mqueue", "pwd", ".", "host", ".", "ids", ".", "sid", ".", "env", "PATH", "env", "A",
        "write", "/x", "write", "/tmp/x", "write", "/proc/sys/kernel/hostname", "mkdir", "/dev/d", "open", "/dev/null", "key", "k"]


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def caps(c, **sets):
    c["process"]["capabilities"] = {k: sets.get(k, []) for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}


def plain(c, b):
    pass


def user_and_groups(c, b):
    c["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000]}


def no_capabilities(c, b):
    caps(c)


def all_capabilities(c, b):
    caps(c, **{k: ["CAP_" + n for n in ALL if n != "SYS_RESOURCE"] for k in ("bounding", "effective", "permitted")})


def ambient(c, b):
    c["process"]["user"] = {"uid": 1000, "gid": 1000}
    caps(c, **{k: ["CAP_NET_BIND_SERVICE", "CAP_KILL"] for k in ("bounding", "effective", "permitted", "inheritable", "ambient")})


def limits(c, b):
    c["process"]["rlimits"] = [{"type": "RLIMIT_" + n, "soft": s, "hard": h} for n, s, h in (
        ("NOFILE", 64, 128), ("CORE", 0, 0), ("NPROC", 500, 600), ("STACK", 1 << 20, 1 << 23), ("MEMLOCK", 0, 65536), ("FSIZE", 1 << 30, 1 << 31),
        ("SIGPENDING", 10, 20), ("MSGQUEUE", 1000, 2000), ("CPU", 100, 200), ("DATA", 1 << 30, 1 << 31))]


def oom(c, b):
    c["process"]["oomScoreAdj"] = 321


def umask(c, b):
    c["process"]["user"]["umask"] = 0o77


def cwd_and_env(c, b):
    c["process"]["cwd"] = "/etc"
    c["process"]["env"] += ["A=b c=d"]


def writable_root(c, b):
    c["root"]["readonly"] = False


def privileges_may_grow(c, b):
    c["process"]["noNewPrivileges"] = False


def tmpfs(c, b):
    c["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["nosuid", "nodev", "noexec", "noatime", "size=1m", "mode=1770"]})


def bind_file(c, b):
    (b / "file").write_text("a file")
    c["mounts"].append({"destination": "/etc/file", "type": "bind", "source": str(b / "file"), "options": ["bind", "ro", "nosuid"]})


def bind_directory(c, b):
    (b / "volume").mkdir()
    c["mounts"].append({"destination": "/tmp", "type": "bind", "source": str(b / "volume"), "options": ["rbind", "rprivate", "noexec", "nodev"]})


def devices(c, b):
    c["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8}]


def nothing_hidden(c, b):
    c["linux"]["maskedPaths"] = c["linux"]["readonlyPaths"] = []


def sysctls(c, b):
    c["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "99", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "7"}


def network_of_the_host(c, b):
    c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]


def no_ipc(c, b):
    c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "ipc"]
    c["mounts"] = [m for m in c["mounts"] if m["type"] != "mqueue"]


def seccomp_deny(c, b):
    c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
        {"names": ["unshare", "mount", "ptrace", "keyctl", "add_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["personality"], "action": "SCMP_ACT_KILL_THREAD", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_GT"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0xFFFFFFFF, "valueTwo": 38, "op": "SCMP_CMP_MASKED_EQ"}]}]}


def seccomp_allow(c, b):
    names = re.findall(r'"([a-z0-9_]+)"', re.search(r"always\[\] = \{(.*?)NULL", (bundle_kit.ROOT / "bundle/seccomp_default.c").read_text(), re.S)[1])
    c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
        {"names": names + ["clone", "socket"], "action": "SCMP_ACT_ALLOW"}]}


def user_namespace(c, b):
    c["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        c["linux"][key] = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
    for path in [b / "rootfs", *(b / "rootfs").rglob("*")]:
        os.lchown(path, 1000000, 1000000)


def set_user_id(c, b):
    c["process"]["user"] = {"uid": 1000, "gid": 1000}
    (b / "rootfs/probe").chmod(0o4755)
    c["process"]["noNewPrivileges"] = False


CASES = [plain, user_and_groups, no_capabilities, all_capabilities, ambient, limits, oom, umask, cwd_and_env, writable_root, privileges_may_grow, tmpfs, bind_file,
         bind_directory, devices, nothing_hidden, sysctls, network_of_the_host, no_ipc, seccomp_deny, seccomp_allow, user_namespace, set_user_id]


def run(name, bundle):
    if name == "coracle":
        argv = [bundle_kit.INIT, "run", bundle]
    else:
        extra = ["--cgroup-manager=disabled"] if name == "crun" else []
        argv = [name, *extra, "run", "--bundle", bundle, "coracle-peers-%d-%s" % (os.getpid(), bundle.name)]
    # A pipe for stdin: crun hands whatever it finds there to the container's user, the host's null device too (CVE-2026-88265).
    return subprocess.run(["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh", *argv], input="", capture_output=True,
                          text=True, timeout=60)


def sections(text):
    """cat FILE blocks and the lines outside of them."""
    blocks = dict(re.findall(r"^cat (\S+):\n(.*?)^end \1$", text, re.M | re.S))
    rest = re.sub(r"^cat (\S+):\n.*?^end \1$\n", "", text, flags=re.M | re.S)
    return blocks, rest.splitlines()


STATUS = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn", "SigCgt", "Umask",
          "NSpid", "TracerPid", "THP_enabled", "Speculation_Store_Bypass")


def mounts(text):
    """Mount point -> what holds there."""
    found = {}
    for line in text.splitlines():
        left, right = line.split(" - ")
        point, options = left.split()[4:6]
        found[point] = (tuple(sorted(set(options.split(",")) & {"ro", "nosuid", "nodev", "noexec", "noatime"})), right.split()[0], len(left.split()) > 6)
    return found


def view(text):
    blocks, rest = sections(text)
    status = dict(line.split(":\t", 1) for line in blocks["/proc/self/status"].splitlines() if ":\t" in line)
    return {"status": {k: status.get(k, "").strip() for k in STATUS}, "mounts": mounts(blocks["/proc/self/mountinfo"]),
            "limits": {line[:26].strip(): line[26:].split() for line in blocks["/proc/self/limits"].splitlines()[1:]},
            "oom": blocks["/proc/self/oom_score_adj"], "lines": [line for line in rest if not line.startswith("ls /proc/self/fd=")],
            "fds": re.findall(r"^ls /proc/self/fd=(\d+)", "\n".join(rest), re.M)}


NODES = ("null", "zero", "full", "random", "urandom", "tty")


def is_stricter_mount(case, point, a, b):
    """Why a mount of ours (A) may differ from theirs (B); docs/runtime-spec.md says the same."""
    if a and b and a[1:] == b[1:] and set(a[0]) > set(b[0]):
        return True     # what a path is covered with, or the root, keeps or gets nosuid, nodev, noexec
    if a and b and (a[1], b[1]) == ("tmpfs", "devtmpfs") and point in bundle_kit.CONFIG["linux"]["maskedPaths"]:
        return True     # the null device that masks a file is the container's own, not the host's
    # In a user namespace they bind the host's nodes, which belong to nobody; ours are made for its root.
    return case is user_namespace and a is None and b[1] == "devtmpfs" and point in ["/dev/" + n for n in NODES]


def is_known_line(case, name, line):
    if name == "crun" and line == "ls /dev=core -> /proc/kcore":
        return True     # a link that nothing here asks for
    return case is user_namespace and re.fullmatch(r"stat /dev/(%s)=20666 (0:0|65534:65534) .*" % "|".join(NODES), line)


def is_of_the_caller(part, k, a, b):
    """Signals that whoever runs this test ignores: crun and runc hand them on to the program, ours are reset."""
    mine = int(re.search(r"SigIgn:\t(\S+)", pathlib.Path("/proc/self/status").read_text()).group(1), 16)
    return part == "status" and k == "SigIgn" and int(b, 16) & ~mine == int(a, 16)


def differences(case, name, ours, theirs):
    found = {}
    for part in ("status", "limits"):
        for k in ours[part].keys() | theirs[part].keys():
            if ours[part].get(k) != theirs[part].get(k) and not is_of_the_caller(part, k, ours[part].get(k), theirs[part].get(k)):
                found["%s %s" % (part, k)] = (ours[part].get(k), theirs[part].get(k))
    for point in ours["mounts"].keys() | theirs["mounts"].keys():
        a, b = ours["mounts"].get(point), theirs["mounts"].get(point)
        if a != b and not is_stricter_mount(case, point, a, b):
            found["mount " + point] = (a, b)
    for part in ("oom", "fds"):
        if ours[part] != theirs[part]:
            found[part] = (ours[part], theirs[part])
    for line in sorted(set(ours["lines"]) ^ set(theirs["lines"])):
        if not is_known_line(case, name, line):
            found[line] = "ours" if line in ours["lines"] else "theirs"
    return found


# Where the sweep of system calls says most; the others look at what their case changes. 450: what the libseccomp of Debian 12 knows.
SWEPT = (plain, all_capabilities, seccomp_deny, seccomp_allow, user_namespace)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skip: the system calls' numbers are x86-64's")
@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_agrees(kit, case):
    b = kit.bundle()
    c = kit.config(*VIEW, *(["sweep", 450] if case in SWEPT else []), "exit", 3)
    c["mounts"] = [m for m in c["mounts"] if m["type"] != "cgroup"]
    c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "cgroup"]
    case(c, b)
    (b / "config.json").write_text(json.dumps(c))
    seen = {}
    for name in ("coracle", "crun", "runc"):
        p = run(name, b)
        (b / "rootfs/x").unlink(missing_ok=True)
        assert p.returncode == 3, "%s: %d %s" % (name, p.returncode, p.stderr)
        seen[name] = view(p.stdout)
    assert seen["coracle"]["fds"] == ["0", "1", "2"]
    for name in ("crun", "runc"):
        found = differences(case, name, seen["coracle"], seen[name])
        assert not found, "%s: (ours, theirs): %s" % (name, json.dumps(found, indent=1))
