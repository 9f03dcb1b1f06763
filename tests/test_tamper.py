# SPDX-License-Identifier: MIT
"""Somebody writes to the data partition while the board is off; the store's key is elsewhere (docs/store.md, bundle/seal.h). Each thing that decides about what
runs is changed once, in the way of an attacker who knows the formats, and is refused by its name. Without a key the same changes go through: the control."""
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import types
import zlib

import pytest

from layerkit import BUNDLE, Store, folder, item, make_tar

UNIT = "[Container]\nImage=registry.test/app:1\nExec=/c\nUser=0\n"
SEEN = "/run/coracle/verified"


def bundle(*argv, ok=True, **more):
    done = subprocess.run([BUNDLE, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, **more)
    out = done.stdout.decode(errors="replace")
    if ok is not None:
        assert (done.returncode == 0) == ok, out
    return out


class Board:
    """A store with two images of two layers each, app using the first, and a unit file on the data partition."""

    def __init__(self, top, key):
        self.store, self.key = Store(top / "store"), key
        self.units = self.store.path / "config/units"
        self.store.put(make_tar(folder("./"), folder("d"), item("d/a", "a" * 9000), item("c", "old", mode=0o755)))
        self.store.put(make_tar(item("x", "x")))
        self.one = self.store.image("registry.test/app:1")
        self.chains = list(self.store.chains)
        self.store.put(make_tar(item("c", "new", mode=0o755)))
        self.two = self.store.image("registry.test/app:1")
        self.units.mkdir(parents=True)
        self.unit = self.units / "app.container"
        self.unit.write_text(UNIT)
        if key:
            bundle("seal", self.unit)
        self.prepare(self.one)

    def reboot(self):
        """/run is empty again."""
        shutil.rmtree(SEEN, ignore_errors=True)

    def prepare(self, digest, ok=True):
        self.reboot()
        fd = os.memfd_create("record")
        try:
            return bundle("prepare", "--record-fd", fd, "--store", self.store.path, "--name", "app", "--unit", self.unit, "--ref", "registry.test/app:1",
                          digest, ok=ok, pass_fds=(fd,))
        finally:
            os.close(fd)

    def table(self, ok=None):
        return bundle("units", "--store", self.store.path, self.units, ok=ok)

    def verify(self, ok=None):
        return bundle("verify", "--store", self.store.path, ok=ok)

    def index(self, n):
        return self.store.path / "layers/index" / self.chains[n][7:]

    def layer(self, n):
        return self.store.path / "layers" / self.index(n).read_text().split()[0]

    def list(self, n):
        return self.store.path / "layers/list" / self.layer(n).name


@pytest.fixture
def key(tmp_path, monkeypatch):
    path = tmp_path / "store.key"
    path.write_bytes(bytes(range(32)))
    monkeypatch.setenv("CORACLE_STORE_KEY", str(path))
    return path


@pytest.fixture
def board(tmp_path, key):
    yield Board(tmp_path, key)
    shutil.rmtree(SEEN, ignore_errors=True)


@pytest.fixture
def open_board(tmp_path, monkeypatch):
    monkeypatch.delenv("CORACLE_STORE_KEY", raising=False)
    assert not os.path.exists("/etc/coracle/store.key")
    return Board(tmp_path, None)


def code(key, kind, name, text):
    """RFC 2104 by another program's hand."""
    return hmac.new(hashlib.sha256(key.read_bytes()).digest(), kind.encode() + b"\0" + name.encode() + b"\0" + text, hashlib.sha256).hexdigest()


def crc(text):
    return text + "crc32 %08x\n" % zlib.crc32(text.encode())


def test_each_thing_carries_a_code_of_the_key(board, key):
    text = board.index(0).read_bytes()
    body, line = text[:text.rindex(b"mac=")], text[text.rindex(b"mac="):]
    assert line == b"mac=%s\n" % code(key, "layer", board.chains[0][7:], body).encode()
    assert b"list=sha256:" + hashlib.sha256(board.list(0).read_bytes()).hexdigest().encode() in body
    admitted = (board.store.path / "images/sha256" / board.one[7:] / "admitted").read_bytes()
    assert admitted.endswith(b"mac=%s\n" % code(key, "image", board.one[7:], admitted[:admitted.rindex(b"mac=")]).encode())
    slots = (board.store.path / "state/slots").read_bytes()
    body = slots[:slots.rindex(b"mac=")]
    assert b"current=" + board.one.encode() in body and slots[len(body):].startswith(b"mac=%s\n" % code(key, "slots", "", body).encode())
    unit = board.unit.read_bytes()
    assert unit == UNIT.encode() + b"#mac=%s\n" % code(key, "unit", "app.container", UNIT.encode()).encode()
    assert "all as published" in board.verify(ok=True) and "app" in board.table(ok=True)


def quietly(folder, change):
    """A change that the folder's own time does not tell of."""
    when = folder.stat()
    change()
    os.utime(folder, ns=(when.st_atime_ns, when.st_mtime_ns))


def swap_entries(board):
    """Both layers are the board's own, and each list is right: under the wrong chain id."""
    a, b = board.index(0).read_bytes(), board.index(1).read_bytes()
    board.index(0).write_bytes(b)
    board.index(1).write_bytes(a)


def forge(board):
    """Another program, and its list and its entry as this very software would write them: without the key's code."""
    path = board.layer(0) / "c"
    when = path.stat()
    path.write_text("bad")
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    lines = board.list(0).read_bytes().splitlines(keepends=True)
    n = next(i for i, line in enumerate(lines) if line.startswith(b"/c "))
    words = lines[n].split(b" ")
    descriptor = bytes([1, 1, 12, 0]) + bytes(4) + (3).to_bytes(8, "little") + hashlib.sha256(b"bad".ljust(4096, b"\0")).digest().ljust(64, b"\0") + bytes(176)
    words[10] = hashlib.sha256(descriptor).hexdigest().encode() + (b"\n" if words[10].endswith(b"\n") else b"")
    lines[n] = b" ".join(words)
    board.list(0).write_bytes(b"".join(lines))
    text = board.index(0).read_text().splitlines(keepends=True)
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    board.index(0).write_text("".join("list=sha256:%s\n" % digest if line.startswith("list=") else line for line in text))


LAYERS = {
    "a file's bytes": (lambda b: (b.layer(0) / "c").write_text("bad"), "/c: "),
    "a file's mode": (lambda b: os.chmod(b.layer(0) / "c", 0o4755), "/c: mode is 104755, was 100755"),
    "one file more": (lambda b: quietly(b.layer(1), lambda: (b.layer(1) / "ld.so.preload").write_text("x")), "/ld.so.preload: does not belong there"),
    "one file less": (lambda b: quietly(b.layer(0) / "d", lambda: os.unlink(b.layer(0) / "d/a")), "/d/a: is missing"),
    "the list": (lambda b: b.list(0).write_bytes(b.list(0).read_bytes().replace(b" 100755 ", b" 104755 ")), "its list is damaged"),
    "an index entry": (lambda b: b.index(0).write_text(b.index(0).read_text().replace("entries=4", "entries=5")), "not written under this board's key"),
    "its code alone": (lambda b: b.index(0).write_text(b.index(0).read_text().rsplit("mac=", 1)[0]), "not written under this board's key"),
    "two entries swapped": (swap_entries, "not written under this board's key"),
    "file, list and entry": (forge, "not written under this board's key"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_changed_layer_is_refused_by_name_and_pulled_again(board, name):
    change, what = LAYERS[name]
    change(board)
    assert what.replace("not written", "was not written") in board.verify(ok=False).replace("its index entry was not", "was not")
    out = board.prepare(board.one, ok=False)
    assert what in out and "refused" in out and board.one in out, out
    board.store.chains, board.store.diffs = [], []      # what a pull does: what is not there is unpacked again
    board.store.put(make_tar(folder("./"), folder("d"), item("d/a", "a" * 9000), item("c", "old", mode=0o755)))
    board.store.put(make_tar(item("x", "x")))
    if name == "two entries swapped":
        board.prepare(board.one, ok=None)
        board.store.chains, board.store.diffs = [], []
        board.store.put(make_tar(folder("./"), folder("d"), item("d/a", "a" * 9000), item("c", "old", mode=0o755)))
        board.store.put(make_tar(item("x", "x")))
    board.prepare(board.one)
    assert (board.layer(0) / "c").read_text() == "old"
    assert "all as published" in board.verify(ok=True)


def test_the_forgery_is_one(open_board):
    """Without a key it goes through, as a good forgery does."""
    forge(open_board)
    assert "all as published" in open_board.verify(ok=True)
    open_board.prepare(open_board.one)


def test_a_layer_is_looked_at_once_a_boot(board):
    assert {n.split(".")[0] for n in os.listdir(SEEN)} == {board.layer(0).name, board.layer(1).name}
    board.reboot()
    board.prepare(board.one)
    assert len(os.listdir(SEEN)) == 2


@pytest.mark.parametrize("file,old,new", [("admitted", "key=test.pub", "key=best.pub"), ("config.json", '"Cmd": ["/c"]', '"Cmd": ["/x"]'),
                                          ("manifest.json", '"schemaVersion": 2', '"schemaVersion": 3')])
def test_a_changed_document_of_an_image_is_refused_by_name(board, file, old, new):
    path = board.store.path / "images/sha256" / board.one[7:] / file
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    assert path.read_text() != text
    assert file in board.prepare(board.one, ok=False)
    assert file in board.verify(ok=False) and board.one in board.verify(ok=False)


def changed_slots(board, key):
    """app set to another image that the board holds, or to a floor of nothing, with the checksum that belongs to it."""
    text = (board.store.path / "state/slots").read_text().split("crc32")[0]
    mac = text[text.rindex("mac="):] if key else ""
    body = text[:len(text) - len(mac)].replace("current=" + board.one, "current=" + board.two)
    return body, mac


def test_changed_slots_are_refused_by_name(board, key):
    path = board.store.path / "state/slots"
    body, mac = changed_slots(board, key)
    for text in (crc(body + mac), crc(body), crc(body + "mac=" + "0" * 64 + "\n"), crc(body + "mac=%s\n" % code(key, "unit", "", body.encode()))):
        path.write_text(text)
        out = board.table()
        assert "state/slots: not written under this board's key" in out and board.two not in out, out
        assert "nothing is removed" in bundle("gc", "--store", board.store.path, ok=False)


def test_changed_slots_go_through_without_a_key(open_board):
    body, _ = changed_slots(open_board, None)
    (open_board.store.path / "state/slots").write_text(crc(body))
    assert open_board.two in open_board.table(ok=True)


def test_changed_id_ranges_are_forgotten(board):
    path = board.store.path / "state/ids"
    text = path.read_text()
    path.write_text(text.replace("unit app ", "unit app 1", 1).replace("unit app 1", "unit app ", 1) if "unit app 0" in text else
                    "".join("unit app 0\n" if line.startswith("unit app") else line for line in text.splitlines(keepends=True)))
    assert path.read_text() != text
    board.prepare(board.one)
    assert path.read_text() == text


@pytest.mark.parametrize("change", ["a key more", "no code", "another unit's code", "a file of the attacker's"])
def test_a_changed_unit_is_refused_by_name(board, key, change):
    text = board.unit.read_text()
    name = "app"
    if change == "a key more":
        board.unit.write_text(text.replace("User=0\n", "User=0\nAddCapability=CAP_SYS_ADMIN\n"))
    elif change == "no code":
        board.unit.write_text(UNIT)
    elif change == "another unit's code":
        name = "other"
        (board.units / "other.container").write_text(text)
    else:
        name = "evil"
        (board.units / "evil.container").write_text(UNIT)
    out = board.table(ok=False)
    assert ("%s.container: not written under this board's key: refused" % name) in out, out
    if name == "app":
        assert "not written under this board's key" in board.prepare(board.one, ok=False)
        out = bundle("slot", "stage", "--store", board.store.path, "--name", "app", "--unit", board.unit, "--ref", "registry.test/app:1", board.two, ok=False)
        assert "not written under this board's key" in out
        board.unit.write_text(UNIT)
        bundle("seal", board.unit)
        board.prepare(board.one)
    (board.store.path / "format").write_text("coracle-store 9\n")       # a store that does not open lets no unit in either
    (board.units / "evil.container").write_text(UNIT)
    assert "evil.container: not written under this board's key" in board.table(ok=False)


def test_a_unit_of_the_initramfs_needs_no_code(board, tmp_path):
    (tmp_path / "units").mkdir()
    (tmp_path / "units/base.container").write_text(UNIT)
    assert "base" in bundle("units", "--store", board.store.path, tmp_path / "units", ok=True)


def test_bundle_and_record_are_made_in_run(board):
    """What lies in bundles/ was not written by a board with a key, and is not read."""
    assert os.listdir(board.store.path / "bundles") == []
    made = [n for n in os.listdir("/run/coracle/bundles") if json.loads(open("/run/coracle/bundles/%s/config.json" % n).read())["process"]["args"] == ["/c"]]
    assert made
    planted = board.store.path / "bundles" / made[0]
    (planted / "base").mkdir(parents=True)
    (planted / "base/ld.so.preload").write_text("x")
    (planted / "config.json").write_text("{}")
    board.prepare(board.one)
    assert (planted / "config.json").read_text() == "{}"


def test_a_store_from_before_the_key_is_pulled_again(open_board, key):
    assert "was not written under this board's key" in open_board.verify(ok=False)
    assert "admitted: not written under this board's key" in open_board.prepare(open_board.one, ok=False) or \
           "not written under this board's key" in open_board.prepare(open_board.one, ok=False)


def test_a_key_that_is_none_is_an_error(board, key):
    for bad, what in ((lambda: key.write_bytes(b"short"), "at least 16 bytes"), (lambda: key.unlink(), "No such file")):
        bad()
        assert what in bundle("ls", "--store", board.store.path, ok=False)
        assert what in board.table(ok=False)
        assert what in bundle("seal", board.unit, ok=False)


def test_sealing_again_changes_nothing(board):
    text = board.unit.read_bytes()
    bundle("seal", board.unit)
    assert board.unit.read_bytes() == text
    assert "usage" in bundle("seal", ok=False)
