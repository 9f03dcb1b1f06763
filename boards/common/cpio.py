# SPDX-License-Identifier: MIT
"""Writes an initramfs: cpio in the kernel's newc form. No root needed, device nodes included; times and inode numbers are
fixed, so that the same input gives the same bytes."""
import stat


class Cpio:
    def __init__(self):
        self.parts, self.seen, self.inode = [], set(), 0

    def _put(self, path, mode, data=b"", rdev=(0, 0)):
        name = path.strip("/").encode() + b"\0"
        self.inode += 1
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self.inode, mode, 0, 0, links, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def _parents(self, path):
        parent = path.strip("/").rpartition("/")[0]
        if parent and parent not in self.seen:
            self.dir(parent)

    def dir(self, path, mode=0o755):
        self._parents(path)
        if path.strip("/") not in self.seen:
            self.seen.add(path.strip("/"))
            self._put(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644):
        self._parents(path)
        self._put(path, stat.S_IFREG | mode, data)

    def link(self, path, target):
        self._parents(path)
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def char(self, path, major, minor, mode=0o600):
        self._parents(path)
        self._put(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def bytes(self):
        self._put("TRAILER!!!", 0)
        return b"".join(self.parts)
