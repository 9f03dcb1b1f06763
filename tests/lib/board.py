# SPDX-License-Identifier: MIT
"""One board under QEMU, driven at its serial console by pexpect."""
import json, os, pathlib, re, shlex, subprocess, sys, tempfile, time
import pexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "boards/common"))
import pack

PROMPT = "coracle> "
# QEMU's TCG now and then lets a processor of the guest trip over a breakpoint that the kernel has just taken back from its own code (it patches itself
# where a feature is switched on or off), and the kernel dies of it. Nothing on a board can cause that.
EMULATORS_FAULT = "Oops: int3"
PATIENCE = float(os.environ.get("PATIENCE") or 1)      # times as long, for a long run at the lowest priority
BOOT_S, ANSWER_S = 120 * PATIENCE, 60 * PATIENCE      # generous: emulated, on a machine that may be busy


# A target's name for images, and its compiler's.
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7": "arm"}
GNU = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "armv7": "arm-linux-gnueabihf"}


def arch(name):
    return ARCH[pack.settings(name)["TARGET"]]


def gnu(name):
    return GNU[pack.settings(name)["TARGET"]]


def build_tool(name, source, to):
    """tests/tools/SOURCE as a static program for board NAME, by our own toolchain."""
    cc = pack.OUT.absolute() / pack.settings(name)["TARGET"] / "deps/bin/musl-gcc"
    subprocess.run([cc, "-static", "-O1", "-D_GNU_SOURCE", "-I", ROOT / "lib", "-o", to, ROOT / "tests/tools" / source], check=True)
    return pathlib.Path(to)


def make_disk(path, mib=256):
    subprocess.run([ROOT / "boards/common/data.sh", path, str(mib)], check=True)
    return pathlib.Path(path)


def put_files(disk, start, files):
    """{path: text} onto the FAT that begins at sector START of DISK, folders made."""
    at = "%s@@%d" % (disk, start * 512)
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            one = pathlib.Path(folder) / path
            one.parent.mkdir(parents=True, exist_ok=True)
            one.write_text(text)
        subprocess.run(["mcopy", "-s", "-o", "-i", at, *sorted(pathlib.Path(folder).iterdir()), "::"], check=True)


def fat_files(disk, start):
    """Names of all files of that FAT."""
    out = subprocess.run(["mdir", "-b", "-/", "-i", "%s@@%d" % (disk, start * 512), "::"], stdout=subprocess.PIPE, text=True, check=True)
    return {line.removeprefix("::/") for line in out.stdout.splitlines() if not line.endswith("/")}


class Board:
    """NAME: boards/NAME. FOLDER: of this board's files. ETC: what becomes /etc/coracle. DISK: data disk or None. NET: with a network card?
    CONF: text for board.conf instead of the board's. RTC, MEMORY: as QEMU takes them; APPEND: more kernel words; DRIVE: more
    of -drive; BIN_FOLDER: of other programs; MODULES: more of the kernel's; MORE: words for QEMU; IS_IMAGE: the disk holds all, the
    board's firmware boots it; FORWARD: a port of this machine that leads to one of the board; WHICH: the kernel of that name in boards/NAME/board."""

    def __init__(self, folder, etc, disk, name, net=True, conf=None, rtc=None, memory=512, append="", drive="", bin_folder=None, is_image=False,
                 forward="", modules=(), more=(), which="KERNEL"):
        self.about, self.folder, self.disk = pack.settings(name), pathlib.Path(folder), disk
        if not is_image:
            self.vmlinuz, self.initramfs = pack.pack(name, etc, [("registry.demo", "10.0.2.2")], out=folder, board_conf=conf, bin_folder=bin_folder,
                                                     extra_modules=modules, which=which)
        about = self.about
        words = shlex.split(about["QEMU"]) + ["-nodefaults", "-display", "none", "-serial", "stdio", "-m", str(memory), "-smp", "2",
                                              "-accel", os.environ.get("ACCEL") or "tcg,thread=multi"]
        devices = re.findall(r"-device (\S+)", about["DEVICES"])
        if disk:
            words += ["-drive", "id=d0,file=%s,format=raw,if=none%s%s" % (disk, "" if "cache=" in drive else ",cache=writethrough", drive and "," + drive)]
        if net:
            words += ["-netdev", "user,id=n0" + (",hostfwd=" + forward if forward else "")]
        for device in devices:
            if ("drive=" in device and not disk) or ("netdev=" in device and not net):
                continue
            words += ["-device", device]
        words += list(more)
        if rtc:
            words += ["-rtc", "base=" + rtc]
        self.command = words + (self.firmware() if is_image else [
            "-kernel", str(self.vmlinuz), "-initrd", str(self.initramfs),
            "-append", "console=%s panic=-1 quiet loglevel=3 %s" % (about["CONSOLE"], append)])
        self.console, self.log = None, open(self.folder / "console.log", "a")

    def firmware(self):
        if "BIOS" in self.about:
            return ["-bios", self.about["BIOS"]]
        code, variables = self.about["PFLASH"].split()
        mine = self.folder / "variables.fd"
        if not mine.exists():
            mine.write_bytes(pathlib.Path(variables).read_bytes())
        return ["-drive", "if=pflash,format=raw,readonly=on,file=" + code, "-drive", "if=pflash,format=raw,file=%s" % mine]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def start(self):
        self.console = pexpect.spawn(self.command[0], self.command[1:], timeout=ANSWER_S, encoding="utf-8", codec_errors="replace",
                                     dimensions=(50, 200))
        self.console.logfile_read = self.log
        self.wait_prompt(BOOT_S)
        return self

    def kill(self):
        if self.console:
            self.console.close(force=True)
        self.log.close()

    def told(self):
        """All that the console said, for a failed test."""
        self.log.flush()
        return (self.folder / "console.log").read_text()

    def wait_prompt(self, timeout=ANSWER_S):
        try:
            self.console.expect_exact(PROMPT, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF) as e:
            raise AssertionError("no prompt (%s); the console said:\n%s" % (type(e).__name__, self.told()[-16000:]))
        return self.console.before

    def say(self, line, timeout=ANSWER_S):
        """What a command at the prompt answers, without the echo."""
        self.console.sendline(line)
        out = self.wait_prompt(timeout)
        return out.partition(line)[2].replace("\r", "").lstrip("\n")

    def settle(self, quiet=2):
        """Steps over what is still being said: a line that is drawn anew shows the prompt more than once."""
        while self.console.expect([pexpect.TIMEOUT, r"(?s).+"], timeout=quiet) == 1:
            pass

    def status(self):
        """`status --json`. Lines that PID 1 says in between are stepped over."""
        for _ in range(3):
            out = self.say("status --json")
            for line in out.splitlines():
                if line.startswith("{"):
                    try:
                        return json.loads(line)
                    except ValueError:
                        pass
        raise AssertionError("status --json is no JSON:\n" + out)

    def unit(self, name):
        return next((u for u in self.status()["units"] if u["name"] == name), None)

    def wait_unit(self, name, state, timeout=120, and_also=lambda unit: True):
        end, unit = time.monotonic() + timeout * PATIENCE, None
        while time.monotonic() < end:
            unit = self.unit(name)
            if unit and unit["state"] == state and and_also(unit):
                return unit
            time.sleep(1)
        raise AssertionError("%s is not %s after %d s but %s\n%s\n%s" % (name, state, timeout, unit, self.say("status"), self.say("log")))

    def wait_says(self, command, pattern, timeout=60):
        """Repeats COMMAND until its answer holds PATTERN; the match."""
        end, out = time.monotonic() + timeout * PATIENCE, ""
        while time.monotonic() < end:
            out = self.say(command)
            found = re.search(pattern, out)
            if found:
                return found
            time.sleep(1)
        raise AssertionError("%r never says %r but\n%s" % (command, pattern, out))

    def reboot(self):
        self.console.sendline("reboot")
        self.console.expect_exact("rebooting", timeout=ANSWER_S)
        self.wait_prompt(BOOT_S)

    def poweroff(self):
        """QEMU's exit status after `poweroff`."""
        self.console.sendline("poweroff")
        try:
            self.console.expect(pexpect.EOF, timeout=ANSWER_S)
        except pexpect.TIMEOUT:
            raise AssertionError("did not power off\n" + self.told()[-3000:])
        self.console.close()
        return self.console.exitstatus
