# SPDX-License-Identifier: MIT
"""Settings of one device out of a folder (on a board: the FAT partition): what is right is moved into config/ of the data partition and wiped where
it lay, what is wrong is named with its line and changes nothing."""
import os, re, stat
import pytest

UNIT = "[Container]\nImage=registry.example/app:1\n"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
GOOD = {"board.conf": "# pump in hall 3\nhostname=pump-3\nnetwork=static eth0 10.0.2.77/24 10.0.2.2\r\ndns=10.0.2.3\n", "units/app.container": UNIT,
        "units/web.network": "[Network]\nSubnet=10.50.0.0/24\n", "auth.json": '{"auths": {"registry.example": {"auth": "dTpw"}}}', "keys/maker.pub": PEM.replace("CERTIFICATE", "PUBLIC KEY"),
        "certs.d/registry.example+5443/ca.crt": PEM, "secrets/token": "s3cret"}


@pytest.fixture
def provision(programs, workdir, run):
    """provision({name: text}, *more, ok): the folder with these files into the data partition; what was said."""
    fat, data = workdir / "fat", workdir / "data"
    data.mkdir()

    def go(files, *more, ok=True):
        for name, text in files.items():
            (fat / name).parent.mkdir(parents=True, exist_ok=True)
            (fat / name).write_bytes(text.encode() if isinstance(text, str) else text)
        fat.mkdir(exist_ok=True)
        return run(programs.bundle, "provision", "--store", data, "--from", fat, *more, ok=ok).err
    go.fat, go.data = fat, data
    return go


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes().decode() for p in folder.rglob("*") if p.is_file()}


def test_everything_right_is_moved(provision):
    said = provision(dict(GOOD, **{"README.TXT": "hello", "._board.conf": "of a Mac", "System Volume Information/x": ""}))
    want = {name.replace("+", ":"): text for name, text in GOOD.items()}
    assert files(provision.data / "config") == want
    assert set(files(provision.fat)) == {"README.TXT", "._board.conf", "System Volume Information/x"}
    assert "s3cret" not in said and "secrets/token taken" in said
    for path in [provision.data / "config", *(provision.data / "config").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_what_lay_there_is_overwritten_before_it_goes(provision):
    """The bytes on the disk of the technician's card, not the name alone: a second name of the same file shows them."""
    provision.fat.mkdir()
    (provision.fat / "secrets").mkdir()
    (provision.fat / "secrets/token").write_bytes(b"s3cret" * 2000)
    os.link(provision.fat / "secrets/token", provision.fat.parent / "witness")
    provision({})
    assert (provision.fat.parent / "witness").read_bytes() == bytes(12000)
    assert (provision.data / "config/secrets/token").read_bytes() == b"s3cret" * 2000


@pytest.mark.parametrize("name, text, want", [
    ("board.conf", "hostname=x\nnetwork=dhpc\n", r"board.conf:2: network: dhcp"),
    ("board.conf", "\n\ndata-label=mine\n", r"board.conf:3: data-label: not a setting of one device"),
    ("board.conf", "hostname=" + "x" * 80, "board.conf:1: hostname"),
    ("units/app.container", "[Container]\nImagee=x\n", r"units/app.container:2: .*Image"),
    ("units/app.container", UNIT[:16], "units/app.container:2: "),
    ("units/app.container", b"", "units/app.container: .*no Image="),
    ("units/web.network", "[Network]\nSubnet=10.50.0.1/24\n", "units/web.network:2: Subnet=10.50.0.1/24: takes"),
    ("units/app.service", UNIT, "units/app.service: nothing that is known here"),
    ("auth.json", '{\n"auths": {\n', r"auth.json:3: no JSON"),
    ("auth.json", "[]", "auth.json:1: no credentials"),
    ("certs.d/h+1/ca.crt", PEM[:40], "certs.d/h.1/ca.crt:1: no PEM"),
    ("secrets/big", b"x" * 65537, "secrets/big: larger than 65536"),
    ("board.conf.txt", "hostname=x\n", "board.conf.txt: nothing that is known here"),
    ("units/x;rm.container", UNIT, "units/x;rm.container: nothing"),
])
def test_what_is_wrong_is_named_and_changes_nothing(provision, name, text, want):
    provision(GOOD)
    before = files(provision.data)
    said = provision({name: text, "secrets/other": "fine"}, ok=False)
    assert re.search(want, said), said
    assert files(provision.data) == dict(before, **{"config/secrets/other": "fine"})      # the others are not hindered
    assert list(files(provision.fat)) == [name]                                           # and the wrong one is still there, to be mended


def test_links_and_pipes_are_not_followed(provision):
    (provision.fat / "secrets").mkdir(parents=True)
    os.symlink("/etc/shadow", provision.fat / "secrets/link")
    os.mkfifo(provision.fat / "secrets/pipe")
    said = provision({}, ok=False)
    assert "secrets/link: nothing that is known" in said and "secrets/pipe: nothing that is known" in said
    assert files(provision.data) == {}


def test_an_interrupted_move_is_taken_up_again(provision):
    """The power went after the copy and before the wipe."""
    provision(GOOD)
    stamp = (provision.data / "config/auth.json").stat().st_ino
    provision({"auth.json": GOOD["auth.json"]})
    assert (provision.data / "config/auth.json").stat().st_ino == stamp and not files(provision.fat)


def test_a_data_partition_that_takes_nothing_loses_nothing(provision):
    (provision.data / "config").write_text("in the way")
    said = provision({"secrets/token": "s3cret"}, ok=False)
    assert "config" in said and files(provision.fat) == {"secrets/token": "s3cret"}


def test_set_on_the_command_line(provision, programs, run):
    def conf():
        return (provision.data / "config/board.conf").read_text()

    def set_to(*words, ok=True):
        return run(programs.bundle, "provision", "--store", provision.data, *words, ok=ok)
    assert "from the next boot" in set_to("hostname=pump-4").out
    set_to("network=static,eth0,10.0.0.5/24,10.0.0.1", "dns=10.0.0.1")
    assert conf() == "hostname=pump-4\nnetwork=static eth0 10.0.0.5/24 10.0.0.1\ndns=10.0.0.1\n"
    for wrong in ("network=static,eth0", "watchdog=3", "nonsense"):
        set_to(wrong, ok=False)
    set_to("dns=")
    set_to("hostname=pump-5")
    assert conf() == "network=static eth0 10.0.0.5/24 10.0.0.1\nhostname=pump-5\n"


def test_a_board_with_a_key_takes_sealed_units_alone(provision, programs, run, workdir, monkeypatch):
    """One that its units job would refuse does not replace one that runs."""
    (workdir / "key").write_bytes(os.urandom(32))
    monkeypatch.setenv("CORACLE_STORE_KEY", str(workdir / "key"))
    for name, text in {"app.container": UNIT, "web.network": "[Network]\n"}.items():
        (workdir / name).write_text(text)
        run(programs.bundle, "seal", workdir / name)
        sealed = (workdir / name).read_text()
        provision({"units/" + name: sealed})
        assert "units/%s: not written under this board's key" % name in provision({"units/" + name: text}, ok=False)
        assert files(provision.data)["config/units/" + name] == sealed and files(provision.fat) == {"units/" + name: text}
        (provision.fat / "units" / name).unlink()
