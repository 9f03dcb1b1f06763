# SPDX-License-Identifier: MIT
"""`make soak`: units that crash, hang, leak, fork without end, flood their log and ignore SIGTERM, on a board. PID 1's memory at half time and
at the end is the same, no zombie stays, and the console answers. SOAK_S: seconds, 60 by default. With CORACLE_FULL=1 or a longer run also the
control: a PID 1 that takes one page a tenth of the time has to be found out."""
import os, re, subprocess, time
import pytest
import images, init_kit

SECONDS = int(os.environ.get("SOAK_S") or 60)
CONF = "hostname=soak\ndata-label=coracle-data\nnetwork=dhcp\nuserns-host=watch\n"
UNITS = {
    "crash": ("exit 3", "", ""), "signal": ("signal 11", "", ""), "leak": ("leak", "Memory=16m", ""), "bomb": ("bomb", "PidsLimit=64", ""),
    "flood": ("flood", "", ""), "deaf": ("deaf x", "", "TimeoutStopSec=1"), "hang": ("notify READY=1", "Notify=yes", "WatchdogSec=2"),
    "sick": ("quiet", 'HealthCmd=["/guest", "check", "none"]\nHealthInterval=1s\nHealthRetries=2\nHealthOnFailure=restart', ""),
    "watch": ("watch /hostproc", "UserNS=host\nVolume=/proc:/hostproc:ro", ""),
}


@pytest.fixture(autouse=True)
def only_x86_64(board_name):
    if board_name != "qemu-x86_64":
        pytest.skip("skip: the soak runs on qemu-x86_64; nothing in it depends on the processor")


@pytest.fixture
def units(registry, tmp_path):
    guest = tmp_path / "guest"
    init_kit.musl(init_kit.ROOT / "tests/tools/guest.c", guest)
    images.make_image(tmp_path / "image", [[images.entry("guest", guest.read_bytes(), mode=0o755)]], config={"Entrypoint": ["/guest"]},
                      arch="amd64")
    registry.push(tmp_path / "image", "demo/hello", "soak")
    registry.sign("demo/hello", registry.key("cosign"), "soak", identity="registry.demo:%d/demo/hello" % registry.port)
    return {name + ".container": "[Unit]\nStartLimitBurst=0\n[Container]\nImage=registry.demo:%d/demo/hello:soak\nExec=%s\n%s\n\n[Service]\n"
            "Restart=always\nRestartSec=200ms\nRestartMaxDelaySec=1s\n%s\n%s" % (
                registry.port, args, container, service, "" if name == "watch" else "[X-Coracle]\nEnabled=no\n")
            for name, (args, container, service) in UNITS.items()}


def seen(board):
    """(VmRSS, VmData, zombies) of the last second."""
    found = re.findall(r"rss (\d+) data (\d+) zombies (\d+)", board.say("logs watch -n 3"))
    return tuple(map(int, found[-1])) if found else None


def answer_time(board):
    times = []
    for _ in range(5):
        begin = time.monotonic()
        board.say("status hang")
        times.append(time.monotonic() - begin)
    return sorted(times)[2]


def soak(board):
    """((rss, data) at half time, at the end), with everything else that must hold asserted."""
    board.wait_unit("watch", "running", 240)
    for _ in range(60):
        if seen(board):
            break
        time.sleep(1)
    idle = answer_time(board)
    for name in UNITS:
        board.say("start " + name)
    for name in ("crash", "leak", "hang", "sick", "signal"):
        board.wait_unit(name, "backoff", 240, and_also=lambda u: u["restarts"] > 0) if name != "watch" else None
    begin, half = time.monotonic(), None
    while time.monotonic() - begin < SECONDS:
        board.say("restart deaf")
        if half is None and time.monotonic() - begin > SECONDS / 2:
            half = seen(board)
        time.sleep(1)
    busy = answer_time(board)
    end = seen(board)
    units = {u["name"]: u for u in board.status()["units"]}
    assert any("memory limit" in e["reason"] for e in units["leak"]["ends"]), units["leak"]
    assert any("WatchdogSec" in e["reason"] for e in units["hang"]["ends"]), units["hang"]
    assert units["watch"]["restarts"] == 0 and units["bomb"]["restarts"] == 0 and units["flood"]["restarts"] == 0
    # The emulator's own jitter is not PID 1's: a tenth of a second is added.
    assert busy < 3 * idle + 0.1, (idle, busy)
    for name in UNITS:
        if name != "watch":
            board.say("stop " + name)
    for name in ("bomb", "deaf", "flood"):
        board.wait_unit(name, "inactive", 60)
    for _ in range(10):
        if seen(board)[2] == 0:
            break
        time.sleep(1)
    assert seen(board)[2] == 0, "zombies"
    print("soak %d s: rss %s kB, data %s kB at half time and %s, %s at the end; status in %.2f s idle, %.2f s busy" % (
        SECONDS, half[0], half[1], end[0], end[1], idle, busy))
    return half[:2], end[:2]


def test_soak(boot, units):
    board = boot(units=units, conf=CONF)
    half, end = soak(board)
    assert half == end
    assert board.poweroff() == 0


LEAK = """
#include <stdint.h>
struct pid1;
uint64_t __real_helper_scan(struct pid1 *p, uint64_t now_ms);
uint64_t __wrap_helper_scan(struct pid1 *p, uint64_t now_ms);
static char kept[1 << 24];
uint64_t __wrap_helper_scan(struct pid1 *p, uint64_t now_ms)
{
	static uint64_t last;
	static unsigned used;
	uint64_t next = __real_helper_scan(p, now_ms);

	if (now_ms - last >= %d) {
		kept[used++ * 4096] = 1;
		last = now_ms;
	}
	return next;
}
"""


@pytest.mark.full
def test_one_page_now_and_then_is_found(boot, units, tmp_path, monkeypatch):
    """The control: coracle-init linked with a leak of a page a tenth of the time (a minute of the full hour has 1.7 of them)."""
    build = init_kit.BUILD
    for name in build.iterdir():
        if name.name.startswith("coracle-") or name.name in ("coracle", "deps"):
            (tmp_path / "out/x86_64").mkdir(parents=True, exist_ok=True)
            os.symlink(name, tmp_path / "out/x86_64" / name.name)
    leaky = tmp_path / "out/x86_64/coracle-init"
    leaky.unlink()
    (tmp_path / "leak.c").write_text(LEAK % (SECONDS * 100))
    subprocess.run([build / "deps/bin/musl-gcc", "-static-pie", "-fPIE", "-Wl,--wrap=helper_scan", "-o", leaky, tmp_path / "leak.c",
                    build / "init/init_main.o", "-L%s" % (build / "deps/lib"), "-Wl,--start-group", build / "init/libinit.a",
                    build / "lib/liblib.a", "-Wl,--end-group"], check=True)
    subprocess.run(["strip", leaky], check=True)
    import pack
    monkeypatch.setattr(pack, "OUT", tmp_path / "out")
    half, end = soak(boot(units=units, conf=CONF))
    assert end[0] > half[0]
