# SPDX-License-Identifier: MIT
"""The demo's image, made by umoci: three layers, the third of which removes a file of the first, for three platforms
under one index. And small images of any layers, for the tests."""
import hashlib, json, os, pathlib, shutil, tarfile, io
from keys import ROOT, run, sha256

# gcc, umoci's architecture, index platform
PLATFORMS = (
    ("x86_64-linux-gnu", "amd64", {"architecture": "amd64", "os": "linux"}),
    ("aarch64-linux-gnu", "arm64", {"architecture": "arm64", "os": "linux", "variant": "v8"}),
    ("arm-linux-gnueabihf", "arm", {"architecture": "arm", "os": "linux", "variant": "v7"}),
)
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def build_hello(to, gnu="x86_64-linux-gnu"):
    """The demo program, static, by Debian's (cross) compiler: a program like a customer's, not built by our toolchain."""
    run("nice", gnu + "-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-o", to, ROOT / "tests/demo/hello.c")


def put_blob(layout, data):
    """Bytes into an OCI layout; their digest and size as in a descriptor."""
    digest = sha256(data)
    path = pathlib.Path(layout) / "blobs/sha256" / digest[7:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": digest, "size": len(data)}


def get_blob(layout, digest):
    return (pathlib.Path(layout) / "blobs/sha256" / digest[7:]).read_bytes()


def write_layout(layout, tagged):
    """index.json of a layout with TAGGED = {tag: descriptor}."""
    layout = pathlib.Path(layout)
    layout.mkdir(parents=True, exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entries = [dict(d, annotations={"org.opencontainers.image.ref.name": tag}) for tag, d in tagged.items()]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def demo_layers(folder, gnu):
    """Three trees under FOLDER, one a layer, and what each is inserted as."""
    one, two, three = (folder / n for n in ("one", "two", "three"))
    for path, text, mode in (
            (one / "etc/passwd", "root:x:0:0::/:/usr/bin/hello\nhello:x:1000:1000::/:/usr/bin/hello\n", 0o644),
            (one / "etc/group", "root:x:0:\nhello:x:1000:\n", 0o644),
            (one / "usr/share/hello/greeting", "a greeting from layer 1\n", 0o644),
            (one / "usr/share/hello/removed", "layer 3 removes this file\n", 0o644),
            (three / "greeting", "a greeting from layer 3\n", 0o640)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    two.mkdir(parents=True)
    build_hello(two / "hello", gnu)
    (two / "hello").chmod(0o755)
    os.link(two / "hello", two / "hello-hard")
    (two / "hello-soft").symlink_to("hello")
    os.chown(three / "greeting", 1000, 1000)
    for path in sorted(folder.rglob("*"), reverse=True):        # times of whole seconds, the same in every build
        os.utime(path, (1700000000, 1700000000), follow_symlinks=False)
    return (one / "etc", "/etc"), (one / "usr", "/usr"), (two, "/usr/bin"), (three / "greeting", "/usr/share/hello/greeting")


def make_demo(layout, platforms=PLATFORMS):
    """An OCI layout whose tag `1` is the index of the demo image; one made before from the same sources is kept."""
    layout = pathlib.Path(layout)
    sources = hashlib.sha256(b"".join((ROOT / "tests/demo" / f).read_bytes() for f in ("hello.c", "images.py"))).hexdigest()
    stamp = layout / "made-from"
    if stamp.exists() and stamp.read_text() == sources + str(len(platforms)):
        return layout
    shutil.rmtree(layout, ignore_errors=True)
    work = layout.with_name(layout.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run("umoci", "init", "--layout", layout)
    entries = []
    when = ("--history.created", "2026-11-24T00:00:00Z")
    for gnu, arch, platform in platforms:
        image = "%s:%s" % (layout, arch)
        run("umoci", "new", "--image", image)
        run("umoci", "config", "--image", image, *when, "--architecture", arch, "--os", "linux", "--created", "2026-11-24T00:00:00Z",
            "--config.user", "hello", "--config.entrypoint", "/usr/bin/hello", "--config.workingdir", "/",
            "--config.env", "PATH=/usr/bin", "--config.env", "GREETING=from the image", "--config.label", "demo=yes")
        for source, target in demo_layers(work / arch, gnu):
            run("umoci", "insert", *when, "--image", image, source, target)
        run("umoci", "insert", *when, "--whiteout", "--image", image, "/usr/share/hello/removed")
        manifest = next(m for m in json.loads((layout / "index.json").read_text())["manifests"]
                        if m["annotations"]["org.opencontainers.image.ref.name"] == arch)
        entries.append({"mediaType": MANIFEST, "digest": manifest["digest"], "size": manifest["size"], "platform": platform})
    index = put_blob(layout, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, indent=1).encode())
    write_layout(layout, {"1": dict(index, mediaType=INDEX)})
    shutil.rmtree(work)
    stamp.write_text(sources + str(len(platforms)))
    return layout


def entry(name, data=b"", kind=tarfile.REGTYPE, mode=None, uid=0, gid=0, mtime=1700000000, link="", pax=None, dev=(0, 0)):
    """One tar entry for make_image; KIND is a type of tarfile (DIRTYPE, SYMTYPE, LNKTYPE, CHRTYPE, FIFOTYPE...)."""
    info = tarfile.TarInfo(name)
    info.type, info.uid, info.gid, info.mtime, info.linkname = kind, uid, gid, mtime, link
    info.mode = (0o755 if kind == tarfile.DIRTYPE else 0o644) if mode is None else mode
    info.size, info.pax_headers = len(data), pax or {}
    info.devmajor, info.devminor = dev
    return info, data


def tar_of(entries):
    """The bytes of a tar of entry()s."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def compress(data, how):
    """(bytes, media type suffix) for how = None, "gzip" or "zstd" (the zstd program)."""
    if how == "gzip":
        import gzip
        return gzip.compress(data, 6, mtime=0), "+gzip"
    if how == "zstd":
        import subprocess
        return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout, "+zstd"
    return data, ""


def make_image(layout, layers, tag="1", how="gzip", config=None, arch="amd64", twist=None):
    """One manifest in a new OCI layout. LAYERS: lists of entry()s, or tar bytes. CONFIG goes over the image's `config`.
    TWIST(config document, manifest document) may spoil both before they are written. Returns the manifest's digest."""
    tars = [layer if isinstance(layer, bytes) else tar_of(layer) for layer in layers]
    document = {"architecture": arch, "os": "linux", "config": dict({"Entrypoint": ["/usr/bin/hello"]}, **(config or {})),
                "rootfs": {"type": "layers", "diff_ids": [sha256(t) for t in tars]}, "history": []}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": []}
    for tar in tars:
        data, suffix = compress(tar, how)
        manifest["layers"].append(dict(put_blob(layout, data), mediaType="application/vnd.oci.image.layer.v1.tar" + suffix))
    if twist:
        twist(document, manifest)
    manifest["config"] = dict(put_blob(layout, json.dumps(document).encode()), mediaType="application/vnd.oci.image.config.v1+json")
    descriptor = put_blob(layout, json.dumps(manifest).encode())
    write_layout(layout, {tag: dict(descriptor, mediaType=MANIFEST)})
    return descriptor["digest"]
