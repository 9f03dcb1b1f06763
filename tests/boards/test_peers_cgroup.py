# SPDX-License-Identifier: MIT
"""The values that cgroup v2 holds for a container: the same config.json under crun, runc and coracle-init in one QEMU machine that has all controllers
(tests/lib/machine.py). The program reads its own group through a read-only /sys/fs/cgroup; device rules are tried by opening."""
import json
import pytest

import machine
import bundle_kit

FILES = ("memory.max", "memory.low", "memory.high", "memory.min", "memory.swap.max", "pids.max", "cpu.max", "cpu.weight", "cpuset.cpus", "cpuset.mems",
         "cgroup.type", "cgroup.subtree_control")
NODES = {"kmsg": (1, 11), "mem": (1, 1)}
TRIES = ("open /dev/kmsg write /dev/kmsg read /dev/mem open /dev/mem open /dev/zero open /dev/ptmx write /sys/fs/cgroup/pids.max mkdir /sys/fs/cgroup/x "
         "cat /proc/self/cgroup").split()
DENY = {"allow": False, "access": "rwm"}


def rule(major, minor, access):
    return {"allow": True, "type": "c", "major": major, "minor": minor, "access": access}


CASES = {
    "nothing": {},
    "memory": {"memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20}, "pids": {"limit": 33}},
    "no-swap": {"memory": {"limit": 48 << 20, "swap": 48 << 20}, "cpu": {"shares": 2}},
    "cpu": {"cpu": {"shares": 512, "quota": 25000, "period": 50000, "cpus": "0", "mems": "0"}},
    "half-said": {"cpu": {"quota": 30000}, "pids": {"limit": -1}, "memory": {"limit": -1}},
    "unified": {"unified": {"memory.high": "41943040", "memory.min": "1048576", "pids.max": "44", "cpu.weight": "77"}},
    "denied": {"devices": [DENY]},
    "rules": {"devices": [DENY, rule(1, 11, "w"), rule(1, 1, "r")]},
}


def is_known(peer, name, key):
    """Without any rule runc denies all devices but the default ones; the specification asks for no rule then, and crun makes none. docs/runtime-spec.md."""
    return peer == "runc" and "devices" not in CASES[name] and key.endswith(("/dev/kmsg", "/dev/mem"))


JOB = """
import json, os, subprocess, sys
sys.path.insert(0, "/coracle/tests/tools")
import bundle_kit
kit, said = bundle_kit.Kit("/tmp"), {}
for name, config in json.load(open("/coracle/cases.json")).items():
    b = kit.bundle()
    (b / "config.json").write_text(json.dumps(config))
    for who, argv in (("coracle", [bundle_kit.INIT, "run", b]), ("crun", ["crun", "run", "--bundle", b, "c" + name]), ("runc", ["runc", "run", "--bundle", b, "r" + name])):
        p = subprocess.run(argv, input="", capture_output=True, text=True)
        said.setdefault(name, {})[who] = [p.returncode, p.stdout, p.stderr]
print("\\nsaid " + json.dumps({"said": said, "left": [d for d in os.listdir("/sys/fs/cgroup") if os.path.isdir("/sys/fs/cgroup/" + d)]}))
"""


@pytest.mark.skipif(bool(machine.is_possible()), reason=machine.is_possible())
def test_values_agree(tmp_path):
    compiled = tmp_path / "probe"
    bundle_kit.build_probe(compiled)
    words = [w for f in FILES for w in ("cat", "/sys/fs/cgroup/" + f)]
    cases = {}
    for name, resources in CASES.items():
        c = json.loads(json.dumps(bundle_kit.CONFIG))
        c["process"]["args"] = ["/probe", *words, *TRIES, "exit", "3"]
        c["process"]["capabilities"] = {k: ["CAP_SYSLOG", "CAP_SYS_RAWIO"] for k in ("bounding", "effective", "permitted")}
        c["linux"]["resources"] = resources
        c["linux"]["devices"] = [{"path": "/dev/" + n, "type": "c", "major": a, "minor": i, "fileMode": 0o666} for n, (a, i) in NODES.items()]
        cases[name] = c
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    files = {"/coracle/cases.json": tmp_path / "cases.json", "/coracle/compiled/probe": compiled}
    for p in ("tests/tools/bundle_kit.py", "tests/tools/record_writer.py"):
        files["/coracle/" + p] = bundle_kit.ROOT / p
    for p in (bundle_kit.INIT, bundle_kit.BUNDLE):
        files["/coracle/build/x86_64/" + p.name] = p
    (tmp_path / "machine").mkdir()
    out, status = machine.run(tmp_path / "machine", files, 'import os\nos.environ["CORACLE_COMPILED"] = "/coracle/compiled"\n' + JOB, timeout=600)
    assert status == 0, out[-3000:]
    got = json.loads(next(line for line in out.splitlines() if line.startswith("said "))[5:])
    differ = {}
    for name, who in got["said"].items():
        for peer, (code, text, err) in who.items():
            assert code == 3, (name, peer, code, text, err)
        view = {peer: view_of(text) for peer, (_, text, _) in who.items()}
        for peer in ("crun", "runc"):
            for key in view[peer].keys() | view["coracle"].keys():
                ours, theirs = view["coracle"].get(key), view[peer].get(key)
                if ours != theirs and not is_known(peer, name, key):
                    differ["%s, %s, %s" % (name, peer, key)] = (ours, theirs)
    assert not differ, json.dumps(differ, indent=1)
    assert len(got["said"]) == len(CASES) and got["left"] == [], got["left"]
    # What was compared is what was asked for: the referee is not three times blind.
    memory = view_of(got["said"]["memory"]["coracle"][1])
    assert memory["/sys/fs/cgroup/memory.max"] == "67108864" and memory["/sys/fs/cgroup/memory.swap.max"] == "33554432"
    rules = view_of(got["said"]["rules"]["coracle"][1])
    assert (rules["write /dev/kmsg"], rules["open /dev/kmsg"], rules["read /dev/mem"], rules["open /dev/mem"]) == ("=1", "!EPERM", "=0", "!EPERM")
    assert view_of(got["said"]["denied"]["coracle"][1])["open /dev/kmsg"] == "!EPERM"
    assert view_of(got["said"]["nothing"]["coracle"][1])["/sys/fs/cgroup/memory.max"] == "max"


def view_of(text):
    """{file: its text}, and {"open /dev/x": "=0" or "!EPERM"}"""
    view, name = {}, None
    for line in text.splitlines():
        if name and line == "end " + name:
            name = None
        elif name:
            view[name] = (view[name] + "\n" + line).strip()
        elif line.startswith("cat ") and line.endswith(":"):
            name = line[4:-1]
            view[name] = ""
        elif "!" in line or "=" in line:
            at = min(i for i in (line.find("!"), line.find("=")) if i >= 0)
            view[line[:at]] = line[at:]
    return view
