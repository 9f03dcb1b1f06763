# SPDX-License-Identifier: MIT
"""A board from power-on to power-off, at its serial console, with the real registry: first boot, a boot without a registry,
and what may go wrong on the way. Tests run in this order: the first fills the disk that two later ones boot from."""
import calendar, json, os, re, shutil, socket, subprocess, threading, time
import pexpect
import pytest
import board as board_kit
import images
import kernel
import registry as registry_kit
import screen

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def debugfs(disk, *commands):
    """What debugfs says to COMMANDS on the file system of a board's disk, which is not mounted."""
    words = ["-R", commands[0]] if len(commands) == 1 else ["-f", "-"]
    path = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", DEBUGFS_PAGER="cat")
    return subprocess.run(["debugfs", "-w", *words, "%s?offset=%d" % (disk, 1 << 20)], env=path, input="\n".join(commands) + "\n",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def same_picture(board):
    """README's picture is what a board prints."""
    lines = screen.shown([(command, board.say(command)) for command in ("status", "status hello")])
    if os.environ.get("DRAW"):
        screen.PICTURE.write_text(screen.svg(lines))
    assert screen.shape(lines) == screen.shape(screen.lines_of(screen.PICTURE.read_text())), "make it anew: DRAW=1, this test"


def seconds(clock):
    return calendar.timegm(time.strptime(clock, "%Y-%m-%d %H:%M:%SZ"))


def lines_of(board, unit, pattern):
    """Of `logs UNIT`, without time and stream, those that match PATTERN."""
    found = [re.match(r"\S+ (stdout|stderr) [FP] (.*)", line) for line in board.say("logs " + unit).splitlines()]
    return [m.group(2) for m in found if m and re.search(pattern, m.group(2))]


@pytest.mark.every_board
def test_first_boot(boot, etc, registry, first_disk, board_name):
    """`make run` as a newcomer sees it."""
    board = boot(disk=first_disk)
    hello = board.wait_unit("hello", "running")
    index, _, _ = registry.manifest("demo/hello", "1")
    assert hello["digest"] == registry.digest("demo/hello") or hello["digest"].encode() in index
    assert hello["signer"] == "/etc/coracle/keys/cosign.pub"
    assert hello["restarts"] == 0
    assert 0 < hello["memory"] < hello["memory_max"]
    refused = board.wait_unit("unsigned", "refused")
    assert "signature" in refused["reason"] and not refused["digest"]

    screen = board.say("status")
    assert re.search(r"(?m)^data      /data ext4 vda1  \d+ MiB free", screen)
    assert re.search(r"(?m)^network   eth0 10\.0\.2\.15/24 via 10\.0\.2\.2", screen)
    assert re.search(r"(?m)^units     1 running, 1 refused", screen)
    assert re.search(r"(?m)^hello +running +\d\d:\d\d:\d\d +0 +\d\S* +registry\.demo:%d/demo/hello:1" % registry.port, screen)
    assert "digest " + hello["digest"] in screen and "signed by " + hello["signer"] in screen
    assert re.search(r"(?m)^unsigned +refused", screen) and refused["reason"][:40] in screen

    assert "this kernel has no overlay" not in board.say("log -n 2000")      # it is a module, looked for after the modules are in
    if board_name == "qemu-x86_64":
        same_picture(board)
    # Nothing of the refused image but its manifest was asked for.
    asked = [r for r in registry.requests_seen() if "/demo/unsigned/blobs/" in r and r.startswith("GET")]
    assert asked == []
    inside(board)
    restart(board, hello)
    assert board.poweroff() == 0
    assert "not umounted" not in board.told() and "clean" in debugfs(first_disk, "stats -h") and "needs_recovery" not in debugfs(first_disk, "features")


@pytest.mark.every_board
def test_make_run(board_name, tmp_path):
    """The newcomer's command itself: what it says, the prompt it ends at, and that it leaves no registry behind."""
    env = dict(os.environ, RUN_DIR=str(tmp_path), DEMO_PORT=str(registry_kit.free_port()), O=str(board_kit.pack.OUT))
    run = pexpect.spawn(str(board_kit.ROOT / "boards/common/run.sh"), [board_name], env=env, cwd=str(board_kit.ROOT), timeout=900,
                        encoding="utf-8", codec_errors="replace", dimensions=(50, 200))
    run.logfile_read = open(tmp_path / "console.log", "w")
    try:
        for said in ("run: building the programs", "demo: registry on https://", "run: booting", "Ctrl-A X", board_kit.PROMPT):
            run.expect_exact(said)
        end, screen = time.monotonic() + 120, ""
        while "1 running, 1 refused" not in screen and time.monotonic() < end:
            time.sleep(1)
            run.sendline("status")
            run.expect_exact(board_kit.PROMPT)
            screen = run.before
        assert "1 running, 1 refused" in screen, screen
        run.sendline("poweroff")
        run.expect_exact("run: registry stopped", timeout=60)
        run.expect(pexpect.EOF)
    finally:
        run.close(force=True)
        subprocess.run(["/usr/bin/python3", board_kit.ROOT / "tests/demo/demo.py", "stop", tmp_path / "demo"], check=True)
    assert not (tmp_path / "demo/pid").exists()


def inside(board):
    """What the program saw: it can write nowhere, sees itself alone, and has no more rights than a unit gets."""
    end = time.monotonic() + 60
    while not lines_of(board, "hello", "alive") and time.monotonic() < end:
        time.sleep(1)
    (started,) = lines_of(board, "hello", "started on")
    assert "pid 1, uid 1000, gid 1000" in started
    assert lines_of(board, "hello", "writing /probe") == ["hello: writing /probe: Read-only file system"]
    assert lines_of(board, "hello", "writing /usr")[0].endswith(("Read-only file system", "Permission denied"))
    assert lines_of(board, "hello", "share/hello/greeting") == ["hello: /usr/share/hello/greeting: a greeting from layer 3"]
    assert lines_of(board, "hello", "share/hello/removed")[0].endswith("No such file or directory")
    assert lines_of(board, "hello", "processes I can see") == ["hello: processes I can see: 1"]
    assert lines_of(board, "hello", "CapEff")[0].split()[-1] == "0" * 16
    assert lines_of(board, "hello", "NoNewPrivs")[0].split()[-1] == "1"
    assert lines_of(board, "hello", "Seccomp:")[0].split()[-1] == "2"
    assert lines_of(board, "hello", "went to stderr")
    assert re.search(r"(?m)^\S+ stderr F hello: this line", board.say("logs hello"))


def restart(board, before):
    board.say("restart hello")
    after = board.wait_unit("hello", "running", and_also=lambda u: u["pid"] != before["pid"])
    assert after["digest"] == before["digest"]
    assert lines_of(board, "hello", "told to stop") == ["hello: told to stop, bye"]
    board.wait_says("ps", r"hello .* /usr/bin/hello")      # [hello] where the machine is so slow that its command line takes too long


@pytest.mark.every_board
def test_second_boot_needs_no_registry(boot, registry, first_disk):
    """Without a registry hello starts from the disk; across `reboot` too; the other unit says what it lacks."""
    registry.stop()
    try:
        board = boot(disk=first_disk)
        hello = board.wait_unit("hello", "running", timeout=60)
        assert hello["signer"] == "/etc/coracle/keys/cosign.pub" and DIGEST.fullmatch(hello["digest"])
        waits = board.wait_unit("unsigned", "backoff")
        assert "registry.demo:%d" % registry.port in waits["reason"]
        board.reboot()
        assert board.wait_unit("hello", "running", timeout=60)["digest"] == hello["digest"]
        assert board.status()["up_ms"] < 120000
        assert board.poweroff() == 0
    finally:
        registry.start()


def test_pull_heals_when_the_registry_comes(boot, registry, unit_text):
    registry.stop()
    try:
        board = boot(units={"hello.container": unit_text()})
        board.wait_unit("hello", "backoff")
    finally:
        registry.start()
    board.wait_unit("hello", "running", timeout=180)
    assert board.poweroff() == 0


def built(board):
    config = (board_kit.pack.OUT / board.about["TARGET"] / "config.h").read_text()
    return int(re.search(r"CONFIG_BUILD_STAMP (\d+)", config).group(1))


def test_clock_of_1970(boot, registry):
    """No RTC, and nothing kept: later than the build it certainly is; the registry's certificate is younger, which heals."""
    board = boot(rtc="1970-01-01T00:00:00")
    made = subprocess.run(["openssl", "x509", "-noout", "-startdate", "-in", str(registry.ca)], stdout=subprocess.PIPE, text=True).stdout
    begin = calendar.timegm(time.strptime(made.strip().partition("=")[2], "%b %d %H:%M:%S %Y GMT"))
    status = board.status()
    assert status["clock_floor"] and built(board) <= seconds(status["clock"]) < begin
    assert re.search(r"(?m)^clock     20\d\d-.*no clock in hardware", board.say("status"))
    hello = board.wait_unit("hello", "backoff")
    assert re.search(r"certificate is not valid at 20\d\d-.*this board's time.*Is the clock right", hello["reason"])
    assert board.poweroff() == 0


def test_clock_of_1970_after_a_pull(boot, first_disk):
    """No RTC, but a time that a registry's certificate confirmed: the clock goes on from there, and pulls work."""
    kept = int(debugfs(first_disk, "cat /state/clock").splitlines()[-1])
    board = boot(disk=first_disk, rtc="1970-01-01T00:00:00")
    board.wait_unit("hello", "running", timeout=60)
    status = board.status()
    assert kept > built(board) and status["clock_floor"] and seconds(status["clock"]) >= kept
    assert "clock: it was before the last confirmed time" in board.say("log")
    assert "no signature" in board.wait_unit("unsigned", "refused")["reason"]
    assert board.poweroff() == 0


def test_bad_units_do_not_hinder_the_others(boot, unit_text):
    board = boot(units={
        "good.container": unit_text(),
        "key.container": unit_text("Imagee=typo"),
        "value.container": unit_text("Memory=lots"),
        "empty.container": "",
        "garbage.container": "\x01\x02 [[[ no unit at all\n",
    })
    board.wait_unit("good", "running")
    wrong = {u["name"]: u for u in board.status()["units"] if u["name"] != "good"}
    assert set(wrong) == {"key", "value", "empty", "garbage"}
    assert all(u["state"] == "refused" for u in wrong.values())
    assert re.search(r"key\.container:3: .*Imagee.*Image", wrong["key"]["reason"])
    assert re.search(r"value\.container:3: .*Memory", wrong["value"]["reason"])
    assert re.search(r"garbage\.container:1", wrong["garbage"]["reason"])
    assert board.poweroff() == 0


def test_no_disk(boot):
    board = boot(disk=None)
    board.wait_says("status", r"(?m)^data      not mounted: no partition with GPT label coracle-data")
    assert board.status()["data"]["mounted"] is False
    assert board.unit("hello")["state"] not in ("running", "refused")
    assert board.poweroff() == 0


@pytest.mark.parametrize("disks", (1, 2))
def test_two_partitions_of_one_label(boot, tmp_path, disks):
    """On one disk, or a disk that was plugged in beside the board's own: which one holds the data is not guessed."""
    disk, other = board_kit.make_disk(tmp_path / "twice.img", 64), board_kit.make_disk(tmp_path / "other.img", 64)
    if disks == 1:
        table = "size=61440, type=L, name=coracle-data\nsize=61440, type=L, name=coracle-data\n"
        path = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        subprocess.run(["sfdisk", "-q", "--label", "gpt", disk], input=table, text=True, check=True, env=path)
    before = disk.read_bytes(), other.read_bytes()
    board = boot(disk=disk, more=("-drive", "id=d1,file=%s,format=raw,if=none" % other, "-device", "virtio-blk,drive=d1") if disks == 2 else ())
    board.wait_says("status", r"(?m)^data      not mounted: more than one partition has the GPT label coracle-data; rename or detach one")
    assert board.poweroff() == 0
    assert (disk.read_bytes(), other.read_bytes()) == before


def test_corrupt_data_partition(boot, tmp_path):
    disk = board_kit.make_disk(tmp_path / "corrupt.img")
    with open(disk, "r+b") as f:            # the partition's label stays; superblock, its first copy and all between are noise
        f.seek(1 << 20)
        f.write(b"\xa5" * (140 << 20))
    before = disk.read_bytes()
    board = boot(disk=disk)
    assert board.status()["data"]["mounted"] is False
    assert re.search(r"(?m)^data      not mounted: /dev/vda1: .*mkfs", board.wait_says("status", r"(?s).*mkfs.*").group(0))
    assert board.poweroff() == 0
    assert disk.read_bytes() == before      # nobody formatted anything


def test_an_ext4_that_lacks_a_module_says_so(etc, tmp_path):
    """On qemu-armv7, whose kernel has ext4 and crc32c as modules, without the latter: the kernel's own word is "No such file"."""
    own, name = tmp_path / "etc", "qemu-armv7"
    shutil.copytree(etc, own)
    order = kernel.modules(kernel.unpack(board_kit.pack.settings(name)["KERNEL"]), board_kit.pack.words(board_kit.pack.BOARDS / name / "modules"))
    (own / "modules").write_text("".join("/lib/modules/coracle/%s.ko\n" % n for n, _ in order if n != "crc32c_generic"))
    with board_kit.Board(tmp_path, own, board_kit.make_disk(tmp_path / "data.img", 64), name) as board:
        lacks = "asks for a part of the kernel that is not loaded .crc32c: crc32c_generic.: add its module to /etc/coracle/modules"
        board.wait_says("status", r"(?m)^data      not mounted: /dev/vda1: .*: ext4 " + lacks)
        assert re.search(r"libcrc32c.ko: not loaded: it " + lacks, board.say("log -n 200"))
        assert "crc32c" in board.say("log --kernel -n 400")
        assert board.poweroff() == 0


def test_full_disk(boot, big, first_disk, unit_text, tmp_path):
    """Not one free block: what is there runs, what would have to be pulled says why it is not, and is when there is room."""
    disk = tmp_path / "full.img"
    shutil.copy(first_disk, disk)
    (tmp_path / "filler").write_bytes(os.urandom(1 << 20))
    names = ["filler%d" % i for i in range(disk.stat().st_size >> 20)]
    assert "Could not allocate block" in debugfs(disk, *("write %s %s" % (tmp_path / "filler", n) for n in names))
    units = {"hello.container": unit_text(), "big.container": unit_text(name="big")}

    board = boot(units=units, disk=disk)
    board.wait_unit("hello", "running", timeout=60)
    big = board.wait_unit("big", "backoff")
    assert "No space left on device" in big["reason"], big
    assert re.search(r"(?m)^data      /data ext4 vda1  0 MiB free", board.say("status"))
    assert board.poweroff() == 0

    debugfs(disk, *("rm " + n for n in names))
    board = boot(units=units, disk=disk)
    board.wait_unit("hello", "running", timeout=60)
    board.wait_unit("big", "backoff", and_also=lambda u: u["digest"] and "Exec format" in u["reason"])  # it came as far as its exec
    assert board.poweroff() == 0


def test_write_protected_disk(boot, first_disk, tmp_path):
    """What is on it runs; what would have to be pulled says why it is not."""
    disk = tmp_path / "protected.img"
    shutil.copy(first_disk, disk)
    board = boot(disk=disk, drive="readonly=on")
    board.wait_unit("hello", "running", timeout=60)
    assert re.search(r"(?m)^data      /data ext4 vda1  \d+ MiB free  READ-ONLY: write-protected", board.say("status"))
    assert board.status()["data"]["read_only"]
    unsigned = board.wait_unit("unsigned", "refused")       # nothing of it would be written
    assert "no signature" in unsigned["reason"]
    board.say("restart hello")
    board.wait_unit("hello", "running", and_also=lambda u: u["for_ms"] < 5000)
    assert board.poweroff() == 0


def test_damage_found_while_running(boot, big, etc, first_disk, unit_text, tmp_path):
    """The disk's list of free blocks is noise: the kernel stops using the disk at the first write, which is PID 1's own count of resets,
    so nothing starts from it; each unit says why, `status` what to do, the console answers, and nothing is reformatted."""
    disk = tmp_path / "damaged.img"
    shutil.copy(first_disk, disk)
    at = int(re.search(r"block bitmap at (\d+)", debugfs(disk, "stats")).group(1))
    with open(disk, "r+b") as f:
        f.seek((1 << 20) + at * 4096)
        f.write(os.urandom(4096))
    board = boot(units={"hello.container": (etc / "units/hello.container").read_text(), "big.container": unit_text(name="big")}, disk=disk)
    for name in ("hello", "big"):
        assert re.search("I/O error|Structure needs cleaning", board.wait_unit(name, "backoff")["reason"])
    assert board.status()["data"]["errors"] > 0
    assert re.search(r"(?m)^data      /data ext4 vda1.* DAMAGED: the kernel found \d+ errors.*e2fsck", board.say("status"))
    assert board.poweroff() == 0


def test_a_store_of_a_later_version(boot, first_disk, tmp_path):
    """Nothing of it is used or changed, and it is said."""
    disk = tmp_path / "later.img"
    shutil.copy(first_disk, disk)
    (tmp_path / "format").write_text("coracle-store 7\n")
    debugfs(disk, "rm format", "write %s format" % (tmp_path / "format"))
    board = boot(disk=disk)
    for name in ("hello", "unsigned"):
        assert "not of this version" in board.wait_unit(name, "backoff")["reason"]
    assert board.poweroff() == 0
    assert "coracle-store 7" in debugfs(disk, "cat /format")


def test_no_network_card(boot):
    board = boot(net=False)
    assert board.unit("hello")["state"] != "running"
    assert re.search(r"(?m)^network   .*no (address|interface)", board.say("status"))
    unit = board.wait_unit("hello", "backoff", timeout=180)
    assert unit["reason"]
    assert board.poweroff() == 0


class Cables(threading.Thread):
    """QEMU's monitor at PATH, which a board started with -S waits for: pulls the cables NAMES, lets it run; plug() is for later."""

    def __init__(self, path, names):
        super().__init__(daemon=True)
        self.path, self.names = str(path), names
        self.words = ("-S", "-qmp", "unix:%s,server=on,wait=off" % path)
        self.start()

    def run(self):
        end = time.monotonic() + 120
        self.monitor = socket.socket(socket.AF_UNIX)
        while self.monitor.connect_ex(self.path) != 0 and time.monotonic() < end:
            time.sleep(0.1)
        self.answers = self.monitor.makefile()
        self.answers.readline()
        self.ask("qmp_capabilities")
        for name in self.names:
            self.ask("set_link", name=name, up=False)
        self.ask("cont")

    def ask(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        answer = {}
        while not {"return", "error"} & set(answer):        # events come in between
            answer = json.loads(self.answers.readline())
        assert "return" in answer, answer

    def plug(self, name):
        self.join()
        self.ask("set_link", name=name, up=True)


def test_two_network_cards_and_a_cable_that_comes_later(boot, tmp_path):
    """Neither has a cable: the console is there and says so; the second gets one: what had to be pulled comes."""
    cables = Cables(tmp_path / "qmp", ("n0", "n1"))
    board = boot(more=cables.words + ("-netdev", "user,id=n1", "-device", "virtio-net,netdev=n1,romfile="))
    board.wait_says("status", r"(?m)^network   .*no address")
    assert board.wait_unit("hello", "backoff", timeout=180)["reason"]
    cables.plug("n1")
    board.wait_says("status", r"(?m)^network   eth1 10\.0\.2\.15/24 via 10\.0\.2\.2", timeout=180)
    board.wait_unit("hello", "running", timeout=240)
    assert board.poweroff() == 0


def test_a_disk_too_small_and_an_image_for_another_architecture(boot, board_name, big, registry, unit_text, tmp_path):
    """Each unit says its own reason; the one that fits and runs here does."""
    arch = "arm" if board_name == "qemu-x86_64" else "amd64"
    images.make_image(tmp_path / "image", [[images.entry("big", b"none of this", mode=0o755)]], config={"Entrypoint": ["/big"]}, arch=arch)
    registry.push(tmp_path / "image", "demo/big", "foreign")
    registry.sign("demo/big", registry.key("cosign"), "foreign", identity="registry.demo:%d/demo/big" % registry.port)
    board = boot(units={"hello.container": unit_text(), "big.container": unit_text(name="big"),
                        "foreign.container": unit_text(name="big").replace("/demo/big:1", "/demo/big:foreign")}, mib=17)
    board.wait_unit("hello", "running", timeout=240)
    small = board.wait_unit("big", "backoff", and_also=lambda u: "room" in u["reason"])
    assert re.match(r"the image needs at least \d+ MiB of room, the store has \d+ MiB", small["reason"]) and not small["digest"]
    foreign = board.wait_unit("foreign", "refused")
    assert re.match(r"the image is for linux/%s\S*, this board runs linux/" % arch, foreign["reason"]) and not foreign["digest"]
    assert board.poweroff() == 0


def test_programs_that_misbehave(boot, unit_text):
    """Each is contained, counted, backed off; the good one beside them is not touched."""
    board = boot(units={
        "good.container": unit_text(),
        "exits.container": unit_text("Exec=exit 3"),
        "forks.container": unit_text("Exec=fork\nPidsLimit=20\nMemory=32m"),
        "eats.container": unit_text("Exec=eat\nMemory=24m"),
        "deaf.container": unit_text("Exec=deaf\nStopTimeout=2"),
    })
    good = board.wait_unit("good", "running", timeout=240)
    exits = board.wait_unit("exits", "backoff", and_also=lambda u: u["restarts"] >= 2)
    assert "code 3" in exits["reason"]
    eats = board.wait_unit("eats", "backoff", and_also=lambda u: u["restarts"] >= 1)
    assert re.search(r"memory|out of memory|signal 9", eats["reason"])
    board.wait_unit("forks", "running")
    said = board.wait_says("logs forks", r"hello: fork (\d+): Resource temporarily unavailable")
    assert int(said.group(1)) <= 20
    board.wait_unit("deaf", "running")
    board.say("stop deaf")
    board.wait_unit("deaf", "inactive", timeout=30)
    board.say("stop forks")
    board.wait_unit("forks", "inactive", timeout=60)
    assert "hello" not in [line.split()[0] for line in board.say("ps").splitlines()[1:] if line.startswith(("forks", "deaf"))]
    still = board.unit("good")
    assert still["state"] == "running" and still["pid"] == good["pid"] and still["restarts"] == 0
    assert board.poweroff() == 0


def test_an_image_signed_by_a_stranger(boot, unit_text):
    board = boot(units={"hello.container": unit_text(), "stranger.container": unit_text(name="stranger")})
    board.wait_unit("hello", "running")
    refused = board.wait_unit("stranger", "refused")
    assert re.search(r"signature|key", refused["reason"]) and not refused["digest"]
    assert board.poweroff() == 0


@pytest.mark.every_board("qemu-armv7")
def test_the_console_outlives_nonsense(boot):
    board = boot(units={})
    for line in ("nosuchcommand", "status nosuchunit", "logs", "restart nosuchunit", "\x01\x02\x1b[31m", "x" * 400):
        board.console.send(line + "\r")
        board.wait_prompt()
        board.settle()
    assert board.say("version").startswith("coracle ")
    assert board.status()["units"] == []
    assert board.poweroff() == 0
