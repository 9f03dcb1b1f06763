# SPDX-License-Identifier: MIT
"""host.py ROOT ETC NAME=ADDRESS...: fills the empty folder ROOT with the tree that boards/common/pack.py puts into an
initramfs, for a run in namespaces (tests/demo/host.sh): no modules, data in the folder /data."""
import os, pathlib, sys
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "boards/common"))
import pack

CONF = "# docs/seams.md lists the keys.\nhost=yes\nhostname=coracle-host\ndata-dir=/data\nnetwork=none\n"


class Tree:
    """As cpio.Cpio, but into a folder. Device nodes are the host's, bound by host.sh."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def dir(self, path, mode=0o755):
        (self.folder / path).mkdir(parents=True, exist_ok=True)
        (self.folder / path).chmod(mode)

    def file(self, path, data, mode=0o644):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)
        (self.folder / path).chmod(mode)

    def link(self, path, target):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).symlink_to(target)

    def char(self, path, major, minor, mode=0o600):
        pass


def fill(folder, etc, hosts, conf=CONF):
    root = Tree(folder)
    pack.skeleton(root, hosts)
    pack.programs(root, pack.OUT / os.uname().machine.replace("armv7l", "armv7"))
    root.file("etc/coracle/board.conf", conf.encode())
    pack.etc(root, pathlib.Path(etc))


if __name__ == "__main__":
    fill(sys.argv[1], sys.argv[2], [tuple(h.split("=", 1)) for h in sys.argv[3:]])
