# SPDX-License-Identifier: MIT
"""Images to flash: what is in them, and that the board's firmware boots each from the disk alone, to a running unit."""
import json, os, subprocess
import pytest
import board as board_kit
import image

PATH = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
IMAGES = sorted(p.parent.name for p in image.pack.BOARDS.glob("*/board") if "LAYOUT" in image.pack.settings(p.parent.name))
MIB = 1 << 20


def partitions(disk):
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], stdout=subprocess.PIPE, check=True, env=PATH).stdout)["partitiontable"]
    assert table["label"] == "gpt" and table.get("sectorsize", 512) == 512
    return {p["name"]: p for p in table["partitions"]}


def listing(disk, part):
    out = subprocess.run(["mdir", "-b", "-/", "-i", "%s@@%d" % (disk, part["start"] * 512), "::"], stdout=subprocess.PIPE, text=True, check=True)
    return {line.removeprefix("::/") for line in out.stdout.splitlines() if not line.endswith("/")}


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
    os.truncate(disk, disk.stat().st_size + 200 * MIB)           # as on a card that is larger than the image
    with board_kit.Board(tmp_path, etc, disk, name, is_image=True) as board:
        hello = board.wait_unit("hello", "running", timeout=240)
        assert hello["signer"] and board.status()["slot"] == "a"
        assert "slot a" in board.say("status")
        assert board.status()["data"]["free"] > 200 * MIB and "data: /data grown from" in board.wait_says("log", "grown").string
        assert board.wait_unit("unsigned", "refused")["reason"]
        assert board.poweroff() == 0
    grown = partitions(disk)
    assert {n: p["start"] for n, p in grown.items()} == {n: p["start"] for n, p in parts.items()}
    assert grown["coracle-data"]["size"] >= parts["coracle-data"]["size"] + 198 * 2048
    assert {n: p["uuid"] for n, p in grown.items()} == {n: p["uuid"] for n, p in parts.items()}
    assert "No problems found" in subprocess.run(["sgdisk", "-v", disk], stdout=subprocess.PIPE, text=True, check=True, env=PATH).stdout
    subprocess.run(["e2fsck", "-fn", "%s?offset=%d" % (disk, parts["coracle-data"]["start"] * 512)], check=True,
                   stdout=subprocess.DEVNULL, env=PATH)
