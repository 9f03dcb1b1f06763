# SPDX-License-Identifier: MIT
"""The store as coracle-bundle shows it: publishing, ls, verify, gc, stale staging, cut publishing."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import zlib

import pytest

from layerkit import BUILD, BUNDLE, PACK, ROOT, Refused, Store, folder, hard, item, link, link_program, make_tar, quota_stage, sha, stage_tool


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def bundle(*argv, ok=True):
    done = subprocess.run([BUNDLE, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if ok is not None:
        assert (done.returncode == 0) == ok, done
    return done.stdout.decode() + done.stderr.decode()


def fill(store):
    """Two images that share a layer, and a third with one of its own; their digests."""
    store.put(make_tar(folder("./"), folder("d"), item("d/a", "a" * 5000), item("d/b", "b"), link("l", "d/a"), hard("h", "d/a"), item("big", "x" * 600000)))
    first = store.image("registry.test/first:1")
    store.put(make_tar(item("d/.wh.b", ""), item("c", "c", pax={"SCHILY.xattr.user.k": "v"})))
    second = store.image("registry.test/second:1")
    store.chains, store.diffs, store.blobs = [], [], []
    store.put(make_tar(item("alone", "1")), "zstd")
    return first, second, store.image("registry.test/third:1")


def slots(store, **units):
    """state/slots with the given current digests."""
    lines = "coracle-slots 1\n" + "".join("unit %s ref=r current=%s previous=- next=- tries=0 floor=- refused=-\n" % u for u in units.items())
    (store.path / "state/slots").write_text(lines + "crc32 %08x\n" % zlib.crc32(lines.encode()))


def test_ls_shows_images_layers_and_users(store):
    first, second, third = fill(store)
    out = json.loads(bundle("ls", "--json", "--store", store.path))
    images = {i["digest"]: i for i in out["images"]}
    assert set(images) == {first, second, third} and images[second]["ref"] == "registry.test/second:1" and images[first]["key"] == "test.pub"
    assert [len(images[d]["layers"]) for d in (first, second, third)] == [1, 2, 1]
    shared = images[first]["layers"][0]
    assert shared == images[second]["layers"][0] and shared["bytes"] == 605001 and shared["entries"] == 7
    assert (store.path / shared["directory"] / "d/a").read_text() == "a" * 5000
    users = {l["chain_id"]: sorted(l["users"]) for l in out["layers"]}
    assert users[shared["chain_id"]] == sorted([first, second]) and len(users) == 3
    text = bundle("ls", "--store", store.path)
    assert second in text and "registry.test/third:1" in text and shared["directory"] in text


def test_a_layer_is_unpacked_once(store):
    tar = make_tar(item("a", "a"))
    one = store.put(tar)
    store.chains, store.diffs = [], []
    assert store.put(tar, "zstd") == one and len(list((store.path / "layers/index").iterdir())) == 1
    assert os.listdir(store.path / "tmp") == []


def test_layers_are_roots_alone(store):
    store.put(make_tar(item("su", "x", mode=0o4755)))
    assert os.stat(store.path / "layers").st_mode & 0o077 == 0 and os.stat(store.path / "tmp").st_mode & 0o077 == 0


def test_verify_of_an_untouched_store(store):
    fill(store)
    assert "3 images, 3 layers: all as published" in bundle("verify", "--store", store.path)


DAMAGE = {
    "content": (lambda l: (l / "d/a").write_bytes(b"a" * 4999 + b"b"), "/h|/d/a", "content is"),
    "one bit in a large file": (lambda l: flip(l / "big", 300000), "/big", "content is"),
    "size": (lambda l: os.truncate(l / "big", 100), "/big", "size is 100, was 600000"),
    "missing": (lambda l: os.unlink(l / "d/b"), "/d/b", "is missing"),
    "missing folder": (lambda l: shutil.rmtree(l / "d"), "/d/a", "is missing"),
    "extra": (lambda l: (l / "d/z").write_text("z"), "/d/z", "does not belong there"),
    "extra at the end": (lambda l: (l / "zz").write_text("z"), "/zz", "does not belong there"),
    "mode": (lambda l: os.chmod(l / "big", 0o4755), "/big", "mode is 104755, was 100644"),
    "owner": (lambda l: os.chown(l / "d", 5, 6), "/d", "uid is 5, was 0"),
    "time": (lambda l: os.utime(l / "d", (1, 1)), "/d", "mtime is 1.0"),
    "target": (lambda l: (os.unlink(l / "l"), os.symlink("/etc/passwd", l / "l")), "/l", "target is /etc/passwd, was d/a"),
    "attribute": (lambda l: os.setxattr(l / "big", "user.new", b"1"), "/big", "extended attributes"),
    "kind": (lambda l: (os.unlink(l / "d/b"), os.mkfifo(l / "d/b")), "/d/b", "mode is 10"),
    "broken hard link": (lambda l: (os.rename(l / "h", l / "h2"), shutil.copy2(l / "h2", l / "h"), os.unlink(l / "h2")), "/h", "no longer the same file"),
}


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("name", DAMAGE)
def test_verify_names_what_differs(store, name):
    damage, path, what = DAMAGE[name]
    fill(store)
    layer = store.layer(sha_chain_of_first(store))
    damage(layer)
    out = bundle("verify", "--store", store.path, ok=False)
    assert any(p + ": " in out for p in path.split("|")) and what in out, out
    assert "layer %s: " % layer.name in out


def sha_chain_of_first(store):
    out = json.loads(bundle("ls", "--json", "--store", store.path))
    return next(l["chain_id"] for l in out["layers"] if l["bytes"] == 605001)


def test_verify_knows_attributes_of_more_names_than_are_asked_for_at_first(store):
    names = ["user.%d%s" % (n, "n" * 240) for n in range(8)]
    store.put(make_tar(item("a", "a", pax={"SCHILY.xattr." + n: "v" for n in names})))
    store.image("registry.test/names:1")
    assert "all as published" in bundle("verify", "--store", store.path)
    os.removexattr(store.layer(store.chains[0]) / "a", names[7])
    assert "/a: its extended attributes are not" in bundle("verify", "--store", store.path, ok=False)


def test_verify_names_a_whiteout_that_is_gone(store):
    fill(store)
    chain = next(l["chain_id"] for l in json.loads(bundle("ls", "--json", "--store", store.path))["layers"] if l["bytes"] == 1 and l["entries"] == 2)
    os.unlink(store.layer(chain) / "d/b")
    assert "/d/b: is missing" in bundle("verify", "--store", store.path, ok=False)


def test_verify_names_damaged_documents_and_lists(store):
    first, second, third = fill(store)
    flip(store.path / "images/sha256" / third[7:] / "config.json", 10)
    assert "image %s" % third in bundle("verify", "--store", store.path, ok=False)
    assert "config.json is damaged" in bundle("ls", "--store", store.path, ok=False)
    flip(store.path / "images/sha256" / third[7:] / "config.json", 10)
    for lost in (store.path / "layers/list").iterdir():
        lost.write_text("nonsense\n")
    assert "its list is damaged" in bundle("verify", "--store", store.path, ok=False)
    shutil.rmtree(store.path / "layers/list")
    assert "No such file" in bundle("verify", "--store", store.path, ok=False)


def test_gc_keeps_what_slots_name(store):
    first, second, third = fill(store)
    slots(store, app=second)
    before = store.state()
    dry = bundle("gc", "--dry-run", "--store", store.path)
    assert "would remove 2 images, 1 layers" in dry and store.state() == before
    out = bundle("gc", "--store", store.path)
    assert "image %s registry.test/first:1" % first in out and "image %s" % third in out and "removed 2 images, 1 layers" in out
    listed = json.loads(bundle("ls", "--json", "--store", store.path))
    assert [i["digest"] for i in listed["images"]] == [second] and len(listed["layers"]) == 2
    assert "all as published" in bundle("verify", "--store", store.path)
    assert os.listdir(store.path / "trash") == [] and len(list((store.path / "layers").iterdir())) == 4
    assert "removed 0 images, 0 layers of 0 KiB, 0 bundles" in bundle("gc", "--store", store.path)


def test_gc_keeps_what_it_is_told_and_the_previous(store):
    first, second, third = fill(store)
    slots(store, app=second)
    text = (store.path / "state/slots").read_text().replace("previous=-", "previous=" + third).split("crc32")[0]
    (store.path / "state/slots").write_text(text + "crc32 %08x\n" % zlib.crc32(text.encode()))
    bundle("gc", "--keep", first, "--store", store.path)
    assert len(json.loads(bundle("ls", "--json", "--store", store.path))["images"]) == 3
    assert "usage" in bundle("gc", "--keep", "sha256:short", "--store", store.path, ok=False)


def test_gc_removes_bundles_of_images_that_go(store):
    first, second, third = fill(store)
    slots(store, app=third)
    for n, image in enumerate((second, third)):
        bundle("create", "--store", store.path, image, store.path / "bundles" / ("%032x" % n))
    assert "1 bundles" in bundle("gc", "--store", store.path)
    assert os.listdir(store.path / "bundles") == ["%032x" % 1]


def test_gc_leaves_a_mounted_bundle_and_its_image(store):
    first, second, third = fill(store)
    slots(store, app=third)
    at = store.path / "bundles" / ("%032x" % 7)
    bundle("create", "--store", store.path, second, at)
    bundle("mount", at)
    try:
        bundle("gc", "--store", store.path)
        assert (at / "rootfs/c").read_text() == "c" and second in bundle("ls", "--store", store.path)
    finally:
        bundle("umount", at)
    bundle("gc", "--store", store.path)
    assert not at.exists() and second not in bundle("ls", "--store", store.path)


def test_gc_with_damaged_slots_removes_nothing(store):
    fill(store)
    (store.path / "state/slots").write_text("coracle-slots 1\ngarbage\n")
    before = store.state()
    assert "nothing is removed" in bundle("gc", "--store", store.path, ok=False)
    assert store.state() == before


def test_gc_with_a_damaged_image_that_stays_removes_nothing(store):
    first, second, third = fill(store)
    slots(store, app=second)
    flip(store.path / "images/sha256" / second[7:] / "config.json", 10)
    before = store.state()
    assert "nothing is removed" in bundle("gc", "--store", store.path, ok=False)
    assert store.state() == before


def hanging(store, fed=1):
    """A writer in the middle of a layer."""
    blob = store.scratch / "hang"
    blob.write_bytes(PACK["plain"](make_tar(item("a", "a" * 100000))))
    p = subprocess.Popen([stage_tool(), "hang", store.path, BUNDLE, "plain", blob, str(fed)], stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"fed\n"
    return p


class Slowly:
    """A writer of one layer more on those of STORE, fed by us through a FIFO."""

    def __init__(self, store, tar):
        self.tar, self.chain = tar, sha((store.chains[-1] + " " + sha(tar)).encode())
        self.fifo = store.scratch / "fifo"
        os.mkfifo(self.fifo)
        self.process = subprocess.Popen([stage_tool(), "layer", store.path, BUNDLE, str(len(store.chains)), "plain", self.fifo, sha(tar), self.chain, *store.chains],
                                        stdout=subprocess.PIPE)
        self.pipe = open(self.fifo, "wb", buffering=0)
        self.pipe.write(tar[:1024])
        deadline = time.time() + 60
        while not any(len(n) == 64 and n == self.chain[7:] for d, _, names in os.walk(store.path / "tmp") for n in names):
            assert time.time() < deadline
            time.sleep(0.01)

    def finish(self):
        self.pipe.write(self.tar[1024:])
        self.pipe.close()
        out = self.process.communicate(timeout=60)[0]
        assert self.process.returncode == 0, out


def test_gc_beside_a_running_pull(store):
    """What the pull stands on stays though nothing names it, what it does not goes; then the pull completes."""
    first, second, third = fill(store)
    store.chains, store.diffs, store.blobs = [], [], []
    for n in range(3):
        store.put(make_tar(item("own%d" % n, b"o" * 9000)))
    slow = Slowly(store, make_tar(item("last", b"l" * 5000), item("own0-too", b"x")))
    out = bundle("gc", "--store", store.path)
    assert "removed 3 images, 3 layers" in out
    assert len(list((store.path / "layers/index").iterdir())) == 3
    slow.finish()
    assert "0 images, 4 layers: all as published" in bundle("verify", "--store", store.path)
    assert "removed 0 images, 4 layers" in bundle("gc", "--store", store.path)
    assert os.listdir(store.path / "tmp") == [] and os.listdir(store.path / "trash") == []


def test_gc_again_and_again_beside_pulls(store):
    """One program runs gc all the time while another puts layers on layers: each stands on those below until its slot names the image."""
    for n in range(4):
        store.put(make_tar(item("f%d" % n, os.urandom(3000))))
    slots(store, app=store.image())
    gc = subprocess.Popen(["sh", "-c", "while [ ! -e \"$2\" ]; do \"$0\" gc --store \"$1\" || exit 1; done", BUNDLE, store.path, store.scratch / "end"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for n in range(8):
            slow = Slowly(store, make_tar(item("g%d" % n, os.urandom(30000)), item("f0", b"%d" % n)))
            slow.finish()
            slow.fifo.unlink()
            bundle("verify", "--store", store.path)
        assert gc.poll() is None, gc.stderr.read()
    finally:
        (store.scratch / "end").touch()
        gc.wait()
    assert "1 images, " in bundle("verify", "--store", store.path)


def test_a_dead_pull_holds_nothing(store):
    fill(store)
    p = hanging(store)
    p.kill()
    p.wait()
    assert "removed 3 images, 3 layers" in bundle("gc", "--store", store.path)


def test_ls_shows_what_is_own_and_who_uses_it(store):
    first, second, third = fill(store)
    slots(store, app=second)
    text = (store.path / "state/slots").read_text().replace("previous=-", "previous=" + first).split("crc32")[0]
    (store.path / "state/slots").write_text(text + "crc32 %08x\n" % zlib.crc32(text.encode()))
    images = {i["digest"]: i for i in json.loads(bundle("ls", "--json", "--store", store.path))["images"]}
    assert [(images[d]["own_bytes"], images[d]["shared_bytes"]) for d in (first, second, third)] == [(0, 605001), (1, 605001), (1, 0)]
    assert [images[d]["units"] for d in (first, second, third)] == [[{"name": "app", "as": "previous"}], [{"name": "app", "as": "current"}], []]
    assert "app(current)" in bundle("ls", "--store", store.path)
    (store.path / "state/slots").write_text("damaged")
    assert "damaged" in bundle("ls", "--store", store.path, ok=False)


def test_quota_of_the_store(store):
    store.tool = lambda: quota_stage(2)
    store.put(make_tar(item("a", b"a" * (1 << 20))))
    before = store.state()
    with pytest.raises(Refused, match="layer 1: with it the store would hold 2 MiB, its quota is 2 MiB.*gc"):
        store.put(make_tar(item("b", b"b" * (1 << 20)), item("c", "c")))
    assert store.state() == before
    store.put(make_tar(item("b", b"b" * (1 << 20))))
    bundle("gc", "--store", store.path)
    store.chains, store.diffs = [], []
    store.put(make_tar(item("d", b"d" * (2 << 20))))


def test_orphans_are_collected(store):
    """What a power cut between placing a layer and its index entry leaves."""
    first, second, third = fill(store)
    slots(store, a=first, b=second, c=third)
    (store.path / "layers/orphan").mkdir()
    (store.path / "layers/orphan/f").write_text("x")
    (store.path / "layers/list/orphan").write_text("x")
    assert "layer orphan" in bundle("gc", "--store", store.path)
    assert not (store.path / "layers/orphan").exists() and not (store.path / "layers/list/orphan").exists()
    assert "all as published" in bundle("verify", "--store", store.path)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_writer_leaves_nothing_for_long(store, sig):
    fill(store)
    before = [s for s in store.state()]
    p = hanging(store, 60000)
    children = subprocess.run(["pgrep", "-P", str(p.pid)], stdout=subprocess.PIPE).stdout.split()
    assert len(children) == 2 and len(os.listdir(store.path / "tmp")) == 2     # what it makes, and what it holds
    p.send_signal(sig)
    p.wait()
    deadline = time.time() + 60
    while any(os.path.exists("/proc/%d" % int(c)) for c in children) and time.time() < deadline:
        time.sleep(0.02)
    assert not any(os.path.exists("/proc/%d" % int(c)) for c in children)      # the jails die with their launcher
    store.chains = []
    store.put(make_tar(item("next", "n")))                               # the next writer sweeps
    assert os.listdir(store.path / "tmp") == []
    assert [s for s in before if s not in store.state()] == []


def test_two_writers_at_once(store):
    """Staging of a living writer is not swept by another."""
    store.put(make_tar(item("zero", "0")))
    p = hanging(store)
    names = os.listdir(store.path / "tmp")
    store.put(make_tar(item("one", "1")))
    assert os.listdir(store.path / "tmp") == names
    p.kill()
    p.wait()


def test_abort_leaves_nothing(store):
    store.put(make_tar(item("zero", "0")))
    blob = store.scratch / "b"
    blob.write_bytes(make_tar(item("a", "a" * 100000)))
    before = store.state()
    for fed in (0, 1, 600, 90000, 200000):
        store.run("abort", store.path, BUNDLE, "plain", blob, fed)
        assert store.state() == before


def test_stores_of_another_format_are_refused(store):
    store.put(make_tar(item("a", "a")))
    (store.path / "format").write_text("coracle-store 9\n")
    assert "not of this version" in bundle("ls", "--store", store.path, ok=False)
    with pytest.raises(Refused, match="not of this version"):
        store.put(make_tar(item("b", "b")))
    (store.path / "format").unlink()
    assert "not a store" in bundle("verify", "--store", store.path, ok=False)
    assert "cannot open the store" in bundle("gc", "--store", store.path / "none", ok=False)


def test_a_layer_below_that_is_gone_is_named(store):
    store.put(make_tar(item("a", "a")))
    os.unlink(next((store.path / "layers/index").iterdir()))
    with pytest.raises(Refused, match="layer 0 below it is not in the store"):
        store.put(make_tar(item("b", "b")))


def test_index_entries_are_not_believed(store):
    store.put(make_tar(item("a", "a")))
    entry = next((store.path / "layers/index").iterdir())
    for text in ("../../etc\n", "\n", "", "a" * 600, "nothere\ndiff_id=%s\n" % sha(b"x"), "short\n"):
        entry.write_text(text)
        assert "damaged" in bundle("verify", "--store", store.path, ok=False)


def test_a_lock_that_does_not_come_is_named(store):
    fill(store)
    with open(store.path / "lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another program holds the store's lock"):
            store.chains = []
            store.put(make_tar(item("new", "n")))
    assert os.listdir(store.path / "tmp") == []


def other_bundle():
    """coracle-bundle as a later version might be: the same formats, other sources."""
    config = BUILD / "tests/other"
    config.mkdir(parents=True, exist_ok=True)
    (config / "generator.h").write_text('#define BUNDLE_GENERATOR "another"\n')
    return link_program("other-bundle", [ROOT / "bundle/bundle_main.c", ROOT / "bundle/bundle_make.c"], config)


def test_a_bundle_that_another_version_made_is_not_taken_up(store, tmp_path):
    digest = fill(store)[0]
    unit = tmp_path / "app.container"
    unit.write_text("[Container]\nImage=registry.test/first:1\nExec=/c\nUser=0\n")

    def prepare(program):
        with open(tmp_path / "record", "wb") as record:
            subprocess.run([program, "prepare", "--record-fd", str(record.fileno()), "--store", store.path, "--name", "app", "--unit", unit, "--ref", "r",
                            digest], check=True, pass_fds=(record.fileno(),), timeout=120)
        return set(os.listdir(store.path / "bundles"))
    ours = prepare(BUNDLE)
    assert len(ours) == 1 and prepare(BUNDLE) == ours
    assert len(prepare(other_bundle()) - ours) == 1
    assert len(prepare(BUNDLE)) == 2
