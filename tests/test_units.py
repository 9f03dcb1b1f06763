# SPDX-License-Identifier: MIT
"""coracle-bundle units: folders of .container files as an engineer checks them, and as PID 1 gets them."""
import os
import re
import struct

import pytest

import layerkit

GOOD = "[Container]\nImage=registry.test:5000/a/b:1\n"


@pytest.fixture
def units(workdir, run, programs):
    folder = workdir / "units"
    folder.mkdir()

    def write(name, text, where=folder):
        where.mkdir(exist_ok=True)
        (where / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def check(*more, ok=None):
        return run(programs.bundle, "units", folder, *more, ok=ok)

    write.folder, write.check = folder, check
    return write


def lines(done):
    return {l.split()[0]: " ".join(l.split()[1:]) for l in done.out.splitlines()}


def test_bad_units_are_named_the_others_are_not_touched(units):
    units("a.container", GOOD)
    units("b.container", GOOD + "Memroy=1m\n")
    units("c.container", GOOD + "PublishPort=80:80\n")
    units("d.container", b"\xff\xfe\x00")
    got = units.check(ok=False)
    assert got.code == 1
    by = lines(got)
    assert by["a"] == "ok registry.test:5000/a/b:1"
    assert "b.container:3: unknown key Memroy= in [Container]; did you mean Memory=?" in by["b"]
    assert re.search(r"c.container: PublishPort=, .* are for Network=bridge or a .network: Network=none has nothing", by["c"])
    assert by["d"].startswith("refused")


def test_all_good_is_exit_0(units):
    units("a.container", GOOD)
    assert units.check(ok=True).out == "a                    ok        registry.test:5000/a/b:1\n"


def test_later_folder_wins(units, workdir):
    units("a.container", GOOD)
    units("b.container", GOOD)
    units("a.container", GOOD.replace("a/b:1", "a/b:2"), where=workdir / "more")
    by = lines(units.check(workdir / "more", ok=True))
    assert by == {"a": "ok registry.test:5000/a/b:2", "b": "ok registry.test:5000/a/b:1"}


def test_units_speak_of_each_other(units):
    units("a.container", "[Unit]\nAfter=b.service network.target\nRequires=b.container\n" + GOOD)
    units("b.container", "[Unit]\nAfter=gone.service\n" + GOOD)
    assert units.check().code == 0
    units("c.container", "[Unit]\nRequires=gone.service\n" + GOOD)
    assert "Requires=gone: there is no such unit here" in lines(units.check(ok=False))["c"]
    (units.folder / "c.container").unlink()
    units("b.container", "[Unit]\nAfter=a.service\n" + GOOD)
    by = lines(units.check(ok=False))
    assert "After= leads in a circle: a -> b -> a" in by["a"] and by["b"].startswith("ok")


def test_services_finer_keys(units):
    service = "[Service]\n%s\n"
    units("a.container", GOOD + service % "Type=oneshot\nRemainAfterExit=yes\nSuccessExitStatus=3 SIGKILL\nRestartPreventExitStatus=255")
    units("b.container", GOOD + "Notify=yes\n" + service % "WatchdogSec=5\nRestart=on-watchdog")
    units("c.container", "[Unit]\nWants=a.service gone.service\n" + GOOD)
    assert units.check().code == 0
    for text, says in (("Type=oneshot\nRestart=always", "Type=oneshot ends when it is done"), ("WatchdogSec=5", "needs Notify=yes"),
                       ("SuccessExitStatus=256", "takes exit codes"), ("RestartForceExitStatus=SIGNOT", "takes exit codes"),
                       ("SuccessExitStatus=1 2 3 4 5 6 7 8 9", "too many"), ("Type=forking", "takes simple, exec")):
        units("d.container", GOOD + service % text)
        assert says in lines(units.check(ok=False))["d"], text


def test_times(units):
    units("a.container", GOOD + "[Service]\nType=oneshot\n[X-Coracle]\nOnCalendar=Mon..Fri *-*-* 03:30\nOnBootSec=5min\n")
    assert units.check().code == 0
    for text in ("OnCalendar=never", "OnCalendar=24:00", "OnCalendar=03:30 Europe/Berlin", "OnBootSec=soon"):
        units("b.container", GOOD + "[X-Coracle]\n" + text + "\n")
        assert "takes" in lines(units.check(ok=False))["b"], text


def test_health_keys(units):
    units("a.container", GOOD + "HealthCmd=curl -f http://localhost/\nHealthInterval=5s\nHealthOnFailure=restart\nNotify=healthy\n")
    units("b.container", GOOD + 'HealthCmd=["/bin/check", "--fast"]\nHealthRetries=2\nHealthStartPeriod=1m\nHealthTimeout=2s\n')
    units("c.container", GOOD + "[X-Coracle]\nHealthHttp=8080/health\n")
    units("d.container", GOOD + "HealthCmd=none\nHealthInterval=disable\n")
    units("f.container", GOOD + "HealthCmd=/bin/check\nHealthStartupCmd=/bin/up\nHealthStartupInterval=2s\nHealthStartupTimeout=1s\n"
          "HealthStartupRetries=0\nHealthStartupSuccess=2\n")
    units("g.container", GOOD + "HealthStartupCmd=none\nHealthStartupInterval=disable\n")
    assert units.check().code == 0
    for text, says in (("HealthCmd=" + "x" * 256, "too long"), ("HealthCmd=[]", "takes a line"), ("HealthRetries=0", "takes a number"),
                       ("HealthOnFailure=reboot", "takes none"), ("HealthStartupRetries=-1", "takes a number"), ("HealthStartupCmd=[]", "takes as HealthCmd="),
                       ("HealthStartupSuccess=x", "takes a number"), ("HealthStartupInterval=x", "takes a time span"),
                       ("HealthStartupCmd=" + "x" * 256, "too long"), ("[X-Coracle]\nHealthTcp=0", "takes a port"),
                       ("[X-Coracle]\nHealthTcp=80/x", "takes a port"), ("[X-Coracle]\nHealthHttp=80/a b", "takes PORT/PATH")):
        units("e.container", GOOD + text + "\n")
        assert says in lines(units.check(ok=False))["e"], text


def test_what_is_not_read_is_said(units):
    units("a.container", GOOD)
    units("data.volume", "[Volume]\n")
    assert "data.volume: not read" in units.check(ok=True).err
    (units.folder / "a.container.d").mkdir()
    assert "drop-ins (a.container.d) are not supported" in lines(units.check(ok=False))["a"]


def test_a_missing_folder_is_said(units, workdir):
    got = units.check(workdir / "none", ok=False)
    assert "none: No such file or directory" in got.out


def test_too_many_units(units):
    for i in range(33):
        units("u%02d.container" % i, GOOD)
    got = units.check(ok=False)
    assert "more than 32 units (CONFIG_UNITS_MAX)" in got.out
    assert len([l for l in got.out.splitlines() if " ok " in l]) == 32


def test_odd_files_do_no_harm(units):
    os.mkfifo(units.folder / "fifo.container")
    (units.folder / "dir.container").mkdir()
    (units.folder / "link.container").symlink_to("/dev/zero")
    (units.folder / "dangling.container").symlink_to("nowhere")
    units("big.container", GOOD + "#" * 70000)
    units("a.container", GOOD)
    by = lines(units.check(ok=False))
    assert by["a"].startswith("ok")
    for name in ("fifo", "dir", "link", "dangling", "big"):
        assert by[name].startswith("refused"), name
    assert "larger than" in by["big"]


# As Quadlet files in the wild are written, in our own words

WILD_GOOD = {
    "caddy": """\
# web server
[Unit]
Description=Caddy
Documentation=https://caddyserver.test
Wants=network-online.target
After=network-online.target

[Container]
ContainerName=caddy
Image=docker.io/library/caddy:2
AutoUpdate=registry
Network=host
AddCapability=CAP_NET_BIND_SERVICE
Volume=caddy-data:/data:Z
Volume=/etc/caddy/Caddyfile:/etc/caddy/Caddyfile:ro,Z
Environment=XDG_DATA_HOME=/data \\
    "GREETING=hello there"
Label=app=web "team=edge"
LogDriver=journald
Ulimit=nofile=1024:4096

[Service]
Restart=on-failure
RestartSec=5
TimeoutStartSec=900

[Install]
WantedBy=multi-user.target default.target
""",
    "sleeper": """\
[Unit]
Description=The sleep container
[Container]
Image=registry.access.test/ubi9-minimal:latest
Exec=sleep 1000
DropCapability=ALL
NoNewPrivileges=true
ReadOnly=true
Tmpfs=/work:size=8m,mode=1777
[Install]
WantedBy=default.target
""",
}
WILD_REFUSED = {
    "volume unit": ("Volume=data.volume:/data", "Volume=data:/data"),
    "network unit": ("Network=web.network", "Network=web.network: there is no such file here"),
    "network of podman": ("Network=container:x", "options of a network are keys of their own|takes none, host, bridge"),
    "ports": ("PublishPort=127.0.0.1:8080:80", "Network=bridge"),
    "ports by chance": ("Network=bridge\nPublishPort=80", "80:80 names one"),
    "ranges": ("Network=bridge\nPublishPort=80-90:80-91", "both ranges have one length"),
    "host-gateway": ("Network=bridge\nAddHost=h:host-gateway", "Network=host reaches them"),
    "template": ("Exec=sleep %i", "%i is not supported"),
    "secret": ("Secret=token,type=env", "type=env"),
    "pod": ("Pod=web.pod", "Pod= is not supported"),
    "podman": ("PodmanArgs=--privileged", "PodmanArgs= is not supported"),
    "keep-id": ("UserNS=keep-id", "range of ids of its own"),
    "env file": ("EnvironmentFile=/etc/x.env", "write Environment= lines"),
}


@pytest.mark.parametrize("name", WILD_GOOD)
def test_ordinary_quadlet_files_are_taken(units, name):
    units(name + ".container", WILD_GOOD[name])
    assert units.check().out.startswith(name), units.check()
    assert units.check().code == 0


@pytest.mark.parametrize("name", WILD_REFUSED)
def test_what_we_do_not_have_is_refused_with_a_reason(units, name):
    key, why = WILD_REFUSED[name]
    units("x.container", GOOD + key + "\n")
    assert re.search(why, units.check(ok=False).out)


def test_doc_is_the_parsers_table(run, programs):
    printed = run(programs.bundle, "units", "--keys").out
    doc = (layerkit.ROOT / "docs/unit-keys.md").read_text()
    assert doc.endswith(printed), "docs/unit-keys.md differs from `coracle-bundle units --keys`: replace its tables by that"
    assert printed.count("\n| ") > 150


# The job


def table(run, programs, *argv):
    fd = os.memfd_create("table")
    r, w = os.pipe()
    got = run(programs.bundle, "units", "--table-fd", fd, "--result-fd", w, *argv, ok=None, pass_fds=(fd, w))
    os.close(w)
    message = os.read(r, 65536)
    os.close(r)
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    os.close(fd)
    return got, message, data


def test_job_hands_over_table_and_result(units, run, programs):
    units("a.container", GOOD)
    units("b.container", GOOD + "Nonsense=1\n")
    got, message, data = table(run, programs, units.folder)
    assert got.code == 0
    magic, code = struct.unpack_from("<II", message)
    assert (magic, code) == (0x4a524333, 1)
    assert data[:8] == b"CORUNIT\x01"
    form, size, crc, count = struct.unpack_from("<IIII", data, 8)
    assert (form, size, count) == (10, len(data), 2)
    assert b"registry.test:5000/a/b:1\0" in data and b"unknown key Nonsense=" in data


def test_damaged_store_does_not_hide_the_units(units, run, programs, workdir):
    units("a.container", GOOD)
    store = workdir / "store"
    store.mkdir()
    (store / "format").write_text("something else\n")
    got, message, data = table(run, programs, "--store", store, units.folder)
    assert got.code == 0 and b"registry.test:5000/a/b:1\0" in data
    assert str(store) in got.err


@pytest.mark.parametrize("argv", [[], ["--table-fd"], ["--table-fd", "x", "d"], ["--what", "1", "d"]])
def test_usage(run, programs, argv):
    assert run(programs.bundle, "units", *argv, ok=False).code == 2
