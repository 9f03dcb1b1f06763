# SPDX-License-Identifier: MIT
"""A board that is set up from the FAT partition of its disk, and from its console; the factory reset takes all of it back."""
import os, re, subprocess
import pytest
import board as board_kit

PATH = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
FAT = 2048                      # its first sector


@pytest.fixture
def disk(tmp_path):
    """GPT: a FAT of 8 MiB labelled coracle-provision, and coracle-data."""
    path = board_kit.make_disk(tmp_path / "two.img", 64)
    with open(path, "r+b") as f:        # the data partition 16 MiB further on
        f.seek(1 << 20)
        data = f.read(62 << 20)
        f.truncate(96 << 20)
        f.seek(1 << 20)
        f.write(bytes(16 << 20))
        f.write(data)
    table = "start=%d, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=coracle-provision\n" \
            "start=%d, size=%d, type=L, name=coracle-data\n" % (FAT, FAT + 32768, 62 * 2048)
    subprocess.run(["sfdisk", "-q", "--label", "gpt", path], input=table, text=True, check=True, env=PATH)
    subprocess.run(["mformat", "-i", "%s@@%d" % (path, FAT * 512), "-v", "PROVISION", "-T", "16384", "-h", "16", "-s", "32", "::"], check=True)
    return path


def test_set_up_by_a_technician(boot, board_name, disk, etc, registry, unit_text):
    """Host name, static address, a unit, a secret, credentials and certificate authority; a unit with a mistake is
    named and stays; then the console; then the reset."""
    login = (etc / "auth.json").read_text()
    board_kit.put_files(disk, FAT, {
        "board.conf": "hostname=pump-3\nnetwork=static eth0 10.0.2.77/24 10.0.2.2\n", "auth.json": login, "secrets/token": "s3cret-s3cret",
        "certs.d/registry.demo+%d/ca.crt" % registry.port: registry.ca.read_text(),
        "units/mine.container": unit_text("Secret=token"), "units/wrong.container": unit_text("Imagee=typo")})
    board = boot(units={}, disk=disk, without=("auth.json", "certs.d"))
    board.wait_unit("mine", "running")
    status = board.status()
    assert status["hostname"] == "pump-3" and re.fullmatch("mac-[0-9a-f]{12}", status["device"])
    screen = board.say("status")
    assert re.search(r"(?m)^network   eth0 10\.0\.2\.77/24 via 10\.0\.2\.2 \(static\)", screen)
    assert re.search(r"units/wrong\.container:3: .*Imagee", screen) and "s3cret" not in board.say("log")
    assert board.unit("wrong") is None
    board.say("set hostname=pump-4")
    assert "network: dhcp" in board.say("set network=nonsense")
    board.reboot()
    board.wait_unit("mine", "running")
    assert board.status()["hostname"] == "pump-4" and "10.0.2.77" in board.say("status")
    assert board_kit.fat_files(disk, FAT) == {"units/wrong.container"}      # what was taken is gone from the FAT, name and
    fat = disk.read_bytes()[FAT * 512:(FAT + 16384) * 512]                  # bytes
    assert b"s3cret-s3cret" not in fat and login.encode() not in fat
    board.console.sendline("reset pump-4")
    board.console.expect_exact("PID 1 ready", timeout=240)
    board.wait_prompt()
    status = board.status()
    assert status["hostname"] == board_name and board.unit("mine") is None
    assert re.search(r"\(dhcp\)", board.say("status"))
    assert board.poweroff() == 0
