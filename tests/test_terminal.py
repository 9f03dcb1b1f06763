# SPDX-License-Identifier: MIT
"""process.terminal: a pty of the container's own, the caller's terminal on the other side of it."""
import json, os, signal, subprocess, termios, time
import pexpect, pytest

import bundle_kit


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        os.chmod(d, 0o755)
        yield bundle_kit.Kit(d)


def make(kit, *args, change=None, **process):
    b = kit.bundle()
    c = kit.config(*args, terminal=True, **process)
    if change:
        change(c, b)
    (b / "config.json").write_text(json.dumps(c))
    subprocess.run([bundle_kit.BUNDLE, "compile", b], check=True, capture_output=True)
    return b


def spawn(bundle, rows=24, cols=80):
    return pexpect.spawn(str(bundle_kit.INIT), ["run", str(bundle)], timeout=20, encoding="utf-8", dimensions=(rows, cols))


def mapped(c, b):
    c["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        c["linux"][key] = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
    for path in [b / "rootfs", *(b / "rootfs").rglob("*")]:
        os.lchown(path, 1000000, 1000000)


@pytest.mark.parametrize("change", [None, mapped], ids=["host", "userns"])
@pytest.mark.parametrize("uid", [0, 1000])
def test_program_has_a_terminal_of_its_own(kit, change, uid):
    outer = os.stat("/dev/console").st_uid
    t = spawn(make(kit, "tty", ".", "stat", "/dev/console", "open", "/dev/tty", "open", "/dev/console", "links", "/proc/self/fd", "exit", 7, change=change,
                   user={"uid": uid, "gid": uid}))
    t.expect(pexpect.EOF)
    out = t.before
    t.close()
    assert t.exitstatus == 7, out
    assert "tty 0 1 1 1 2 1 name /dev/pts/0 foreground 1" in out
    assert f"stat /dev/console=20620 {uid}:5 136:0" in out and "open /dev/tty=0" in out and "open /dev/console=0" in out
    assert out.count("ls /proc/self/fd=") == 3
    assert os.stat("/dev/console").st_uid == outer


def test_lines_both_ways_and_sizes(kit):
    t = spawn(make(kit, "lines", ".", "exit", 0), 30, 100)
    t.sendline("hello")
    t.expect_exact("line 'hello' at 30x100")
    t.setwinsize(50, 132)
    for _ in range(100):    # the signal arrives when it arrives
        t.sendline("again")
        if t.expect_exact(["at 50x132", "at 30x100"]) == 0:
            break
    else:
        pytest.fail("the new size did not arrive")
    t.sendline("quit")
    t.expect_exact("over")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0


def test_interrupt_key_reaches_the_program_and_not_us(kit):
    t = spawn(make(kit, "term", "interrupted"))
    t.expect_exact("ready")
    t.sendintr()
    t.expect_exact("interrupted")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 40 + signal.SIGINT


def test_long_output_is_whole(kit):
    args = [x for i in range(200) for x in ("echo", "%04d" % i + "x" * 200)]
    t = spawn(make(kit, *args, "exit", 5))
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 5
    assert [line[:4] for line in t.before.split("\r\n") if line] == ["%04d" % i for i in range(200)]


def test_without_a_terminal_of_our_own(kit):
    p = subprocess.run([bundle_kit.INIT, "run", make(kit, "tty", ".", "lines", ".", "exit", 3)], input="from a pipe\n", capture_output=True, text=True, timeout=20)
    assert p.returncode == 3 and "tty 0 1 1 1 2 1" in p.stdout and "line 'from a pipe'" in p.stdout and "over" in p.stdout, p.stdout + p.stderr


def test_console_size_of_the_config(kit):
    p = subprocess.run([bundle_kit.INIT, "run", make(kit, "lines", ".", consoleSize={"height": 12, "width": 34})], input="x\nquit\n", capture_output=True, text=True,
                       timeout=20)
    assert "line 'x' at 12x34" in p.stdout, p.stderr


def test_our_terminal_is_as_before(kit):
    t = pexpect.spawn("/bin/sh", ["-c", f"stty -a > {kit.base}/before; {bundle_kit.INIT} run {make(kit, 'exit', 0)}; stty -a > {kit.base}/after"], timeout=20)
    t.expect(pexpect.EOF)
    t.close()
    assert (kit.base / "before").read_text() == (kit.base / "after").read_text()


def test_our_terminal_is_as_before_while_we_are_stopped(kit):
    """A shell that stops us reads its next command from a terminal that is as it was; continued, it is ours again, at the size it has by now."""
    t = spawn(make(kit, "lines", ".", "exit", 0), 30, 100)
    modes = lambda: termios.tcgetattr(t.child_fd)[:4]
    before = modes()
    t.sendline("hello")
    t.expect_exact("line 'hello' at 30x100")
    raw = modes()
    assert raw != before
    t.kill(signal.SIGTSTP)
    bundle_kit.wait_stopped(t.pid)
    assert modes() == before
    t.setwinsize(50, 132)
    t.kill(signal.SIGCONT)
    while modes() != raw:
        time.sleep(0.01)
    t.sendline("again")
    t.expect_exact("line 'again' at 50x132")
    t.sendline("quit")
    t.expect_exact("over")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0


@pytest.mark.parametrize("where", ["pts", "console", "pts/0", "ptmx"])
def test_cve_2025_52565_swapped_names_in_the_image(kit, where):
    """An image with links where terminals belong: none is followed, what they lead to is neither mounted on nor given away."""
    def change(c, b):
        victim = b / "victim"
        victim.write_text("untouched")
        path = b / "rootfs/dev" / where
        path.parent.mkdir(exist_ok=True)
        os.symlink("/victim" if where == "pts" else str(victim), path)
        os.link(victim, b / "rootfs/victim")
    b = make(kit, "tty", ".", "cat", "/victim", change=change)
    t = spawn(b)
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0 and "name /dev/pts/0" in t.before and "untouched" in t.before
    assert (b / "victim").stat().st_uid == 0 and (b / "victim").read_text() == "untouched"


def test_cve_2025_52565_ptmx_that_is_no_devpts(kit):
    """The container's /dev/pts is a volume with a ptmx of somebody's making."""
    def change(c, b):
        (b / "fake").mkdir()
        (b / "fake/ptmx").write_text("no terminal")
        c["mounts"] = [m for m in c["mounts"] if m["destination"] != "/dev/pts"]
        c["mounts"].append({"destination": "/dev/pts", "type": "bind", "source": str(b / "fake"), "options": ["bind"]})
    p = subprocess.run([bundle_kit.INIT, "run", make(kit, "exit", 0, change=change)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert p.returncode == 125 and "terminal" in p.stderr and "/dev/pts/ptmx" in p.stderr
