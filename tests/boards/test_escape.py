# SPDX-License-Identifier: MIT
"""The canaries of docs/isolation.md inside every QEMU board: what a program in a default container can reach of the board, and what hostile images can make
the start do, on the kernels and architectures that boards have. cgroup v2 and its device rules are real here."""
import re, tarfile
import pytest

import board as board_kit
import images

pytestmark = pytest.mark.every_board


@pytest.fixture(scope="session")
def hostile(board_name, registry, etc, tmp_path_factory):
    """demo/escape: the probe, and links out of the root where a start looks; demo/twisted: a link in the place of /proc."""
    folder, arch = tmp_path_factory.mktemp("hostile"), board_kit.arch(board_name)
    probe = images.entry("probe", board_kit.build_tool(board_name, "probe.c", folder / "probe").read_bytes(), mode=0o755)
    link = lambda name, to: images.entry(name, kind=tarfile.SYMTYPE, link=to)
    layers = {"escape": [[probe, images.entry("etc", kind=tarfile.DIRTYPE), images.entry("etc/passwd", b"root:x:0:0::/:\n")],
                         [link("work", "/proc/self/fd/4"), link("up", "../../../.."), images.entry("dev", kind=tarfile.DIRTYPE), link("dev/null", "/etc/passwd"),
                          link("dev/console", "/etc/passwd")]],
              "twisted": [[probe, link("proc", "/etc")]]}
    for name, content in layers.items():
        layout = folder / name
        images.make_image(layout, content, config={"Entrypoint": ["/probe"]}, arch=arch)
        registry.push(layout, "demo/" + name)
        registry.sign("demo/" + name, registry.key("cosign"), identity="registry.demo:%d/demo/%s" % (registry.port, name))


CANARIES = ("cat /proc/self/status cat /proc/self/uid_map ids . sid . ls /proc write /x write /proc/sys/kernel/hostname write /proc/sys/kernel/core_pattern "
            "write /proc/sysrq-trigger read /dev/mem mknod /dev/disk mkchr /dev/shm/mem sys mount sys unshare-user sys afalg sys bpf sys clock sys reboot sys pivot "
            "sys remount-root ls /sys/class/net write /sys/fs/cgroup/cgroup.procs write /sys/fs/cgroup/memory.max stat /dev/null stat /dev/console write /etc/passwd "
            "cat /proc/keys ls /data ls /run echo done sleep 100000000")


# A second serial line, and the node it becomes; the ARM boards have GPIO lines of their own (PL061).
SERIAL = {"x86_64": (("-serial", "null"), "/dev/ttyS1"), "aarch64": (("-chardev", "null,id=c1", "-device", "pci-serial,chardev=c1"), "/dev/ttyS0")}
SERIAL["armv7"] = SERIAL["aarch64"]


def test_canaries(boot, board_name, hostile, unit_text):
    about = board_kit.pack.settings(board_name)
    more, serial = SERIAL[about["TARGET"]]
    conf = (board_kit.pack.BOARDS / board_name / "board.conf").read_text() + "exec=yes\n"
    ports = ("AddDevice=%s:/dev/serial\nAddDevice=-/dev/gpiochip0:/dev/gpio\nExec=device /dev/serial device /dev/gpio "
             "echo done sleep 100000000" % serial)
    both = "\nAddDevice=/dev/vda:/dev/disk:r\nAddCapability=CAP_DAC_OVERRIDE\nExec=read /dev/disk open /dev/disk write /dev/disk echo done sleep 100000000"
    board = boot(more=more, conf=conf, units={
        "escape.container": unit_text("Exec=" + CANARIES, name="escape"),
        "other.container": unit_text("Exec=cat /proc/self/uid_map echo done sleep 100000000", name="escape"),
        "device.container": unit_text(both, name="escape"),
        "ports.container": unit_text(ports, name="escape"),
        "cwd.container": unit_text("WorkingDir=/work\nExec=pwd .", name="escape"),
        "twisted.container": unit_text("Exec=pwd .", name="twisted"),
    })
    for name in ("escape", "other", "device", "ports"):
        board.wait_unit(name, "running", timeout=150)
        board.wait_says("logs %s" % name, r"stdout F done")
    said = lambda name: re.sub(r"^\S+ std(?:out|err) F ", "", board.say("logs %s -n 200" % name), flags=re.M)
    out = said("escape")
    status = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert {status[k] for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}, out
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert "no user namespace" not in board.say("log"), board.say("log")
    ranges = re.findall(r"^ +0 +(\d+) +65536$", out + said("other"), re.M)
    assert len(ranges) == len(set(ranges)) == 2, (ranges, out, said("other"))
    assert min(map(int, ranges)) >= 4194304, "a user namespace and a range of its own each"
    assert "ids=0:0" in out and "sid=1 pid=1" in out
    assert re.findall(r"^ls /proc=(\d+)$", out, re.M) == ["1"] and re.findall(r"^ls /sys/class/net=(\S+)", out, re.M) == ["lo"]
    for place in ("/x", "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/etc/passwd", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cgroup.procs"):
        assert re.search(r"^write %s!E(ROFS|ACCES)" % re.escape(place), out, re.M), place
    assert "write /proc/sysrq-trigger=" not in out and "read /dev/mem!ENOENT" in out
    for refused in ("mknod /dev/disk", "mkchr /dev/shm/mem", "sys mount", "sys unshare-user", "sys afalg", "sys bpf", "sys clock", "sys reboot", "sys pivot",
                    "sys remount-root"):
        assert refused + "!EPERM" in out, refused
    assert "stat /dev/null=20666 0:0 1:3" in out and "stat /dev/console!ENOENT" in out
    assert "ls /data!ENOENT" in out and "ls /run=" not in out
    # The rule, not the node's mode: root of the namespace passes that.
    device = said("device")
    assert "read /dev/disk=0" in device and "open /dev/disk!EPERM" in device and "write /dev/disk!EPERM" in device, device
    ports = said("ports")
    assert "device /dev/serial=serial" in ports, ports
    if about["TARGET"] == "x86_64":
        assert "device /dev/gpio!ENOENT" in ports, ports
    else:
        assert re.search(r"^device /dev/gpio=gpio .*, 8 lines$", ports, re.M), ports
    # Short lines: what the prompt draws anew is no echo.
    command = "".join(board.say("exec escape -- /probe " + words) for words in (
        "cat /proc/self/status", "cat /proc/self/uid_map ids . sys mount", "cat /proc/self/cgroup processes .", "write /sys/fs/cgroup/cgroup.procs"))
    fields = dict(line.split(":\t", 1) for line in command.splitlines() if ":\t" in line)
    assert {k: fields[k] for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters")} == {
        k: status[k] for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters")}, command
    assert re.search(r"^ +0 +%s +65536$" % re.findall(r"^ +0 +(\d+) +65536", out, re.M)[0], command, re.M), command
    assert "\n0::/\n" in command and "ids=0:0" in command and "sys mount!EPERM" in command, command
    assert re.search(r"^write /sys/fs/cgroup/cgroup.procs!E(ROFS|ACCES)", command, re.M) and len(re.findall(r"^process ", command, re.M)) == 2, command
    for name, why in (("cwd", "cwd /work"), ("twisted", "symlink")):
        assert why in board.wait_unit(name, "backoff", timeout=120)["reason"]
        assert "pwd=" not in said(name)
    assert board.unit("escape")["state"] == "running"
    assert board.poweroff() == 0
