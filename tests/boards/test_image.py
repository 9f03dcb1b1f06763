# SPDX-License-Identifier: MIT
"""Images to flash: what is in them, and that the board's firmware boots each from the disk alone, to a running unit."""
import json, os, re, subprocess, tarfile
import pytest
import board as board_kit
import image
import keys

PATH = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
IMAGES = sorted(p.parent.name for p in image.pack.BOARDS.glob("*/board") if "LAYOUT" in image.pack.settings(p.parent.name))
MIB = 1 << 20


def partitions(disk):
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], stdout=subprocess.PIPE, check=True, env=PATH).stdout)["partitiontable"]
    assert table["label"] == "gpt" and table.get("sectorsize", 512) == 512
    return {p["name"]: p for p in table["partitions"]}


def listing(disk, part):
    return board_kit.fat_files(disk, part["start"])


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_boots_from_the_disk_alone(name, etc, tmp_path):
    """No kernel, no initramfs from outside: firmware, boot loader or stub, slot a, data partition, the signed unit."""
    about = image.pack.settings(name)
    disk = image.make(name, etc, [("registry.demo", "10.0.2.2")], tmp_path)
    parts = partitions(disk)
    assert list(parts) == ["coracle-a", "coracle-b", "coracle-provision", "coracle-data"]
    assert all(p["start"] % 2048 == 0 for p in parts.values())
    files = listing(disk, parts["coracle-a"])
    assert files == ({"EFI/BOOT/BOOT%s.EFI" % about["EFI"].upper()} if about["LAYOUT"] == "gpt-uefi" else
                     {"extlinux/extlinux.conf", "vmlinuz", "initramfs"})
    assert listing(disk, parts["coracle-b"]) == {"EMPTY.TXT"} and listing(disk, parts["coracle-provision"]) == {"README.TXT"}
    subprocess.run(["e2fsck", "-fn", "%s?offset=%d" % (disk, parts["coracle-data"]["start"] * 512)], check=True,
                   stdout=subprocess.DEVNULL, env=PATH)
    board_kit.put_files(disk, parts["coracle-provision"]["start"], {"board.conf": "hostname=pump-3\n"})
    os.truncate(disk, disk.stat().st_size + 200 * MIB)           # as on a card that is larger than the image
    with board_kit.Board(tmp_path, etc, disk, name, is_image=True) as board:
        hello = board.wait_unit("hello", "running", timeout=240)
        assert hello["signer"] and board.status()["slot"] == "a"
        assert "slot a" in board.say("status")
        assert board.status()["hostname"] == "pump-3" and re.match("(uuid|serial|mac)-[0-9a-f-]+$", board.status()["device"])
        assert board.status()["data"]["free"] > 200 * MIB and "data: /data grown from" in board.wait_says("log", "grown").string
        assert board.wait_unit("unsigned", "refused")["reason"]
        assert board.poweroff() == 0
    assert listing(disk, parts["coracle-provision"]) == {"README.TXT"}
    grown = partitions(disk)
    assert {n: p["start"] for n, p in grown.items()} == {n: p["start"] for n, p in parts.items()}
    assert grown["coracle-data"]["size"] >= parts["coracle-data"]["size"] + 198 * 2048
    assert {n: p["uuid"] for n, p in grown.items()} == {n: p["uuid"] for n, p in parts.items()}
    assert "No problems found" in subprocess.run(["sgdisk", "-v", disk], stdout=subprocess.PIPE, text=True, check=True, env=PATH).stdout
    subprocess.run(["e2fsck", "-fn", "%s?offset=%d" % (disk, parts["coracle-data"]["start"] * 512)], check=True,
                   stdout=subprocess.DEVNULL, env=PATH)


def archive(registry, to):
    """The demo's image with its signature, as skopeo copies both into one layout, in a tar."""
    layout, args = to.with_suffix(".layout"), ("--src-authfile", registry.login_file(to.with_suffix(".login")), "--src-cert-dir",
                                               registry.certs_dir(to.with_suffix(".certs")) / registry.host)
    for tag, name in (("1", "1"), (registry.digest("demo/hello").replace(":", "-") + ".sig",) * 2):
        keys.run("skopeo", "copy", "-q", "--all", "--insecure-policy", *args, "docker://%s/demo/hello:%s" % (registry.host, tag),
                 "oci:%s:%s" % (layout, name))
    with tarfile.open(to, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout), recursive=False)
    return to


def test_a_preloaded_card_needs_no_network(etc, registry, tmp_path):
    """PRELOAD=oci-archive:hello.tar: no network card; the archive is admitted by its signature, and used up."""
    own = tmp_path / "etc"
    subprocess.run(["cp", "-r", etc, own], check=True)
    policy = json.loads((own / "policy.json").read_text())
    policy["transports"]["oci-archive"] = {"/data/preload/%s.tar" % unit: [{
        "type": "sigstoreSigned", "keyPath": "/etc/coracle/keys/cosign.pub", "signedIdentity": {
            "type": "exactRepository", "dockerRepository": "registry.demo:%d/demo/%s" % (registry.port, unit)}}]
        for unit in ("hello", "unsigned")}
    (own / "policy.json").write_text(json.dumps(policy))
    tar = archive(registry, tmp_path / "hello.tar")
    disk = image.make("qemu-aarch64", own, out=tmp_path, preload=["oci-archive:%s" % tar, "unsigned=oci-archive:%s" % tar])
    with board_kit.Board(tmp_path, own, disk, "qemu-aarch64", is_image=True, net=False) as board:
        hello = board.wait_unit("hello", "running", timeout=240)
        assert hello["signer"] == "/etc/coracle/keys/cosign.pub" and hello["digest"]
        board.wait_says("log", r"(?s)preload/unsigned.tar: .*kept as .refused", timeout=120)    # signed, but for another repository
        assert board.unit("unsigned")["state"] != "running"
        assert board.poweroff() == 0
