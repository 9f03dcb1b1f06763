# SPDX-License-Identifier: MIT
"""Images of many makers, unpacked by us and by umoci: equal trees, entry by entry. IMAGES is the table; each row makes the layers of one
image out of what the tool in its name writes. Differences that are documented (docs/store.md) are named in the row."""
import json
import os
import pathlib
import socket
import stat
import subprocess
import tarfile

import pytest

import debian
import images
import treediff
from layerkit import EPOCH, Merged, Store, folder, gzip, hard, item, link, make_tar, umoci, unpacked, zstd

ROWS = {}


def image(*ignore, present=(), name=None):
    """One row. IGNORE: fields not compared. PRESENT: paths that umoci stamps with the present, as no layer describes them."""
    def add(function):
        ROWS[(name or function.__name__).replace("_", " ")] = (function, ignore, present)
        return function
    return add


def run(*argv, **more):
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, **more).stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree with something of everything, and one beside it that is it a version later."""
    top = tmp_path_factory.mktemp("tree")
    for root in (top / "one", top / "two"):
        for d in ("etc/deep/er", "usr/bin", "usr/lib", "var/empty", "n" * 90 + "/" + "m" * 90):
            (root / d).mkdir(parents=True)
        (root / "bin").symlink_to("usr/bin")
        (root / "usr/bin/tool").write_bytes(b"\x7fELF" + bytes(range(256)) * 300)
        os.link(root / "usr/bin/tool", root / "usr/bin/tool-too")
        (root / "usr/lib/empty").touch()
        (root / "usr/lib/absolute").symlink_to("/etc/deep")
        (root / "etc/deep/er/file").write_text("deep\n")
        (root / ("n" * 90) / ("m" * 90) / ("l" * 70)).write_text("long\n")
        os.mkfifo(root / "etc/fifo")
        os.chown(root / "etc/deep", 1000, 2000)
        os.chmod(root / "usr/bin/tool", 0o4755)
        os.chmod(root / "var/empty", 0o1777)
        with open(root / "usr/lib/holes", "wb") as f:
            for at in (0, 200000, 1 << 20):
                f.seek(at)
                f.write(b"x" * 4096)
            f.truncate(3 << 20)
        os.setxattr(root / "etc/deep/er/file", "user.note", b"n\0te")
    (top / "two/etc/added").write_text("new\n")
    for path in sorted(top.rglob("*"), reverse=True):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    return top


def gnu_tar(tree, *options):
    return run("tar", "-C", tree / "one", "--numeric-owner", "-c", *options, ".")


for form in ("gnu", "oldgnu", "pax", "ustar", "v7"):
    @image(name="GNU tar, " + form)
    def gnu_form(tree, form=form):
        skip = {"v7": ["--exclude=n*n", "--exclude=fifo"], "ustar": ["--exclude=l*l"]}.get(form, [])
        yield gnu_tar(tree, "--format=" + form, *skip)

for version in ("0.0", "0.1", "1.0"):
    @image(name="GNU tar, sparse " + version)
    def gnu_sparse(tree, version=version):
        yield gnu_tar(tree, "--format=pax", "--sparse", "--sparse-version=" + version)


@image(name="GNU tar, sparse of the old form")
def gnu_old_sparse(tree):
    """Not umoci's to judge: it has no old sparse files."""
    yield gnu_tar(tree, "--format=gnu", "--sparse")


@image(name="GNU tar, sparse with more parts than a header holds", present=("usr/lib",))
def gnu_sparse_many(tree):
    path = tree / "one/usr/lib/many-holes"
    with open(path, "wb") as f:
        for at in range(120):
            f.seek(at * 40960)
            f.write(b"%4096d" % at)
    os.utime(path, (EPOCH, EPOCH))
    os.utime(path.parent, (EPOCH, EPOCH))
    yield gnu_tar(tree, "--format=gnu", "--sparse")
    yield run("tar", "-C", tree / "one", "-c", "--format=pax", "--sparse", "usr/lib/many-holes")
    yield run("tar", "-C", tree / "one", "-c", "--format=pax", "--sparse", "--sparse-version=0.1", "usr/lib/many-holes")
    path.unlink()
    os.utime(path.parent, (EPOCH, EPOCH))


@image(name="GNU tar, xattrs and multi-member gzip")
def gnu_xattrs(tree):
    tar = gnu_tar(tree, "--format=pax", "--xattrs", "--pax-option=delete=atime,delete=ctime")
    yield tar, "gzip", b"".join(gzip.compress(tar[at:at + 50000]) for at in range(0, len(tar), 50000))


for form in ("pax", "ustar", "gnutar", "pax restricted"):
    @image(name="bsdtar, " + form)
    def bsd(tree, form=form):
        flags = [] if form == "ustar" else ["--xattrs"]
        form = {"pax restricted": "paxr"}.get(form, form)
        yield run("bsdtar", "-C", tree / "one", "--numeric-owner", "--no-acls", "--no-fflags", *flags, "--format", form, "-cf", "-", ".")


@image(name="busybox tar")
def busybox(tree):
    yield run("busybox", "tar", "-C", tree / "one", "-cf", "-", ".")


@image(name="busybox as rootfs")
def busybox_root(tree):
    program = pathlib.Path("/bin/busybox").read_bytes()
    names = run("busybox", "--list").decode().split()
    yield make_tar(folder("./"), folder("./bin"), item("./bin/busybox", program, mode=0o755),
                   *(hard("./bin/" + n, "./bin/busybox") if n < "m" else link("./bin/" + n, "busybox") for n in names if n != "busybox"))


@image(name="python tarfile, three layers")
def python(tree):
    yield make_tar(folder("./"), folder("a", mtime=1), item("a/f", "f"), folder("b"), item("b/g", "g"), link("c", "a"), form=tarfile.GNU_FORMAT)
    yield make_tar(item("a/.wh.f", ""), item("c/new", "through the link"), form=tarfile.USTAR_FORMAT)
    yield make_tar(item("b/.wh..wh..opq", ""), item("b/h", "h"), hard("b/i", "b/h"))


@image(name="Debian package")
def package(tree):
    deb = subprocess.run([images.ROOT / "boards/common/deb", "bookworm", run("dpkg", "--print-architecture").decode().strip(), "docker-registry"],
                         stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    yield run("dpkg-deb", "--fsys-tarfile", deb)


def layers_of(layout, tag="1"):
    """(bytes, kind, blob) of the image with that tag in an OCI layout; of this machine's platform where it is an index."""
    layout = pathlib.Path(layout)
    one = next(m for m in json.loads((layout / "index.json").read_text())["manifests"]
               if m.get("annotations", {}).get("org.opencontainers.image.ref.name", tag) == tag)
    document = json.loads(images.get_blob(layout, one["digest"]))
    if "manifests" in document:
        document = json.loads(images.get_blob(layout, document["manifests"][0]["digest"]))
    for layer in document["layers"]:
        blob = images.get_blob(layout, layer["digest"])
        kind = "gzip" if blob[:2] == b"\x1f\x8b" else "zstd" if blob[:4] == b"\x28\xb5\x2f\xfd" else "plain"
        tar = gzip.decompress(blob) if kind == "gzip" else run("zstd", "-qdc", input=blob) if kind == "zstd" else blob
        yield tar, kind, blob


@image(name="umoci, the demo", present=(".", "usr", "usr/share", "usr/share/hello"))
def umoci_demo(tree, demo_image):
    yield from layers_of(demo_image)


@image(name="umoci repack")
def umoci_repack(tree, tmp_path):
    layout, bundle = tmp_path / "made", tmp_path / "bundle"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", "%s:1" % layout)
    run("umoci", "unpack", "--image", "%s:1" % layout, bundle)
    for version in ("one", "two"):
        run("cp", "-a", str(tree / version) + "/.", bundle / "rootfs")
        run("umoci", "repack", "--refresh-bundle", "--image", "%s:1" % layout, bundle)
    run("rm", "-rf", bundle / "rootfs/etc", bundle / "rootfs/usr/bin/tool-too")
    (bundle / "rootfs/etc").mkdir()
    (bundle / "rootfs/etc/own").write_text("etc anew")
    run("umoci", "repack", "--refresh-bundle", "--image", "%s:1" % layout, bundle)
    yield from layers_of(layout)


@image(name="skopeo, docker archive")
def docker_archive(tree, demo_image, tmp_path):
    run("skopeo", "copy", "-q", "--insecure-policy", "--override-arch", "amd64", "oci:%s:1" % demo_image, "docker-archive:%s:a/b:1" % (tmp_path / "a.tar"))
    with tarfile.open(tmp_path / "a.tar") as a:
        for name in json.load(a.extractfile("manifest.json"))[0]["Layers"]:
            yield a.extractfile(name).read(), "plain"


for kind in ("oci", "docker"):
    @image(name="buildah, " + kind)
    def buildah(tree, tmp_path, kind=kind):
        how = ["buildah", "--root", tmp_path / "storage", "--runroot", tmp_path / "run", "--storage-driver", "vfs"]
        name = run(*how, "from", "scratch").decode().strip()
        for version in ("one", "two"):
            run(*how, "copy", "--quiet", name, tree / version, "/")
            run(*how, "commit", "--quiet", "--format", kind, name, "oci:%s:1" % (tmp_path / "made"))
        yield from layers_of(tmp_path / "made")
        run(*how, "rm", name)


@image(name="debootstrap")
def debootstrap(tree):
    yield debian.rootfs("debootstrap-minbase").read_bytes()


@image(name="mmdebstrap, and packages removed in a second layer")
def mmdebstrap(tree):
    yield debian.rootfs("essential").read_bytes(), "zstd"
    yield make_tar(item("usr/share/doc/.wh..wh..opq", ""), item("usr/share/.wh.man", ""), item("bin/.wh.bash", ""), item("lib/added", "through lib"),
                   item("dev/.wh.null", ""))


@image(name="socket is left out")
def sockets(tree, tmp_path):
    (tmp_path / "s").mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "s/sock"))
        (tmp_path / "s/file").write_text("f")
        os.utime(tmp_path / "s", (EPOCH, EPOCH))
        yield subprocess.run(["tar", "-C", tmp_path / "s", "-c", "."], stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


# --- corners

@image()
def devices_that_every_container_has(tree):
    dev = [("null", 1, 3, 0o666), ("zero", 1, 5, 0o666), ("full", 1, 7, 0o666), ("random", 1, 8, 0o666), ("urandom", 1, 9, 0o644),
           ("tty", 5, 0, 0o666), ("console", 5, 1, 0o600), ("ptmx", 5, 2, 0o666)]
    nodes = [item("dev/" + n, type=tarfile.CHRTYPE, devmajor=a, devminor=b, mode=m, uid=1, gid=5, mtime=EPOCH + a) for n, a, b, m in dev]
    yield make_tar(folder("./"), folder("dev", mtime=7), *nodes)
    yield make_tar(item("dev/.wh.null", ""), item("dev/zero", "now a file"), folder("dev/full"), link("dev/random", "urandom"))
    yield make_tar(folder("new"), *(item("new/" + n, type=tarfile.CHRTYPE, devmajor=a, devminor=b) for n, a, b, m in dev),
                   item("new/null", ""), folder("new/zero"), hard("new/full", "dev/zero"), item("new/tty", "t"),
                   item("new/tty", type=tarfile.CHRTYPE, devmajor=5, devminor=0))


ROWS["devices that every container has"] = (devices_that_every_container_has, ("same",), ())


@image()
def legal_names_at_their_limits(tree):
    raw = b"caf\xe9-\xff\xfe".decode("utf-8", "surrogateescape")
    yield make_tar(folder("./"), item("x" * 255, "1"), item(raw, "2"), item(raw * 20, "3"), item("new\nline", "4"), item("\x01\x7f", "5"), item("back\\slash", "6"),
                   link("to", "z" * 4000), form=tarfile.GNU_FORMAT)
    yield make_tar(*(folder("/".join(["d" * 100] * n)) for n in range(1, 40)), item("/".join(["d" * 100] * 39) + "/leaf", "leaf"))


@image()
def a_hundred_thousand_entries_in_a_directory(tree):
    yield make_tar(folder("./"), folder("d"), *(item("d/%06d" % i, "") for i in range(100000)))


@image()
def layers_127(tree):
    yield make_tar(folder("./"), item("all", "0"), folder("d"))
    for i in range(1, 127):
        yield make_tar(item("f%d" % i, str(i)), item("d/last", str(i)), item(".wh.f%d" % (i - 2), "")), "plain"


ROWS["layers 127"] = (layers_127, (), ("d", "."))


@image(present=("var",))
def whiteouts_before_and_behind(tree):
    yield make_tar(folder("./"), folder("var"), folder("var/a"), item("var/a/1", "1"), item("var/a/2", "2"), item("var/b", "b"), item("var/c", "c"))
    yield make_tar(folder("./"), item("var/b", "mine"), item("var/.wh.b", ""), item("var/.wh.c", ""), item("var/c", "mine too"),
                   folder("var/a"), item("var/a/3", "3"), item("var/a/.wh..wh..opq", ""))


@image()
def opaque_of_what_is_new_and_of_what_is_not_there(tree):
    yield make_tar(folder("./"), folder("a"), item("a/x", "x"))
    yield make_tar(folder("b"), item("b/.wh..wh..opq", ""), item("b/y", "y"), folder("a"), item("a/.wh..wh..opq", ""))
    yield make_tar(folder("a"), item("a/z", "z"))


@image()
def entries_over_other_kinds(tree):
    yield make_tar(folder("./"), item("file", "f"), folder("dir"), item("dir/in", "i"), link("link", "dir"), item("fifo", type=tarfile.FIFOTYPE))
    yield make_tar(folder("file"), item("file/in", "i"), item("dir", "now a file"), folder("link"), item("link/in", "i"), link("fifo", "file"))
    yield make_tar(link("file", "dir"), folder("dir"), item("link", "file at last"), item("fifo", "plain"))


@image()
def symlinked_parents_inside_the_root(tree):
    yield make_tar(folder("./"), folder("usr"), folder("usr/lib"), folder("usr/lib64"), link("lib", "usr/lib"), link("lib64", "/usr/lib64"),
                   link("up", "usr/lib/../../usr"), link("chain", "up"))
    yield make_tar(item("lib/a", "a"), item("lib64/b", "b"), item("chain/lib/c", "c"), folder("up/new"), item("chain/new/d", "d"), hard("lib/e", "lib/a"))


@image("same")
def hard_links_to_lower_layers(tree):
    yield make_tar(folder("./"), item("a", "a", mode=0o4711, uid=5, gid=6, pax={"SCHILY.xattr.user.k": "v"}), hard("b", "a"), link("l", "a"))
    yield make_tar(hard("c", "a"), hard("d", "c"), hard("m", "l"), item("a", "another"))


@image()
def attributes(tree):
    cap = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode()
    yield make_tar(folder("./", mode=0o711, uid=1, gid=2, mtime=3), item("suid", "s", mode=0o6755, uid=1000, gid=2000),
                   item("cap", "c", uid=9, pax={"SCHILY.xattr.security.capability": cap}), item("early", "e", pax={"mtime": "-5"}),
                   item("nanoseconds", "n", pax={"mtime": "1600000000.123456789"}), item("late", "l", mtime=4000000000), item("ids", "i", uid=4294967294, gid=3000000),
                   folder("d", mode=0o2775, pax={"SCHILY.xattr.user.a": "1"}), item("d/x", "x"),
                   item("other", "o", pax={"LIBARCHIVE.xattr.user.b64": "dmFsdWU=", "RHT.security.selinux": "system_u:object_r:etc_t:s0"}))


ROWS["attributes"] = (attributes, ("xattrs of other",), ())


@image()
def empty_layers(tree):
    yield bytes(1024)
    yield make_tar(folder("./", mtime=5), item("a", "a"))
    yield bytes(10240)
    yield make_tar(folder("./", mtime=6))


@image()
def zstd_chunked_as_plain_zstd(tree):
    """Frames a file, skippable ones with the table of contents behind: nothing of it is believed."""
    tar = make_tar(folder("./"), *(item("f%d" % i, os.urandom(2000)) for i in range(20)))
    skip = b"\x50\x2a\x4d\x18" + (64).to_bytes(4, "little") + bytes(64)
    yield tar, "zstd", b"".join(zstd(tar[at:at + 5000]) for at in range(0, len(tar), 5000)) + skip + skip


@image()
def members_that_end_inside_a_header(tree):
    tar = make_tar(folder("./"), *(item("n%03d" % i, b"%d" % i * 700) for i in range(50)))
    yield tar, "gzip", b"".join(gzip.compress(tar[at:at + 777]) for at in range(0, len(tar), 777))


def by_gnu_tar(store):
    """GNU tar's idea of the same layers, which have no whiteouts."""
    to = store.scratch / "tar"
    to.mkdir()
    for kind, blob in store.blobs:
        run("tar", "-C", to, "-xp", "--numeric-owner", "--xattrs", "--delay-directory-restore", input=unpacked(kind, blob))
    return to


def test_there_are_enough():
    assert len(ROWS) >= 38


@pytest.mark.parametrize("name", ROWS)
def test_unpacked_as_umoci_unpacks(name, tmp_path, tree, request):
    function, ignore, present = ROWS[name]
    wants = function.__code__.co_varnames[1:function.__code__.co_argcount]
    store = Store(tmp_path / "store")
    for layer in function(tree, **{w: request.getfixturevalue(w) for w in wants if w in ("demo_image", "tmp_path")}):
        store.put(*([layer] if isinstance(layer, bytes) else layer))
    with Merged(store) as root:
        other = by_gnu_tar(store) if "old form" in name or "more parts" in name else umoci(store.layout(), store.scratch / "umoci")
        lines = treediff.diff(root, other, [f for f in ignore if " of " not in f])
        holes = [p for p in (root / "usr/lib").glob("*holes") if stat.S_ISREG(p.lstat().st_mode)] if "sparse" in name else []
        assert all(p.stat().st_blocks * 512 < p.stat().st_size // 2 for p in holes) and bool(holes) == ("sparse" in name)
    lines = [line for line in lines if not any(line.startswith(p + ": mtime is") for p in present)]
    lines = [line for line in lines if not any(line.startswith("%s: %s is" % tuple(f.split(" of ")[::-1])) for f in ignore if " of " in f)]
    assert not lines, "\n".join(lines[:40])
    done = subprocess.run([store.bundle, "verify", "--store", store.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
