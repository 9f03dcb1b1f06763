# SPDX-License-Identifier: MIT
"""coracle-bundle create, compile, prepare, mount: images of a store and units to bundles that coracle-init and crun run alike."""
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import tarfile

import pytest

import bundle_kit
import layerkit
from layerkit import folder, item, link, make_tar, sha

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\napps:x:1001:\nextra:x:2000:app\n"


def publish(store, ref="registry.test/app:1", **config):
    """The layers put so far as an image that says CONFIG; its digest."""
    document = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                           "rootfs": {"type": "layers", "diff_ids": store.diffs}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(document), "size": len(document)},
        "layers": [{"mediaType": layerkit.MEDIA[k], "digest": sha(b), "size": len(b)} for k, b in store.blobs]}).encode()
    for name, data in (("manifest", manifest), ("config", document), ("admitted", b"ref=%s\nkey=test.pub\n" % ref.encode())):
        (store.scratch / name).write_bytes(data)
    store.run("image", store.path, *(store.scratch / n for n in ("manifest", "config", "admitted")))
    return sha(manifest)


class Made:
    """A store with one image of three layers, and what is made of it."""

    def __init__(self, base, run, programs):
        self.base, self.go, self.programs = base, run, programs
        self.store = layerkit.Store(base / "store")
        probe = base / "probe"
        bundle_kit.build_probe(probe)
        self.store.put(make_tar(folder("etc"), item("etc/passwd", PASSWD), item("etc/group", GROUP), item("gone", "x"),
                                folder("srv", mode=0o750, uid=1000, gid=1001), item("old", "first")))
        self.store.put(make_tar(item("probe", probe.read_bytes(), mode=0o755), item(".wh.gone", "")), "zstd")
        self.store.put(make_tar(item("old", "second"), link("latest", "old")), "plain")
        self.digest = publish(self.store, Entrypoint=["/probe"], Cmd=["cat", "/old"], Env=["PATH=/bin:/", "A=image"])

    def unit(self, text="", name="app", image="registry.test/app:1"):
        path = self.base / (name + ".container")
        path.write_text("[Container]\nImage=%s\n%s" % (image, text))
        return path

    def create(self, unit="", ok=True, digest=None, name="bundle"):
        bundle = self.base / name
        argv = ["--unit", self.unit(unit)] if unit is not None else []
        got = self.go(self.programs.bundle, "create", "--store", self.store.path, *argv, digest or self.digest, bundle, ok=ok)
        return bundle if ok else got.err

    def config(self, bundle):
        return json.loads((bundle / "config.json").read_text())

    def run(self, *exec_, unit="", ok=True):
        """What the probe prints when run with EXEC_ under coracle-init."""
        words = " ".join('"%s"' % w for w in exec_)
        bundle = self.create(unit + ("\nExec=%s\n" % words if exec_ else ""))
        return self.go(self.programs.init, "run", bundle, ok=ok)

    def prepare(self, unit="", name="app", ref="registry.test/app:1", digest=None):
        fd = os.memfd_create("record")
        r, w = os.pipe()
        got = self.go(self.programs.bundle, "prepare", "--result-fd", w, "--record-fd", fd, "--store", self.store.path, "--name",
                      name, "--unit", self.unit(unit, name), "--ref", ref, digest or self.digest, ok=None, pass_fds=(fd, w))
        os.close(w)
        message = os.read(r, 65536)
        os.close(r)
        got.record = os.pread(fd, os.fstat(fd).st_size, 0)
        os.close(fd)
        magic, got.job = struct.unpack_from("<II", message)
        got.stop_signal, = struct.unpack_from("<I", message, 24)
        got.text = message[-384:].split(b"\0")[0].decode()
        assert magic == 0x4a524333
        return got

    def slots(self):
        text = (self.store.path / "state/slots").read_text()
        return {l.split()[1]: dict(f.split("=", 1) for f in l.split()[2:]) for l in text.splitlines() if l.startswith("unit ")}


@pytest.fixture
def made(workdir, run, programs):
    one = Made(workdir, run, programs)
    yield one
    if os.path.ismount(workdir / "bundle/rootfs"):
        subprocess.run(["umount", workdir / "bundle/rootfs"])


# What runs, and as whom


def test_entrypoint_and_cmd_of_the_image(made):
    assert made.run().out.startswith("cat /old:\nsecond")


def test_exec_replaces_cmd_and_entrypoint_both(made):
    assert "env A=image" in made.run("env", "A").out
    bundle = made.create('Entrypoint=["/probe", "env"]')
    assert made.config(bundle)["process"]["args"] == ["/probe", "env"]
    bundle = made.create("Entrypoint=/probe\nExec=a 'b c'")
    assert made.config(bundle)["process"]["args"] == ["/probe", "a", "b c"]


def test_no_program_is_said(made):
    digest = publish(made.store)
    assert "Exec= says what to run" in made.create(ok=False, digest=digest)


def test_environment_of_the_unit_wins(made):
    got = made.run("env", "A", "env", "B", "env", "HOME", "env", "PATH", unit='Environment=A=unit "B=x y"').out
    assert "env A=unit" in got and "env B=x y" in got and "env HOME=/root" in got and "env PATH=/bin:/" in got


@pytest.mark.parametrize("user, ids", [("User=app", "1000:1001 2000"), ("User=1000", "1000:1001 2000"), ("User=app:extra", "1000:2000"),
                                       ("User=app\nGroup=extra", "1000:2000"), ("User=4242", "4242:0"), ("User=7:8", "7:8"),
                                       ("User=app\nGroupAdd=44", "1000:1001 44 2000|1000:1001 2000 44"), ("", "0:0")])
def test_users_by_the_images_own_files(made, user, ids):
    assert re.search("^ids=(%s)$" % ids, made.run("ids", ".", unit=user).out, re.M)


@pytest.mark.parametrize("user", ["nobody", "app:nogroup", "9999999999"])
def test_users_that_are_not_there(made, user):
    made.create("User=" + user, ok=False)


def test_user_of_the_image(made):
    digest = publish(made.store, Entrypoint=["/probe", "ids", "."], User="app")
    bundle = made.create(digest=digest)
    assert made.config(bundle)["process"]["user"] == {"uid": 1000, "gid": 1001, "additionalGids": [2000]}
    # CVE-2024-40635: not wrapped to root
    assert "is no id" in made.create(ok=False, digest=publish(made.store, Entrypoint=["/probe"], User="4294967296"))


def test_passwd_in_an_upper_layer_counts_and_a_removed_one_does_not(made):
    made.store.put(make_tar(item("etc/passwd", "app:x:5:6::/:\n")))
    bundle = made.create("User=app", digest=publish(made.store, Entrypoint=["/probe"]))
    assert made.config(bundle)["process"]["user"]["uid"] == 5
    made.store.put(make_tar(item("etc/.wh.passwd", "")))
    assert "not in the image's /etc/passwd" in made.create("User=app", ok=False, digest=publish(made.store, Entrypoint=["/probe"]))


def test_passwd_as_a_link_out_of_the_image(made):
    made.store.put(make_tar(item("etc/.wh.passwd", "")))
    made.store.put(make_tar(link("etc/passwd", "../../../../../../../../etc/passwd")))
    digest = publish(made.store, Entrypoint=["/probe"])
    assert "daemon" in pathlib.Path("/etc/passwd").read_text()
    made.create("User=daemon", ok=False, digest=digest)


# Deny by default


def status(text):
    return dict(l.split(":\t") for l in text.splitlines() if ":\t" in l)


def test_nothing_is_granted(made):
    got = made.run("cat", "/proc/self/status", "write", "/x", "write", "/tmp/x", "ls", "/sys/class/net").out
    s = status(got)
    assert all(int(s[k], 16) == 0 for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    assert "write /x!EROFS" in got and "write /tmp/x=" in got
    assert "ls /sys/class/net=eth0" not in got


def test_what_the_unit_grants_is_there(made):
    got = made.run("cat", "/proc/self/status", unit="AddCapability=CAP_KILL CAP_NET_RAW\nDropCapability=CAP_KILL\nSeccompProfile=unconfined\n"
                   "NoNewPrivileges=false\nUser=app").out
    s = status(got)
    assert all(int(s[k], 16) == 1 << 13 for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert s["NoNewPrivs"] == "0" and s["Seccomp"] == "0"


def test_root_has_no_inheritable_capabilities(made):
    s = status(made.run("cat", "/proc/self/status", unit="AddCapability=CAP_NET_RAW").out)
    assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0 and int(s["CapEff"], 16) == 1 << 13


def test_seccomp_holds(made):
    calls = ["unshare-user", "afalg", "bpf", "mount", "pivot"]
    argv = [w for c in calls for w in ("sys", c)]
    held, free = made.run(*argv).out, made.run(*argv, unit="SeccompProfile=unconfined").out
    assert all("sys %s!EPERM" % c in held for c in calls), held
    # the control: the list, not something else, holds these two
    assert "sys unshare-user=0" in free and "sys afalg!EPERM" not in free


def test_heat_of_each_processor_is_masked(made, run):
    """Docker's list has it; here on a /sys that shows such a machine. Unmask=ALL takes it off as all others."""
    script = 'mount -t tmpfs none /sys/devices/system/cpu && mkdir -p /sys/devices/system/cpu/cpu0/thermal_throttle /sys/devices/system/cpu/cpu1/thermal_throttle && "$@"'
    for unit, count in (("", 2), ("Unmask=ALL", 0)):
        bundle = made.base / ("heat%d" % count)
        run("unshare", "-m", "sh", "-c", script, "sh", made.programs.bundle, "create", "--store", made.store.path, "--unit", made.unit(unit), made.digest, bundle)
        paths = made.config(bundle)["linux"]["maskedPaths"]
        assert sum("thermal_throttle" in p for p in paths) == count, paths


def test_limits_are_always_there(made):
    r = made.config(made.create())["linux"]["resources"]
    assert r["memory"]["limit"] == r["memory"]["swap"] == 128 << 20 and r["pids"]["limit"] == 128
    r = made.config(made.create("Memory=16m\nPidsLimit=9\n[X-Coracle]\nCpuQuota=25%\nCpuWeight=20\nMemorySwapMax=1m"))["linux"]["resources"]
    assert r["memory"] == {"limit": 16 << 20, "swap": 17 << 20} and r["pids"]["limit"] == 9
    assert r["cpu"]["quota"] / r["cpu"]["period"] == 0.25


@pytest.mark.parametrize("weight", [1, 2, 20, 100, 101, 5000, 9999, 10000])
def test_cpu_weight_survives_the_shares(made, weight):
    c = made.config(made.create("[X-Coracle]\nCpuWeight=%d" % weight))
    shares = c["linux"]["resources"]["cpu"]["shares"]
    assert 1 + (shares - 2) * 9999 // 262142 == weight


# Mounts


def test_volumes_and_tmpfs(made):
    (made.base / "host.conf").write_text("of the host\n")
    unit = "Volume=state:/srv\nVolume=%s:/etc/host.conf:ro\nTmpfs=/scratch:size=1m,mode=1777\nUser=app\n" % (made.base / "host.conf")
    got = made.run("write", "/srv/kept", "cat", "/etc/host.conf", "write", "/scratch/x", "write", "/etc/host.conf", "stat", "/srv", unit=unit).out
    assert "of the host" in got and "write /scratch/x=" in got and "write /etc/host.conf!E" in got
    volume = made.store.path / "volumes/state"
    assert (volume / "kept").exists()
    s = volume.stat()
    assert (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)) == (1000, 1001, 0o750)	# as the image has /srv


def test_new_volume_belongs_to_the_user(made):
    got = made.run("write", "/var/lib/app/x", unit="Volume=fresh:/var/lib/app\nUser=app").out
    assert "write /var/lib/app/x=" in got
    assert (made.store.path / "volumes/fresh/x").stat().st_uid == 1000


def test_volumes_of_the_image_can_be_written(made):
    digest = publish(made.store, Entrypoint=["/probe", "write", "/data/x"], Volumes={"/data": {}}, User="app")
    got = made.go(made.programs.init, "run", made.create(digest=digest))
    assert "write /data/x=" in got.out
    m = [m for m in made.config(made.create("Volume=named:/data/", digest=digest))["mounts"] if m["destination"] == "/data"]
    assert [x["type"] for x in m] == ["bind"]


@pytest.mark.parametrize("unit, why", [
    ("Volume=a:/x:banana", 'option "banana" is not taken'), ("Volume=a:/x:U", 'option "U" is not taken'), ("Tmpfs=/x:rbind", 'option "rbind"'),
    ("Tmpfs=/x:size=lots", "size=lots"), ("Tmpfs=/proc", "nothing can be mounted there"), ("Volume=a:/dev", "nothing can be mounted there"),
    ("AddDevice=/dev/nonesuch", "the board has no /dev/nonesuch"), ("AddDevice=/dev/null:/dev/x:m", "takes /dev/NODE"),
    ("AddDevice=/dev/null:/etc/x", "takes /dev/NODE"), ("AddDevice=/dev/shm", "is no device"), ("Ulimit=nofile=5:1", "SOFT not above HARD"),
    ("Ulimit=wibble=5", "no limit of the name"), ("Sysctl=kernel.panic=1", "linux.sysctl.kernel.panic: refused"),
    ("SeccompProfile=/nowhere.json", "/nowhere.json"), ("Sysctl=net.ipv4.ip_forward=1\nNetwork=host", "refused"),
])
def test_what_cannot_be_is_named(made, unit, why):
    assert why in made.create(unit, ok=False)
    assert not (made.base / "bundle/config.json").exists()


def test_devices(made):
    got = made.run("stat", "/dev/zeroes", "stat", "/dev/full", unit="AddDevice=/dev/zero:/dev/zeroes:rw\nAddDevice=-/dev/nonesuch\nUser=app").out
    assert re.search("stat /dev/zeroes=.*1000", got), got


def test_sysctls_reach_their_namespace(made):
    assert "cat /proc/sys/net/ipv4/ip_forward:\n1" in made.run("cat", "/proc/sys/net/ipv4/ip_forward", unit="Sysctl=net.ipv4.ip_forward=1").out


def test_own_seccomp_profile(made):
    profile = made.base / "s.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}))
    assert "mkdir /tmp/d!E28" in made.run("mkdir", "/tmp/d", unit="SeccompProfile=%s" % profile).out
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}}]}))
    assert "includes and excludes are not resolved" in made.create("SeccompProfile=%s" % profile, ok=False)


# Bundles


def test_layers_not_paths(made):
    bundle = made.create()
    text = (bundle / "layers").read_text()
    assert text.startswith("coracle-layers 1\nstore %s\nimage %s\n" % (made.store.path, made.digest))
    names = re.findall("^layer (.*)$", text, re.M)
    assert names == [made.store.layer(c).name for c in reversed(made.store.chains)]


def test_the_same_again_writes_nothing(made):
    bundle = made.create()
    before = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in bundle.iterdir() if p.is_file()}
    made.create()
    assert {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in bundle.iterdir() if p.is_file()} == before
    assert len(before) == 3


@pytest.mark.parametrize("line, text", [("layer ../../etc", "damaged"), ("layer a:b", "damaged"), ("layer", "damaged"), ("what", "damaged")])
def test_damaged_layers_file(made, line, text):
    bundle = made.create()
    with open(bundle / "layers", "a") as f:
        f.write(line + "\n")
    assert text in made.go(made.programs.bundle, "compile", bundle, ok=False).err
    assert text in made.go(made.programs.bundle, "mount", bundle, ok=False).err


def test_mount_shows_the_rootfs_and_umount_takes_it_away(made):
    bundle = made.create()
    made.go(made.programs.bundle, "mount", bundle)
    root = bundle / "rootfs"
    assert (root / "old").read_text() == "second" and not (root / "gone").exists() and os.readlink(root / "latest") == "old"
    with pytest.raises(OSError):
        (root / "x").write_text("")
    assert "something is mounted there" in made.go(made.programs.bundle, "mount", bundle, ok=False).err
    made.go(made.programs.bundle, "umount", bundle)
    assert list(root.iterdir()) == []
    assert "nothing is mounted there" in made.go(made.programs.bundle, "umount", bundle, ok=False).err


def test_missing_image_and_layer(made):
    other = "sha256:" + "0" * 64
    assert other in made.create(ok=False, digest=other)
    shutil.rmtree(made.store.path / "layers/index")
    (made.store.path / "layers/index").mkdir()
    assert "pull the image again" in made.create(ok=False)


def test_compile_any_bundle(workdir, run, programs):
    if not shutil.which("crun"):
        pytest.skip("crun is not installed")
    (workdir / "rootfs").mkdir()
    run("crun", "spec", cwd=workdir)
    name = run(programs.bundle, "compile", workdir).out.strip()
    assert re.fullmatch(r"record\.2\.[0-9a-f]{16}", name)
    assert (workdir / name).read_bytes()[:8] == b"CORACLE\x01"


@pytest.mark.parametrize("text, why", [("", "config.json: byte 0"), ("{}", "ociVersion"), (None, "config.json")])
def test_compile_names_what_is_wrong(workdir, run, programs, text, why):
    if text is not None:
        (workdir / "config.json").write_text(text)
    got = run(programs.bundle, "compile", workdir, ok=False)
    assert got.code == 1 and why in got.err and str(workdir) in got.err and got.err.count("\n") == 1
    assert not list(workdir.glob("record*"))


def test_compile_of_json_that_breaks_off(workdir, run, programs):
    """Wherever it does: said with the place, and no record is left."""
    (workdir / "rootfs").mkdir()
    text = json.dumps(bundle_kit.CONFIG)
    for n in range(1, len(text), max(1, len(text) // 60)):
        (workdir / "config.json").write_text(text[:n])
        got = run(programs.bundle, "compile", workdir, ok=False)
        assert got.code == 1 and re.search(r"config\.json: byte \d+", got.err) and got.err.count("\n") == 1, (text[:n], got)
        assert not list(workdir.glob("record*"))


@pytest.mark.parametrize("argv", [["compile"], ["compile", "a", "b"], ["mount"], ["create", "x", "y"], ["create", "--store"], ["prepare"],
                                  ["prepare", "--record-fd", "1", "sha256:0"]])
def test_usage(run, programs, argv):
    assert run(programs.bundle, *argv, ok=False).code == 2


# Another runtime, the same bundle


def crun(bundle, *before):
    """Runs BUNDLE by crun where cgroup v1 is in use too: in a mount namespace without the second hierarchy. BEFORE: words before crun."""
    script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec %s crun run --bundle %s coracle-test-%d" % (" ".join(before), bundle, os.getpid())
    # A pipe: in a user namespace crun gives what it finds there, the host's null device too, to the container's user.
    return subprocess.run(["unshare", "-m", "sh", "-c", script], input="", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)


UNIT = """User=app
AddCapability=CAP_NET_RAW
Environment=A=unit
Volume=state:/srv
Tmpfs=/scratch:size=1m
AddDevice=/dev/zero:/dev/zeroes
Ulimit=nofile=100:200
HostName=box
Memory=32m
PidsLimit=20
"""
PROBES = ["ids", ".", "host", ".", "env", "A", "env", "HOME", "pwd", ".", "cat", "/old", "ls", "/", "write", "/x", "write", "/scratch/x", "write",
          "/srv/x", "stat", "/dev/zeroes", "rlimit", "7", "mkdir", "/etc/x"]


@pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed")
@pytest.mark.parametrize("status", [0, 7])
def test_crun_runs_it_unchanged(made, status):
    words = PROBES + ["exit", str(status)]
    bundle = made.create(UNIT + "Exec=" + " ".join(words))
    ours = made.go(made.programs.init, "run", bundle, ok=None)
    made.go(made.programs.bundle, "mount", bundle)
    try:
        theirs = crun(bundle)
    finally:
        made.go(made.programs.bundle, "umount", bundle)
    assert theirs.returncode == status, theirs.stderr
    assert ours.code == status, ours.err
    assert sorted(theirs.stdout.splitlines()) == sorted(ours.out.splitlines())
    assert "ids=1000:1001 2000" in ours.out and "host=box" in ours.out and "env A=unit" in ours.out and "write /x!EROFS" in ours.out


@pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed")
def test_crun_shows_the_same_privileges(made):
    bundle = made.create(UNIT + "Exec=cat /proc/self/status")
    ours = status(made.go(made.programs.init, "run", bundle).out)
    made.go(made.programs.bundle, "mount", bundle)
    try:
        theirs = status(crun(bundle).stdout)
    finally:
        made.go(made.programs.bundle, "umount", bundle)
    for key in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Pid", "Umask"):
        assert ours[key].strip() == theirs[key].strip(), key


# The job of PID 1


def test_prepare(made):
    got = made.prepare("StopSignal=SIGUSR1")
    assert (got.code, got.job, got.stop_signal) == (0, 1, signal.SIGUSR1), got.err
    assert got.record[:8] == b"CORACLE\x01"
    bundle, = (made.store.path / "bundles").iterdir()
    assert re.fullmatch("[0-9a-f]{32}", bundle.name)
    assert next(bundle.glob("record.2.*")).read_bytes() == got.record
    slot = made.slots()["app"]
    assert slot["current"] == made.digest and slot["ref"] == "registry.test/app:1" and slot["previous"] == "-"
    # what PID 1 gets next time
    fd = os.memfd_create("table")
    made.go(made.programs.bundle, "units", "--table-fd", fd, "--store", made.store.path, made.base, pass_fds=(fd,))
    assert made.digest.encode() in os.pread(fd, 1 << 20, 0)
    os.close(fd)


def test_prepare_again_is_quiet(made):
    first = made.prepare()
    inode = (made.store.path / "state/slots").stat().st_ino
    again = made.prepare()
    assert again.record == first.record and (made.store.path / "state/slots").stat().st_ino == inode
    assert len(list((made.store.path / "bundles").iterdir())) == 1


def test_prepare_another_digest_and_another_unit(made):
    made.prepare()
    made.prepare(name="second")
    digest = publish(made.store, Entrypoint=["/probe"], Env=["NEW=1"])
    assert made.prepare(digest=digest).job == 1
    slots = made.slots()
    assert slots["app"]["current"] == digest and slots["app"]["previous"] == made.digest
    assert slots["second"]["current"] == made.digest
    bundles = list((made.store.path / "bundles").iterdir())
    assert len(bundles) == 2	# both units had the same text for the first digest


def test_image_stop_signal(made):
    assert made.prepare(digest=publish(made.store, Entrypoint=["/probe"], StopSignal="SIGRTMIN+3")).stop_signal == 37
    assert made.prepare(digest=publish(made.store, Entrypoint=["/probe"])).stop_signal == signal.SIGTERM
    assert made.prepare(digest=publish(made.store, Entrypoint=["/probe"], StopSignal="SIGWHAT")).job == 3


def test_prepare_says_refused_damaged_or_retry(made):
    got = made.prepare("User=nobody")
    assert (got.code, got.job) == (1, 3) and "not in the image's /etc/passwd" in got.text and got.record == b""
    assert made.prepare("Nonsense=1").job == 3
    assert made.prepare("AddDevice=/dev/nonesuch").job == 2
    assert made.prepare(digest="sha256:" + "0" * 64).job == 4
    manifest = made.store.path / "images/sha256" / made.digest[7:] / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"2", b"3", 1))
    assert made.prepare().job == 4


def test_damaged_slots_are_replaced_with_a_word(made):
    made.prepare()
    path = made.store.path / "state/slots"
    path.write_bytes(path.read_bytes().replace(b"unit", b"Unit"))
    got = made.prepare()
    assert got.job == 1 and "state/slots: damaged" in got.err
    assert made.slots()["app"]["current"] == made.digest


def test_a_full_disk_does_not_keep_a_unit_from_running(made):
    """The store on a tiny tmpfs that is filled up: what is known already runs, from memory where a new text does not fit."""
    first = made.prepare()
    small = made.base / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        subprocess.run(["cp", "-a", str(made.store.path) + "/.", small], check=True)
        made.store.path = small
        assert made.prepare().job == 1
        bundle, = (small / "bundles").iterdir()
        (bundle / "config.json").unlink()
        next(bundle.glob("record.*")).unlink()
        filler = os.open(small / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError):
            while True:
                os.write(filler, bytes(4096))
        os.close(filler)
        got = made.prepare()
        assert got.job == 1, got.err
        assert "it runs from memory now" in got.err
        assert got.record[:8] == b"CORACLE\x01" and not (bundle / "config.json").exists()
    finally:
        subprocess.run(["umount", small], check=True)
    assert len(first.record) > 1000


# User namespaces


def ids(bundle):
    """(first outside id, how many) of a bundle's config.json."""
    lin = json.loads((bundle / "config.json").read_text())["linux"]
    assert lin["uidMappings"] == lin["gidMappings"] and len(lin["uidMappings"]) == 1
    return lin["uidMappings"][0]["hostID"], lin["uidMappings"][0]["size"]


def test_every_unit_has_a_range_of_its_own_that_stays(made):
    got = made.run("cat", "/proc/self/uid_map", "stat", "/old", "stat", "/srv", "ids", ".", unit="User=app\n").out
    first, size = ids(made.base / "bundle")
    assert first >= 4194304 and size == 65536
    assert re.search(r"^ +0 +%d +%d$" % (first, size), got, re.M) and "stat /old=100644 0:0" in got and "ids=1000:1001" in got
    seen = {first}
    for name in "ab":
        made.go(made.programs.bundle, "create", "--store", made.store.path, "--unit", made.unit(name=name), made.digest, made.base / name)
        assert ids(made.base / name)[0] not in seen
        seen.add(ids(made.base / name)[0])
    made.go(made.programs.bundle, "create", "--store", made.store.path, "--unit", made.unit(name="a"), made.digest, made.base / "again")
    assert ids(made.base / "again") == ids(made.base / "a")
    assert len((made.store.path / "state/ids").read_text().splitlines()) == 4


def test_ranges_that_collide_get_the_next(made):
    """Every range but the last is somebody's: the names' own are taken."""
    made.create()
    first = ids(made.base / "bundle")[0]
    taken = (first - 4194304) // 65536
    (made.store.path / "state/ids").write_text("coracle-ids 1\nunit other %d\nunit more %d\n" % (taken, taken + 1))
    made.create()
    assert ids(made.base / "bundle")[0] == first + 2 * 65536


@pytest.mark.parametrize("text", ["", "rubbish", "coracle-ids 1\nunit app\nunit app 99999999\nunit \n\nunit app -1\n", "coracle-ids 2\n"])
def test_damaged_ranges_are_made_again(made, text):
    (made.store.path / "state").mkdir(exist_ok=True)
    (made.store.path / "state/ids").write_text(text)
    assert ids(made.create())[1] == 65536


def test_userns_host_has_none(made):
    bundle = made.create("UserNS=host\nExec=cat /proc/self/uid_map")
    assert "user" not in [n["type"] for n in made.config(bundle)["linux"]["namespaces"]]
    assert "4294967295" in made.go(made.programs.init, "run", bundle).out


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skip: elsewhere fork(2) is clone(2) too, and both would fail")
def test_without_the_kernels_help(made):
    """The kernel makes no user namespace: a unit that demands one is refused, others run and say so, with no more than capabilities, filter and the rest."""
    for key, code in (("", 0), ("UserNS=auto\n", 125)):
        bundle = made.create(key + "Exec=cat /proc/self/status cat /proc/self/uid_map")
        got = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "inject=clone:error=ENOSPC", made.programs.init, "run", bundle],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert got.returncode == code and "user namespace" in got.stderr and "No space left" in got.stderr, got.stderr
        if not code:
            assert "4294967295" in got.stdout and status(got.stdout)["CapBnd"].strip("\t0") == "" and status(got.stdout)["Seccomp"].strip() == "2"


def test_volume_is_the_units_whatever_the_range(made):
    got = made.run("write", "/srv/x", "stat", "/srv", "stat", "/srv/x", unit="User=app\nVolume=state:/srv\n").out
    assert "stat /srv=40750 1000:1001" in got and "stat /srv/x=100644 1000:1001" in got
    on_disk = os.stat(made.store.path / "volumes/state/x")
    assert (on_disk.st_uid, on_disk.st_gid) == (1000, 1001)
    (made.store.path / "state/ids").write_text("coracle-ids 1\nunit app 77\n")
    got = made.run("stat", "/srv/x", "write", "/srv/x", unit="User=app\nVolume=state:/srv\n").out
    assert ids(made.base / "bundle")[0] == 4194304 + 77 * 65536 and "stat /srv/x=100644 1000:1001" in got and "write /srv/x=1" in got


# The table of docs/isolation.md: {userns, host} x {Network=host, none} x {device, low port, clock, volume}


@pytest.mark.parametrize("userns", ["auto", "host"])
@pytest.mark.parametrize("network", ["host", "none"])
def test_table_of_what_a_unit_can(made, userns, network):
    unit = "UserNS=%s\nNetwork=%s\nVolume=state:/data\nAddDevice=/dev/zero:/dev/gpio\n" % (userns, network)
    caps = "AddCapability=CAP_NET_BIND_SERVICE CAP_SYS_TIME\n"
    got = made.run("open", "/dev/gpio", "write", "/data/x", "port", "1", "sys", "clock", "write", "/sys/kernel/x", "ls", "/sys/class/net",
                   unit=unit + caps).out
    assert "open /dev/gpio=0" in got and "write /data/x=1" in got
    # A port below 1024 belongs to the network's user namespace: with Network=host the board's own.
    assert ("port 1=0" in got) == (userns == "host" or network == "none"), got
    assert ("sys clock=0" in got) == (userns == "host"), got
    assert "write /sys/kernel/x!" in got
    names = set(re.findall(r"^ls /sys/class/net=(\S+)", got, re.M))
    assert names == {"lo"} if network == "none" else names >= {"lo"}


# Holes others fell into, on the way from an image to a record


@pytest.mark.parametrize("user", ["4294967296", "4294967295", "18446744073709551616", "-1", "0x0", "1000:4294967296", "1000:-1", "99999999999999999999", "1e3", " 0", "+0",
                                  "65536", "1000:70000"])
def test_cve_2026_46680_numbers_that_overflow_are_neither_names_nor_root(made, user):
    """An image that asks for them is refused by name; a passwd that has a user of that name does not help it."""
    if user.split(":")[0].isdigit():
        made.store.put(make_tar(item("etc/passwd", "root:x:0:0::/:\n%s:x:0:0::/:\n" % user.split(":")[0])))
    got = made.create(ok=False, digest=publish(made.store, Entrypoint=["/probe"], User=user))
    assert got.count("\n") == 1 and ("user " in got or "group " in got or "process.user" in got) and user.split(":")[-1].strip() in got, got


@pytest.mark.parametrize("what", ["link", "outward", "fifo", "directory", "huge"])
@pytest.mark.parametrize("name", ["etc/passwd", "etc/group"])
def test_cve_2024_9676_passwd_that_is_none(made, what, name):
    """Never read out of the root, never waited for, never without an end."""
    outside = made.base / "outside"
    outside.write_text("app:x:0:0::/:\n")
    entry = {"link": link(name, str(outside)), "outward": link(name, "../../../../../.." + str(outside)), "fifo": item(name, type=tarfile.FIFOTYPE),
             "directory": folder(name), "huge": item(name, b"a:x:1:1::/:\n" * 200_000)}[what]
    made.store.put(make_tar(entry))
    got = made.create("User=app\nGroup=apps\n", ok=False, digest=publish(made.store, Entrypoint=["/probe"]))
    assert got.count("\n") == 1 and name.split("/")[1] in got or "app" in got, got


LABELS = {"org.coracle.userns": "optional", "org.coracle.unit": "other", "io.podman.annotations.privileged": "TRUE", "run.oci.mount_context_type": "x",
          "io.containerd.runc.v2.group": "/etc/shadow", "org.opencontainers.image.stopSignal": "9", "com.example.mounts": "/:/host"}


def test_cve_2026_53488_labels_of_an_image_are_data(made):
    one, other = (publish(made.store, Entrypoint=["/probe"], Labels=labels) for labels in ({}, LABELS))
    texts = [made.create("UserNS=auto\n", digest=d, name="labels").joinpath("config.json").read_text().replace(d, "DIGEST") for d in (one, other)]
    assert texts[0] == texts[1] and "optional" not in texts[1]
    # Nor those of the unit, where they bear our names.
    text = made.create("UserNS=auto\n" + "".join("Annotation=%s=%s\n" % x for x in LABELS.items() if x[0].startswith("org.coracle."))).joinpath("config.json").read_text()
    assert "optional" not in text and '"org.coracle.unit":"app"' in text.replace(" ", "")


def test_cve_2026_31431_no_af_alg(made):
    got = made.run("sys", "afalg", unit="AddCapability=CAP_NET_ADMIN CAP_NET_RAW\n").out
    assert "sys afalg!EPERM" in got


# Secrets


def test_secrets_are_files_of_the_program_alone(made):
    folder = made.store.path / "config/secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "token").write_text("s3cret")
    (folder / "token").chmod(0o600)
    unit = "User=app\nSecret=token\nSecret=token,target=other,uid=0,gid=5,mode=0440\nEnvironment=A=b\n"
    for userns in ("", "UserNS=host\n"):
        got = made.run("cat", "/run/secrets/token", "stat", "/run/secrets/token", "stat", "/run/secrets/other", "cat", "/run/secrets/other", "write",
                       "/run/secrets/token", "write", "/run/secrets/new", "cat", "/proc/self/environ", unit=unit + userns).out
        assert "cat /run/secrets/token:\ns3cret" in got and "stat /run/secrets/token=100400 1000:1001" in got
        assert "stat /run/secrets/other=100440 0:5" in got and "cat /run/secrets/other!EACCES" in got
        assert "write /run/secrets/token!E" in got and "write /run/secrets/new!EROFS" in got
        assert "s3cret" not in got.split("cat /proc/self/environ:")[1]
        assert not any(b"s3cret" in p.read_bytes() for p in (made.base / "bundle").iterdir() if p.is_file()), "in no file of the bundle"
    # Read anew at each start; what is not there is named.
    (folder / "token").write_text("changed")
    assert "changed" in made.run("cat", "/run/secrets/token", unit=unit).out
    (folder / "token").unlink()
    got = made.run("cat", "/run/secrets/token", unit=unit, ok=False)
    assert got.code == 125 and "secret" in got.err and "config/secrets/token" in got.err
    os.symlink("/etc/shadow", folder / "token")
    assert made.run("cat", "/run/secrets/token", unit=unit, ok=False).code == 125


@pytest.mark.parametrize("value", ["a/b", "../x", ".hidden", "a,target=b/c", "a,uid=x", "a,type=env", "a,mode=9x", "a,what=1"])
def test_bad_secrets_are_refused(made, value):
    assert "Secret=" in made.create("Secret=%s\n" % value, ok=False)
