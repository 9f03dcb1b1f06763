# SPDX-License-Identifier: MIT
"""PID 1 in namespaces on the host, with scripted jobs (fake_job.c) and a small program in its units (guest.c)."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import zlib

import bundle_kit
import record_writer

ROOT = bundle_kit.ROOT
BUILD = bundle_kit.BUILD

# struct unit_entry of lib/unit_table.h: (field, struct format, default).
ENTRY = [("name", "64s", ""), ("description", "128s", ""), ("path", "256s", "/nowhere.container"), ("image", "256s", ""),
         ("current", "72s", ""), ("error", "384s", ""), ("restart", "I", 5), ("pull", "I", 0), ("restart_sec_ms", "I", 100),
         ("restart_max_sec_ms", "I", 1000), ("start_limit_burst", "I", 0), ("start_limit_interval_ms", "I", 10000),
         ("timeout_start_ms", "I", 10000), ("timeout_stop_ms", "I", 3000), ("stop_signal", "I", int(signal.SIGTERM)),
         ("is_critical", "I", 0), ("refuses_secrets", "I", 0), ("is_enabled", "I", 1), ("type", "I", 0), ("remains", "I", 0), ("notify", "I", 0),
         ("watchdog_ms", "I", 0), ("exit_success", "8H", ()), ("exit_prevent", "8H", ()), ("exit_force", "8H", ()),
         ("auto_update", "I", 0), ("update_interval_ms", "I", 0), ("confirm_ms", "I", 0), ("confirm_window_ms", "I", 0),
         ("update_window", "2H", ()), ("next", "72s", ""), ("previous", "72s", ""), ("refused", "288s", ""), ("floor", "24s", ""),
         ("tries", "I", 0),
         ("dep", "16H", ()), ("on_boot_ms", "I", 0), ("origin", "I", 0), ("minutes", "Q", 0), ("hours", "I", 0), ("days", "I", 0),
         ("months", "H", 0), ("weekdays", "H", 0), ("calendar_pad", "I", 0), ("file_crc", "I", 0), ("skips_registry", "I", 1), ("has_network", "I", 0), ("has_host_users", "I", 0),
         ("log_burst", "I", 0), ("log_interval_ms", "I", 0), ("log_size_max", "I", 0),
         ("on_failure", "I", 0), ("switch_ms", "I", 0), ("health_kind", "I", 0), ("health_port", "I", 0),
         ("health_interval_ms", "I", 0), ("health_timeout_ms", "I", 0), ("health_retries", "I", 0),
         ("health_start_period_ms", "I", 0), ("health_arg", "256s", ""),
         ("startup_kind", "I", 0), ("startup_port", "I", 0), ("startup_interval_ms", "I", 0), ("startup_timeout_ms", "I", 0),
         ("startup_retries", "I", 0), ("startup_no_period", "I", 0), ("startup_arg", "256s", ""), ("startup_success", "I", 0)]
NO, ON_SUCCESS, ON_FAILURE, ON_ABNORMAL, ON_ABORT, ALWAYS, ON_WATCHDOG = range(7)
MISSING, PULL_ALWAYS, NEVER = range(3)
EXEC, ONESHOT = range(2)
NOTIFY_NO, NOTIFY_YES, NOTIFY_HEALTHY = range(3)
HEALTH_UNSAID, HEALTH_OFF, HEALTH_CMD, HEALTH_TCP, HEALTH_HTTP = range(5)
ON_FAILURE_NONE, ON_FAILURE_KILL, ON_FAILURE_RESTART, ON_FAILURE_STOP = range(4)
AFTER, REQUIRES, WANTS = 1, 2, 4


def units_max():
    return int(re.search(r"CONFIG_UNITS_MAX (\d+)", (BUILD / "config.h").read_text()).group(1))


def dependencies(units, u):
    """struct unit_dep out of after=, requires=, wants=."""
    kinds = {}
    for key, kind in (("after", AFTER), ("requires", REQUIRES), ("wants", WANTS)):
        for name in u.get(key, ()):
            kinds[name] = kinds.get(name, 0) | kind
    return [n for name, kind in kinds.items() for n in (list(units).index(name) + 1, kind)]


def pack_field(kind, value):
    if kind.endswith("s"):
        return struct.pack("<" + kind, value.encode())
    if kind[0].isdigit():
        return struct.pack("<" + kind, *value, *[0] * (int(kind[:-1]) - len(value)))
    return struct.pack("<" + kind, value)


def table(units, error=""):
    """struct unit_table of lib/unit_table.h."""
    body = b""
    for name, u in units.items():
        u = {"name": name, "image": f"registry.test/{name}:1", "dep": dependencies(units, u), **u}
        body += b"".join(pack_field(kind, u.get(field, default)) for field, kind, default in ENTRY)
    entry = struct.calcsize("<" + "".join(kind for _, kind, _ in ENTRY))
    assert len(body) == entry * len(units)
    body = body.ljust(entry * units_max(), b"\0")
    size = 8 + 16 + 384 + len(body)
    head = lambda crc: struct.pack("<8sIIII384s", b"CORUNIT\x01", 10, size, crc, len(units), error.encode())
    return head(zlib.crc32(head(0) + body)) + body


def musl(source, to, *more):
    cc = BUILD / "deps" / "bin" / "musl-gcc"
    subprocess.run([str(cc) if cc.exists() else "gcc", "-static", "-O1", "-D_GNU_SOURCE", "-I", ROOT / "lib", "-I", BUILD, "-o", to,
                    source, *more], check=True)


class Tools:
    """Compiled once for all boards of a test run."""

    def __init__(self, base):
        self.job, self.guest = base / "fake_job", base / "guest"
        musl(ROOT / "tests/tools/fake_job.c", self.job, ROOT / "lib/job.c")
        musl(ROOT / "tests/tools/guest.c", self.guest)


class Board:
    def __init__(self, base, tools):
        self.base = pathlib.Path(base)
        self.bin, self.etc, self.data = self.base / "bin", self.base / "etc", self.base / "data"
        self.script = self.bin / "script"
        for d in (self.script, self.etc, self.data):
            d.mkdir(parents=True)
        os.chmod(self.base, 0o755)
        shutil.copy2(os.environ.get("CORACLE_INIT", bundle_kit.INIT), self.bin / "coracle-init")
        os.symlink("coracle-init", self.bin / "coracle")
        for name in ("coracle-bundle", "coracle-fetch"):
            shutil.copy2(tools.job, self.bin / name)
        shutil.copy2(bundle_kit.BUILD / "coracle-net", self.bin / "coracle-net")
        (self.bin / "client").mkdir()
        shutil.copy2(bundle_kit.BUNDLE, self.bin / "client/coracle-bundle")
        self.tools = tools
        self.units = {}
        self.conf(data_dir=str(self.data), console="none", hostname="bench")
        self.process = self.pid = None
        self.rootfs = self.base / "rootfs"
        for d in ("proc", "sys", "dev", "tmp", "etc"):
            (self.rootfs / d).mkdir(parents=True)
        shutil.copy2(tools.guest, self.rootfs / "guest")

    def conf(self, **keys):
        keys.setdefault("host", "yes")
        (self.etc / "board.conf").write_text("".join(f"{k.replace('_', '-')}={v}\n" for k, v in keys.items()))

    def write_units(self, name="table"):
        (self.script / name).write_bytes(table(self.units))

    def unit(self, name, *args, namespaces=None, nofile=None, change=None, **keys):
        """A unit that runs the guest with ARGS; its image counts as pulled unless current="" is asked for. CHANGE(config) may alter it."""
        keys.setdefault("current", "sha256:" + "0" * 64)
        self.units[name] = keys
        config = json.loads(json.dumps(bundle_kit.CONFIG))
        config["process"]["args"] = ["/guest", *map(str, args)]
        if nofile:
            config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": nofile, "hard": nofile}]
        if keys.get("notify"):
            config["process"]["env"].append("NOTIFY_SOCKET=/dev/notify/socket")
            config["mounts"].append({"destination": "/dev/notify", "type": "bind", "source": f"/run/coracle/notify/{name}",
                                     "options": ["bind", "nosuid", "nodev", "noexec", "ro"]})
        if namespaces:
            config["linux"]["namespaces"] = [{"type": t} for t in namespaces]
        if change:
            change(config)
        (self.script / f"record.{name}").write_bytes(record_writer.oci(config, self.base))

    def say(self, verb, *lines):
        (self.script / verb).write_text("".join(l + "\n" for l in lines))

    def log_of_jobs(self):
        path = self.script / "log"
        return path.read_text().split() if path.exists() else []

    def command(self, *more):
        return ["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--uts", "--ipc", "--kill-child=SIGKILL",
                *more, str(self.bin / "coracle-init"), "--etc", str(self.etc)]

    def start(self, *more):
        if not (self.script / "table").exists():
            self.write_units()
        self.output = open(self.base / "output", "ab")
        self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.output)
        self.wait(lambda: self.find_pid() and self.is_listening(), "control socket")
        end = time.monotonic() + 3
        while self.units and time.monotonic() < end and not self.status()["units"]:     # most tests ask for one at once
            time.sleep(0.02)
        return self

    def find_pid(self):
        try:
            pids = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except OSError:
            return None
        self.pid = int(pids[0]) if pids else None
        return self.pid

    def socket(self):
        return f"/proc/{self.pid}/root/run/coracle/control"

    def is_listening(self):
        """Between bind(2) and listen(2) the socket is there and refuses."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(self.socket()) == 0

    def coracle(self, *args, check=True, **kw):
        p = subprocess.run([self.bin / "coracle", "--socket", self.socket(), *args], capture_output=True, text=True,
                           timeout=60, **kw)
        assert not check or p.returncode == 0, (args, p.returncode, p.stdout, p.stderr)
        return p

    def status(self, name=None):
        s = json.loads(self.coracle("status", "--json").stdout)
        if not name:
            return s
        return next((u for u in s["units"] if u["name"] == name), None)

    def state(self, name):
        return (self.status(name) or {}).get("state")

    def log(self):
        return self.coracle("log").stdout

    def wait(self, what, name="", timeout=60):
        """Until WHAT() is true; its value. A unit that is not in the table yet (status() gives None) is waited for too."""
        end = time.monotonic() + timeout
        while True:
            try:
                value = what()
            except TypeError:
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not in {timeout} s: {name or what}\n{self.told()}")
            time.sleep(0.02)

    def wait_state(self, name, state, timeout=60):
        self.wait(lambda: self.state(name) == state, f"{name} {state}", timeout)
        return self.status(name)

    def told(self):
        try:
            return self.coracle("status", check=False).stdout + self.coracle("log", check=False).stdout
        except Exception as e:
            return f"{e}; {(self.base / 'output').read_text()}"

    def children(self, pid=None):
        """Host pids of the children of PID 1 (or of one of them)."""
        pid = pid or self.pid
        try:
            return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def comm(self, pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""

    def zombies(self):
        found = []
        for pid in self.children():
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            if stat.rsplit(")", 1)[1].split()[0] == "Z":
                found.append(pid)
        return found

    def mounts(self):
        return pathlib.Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()

    def cgroup_dir(self):
        """Of this board, or None on a host without cgroup v2."""
        for u in self.status()["units"]:
            if u["cgroup"]:
                return pathlib.Path(u["cgroup"]).parent
        return None

    def stop(self, how="poweroff", timeout=30):
        """Through PID 1; the wait status of `unshare`."""
        if self.process and self.process.poll() is None:
            self.coracle(how, check=False)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                told = self.told()
                self.process.kill()
                self.process.wait()
                raise AssertionError("did not go down\n" + told)
        return self.process.returncode if self.process else None

    def kill(self):
        """Without PID 1's help; so the cgroups it would have removed are removed here."""
        if not self.process or self.process.poll() is not None:
            return
        try:
            cgroup = self.cgroup_dir()
        except Exception:
            cgroup = None
        self.process.kill()
        self.process.wait()
        for _ in range(50 if cgroup and cgroup.exists() else 0):
            try:
                for d in sorted((d for d in cgroup.rglob("*") if d.is_dir()), reverse=True):
                    d.rmdir()
                cgroup.rmdir()
                return
            except OSError:
                time.sleep(0.02)	# its processes are still on their way out


def scratch():
    return tempfile.TemporaryDirectory(prefix="coracle-init-")
