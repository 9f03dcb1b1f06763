# SPDX-License-Identifier: MIT
"""Layers, OCI layouts and stores for tests: makes tar layers, hostile ones too, puts them into a store through the real launcher and
jail (tests/tools/stage.c), looks at the merged root, and asks umoci what it would have made of the same layers."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("O", ROOT / "build")).resolve() / os.uname().machine
BUNDLE = pathlib.Path(os.environ.get("CORACLE_BUNDLE", BUILD / "coracle-bundle"))
LIBS = ["-larchive", "-lzstd", "-lisal" if BUILD.name == "x86_64" else "-lz", "-lyyjson", "-lcap", "-lmbedcrypto"]     # as the Makefile's
EPOCH = 1700000000


def link_program(name, sources, config=BUILD, fetches=False):
    """SOURCES and the archives that coracle-bundle (FETCHES: coracle-fetch) is made of -> build/.../tests/NAME, where something is newer."""
    out = BUILD / "tests" / name
    archives = [*([BUILD / "fetch/libfetch.a"] if fetches else []), BUILD / "bundle/libbundle.a", BUILD / "init/libinit.a", BUILD / "lib/liblib.a"]
    if not out.exists() or any(p.stat().st_mtime > out.stat().st_mtime for p in [*sources, *archives]):
        out.parent.mkdir(parents=True, exist_ok=True)
        own = out.with_suffix(".%d" % os.getpid())
        subprocess.run([BUILD / "deps/bin/musl-gcc", "-static-pie", "-std=c11", "-Os", "-g", "-fPIE", "-D_GNU_SOURCE",
                        "-DMBEDTLS_CONFIG_FILE=\"coracle_mbedtls_config.h\"", "-I%s" % config, "-I%s" % BUILD,
                        *("-I%s" % (ROOT / d) for d in ("lib", "init", "bundle", "fetch")), "-I%s" % (BUILD / "deps/include"),
                        "-L%s" % (BUILD / "deps/lib"), "-o", own, *sources, "-Wl,--start-group", *archives, *LIBS,
                        *(["-lcurl"] if fetches else []), "-Wl,--end-group"], check=True)
        os.replace(own, out)
    return out


def stage_tool():
    """The test program around bundle/store.h."""
    return link_program("stage", [ROOT / "tests/tools/stage.c"])


def small_bundle():
    """coracle-bundle with lower limits of its unpacker, as Kconfig gives them: 32 MiB a layer, 500 entries."""
    config = BUILD / "tests/small"
    config.mkdir(parents=True, exist_ok=True)
    text = (BUILD / "config.h").read_text()
    for name, value in (("UNPACKED_MAX_MIB", 32), ("ENTRIES_MAX", 500)):
        text, n = re.subn(r"(#define CONFIG_%s) \d+" % name, r"\1 %d" % value, text)
        assert n == 1
    if not (config / "config.h").exists() or (config / "config.h").read_text() != text:
        (config / "config.h").write_text(text)
    return link_program("small-bundle", [ROOT / "bundle/bundle_main.c", *sorted((ROOT / "bundle").glob("unpack*.c")),
                                         ROOT / "bundle/tar_guard.c", ROOT / "bundle/tar_sparse.c"], config)


def quota_stage(mib):
    """The test program with a quota of so many MiB on the store, as Kconfig gives it."""
    config = BUILD / "tests/quota"
    config.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"(#define CONFIG_STORE_QUOTA_MIB) \d+", r"\1 %d" % mib, (BUILD / "config.h").read_text())
    if not (config / "config.h").exists() or (config / "config.h").read_text() != text:
        (config / "config.h").write_text(text)
    return link_program("quota-stage", [ROOT / "tests/tools/stage.c", ROOT / "bundle/store_layer.c"], config)


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def item(name, content=None, **fields):
    """One tar entry: a file with CONTENT, or what type= says. pax= gives pax records."""
    t = tarfile.TarInfo(name)
    t.mtime = fields.pop("mtime", EPOCH)
    t.mode = fields.pop("mode", 0o755 if fields.get("type") == tarfile.DIRTYPE else 0o644)
    t.pax_headers = fields.pop("pax", {})
    if isinstance(content, str):
        content = content.encode()
    if content is not None:
        t.size = len(content)
    for key, value in fields.items():
        setattr(t, key, value)
    return t, content


def folder(name, **fields):
    return item(name, type=tarfile.DIRTYPE, **fields)


def link(name, target, **fields):
    return item(name, type=tarfile.SYMTYPE, linkname=target, mode=fields.pop("mode", 0o777), **fields)


def hard(name, target, **fields):
    return item(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def make_tar(*entries, form=tarfile.PAX_FORMAT):
    """Entries are item()s or raw bytes to put between them."""
    out = io.BytesIO()
    for e in entries:
        if isinstance(e, bytes):
            out.write(e)
            continue
        t, content = e
        out.write(t.tobuf(form, "utf-8", "surrogateescape"))
        if content is not None:
            out.write(content + bytes(-len(content) % 512))
    out.write(bytes(1024))
    return out.getvalue()


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


PACK = {"plain": lambda d: d, "gzip": lambda d: gzip.compress(d, 1, mtime=0), "zstd": zstd}
MEDIA = {"plain": "application/vnd.oci.image.layer.v1.tar", "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
         "zstd": "application/vnd.oci.image.layer.v1.tar+zstd"}


class Refused(Exception):
    def __init__(self, line):
        code, _, self.text = line.partition(" ")
        self.code = int(code)
        super().__init__(line)


class Store:
    """A store in a scratch directory; puts layers one on the other."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.scratch = self.path.parent / (self.path.name + ".scratch")
        self.scratch.mkdir(exist_ok=True)
        self.chains, self.diffs, self.blobs = [], [], []
        self.bundle, self.tool = BUNDLE, stage_tool

    def run(self, *argv):
        done = subprocess.run([self.tool(), *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        if done.returncode == 1:
            raise Refused(done.stdout.decode().strip())
        assert done.returncode == 0, (argv, done)

    def put(self, tar, kind="gzip", blob=None, diff_id=None):
        """Unpacks layer TAR (or BLOB, as stored) over the ones before. Raises Refused with the launcher's code and text."""
        diff = diff_id or sha(tar)
        chain = sha((self.chains[-1] + " " + diff).encode()) if self.chains else diff
        blob = PACK[kind](tar) if blob is None else blob
        path = self.scratch / "blob"
        path.write_bytes(blob)
        self.run("layer", self.path, self.bundle, len(self.chains), kind, path, diff, chain, *self.chains)
        self.chains.append(chain)
        self.diffs.append(diff)
        self.blobs.append((kind, blob))
        return self.layer(chain)

    def layer(self, chain):
        """The directory of a published layer."""
        name = (self.path / "layers/index" / chain[7:]).read_text().split()[0]
        return self.path / "layers" / name

    def image(self, ref="registry.test/app:1"):
        """Publishes manifest and config of the layers put so far; returns the manifest's digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/c"]},
                             "rootfs": {"type": "layers", "diff_ids": self.diffs}}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(config), "size": len(config)},
            "layers": [{"mediaType": MEDIA[k], "digest": sha(b), "size": len(b)} for k, b in self.blobs]}).encode()
        for name, data in (("manifest", manifest), ("config", config), ("admitted", b"ref=%s\nkey=test.pub\n" % ref.encode())):
            (self.scratch / name).write_bytes(data)
        self.run("image", self.path, *(self.scratch / n for n in ("manifest", "config", "admitted")))
        return sha(manifest)

    def layout(self, tag="t"):
        """The same layers as an OCI layout with gzip layers, for umoci."""
        root = self.scratch / "layout"
        shutil.rmtree(root, ignore_errors=True)
        (root / "blobs/sha256").mkdir(parents=True)

        def blob(data, media):
            (root / "blobs/sha256" / sha(data)[7:]).write_bytes(data)
            return {"mediaType": media, "digest": sha(data), "size": len(data)}

        layers = [blob(b if k == "gzip" else PACK["gzip"](unpacked(k, b)), MEDIA["gzip"]) for k, b in self.blobs]
        config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                                  "rootfs": {"type": "layers", "diff_ids": self.diffs}}).encode(),
                      "application/vnd.oci.image.config.v1+json")
        manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode(),
                        "application/vnd.oci.image.manifest.v1+json")
        manifest["annotations"] = {"org.opencontainers.image.ref.name": tag}
        (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return "%s:%s" % (root, tag)

    def state(self):
        """What must not change when a layer is refused: every name and size below the store, and the file system's counters."""
        names = sorted((os.path.relpath(os.path.join(d, n), self.path), os.lstat(os.path.join(d, n)).st_ino)
                       for d, dirs, files in os.walk(self.path) for n in dirs + files)
        return names


class Merged:
    """The layers of a store as one read-only root, the way a container gets them."""

    def __init__(self, store, chains=None):
        self.at = store.scratch / "merged"
        self.at.mkdir(exist_ok=True)
        layers = [str(store.layer(c)) for c in reversed(chains or store.chains)]
        if len(layers) == 1:
            subprocess.run(["mount", "--bind", layers[0], self.at], check=True)
        else:
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir=" + ":".join(os.path.basename(l) for l in layers),
                            self.at], check=True, cwd=store.path / "layers")

    def __enter__(self):
        return self.at

    def __exit__(self, *_):
        subprocess.run(["umount", self.at], check=True)


def unpacked(kind, blob):
    if kind == "zstd":
        return subprocess.run(["zstd", "-q", "-dc"], input=blob, stdout=subprocess.PIPE, check=True).stdout
    return gzip.decompress(blob) if kind == "gzip" else blob


def umoci(layout, to):
    """umoci's idea of the root file system."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["umoci", "raw", "unpack", "--image", layout, to], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return pathlib.Path(to)
