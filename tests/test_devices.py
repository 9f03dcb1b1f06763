# SPDX-License-Identifier: MIT
"""Device rules: the BPF program of linux.resources.devices, run by the kernel in a cgroup v2 group. Hosts that mount cgroup v2 elsewhere get it at its
place in a mount namespace of the test's own."""
import json, os, subprocess
import pytest

import bundle_kit

UNIFIED = next((p for p in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(p + "/cgroup.procs") and not os.path.exists(p + "/tasks")), None)


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def run(kit, config, with_cgroup=True):
    if with_cgroup and not UNIFIED:
        pytest.skip("skip: no cgroup v2 hierarchy on this host")
    b = kit.bundle()
    (b / "config.json").write_text(json.dumps(config))
    subprocess.run([bundle_kit.BUNDLE, "compile", b], check=True, capture_output=True)
    place = "mount --bind %s /sys/fs/cgroup" % UNIFIED if with_cgroup else "mount -t tmpfs none /sys/fs/cgroup"
    return subprocess.run(["unshare", "-m", "sh", "-c", place + ' && exec "$@"', "sh", bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


def node(name, major, minor):
    return {"path": "/dev/" + name, "type": "c", "major": major, "minor": minor, "fileMode": 0o666}


DENY = {"allow": False, "access": "rwm"}
NODES = [node("a", 1, 11), node("b", 10, 235), node("c", 1, 1)]  # kmsg, autofs, mem


def config(kit, rules, *args, caps=None):
    c = kit.config(*(args or ("open", "/dev/null", "open", "/dev/zero", "open", "/dev/tty", "open", "/dev/ptmx", "read", "/dev/a", "write", "/dev/a",
                              "open", "/dev/a", "read", "/dev/c")))
    c["linux"]["devices"] = NODES
    c["linux"]["resources"] = {"devices": rules}
    if caps is not None:
        c["process"]["capabilities"] = {k: caps for k in ("bounding", "effective", "permitted")}
    return c


def allow(access, major=1, minor=11, **more):
    return dict({"allow": True, "type": "c", "major": major, "minor": minor, "access": access}, **more)


@pytest.mark.parametrize("rules,read,write,both", [
    ([DENY], "EPERM", "EPERM", "EPERM"),
    ([DENY, allow("rw")], "0", "1", "0"),
    ([DENY, allow("r")], "0", "EPERM", "EPERM"),
    ([DENY, allow("w")], "EPERM", "1", "EPERM"),
    ([DENY, allow("rw"), allow("w", allow=False)], "0", "EPERM", "EPERM"),
    ([DENY, allow("rw", minor=12)], "EPERM", "EPERM", "EPERM"),
    ([DENY, {"allow": True, "type": "c", "major": 1, "access": "rw"}], "0", "1", "0"),
    ([DENY, {"allow": True, "type": "c", "access": "rwm"}], "0", "1", "0"),
    ([DENY, {"allow": True, "type": "b", "access": "rwm"}], "EPERM", "EPERM", "EPERM"),
    ([allow("rw"), DENY], "EPERM", "EPERM", "EPERM"),
    ([allow("rw")], "0", "1", "0"),
    ([], "0", "1", "0"),
    ([{"allow": True, "access": "rwm"}], "0", "1", "0"),
], ids=lambda x: None)
def test_rules(kit, rules, read, write, both):
    out = run(kit, config(kit, rules, caps=["CAP_SYSLOG"])).stdout
    said = lambda what, value: "%s /dev/a%s%s" % (what, "!" if value.startswith("E") else "=", value)
    assert said("read", read) in out and said("write", write) in out and said("open", both) in out, out
    for always in ("null", "zero", "ptmx"):
        assert "open /dev/%s=0" % always in out
    # Without a controlling terminal that is the node's own answer.
    assert "open /dev/tty!ENXIO" in out


def test_node_that_the_program_makes_itself(kit):
    """CAP_MKNOD in the board's user namespace: rules hold for it where they can, and it is refused where they cannot."""
    c = config(kit, [DENY, allow("rw", 10, 235)], "mkchr", "/dev/shm/mem", "read", "/dev/shm/mem", caps=["CAP_MKNOD", "CAP_SYS_RAWIO"])
    c["mounts"] = [m for m in c["mounts"] if m["destination"] != "/dev/shm"] + [
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "dev", "mode=1777"]}]
    p = run(kit, c)
    assert p.returncode == 0 and "mkchr /dev/shm/mem!EPERM" in p.stdout and "read /dev/shm/mem=" not in p.stdout, p.stdout + p.stderr
    p = run(kit, c, with_cgroup=False)
    assert p.returncode == 125 and "device rules" in p.stderr and "CAP_MKNOD" in p.stderr


@pytest.mark.parametrize("rule,why", [({"allow": True, "type": "x"}, "devices[0].type"), ({"allow": True, "access": "rx"}, "devices[0].access"),
                                      ({"allow": "yes"}, "devices[0].allow"), ({"allow": True, "major": -2}, "devices[0].major")])
def test_bad_rules_are_named(kit, rule, why):
    b = kit.bundle()
    (b / "config.json").write_text(json.dumps(config(kit, [rule])))
    p = subprocess.run([bundle_kit.BUNDLE, "compile", b], capture_output=True, text=True)
    assert p.returncode == 1 and why in p.stderr


def test_longest_list(kit):
    """As many rules as are taken; the kernel's verifier takes the program."""
    rules = [DENY] + [allow("rw" if i % 2 else "r", 200, i) for i in range(253)] + [allow("rw")]
    out = run(kit, config(kit, rules)).stdout
    assert "write /dev/a" in out and "open /dev/null=0" in out
