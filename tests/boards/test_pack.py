# SPDX-License-Identifier: MIT
"""What boards/common makes before a board boots: modules in an order that loads, the same initramfs from the same input, a data
disk as the board looks for it, and a .deb whose bytes are not the locked ones."""
import json, os, subprocess
import pytest
import board as board_kit
import kernel, pack

BOARDS = sorted(p.parent.name for p in pack.BOARDS.glob("*/board"))
QEMU = [name for name in BOARDS if name.startswith("qemu-")]


@pytest.mark.parametrize("name", BOARDS)
def test_modules_come_after_what_they_need(name):
    wanted = pack.words(pack.BOARDS / name / "modules")
    about = pack.settings(name)
    order = kernel.modules(kernel.unpack(about["KERNEL"]), wanted)
    names = [n for n, _ in order]
    assert len(set(names)) == len(names) and {"overlay", "virtio_blk", "virtio_net"} <= set(names)
    for at, (_, data) in enumerate(order):
        assert data[:4] == b"\x7fELF"
        assert set(kernel.depends(data)) & set(names) <= set(names[:at])


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_its_page_and_its_row(name):
    page = (pack.BOARDS / name / "README.md").read_text()
    for part in ("Owner: ", "Tested ", "onsole: ", "Known gaps: ") + (("Flash: ", "Layout: ", "hardware") if name not in QEMU else ("make run BOARD=" + name,)):
        assert part in page, part
    (row,) = [line for line in (pack.BOARDS / "README.md").read_text().splitlines() if line.startswith("| %s |" % name)]
    assert row.count("|") == 9 and (name in QEMU or "not on hardware" in row)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(SystemExit, match="no module nosuch .asked for by the board"):
        kernel.modules(kernel.unpack(pack.settings("qemu-x86_64")["KERNEL"]), ["nosuch"])


def test_initramfs_is_reproducible_and_complete(board_name, etc, tmp_path):
    _, one = pack.pack(board_name, etc, out=tmp_path / "one")
    _, two = pack.pack(board_name, etc, out=tmp_path / "two")
    data = one.read_bytes()
    assert data == two.read_bytes()
    names = read_cpio(data)
    for name in ("init", "usr/bin/coracle-init", "usr/bin/coracle-fetch", "usr/bin/coracle-bundle", "usr/bin/dhcpcd", "dev/console",
                 "etc/coracle/policy.json", "etc/coracle/modules", "etc/coracle/keys/cosign.pub", "etc/coracle/units/hello.container"):
        assert name in names, name
    assert names["etc/coracle/auth.json"] & 0o777 == 0o600
    programs = {n for n, mode in names.items() if mode & 0o170000 == 0o100000 and mode & 0o111}
    assert programs == {"usr/bin/" + n for n in ("coracle-init", "coracle-fetch", "coracle-bundle", "coracle-net", "dhcpcd", "chronyd")}      # no shell on the board


def read_cpio(data):
    """{name: mode} of a newc archive, read as the kernel's init/initramfs.c does."""
    at, names = 0, {}
    while True:
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        field = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, length = field[6], field[11]
        name = data[at + 110:at + 110 + length - 1].decode()
        if name == "TRAILER!!!":
            return names
        assert name not in names
        names[name] = field[1]
        parent = os.path.dirname(name)
        assert not parent or parent in names, "%s comes before its folder" % name
        at = (at + 110 + length + 3) // 4 * 4
        at = (at + size + 3) // 4 * 4


def test_data_disk(tmp_path):
    disk = board_kit.make_disk(tmp_path / "d.img", 64)
    path = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], stdout=subprocess.PIPE, check=True, env=path).stdout)["partitiontable"]
    (part,) = table["partitions"]
    assert table["label"] == "gpt" and part["name"] == "coracle-data" and part["start"] == 2048
    subprocess.run(["e2fsck", "-fn", "%s?offset=%d" % (disk, 2048 * 512)], check=True, stdout=subprocess.DEVNULL, env=path)
    stamp = disk.stat().st_mtime_ns
    board_kit.make_disk(disk, 64)
    assert disk.stat().st_mtime_ns == stamp         # kept


def test_a_vendored_package_with_other_bytes_is_refused(tmp_path):
    line = next(l.split() for l in (pack.BOARDS / "common/debs.lock").read_text().splitlines() if l.startswith("sha256"))
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    (vendor / line[2]).write_bytes(b"not the package")
    run = subprocess.run([pack.BOARDS / "common/deb", *line[3].split("/")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env=dict(os.environ, VENDOR=str(vendor), CORACLE_CACHE=str(tmp_path / "cache")))
    assert run.returncode == 1 and "has not the sha256" in run.stderr and run.stdout == ""
    assert not list((tmp_path / "cache/debs").glob("*.deb"))
