# SPDX-License-Identifier: MIT
"""pack.py BOARD [--out DIR] [--etc DIR] [--host NAME=ADDRESS]...: makes initramfs.cpio and vmlinuz in DIR, else O/BOARD.

The initramfs is the whole system but the data partition: the three programs, dhcpcd, the kernel modules that the board's file
`modules` asks for, and /etc/coracle: the board's board.conf, and the content of DIR (policy, keys, certificates, units)."""
import argparse, os, pathlib, shutil, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpio, kernel, linux

BOARDS = pathlib.Path(__file__).resolve().parents[1]
OUT = pathlib.Path(os.environ.get("O") or BOARDS.parent / "build")
SECRET = ("auth.json", "store.key")


def settings(board):
    """boards/BOARD/board: KEY="value" lines."""
    path = BOARDS / board / "board"
    if not path.exists():
        raise SystemExit("pack: no board %s; there are: %s" % (board, " ".join(sorted(p.parent.name for p in BOARDS.glob("*/board")))))
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {k: v.strip('"') for k, v in pairs}


def words(path):
    return " ".join(line.split("#")[0] for line in path.read_text().splitlines()).split()


def programs(root, folder):
    for name in ("coracle-init", "coracle-fetch", "coracle-bundle"):
        if not (folder / name).exists():
            raise SystemExit("pack: %s is not there: make TARGET=%s" % (folder / name, folder.name))
        root.file("usr/bin/" + name, (folder / name).read_bytes(), 0o755)
    if (folder / "coracle-net").exists():       # CONFIG_NETWORKS
        root.file("usr/bin/coracle-net", (folder / "coracle-net").read_bytes(), 0o755)
    for name in ("dhcpcd", "chronyd"):
        root.file("usr/bin/" + name, (folder / "deps/bin" / name).read_bytes(), 0o755)
    for name in ("coracle", "dhcp-script"):
        root.link("usr/bin/" + name, "coracle-init")
    root.link("usr/lib/coracle/dhcp-script", "../../bin/coracle-init")
    root.link("init", "usr/bin/coracle-init")


def skeleton(root, hosts):
    for name in ("proc", "sys", "dev", "run", "data", "mnt", "media", "usr/bin", "etc/coracle"):
        root.dir(name)
    root.dir("tmp", 0o1777)
    root.dir("var")
    root.link("var/run", "../run")
    root.link("etc/resolv.conf", "/run/coracle/resolv.conf")
    root.char("dev/console", 5, 1)
    root.char("dev/null", 1, 3, 0o666)
    root.file("etc/hosts", "".join("%s %s\n" % (a, n) for n, a in [("localhost", "127.0.0.1")] + hosts).encode())


def etc(root, folder):
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        root.file("etc/coracle/" + name, path.read_bytes(), 0o600 if name in SECRET else 0o644)


def pack(board, etc_folder=None, hosts=(), out=None, board_conf=None, extra_modules=(), bin_folder=None, which="KERNEL"):
    """As the command line; OUT another folder, BOARD_CONF another text, BIN_FOLDER of other programs; WHICH: as linux.of takes it. Returns (vmlinuz, initramfs)."""
    about = settings(board)
    out = pathlib.Path(out or OUT / board)
    out.mkdir(parents=True, exist_ok=True)
    root = cpio.Cpio()
    skeleton(root, list(hosts))
    programs(root, bin_folder or OUT / about["TARGET"])
    folder = linux.of(board, about, which)
    order = kernel.modules(folder, words(BOARDS / board / "modules") + list(extra_modules))
    for name, data in order:
        root.file("lib/modules/coracle/%s.ko" % name, data)
    root.file("etc/coracle/modules", "".join("/lib/modules/coracle/%s.ko\n" % n for n, _ in order).encode())
    root.file("etc/coracle/dhcpcd.conf", (BOARDS / "common/dhcpcd.conf").read_bytes())
    root.file("etc/coracle/board.conf", (board_conf or (BOARDS / board / "board.conf").read_text()).encode())
    if etc_folder:
        etc(root, pathlib.Path(etc_folder))
    shutil.copy(kernel.image(folder), out / "vmlinuz.new")
    os.replace(out / "vmlinuz.new", out / "vmlinuz")
    (out / "initramfs.new").write_bytes(root.bytes())
    os.replace(out / "initramfs.new", out / "initramfs.cpio")
    return out / "vmlinuz", out / "initramfs.cpio"


if __name__ == "__main__":
    args = argparse.ArgumentParser(usage=__doc__.splitlines()[0])
    args.add_argument("board")
    args.add_argument("--out")
    args.add_argument("--etc")
    args.add_argument("--host", action="append", default=[])
    got = args.parse_args()
    for made in pack(got.board, got.etc, [tuple(h.split("=", 1)) for h in got.host], got.out):
        print("board: %s, %.1f MB" % (made, made.stat().st_size / 1e6))
