# SPDX-License-Identifier: MIT
"""Updates of a unit on this host: the real programs, PID 1 in namespaces, the real registry with TLS and log-in, signatures by cosign (and, where
many are needed, of the same form by openssl). What docs/updates.md promises, and the rows of docs/update-faults.md that need no board."""
import json
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tarfile
import time
import types

import pytest

import images
import init_kit
import netkit
from liar import Proxy
from test_kill_children import RealBoard

ROOT = init_kit.ROOT
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm")


class App:
    """One repository of the registry, and images of the guest program in it."""

    def __init__(self, registry, name, tools, workdir):
        self.registry, self.name, self.tools, self.workdir, self.made = registry, name, tools, workdir, 0
        self.ref = f"{registry.host}/{name}"

    def push(self, *args, tag="1", key="cosign", size=1000, version=None, arch=ARCH, cosign=False):
        """An image that runs the guest with ARGS, different from all others. Its digest. KEY None: unsigned. VERSION: a signed annotation."""
        self.made += 1
        layout = self.workdir / f"image{self.made}"
        filler = random.Random(f"{self.name} {self.made}").randbytes(size)
        twist = (lambda config, manifest: manifest.update(annotations={"coracle.version": str(version)})) if version else None
        images.make_image(layout, [[images.entry("guest", self.tools.guest.read_bytes(), mode=0o755)], [images.entry("filler", filler)]],
                          config={"Entrypoint": ["/guest", *map(str, args)]}, arch=arch, twist=twist)
        digest = self.registry.push(layout, self.name, tag=tag)
        if key and cosign:
            self.registry.sign(self.name, self.registry.key(key), tag=tag)
        elif key:
            self.registry.sign_by_hand(self.name, self.registry.key(key), tag=tag)
        return digest

    def blobs_fetched(self):
        return len([r for r in self.registry.requests_seen() if r.startswith(f"GET /v2/{self.name}/blobs/")])

    def looks(self):
        """How often the tag was asked for: `check` does by HEAD, and once more with its credentials."""
        return self.registry.requests_seen().count(f"HEAD /v2/{self.name}/manifests/1")


class Board(RealBoard):
    def unit(self, name, app, service="", x="ConfirmSec=500ms", container=""):
        self.units[name] = app
        (self.etc / f"units/{name}.container").write_text(
            f"[Container]\nImage={app.ref}:1\n{container}\n[Service]\nRestart=always\nRestartSec=100ms\nTimeoutStopSec=300ms\n{service}\n[X-Coracle]\n{x}\n")

    def update(self, name, *more, ok=True, timeout=60):
        p = subprocess.run([self.bin / "coracle", "--socket", self.socket(), "update", name, *more], capture_output=True, text=True,
                           timeout=timeout)
        assert ok is None or (p.returncode == 0) == ok, (p.returncode, p.stdout, p.stderr, self.told())
        return p.stdout + p.stderr

    def slot(self, name="app"):
        """The unit's line of state/slots."""
        for line in (self.data / "state/slots").read_text().splitlines():
            if line.startswith(f"unit {name} "):
                return dict(w.split("=", 1) for w in line.split()[2:])
        return None

    def history(self, name="app"):
        return [(h["outcome"], h["digest"], h["why"]) for h in self.status(name)["update"]["history"]]

    def wait_update(self, state, name="app", timeout=30):
        return self.wait(lambda: self.status(name) and self.status(name)["update"]["state"] == state, f"update {state}", timeout)

    def wait_runs(self, digest, name="app", timeout=30):
        """Runs that image, and no update is under way."""
        return self.wait(lambda: (lambda u: u and u["state"] == "running" and u["digest"] == digest and u["update"]["state"] == "idle")(
            self.status(name)), f"{name} runs {digest}", timeout)

    def intercept(self, program, script):
        """PROGRAM is from now on a shell script: SCRIPT, with $real and the arguments, before it becomes the real one."""
        real = self.bin / "real"
        real.mkdir(exist_ok=True)
        for name in ("coracle-bundle", "coracle-fetch"):        # each looks for the other beside itself
            path = self.bin / name
            if not (real / name).exists():
                path.rename(real / name)
            path.write_text('#!/bin/sh\nreal=%s state=%s\n%s\nexec "$real" "$@"\n' % (
                real / name, real, script if name == f"coracle-{program}" else ""))
            path.chmod(0o755)


@pytest.fixture
def app(registry, tools, workdir, request):
    return App(registry, "update/" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60], tools, workdir)


@pytest.fixture
def make_board(tools, programs, registry, trust):
    made = []

    def make(*apps, base):
        rules = {a.ref: registry.key("cosign").pub for a in apps}
        made.append(Board(base, tools, programs, trust(rules)))
        return made[-1]

    yield make
    for b in made:
        b.kill()


@pytest.fixture
def board(make_board, app):
    with init_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield make_board(app, base=pathlib.Path(d) / "b")


def first(board, app, *args, **unit):
    """The unit runs its first image."""
    digest = app.push(*(args or ("say", "one")))
    board.unit("app", app, **unit)
    board.start()
    board.wait_runs(digest)
    return digest


def test_the_page_is_the_table(workdir):
    program = workdir / "update_states"
    init_kit.musl(ROOT / "tests/tools/update_states.c", program, ROOT / "init/update.c", "-I", ROOT / "init", "-I", init_kit.BUILD)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/updates.md").read_text().endswith(printed), f"replace the table of docs/updates.md by what {program} prints"


# The good case, and back


def test_a_new_image_is_committed_and_rolled_back_by_hand(board, app):
    one = first(board, app)
    said = board.update("app")
    assert "nothing to do" in said
    pid = board.status("app")["pid"]
    two = app.push("say", "two", size=3 << 20, cosign=True)
    said = board.update("app")
    assert re.search(r"confirming " + two, said) and "app: committed: up for long enough" in said, said
    new, size = map(int, re.findall(r"fetch app: (\d+) of the (\d+) bytes of its layers were new", board.log())[-1])
    sizes = [l["size"] for l in json.loads(app.registry.manifest(app.name, two)[0])["layers"]]
    assert (new, size) == (sizes[1], sum(sizes)), "the layer with the program was there"
    u = board.status("app")
    assert u["state"] == "running" and u["digest"] == two and u["pid"] != pid and u["update"]["previous"] == one
    slot = board.slot()
    assert (slot["current"], slot["previous"], slot["next"], slot["tries"]) == (two, one, "-", "0")
    board.wait(lambda: "stdout F two" in board.coracle("logs", "app").stdout, "output of the new one")
    assert board.history() == [("committed", two, "up for long enough")]
    shown = board.coracle("status", "app").stdout
    assert re.search(r"Z committed in 00:00:\d\d: " + two[:19], shown) and "before it " + one in shown

    assert "rolled back: asked for by hand" in board.coracle("rollback", "app").stdout
    board.wait_runs(one)
    assert board.slot()["current"] == one and board.slot()["refused"] == two
    before = app.blobs_fetched()
    assert "failed here before" in board.update("app")
    assert app.blobs_fetched() <= before + 2, "its config and signature, no layer"
    p = board.coracle("rollback", "app", check=False)
    assert p.returncode == 1 and "no image from before" in p.stderr


def test_the_old_one_runs_until_the_new_one_is_on_disk(board, app):
    """Its process ends only after the new image is staged."""
    one = first(board, app)
    pid = board.status("app")["pid"]
    board.intercept("bundle", '[ "$1 $2" = "slot switch" ] && { while [ -e $state/wait ]; do sleep 0.05; done; }')
    (board.bin / "real/wait").touch()
    two = app.push("say", "two")
    board.update("app", "--no-wait")
    board.wait_update("switching")
    assert board.slot()["next"] == two and (board.data / "images/sha256" / two[7:]).exists()
    assert board.status("app")["pid"] == pid and board.slot()["current"] == one
    (board.bin / "real/wait").unlink()
    board.wait_runs(two)


def test_ready_is_what_confirms_a_notifying_unit(board, app):
    one = first(board, app, "notify", "READY=1", container="Notify=yes", x="")
    two = app.push("notify", "sleep=300", "READY=1")
    assert "committed: ready" in board.update("app")
    assert board.slot()["current"] == two and board.slot()["previous"] == one


def test_a_health_check_confirms_or_condemns(board, app):
    one = first(board, app, "say", "x", x="", container='HealthCmd=["/guest", "exit", "0"]\nHealthInterval=200ms')
    two = app.push("say", "y")
    assert "committed: healthy" in board.update("app")
    (board.etc / "units/app.container").write_text((board.etc / "units/app.container").read_text().replace('"exit", "0"', '"exit", "1"'))
    board.stop()
    board.start()
    board.wait(lambda: board.status("app")["state"] == "running", "second boot")
    three = app.push("say", "z")
    assert "rolled back: unhealthy" in board.update("app", ok=False)
    board.wait(lambda: board.status("app")["digest"] == two, "the one before")
    assert board.slot()["refused"] == three and one != two


# Bad images


@pytest.mark.parametrize("args,why", [(("exit", 3), "its program ended too often: exited with code 3"),
                                      (("signal", 11), "its program ended too often: exited with code 139"),
                                      (("later", 100, 0), "its program ended too often")])
def test_an_image_that_crashes_is_rolled_back_and_not_tried_again(board, app, args, why):
    one = first(board, app)
    two = app.push(*args)
    said = board.update("app", ok=False)
    assert "app: rolled back: " + why in said, said
    board.wait_runs(one)
    slot = board.slot()
    assert (slot["current"], slot["next"], slot["refused"]) == (one, "-", two)
    assert board.history()[0][:2] == ("rolled-back", two)
    fetched = app.blobs_fetched()
    assert "failed here before" in board.update("app")
    assert app.blobs_fetched() <= fetched + 2
    three = app.push("say", "three")
    assert "committed" in board.update("app")
    board.wait_runs(three)


def test_restart_no_fails_at_once(board, app):
    one = first(board, app)
    board.unit("app", app)
    text = (board.etc / "units/app.container").read_text().replace("Restart=always", "Restart=no")
    (board.etc / "units/app.container").write_text(text)
    board.stop()
    board.start()
    board.wait_runs(one)
    app.push("exit", 3)
    assert "rolled back: failed: exited with code 3" in board.update("app", ok=False)
    board.wait_runs(one)


def test_an_image_that_hangs_before_ready_is_rolled_back(board, app):
    one = first(board, app, "notify", "READY=1", container="Notify=yes", x="ConfirmWindowSec=2s")
    two = app.push("quiet")
    assert "rolled back: not confirmed in time" in board.update("app", ok=False)
    board.wait_runs(one)
    assert board.slot()["refused"] == two


@pytest.mark.parametrize("confirms", [None, pytest.param("no", marks=pytest.mark.full)])
def test_an_image_that_takes_the_network_down_is_rolled_back(board, app, registry, confirms):
    """A unit that has the board's network in its hand is up and well, and the board is cut off: no later image could mend it."""
    x = "ConfirmSec=300ms\nConfirmWindowSec=4s" + (f"\nConfirmRegistry={confirms}" if confirms else "")
    board.conf(data_dir=str(board.data), console="none", hostname="bench", units=str(board.etc / "units"), userns_host="app")
    one = app.push("link", "lo", "up", "say", "one")
    board.unit("app", app, container="Network=host\nUserNS=host\nAddCapability=CAP_NET_ADMIN\nUser=0", x=x)
    board.start("--net")
    space = "/proc/%d/ns/net" % board.pid
    subprocess.run(["nsenter", "--net=" + space, "ip", "link", "set", "lo", "up"], check=True)
    tunnel = netkit.Tunnel(space, registry.port)
    try:
        board.wait_runs(one)
        two = app.push("link", "lo", "down", "say", "two")
        said = board.update("app", ok=confirms == "no")
        if confirms:
            assert "committed" in said and board.slot()["current"] == two
            return
        assert re.search("rolled back: not confirmed in time: .*(does not answer|nreachable)", said), said
        board.wait_runs(one)
        assert board.slot()["refused"] == two
        three = app.push("link", "lo", "up", "say", "three")
        assert "committed" in board.update("app")
        board.wait_runs(three)
    finally:
        tunnel.stop()


def test_an_image_for_another_machine_never_comes_in(board, app):
    one = first(board, app)
    pid = board.status("app")["pid"]
    app.push("say", "x", arch="s390x")
    said = board.update("app", ok=False)
    assert "failed" in said and "s390x" in said, said
    assert board.status("app")["pid"] == pid and board.slot()["current"] == one and board.slot()["next"] == "-"


def test_a_program_that_is_not_there_is_a_verdict(board, app, registry):
    one = first(board, app)
    layout = app.workdir / "broken"
    images.make_image(layout, [[images.entry("other", b"x")]], config={"Entrypoint": ["/guest"]}, arch=ARCH)
    two = registry.push(layout, app.name)
    registry.sign_by_hand(app.name, registry.key("cosign"))
    assert "rolled back" in board.update("app", ok=False)
    board.wait_runs(one)
    assert board.slot()["refused"] == two


# Bad signatures, tags that move


@pytest.mark.parametrize("key,why", [("stranger", "another key"), (None, "no signature")])
def test_a_wrong_signature_changes_nothing(board, app, key, why):
    one = first(board, app)
    pid = board.status("app")["pid"]
    slots = (board.data / "state/slots").read_bytes()
    two = app.push("say", "two", key=key)
    said = board.update("app", ok=False)
    assert "app: failed" in said and why in said, said
    assert board.status("app")["pid"] == pid and (board.data / "state/slots").read_bytes() == slots
    board.wait(lambda: board.history() and board.history()[-1][0] == "failed", "history")
    app.registry.sign_by_hand(app.name, app.registry.key("cosign"))      # signed later, it is taken
    assert "committed" in board.update("app")
    assert board.slot()["current"] == two and one != two


def test_a_tag_that_moves_and_goes_back_while_an_image_waits(board, app):
    one = first(board, app)
    board.coracle("stop", "app")
    board.wait_state("app", "inactive")
    two = app.push("say", "two")
    assert "its next start is the trial" in board.update("app")
    assert board.slot()["next"] == two and board.slot()["current"] == one
    three = app.push("say", "three")
    board.update("app")
    assert board.slot()["next"] == three
    assert "nothing to do" in board.update("app") and board.slot()["next"] == three        # asked again, the same
    app.registry.request("PUT", f"/v2/{app.name}/manifests/1", *manifest_of(app, one))
    assert "rolled back" in board.update("app", ok=None)
    assert board.slot()["next"] == "-" and board.slot()["refused"] == "-"
    board.coracle("start", "app")
    board.wait_runs(one)
    app.registry.request("PUT", f"/v2/{app.name}/manifests/1", *manifest_of(app, two))
    assert "committed" in board.update("app")                                      # it never failed: it may come again
    board.wait_runs(two)


def manifest_of(app, digest):
    body, _, media = app.registry.manifest(app.name, digest)
    return body, {"Content-Type": media}


def test_a_tag_that_moves_in_mid_pull(board, app):
    """What was pulled is what is tried; the other comes with the next look."""
    first(board, app)
    board.intercept("fetch", '[ "$1" = pull ] && { touch $state/pulling; while [ -e $state/wait ]; do sleep 0.05; done; }')
    (board.bin / "real/wait").touch()
    app.push("say", "two")
    board.update("app", "--no-wait")
    board.wait(lambda: (board.bin / "real/pulling").exists(), "pull")
    three = app.push("say", "three")
    (board.bin / "real/wait").unlink()
    board.wait_runs(three)
    assert "nothing to do" in board.update("app")


def test_a_tag_that_vanishes(board, app):
    one = first(board, app)
    assert app.registry.request("DELETE", f"/v2/{app.name}/manifests/{one}")[0] == 202
    said = board.update("app", ok=False)
    assert "app: failed" in said and "404" in said, said
    assert board.status("app")["state"] == "running"


def test_a_registry_that_is_gone(board, app, registry):
    first(board, app)
    pid = board.status("app")["pid"]
    registry.stop()
    try:
        said = board.update("app", ok=False)
        assert "app: failed" in said
        assert board.status("app")["pid"] == pid
    finally:
        registry.start()
    two = app.push("say", "two")
    assert "committed" in board.update("app")
    board.wait_runs(two)


# Two at once, cancelled, stopped


def test_two_updates_at_once(board, app):
    first(board, app)
    board.intercept("fetch", '[ "$1" = pull ] && { touch $state/pulling; while [ -e $state/wait ]; do sleep 0.05; done; }')
    (board.bin / "real/wait").touch()
    two = app.push("say", "two")
    board.update("app", "--no-wait")
    board.wait(lambda: (board.bin / "real/pulling").exists(), "pull")
    assert "an update is under way: downloading" in board.update("app", ok=False)
    (board.bin / "real/wait").unlink()
    board.wait_runs(two)


def test_rollback_while_it_downloads_gives_it_up(board, app):
    one = first(board, app)
    board.intercept("fetch", '[ "$1" = pull ] && { touch $state/pulling; while [ -e $state/wait ]; do sleep 0.05; done; }')
    (board.bin / "real/wait").touch()
    two = app.push("say", "two")
    board.update("app", "--no-wait")
    board.wait(lambda: (board.bin / "real/pulling").exists(), "pull")
    board.coracle("rollback", "app", "--no-wait")
    board.wait_update("idle")
    (board.bin / "real/wait").unlink()
    assert board.slot()["current"] == one and board.slot()["refused"] == "-"
    board.wait(lambda: "committed" in board.update("app", ok=None), "taken up again")
    board.wait_runs(two)


def test_stop_while_on_trial_is_no_verdict(board, app):
    one = first(board, app, x="ConfirmSec=30s")
    two = app.push("say", "two")
    board.update("app", "--no-wait")
    board.wait_update("confirming")
    board.wait(lambda: board.state("app") == "running", "trial")
    board.coracle("stop", "app")
    board.wait_update("idle")
    board.wait_state("app", "inactive")
    assert (board.slot()["current"], board.slot()["next"], board.slot()["refused"]) == (one, "-", "-")
    board.coracle("start", "app")
    board.wait_runs(one)
    assert two != one


# Disk


def test_a_full_disk_keeps_the_old_one_running(make_board, app, workdir, run):
    disk, base = workdir / "disk", workdir / "b"
    with open(disk, "wb") as f:
        f.truncate(24 << 20)
    run("mkfs.ext4", "-q", disk, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    os.chmod(workdir, 0o755)
    board = make_board(app, base=base)
    run("mount", "-o", "loop", disk, board.data)
    try:
        one = first(board, app)
        pid = board.status("app")["pid"]
        app.push("say", "big", size=40 << 20)
        said = board.update("app", ok=False)
        assert "app: failed" in said and "of room, the store has" in said, said
        assert board.status("app")["pid"] == pid and board.slot()["current"] == one
        three = app.push("say", "three")
        assert "committed" in board.update("app")
        board.wait_runs(three)
    finally:
        board.stop()
        run("umount", board.data)


def test_garbage_is_collected_after_a_commit(board, app):
    one = first(board, app)
    two, three = app.push("say", "two", size=100000), None
    board.update("app")
    three = app.push("say", "three", size=100000)
    board.update("app")
    kept = lambda: {"sha256:" + d.name for d in (board.data / "images/sha256").iterdir()}
    board.wait(lambda: kept() == {two, three}, "the one before the one before goes")
    assert one not in kept()


# Versions


def test_a_signed_version_is_a_floor_once_committed(board, app, registry):
    first(board, app)
    five = app.push("say", "five", version=5)
    board.update("app")
    assert board.slot()["floor"] == "5"
    app.push("say", "four", version=4)
    said = board.update("app", ok=False)
    assert "version 4 is older than 5" in said, said
    app.push("say", "none")
    assert "says no version" in board.update("app", ok=False)
    # As the failed trial of a higher one does not raise it, an equal one may still come.
    app.push("exit", 1, version=9)
    assert "rolled back" in board.update("app", ok=False)
    assert board.slot()["floor"] == "5" and board.slot()["current"] == five
    same = app.push("say", "five again", version=5)
    assert "committed" in board.update("app")
    # A rollback to the local one is legal below the floor.
    seven = app.push("say", "seven", key=None)
    registry.sign(app.name, registry.key("cosign"), annotations={"coracle.version": "7"})
    assert "committed" in board.update("app")
    assert board.slot()["floor"] == "7" and board.slot()["current"] == seven
    board.coracle("rollback", "app")
    board.wait_runs(same)
    assert board.slot()["floor"] == "7"
    # cosign's bundle form signs no claims of ours: there it is the manifest's annotation.
    app.push("say", "six", version=6, key=None)
    registry.sign_bundle(app.name, registry.key("cosign"))
    assert "version 6 is older than 7" in board.update("app", ok=False)
    eight = app.push("say", "eight", version=8, key=None)
    registry.sign_bundle(app.name, registry.key("cosign"))
    assert "committed" in board.update("app")
    assert board.slot()["floor"] == "8" and board.slot()["current"] == eight


# From a stick


def make_stick(app, to, tag="1"):
    """What somebody who has the registry puts on a stick: the image and its signature, by skopeo."""
    layout, registry = app.workdir / "layout", app.registry
    shutil.rmtree(layout, ignore_errors=True)
    args = ("--src-authfile", registry.login_file(app.workdir / "login.json"), "--src-cert-dir", registry.certs_dir(app.workdir / "c") / registry.host)
    for source, name in ((tag, tag), (registry.digest(app.name, tag).replace(":", "-") + ".sig",) * 2):
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", *map(str, args), f"docker://{app.ref}:{source}", f"oci:{layout}:{name}"],
                       check=True)
    with tarfile.open(to, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout), recursive=False)
    return f"oci-archive:{to}:{tag}"


def test_an_update_from_a_stick_without_a_registry(board, app, registry):
    one = first(board, app)
    two = app.push("say", "two", version=3)
    stick = make_stick(app, board.base / "app.tar")
    registry.stop()
    try:
        assert "committed" in board.update("app", stick)
        board.wait_runs(two)
        assert board.slot()["previous"] == one and board.slot()["floor"] == "3"
        board.coracle("rollback", "app")
        board.wait_runs(one)
        assert "failed here before" in board.update("app", stick)
        assert "No such file" in board.update("app", "oci-archive:/no/such.tar", ok=False)
    finally:
        registry.start()


def test_a_stick_is_judged_as_the_units_own_image(make_board, app, registry, tools, workdir):
    """The same policy: neither an unsigned image, nor one that is signed for another unit of the board, nor an older version comes in."""
    other = App(registry, app.name + "-other", tools, workdir / "other")
    other.workdir.mkdir()
    with init_kit.scratch() as d:
        os.chmod(d, 0o755)
        board = make_board(app, other, base=pathlib.Path(d) / "b")
        one = first(board, app)
        five = app.push("say", "five", version=5)
        board.update("app")
        other.push("say", "other", version=9)
        said = board.update("app", make_stick(other, board.base / "other.tar"), ok=False)
        assert "failed" in said and other.name in said, said
        app.push("say", "x", key="stranger", version=9)
        assert "another key" in board.update("app", make_stick(app, board.base / "x.tar"), ok=False)
        app.push("say", "four", version=4)
        assert "version 4 is older than 5" in board.update("app", make_stick(app, board.base / "four.tar"), ok=False)
        assert board.slot()["current"] == five and board.slot()["previous"] == one


# By itself


def test_auto_update(board, app):
    one = first(board, app, container="AutoUpdate=registry", x="UpdateInterval=10s\nConfirmSec=500ms")
    board.wait(lambda: board.status("app")["update"]["check_in_ms"] > 0 or board.status("app")["digest"] != one, "next look")
    two = app.push("say", "two")
    board.wait_runs(two, timeout=40)
    three = app.push("exit", 1)
    board.wait(lambda: board.slot()["refused"] == three, "condemned", 40)
    board.wait_runs(two)
    fetched = app.blobs_fetched()
    looks = app.looks()
    board.wait(lambda: app.looks() >= looks + 4, "looks", 40)
    board.wait(lambda: board.status("app")["update"]["state"] == "idle", "idle", 20)
    assert app.blobs_fetched() == fetched
    assert [h[0] for h in board.history()] == ["committed", "rolled-back"] and one != two


def test_a_staged_rollout_is_waited_for_and_taken_by_hand(board, app, registry):
    """Signed for nobody: looked at again and again, no failure, not refused. Signed once more for all: taken by itself. By hand at once."""
    one = first(board, app, container="AutoUpdate=registry", x="UpdateInterval=10s\nConfirmSec=500ms")
    two = app.push("say", "two", key=None)
    registry.sign(app.name, registry.key("cosign"), annotations={"coracle.rollout": "0"})
    board.wait(lambda: "not yet" in board.status("app")["update"]["why"], "rollout", 60)
    state = board.status("app")["update"]
    assert state["last"] == "not needed" and state["refused"] == "" and board.status("app")["digest"] == one
    registry.sign(app.name, registry.key("cosign"), annotations={"coracle.rollout": "100"})
    board.wait_runs(two, timeout=60)
    three = app.push("say", "three", key=None)
    registry.sign(app.name, registry.key("cosign"), annotations={"coracle.rollout": "0"})
    assert "committed" in board.update("app")
    board.wait_runs(three)


def test_outside_its_window_nothing_is_looked_for(board, app):
    now = time.gmtime()
    later = lambda h: "%02d:%02d" % ((now.tm_hour + h) % 24, now.tm_min)
    first(board, app, container="AutoUpdate=registry", x=f"UpdateInterval=10s\nUpdateWindow={later(2)}-{later(3)}\nConfirmSec=500ms")
    two = app.push("say", "two")
    before = app.looks()
    time.sleep(12)
    assert app.looks() == before
    assert "committed" in board.update("app")         # by hand it is not waited for
    board.wait_runs(two)
    assert app.looks() > before


# Where an image comes from: a file, a mirror, a proxy


def test_an_image_from_an_archive(board, app, registry):
    """Image=oci-archive:/FILE: admitted by the policy of its path, run, and updated when the file is another."""
    one = app.push("say", "one")
    archive = board.base / "app.tar"
    make_stick(app, archive)
    policy = json.loads((board.etc / "policy.json").read_text())
    policy["transports"]["oci-archive"] = {str(archive): [{
        "type": "sigstoreSigned", "keyPath": str(registry.key("cosign").pub), "signedIdentity": {"type": "exactRepository", "dockerRepository": app.ref}}]}
    (board.etc / "policy.json").write_text(json.dumps(policy))
    board.unit("app", types.SimpleNamespace(ref="oci-archive:%s" % archive))
    two = app.push("say", "two")
    registry.stop()
    try:
        board.start()
        board.wait_runs(one)
        registry.start()
        make_stick(app, archive)
        registry.stop()
        assert "committed" in board.update("app")
        board.wait_runs(two)
        assert "nothing to do" in board.update("app")
    finally:
        registry.start()


def test_mirrors_and_proxies_of_etc(board, app, registry):
    """--etc DIR: registries.conf and proxy.conf of that folder are those of the jobs."""
    digest, proxy = app.push("say", "one"), Proxy()
    policy = json.loads((board.etc / "policy.json").read_text())
    policy["transports"]["docker"]["nowhere.test/app"] = [{
        "type": "sigstoreSigned", "keyPath": str(registry.key("cosign").pub), "signedIdentity": {"type": "exactRepository", "dockerRepository": app.ref}}]
    (board.etc / "policy.json").write_text(json.dumps(policy))
    (board.etc / "registries.conf").write_text('[[registry]]\nprefix = "nowhere.test/app"\nlocation = "%s"\n' % app.ref)
    (board.etc / "proxy.conf").write_text("HTTPS_PROXY=http://localhost:%d\n" % proxy.port)
    board.unit("app", types.SimpleNamespace(ref="nowhere.test/app"))
    board.start()
    try:
        board.wait_runs(digest)
        assert ("CONNECT", registry.host) in proxy.seen
        seen = len(proxy.seen)
        assert "nothing to do" in board.update("app")
        assert len(proxy.seen) > seen
    finally:
        proxy.stop()
