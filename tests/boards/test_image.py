# SPDX-License-Identifier: MIT
"""Images to flash: what is in them, and that the board's firmware boots each from the disk alone, to a running unit."""
import json, os, re, struct, subprocess, tarfile
import pytest
import board as board_kit
import image
import images
import kernel, linux
import keys

PATH = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
IMAGES = sorted(p.parent.name for p in image.pack.BOARDS.glob("*/board") if image.pack.settings(p.parent.name).get("LAYOUT") in ("gpt-uefi", "gpt-uboot"))
CARDS = ("beaglebone", "raspberrypi4")
MIB = 1 << 20


def partitions(disk):
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], stdout=subprocess.PIPE, check=True, env=PATH).stdout)["partitiontable"]
    assert table["label"] == "gpt" and table.get("sectorsize", 512) == 512
    return {p["name"]: p for p in table["partitions"]}


def listing(disk, part):
    return board_kit.fat_files(disk, part["start"])


def has_grown(disk, parts, mib):
    """After a boot: the data partition alone is another."""
    now = partitions(disk)
    assert {n: (p["start"], p["uuid"]) for n, p in now.items()} == {n: (p["start"], p["uuid"]) for n, p in parts.items()}
    assert now["coracle-data"]["size"] >= parts["coracle-data"]["size"] + mib * 2048
    assert "No problems found" in subprocess.run(["sgdisk", "-v", disk], stdout=subprocess.PIPE, text=True, check=True, env=PATH).stdout


@pytest.fixture
def second(registry, demo_image, tmp_path):
    """second(TARGET): another image for it under demo/hello:1, until the test is over; its digest."""
    def push(target):
        images.build_hello(tmp_path / "hello", board_kit.GNU[target])
        images.make_image(tmp_path / "two", [[images.entry("usr/bin/hello", (tmp_path / "hello").read_bytes(), mode=0o755)]], arch=board_kit.ARCH[target])
        digest = registry.push(tmp_path / "two", "demo/hello")
        registry.sign("demo/hello", registry.key("cosign"), identity="registry.demo:%d/demo/hello" % registry.port)
        return digest
    yield push
    registry.push(demo_image, "demo/hello")


def updated_and_rolled_back(board, two):
    one = board.unit("hello")["digest"]
    board.say("update hello --no-wait")
    now = board.wait_unit("hello", "running", timeout=240, and_also=lambda u: u["update"]["state"] == "idle" and u["digest"] == two)
    assert now["update"]["previous"] == one and now["update"]["history"][-1]["outcome"] == "committed"
    assert "rolled back" in board.say("rollback hello", timeout=240)
    back = board.wait_unit("hello", "running", timeout=240, and_also=lambda u: u["digest"] == one)
    assert back["update"]["refused"] == two


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_boots_from_the_disk_alone(name, etc, second, tmp_path):
    """No kernel, no initramfs from outside: firmware, boot loader or stub, slot a, data partition, the signed unit, its update and the way back."""
    about = image.pack.settings(name)
    own = tmp_path / "etc"
    subprocess.run(["cp", "-r", etc, own], check=True)
    unit = own / "units/hello.container"
    unit.write_text(unit.read_text() + "\n[X-Coracle]\nConfirmSec=5s\n")
    etc = own
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
        updated_and_rolled_back(board, second(about["TARGET"]))
        assert board.poweroff() == 0
    assert listing(disk, parts["coracle-provision"]) == {"README.TXT"}
    has_grown(disk, parts, 198)
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


def device_tree(data):
    """{path: bytes} of a flattened device tree (Devicetree Specification, chapter 5)."""
    magic, total, structure, strings = struct.unpack_from(">4I", data)
    assert magic == 0xd00dfeed and total == len(data)
    at, path, found = structure, [], {}
    while True:
        (token,) = struct.unpack_from(">I", data, at)
        at += 4
        if token == 1:
            end = data.index(b"\0", at)
            path.append(data[at:end].decode())
            at = (end + 4) // 4 * 4
        elif token == 2:
            path.pop()
        elif token == 3:
            size, name = struct.unpack_from(">2I", data, at)
            name = data[strings + name:data.index(b"\0", strings + name)].decode()
            found["/".join(path + [name])] = data[at + 8:at + 8 + size]
            at = (at + 8 + size + 3) // 4 * 4
        elif token == 9:
            return found


def read_file(disk, part, name):
    return subprocess.run(["mtype", "-i", "%s@@%d" % (disk, part["start"] * 512), "::/" + name], stdout=subprocess.PIPE, check=True).stdout


def check_card(name, disk, folder):
    """The tables and the boot files of a card, as the board's ROM and boot loader look for them. FOLDER: the kernel's. The parts."""
    parts = partitions(disk)
    assert list(parts) == ["coracle-boot", "coracle-a", "coracle-b", "coracle-provision", "coracle-data"]
    assert all(p["start"] % 2048 == 0 for p in parts.values())
    with open(disk, "rb") as f:
        mbr = f.read(512)
    shown = {"beaglebone": ["coracle-boot"], "raspberrypi4": ["coracle-boot", "coracle-a", "coracle-b"]}[name]
    entries = [struct.unpack_from("<B3xB3xII", mbr, 446 + 16 * i) for i in range(4)]
    assert mbr[510:] == b"\x55\xaa" and [e[1] for e in entries if e[1]] == [0x0c] * len(shown) + [0xee]
    assert [e[2:] for e in entries[:len(shown)]] == [(parts[n]["start"], parts[n]["size"]) for n in shown]
    assert entries[len(shown)][2] == 1          # the protective entry, by which a GPT is known
    boot, a = listing(disk, parts["coracle-boot"]), listing(disk, parts["coracle-a"])
    if name == "beaglebone":
        assert entries[0][0] == 0x80 and boot == {"MLO", "u-boot.img"}      # AM335x manual, 26.1.8.5: the active FAT partition, its MLO
        assert read_file(disk, parts["coracle-boot"], "MLO")[20:28].startswith(b"CHSETTIN")
        assert read_file(disk, parts["coracle-boot"], "u-boot.img")[:4] in (b"\x27\x05\x19\x56", b"\xd0\x0d\xfe\xed")
        assert "LegacyBIOSBootable" in parts["coracle-a"]["attrs"] and "attrs" not in parts["coracle-b"]
        assert a == {"vmlinuz", "initramfs", "extlinux/extlinux.conf"} | {"dtb/am335x-%s.dtb" % n for n in ("bone", "boneblack", "bonegreen")}
        conf = read_file(disk, parts["coracle-a"], "extlinux/extlinux.conf").decode()
        assert "fdtdir /dtb" in conf and "console=ttyS0,115200" in conf and "coracle.slot=a" in conf
        trees = {"dtb/am335x-boneblack.dtb": b"ti,am335x-bone-black", "dtb/am335x-bone.dtb": b"ti,am335x-bone"}
    else:
        assert boot == {"autoboot.txt"} and a == {"vmlinuz", "initramfs", "config.txt", "cmdline.txt", "bcm2711-rpi-4-b.dtb"}
        conf = read_file(disk, parts["coracle-boot"], "autoboot.txt").decode()
        assert re.search(r"\[all\]\ntryboot_a_b=1\nboot_partition=2\n\[tryboot\]\nboot_partition=3\n", conf)
        names = set(re.findall(r"(?m)^(?:kernel=|device_tree=|initramfs )(\S+)", read_file(disk, parts["coracle-a"], "config.txt").decode()))
        assert names == a - {"config.txt", "cmdline.txt"}
        (line,) = read_file(disk, parts["coracle-a"], "cmdline.txt").decode().splitlines()
        assert "console=ttyS1,115200" in line and "coracle.slot=a" in line
        trees = {"bcm2711-rpi-4-b.dtb": b"raspberrypi,4-model-b"}
    for path, compatible in trees.items():
        tree = device_tree(read_file(disk, parts["coracle-a"], path))
        assert compatible in tree["/compatible"].split(b"\0")
        alias, _, _ = tree["/chosen/stdout-path"].rstrip(b"\0").decode().partition(":")
        uart = tree["/aliases/" + alias].decode() if "/aliases/" + alias in tree else alias     # the line that CMDLINE names
        assert re.search({"beaglebone": "serial@", "raspberrypi4": "serial@7e215040"}[name], uart)
    assert read_file(disk, parts["coracle-a"], "vmlinuz") == kernel.image(folder).read_bytes()
    assert listing(disk, parts["coracle-b"]) == {"EMPTY.TXT"} and listing(disk, parts["coracle-provision"]) == {"README.TXT"}
    return parts


class FromSlot(board_kit.Board):
    """A card whose boot loader QEMU has not: the test reads slot a as that would; line() makes its command line one for the machine."""

    def firmware(self):
        part = partitions(self.disk)["coracle-a"]
        for name in ("vmlinuz", "initramfs"):
            (self.folder / name).write_bytes(read_file(self.disk, part, name))
        line = read_file(self.disk, part, "cmdline.txt").decode().strip()
        return ["-kernel", str(self.folder / "vmlinuz"), "-initrd", str(self.folder / "initramfs"), "-append", self.line(line)]

    def line(self, line):
        return line.replace("ttyS1,115200", "ttyAMA0")


def boots(board, mib):
    hello = board.wait_unit("hello", "running", timeout=300)
    assert hello["signer"] and board.status()["slot"] == "a"
    board.wait_says("log", "data: /data grown from", timeout=120)
    assert board.status()["data"]["free"] > mib * MIB
    assert board.wait_unit("unsigned", "refused", timeout=300)["reason"]


def card(name, etc, tmp_path, which):
    disk = image.make(name, etc, [("registry.demo", "10.0.2.2")], tmp_path, which=which)
    parts = check_card(name, disk, linux.of(name, image.pack.settings(name), which))
    with open(disk, "rb") as f:
        head = f.read(512)
    os.truncate(disk, 512 * MIB)                # a card's size, for QEMU: a power of two
    if name == "beaglebone":                    # QEMU's virt has no such line
        at, text = "%s@@%d" % (disk, parts["coracle-a"]["start"] * 512), read_file(disk, parts["coracle-a"], "extlinux/extlinux.conf").decode()
        (tmp_path / "conf").write_text(text.replace("ttyS0,115200", "ttyAMA0"))
        subprocess.run(["mcopy", "-o", "-i", at, tmp_path / "conf", "::/extlinux/extlinux.conf"], check=True)
    with (board_kit.Board if name == "beaglebone" else FromSlot)(tmp_path, etc, disk, name, is_image=True) as board:
        boots(board, 100)
        assert board.poweroff() == 0
    has_grown(disk, parts, 100)
    with open(disk, "rb") as f:
        assert f.read(512) == head
    return disk


class Raspi3(FromSlot):
    """The same card in QEMU's Raspberry Pi 3, with that one's device tree: the drivers of card, serial line and USB. Its network card is QEMU's for USB."""

    def firmware(self):
        words = FromSlot.firmware(self)
        tree = kernel.dtb(self.KERNEL, "broadcom/bcm2837-rpi-3-b.dtb")
        self.words = ["qemu-system-aarch64", "-M", "raspi3b", "-nodefaults", "-display", "none", "-serial", "null", "-serial", "stdio", "-smp", "4", "-accel",
                      "tcg,thread=multi", "-dtb", str(tree), "-drive", "if=sd,file=%s,format=raw" % self.disk, "-netdev", "user,id=n0", "-device",
                      "usb-net,netdev=n0"]
        return words

    def line(self, line):
        return line

    def start(self):
        at = self.command.index("-kernel")
        self.command = self.words + self.command[at:]
        return board_kit.Board.start(self)


@pytest.mark.full
@pytest.mark.parametrize("which", ("KERNEL", "OWN_KERNEL"))
def test_a_card_in_a_raspberry_pi_3(etc, tmp_path, which):
    """What QEMU has of the family: the card is found and grown, the unit is pulled over USB and runs. Without the watchdog, at whose opening QEMU resets."""
    conf = (image.pack.BOARDS / "raspberrypi4/board.conf").read_text() + "data-grow=yes\nwatchdog=none\n"
    disk = image.make("raspberrypi4", etc, [("registry.demo", "10.0.2.2")], tmp_path, board_conf=conf, which=which)
    parts = partitions(disk)
    os.truncate(disk, 512 * MIB)
    Raspi3.KERNEL = linux.of("raspberrypi4", image.pack.settings("raspberrypi4"), which)
    with Raspi3(tmp_path, etc, disk, "raspberrypi4", is_image=True) as board:
        hello = board.wait_unit("hello", "running", timeout=900)
        assert hello["signer"] and board.status()["slot"] == "a"
        board.wait_says("log", "data: /data grown from", timeout=300)
        board.console.sendline("poweroff")          # this machine cannot: it halts, and QEMU goes on
        board.console.expect("powering off|power off|poweroff", timeout=120)
        board.console.expect("(?i)power down|halted|System halted", timeout=120)
    has_grown(disk, parts, 100)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_with_the_distributions_kernel(name, etc, tmp_path):
    """beaglebone: from the disk alone, through U-Boot as it is built for QEMU; raspberrypi4: kernel, initramfs and command line of
    slot a. Both on virt: not the boards' own drivers."""
    card(name, etc, tmp_path, "KERNEL")


@pytest.mark.full
@pytest.mark.parametrize("name", CARDS)
def test_a_card_with_the_boards_own_kernel(name, etc, tmp_path):
    """OWN_KERNEL=1: drivers are built in, nothing is loaded."""
    folder = linux.of(name, image.pack.settings(name), "OWN_KERNEL")
    assert kernel.modules(folder, image.pack.words(image.pack.BOARDS / name / "modules")) == []
    card(name, etc, tmp_path, "OWN_KERNEL")


def test_firmware_of_a_raspberry_pi(etc, tmp_path):
    """FIRMWARE=DIR: into slot a; a folder without it is refused by name."""
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw/start4.elf").write_bytes(b"start")
    with pytest.raises(SystemExit, match="FIRMWARE=.* has no fixup4.dat"):
        image.make("raspberrypi4", etc, out=tmp_path, firmware=tmp_path / "fw")
    (tmp_path / "fw/fixup4.dat").write_bytes(b"fixup")
    disk = image.make("raspberrypi4", etc, out=tmp_path, firmware=tmp_path / "fw")
    part = partitions(disk)["coracle-a"]
    assert read_file(disk, part, "start4.elf") == b"start" and read_file(disk, part, "fixup4.dat") == b"fixup"
