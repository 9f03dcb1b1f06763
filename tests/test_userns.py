# SPDX-License-Identifier: MIT
"""User namespaces: a range of ids per unit, layers and volumes id-mapped, what the container's root can and cannot do outside."""
import json, os, pathlib, re, shutil, subprocess
import pytest

import bundle_kit, record_writer

FIRST, SIZE = 1_000_000, 65536


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def mapped(config, first=FIRST):
    config["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        config["linux"][key] = [{"containerID": 0, "hostID": first, "size": SIZE}]
    return config


def layered(kit, count=2):
    """A store of COUNT layers, topmost first, with files of several owners."""
    b = kit.bundle()
    store = b / "store"
    names = [f"l{i}" for i in range(count)]
    for i, name in enumerate(names):
        layer = store / "layers" / name
        (layer / "etc").mkdir(parents=True)
        for uid in (0, 7, 65535):
            path = layer / f"etc/own{i}-{uid}"
            path.write_text(str(i))
            os.chown(path, uid, uid)
            path.chmod(0o600)
    bottom = store / "layers" / names[-1]
    for d in ("proc", "sys", "dev", "tmp", "run", "vol"):
        (bottom / d).mkdir()
    shutil.copy2(kit.probe, bottom / "probe")
    return b, store, names


def run(kit, config, count=2, **kw):
    b, store, names = layered(kit, count)
    return kit.run(b, config, layers=names, store=store, **kw)


def ids(first):
    return ["0 %d %d" % (first, SIZE)] * 2


@pytest.mark.parametrize("count", [1, 2, 127])
def test_layers_keep_their_ids(kit, count):
    c = mapped(kit.config("stat", "/etc/own0-0", "stat", "/etc/own0-7", "stat", "/etc/own0-65535", "cat", "/etc/own0-7", "cat", "/proc/self/uid_map",
                          "cat", "/proc/self/gid_map", "ids", ".", user={"uid": 7, "gid": 7}))
    b, store, names = layered(kit, count)
    p = kit.run(b, c, layers=names, store=store)
    assert p.returncode == 0, p.stderr
    for uid in (0, 7, 65535):
        assert f"stat /etc/own0-{uid}=100600 {uid}:{uid}" in p.stdout
    assert "cat /etc/own0-7:\n0" in p.stdout and "ids=7:7" in p.stdout
    assert [" ".join(m.split()) for m in re.findall(r"^\s+0\s+\d+\s+\d+$", p.stdout, re.M)] == ids(FIRST)
    assert os.stat(store / "layers/l0/etc/own0-7").st_uid == 7


def test_two_ranges_share_layers_at_once(kit):
    b, store, names = layered(kit)
    both = []
    for first in (FIRST, 2 * FIRST):
        other = kit.bundle()
        kit.write_record(other, record_writer.oci(mapped(kit.config("stat", "/etc/own0-7", "sleep", 300, "stat", "/etc/own0-0"), first), other, layers=names,
                                                  store=store))
        both.append(subprocess.Popen([bundle_kit.INIT, "run", other], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
    for p in both:
        out, _ = p.communicate(timeout=20)
        assert "own0-7=100600 7:7" in out and "own0-0=100600 0:0" in out and p.returncode == 0


def test_root_inside_is_nobody_outside(kit):
    """The same program, seen from the host."""
    b, store, names = layered(kit)
    kit.write_record(b, record_writer.oci(mapped(kit.config("term", "bye")), b, layers=names, store=store))
    p = subprocess.Popen([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "ready\n"
        inner = next(int(x) for x in pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split())
        status = pathlib.Path(f"/proc/{inner}/status").read_text()
        assert re.search(r"^Uid:\t%d\t%d\t%d\t%d$" % ((FIRST,) * 4), status, re.M)
        assert re.search(r"^Gid:\t%d\t%d\t%d\t%d$" % ((FIRST,) * 4), status, re.M)
        assert os.stat(f"/proc/{inner}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
        assert os.stat(f"/proc/{inner}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    finally:
        p.terminate()
        p.wait(20)


def test_dev_belongs_to_the_root_inside(kit):
    c = mapped(kit.config("stat", "/dev", "stat", "/dev/null", "write", "/dev/null", "stat", "/dev/mine", "open", "/dev/mine", "write", "/dev/shm/x",
                          "stat", "/dev/shm/x", "mknod", "/dev/disk", "stat", "/dev/pts/ptmx"))
    c["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 7, "gid": 8}]
    c["process"]["capabilities"] = {k: ["CAP_MKNOD", "CAP_DAC_OVERRIDE"] for k in ("bounding", "effective", "permitted")}
    p = run(kit, c)
    assert p.returncode == 0, p.stderr
    assert "stat /dev=40755 0:0" in p.stdout and "stat /dev/null=20666 0:0 1:3" in p.stdout and "write /dev/null=1" in p.stdout
    assert "stat /dev/mine=20600 7:8 1:5" in p.stdout and "open /dev/mine=0" in p.stdout
    assert "stat /dev/shm/x=100644 0:0" in p.stdout
    assert "mknod /dev/disk!EPERM" in p.stdout, "CAP_MKNOD is the namespace's own"


@pytest.mark.parametrize("caps", [bundle_kit.DEFAULT_CAPS, ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_NET_ADMIN"]])
def test_powers_end_at_the_namespace(kit, caps):
    c = mapped(kit.config("write", "/proc/sys/kernel/core_pattern", "write", "/proc/sysrq-trigger", "sys", "clock", "sys", "module", "sys", "reboot"))
    c["process"]["capabilities"] = {k: caps for k in ("bounding", "effective", "permitted")}
    c["linux"]["readonlyPaths"] = c["linux"]["maskedPaths"] = []
    p = run(kit, c)
    assert p.returncode == 0, p.stderr
    assert "core_pattern=" not in p.stdout and "sysrq-trigger=" not in p.stdout
    assert "module=" not in p.stdout and "sys clock!EPERM" in p.stdout and "sys reboot!EPERM" in p.stdout


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_volume_keeps_ids_on_disk(kit, option):
    b, store, names = layered(kit)
    volume = b / "volume"
    volume.mkdir()
    os.chown(volume, 7, 7)
    c = mapped(kit.config("write", "/vol/new", "stat", "/vol/new", "stat", "/vol", user={"uid": 7, "gid": 7}))
    c["mounts"].append({"destination": "/vol", "type": "bind", "source": str(volume), "options": ["rbind", option]})
    p = kit.run(b, c, layers=names, store=store)
    assert "write /vol/new=1" in p.stdout and "stat /vol/new=100644 7:7" in p.stdout, p.stdout + p.stderr
    assert os.stat(volume / "new").st_uid == 7
    # Another range finds the same owner.
    c = mapped(kit.config("stat", "/vol/new"), 5 * FIRST)
    c["mounts"].append({"destination": "/vol", "type": "bind", "source": str(volume), "options": ["rbind", option]})
    assert "stat /vol/new=100644 7:7" in kit.run(b, c, layers=names, store=store).stdout


def test_volume_that_cannot_be_mapped_is_named(kit):
    b, store, names = layered(kit)
    c = mapped(kit.config("exit", 0))
    c["mounts"].append({"destination": "/vol", "type": "bind", "source": "/proc/tty", "options": ["rbind", "idmap"]})
    p = kit.run(b, c, layers=names, store=store)
    assert p.returncode == 125 and "/proc/tty" in p.stderr and "id-mapped" in p.stderr


@pytest.fixture
def cannot_map(kit):
    """A store on a file system without id-mapped mounts: an overlay."""
    b, store, names = layered(kit)
    low, over = b / "low", b / "over"
    low.mkdir(), over.mkdir()
    subprocess.run(["mount", "-t", "overlay", "none", "-o", f"lowerdir={store}:{low}", over], check=True)
    yield b, over, names
    subprocess.run(["umount", over], check=True)


def test_fallback_is_said_and_runs(kit, cannot_map):
    b, store, names = cannot_map
    c = mapped(kit.config("cat", "/proc/self/uid_map", "stat", "/etc/own0-7"))
    flags = record_writer.NO_NEW_PRIVS | record_writer.ROOT_READONLY | record_writer.IDMAP_LAYERS
    p = kit.run(b, c, layers=names, store=store, flags=flags | record_writer.USERNS_OPTIONAL)
    assert p.returncode == 0 and "no user namespace of its own" in p.stderr and "4294967295" in p.stdout, p.stderr
    assert "stat /etc/own0-7=100600 7:7" in p.stdout
    p = kit.run(b, c, layers=names, store=store, flags=flags)
    assert p.returncode == 125 and "user namespace" in p.stderr and "id-mapped" in p.stderr


def test_bundle_of_elsewhere_has_shifted_files(kit):
    """runtime-spec, "User namespace mappings": a rootfs directory is owned by the outer ids; compile takes it as it is."""
    b = kit.bundle()
    for path in [b / "rootfs", *(b / "rootfs").rglob("*")]:
        os.chown(path, FIRST, FIRST)
    (b / "config.json").write_text(json.dumps(mapped(kit.config("stat", "/probe", "ids", "."))))
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 0 and "stat /probe=100755 0:0" in p.stdout, p.stderr


@pytest.mark.parametrize("change,what", [
    (dict(user={"uid": 65536, "gid": 0}), "process.user.uid"), (dict(user={"uid": 0, "gid": 70000}), "process.user.gid"),
    (dict(user={"uid": 0, "gid": 0, "additionalGids": [1, 99999]}), "additionalGids[1]")])
def test_id_above_the_range_is_named(kit, change, what):
    b = kit.bundle()
    (b / "config.json").write_text(json.dumps(mapped(kit.config("exit", 0, **change))))
    p = subprocess.run([bundle_kit.BUNDLE, "compile", b], capture_output=True, text=True)
    assert p.returncode == 1 and what in p.stderr and "not mapped" in p.stderr


def test_files_made_without_root_inside(kit):
    """A range that does not have 0."""
    b = kit.bundle()
    c = mapped(kit.config("ids", ".", user={"uid": 1000, "gid": 1000}))
    for key in ("uidMappings", "gidMappings"):
        c["linux"][key] = [{"containerID": 1000, "hostID": FIRST, "size": 1}]
    c["mounts"] = [m for m in c["mounts"] if m["destination"] != "/dev/pts"]
    for path in [b / "rootfs", *(b / "rootfs").rglob("*")]:
        os.chown(path, FIRST, FIRST)
    p = kit.run(b, c)
    assert "ids=1000:1000" in p.stdout, p.stderr
