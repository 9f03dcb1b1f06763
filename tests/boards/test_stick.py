# SPDX-License-Identifier: MIT
"""A stick that is plugged into a running board: what is on it is offered at the prompt, is taken by `coracle update` alone, and what is wrong with it is told."""
import json, os, re, socket, subprocess, time
import pytest
import board as board_kit
import images
import keys

GNU = {"qemu-x86_64": ("x86_64-linux-gnu", "amd64"), "qemu-aarch64": ("aarch64-linux-gnu", "arm64"),
       "qemu-armv7": ("arm-linux-gnueabihf", "arm")}


def run(*words, **more):
    subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL, **more)


def fat(path, files, mib=24):
    """A disk with one partition of vfat that holds FILES."""
    part = path.with_suffix(".part")
    run("truncate", "-s", "%dM" % (mib - 1), part)
    run("mkfs.vfat", part, stderr=subprocess.DEVNULL)
    for file in files:
        run("mcopy", "-i", part, file, "::" + file.name)
    run("truncate", "-s", "%dM" % mib, path)
    run("sfdisk", "-q", path, input=b"2048,,c\n")
    run("dd", "if=%s" % part, "of=%s" % path, "bs=1M", "seek=1", "conv=notrunc", stderr=subprocess.DEVNULL)
    return path


def sign(layout, digest, key, identity, claims):
    """Cosign's .sig beside the image, by openssl."""
    payload = json.loads(keys.payload(identity, digest))
    payload["optional"] = claims
    payload = json.dumps(payload).encode()
    layer = dict(images.put_blob(layout, payload), mediaType="application/vnd.dev.cosign.simplesigning.v1+json",
                 annotations={"dev.cosignproject.cosign/signature": key.signature_by_hand(payload)})
    config = dict(images.put_blob(layout, b"{}"), mediaType="application/vnd.oci.image.config.v1+json")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config, "layers": [layer]}).encode()
    index = json.loads((layout / "index.json").read_text())
    tagged = {m["annotations"]["org.opencontainers.image.ref.name"]: m for m in index["manifests"]}
    images.write_layout(layout, dict(tagged, **{digest.replace(":", "-") + ".sig": dict(images.put_blob(layout, manifest), mediaType=images.MANIFEST)}))


def bad_ext4(path):
    """A whole disk of ext4 that asks for a panic at its first error, with one in its root directory."""
    run("truncate", "-s", "16M", path)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum", path)
    run("tune2fs", "-e", "panic", path)
    run("debugfs", "-w", "-R", "clri <2>", path, stderr=subprocess.DEVNULL)
    return path


class Monitor:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(str(path))
        self.s.settimeout(10)
        self.answer()

    def answer(self):
        out = b""
        while not out.endswith(b"(qemu) "):
            out += self.s.recv(4096)
        return out.decode(errors="replace")

    def say(self, line):
        self.s.sendall(line.encode() + b"\n")
        return self.answer()

    def plug(self, name, file):
        self.say("drive_add 0 if=none,id=%s,file=%s,format=raw,readonly=on" % (name, file))
        said = self.say("device_add scsi-hd,bus=scsi.0,id=dev%s,drive=%s" % (name, name))
        assert "rror" not in said, said

    def unplug(self, name):
        return self.say("device_del dev" + name) + self.say("info block")


@pytest.fixture
def archive(registry, etc, tmp_path, board_name):
    """archive(FILE, key="cosign", version=7): a signed image as an oci-archive; the path and the digest."""
    gnu, arch = GNU[board_name]
    images.build_hello(tmp_path / "hello", gnu)

    def make(name, key="cosign", repo="demo/hello", version="7"):
        layout = tmp_path / (name + ".oci")
        digest = images.make_image(layout, [[images.entry("usr/bin/hello", (tmp_path / "hello").read_bytes(), mode=0o755),
                                    images.entry("etc/name", name.encode())]], arch=arch)
        sign(layout, digest, registry.key(key), "registry.demo:%d/%s" % (registry.port, repo), {"coracle.version": version})
        run("tar", "-cf", tmp_path / name, "-C", layout, ".")
        return tmp_path / name, digest
    return make


def test_what_is_on_a_stick_is_offered_and_a_hostile_one_told(boot, unit_text, archive, tmp_path):
    good, digest = archive("app-7.tar")
    stranger, _ = archive("stranger.tar", key="stranger")
    broken = tmp_path / "broken.tar"
    broken.write_bytes(os.urandom(4096))
    fat(tmp_path / "stick.img", [good, stranger, broken])
    bad_ext4(tmp_path / "bad.img")
    monitor = tmp_path / "monitor"
    board = boot(units={"hello.container": unit_text() + "\n[X-Coracle]\nConfirmSec=3s\n"}, modules=("vfat", "nls_cp437", "nls_ascii", "virtio_scsi", "sd_mod"),
                 more=("-monitor", "unix:%s,server,nowait" % monitor, "-device", "virtio-scsi-pci,id=scsi"))
    one = board.wait_unit("hello", "running")["digest"]
    m = Monitor(monitor)
    m.plug("good", tmp_path / "stick.img")
    offer = r"stick +(sd\w+): app-7\.tar, version 7, (sha256:\w+), signed by /etc/coracle/keys/cosign\.pub: coracle update hello (oci-archive:/media/\w+/app-7\.tar)"
    board.console.expect(offer, timeout=180)     # by itself, at the prompt
    found = board.console.match
    board.settle()
    assert digest.startswith(found[2])
    status = board.say("status")
    assert re.search(offer, status), status
    assert re.search(r"stick +%s: stranger\.tar: for none of this board's units" % found[1], status), status
    assert re.search(r"stick +%s: broken\.tar: for none of this board's units" % found[1], status), status
    assert board.unit("hello")["digest"] == one, "nothing is taken by itself"
    assert "committed" in board.say("update hello " + found[3], timeout=180)
    assert board.wait_unit("hello", "running", and_also=lambda u: u["digest"] == digest)
    said = m.unplug("good")
    end = time.monotonic() + 60
    while "app-7" in board.say("status") and time.monotonic() < end:
        time.sleep(1)
    assert "app-7" not in board.say("status"), "what is unplugged is no longer offered:\n%s\n%s" % (said, board.say("log --kernel -n 2000")[-3000:])
    m.plug("bad", tmp_path / "bad.img")
    board.wait_says("log -n 400", r"stick sd\w+: (neither a sound vfat nor ext4|mounted at)", timeout=120)
    assert board.unit("hello")["state"] == "running"
