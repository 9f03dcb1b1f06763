# SPDX-License-Identifier: MIT
"""OCI bundles made by hand, with a static probe as the only program in them, for the tests of starting and isolation."""
import copy
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import record_writer

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("O", ROOT / "build")).resolve() / os.uname().machine
INIT = pathlib.Path(os.environ.get("CORACLE_INIT", BUILD / "coracle-init"))
BUNDLE = pathlib.Path(os.environ.get("CORACLE_BUNDLE", BUILD / "coracle-bundle"))

DEFAULT_CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]

CONFIG = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/probe"],
        "env": ["PATH=/usr/bin:/bin:/", "TERM=xterm"], "cwd": "/",
        "capabilities": {k: list(DEFAULT_CAPS) for k in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "boxed",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                        "/sys/firmware", "/sys/devices/virtual/powercap", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}


def compile_static(source, to, *flags):
    """SOURCE as a static program at TO; the toolchain's musl-gcc, else the host's compiler. Where CORACLE_COMPILED names a folder, from there."""
    if "CORACLE_COMPILED" in os.environ:
        shutil.copy2(pathlib.Path(os.environ["CORACLE_COMPILED"], pathlib.Path(source).stem), to)
        return
    cc = BUILD / "deps" / "bin" / "musl-gcc"
    cc = str(cc) if cc.exists() else shutil.which("musl-gcc") or "gcc"
    subprocess.run([cc, "-static", "-O1", "-D_GNU_SOURCE", *flags, "-o", to, source], check=True)


def build_probe(to):
    compile_static(ROOT / "tests/tools/probe.c", to)


class Kit:
    """Scratch bundles beneath one directory."""

    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.probe = self.base / "probe"
        self.count = 0
        build_probe(self.probe)

    def config(self, *args, **process):
        c = copy.deepcopy(CONFIG)
        c["process"]["args"] = ["/probe", *map(str, args)]
        c["process"].update(process)
        return c

    def bundle(self, make_dirs=True):
        """An empty bundle with a rootfs that holds the probe."""
        self.count += 1
        b = self.base / f"b{self.count}"
        root = b / "rootfs"
        root.mkdir(parents=True)
        shutil.copy2(self.probe, root / "probe")
        if make_dirs:
            for d in ("proc", "sys", "dev", "tmp", "etc"):
                (root / d).mkdir()
        return b

    def write_record(self, bundle, config, name="record.2.0", **kw):
        data = config if isinstance(config, bytes) else record_writer.oci(config, bundle, **kw)
        (bundle / name).write_bytes(data)
        return bundle / name

    def run(self, bundle, config=None, stdin=subprocess.DEVNULL, timeout=20, record=True, **kw):
        """`coracle-init run`, the record written by us unless told otherwise; the finished process."""
        if config is not None and record:
            self.write_record(bundle, config, **kw)
        return subprocess.run([INIT, "run", bundle], stdin=stdin, capture_output=True, text=True, timeout=timeout)

    def probe_in(self, *args, bundle=None, **process):
        """Runs the probe with ARGS in the default bundle."""
        b = bundle or self.bundle()
        return self.run(b, self.config(*args, **process))


def wait_stopped(pid, timeout=10):
    """Until the child PID stands still."""
    end = time.monotonic() + timeout
    while True:
        found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if found:
            assert os.WIFSTOPPED(status), status
            return
        assert time.monotonic() < end, "goes on"
        time.sleep(0.01)


def scratch():
    return tempfile.TemporaryDirectory(prefix="coracle-test-")
