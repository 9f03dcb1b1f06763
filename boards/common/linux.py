# SPDX-License-Identifier: MIT
"""linux.py BOARD: the kernel of a board, and the verdict of kernel_options.py on it. Where boards/BOARD/board names a
linux-source package as OWN_KERNEL, it is built from that, with allnoconfig under common/kernel.config and boards/BOARD/kernel.config, once for each
state of these, the source and the compiler, into the cache; the result is laid out as Debian's own kernel packages are."""
import fcntl, hashlib, os, shutil, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel, kernel_options

ARCH = {"x86_64": ("x86", "x86_64-linux-gnu-", "arch/x86/boot/bzImage"), "aarch64": ("arm64", "aarch64-linux-gnu-", "arch/arm64/boot/Image"),
        "armv7": ("arm", "arm-linux-gnueabihf-", "arch/arm/boot/zImage")}
# What build() does, by a number: another makes all kernels anew.
RECIPE = "1"
# The same input gives the same bytes.
SAME = {"KBUILD_BUILD_TIMESTAMP": "2026-01-01", "KBUILD_BUILD_USER": "coracle", "KBUILD_BUILD_HOST": "coracle", "KBUILD_BUILD_VERSION": "1"}
JOBS = os.environ.get("KERNEL_JOBS") or str(len(os.sched_getaffinity(0)))


def run(*argv, **more):
    if subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, **more).returncode:
        raise SystemExit("kernel: failed: %s" % " ".join(map(str, argv)))


def fragment(board):
    """Both fragments without comments: {CONFIG_X: value}; the board's counts."""
    lines = [line for f in (kernel.HERE / "kernel.config", kernel.HERE.parent / board / "kernel.config") for line in f.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))


def key(board, about, source):
    cross = ARCH[about["TARGET"]][1]
    compiler = subprocess.run([cross + "gcc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    words = [source.name, compiler, about.get("DTB", ""), repr(sorted(fragment(board).items())), RECIPE]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def built(board, about):
    """Where the kernel is, or will be."""
    source = kernel.deb(about["OWN_KERNEL"])
    return source, kernel.CACHE / "kernels" / ("%s-%s-%s" % (source.stem.split("_")[1], board, key(board, about, source)))


def build(board, about):
    """Broken off, it goes on where it was: the tree and its objects lie beside the result until that is whole. Of two at once, one waits."""
    source, folder = built(board, about)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = folder.with_name(folder.name + ".part")
            print("kernel: building %s for %s, 15 to 30 minutes of processor time; it is kept in %s" % (source.name, board, folder), flush=True)
            build_in(work, board, about, source).rename(folder)
            shutil.rmtree(work)
    return folder


def unpacked(source, work):
    """The kernel's tree, whole."""
    if not (work / "source").exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        run("dpkg-deb", "-x", source, work / "deb")
        (tar,) = (work / "deb/usr/src").glob("linux-source-*.tar.xz")
        run("tar", "-xf", tar, "-C", work)
        (tree,) = work.glob("linux-source-*/")
        (work / "o").mkdir()
        shutil.rmtree(work / "deb")
        tree.rename(work / "source")
    return work / "source"


def build_in(work, board, about, source):
    arch, cross, image = ARCH[about["TARGET"]]
    wanted, dtbs = fragment(board), about.get("DTB", "").split()
    tree = unpacked(source, work)
    (work / "fragment").write_text("".join("%s=%s\n" % pair for pair in wanted.items()))
    env = {k: v for k, v in os.environ.items() if k not in ("O", "TARGET", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "BOARD")}
    make = lambda *words: run("make", "-s", "-C", tree, "O=%s" % (work / "o"), "ARCH=" + arch, "CROSS_COMPILE=" + cross, *words,
                              env=dict(env, KCONFIG_ALLCONFIG=str(work / "fragment"), **SAME))
    make("allnoconfig")
    config = (work / "o/.config").read_text()
    lost = ["%s=%s" % pair for pair in wanted.items() if pair[1] != "n" and "%s=%s" % pair not in config.splitlines()]
    bad = kernel_options.missing(config)
    if lost or bad:
        raise SystemExit("kernel: %s: does not stick: %s; needed and missing: %s" % (board, ", ".join(lost) or "-", "; ".join(bad) or "-"))
    make("-j" + JOBS, os.path.basename(image), *dtbs)
    return lay_out(work, arch, image, dtbs)


def lay_out(work, arch, image, dtbs):
    """What a package of Debian's would hold, out of the build's folder o."""
    version = (work / "o/include/config/kernel.release").read_text().strip()
    done = work / "done"
    shutil.rmtree(done, ignore_errors=True)
    for d in ("boot", "usr/lib/linux-image-" + version, "lib/modules/" + version):
        (done / d).mkdir(parents=True)
    shutil.copy(work / "o" / image, done / "boot" / ("vmlinuz-" + version))
    shutil.copy(work / "o/.config", done / "boot" / ("config-" + version))
    shutil.copy(work / "o/modules.builtin", done / "lib/modules" / version)
    for dtb in dtbs:
        to = done / ("usr/lib/linux-image-" + version) / dtb
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(work / "o/arch" / arch / "boot/dts" / dtb, to)
    return done


def of(board, about, which="KERNEL"):
    """The folder of a board's kernel. WHICH: the line of boards/BOARD/board that names it; OWN_KERNEL is built."""
    if which not in about:
        raise SystemExit("kernel: boards/%s/board has no %s" % (board, which))
    return build(board, about) if which == "OWN_KERNEL" else kernel.unpack(about[which])


if __name__ == "__main__":
    import pack
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.split(":")[0])
    of_board = pack.settings(sys.argv[1])
    where = of(sys.argv[1], of_board, "OWN_KERNEL" if "OWN_KERNEL" in of_board else "KERNEL")
    print("kernel: " + str(kernel.image(where)))
    sys.exit(kernel_options.main(str(kernel.config(where))))
