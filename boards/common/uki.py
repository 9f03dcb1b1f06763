# SPDX-License-Identifier: MIT
"""A unified kernel image: systemd's EFI stub (Debian's package) with kernel, command line and initramfs as sections of one PE file,
which UEFI starts like any program. Sections go where the stub ends; binutils moves nothing."""
import re, subprocess

OBJCOPY = {"x86_64": "objcopy", "aarch64": "aarch64-linux-gnu-objcopy"}
ALIGN = 0x10000


def end_of(stub, objdump):
    """The first free address behind the sections of STUB."""
    out = subprocess.run([objdump, "-h", stub], stdout=subprocess.PIPE, text=True, check=True).stdout
    sections = re.findall(r"(?m)^ *\d+ \S+ +([0-9a-f]{8}) +([0-9a-f]{8,16}) ", out)
    return max(int(vma, 16) + int(size, 16) for size, vma in sections)


def make(target, stub, parts, out):
    """PARTS: [(section, file)], in the order of their addresses; OUT: the image."""
    objcopy = OBJCOPY[target]
    at, words = end_of(stub, objcopy.replace("objcopy", "objdump")), []
    for section, path in parts:
        at = (at + ALIGN - 1) // ALIGN * ALIGN
        words += ["--add-section", "%s=%s" % (section, path), "--change-section-vma", "%s=%#x" % (section, at)]
        at += path.stat().st_size
    subprocess.run([objcopy, *words, stub, out], check=True)
