# SPDX-License-Identifier: MIT
"""Releases: several units changed as one. The real programs, PID 1 in namespaces, the real registry; what docs/updates.md says of releases."""
import base64
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

import images
import init_kit
import registry as registry_kit
from test_update import ARCH, App, Board


def requirement(*pubs, may_change_trust=False):
    """What a policy demands for one scope: a signature by one of the keys PUBS, which are inside it."""
    made = {"type": "sigstoreSigned", "keyDatas": [base64.b64encode(p.read_bytes()).decode() for p in pubs], "signedIdentity": {"type": "matchRepository"}}
    return dict(made, **{"X-Coracle-MayChangeTrust": True}) if may_change_trust else made


class Fleet(App):
    """The repository of the releases, and the board they are for."""

    def release(self, units, key="cosign", version=None, policy=None, certs=None, more=(), layers=1, tag="stable"):
        """Pushes a release of UNITS = {name: (app, digest) or (app, digest, more lines of [Container])}. Its digest."""
        self.made += 1
        entries = [images.entry("units", kind=images.tarfile.DIRTYPE)]
        for name, unit in units.items():
            text = unit if isinstance(unit, str) else "[Container]\nImage=%s@%s\n%s\n[Service]\nRestart=always\nRestartSec=100ms\nTimeoutStopSec=300ms\n" \
                "[X-Coracle]\nConfirmSec=300ms\n" % (unit[0].ref, unit[1], unit[2] if len(unit) > 2 else "")
            entries.append(images.entry(f"units/{name}.container", text.encode()))
        if policy:
            entries.append(images.entry("policy.json", policy.encode()))
        for host, ca in (certs or {}).items():
            entries += [images.entry(f"certs.d/{host}/ca.crt", ca)]
        entries += more
        twist = (lambda config, manifest: manifest.update(annotations={"coracle.version": str(version)})) if version else None
        layout = self.workdir / f"release{self.made}"
        images.make_image(layout, [entries] + [[images.entry(f"more{n}")] for n in range(layers - 1)], arch=ARCH, twist=twist)
        digest = self.registry.push(layout, self.name, tag=tag)
        if key:
            self.registry.sign_by_hand(self.name, self.registry.key(key), tag=tag, identity=self.ref)
        return digest


class FleetBoard(Board):
    ref = ""

    def release(self, *more, ok=True):
        def ask():
            return subprocess.run([self.bin / "coracle", "--socket", self.socket(), "update", "--release", *more], capture_output=True, text=True, timeout=90)

        p = ask()
        for _ in range(100):
            if "no data partition yet" not in p.stderr and "no unit '@release'" not in p.stderr:
                break
            time.sleep(0.05)        # just booted
            p = ask()
        assert ok is None or (p.returncode == 0) == ok, (p.returncode, p.stdout, p.stderr, self.told())
        return p.stdout + p.stderr

    def fleet(self):
        return self.status().get("release")

    def wait_release(self, digest, timeout=30):
        return self.wait(lambda: self.fleet()["digest"] == digest and self.fleet()["update"]["state"] == "idle", f"release {digest}", timeout)

    def running(self):
        return {u["name"]: u["digest"] for u in self.status()["units"] if u["state"] == "running"}

    def wait_all(self, want, timeout=30):
        return self.wait(lambda: self.running() == want, f"running: {want}", timeout)


@pytest.fixture
def place(tools, programs, registry, trust, workdir, request):
    """(board, fleet, apps): a board whose policy lets in five repositories and the fleet's, which may change trust; no unit yet."""
    stem = "release/" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50]
    apps = [App(registry, f"{stem}/app{n}", tools, workdir / f"app{n}") for n in range(5)]
    fleet = Fleet(registry, f"{stem}/fleet", tools, workdir / "fleet")
    pub = registry.key("cosign").pub
    rules = {a.ref: requirement(pub) for a in apps}
    rules[fleet.ref] = requirement(pub, may_change_trust=True)
    with init_kit.scratch() as d:
        os.chmod(d, 0o755)
        board = FleetBoard(pathlib.Path(d) / "b", tools, programs, trust(rules))
        board.ref = f"docker://{fleet.ref}:stable"
        yield board, fleet, apps
        board.kill()


def release_file(board, fleet, x="ConfirmSec=200ms", container=""):
    (board.etc / "units/fleet.release").write_text(f"[Container]\nImage={fleet.ref}:stable\n{container}\n[X-Coracle]\n{x}\n")


def five(apps, word, bad=()):
    """One image in each: it says WORD, or, with a number in BAD, ends at once."""
    return {f"app{n}": (a, a.push(*(("exit", 3) if n in bad else ("say", word)))) for n, a in enumerate(apps)}


def digests(units):
    return {name: unit[1] for name, unit in units.items()}


def test_a_release_comes_by_command_and_is_one_replacement_of_the_slots(place):
    board, fleet, apps = place
    board.start()
    one, = [five(apps[:2], "one")]
    r1 = fleet.release(one)
    said = board.release(board.ref)
    assert "@release: committed: all its units are well" in said and re.search("confirming " + r1, said), said
    board.wait_all(digests(one))
    slot = board.slot("@release")
    assert (slot["current"], slot["previous"], slot["next"], slot["ref"]) == (r1, "-", "-", board.ref[9:])
    assert board.slot("app0") is None, "the release alone says which image its units have"
    assert board.fleet()["digest"] == r1 and board.fleet()["image"] == board.ref[9:]
    assert "release   " + board.ref[9:] in board.coracle("status").stdout
    pids = {u["name"]: u["pid"] for u in board.status()["units"]}

    two = {"app0": one["app0"], "app1": (apps[1], apps[1].push("say", "two"))}
    r2 = fleet.release(two)
    with open(board.base / "events", "w") as f:
        reader = subprocess.Popen([board.bin / "coracle", "--socket", board.socket(), "events"], stdout=f)
    events = lambda: [json.loads(line) for line in (board.base / "events").read_text().splitlines()]
    steps = lambda: [e["release"] for e in events() if "release" in e]
    try:
        board.wait(lambda: len(events()) >= 2, "the stream")
        assert "committed" in board.release()       # the name is known from then on
        board.wait(lambda: steps()[-1:] == ["idle"], "the release's events")
    finally:
        reader.kill()
        reader.wait()
    assert {"downloading", "confirming", "committed"} <= set(steps()), steps()
    assert {e["unit"] for e in events() if "release" not in e} == {"app0", "app1"}, "the release is no unit"
    board.wait_all(digests(two))
    now = {u["name"]: u["pid"] for u in board.status()["units"]}
    assert now["app0"] == pids["app0"] and now["app1"] != pids["app1"], "what a release does not change is not restarted"
    assert board.slot("@release")["previous"] == r1
    assert "nothing to do" in board.release()

    assert "rolled back: asked for by hand" in board.coracle("rollback", "--release").stdout
    board.wait_all(digests(one))
    board.wait_release(r1)
    assert board.slot("@release")["current"] == r1 and board.slot("@release")["refused"] == r2
    assert "failed here before" in board.release()
    for words in (("start", "@release"), ("stop", "@release"), ("restart", "@release")):
        assert board.coracle(*words, check=False).returncode == 1
    assert board.state("@release") is None and len(board.status()["units"]) == 2


def test_one_bad_unit_of_five_brings_all_five_back(place):
    board, fleet, apps = place
    release_file(board, fleet)
    one = five(apps, "one")
    r1 = fleet.release(one)
    board.start()
    board.release()
    board.wait_all(digests(one))
    two = five(apps, "two", bad=(3,))
    r2 = fleet.release(two)
    said = board.release(ok=False)
    assert "@release: rolled back: unit app3: its program ended too often: exited with code 3" in said, said
    board.wait_all(digests(one))
    slot = board.slot("@release")
    assert (slot["current"], slot["next"], slot["refused"]) == (r1, "-", r2)
    assert "unit app3: its program ended too often" in board.log()
    # and after a reboot the old ones, from the disk alone
    board.stop()
    fleet.registry.stop()
    try:
        board.start()
        board.wait_all(digests(one))
        assert board.fleet()["digest"] == r1
    finally:
        fleet.registry.start()
    three = five(apps, "three")
    fleet.release(three)
    assert "committed" in board.release()
    board.wait_all(digests(three))


def test_what_cannot_be_compiled_or_pulled_never_switches(place):
    board, fleet, apps = place
    one = five(apps[:2], "one")
    r1 = fleet.release(one)
    board.start()
    board.release(board.ref)
    board.wait_all(digests(one))
    cases = [({**one, "app1": (apps[1], one["app1"][1], "User=nobody-here")}, "unit app1", "rolled back"),
             ({**one, "app1": (apps[1], one["app1"][1], "Imagine=x")}, "units/app1.container:3", "failed"),
             ({**one, "app1": f"[Container]\nImage={apps[1].ref}:1\n"}, "names a digest", "failed"),
             ({**one, "app1": (apps[1], apps[1].push("say", "x", key="stranger"))}, "unit app1", "failed")]
    for units, why, outcome in cases:
        fleet.release(units)
        said = board.release(ok=False)
        assert outcome in said and why in said, said
        assert board.running() == digests(one) and board.slot("@release")["current"] == r1 and board.slot("@release")["next"] == "-"
    fleet.release(one, layers=2)
    assert "has 2 layers" in board.release(ok=False)
    fleet.release(one, key="stranger")
    assert "another key" in board.release(ok=False)
    assert board.running() == digests(one)
    board.coracle("stop", "app1")       # what nobody names any more is collected: no half of a release stays
    board.wait(lambda: sorted(os.listdir(board.data / "releases")) == [r1[7:39]], "one release on the disk")


def test_added_removed_and_changed_units_and_who_wins(place):
    """initramfs < release < provisioning."""
    board, fleet, apps = place
    a, b, c = apps[:3]
    da, db, dc = (x.push("say", "first") for x in (a, b, c))
    board.unit("app0", a)               # of the initramfs
    board.start()
    board.wait_runs(da, name="app0")
    pid = board.status("app0")["pid"]

    two = a.push("say", "two")
    r1 = fleet.release({"app0": (a, two), "app1": (b, db)})             # app1 is new; app0 is the release's from now on
    board.release(board.ref)
    board.wait_all({"app0": two, "app1": db})
    assert board.status("app0")["pid"] != pid

    r2 = fleet.release({"app1": (b, db, "Entrypoint=/guest\nExec=say changed"), "app2": (c, dc)})
    board.release()
    board.wait_all({"app0": da, "app1": db, "app2": dc})                # app0 went from the release: the initramfs's is back
    board.wait(lambda: "stdout F changed" in board.coracle("logs", "app1").stdout, "the changed setting")

    (board.data / "config/units").mkdir(parents=True)                   # provisioned: app2 is somebody else's
    (board.data / "config/units/app2.container").write_text(f"[Container]\nImage={a.ref}@{two}\nExec=say provisioned\n[Service]\nRestart=always\n")
    board.stop()
    board.start()
    board.wait_all({"app0": da, "app1": db, "app2": two})
    assert board.slot("@release")["current"] == r2

    board.coracle("rollback", "--release")
    board.wait_release(r1)
    board.wait_all({"app0": two, "app1": db, "app2": two})              # the provisioned one stays


def test_a_new_unit_that_is_bad_goes_away_again(place):
    board, fleet, apps = place
    one = five(apps[:1], "one")
    fleet.release(one)
    board.start()
    board.release(board.ref)
    board.wait_all(digests(one))
    fleet.release({**one, "app1": (apps[1], apps[1].push("exit", 1))})
    assert "unit app1" in board.release(ok=False)
    board.wait_all(digests(one))
    board.wait(lambda: [u["name"] for u in board.status()["units"]] == ["app0"], "app1 is gone")


def test_a_release_is_interrupted_three_times(place):
    """Each boot spends one attempt; then the old ones run, and it is refused."""
    board, fleet, apps = place
    one = five(apps[:2], "one")
    r1 = fleet.release(one)
    release_file(board, fleet, x="ConfirmSec=1h\nConfirmWindowSec=2h")
    board.start()
    fleet_file = board.etc / "units/fleet.release"
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("ConfirmSec=1h\n", "ConfirmSec=100ms\n"))
    board.stop()
    board.start()
    board.release()
    board.wait_all(digests(one))
    fleet_file.write_text(text)
    board.stop()
    board.start()
    board.wait_all(digests(one))
    two = five(apps[:2], "two")
    r2 = fleet.release(two)
    board.release("--no-wait")
    for attempt in (1, 2, 3):
        board.wait(lambda: board.fleet()["update"]["state"] == "confirming", "on trial")
        board.wait_all(digests(two))
        assert board.slot("@release")["tries"] == str(attempt) and board.slot("@release")["current"] == r1
        board.kill()
        board.start()
    board.wait_release(r1)
    board.wait_all(digests(one))
    slot = board.slot("@release")
    assert (slot["current"], slot["next"], slot["refused"]) == (r1, "-", r2)
    assert "interrupted" in board.fleet()["update"]["history"][-1]["why"]


def test_auto_update_and_the_floor(place):
    board, fleet, apps = place
    release_file(board, fleet, x="ConfirmSec=100ms\nUpdateInterval=10s", container="AutoUpdate=registry")
    one = five(apps[:1], "one")
    r5 = fleet.release(one, version=5)
    board.start()
    board.wait_all(digests(one), timeout=60)             # by itself, within its first interval
    board.wait_release(r5)
    assert board.slot("@release")["floor"] == "5"
    fleet.release(five(apps[:1], "old"), version=4)
    said = board.release(ok=False)
    assert "4 is older than 5" in said, said
    assert board.running() == digests(one)


# Trust


def test_trust_changes_only_by_a_release_that_the_policy_lets_do_so(place, registry, trust):
    board, fleet, apps = place
    one = five(apps[:1], "one")
    rules = {apps[0].ref: requirement(registry.key("stranger").pub)}
    (board.etc / "policy.json").write_text(registry_kit.policy({apps[0].ref: requirement(registry.key("cosign").pub),
                                                                fleet.ref: requirement(registry.key("cosign").pub)}))
    fleet.release(one, policy=registry_kit.policy(rules))
    board.start()
    said = board.release(board.ref, ok=False)
    assert "X-Coracle-MayChangeTrust" in said, said
    fleet.release(one, certs={"localhost:1": b"x"})
    assert "X-Coracle-MayChangeTrust" in board.release(board.ref, ok=False)
    fleet.release(one)
    board.release(board.ref)
    board.wait_all(digests(one))


def test_a_key_is_rotated_old_both_new(place, registry):
    board, fleet, apps = place
    app, old, new = apps[0], registry.key("cosign").pub, registry.key("stranger").pub

    def policy(*pubs):
        return registry_kit.policy({app.ref: requirement(*pubs), fleet.ref: requirement(*pubs, may_change_trust=True)})

    def goes(key, pubs, signed, ok=True):
        units = {"app": (app, app.push("say", f"{key} {len(pubs)} {app.made}", key=signed))}
        digest = fleet.release(units, key=key, policy=policy(*pubs) if pubs else None)
        said = board.release(board.ref, ok=ok)
        if ok:
            board.wait_all(digests(units))
            assert board.slot("@release")["current"] == digest
        return said

    release_file(board, fleet, x="ConfirmSec=100ms\nConfirmWindowSec=4s")
    board.start()
    goes("cosign", [old], "cosign")
    assert "another key" in goes("stranger", [new], "stranger", ok=False)       # nobody knows it yet
    goes("cosign", [old, new], "cosign")                                        # both are good from here on
    goes("stranger", [old, new], "stranger")
    goes("stranger", [new], "stranger")                                         # the old one is out
    assert "another key" in goes("cosign", [new], "stranger", ok=False)
    assert "another key" in goes("stranger", [new], "cosign", ok=False)
    board.stop()
    board.start()
    goes("stranger", [new], "stranger")                                         # the next boot knows it too
    # One that forgets its policy falls back to the board's own, which does not know the key that signed it: it would be the last.
    said = goes("stranger", [], "cosign", ok=False)
    assert "rolled back: not confirmed in time" in said and "another key" in said, said


def test_a_release_that_would_be_the_last_rolls_back(place, registry):
    """Its own policy does not let in what signed it: with it in force no later release could come."""
    board, fleet, apps = place
    release_file(board, fleet, x="ConfirmSec=100ms\nConfirmWindowSec=4s")
    one = five(apps[:1], "one")
    r1 = fleet.release(one)
    board.start()
    board.release()
    board.wait_all(digests(one))
    pubs = registry.key("cosign").pub, registry.key("stranger").pub
    fleet.release(five(apps[:1], "two"), policy=registry_kit.policy(
        {apps[0].ref: requirement(pubs[0]), fleet.ref: requirement(pubs[1], may_change_trust=True)}))
    said = board.release(ok=False)
    assert "rolled back: not confirmed in time" in said and "another key" in said, said
    board.wait_all(digests(one))
    board.wait_release(r1)


@pytest.mark.parametrize("asks", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_release_that_cuts_the_board_off_its_registry_rolls_back(place, registry, asks, workdir):
    board, fleet, apps = place
    fleet.ref = fleet.ref.replace("localhost", "127.0.0.1")     # the images' name of the registry stays good
    pub = registry.key("cosign").pub
    (board.etc / "policy.json").write_text(registry_kit.policy({apps[0].ref: requirement(pub), fleet.ref: requirement(pub, may_change_trust=True)}))
    release_file(board, fleet, x="ConfirmSec=100ms\nConfirmWindowSec=4s" + ("" if asks else "\nConfirmRegistry=no"))
    one = five(apps[:1], "one")
    r1 = fleet.release(one)
    board.start()
    board.release()
    board.wait_all(digests(one))
    other = registry_kit.Registry(workdir / "other")
    # Where it cuts off its own images it does not even come to its trial.
    fleet.release(five(apps[:1], "two"), certs={registry.host: other.ca.read_bytes()})
    assert "failed: release: unit app0: " in board.release(ok=False)
    r2 = fleet.release(five(apps[:1], "two"), certs={fleet.ref.split("/")[0]: other.ca.read_bytes()})
    said = board.release(ok=not asks)
    if not asks:
        board.wait_release(r2)
        return
    assert "rolled back: not confirmed in time" in said and "certificate" in said, said
    board.wait_all(digests(one))
    board.wait_release(r1)
    assert board.slot("@release")["refused"] == r2
    three = five(apps[:1], "three")
    fleet.release(three)
    assert "committed" in board.release()
    board.wait_all(digests(three))


def test_a_new_authority_comes_with_a_release(place, registry, tools, workdir):
    """A unit of a registry that the board could not talk to before."""
    board, fleet, apps = place
    other = registry_kit.Registry(workdir / "other").start()
    try:
        app = App(other, "new/app", tools, workdir / "new")
        other.keys = registry.keys      # the same signing key
        digest = app.push("say", "new")
        pub = registry.key("cosign").pub
        rules = {app.ref: requirement(pub), fleet.ref: requirement(pub, may_change_trust=True)}
        (board.etc / "policy.json").write_text(registry_kit.policy(rules))
        registry.login_file(board.etc / "auth.json", *registry.names(), *other.names())
        fleet.release({"new": (app, digest)})
        board.start()
        assert "certificate" in board.release(board.ref, ok=False)
        r2 = fleet.release({"new": (app, digest)}, certs={other.host: other.ca.read_bytes()})
        board.release(board.ref)
        board.wait_all({"new": digest})
        assert board.slot("@release")["current"] == r2
    finally:
        other.stop()


def test_the_page_tells_how_to_make_one(place, registry, workdir):
    """The commands of docs/updates.md, by skopeo and cosign."""
    board, fleet, apps = place
    units = five(apps[:1], "one")
    folder = workdir / "here/fleet/units"
    folder.mkdir(parents=True)
    (folder / "app0.container").write_text("[Container]\nImage=%s@%s\n[X-Coracle]\nConfirmSec=100ms\n" % (apps[0].ref, units["app0"][1]))
    page = (init_kit.ROOT / "docs/updates.md").read_text().split("### Making one")[1]
    lines = "".join(l[4:] + "\n" for l in page.split("\n\n")[2].splitlines())
    assert "skopeo copy" in lines and "cosign sign" in lines
    auth, certs = registry.login_file(workdir / "auth.json"), registry.certs_dir(workdir / "certs.d") / registry.host
    key = registry.key("cosign")
    (workdir / "here/fleet.key").write_bytes(key.key.read_bytes())
    lines = lines.replace("registry.example/fleet", fleet.ref).replace('"amd64"', f'"{ARCH}"').replace("--key fleet.key", "--key ../fleet.key")
    tools = f"""set -e
skopeo() {{
    case $1 in
    copy) shift; command skopeo copy -q --insecure-policy --dest-authfile {auth} --dest-cert-dir {certs} "$@" ;;
    *) shift; command skopeo inspect --authfile {auth} --cert-dir {certs} "$@" ;;
    esac
}}
cosign() {{ shift; {registry_kit.keys.cosign()} sign --yes --tlog-upload=false --registry-cacert {registry.ca} --registry-username {registry.user} \
    --registry-password '{registry.password}' --sign-container-identity {fleet.ref} "$@"; }}
"""
    done = subprocess.run(["bash", "-c", tools + lines], cwd=workdir / "here", env=registry_kit.keys.cosign_env(registry.keys), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    board.start()
    assert "committed" in board.release(board.ref)
    board.wait_all(digests(units))
    assert board.slot("@release")["floor"] == "42"
