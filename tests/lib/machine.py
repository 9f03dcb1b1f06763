# SPDX-License-Identifier: MIT
"""A small machine under QEMU that is none of our boards: this host's python, crun and runc and our programs on an ext4 disk, the kernel of the board
qemu-x86_64, cgroup v2 with all controllers. One processor: device rules and limits patch the kernel's code at each first and last use, and an emulated second
processor may run into what is half patched ("Oops: int3"). For what is compared with crun and runc where the host itself has no cgroup v2 for them."""
import os, pathlib, re, shutil, subprocess, sys
import pexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / d) for d in ("boards/common", "tests/tools")]
import bundle_kit  # noqa: E402
import cpio  # noqa: E402
import kernel  # noqa: E402
import pack  # noqa: E402

BOARD = "qemu-x86_64"
PYTHON = "/usr/bin/python3"


def is_possible():
    """Why there is no such machine on this host, or ""."""
    missing = [p for p in ("crun", "runc", "qemu-system-x86_64") if not shutil.which(p)]
    return "skip: %s is not installed" % missing[0] if missing else "" if os.uname().machine == "x86_64" else "skip: the host's programs are not x86-64's"


def compiled(source, out):
    """SOURCE as a static program at OUT."""
    cc = bundle_kit.BUILD / "deps/bin/musl-gcc"
    subprocess.run([cc, "-static", "-O1", "-D_GNU_SOURCE", "-o", out, source], check=True)
    return out


class Tree:
    """What the disk will hold."""

    def __init__(self, base):
        self.base, self.linked = pathlib.Path(base), set()

    def file(self, place, source):
        to = self.base / str(place).lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)

    def program(self, path):
        """PATH of this host with the libraries it is linked to, each at its own place."""
        self.file(path, path)
        told = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for library in set(re.findall(r"(/\S+) \(0x", told)) - self.linked:
            self.linked.add(library)
            self.file(library, library)

    def python(self):
        real = os.path.realpath(PYTHON)
        self.program(real)
        (self.base / "usr/bin/python3").symlink_to(real)
        where = subprocess.run([PYTHON, "-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])"], capture_output=True, text=True, check=True).stdout.strip()
        shutil.copytree(where, self.base / where.lstrip("/"), ignore=shutil.ignore_patterns(
            "test", "idlelib", "tkinter", "lib2to3", "distutils", "ensurepip", "dist-packages", "site-packages", "config-*", "pydoc_data"))
        for module in pathlib.Path(where, "lib-dynload").glob("*.so"):
            self.program(module)


def make_disk(folder, files, job, mib):
    """The disk: FILES {place: path}, and JOB, the text of the python program that runs."""
    root = folder / "tree"
    tree = Tree(root)
    for d in ("proc", "sys", "dev", "run", "tmp", "etc"):
        (root / d).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    tree.python()
    for name in ("crun", "runc", "unshare", "mount", "umount"):
        tree.program(os.path.realpath(shutil.which(name)))
    for place, path in files.items():
        tree.file(place, path)
    (root / "job.py").write_text(job)
    # Where /lib is a link to /usr/lib, both names of a library have to be there.
    for name in ("lib", "lib64", "bin", "sbin"):
        if (root / name).is_dir() and os.path.islink("/" + name):
            shutil.copytree(root / name, root / "usr" / name, dirs_exist_ok=True)
            shutil.rmtree(root / name)
        if os.path.islink("/" + name):
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to("usr/" + name)
    disk = folder / "disk.img"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", root, disk, "%dM" % mib], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    shutil.rmtree(root)
    return disk


def run(folder, files, job, mib=512, timeout=300, is_counted=False):
    """What JOB printed, and the status it ended with. FOLDER: empty, for this machine's files. IS_COUNTED: the machine's clock goes by the instructions that it
    executes, two nanoseconds each, so that nothing else on this host shows in it."""
    folder, about = pathlib.Path(folder), pack.settings(BOARD)
    disk = make_disk(folder, files, job, mib)
    root = cpio.Cpio()
    for d in ("dev", "disk", "modules"):
        root.dir(d)
    root.char("dev/console", 5, 1)
    root.file("init", compiled(ROOT / "tests/lib/machine_init.c", folder / "init").read_bytes(), 0o755)
    debian = kernel.unpack(about["KERNEL"])
    for i, (_, data) in enumerate(kernel.modules(debian, ["virtio_pci", "virtio_blk", "ext4", "overlay"])):
        root.file("modules/%02d" % i, data)
    (folder / "initramfs").write_bytes(root.bytes())
    words = about["QEMU"].split() + ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-m", "1536", "-smp", "1", "-accel",
                                     *(["tcg,thread=single", "-icount", "shift=1,sleep=off"] if is_counted else [os.environ.get("ACCEL") or "tcg,thread=multi"]), "-drive", "id=d0,file=%s,format=raw,if=none,cache=unsafe" % disk,
                                     "-device", "virtio-blk-pci,drive=d0", "-device", "virtio-rng-pci", "-kernel", str(kernel.image(debian)), "-initrd",
                                     str(folder / "initramfs"), "-append", "console=%s panic=-1 quiet loglevel=3" % about["CONSOLE"]]
    console = pexpect.spawn(words[0], words[1:], timeout=timeout, encoding="utf-8", codec_errors="replace")
    with open(folder / "console.log", "w") as log:
        console.logfile_read = log
        try:
            console.expect(r"machine: ended with (\d+)")
        except (pexpect.TIMEOUT, pexpect.EOF):
            log.flush()
            raise AssertionError("the machine did not come to its end:\n" + (folder / "console.log").read_text()[-3000:])
        finally:
            console.close(force=True)
    return console.before.replace("\r", ""), int(console.match[1])
