# SPDX-License-Identifier: MIT
"""A prebuilt Debian kernel for a board: its image, and the few modules the board asks for with all that they need, in an
order in which each can be loaded. The .deb is unpacked once into the cache, never installed."""
import lzma, os, pathlib, subprocess

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("CORACLE_CACHE") or pathlib.Path.home() / ".cache/coracle")


def deb(package):
    """PACKAGE "SUITE ARCH NAME" -> its .deb, in the cache."""
    return pathlib.Path(subprocess.run([HERE / "deb", *package.split()], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


def unpack(package):
    """PACKAGE "SUITE ARCH NAME" -> the folder of its unpacked .deb."""
    path = deb(package)
    folder = CACHE / "kernels" / path.stem
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = folder.with_name("%s.%d" % (folder.name, os.getpid()))
        subprocess.run(["dpkg-deb", "-x", path, aside], check=True)
        try:
            aside.rename(folder)
        except OSError:             # somebody else was faster
            subprocess.run(["rm", "-rf", aside], check=True)
    return folder


def one(folder, pattern):
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit("kernel: %s holds %d files %s, one was expected" % (folder, len(found), pattern))
    return found[0]


def image(folder):
    return one(folder, "boot/vmlinuz-*")


def config(folder):
    return one(folder, "boot/config-*")


def dtb(folder, name):
    """NAME as in the source: broadcom/bcm2711-rpi-4-b.dtb. Debian's packages for armhf have no folder per vendor before 6.5."""
    found = sorted(folder.glob("usr/lib/linux-image-*/" + name)) or sorted(folder.glob("usr/lib/linux-image-*/" + name.rpartition("/")[2]))
    if not found:
        raise SystemExit("kernel: %s has no device tree %s" % (folder, name))
    return found[0]


def name_of(path):
    return path.name.split(".ko")[0].replace("-", "_")


def read(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def depends(data):
    """What modinfo shows as `depends`: the .modinfo section is a list of key=value ended by NUL."""
    at = data.find(b"\0depends=")
    if at < 0:
        return []
    text = data[at + 9:data.index(b"\0", at + 9)].decode()
    return [n.replace("-", "_") for n in text.split(",") if n]


def modules(folder, wanted):
    """[(name, bytes)] in loading order: WANTED and all that they depend on. What is built in is left out."""
    root = next((d for top in ("lib/modules", "usr/lib/modules") for d in sorted((folder / top).glob("*"))), None)
    if root is None:
        raise SystemExit("kernel: %s holds no modules" % folder)
    files = {name_of(p): p for p in root.rglob("*.ko*")}
    builtin = {name_of(pathlib.Path(line)) for line in (root / "modules.builtin").read_text().splitlines()}
    done, order = set(), []

    def add(name, why):
        if name in done or name in builtin:
            return
        if name not in files:
            raise SystemExit("kernel: %s has no module %s (%s)" % (root.name, name, why))
        done.add(name)
        data = read(files[name])
        for other in depends(data):
            add(other, "needed by " + name)
        order.append((name, data))

    for name in wanted:
        add(name.replace("-", "_"), "asked for by the board")
    return order
