# SPDX-License-Identifier: MIT
"""Layers through the real launcher and jail into a store: legal ones as umoci unpacks them, hostile ones refused by name with nothing left."""
import errno
import os
import stat
import subprocess
import tarfile

import pytest

import treediff
from layerkit import (EPOCH, Merged, PACK, ROOT, Refused, Store, folder, gzip, hard, item, link, link_program, make_tar, small_bundle, umoci, zstd)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def as_umoci(store, ignore=()):
    """The merged root is, entry by entry, what umoci makes of the same layers."""
    with Merged(store) as root:
        lines = treediff.diff(root, umoci(store.layout(), store.scratch / "umoci"), ignore)
    assert not lines, "\n".join(lines)


BASE = (folder("./"), folder("etc"), item("etc/passwd", "root:x:0:0::/:/bin/sh\n"), folder("usr", mtime=EPOCH - 9),
        folder("usr/lib", mtime=EPOCH - 10), folder("usr/bin", mtime=EPOCH - 11), link("lib", "usr/lib"), link("bin", "/usr/bin"),
        item("usr/lib/libc.so", "elf" * 9000, mode=0o755), folder("var"), folder("var/cache", uid=7, gid=8, mode=0o2775, mtime=EPOCH - 12),
        item("var/cache/one", "1"), item("var/cache/two", "2"), folder("var/empty"), item("zero", ""))


# --- what must come out as umoci has it

@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_every_kind_of_entry(store, kind):
    store.put(make_tar(
        *BASE, item("suid", "s", mode=0o6755, uid=1000, gid=2000), item("sticky", "t", mode=0o1644), folder("tmp", mode=0o1777),
        link("dangling", "/nowhere/at/all"), link("loop", "loop"), link("owned", "zero", uid=5, gid=6, mtime=12345),
        item("fifo", type=tarfile.FIFOTYPE, mode=0o620, uid=3), hard("zero2", "zero"), hard("usr/zero3", "/zero"), hard("lib/zero4", "../../zero"),
        item("nanoseconds", "n", pax={"mtime": "1600000000.123456789"}), item("before1970", "b", pax={"mtime": "-5"}),
        item("big-uid", "u", uid=3000000, gid=4294967294),
        item("attrs", "a", pax={"SCHILY.xattr.user.one": "1", "SCHILY.xattr.user.two": "line\nbreak=x", "SCHILY.xattr.user.empty": ""}),
        item("cap", "c", mode=0o755, uid=9, pax={"SCHILY.xattr.security.capability":
             b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode()}),
        folder("with-attrs", pax={"SCHILY.xattr.user.dir": "d"}), item("with-attrs/below", "x")), kind)
    as_umoci(store)
    with Merged(store) as root:
        assert stat.S_IMODE(os.lstat(root / "suid").st_mode) == 0o6755
        assert os.getxattr(root / "cap", "security.capability")[4:6] == b"\x00\x04"
        assert (root / "zero").stat().st_nlink == 4


def test_three_layers_with_whiteouts(store):
    store.put(make_tar(*BASE))
    store.put(make_tar(item("var/cache/.wh.one", ""), item("new", "n"), item(".wh.zero", ""), folder("var/empty/now", mtime=5)), "zstd")
    store.put(make_tar(item("zero", "back again"), item("etc/.wh.passwd", ""), link("var/link", "cache"), item(".wh.nothing-here", "")), "plain")
    as_umoci(store)


def test_writes_through_lower_links(store):
    """usr-merge: lower lib -> usr/lib, upper lib/x; also through absolute links and links of an own layer."""
    store.put(make_tar(*BASE))
    store.put(make_tar(item("lib/x", "x"), item("bin/y", "y"), folder("lib/new"), item("lib/new/z", "z"), link("l2", "lib"), item("l2/w", "w"),
                       item("bin/../lib/lexical", "!"), item(".///etc/./clean", "c"), item("/absolute", "a")))
    as_umoci(store)
    with Merged(store) as root:
        assert (root / "lib").is_symlink() and (root / "usr/lib/x").read_text() == "x" and (root / "usr/lib/new/z").exists()
        assert (root / "usr/lib").stat().st_mtime == EPOCH - 10


def test_implied_parents_are_the_lower_ones(store):
    store.put(make_tar(*BASE, folder("p", mode=0o711, uid=3, gid=4, mtime=77, pax={"SCHILY.xattr.user.k": "v"}), folder("p/q", mode=0o700, mtime=78)))
    store.put(make_tar(item("p/q/file", "f"), item("var/cache/three", "3")))
    as_umoci(store)
    layer = store.layer(store.chains[1])
    assert stat.S_IMODE(os.lstat(layer / "p").st_mode) == 0o711 and os.getxattr(layer / "p", "user.k") == b"v"
    assert os.lstat(layer / "var/cache").st_mtime == EPOCH - 12 and os.lstat(layer / "var/cache").st_uid == 7


def test_root_of_a_layer_without_one_is_the_lower_root(store):
    store.put(make_tar(folder("./", mode=0o751, uid=1, gid=2, mtime=99), item("a", "a")))
    store.put(make_tar(item("b", "b")))
    as_umoci(store)
    assert os.lstat(store.layer(store.chains[1])).st_mtime == 99


@pytest.mark.parametrize("order", [0, 1])
def test_opaque_in_any_order(store, order):
    store.put(make_tar(*BASE))
    mine = [item("var/cache/.wh..wh..opq", ""), item("var/cache/mine", "m"), folder("var/cache/sub"), item("var/cache/sub/x", "x")]
    store.put(make_tar(*(mine if order == 0 else mine[1:] + mine[:1])))
    as_umoci(store)
    with Merged(store) as root:
        assert sorted(os.listdir(root / "var/cache")) == ["mine", "sub"]


@pytest.mark.parametrize("order", [0, 1])
def test_whiteout_and_the_same_name_anew(store, order):
    store.put(make_tar(*BASE))
    mine = [item("var/.wh.cache", ""), folder("var/cache", mode=0o700, mtime=3), item("var/cache/mine", "m"),
            item(".wh.zero", ""), item("zero", "mine")]
    store.put(make_tar(*(mine if order == 0 else mine[::-1])))
    as_umoci(store, ignore=("mtime",) if order else ())     # umoci's late removals leave the present as var/cache's time
    with Merged(store) as root:
        assert os.listdir(root / "var/cache") == ["mine"] and (root / "zero").read_text() == "mine"


def test_whiteouts_are_names_of_entries_whatever_their_type(store):
    """And a folder on the way of that name is a folder."""
    store.put(make_tar(*BASE))
    store.put(make_tar(link(".wh.zero", "etc"), folder("var/.wh.cache"), folder(".wh.etc/sub"), item(".wh.etc/sub/x", "x")))
    as_umoci(store, ("mtime",))      # of .wh.etc itself, which no entry can describe
    with Merged(store) as root:
        assert not os.path.lexists(root / "zero") and not (root / "var/cache").exists() and (root / "etc/passwd").exists()
        assert (root / ".wh.etc/sub/x").read_text() == "x"


def test_whiteout_of_a_link_then_a_directory_in_its_place(store):
    store.put(make_tar(*BASE))
    store.put(make_tar(item(".wh.lib", ""), folder("lib"), item("lib/own", "o")))
    as_umoci(store)
    with Merged(store) as root:
        assert not (root / "lib").is_symlink() and not (root / "usr/lib/own").exists()


def test_whiteout_in_the_lowest_layer_is_dropped(store):
    layer = store.put(make_tar(folder("./"), item(".wh.x", ""), item("d/.wh..wh..opq", ""), item("deep/down/.wh.y", ""), item("a", "a")))
    assert sorted(os.listdir(layer)) == ["a"]
    as_umoci(store, ignore=()) if sorted(os.listdir(umoci(store.layout(), store.scratch / "u"))) == ["a"] else None


def test_whiteouts_are_only_those_needed(store):
    store.put(make_tar(*BASE))
    layer = store.put(make_tar(item("no/such/.wh.thing", ""), item("var/.wh.cache", ""), item("var/cache/.wh.one", ""), item("etc/.wh..wh..opq", "")))
    assert sorted(os.listdir(layer)) == ["etc", "var"] and os.listdir(layer / "var") == ["cache"]
    assert stat.S_ISCHR(os.lstat(layer / "var/cache").st_mode) and os.lstat(layer / "var/cache").st_rdev == 0
    assert os.getxattr(layer / "etc", "trusted.overlay.opaque") == b"y"
    with Merged(store) as root:
        assert not (root / "var/cache").exists() and os.listdir(root / "etc") == []


def test_entries_over_other_kinds(store):
    store.put(make_tar(*BASE))
    store.put(make_tar(
        item("f-d", "file"), folder("f-d", mtime=4), item("f-d/in", "i"), folder("d-f"), item("d-f/in", "i"), item("d-f", "file now"),
        folder("d-l"), item("d-l/x", "x"), link("d-l", "usr"), link("l-d", "usr"), folder("l-d"), item("l-d/mine", "m"),
        link("l-f", "/etc/passwd"), item("l-f", "not passwd"), item("h1", "h"), hard("h2", "h1"), item("h2", "own now"), item("dup", "1"), item("dup", "2"),
        item("etc", "etc is a file"), folder("zero"), item("zero/x", "x"), link("var", "usr"),
        folder("attrs", pax={"SCHILY.xattr.user.old": "o"}), folder("attrs", mode=0o700, pax={"SCHILY.xattr.user.new": "n"})))
    as_umoci(store)
    with Merged(store) as root:
        assert (root / "h1").read_text() == "h" and (root / "h2").read_text() == "own now"
        assert not (root / "usr/lib/mine").exists() and (root / "l-d/mine").exists() and not (root / "l-d").is_symlink()


def test_hard_links_within_and_across_layers(store):
    store.put(make_tar(*BASE, hard("etc/again", "etc/passwd")))
    store.put(make_tar(hard("copy", "etc/passwd"), hard("copy2", "copy"), hard("link-link", "lib"), item("own", "o"), hard("own2", "./own"),
                       hard("self", "zero")))
    # Layers share no inode: the one documented difference.
    as_umoci(store, ignore=("same",))
    layer = store.layer(store.chains[1])
    assert os.lstat(layer / "copy").st_ino == os.lstat(layer / "copy2").st_ino
    assert os.lstat(layer / "link-link").st_mode & 0o170000 == stat.S_IFLNK
    layer = store.put(make_tar(hard("zero", "zero"), item("twice", "t"), hard("twice", "./twice")))      # to themselves: nothing happens
    assert sorted(os.listdir(layer)) == ["twice"] and (layer / "twice").read_text() == "t"


def test_names_at_their_limits(store):
    long = "x" * 255
    deep = "/".join(["d" * 100] * 39)
    store.put(make_tar(item(long, "l"), folder("many"), item("many/" + "y" * 255, "y"), link("to", "z" * 4000), item("back\\slash", "b"),
                       item("new\nline", "n"), item("sp ace", "s"), item("-", "-"), item("wh.x", "w"), item("a.wh.b", "w"), item("\u00fcml\u00e4ut \u65e5\u672c", "u"),
                       *(folder("/".join(deep.split("/")[:n])) for n in range(1, 40)), item(deep + "/leaf", "leaf")))
    store.put(make_tar(item("gnu-" + "g" * 200, "g"), link("gnu-to", "t" * 300), hard("h" * 150, "gnu-" + "g" * 200), form=tarfile.GNU_FORMAT))
    as_umoci(store)


def test_names_that_are_no_text(store):
    raw = b"caf\xe9-\xff\xfe".decode("utf-8", "surrogateescape")

    def pax(**records):
        body = b""
        for key, value in records.items():
            record = b" %s=%s\n" % (key.encode(), value)
            size = len(record) + len(str(len(record)))
            size = len(record) + len(str(size))
            body += b"%d" % size + record
        head = tarfile.TarInfo("pax")
        head.type, head.size = tarfile.XHDTYPE, len(body)
        return head.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)

    store.put(make_tar(pax(path=b"bytes-\xff\xc0\x80"), item("short", "1"), pax(linkpath=b"t-\xe9\xe8"), link("l", "short"),
                       pax(path=b"hl-\xf0", linkpath=b"bytes-\xff\xc0\x80"), hard("hl", "x"), form=tarfile.USTAR_FORMAT))
    store.put(make_tar(item(raw, "in the header itself"), item(raw * 20, "and as a long name"), form=tarfile.GNU_FORMAT))
    as_umoci(store)
    layer = os.fsencode(store.layer(store.chains[0]))
    assert b"bytes-\xff\xc0\x80" in os.listdir(layer) and os.readlink(layer + b"/l") == b"t-\xe9\xe8"


def test_many_entries_in_one_directory(store):
    count = 20000
    store.put(make_tar(folder("d"), *(item("d/%06d" % i, "") for i in range(count))))
    assert len(os.listdir(store.layer(store.chains[0]) / "d")) == count


def test_many_hard_links(store):
    store.put(make_tar(item("a", "content"), *(hard("l%05d" % i, "a") for i in range(400))))
    as_umoci(store)


def test_127_layers_and_no_more(store):
    for i in range(127):
        store.put(make_tar(item("f%d" % i, str(i)), item("last", str(i)), item(".wh.f%d" % (i - 2), "")), "plain")
    with Merged(store) as root:
        assert (root / "last").read_text() == "126" and sorted(n for n in os.listdir(root) if n[0] == "f") == ["f125", "f126"]
    with pytest.raises(Refused, match="more than 127 layers"):
        store.put(make_tar(item("one", "too many")), "plain")


def test_real_tree(store, tmp_path):
    """A piece of this machine, in three layers made by GNU tar."""
    parts = [["etc", "usr/share/doc/bash"], ["usr/share/zoneinfo", "usr/sbin"], ["usr/share/perl5", "lib/terminfo"]]
    for names in parts:
        there = [n for n in names if os.path.isdir("/" + n)]
        tar = subprocess.run(["tar", "-C", "/", "-c", "--numeric-owner", "--xattrs", "--format=pax", "--exclude=*.sock",
                              "--pax-option=delete=atime,delete=ctime", *there], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout
        store.put(tar)
    with Merged(store) as root:
        lines = treediff.diff(root, umoci(store.layout(), tmp_path / "umoci"))
    # Directories that no layer describes (usr, usr/share, ...) are the unpacker's own business: umoci stamps them with the present.
    assert not [line for line in lines if not (line.split(":")[0] in (".", "lib", "usr", "usr/share", "usr/share/doc")
                                               and ": mtime is" in line)], "\n".join(lines)


# --- compressed streams

def test_many_members_and_frames(store):
    tar = make_tar(*BASE)
    third = len(tar) // 3
    parts = [tar[:third], tar[third:2 * third], tar[2 * third:]]
    skippable = b"\x50\x2a\x4d\x18" + (9).to_bytes(4, "little") + b"something"
    store.put(tar, "gzip", b"".join(gzip.compress(p) for p in parts) + bytes(700))
    store.put(tar + b"", "gzip", gzip.compress(tar) + b"trailing junk that is no member")
    store.put(make_tar(item("z", "z")), "zstd", skippable + zstd(make_tar(item("z", "z"))) + skippable)
    tar2 = make_tar(item("frames", "f" * 5000))
    store.put(tar2, "zstd", zstd(tar2[:600]) + skippable + zstd(tar2[600:]))


def test_bytes_behind_the_archive_count_for_diff_id(store):
    tar = make_tar(item("a", "a")) + bytes(512 * 37) + b"no header at all, behind the end"
    store.put(tar)
    store.put(make_tar(item("b", "b"))[:-1024], "plain")        # no end blocks at all


def test_large_window_is_refused_by_name(store):
    tar = make_tar(item("r", os.urandom(1 << 20) * 40))
    with pytest.raises(Refused, match="window is larger than 2\\^23") as e:
        store.put(tar, "zstd", zstd(tar, "--long=27", "-3"))
    assert e.value.code == -27
    store.put(make_tar(item("w", b"w" * (9 << 20))), "zstd", zstd(make_tar(item("w", b"w" * (9 << 20))), "-3"))


def broken_streams():
    tar = make_tar(*BASE, item("rest", os.urandom(300000)))
    gz, zs = gzip.compress(tar), zstd(tar)
    flip = bytearray(gz)
    flip[len(gz) // 2] ^= 0xff
    yield "gzip cut", "gzip", gz[:-len(gz) // 3], 'cut short; entry \\d+ "rest": '
    yield "gzip cut in its trailer", "gzip", gz[:-4], "cut short"
    yield "gzip flipped", "gzip", bytes(flip), "broken|sha256:"
    yield "gzip checksum", "gzip", gz[:-8] + b"\0\0\0\0" + gz[-4:], "broken"
    yield "zstd cut", "zstd", zs[:-len(zs) // 3], 'cut short; entry \\d+ "rest": '
    yield "zstd flipped", "zstd", zs[:1000] + b"\xff\xff\xff\xff" + zs[1004:], "broken|sha256:"
    yield "zstd junk behind", "zstd", zs + b"junk", "broken"
    yield "no gzip at all", "gzip", tar, "broken"
    yield "empty", "gzip", b"", "empty"
    yield "plain cut in content", "plain", tar[:-2000], "runcated|sha256"
    yield "plain cut in a header", "plain", tar[:700], "runcated"


@pytest.mark.parametrize("name,kind,blob,word", [pytest.param(*b, id=b[0]) for b in broken_streams()])
def test_broken_streams_are_refused(store, name, kind, blob, word):
    refused(store, None, word, kind=kind, blob=blob)


LIES = {"dies": "f", "another magic": "m", "a code that is none": "p", "a code out of range": "n", "control characters": "e", "another digest": "d", "half a report": "h",
        "no report": "s"}


@pytest.mark.parametrize("lie", LIES)
def test_a_decompressor_that_was_taken_over_is_not_believed(store, lie):
    """What writes the files had the whole archive, and says so: it does not count."""
    store.bundle = link_program("liar/coracle-bundle", [ROOT / "bundle/bundle_main.c", ROOT / "tests/tools/inflate_liar.c"])
    with pytest.raises(Refused) as e:
        store.put(bytes(10240), "zstd", LIES[lie].encode())
    assert e.value.text.startswith("layer 0: ") and "\033" not in e.value.text and len(e.value.text) < 512
    if lie in ("dies", "another magic", "half a report", "no report"):
        assert "ended without a word" in e.value.text and e.value.code == -errno.ECONNABORTED      # to be tried again
    if lie == "another digest":
        assert "uncompressed bytes are sha256:" in e.value.text
    assert not store.chains and os.listdir(store.path / "tmp") == []
    store.put(bytes(10240), "zstd", b"0")       # the same, where it tells the truth


def test_wrong_diff_id(store):
    refused(store, make_tar(item("a", "a")), "uncompressed bytes are sha256:", diff_id="sha256:" + "0" * 64)


# --- hostile layers

def refused(store, tar, word, below=BASE, **how):
    """Refused with WORD in the text, and the store as it was: names, inodes, free blocks; nothing outside is touched either."""
    store.put(make_tar(*below))
    canary = store.scratch / "canary"
    canary.write_text("alive")
    subprocess.run(["sync", "-f", store.path], check=True)
    before = store.state()
    with pytest.raises(Refused, match="(?s)" + word) as e:
        store.put(tar or b"", **how)
    assert "layer 1: " in e.value.text and len(e.value.text) < 512
    assert store.state() == before and os.listdir(store.path / "tmp") == []
    assert canary.read_text() == "alive"
    store.chains, store.diffs, store.blobs = store.chains[:1], store.diffs[:1], store.blobs[:1]
    store.put(make_tar(item("after", "still works")))
    return e.value


def raw_header(name="x", **fields):
    t = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(t, key, value)
    return t.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


HOSTILE = {
    "dotdot": ([item("../escape", "x")], "leaves the root"),
    "dotdot inside": ([item("etc/../../escape", "x")], "leaves the root"),
    "absolute dotdot": ([item("/../../escape", "x")], "leaves the root"),
    "root is a link": ([link("./", "/etc")], "root itself"),
    "root is a file": ([item("/.", "x")], "root itself|empty"),
    "root is a hard link": ([hard(".", "etc/passwd")], "root itself"),
    "hard link to the root": ([hard("x", "/")], "hard link to the root"),
    "hard link to nothing": ([hard("x", "../../nothing")], "not there"),
    "hard link to a directory": ([hard("x", "etc")], "directory"),
    "hard link to a whited out file": ([item(".wh.zero", ""), hard("x", "zero")], "not there"),
    "hard link out of the root": ([hard("x", "../../../../../../../../etc/hostname")], "not there"),
    "whiteout of ..": ([item("etc/.wh...", "")], "whiteout of nothing"),
    "whiteout of .": ([item("etc/.wh..", "")], "whiteout of nothing"),
    "whiteout of no name": ([item("etc/.wh.", "")], "whiteout of nothing"),
    "through a file": ([item("etc/passwd/x", "x")], "directory cannot be resolved"),
    "link loop on the way": ([link("a", "b"), link("b", "a"), item("a/x", "x")], "directory cannot be resolved"),
    "character device": ([item("mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)], "character device 1:1.*AddDevice"),
    "terminal": ([item("tty1", type=tarfile.CHRTYPE, devmajor=4, devminor=1)], "character device 4:1.*AddDevice"),
    "block device of a harmless number": ([item("null", type=tarfile.BLKTYPE, devmajor=1, devminor=3)], "block device 1:3.*AddDevice"),
    "hard link to a device": ([item("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), hard("n", "null")], "hard link to a device"),
    "device beyond numbers": ([item("null", type=tarfile.CHRTYPE, devmajor=(1 << 20) + 1, devminor=3)], "character device"),
    "block device": ([item("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0)], "block device 8:0"),
    "overlay whiteout device": ([item("zero", type=tarfile.CHRTYPE, devmajor=0, devminor=0)], "character device 0:0"),
    "overlay attribute": ([folder("etc", pax={"SCHILY.xattr.trusted.overlay.opaque": "y"})], "trusted.overlay.opaque"),
    "overlay redirect": ([folder("d", pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc"})], "trusted.overlay.redirect"),
    "overlay user attribute": ([item("d", "", pax={"SCHILY.xattr.user.overlay.whiteout": "y"})], "user.overlay.whiteout"),
    "attribute too large": ([item("a", "", pax={"SCHILY.xattr.user.a": "v" * 65537})], "attribute user.a of 65537 bytes"),
    "pax header too large": ([item("a", "", pax={"SCHILY.xattr.user.a": "v" * 200000})], "pax header of"),
    "name too long": ([item("n" * 256, "")], "more than 255 bytes"),
    "path too long": ([item("/".join(["d" * 200] * 21), "")], "longer than 4095|more than 4095"),
    "too deep": ([item("/".join("d" * 1 for _ in range(300)), "")], "too deep"),
    "deep by links": ([*(folder("/".join(["d"] * n)) for n in range(1, 250)), link("l", "/".join(["d"] * 249)), item("l/" + "e/" * 20 + "x", "")], "too deep"),
    "sparse of terabytes": ([item("a", "x", pax={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"})], "MiB unpacked"),
    "sparse with overlapping parts": ([item("a", "xx", pax={"GNU.sparse.size": "9", "GNU.sparse.map": "4,1,4,1"})], "map of a sparse file is broken"),
    "sparse with parts behind its end": ([item("a", "x", pax={"GNU.sparse.size": "9", "GNU.sparse.map": "9,1"})], "map of a sparse file is broken"),
    "sparse with less content than its map": ([item("a", "x", pax={"GNU.sparse.size": "9", "GNU.sparse.map": "0,9"})], "map does not fit"),
    "sparse with more content than its map": ([item("a", "xxx", pax={"GNU.sparse.size": "9", "GNU.sparse.map": "0,1"})], "more content than its map"),
    "sparse with a hundred thousand parts": ([item("a", "", pax={"GNU.sparse.size": "99999", "GNU.sparse.map": ",".join("%d,0" % i for i in range(9999))})],
                                              "more than 4096 parts"),
    "sparse 1.0 that counts to a billion": ([item("a", b"1000000000\n" + bytes(501), pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"})], "more than 4096 parts"),
    "sparse 1.0 with letters in its map": ([item("a", b"1\n0\nx\n" + bytes(506), pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"})], "map of a sparse"),
    "sparse 1.0 cut inside its map": ([item("a", b"2\n0\n1\n", pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"})], "map does not fit"),
    "sparse name that leaves the root": ([item("a", "x", pax={"GNU.sparse.size": "1", "GNU.sparse.map": "0,1", "GNU.sparse.name": "../../escape"})], "leaves the root"),
    "sparse directory": ([folder("a", pax={"GNU.sparse.size": "1", "GNU.sparse.map": "0,1"})], "or no file"),
    "sparse of a later format": ([item("a", "x", pax={"GNU.sparse.major": "2", "GNU.sparse.size": "1"})], "later than 1.0"),
    "sparse as Solaris has it": ([item("a", "x", pax={"SUN.holesdata": " 0 1"})], "Solaris"),
    "sparse old without numbers": ([raw_header(type=b"S", size=512), bytes(512)], "more content than its map"),
    "linked twice around": ([link("a", "/b/c"), link("b", "/a"), item("b/c/d", "x")], "directory cannot be resolved"),
    "volume header": ([raw_header(type=b"V")], "tar type 0x56"),
    "solaris acl": ([raw_header(type=b"A", size=512), bytes(512)], "tar type 0x41"),
    "multi-volume": ([raw_header(type=b"M", size=0)], "tar type 0x4d"),
    "long name too large": ([raw_header(type=b"L", size=9000), bytes(9216)], "name of 9000 bytes"),
    "owner beyond 32 bits": ([item("a", "", pax={"uid": "4294967296"})], "no user or group id"),
    "owner -1": ([item("a", "", pax={"gid": "4294967295"})], "no user or group id"),
    "owner negative": ([item("a", "", pax={"uid": "-7"})], "no user or group id"),
    "size says more than there is": ([raw_header(size=1 << 30), b"short"], "runcated|short"),
    "size beyond all": ([item("a", "", pax={"size": str(1 << 61)})], "too large|MiB|runcated"),
    "a directory with content": ([raw_header("dir/", size=512), raw_header("hidden"), raw_header("x")], "directory with content"),
    "two pax headers": ([raw_header("p", type=b"x", size=9), b"9 path=a\n" + bytes(503), item("b", "", pax={"path": "c"})], "two pax headers"),
    "broken pax header": ([raw_header("p", type=b"x", size=20), b"99 path=x\n" + bytes(502), item("b", "")], "broken pax header"),
    "pax size on a link": ([link("l", "zero", pax={"size": "1024"})], "has none"),
    "wrong checksum": ([b"garbage" + bytes(505)], "not a tar header|no tar|Unrecognized"),
    "empty link": ([raw_header("l", type=b"2")], "empty or over-long target|symbolic"),
    "link too long": ([link("l", "x" * 5000)], "over-long target"),
    "nul in a name": ([raw_header("p", type=b"x", size=13), b"13 path=a\0bc\n" + bytes(499), item("b", "")], "NUL"),
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A store on an ext4 of its own, whose counters nobody else moves, with one layer and a canary beside it."""
    top = tmp_path_factory.mktemp("disk")
    with open(top / "image", "wb") as f:
        f.truncate(96 << 20)
    (top / "mnt").mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", top / "image"], check=True)
    subprocess.run(["mount", "-o", "loop", top / "image", top / "mnt"], check=True)
    store = Store(top / "mnt/store")
    store.scratch.rmdir()
    store.scratch = top
    store.put(make_tar(*BASE))
    (top / "mnt/canary").write_text("alive")
    yield store
    subprocess.run(["umount", top / "mnt"], check=True)


def counters(mnt):
    """Free blocks, free inodes, and every name with what lstat says, but the times of the store's own folders."""
    subprocess.run(["sync", "-f", mnt], check=True)
    s = os.statvfs(mnt)
    names = {}
    for d, dirs, files in os.walk(mnt):
        for n in dirs + files:
            st = os.lstat(os.path.join(d, n))
            names[os.path.join(d, n)] = (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, stat.S_ISREG(st.st_mode) and st.st_mtime_ns)
    return s.f_bfree, s.f_ffree, names


def test_the_table_is_long_enough():
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_are_refused(disk, name):
    """Run as root with a canary beside the store: refused by name, and nothing of the disk is other than before."""
    entries, word = HOSTILE[name]
    mnt = disk.path.parent
    outside = [sorted(os.listdir(d)) for d in ("/", "/etc", mnt.parent)]
    before = counters(mnt)
    with pytest.raises(Refused, match="(?s)" + word) as e:
        disk.put(make_tar(item("first", "fine"), *entries))
    assert "layer 1: " in e.value.text and len(e.value.text) < 512
    assert counters(mnt) == before and os.listdir(disk.path / "tmp") == []
    assert (mnt / "canary").read_text() == "alive"
    assert outside == [sorted(os.listdir(d)) for d in ("/", "/etc", mnt.parent)]


@pytest.mark.parametrize("name", ["dotdot", "through a file", "sparse of terabytes", "hard link to nothing"])
def test_a_refused_layer_does_not_stand_in_the_way(store, name):
    entries, word = HOSTILE[name]
    refused(store, make_tar(item("first", "fine"), *entries), word)


def test_links_for_directories_between_layers(store):
    """A directory below becomes a link that leads out, before, between and behind what is written beneath it."""
    out = store.scratch / "outside"
    out.mkdir()
    (out / "keep").write_text("alive")
    store.put(make_tar(*BASE, folder("d"), item("d/x", "x"), folder("d/e"), item("d/e/y", "y")))
    store.put(make_tar(link("d", str(out)), item("d/x", "2"), item("d/keep", "inside"), item("d/.wh.keep", "")))
    store.put(make_tar(item("d/e/z", "z"), link("var", str(out)), item("var/cache/one", "1"), folder("var"), item("var/own", "o")))
    assert sorted(os.listdir(out)) == ["keep"] and (out / "keep").read_text() == "alive"
    with Merged(store) as root:
        assert (root / str(out).lstrip("/") / "x").read_text() == "2" and (root / "var/own").read_text() == "o"


def test_links_that_point_out_are_scoped(store):
    """Links that lead out of the root are legal content; what is written through them stays inside."""
    out = store.scratch / "outside"
    out.mkdir()
    layer = store.put(make_tar(link("esc", str(out)), item("esc/f", "inside"), link("up", "../../../../.." + str(out)), item("up/g", "inside too"),
                               link("e", "/etc"), item("e/coracle-must-not-be", "x"), hard("h", "../../.." + str(out) + "/f")))
    assert os.listdir(out) == [] and not os.path.exists("/etc/coracle-must-not-be")
    below = layer / str(out).lstrip("/")
    assert (below / "f").read_text() == "inside" and (below / "g").read_text() == "inside too"
    assert (layer / "etc/coracle-must-not-be").exists()


def test_whiteouts_through_links_stay_inside(store):
    victim = store.scratch / "victim"
    victim.mkdir()
    (victim / "file").write_text("alive")
    store.put(make_tar(*BASE, link("esc", str(victim)), link("up", "../../../../../../..")))
    store.put(make_tar(item("esc/.wh.file", ""), item("up/.wh.zero", ""), item("esc/.wh..wh..opq", ""), item("lib/.wh.libc.so", "")))
    assert (victim / "file").read_text() == "alive"
    with Merged(store) as root:
        assert not (root / "zero").exists() and not (root / "usr/lib/libc.so").exists() and (root / "lib").is_symlink()


def test_hard_link_that_claims_content(store):
    """CVE-2016-5418: the size of a hard link is not believed, there is no content."""
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        t = tarfile.TarInfo("h")
        t.type, t.linkname, t.size = tarfile.LNKTYPE, "a", 4096
        layer = store.put(make_tar(item("a", "content"), t.tobuf(form), item("after", "x"), form=form), "plain")
        assert (layer / "a").read_text() == "content" and (layer / "h").stat().st_ino == (layer / "a").stat().st_ino
        assert (layer / "after").exists()


@pytest.fixture
def small(store):
    """A store whose unpacker takes 32 MiB and 500 entries a layer."""
    store.bundle = small_bundle()
    return store


def test_amplified_by_hard_links_to_a_lower_file(small):
    """Each becomes a copy: they count."""
    refused(small, make_tar(*(hard("l%d" % i, "big") for i in range(9))), "more than 32 MiB unpacked",
            below=(item("big", bytes(4 << 20)),))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bomb(small, kind):
    """Gigabytes of zeros in a few kilobytes: in a file, and behind the archive's end, where no disk is written."""
    zeros = bytes(16 << 20)
    one = gzip.compress(zeros, 9) if kind == "gzip" else zstd(zeros)
    refused(small, None, "more than 32 MiB uncompressed", kind=kind, blob=PACK[kind](make_tar(item("a", "a"))) + one * 64)
    second = Store(small.path.parent / "second")
    second.bundle = small.bundle
    refused(second, None, "MiB unpacked|MiB uncompressed|too large", kind=kind,
            blob=PACK[kind](raw_header("big", size=(8 << 30) - 1)) + one * 512)


def test_too_many_entries(small):
    refused(small, make_tar(*(item("%d" % i, "") for i in range(501))), "more than 500 entries")
    small.put(make_tar(*(item("%d" % i, "") for i in range(500))))


def test_full_disk_leaves_nothing(tmp_path):
    """An ext4 of 24 MiB: the layer does not fit; afterwards inodes and blocks are what they were."""
    image, at = tmp_path / "disk", tmp_path / "mnt"
    with open(image, "wb") as f:
        f.truncate(24 << 20)
    at.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, at], check=True)
    try:
        store = Store(at / "store")
        store.put(make_tar(*BASE))
        subprocess.run(["sync", "-f", at], check=True)

        def counters():
            subprocess.run(["sync", "-f", at], check=True)
            s = os.statvfs(at)
            return s.f_bfree, s.f_ffree, store.state()

        big = PACK["zstd"](make_tar(item("big", os.urandom(1 << 20) * 64)))
        store.scratch = tmp_path / "outside"
        store.scratch.mkdir()
        before = counters()
        for blob, tar, word in ((big, b"", "No space left"), (PACK["zstd"](make_tar(item("../x", "x"))), b"", "leaves the root"),
                                (PACK["zstd"](make_tar(item("y", "y" * 100000))), b"other", "uncompressed bytes are")):
            with pytest.raises(Refused, match=word):
                store.put(tar, "zstd", blob)
            assert counters() == before
    finally:
        subprocess.run(["umount", at], check=True)


def test_memory_of_the_unpacker(store):
    """The address space is capped; a layer with every kind of extreme passes under it."""
    store.put(make_tar(*(item("%05d" % i + "n" * 200, "x", pax={"SCHILY.xattr.user.a": "v" * 3000}) for i in range(500)), *BASE))
    store.put(make_tar(*(item(".wh.%05d" % i + "n" * 200, "") for i in range(500))))
    with Merged(store) as root:
        assert not [n for n in os.listdir(root) if n.endswith("nnn")]
