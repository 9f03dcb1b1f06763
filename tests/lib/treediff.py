# SPDX-License-Identifier: MIT
"""Two directory trees, entry by entry: type, mode, owner, size, mtime, device, link, xattrs, content, and which names share an inode.
`treediff.py A B` prints what differs and exits 1, or prints the number of equal entries; diff(a, b) gives the list."""
import hashlib
import os
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
         stat.S_IFCHR: "chardev", stat.S_IFBLK: "blockdev", stat.S_IFSOCK: "socket"}


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


def xattrs(path):
    out = {}
    for name in os.listxattr(path, follow_symlinks=False):
        out[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    return out


def entry(path):
    s = os.lstat(path)
    kind = KINDS[stat.S_IFMT(s.st_mode)]
    e = {"type": kind, "mode": oct(stat.S_IMODE(s.st_mode)), "uid": s.st_uid, "gid": s.st_gid,
         "mtime": "%d.%09d" % divmod(s.st_mtime_ns, 10**9), "xattrs": xattrs(path)}
    if kind == "file":
        e["size"] = s.st_size
        e["content"] = digest(path)
    elif kind == "link":
        e["target"] = os.fsencode(os.readlink(path)).hex()
    elif kind in ("chardev", "blockdev"):
        e["device"] = "%d:%d" % (os.major(s.st_rdev), os.minor(s.st_rdev))
    return e, (s.st_dev, s.st_ino) if kind != "directory" and s.st_nlink > 1 else None


def scan(root):
    """{path below root, as bytes: fields}; names that share an inode carry the same "same" list."""
    root = os.fsencode(root)
    tree, inodes = {}, {}
    for folder, dirs, files in os.walk(root):
        for name in [b"."] * (folder == root) + dirs + files:
            path = os.path.join(folder, name)
            below = os.path.relpath(path, root)
            tree[below], inode = entry(path)
            if inode:
                inodes.setdefault(inode, []).append(below)
    for names in inodes.values():
        if len(names) > 1:
            for name in names:
                tree[name]["same"] = sorted(n.hex() for n in names)
    return tree


def diff(a, b, ignore=()):
    """Lines that say what differs between trees A and B; fields in IGNORE are not looked at."""
    left, right = scan(a), scan(b)
    out = []
    for path in sorted(left.keys() | right.keys()):
        shown = path.decode("utf-8", "backslashreplace")
        if path not in left or path not in right:
            out.append("%s: only in %s" % (shown, a if path in left else b))
            continue
        for field in sorted(left[path].keys() | right[path].keys()):
            one, two = left[path].get(field), right[path].get(field)
            if field not in ignore and one != two:
                out.append("%s: %s is %s in %s, %s in %s" % (shown, field, one, a, two, b))
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: treediff.py A B")
    lines = diff(sys.argv[1], sys.argv[2])
    print("\n".join(lines) if lines else "equal: %d entries" % len(scan(sys.argv[1])))
    sys.exit(1 if lines else 0)
