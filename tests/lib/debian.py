# SPDX-License-Identifier: MIT
"""Root file systems of Debian as tar archives, made by debootstrap and mmdebstrap from the archive in this machine's apt sources,
kept in the cache. As a program: `debian.py` makes all of them and prints their paths."""
import fcntl
import os
import pathlib
import re
import subprocess
import tempfile

from keys import CACHE

SUITE = "bookworm"
# name: (tool, its options)
VARIANTS = {
    "debootstrap-minbase": ("debootstrap", ["--variant=minbase"]),
    "essential": ("mmdebstrap", ["--variant=essential"]),
    "python": ("mmdebstrap", ["--variant=apt", "--include=python3-minimal,python3,ca-certificates,openssl"]),
    "server": ("mmdebstrap", ["--variant=apt", "--include=nginx-light,curl,gnupg"]),
    "tools": ("mmdebstrap", ["--variant=apt", "--include=git,openssh-client,perl,vim-tiny"]),
}


def archive():
    """The address of Debian's archive in this machine's apt sources, the security one aside."""
    etc = pathlib.Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            found = re.match(r"(?:URIs:|deb) .*?(https?://\S*debian\S*)", line)
            if found and "security" not in found[1]:
                return found[1]
    raise RuntimeError("no Debian archive in this machine's apt sources")


def make(name, to):
    tool, options = VARIANTS[name]
    if tool == "mmdebstrap":
        subprocess.run([tool, "--quiet", "--mode=root", *options, SUITE, to, archive()], check=True)
        return
    with tempfile.TemporaryDirectory() as work:
        root = os.path.join(work, "root")
        subprocess.run([tool, *options, SUITE, root, archive()], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", root, "-cf", to, "--numeric-owner", "--xattrs", "--one-file-system", "."], check=True)


def rootfs(name):
    """Path of the tar archive of that variant."""
    folder = CACHE / "rootfs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("%s-%s.tar" % (SUITE, name))
    with open(folder / (name + ".busy"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            aside = folder / ("%s.%d.tar" % (name, os.getpid()))
            try:
                make(name, aside)
                aside.rename(path)
            finally:
                aside.unlink(missing_ok=True)
    return path


if __name__ == "__main__":
    for variant in VARIANTS:
        print(rootfs(variant), flush=True)
