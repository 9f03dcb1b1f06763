# SPDX-License-Identifier: MIT
"""image.py BOARD [--out DIR] [--etc DIR] [--host NAME=ADDRESS]... [--data MIB] [--preload [UNIT=]oci-archive:FILE]...: makes O/BOARD/BOARD.img, to be written to a disk or
card as it is (dd, bmaptool, USB imagers). common/LAYOUT.cfg (LAYOUT of boards/BOARD/board) is its layout for genimage; the parts are made here: the
system of slot a, the data partition, what the provisioning partition says about itself."""
import argparse, gzip, os, pathlib, shutil, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel, pack, uki

ENV = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", SOURCE_DATE_EPOCH="1700000000", MTOOLS_SKIP_CHECK="1")
DATA_MIB = 64


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **dict({"env": ENV}, **more))
    if done.returncode:
        raise SystemExit("image: %s: exit %d\n%s" % (" ".join(map(str, argv)), done.returncode, done.stdout))


def os_release(board):
    return 'ID=coracle\nNAME="coracle on %s"\nPRETTY_NAME="coracle on %s"\n' % (board, board)


def uefi(board, about, work, vmlinuz, initramfs):
    """system.efi: kernel, initramfs and command line of slot a in one file."""
    stub = kernel.unpack(about["STUB"]) / ("usr/lib/systemd/boot/efi/linux%s.efi.stub" % about["EFI"])
    (work / "osrel").write_text(os_release(board))
    (work / "cmdline").write_text(about["CMDLINE"] + " coracle.slot=a")
    uki.make(about["TARGET"], stub, [(".osrel", work / "osrel"), (".cmdline", work / "cmdline"), (".initrd", initramfs),
                                     (".linux", vmlinuz)], work / "system.efi")


def uboot(board, about, work, vmlinuz, initramfs):
    shutil.copy(vmlinuz, work / "vmlinuz")
    (work / "extlinux.conf").write_text("default coracle\ntimeout 0\nlabel coracle\n\tkernel /vmlinuz\n\tinitrd /initramfs\n"
                                        "\tappend %s coracle.slot=a\n" % about["CMDLINE"])


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


SYSTEM = {"gpt-uefi": uefi, "gpt-uboot": uboot}


def make(board, etc=None, hosts=(), out=None, data_mib=DATA_MIB, board_conf=None, preload=()):
    """As the command line. Returns the image's path."""
    about = pack.settings(board)
    if "LAYOUT" not in about:
        raise SystemExit("image: boards/%s/board has no LAYOUT: `make run BOARD=%s` boots it without an image" % (board, board))
    out = pathlib.Path(out or pack.OUT / board)
    conf = board_conf or (pack.BOARDS / board / "board.conf").read_text() + "data-grow=yes\n"
    vmlinuz, plain = pack.pack(board, etc, hosts, out, conf)
    with tempfile.TemporaryDirectory(dir=out, prefix="image.") as work:
        work = pathlib.Path(work)
        for name in ("root", "tmp", "made"):
            (work / name).mkdir()
        (work / "initramfs").write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
        (work / "README.TXT").write_text((pack.BOARDS / "common/provision.txt").read_text().replace("\n", "\r\n"))
        (work / "EMPTY.TXT").write_text("The other system slot: empty until an update fills it.\r\n")
        SYSTEM[about["LAYOUT"]](board, about, work, vmlinuz, work / "initramfs")
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
    args.add_argument("--data", type=int, default=DATA_MIB)
    got = args.parse_args()
    made = make(got.board, got.etc, [tuple(h.split("=", 1)) for h in got.host], got.out, got.data, preload=got.preload)
    print("image: %s, %.1f MB, %.1f MB of it written" % (made, made.stat().st_size / 1e6, made.stat().st_blocks * 512 / 1e6))
