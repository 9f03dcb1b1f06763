# SPDX-License-Identifier: MIT
"""Readiness, watchdog, health and logs as a unit file asks for them, through the real coracle-bundle, with a user namespace of the unit's
own and without: what test_unit_life.py shows with records made by hand."""
import re

import pytest

import images
import init_kit
from test_kill_children import RealBoard


@pytest.fixture(params=["auto", "host"])
def unit(request, tools, programs, registry, trust, workdir):
    """unit(NAME, ARGS, container, service, x): a unit file of the guest; .board its board."""
    layer = [images.entry("guest", tools.guest.read_bytes(), mode=0o755)]
    images.make_image(workdir / "image", [layer], how="gzip", arch="amd64", config={"Entrypoint": ["/guest"], "Labels": {
        "org.opencontainers.image.version": "2.7.1-rc\x1b[31m"}, "Healthcheck": {
        "Test": ["CMD", "/guest", "check", "who"], "Interval": 300_000_000}})
    registry.push(workdir / "image", "real/guest")
    registry.sign("real/guest", registry.key("cosign"))
    t = trust({f"{registry.host}/real/guest": registry.key("cosign").pub})
    with init_kit.scratch() as d:
        import os
        os.chmod(d, 0o755)
        b = RealBoard(init_kit.pathlib.Path(d) / "b", tools, programs, t)
        b.conf(data_dir=str(b.data), console="none", hostname="bench", units=str(b.etc / "units"), userns_host="hung off ready sick web")

        def go(name, args, container="", service="", x=""):
            b.units[name] = name
            (b.etc / f"units/{name}.container").write_text(
                f"[Container]\nImage={registry.host}/real/guest:1\nExec={args}\nUserNS={request.param}\n{container}\n\n"
                f"[Service]\nRestart=always\nRestartSec=100ms\n{service}\n\n[X-Coracle]\n{x}\n")
        go.board = b
        go.userns = request.param
        yield go
        b.kill()


def test_a_unit_file_gets_what_it_asks_for(unit):
    b = unit.board
    unit("ready", "notify STATUS=warming sleep=500 READY=1", "Notify=yes")
    unit("hung", "notify READY=1", "Notify=yes", "WatchdogSec=400ms")
    unit("web", "serve 7001", x="HealthHttp=7001/health", container="HealthInterval=300ms")
    unit("sick", "quiet", 'HealthCmd=["/guest", "check", "none"]\nHealthInterval=200ms\nHealthRetries=1\nHealthOnFailure=restart')
    unit("off", "quiet", "HealthCmd=none")
    b.start()
    b.wait(lambda: b.state("ready") == "activating", "activating", 60)
    b.wait_state("ready", "running", 30)
    b.wait(lambda: b.status("hung")["restarts"] >= 1, "watchdog", 30)
    assert "WatchdogSec" in b.status("hung")["ends"][0]["reason"]
    b.wait(lambda: b.status("web")["health"] == "healthy", "web", 30)
    assert b.status("web")["health_text"] == "HTTP/1.1 200"
    b.wait(lambda: b.status("sick")["restarts"] >= 1, "sick", 30)
    assert "unhealthy" in b.status("sick")["ends"][0]["reason"]
    # The image's own HEALTHCHECK, with the program's rights, inside its namespaces.
    b.wait(lambda: b.status("ready")["health"] == "healthy", "the image's check", 30)
    assert re.fullmatch(r"pid inside uid 0 caps 0{16} seccomp 2 nnp 1", b.status("ready")["health_text"]), b.status("ready")
    assert b.status("off")["health"] == ""
    assert b.status("ready")["version"] == "2.7.1-rc?[31m"


def test_what_cannot_be_started_says_why_in_status(unit):
    """Users that overflow, users and groups that do not exist, a missing program: the unit's own line names it."""
    b, want = unit.board, {
        "over": ("User=4294967296", "4294967296"), "minus": ("User=4294967295", "4294967295"), "nobody": ("User=nosuch", "nosuch"),
        "group": ("User=1000\nGroup=nosuch", "nosuch"), "more": ("GroupAdd=nosuch", "nosuch"), "program": ("Entrypoint=/nosuch", "exec /nosuch: No such file")}
    for name, (container, _) in want.items():
        unit(name, "quiet", container)
    b.conf(data_dir=str(b.data), console="none", hostname="bench", units=str(b.etc / "units"), userns_host=" ".join(want))
    b.start()
    for name, (_, why) in want.items():
        b.wait(lambda: why in b.status(name)["reason"] + b.status(name).get("error", ""), name, 120)
        assert b.state(name) != "running", name
