# SPDX-License-Identifier: MIT
"""docs/runtime-spec.md against the compiler: what it calls refused is refused by name, the tests it names exist, and the rest that no other file tests."""
import copy, json, os, re, struct, subprocess
import pytest

import bundle_kit, record_writer
import test_peers

ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in (bundle_kit.ROOT / "docs/runtime-spec.md").read_text().split("## Where")[0].splitlines()
        if line.startswith("| ") and not line.startswith("| property")]


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def compile(kit, config):
    b = kit.bundle()
    (b / "config.json").write_text(json.dumps(config))
    p = subprocess.run([bundle_kit.BUNDLE, "compile", b], capture_output=True, text=True)
    return b, p


def run(kit, config):
    b, p = compile(kit, config)
    assert p.returncode == 0, p.stderr
    return subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def test_every_test_named_exists():
    for row in ROWS:
        for file, name in re.findall(r"(P|G|test_\w+\.py) `([\w-]+)`", row[2]):
            if file == "G":
                assert '\n    "%s": {' % name in (bundle_kit.ROOT / "tests/boards/test_peers_cgroup.py").read_text(), row
            elif file == "P":
                assert name in [f.__name__ for f in test_peers.CASES], row
            else:
                assert "def test_%s" % name in (bundle_kit.ROOT / "tests" / file).read_text(), row
        assert row[2] or row[1] == "refused", "%s: neither refused nor tested" % row[0]


def test_holes_have_their_tests():
    text = (bundle_kit.ROOT / "docs/isolation.md").read_text()
    table = text.split("## Known holes")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| hole")]
    assert len(rows) == 16
    for row in rows + [table.split("Beside them")[1]]:
        named = re.findall(r"(test_\w+\.py) ((?:`\w+`(?:, )?)+)", row)
        assert named
        for file, names in named:
            for name in re.findall(r"`(\w+)`", names):
                assert "def test_%s" % name in (bundle_kit.ROOT / "tests" / file).read_text(), (file, name)
    assert (bundle_kit.ROOT / "tests/boards/test_escape.py").exists()


# What is refused: the document's words -> (where it is put, what is put there, what the error has to say)
def at(path, value, want=None):
    return path, value, want or path


MOUNT = {"destination": "/m", "type": "tmpfs", "source": "t"}
REFUSED = {
    **{k: at(k, v) for k, v in {
        "process.commandLine": "x", "process.user.username": "x", "process.apparmorProfile": "x", "process.selinuxLabel": "x",
        "process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}, "process.scheduler": {"policy": "SCHED_FIFO"},
        "process.execCPUAffinity": {"initial": "0"}, "linux.resources.network": {"classID": 1}, "linux.resources.rdma": {"mlx": {"hcaHandles": 1}},
        "linux.intelRdt": {"closID": "x"}, "linux.memoryPolicy": {"mode": "MPOL_BIND"}, "linux.netDevices": {"eth0": {"name": "x"}}, "linux.mountLabel": "x",
        "linux.personality": {"domain": "LINUX32"}, "linux.timeOffsets": {"boottime": {"secs": 1}}, "windows": {"x": 1}, "solaris": {"x": 1}, "vm": {"x": 1},
        "zos": {"x": 1}}.items()},
    **{"hooks." + k: at("hooks." + k, [{"path": "/bin/true"}]) for k in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")},
    **{"linux.resources.memory: " + k: at("linux.resources.memory." + k, v) for k, v in {
        "kernel": 1, "kernelTCP": 1, "swappiness": 1, "disableOOMKiller": True, "useHierarchy": True, "checkBeforeUpdate": True}.items()},
    **{"linux.resources.cpu: " + k: at("linux.resources.cpu." + k, 1) for k in ("realtimeRuntime", "realtimePeriod")},
    **{"linux.resources.blockIO: " + k: at("linux.resources.blockIO." + k, v) for k, v in {
        "leafWeight": 1, "weightDevice": [{"major": 1, "minor": 1, "weight": 1}], "throttleReadBpsDevice": [{"major": 1, "minor": 1, "rate": 1}]}.items()},
    **{"mounts[].options: " + k: at("mounts", [dict(MOUNT, options=[k])], 'mount option "%s"' % k) for k in ("tmpcopyup", "remount", "rro")},
    **{"linux.namespaces: " + k: at("linux.namespaces", v, w) for k, v, w in (
        ("time", [{"type": "mount"}, {"type": "time"}], 'namespace "time"'),
        ("mount, by path", [{"type": "mount", "path": "/proc/1/ns/mnt"}], "joining a mount namespace"),
        ("user, by path", [{"type": "mount"}, {"type": "user", "path": "/proc/1/ns/user"}], "joining a user namespace"))},
    "linux.devices outside /dev": at("linux.devices", [{"path": "/etc/x", "type": "c", "major": 1, "minor": 3}], "a device outside /dev"),
    "linux.seccomp: SCMP_ACT_NOTIFY": at("linux.seccomp", {"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY"),
    "linux.seccomp: listenerPath": at("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}, "listenerPath"),
    **{"linux.rootfsPropagation: " + k: at("linux.rootfsPropagation", k) for k in ("shared", "unbindable")},
}


def test_the_document_lists_what_is_refused():
    assert {row[0] for row in ROWS if row[1] == "refused"} == set(REFUSED)


@pytest.mark.parametrize("what", REFUSED)
def test_refused(kit, what):
    path, value, want = REFUSED[what]
    config = kit.config("exit", 0)
    place = config
    *parents, last = path.split(".")
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    b, p = compile(kit, config)
    assert p.returncode == 1 and want in p.stderr and p.stderr.count("\n") == 1, p.stderr
    assert not list(b.glob("record*"))


@pytest.mark.parametrize("change,want", [(dict(ociVersion="2.0.0"), "ociVersion"), (dict(ociVersion=None), "ociVersion"), (dict(root={}), "root.path"),
                                         (dict(root={"path": "/"}), "the host's own root"), (dict(process=None), "process")])
def test_refused_frame(kit, change, want):
    config = dict(kit.config("exit", 0), **change)
    _, p = compile(kit, config)
    assert p.returncode == 1 and want in p.stderr


def options_of(text, point):
    line = next(line for line in text.splitlines() if line.split()[4:5] == [point])
    return set(line.split()[5].split(",")), set(line.split(" - ")[1].split()[2].split(","))


@pytest.mark.parametrize("options,here,of_fs", [
    (["ro", "nosuid", "nodev", "noexec"], {"ro", "nosuid", "nodev", "noexec"}, set()), (["ro", "rw", "nosuid", "suid", "noexec", "exec"], {"rw"}, set()),
    (["noatime"], {"noatime"}, set()), (["relatime"], {"relatime"}, set()), (["nodiratime", "noatime"], {"nodiratime", "noatime"}, set()),
    (["nosymfollow"], {"nosymfollow"}, set()), (["sync", "dirsync", "lazytime"], set(), {"sync", "dirsync", "lazytime"}),
    (["sync", "async"], set(), set()), (["silent", "loud", "defaults"], {"rw"}, set()), (["size=64k", "nr_inodes=7"], set(), {"size=64k", "nr_inodes=7"})])
def test_mount_options(kit, options, here, of_fs):
    config = kit.config("cat", "/proc/self/mountinfo")
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "t", "options": options})
    got = options_of(run(kit, config).stdout, "/tmp")
    assert here <= got[0] and of_fs <= got[1]
    for word in {"nosuid", "noexec", "nodev", "ro", "noatime"} - here:
        assert word not in got[0]


def test_mount_options_of_a_file_system_at_a_bind(kit):
    config = kit.config("exit", 0)
    config["mounts"].append({"destination": "/tmp", "type": "bind", "source": "/tmp", "options": ["bind", "sync"]})
    _, p = compile(kit, config)
    assert p.returncode == 1 and "mounts[7].options: a bind takes no file system options" in p.stderr


@pytest.mark.parametrize("word,optional", [("private", ""), ("rprivate", ""), ("slave", "master:"), ("shared", "shared:"), ("unbindable", "unbindable")])
def test_propagation(kit, word, optional):
    """Of a volume as it is asked for; the rest of the tree is private, also where rootfsPropagation says slave."""
    source = kit.bundle() / "volume"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        config = kit.config("cat", "/proc/self/mountinfo")
        config["mounts"].append({"destination": "/tmp", "type": "bind", "source": str(source), "options": ["bind", word]})
        config["linux"]["rootfsPropagation"] = "slave"
        lines = {m["point"]: m for m in mount_points(run(kit, config).stdout)}
    finally:
        subprocess.run(["umount", source], check=True)
    assert lines["/tmp"]["optional"].startswith(optional) and (optional or not lines["/tmp"]["optional"])
    assert all(not m["optional"] for point, m in lines.items() if point != "/tmp")


def mount_points(text=""):
    """mountinfo -> [{point, optional}]"""
    return [dict(point=line.split()[4], optional=" ".join(line.split(" - ")[0].split()[6:])) for line in text.splitlines() if " - " in line]


def test_mappings_of_a_mount(kit):
    config = kit.config("exit", 0)
    config["linux"]["namespaces"].append({"type": "user"})
    own = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
    config["linux"].update(uidMappings=own, gidMappings=own)
    mount = {"destination": "/tmp", "type": "bind", "source": "/tmp", "options": ["bind"], "uidMappings": own, "gidMappings": own}
    config["mounts"].append(mount)
    assert compile(kit, config)[1].returncode == 0
    for other in ([{"containerID": 0, "hostID": 2000000, "size": 65536}], own * 2, []):
        changed = copy.deepcopy(config)
        changed["mounts"][-1]["gidMappings"] = other
        _, p = compile(kit, changed)
        assert p.returncode == 1 and "mounts[7].gidMappings" in p.stderr and "mappings other than the container's own" in p.stderr
    changed = copy.deepcopy(config)
    changed["mounts"][-1]["type"], changed["mounts"][-1]["options"] = "tmpfs", []
    assert "an id-mapped mount without bind" in compile(kit, changed)[1].stderr


def test_domainname(kit):
    config = kit.config("cat", "/proc/sys/kernel/domainname")
    config["domainname"] = "example.test"
    assert "example.test" in run(kit, config).stdout
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "uts"]
    assert "needs a uts namespace" in compile(kit, config)[1].stderr


@pytest.mark.parametrize("key", ["io.kubernetes.cri.secret", "org.opencontainers.image.stopSignal", "run.oci.handler", "org.coracle.unit", "com.example.path"])
def test_annotations_are_data(kit, key):
    """CVE-2026-53488 and its kin: nothing of the host is named by one."""
    plain, annotated = kit.config("exit", 0), kit.config("exit", 0)
    annotated["annotations"] = {key: "/etc/shadow", key + ".mounts": "/:/host", key + ".devices": "/dev/mem"}
    names = []
    for config in (plain, annotated):
        b, p = compile(kit, config)
        data = bytearray((b / p.stdout.strip()).read_bytes())
        names.append(bytes(data).replace(str(b).encode(), b"B").replace(b.name.encode(), b"N")[64:])
    assert len(names[0]) == len(names[1]) and b"/etc/shadow" not in names[1] and b"/dev/mem" not in names[1]


@pytest.mark.parametrize("kind,file", [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup")])
def test_namespace_by_path(kit, kind, file):
    """The container is in the namespace of a process that waits for it; nobody else's."""
    flag = {"network": "-n", "ipc": "-i", "uts": "-u", "pid": "-p", "cgroup": "-C"}[kind]
    holder = subprocess.Popen(["unshare", flag, *(["--fork"] if kind == "pid" else []), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdin.write(b"x\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"x\n"
        name = "pid_for_children" if kind == "pid" else file
        config = kit.config("links", "/proc/self/ns")
        config.pop("hostname")
        config["linux"]["namespaces"] = [n if n["type"] != kind else {"type": kind, "path": f"/proc/{holder.pid}/ns/{name}"} for n in config["linux"]["namespaces"]]
        p = run(kit, config)
        assert p.returncode == 0, p.stderr
        theirs = os.readlink(f"/proc/{holder.pid}/ns/{name}")
        assert f"ls /proc/self/ns={file} -> {theirs}" in p.stdout and theirs != os.readlink(f"/proc/self/ns/{file}")
    finally:
        holder.stdin.close()
        holder.wait(20)
        holder.stdout.close()


def test_cgroup_lines(kit):
    """What is written into the group's files, in the record's own words."""
    config = kit.config("exit", 0)
    config["linux"]["resources"] = {
        "memory": {"limit": 1 << 20, "reservation": 1 << 19, "swap": 3 << 20}, "cpu": {"shares": 1024, "quota": 5000, "period": 10000, "burst": 7, "idle": 0,
        "cpus": "0", "mems": "0"}, "pids": {"limit": 9}, "blockIO": {"weight": 500}, "hugepageLimits": [{"pageSize": "2MB", "limit": 4}],
        "unified": {"memory.high": "900000", "io.max": "8:0 rbps=1"}}
    b, p = compile(kit, config)
    assert p.returncode == 0, p.stderr
    data = (b / p.stdout.strip()).read_bytes()
    off, count = struct.unpack_from("<II", data, record_writer.HEAD_SIZE - 48)
    pairs = {}
    for i in range(count):
        k, klen, v, vlen = struct.unpack_from("<4I", data, off + 16 * i)
        pairs[data[k:k + klen].decode()] = data[v:v + vlen].decode()
    assert pairs == {"memory.max": "1048576", "memory.low": "524288", "memory.swap.max": "2097152", "cpu.weight": "39", "cpu.max": "5000 10000", "cpu.max.burst": "7",
                     "cpu.idle": "0", "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "9", "io.weight": "4950", "hugetlb.2MB.max": "4", "memory.high": "900000",
                     "io.max": "8:0 rbps=1"}
