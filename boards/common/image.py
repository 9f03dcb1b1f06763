# SPDX-License-Identifier: MIT
"""image.py BOARD [--out DIR] [--etc DIR] [--host NAME=ADDRESS]... [--data MIB] [--preload [UNIT=]oci-archive:FILE]... [--kernel KEY] [--firmware DIR|debian]: makes O/BOARD/BOARD.img, to be written to a disk or
card as it is (dd, bmaptool, USB imagers). KEY: KERNEL or OWN_KERNEL of the board. FIRMWARE: of a Raspberry Pi. common/LAYOUT.cfg (LAYOUT of boards/BOARD/board) is its layout for genimage; the parts are made here: the
system of slot a, the data partition, what the provisioning partition says about itself."""
import argparse, gzip, os, pathlib, shutil, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel, linux, pack, uki

ENV = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", SOURCE_DATE_EPOCH="1700000000", MTOOLS_SKIP_CHECK="1")
DATA_MIB = 64


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **dict({"env": ENV}, **more))
    if done.returncode:
        raise SystemExit("image: %s: exit %d\n%s" % (" ".join(map(str, argv)), done.returncode, done.stdout))


def os_release(board):
    return 'ID=coracle\nNAME="coracle on %s"\nPRETTY_NAME="coracle on %s"\n' % (board, board)


def uefi(board, about, work, vmlinuz, initramfs, **_):
    """system.efi: kernel, initramfs and command line of slot a in one file."""
    stub = kernel.unpack(about["STUB"]) / ("usr/lib/systemd/boot/efi/linux%s.efi.stub" % about["EFI"])
    (work / "osrel").write_text(os_release(board))
    (work / "cmdline").write_text(about["CMDLINE"] + " coracle.slot=a")
    uki.make(about["TARGET"], stub, [(".osrel", work / "osrel"), (".cmdline", work / "cmdline"), (".initrd", initramfs),
                                     (".linux", vmlinuz)], work / "system.efi")


def extlinux(about, more=""):
    return "default coracle\ntimeout 0\nlabel coracle\n\tkernel /vmlinuz\n\tinitrd /initramfs\n%s\tappend %s coracle.slot=a\n" % (more, about["CMDLINE"])


def uboot(board, about, work, vmlinuz, initramfs, **_):
    shutil.copy(vmlinuz, work / "vmlinuz")
    (work / "extlinux.conf").write_text(extlinux(about))


def slot(work, vmlinuz, initramfs, trees, to):
    """slot/: kernel, initramfs and device trees, these in slot/TO."""
    (work / "root/slot" / to).mkdir(parents=True)
    shutil.copy(vmlinuz, work / "root/slot/vmlinuz")
    shutil.copy(initramfs, work / "root/slot/initramfs")
    for tree in trees:
        shutil.copy(tree, work / "root/slot" / to)
    return work / "root/slot"


def am335x(board, about, work, vmlinuz, initramfs, which, **_):
    """U-Boot finds its device tree by the board's EEPROM, under the name it has in folder dtb."""
    loader = kernel.unpack(about["UBOOT"]) / "usr/lib/u-boot" / about["UBOOT_BOARD"]
    for name in ("MLO", "u-boot.img"):
        shutil.copy(loader / name, work / name)
    folder = linux.of(board, about, which)
    made = slot(work, vmlinuz, initramfs, [kernel.dtb(folder, d) for d in about["DTB"].split()], "dtb")
    (made / "extlinux").mkdir()
    (made / "extlinux/extlinux.conf").write_text(extlinux(about, "\tfdtdir /dtb\n"))


CONFIG_TXT = """# Read by the Raspberry Pi's boot loader from this system slot.
arm_64bit=1
kernel=vmlinuz
initramfs initramfs followkernel
device_tree=%s
# the serial console on the header keeps its speed
enable_uart=1
"""
AUTOBOOT_TXT = """# Which system slot: partition 2 is coracle-a, 3 is coracle-b. [tryboot] counts for the one boot after `reboot "0 tryboot"`.
[all]
tryboot_a_b=1
boot_partition=2
[tryboot]
boot_partition=3
"""
PI_FIRMWARE = ("start4.elf", "fixup4.dat")


def raspberrypi(board, about, work, vmlinuz, initramfs, which, firmware):
    """FIRMWARE: the folder with start4.elf and fixup4.dat, or "debian": its package, which is not free software; None: a card without them."""
    trees = [kernel.dtb(linux.of(board, about, which), d) for d in about["DTB"].split()[:1]]
    made = slot(work, vmlinuz, initramfs, trees, "")
    (made / "config.txt").write_text(CONFIG_TXT % trees[0].name)
    (made / "cmdline.txt").write_text(about["CMDLINE"] + " coracle.slot=a\n")
    (work / "autoboot.txt").write_text(AUTOBOOT_TXT)
    if firmware == "debian":
        firmware = kernel.unpack(about["FIRMWARE"]) / "usr/lib/raspi-firmware"
    for name in PI_FIRMWARE if firmware else ():
        if not (pathlib.Path(firmware) / name).is_file():
            raise SystemExit("image: FIRMWARE=%s has no %s" % (firmware, name))
        shutil.copy(pathlib.Path(firmware) / name, made / name)
    if not firmware:
        print("image: without start4.elf and fixup4.dat, which no Raspberry Pi 4 starts without: FIRMWARE=DIR takes them from DIR, FIRMWARE=debian "
              "from Debian's non-free raspi-firmware; or copy them onto the partition CORACLE-A of the card")


def preloads(work, words):
    """NAME=oci-archive:FILE, or oci-archive:FILE where FILE is NAME.tar: the unit NAME's image, at /data/preload/NAME.tar of the board."""
    folder = work / "data/preload"
    folder.mkdir(parents=True)
    for word in words:
        name, _, archive = word.rpartition("oci-archive:")
        path = pathlib.Path(archive)
        if not path.is_file() or (name and not name.endswith("=")) or word == archive:
            raise SystemExit("image: PRELOAD=%s: want oci-archive:FILE, or UNIT=oci-archive:FILE" % word)
        shutil.copy(path, folder / ((name[:-1] or path.stem) + ".tar"))
    return sum(p.stat().st_size for p in folder.iterdir())


def data(work, mib):
    """An ext4 that can grow online to a thousand times its size; in it what was preloaded."""
    with open(work / "data.ext4", "wb") as f:
        f.truncate(mib << 20)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-L", "coracle-data", "-E", "root_owner=0:0,resize=%d" % (mib * 256 * 1000), "-d", work / "data",
        work / "data.ext4")


SYSTEM = {"gpt-uefi": uefi, "gpt-uboot": uboot, "gpt-am335x": am335x, "gpt-rpi": raspberrypi}


def make(board, etc=None, hosts=(), out=None, data_mib=DATA_MIB, board_conf=None, preload=(), which="KERNEL", firmware=None):
    """As the command line. Returns the image's path."""
    about = pack.settings(board)
    if "LAYOUT" not in about:
        raise SystemExit("image: boards/%s/board has no LAYOUT: `make run BOARD=%s` boots it without an image" % (board, board))
    out = pathlib.Path(out or pack.OUT / board)
    conf = board_conf or (pack.BOARDS / board / "board.conf").read_text() + "data-grow=yes\n"
    vmlinuz, plain = pack.pack(board, etc, hosts, out, conf, which=which)
    with tempfile.TemporaryDirectory(dir=out, prefix="image.") as work:
        work = pathlib.Path(work)
        for name in ("root", "tmp", "made"):
            (work / name).mkdir()
        (work / "initramfs").write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
        (work / "README.TXT").write_text((pack.BOARDS / "common/provision.txt").read_text().replace("\n", "\r\n"))
        (work / "EMPTY.TXT").write_text("The other system slot: empty until an update fills it.\r\n")
        SYSTEM[about["LAYOUT"]](board, about, work, vmlinuz, work / "initramfs", which=which, firmware=firmware)
        size = preloads(work, preload)
        data(work, data_mib + 3 * (size >> 20))
        run("genimage", "--config", pack.BOARDS / ("common/%s.cfg" % about["LAYOUT"]), "--rootpath", work / "root", "--tmppath", work / "tmp", "--inputpath", work,
            "--outputpath", work / "made", env=dict(ENV, EFI=about.get("EFI", "").upper()))
        os.replace(work / "made/disk.img", out / (board + ".img"))
    return out / (board + ".img")


if __name__ == "__main__":
    args = argparse.ArgumentParser(usage=__doc__.splitlines()[0])
    args.add_argument("board")
    args.add_argument("--out")
    args.add_argument("--etc")
    args.add_argument("--host", action="append", default=[])
    args.add_argument("--preload", action="append", default=[])
    args.add_argument("--kernel", default="KERNEL")
    args.add_argument("--firmware")
    args.add_argument("--data", type=int, default=DATA_MIB)
    got = args.parse_args()
    made = make(got.board, got.etc, [tuple(h.split("=", 1)) for h in got.host], got.out, got.data, preload=got.preload, which=got.kernel, firmware=got.firmware)
    print("image: %s, %.1f MB, %.1f MB of it written" % (made, made.stat().st_size / 1e6, made.stat().st_blocks * 512 / 1e6))
