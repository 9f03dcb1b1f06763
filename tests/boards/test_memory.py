# SPDX-License-Identifier: MIT
"""A large image on a board of 64 MiB, all processes of its pull together in a cgroup of 24 MiB, the pages of what they write included. qemu-x86_64 has
96, as Debian's kernel for it takes 80 by itself; that for armv7 sets 16 aside for buffers of devices unless told cma=0."""
import os, shutil, subprocess, zlib
import pytest

import board as board_kit
import images

ROOT = board_kit.pack.BOARDS.parent
MIB, LAYERS = int(os.environ.get("MEMORY_MIB", "1024")), 8
BOARD_MIB = {"qemu-x86_64": 96}


def noise(data, how):
    c = zlib.compressobj(1, zlib.DEFLATED, 31)
    return c.compress(data) + c.flush(), "+gzip"


@pytest.mark.full
def test_an_image_of_a_gibibyte(board_name, boot, registry, unit_text, tmp_path, monkeypatch):
    target = board_kit.pack.settings(board_name)["TARGET"]
    built, bin_folder = ROOT / os.environ.get("O", "build") / target, tmp_path / "bin"
    shutil.copytree(built / "deps/bin", bin_folder / "deps/bin", symlinks=True)
    for name in ("coracle-init", "coracle-bundle"):
        shutil.copy(built / name, bin_folder / name)
    subprocess.run([built / "deps/bin/musl-gcc", "-static", "-Os", "-D_GNU_SOURCE", "-DLIMITED_MIB=24", "-o", bin_folder / "coracle-fetch",
                    ROOT / "tests/tools/limited.c"], check=True)
    monkeypatch.setattr(images, "compress", noise)
    layout, arch = tmp_path / "large", board_kit.arch(board_name)
    digest = images.make_image(layout, [[images.entry("part%d" % i, os.urandom(MIB // LAYERS << 20))] for i in range(LAYERS)], arch=arch,
                               config={"Entrypoint": ["/none"]})
    registry.push(layout, "demo/big")
    registry.sign("demo/big", registry.key("cosign"), identity="registry.demo:%d/demo/big" % registry.port)
    shutil.rmtree(layout)
    packed = board_kit.pack.programs

    def programs(root, folder):     # the real one looks for the unpacker beside itself
        packed(root, folder)
        root.dir("usr/bin/real")
        root.file("usr/bin/real/coracle-fetch", (built / "coracle-fetch").read_bytes(), 0o755)
        root.link("usr/bin/real/coracle-bundle", "../coracle-bundle")
    monkeypatch.setattr(board_kit.pack, "programs", programs)
    board = boot({"large.container": unit_text(name="big")}, mib=MIB + MIB // LAYERS + 200, memory=BOARD_MIB.get(board_name, 64),
                 bin_folder=bin_folder, append="cma=0")
    said = board.wait_says("log", r"limited: pull ended with (\d+); peak (\d+) KiB of 24576, killed (\d+)", timeout=3600)
    print(said.group(0))
    assert said.group(1) == said.group(3) == "0", board.say("log")
    assert digest in board.say("images --json")
    assert board.poweroff() == 0
