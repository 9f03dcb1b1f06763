# SPDX-License-Identifier: MIT
"""A stock log forwarder, Debian's rsyslog, in a unit that reads the saved CRI files through a read-only mount (tests/demo/forwarder)."""
import os
import pathlib
import re

import pytest

import images
import init_kit
import keys
import tcp
from test_kill_children import RealBoard

HERE = init_kit.ROOT / "tests/demo/forwarder"
LIBRARIES = ("libc6", "libestr0", "libfastjson4", "libuuid1", "libsystemd0", "libcap2", "zlib1g")


class Collector(tcp.Server):
    """Takes lines on a port of loopback."""

    def __init__(self):
        self.text = ""
        super().__init__(self.read)

    def read(self, one):
        with one.makefile(errors="replace") as lines:
            for line in lines:
                self.text += line

    def numbers(self, name):
        return [int(n) for n in re.findall(r"^<14>1 \S+ \S+ %s - - - \S+Z stdout F number (\d+)$" % name, self.text, re.M)]


def rsyslog_image(folder, port):
    """Debian's package with the libraries it needs, and our configuration."""
    program = keys.tool("trixie", "rsyslog", "usr/sbin/rsyslogd")
    entries = {"lib": images.entry("lib", kind=images.tarfile.SYMTYPE, link="usr/lib"),
               "lib64": images.entry("lib64", kind=images.tarfile.SYMTYPE, link="usr/lib64")}
    roots = [program.parents[2], *(keys.tool("trixie", name, "usr").parent for name in LIBRARIES)]
    for root in roots:
        for path in sorted([*root.glob("usr/sbin/rsyslogd"), *root.glob("usr/lib/*/**/*.so*"), *root.glob("usr/lib64/*")]):
            name = str(path.relative_to(root))
            if "/gconv/" in name or "/audit/" in name:
                continue
            if path.is_symlink():
                entries[name] = images.entry(name, kind=images.tarfile.SYMTYPE, link=os.readlink(path))
            elif path.is_file():
                entries[name] = images.entry(name, path.read_bytes(), mode=0o755)
    conf = (HERE / "rsyslog.conf").read_text()
    assert conf.count('target="logs.example" port="514"') == 1
    conf = conf.replace('target="logs.example" port="514"', 'target="127.0.0.1" port="%d"' % port)
    entries["conf"] = images.entry("etc/rsyslog.conf", conf.encode())
    entries["var"] = images.entry("var/spool/rsyslog", kind=images.tarfile.DIRTYPE, mode=0o700)
    images.make_image(folder, [list(entries.values())], how="gzip", config={"Entrypoint": ["/usr/sbin/rsyslogd"]},
                      arch={"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm"))


def test_rsyslog_forwards_what_units_print(tools, programs, registry, trust, workdir):
    server = Collector()
    rsyslog_image(workdir / "rsyslog", server.port)
    images.make_image(workdir / "guest", [[images.entry("guest", tools.guest.read_bytes(), mode=0o755)]], config={"Entrypoint": ["/guest"]},
                      arch={"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm"))
    rules = {}
    for name in ("rsyslog", "guest"):
        registry.push(workdir / name, "forward/" + name)
        registry.sign("forward/" + name, registry.key("cosign"))
        rules[f"{registry.host}/forward/{name}"] = registry.key("cosign").pub
    t = trust(rules)
    with init_kit.scratch() as d:
        os.chmod(d, 0o755)
        b = RealBoard(pathlib.Path(d) / "b", tools, programs, t)
        text = (HERE / "forwarder.container").read_text()
        for there, here in (("registry.example/tools/rsyslog:1", f"{registry.host}/forward/rsyslog:1"), ("/data/logs", str(b.data / "logs"))):
            assert text.count(there) == 1
            text = text.replace(there, here)
        (b.data / "logs").mkdir()
        b.units["forwarder"] = ""
        (b.etc / "units/forwarder.container").write_text(text)
        for name in ("one", "two"):
            b.units[name] = ""
            (b.etc / f"units/{name}.container").write_text(
                f"[Unit]\nAfter=forwarder.service\n[Container]\nImage={registry.host}/forward/guest:1\nExec=count 3000 3000\n"
                "[Service]\nRestart=no\nLogRateLimitBurst=0\n[X-Coracle]\nLogSizeMax=100k\n")
        try:
            b.start()
            b.wait_state("forwarder", "running")
            # What is less than half a ring waits for its minute; the files turn over once meanwhile, and no line goes with them.
            for name in ("one", "two"):
                b.wait(lambda: set(range(2000)) <= set(server.numbers(name)), f"{len(set(server.numbers(name)))} lines of {name}", 150)
                assert (b.data / f"logs/{name}/1.log").exists(), "turned over"
            u = b.status("forwarder")
            assert u["state"] == "running" and u["restarts"] == 0, b.told()
            pid = next(int(l.split()[1]) for c in b.children() for l in pathlib.Path(f"/proc/{c}/status").read_text().splitlines()
                       if l.startswith("NSpid:") and int(l.split()[2]) == u["pid"])
            mount = next(l.split() for l in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if l.split()[4] == "/logs")
            assert "ro" in mount[5].split(","), mount
        finally:
            b.kill()
            server.stop()
