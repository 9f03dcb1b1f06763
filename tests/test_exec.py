# SPDX-License-Identifier: MIT
"""`coracle exec`: a command in a running container is one of its processes and no more, and finds no way out while it comes in."""
import hashlib
import os
import re
import subprocess
import threading

import pexpect
import pytest

import bundle_kit
import init_kit


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    to = tmp_path_factory.mktemp("probe") / "probe"
    bundle_kit.build_probe(to)
    return to


@pytest.fixture
def box(board, probe):
    """A board that allows exec, whose units run the probe."""
    (board.rootfs / "probe").write_bytes(probe.read_bytes())
    (board.rootfs / "plain").write_text("no program")
    (board.rootfs / "evil").write_text("#!/proc/self/exe\n")
    os.symlink("/proc/self/exe", board.rootfs / "self")
    for name in ("probe", "evil"):
        os.chmod(board.rootfs / name, 0o755)
    board.conf(data_dir=str(board.data), console="none", hostname="bench", exec="yes")
    return board


def mapped(config):
    config["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        config["linux"][key] = [{"containerID": 0, "hostID": 1000000, "size": 65536}]


def unit(box, name, *args, change=None, **process):
    def all_changes(config):
        config["process"]["args"] = ["/probe", *map(str, args)]
        config["process"].update(process)
        if change:
            change(config)
    box.unit(name, change=all_changes)


def running(box, name="app"):
    if not box.process:
        box.start()
    box.wait_state(name, "running")
    return box.status(name)


def execute(box, name, *command, **kw):
    return box.coracle("exec", name, "--", *command, check=False, **kw)


def fields(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.parametrize("change", [None, mapped], ids=["host", "userns"])
def test_command_is_what_the_program_is(box, change):
    """Ids, capabilities, filter, no_new_privs, limits, namespaces, cgroup, environment and directory: the same words for both."""
    words = ("cat", "/proc/self/status", "ids", ".", "rlimit", 7, "pwd", ".", "host", ".", "env", "PATH", "cat", "/proc/self/cgroup", "cat", "/proc/self/uid_map",
             "cat", "/proc/self/oom_score_adj", "write", "/x", "sys", "mount", "key", "session", "links", "/proc/self/ns", "links", "/proc/self/fd")
    allow = [(0x06, 0, 0, 0x7fff0000)]
    unit(box, "app", *words, "term", "x", user={"uid": 1000, "gid": 1001, "additionalGids": [1002]}, oomScoreAdj=77,
         change=lambda c: (c.__setitem__("_filter", allow), change and change(c)))
    running(box)
    box.wait(lambda: " F ready" in box.coracle("logs", "app").stdout, "its words")
    own = re.sub(r"^\S+ std(?:out|err) F ", "", box.coracle("logs", "app", "-n", "400").stdout, flags=re.M)
    p = execute(box, "app", "/probe", *map(str, words), stdin=subprocess.DEVNULL)
    assert p.returncode == 0 and p.stderr == "", p
    one, other = fields(own), fields(p.stdout)
    for key in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask", "SigBlk", "SigIgn",
                "THP_enabled"):
        assert one.get(key) == other.get(key), key
    assert other["Seccomp"] == "2" and other["NoNewPrivs"] == "1" and other["CapEff"] == "0" * 16
    rest = lambda text: [x for x in re.sub(r"(?s)cat /proc/self/status:.*?end /proc/self/status\n", "", text).split("\nready")[0].splitlines()
                         if "self/fd" not in x]
    assert rest(own) == rest(p.stdout)
    assert len(re.findall("^ls /proc/self/fd=", p.stdout, re.M)) == 3, p.stdout      # 0, 1, 2; what the caller had open as 3 and more stays outside
    assert box.status("app")["restarts"] == 0 and "a command is run in it by coracle exec" in box.log()


def test_open_files_of_the_caller_stay_outside(box):
    unit(box, "app", "term", "x")
    running(box)
    with open("/etc/passwd") as secret:
        os.set_inheritable(secret.fileno(), True)
        p = execute(box, "app", "/probe", "links", "/proc/self/fd", pass_fds=(secret.fileno(),), stdin=subprocess.DEVNULL)
    assert "passwd" not in p.stdout and len(re.findall("^ls /proc/self/fd=", p.stdout, re.M)) == 3, p.stdout


def test_exit_status_is_the_commands(box):
    unit(box, "app", "term", "x")
    running(box)
    for command, code, said in ((("/probe", "exit", "0"), 0, ""), (("/probe", "exit", "93"), 93, ""), (("/probe", "raise", "9"), 137, ""),
                                (("/nope",), 127, "exec /nope: No such file"), (("nope",), 127, "exec nope"), (("/plain",), 126, "exec /plain: Permission denied"),
                                (("probe", "exit", "4"), 4, "")):
        p = execute(box, "app", *command)
        assert p.returncode == code and said in p.stderr, (command, p)
    p = box.coracle("exec", "app", "/probe", "exit", "5", check=False)     # without --
    assert p.returncode == 5
    for words in ((), ("app",), ("app", "--")):
        assert box.coracle("exec", *words, check=False).returncode == 2
    assert box.coracle("exec", "nobody", "/probe", check=False).returncode == 125
    assert box.state("app") == "running" and box.status("app")["restarts"] == 0


def test_only_where_the_board_allows_it_and_root_asks(box):
    unit(box, "app", "term", "x")
    unit(box, "off", "term", "x")
    box.units["off"]["is_enabled"] = 0
    box.conf(data_dir=str(box.data), console="none", hostname="bench")
    running(box)
    p = execute(box, "app", "/probe", "exit", "0")
    assert p.returncode == 125 and "exec=yes in board.conf" in p.stderr
    box.stop()
    box.process = None
    box.conf(data_dir=str(box.data), console="none", hostname="bench", exec="yes")
    running(box)
    assert execute(box, "app", "/probe", "exit", "6").returncode == 6
    p = execute(box, "off", "/probe", "exit", "0")
    assert p.returncode == 125 and "not running" in p.stderr
    p = execute(box, "app", "/probe", "exit", "0", user=65534)
    assert p.returncode == 125 and "only root" in p.stderr + "only root" * ("Permission denied" in p.stderr), p


def test_input_output_and_signals(box):
    unit(box, "app", "term", "x")
    running(box)
    p = execute(box, "app", "/probe", "lines", ".", input="one\nquit\n")
    assert p.stdout == "line 'one' at 0x0\nover\n" and p.returncode == 0
    c = subprocess.Popen([box.bin / "coracle", "--socket", box.socket(), "exec", "app", "--", "/probe", "term", "told"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True)
    assert c.stdout.readline() == "ready\n"
    c.terminate()
    assert c.stdout.read() == "told\n" and c.wait(20) == 55


@pytest.mark.parametrize("change", [None, mapped], ids=["host", "userns"])
def test_terminal_is_the_containers_own(box, change):
    unit(box, "app", "term", "x", change=change, user={"uid": 1000, "gid": 1000})
    running(box)
    t = pexpect.spawn(str(box.bin / "coracle"), ["--socket", box.socket(), "exec", "app", "--", "/probe", "tty", ".", "open", "/dev/tty", "stat", "/dev/console", "lines", ".",
                                                "exit", "7"], timeout=20, encoding="utf-8", dimensions=(31, 101))
    t.expect_exact("tty 0 1 1 1 2 1 name /dev/pts/0 foreground 1")
    t.expect_exact("open /dev/tty=0")
    t.expect_exact("stat /dev/console!ENOENT")
    t.sendline("hello")
    t.expect_exact("line 'hello' at 31x101")
    t.sendline("quit")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 7


def traced(box, command, delay, name="app"):
    """exec under strace, which holds the one that enters right before it becomes the command."""
    return subprocess.Popen(["strace", "-f", "-o", box.base / "trace", "-e", "trace=close_range,execve,execveat,setns,prctl,memfd_create", "-e",
                             f"inject=close_range:delay_enter={delay}", box.bin / "coracle", "--socket", box.socket(), "exec", name, "--", *command],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


ALL = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"]


@pytest.mark.parametrize("caps", [[], ALL], ids=["none", "ptrace"])
def test_who_enters_cannot_be_looked_into(box, caps):
    """CVE-2016-9962, CVE-2019-5736: a process of the container sees the one that comes in, held open for it, and gets nothing of it."""
    unit(box, "app", "spy", 30000, "term", "x", change=mapped, capabilities={k: caps for k in ("bounding", "effective", "permitted")})
    running(box)
    box.wait(lambda: "spying" in box.coracle("logs", "app").stdout, "the spy")
    p = traced(box, ["/probe", "exit", "3"], 700000)
    assert p.wait(60) == 3, p.stdout.read()
    box.wait(lambda: "spied" in box.coracle("logs", "app").stdout, "its end")
    said = box.coracle("logs", "app", "-n", "200").stdout
    assert "spy saw" in said, "the spy had no chance:\n" + said
    assert not re.search("spy (got|wrote|traced)", said), said
    trace = (box.base / "trace").read_text()
    assert 0 < trace.index("memfd_create") < trace.index("execveat") < trace.index("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < trace.index("setns(")


def test_program_of_the_board_cannot_be_written_to(box):
    """CVE-2019-5736 where nothing else would help: no user namespace, all capabilities of a tracer. What it finds is a sealed copy."""
    digest = lambda: hashlib.sha256((box.bin / "coracle-init").read_bytes()).hexdigest()
    before = digest()
    unit(box, "app", "spy", 30000, "term", "x", capabilities={k: ALL for k in ("bounding", "effective", "permitted")})
    running(box)
    box.wait(lambda: "spying" in box.coracle("logs", "app").stdout, "the spy")
    p = traced(box, ["/probe", "exit", "3"], 700000)
    assert p.wait(60) == 3, p.stdout.read()
    box.wait(lambda: "spied" in box.coracle("logs", "app").stdout, "its end")
    said = box.coracle("logs", "app", "-n", "200").stdout
    found = set(re.findall(r"spy got exe \d+ of (.*)", said))
    assert found == {"/memfd:coracle (deleted)"}, said
    assert "spy wrote" not in said and digest() == before


@pytest.mark.parametrize("path", ["/evil", "/self", "/proc/self/exe"])
def test_health_command_that_is_our_own_program(box, path):
    """CVE-2019-5736 by the image's own health command, without a user namespace and with the powers of a tracer: the program of the board is in reach
    neither while the check comes in nor as the command that it becomes."""
    digest = lambda: hashlib.sha256((box.bin / "coracle-init").read_bytes()).hexdigest()
    before = digest()
    box.unit("app", health_kind=init_kit.HEALTH_CMD, health_arg=path + "\0", health_interval_ms=200, health_retries=100000, change=lambda c: c["process"].update(
        args=["/probe", "watch-files", "600000"], capabilities={k: ALL for k in ("bounding", "effective", "permitted")}))
    running(box)
    said = lambda: re.findall(r"F (another runs .*|wrote .*)", box.coracle("logs", "app").stdout)
    box.wait(lambda: box.status("app")["health_text"] and said(), "a look at who comes in")
    assert said() == ["another runs /memfd:coracle (deleted)"]
    assert digest() == before and box.state("app") == "running"


@pytest.mark.parametrize("path", ["/evil", "/self", "/proc/self/exe"])
def test_own_program_by_another_name(box, path):
    """#!/proc/self/exe and a link to it: what runs is the copy, as the container's user, which says how it is used and ends."""
    digest = lambda: hashlib.sha256((box.bin / "coracle-init").read_bytes()).hexdigest()
    before = digest()
    unit(box, "app", "term", "x", user={"uid": 1000, "gid": 1000})
    running(box)
    p = execute(box, "app", path)
    assert p.returncode == 2 and "coracle-init" in p.stderr, p
    assert digest() == before and box.state("app") == "running"


def test_signals_that_cannot_be_waited_for_are_no_hang(box):
    """Without a signalfd it would never learn of its command's end."""
    unit(box, "app", "term", "x")
    running(box)
    p = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "trace=signalfd4", "-e", "inject=signalfd4:error=EMFILE", box.bin / "coracle", "--socket", box.socket(), "exec",
                        "app", "--", "/probe", "exit", "3"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert p.returncode == 125 and "signalfd" in p.stderr, p


def test_health_command_without_its_record_is_no_success(tmp_path):
    """What enters cannot read the record: that says so and counts as failed."""
    (tmp_path / "record").write_bytes(b"no record" * 100)
    record, other = os.open(tmp_path / "record", os.O_RDONLY), os.open("/", os.O_RDONLY)

    def place():
        os.dup2(record, 40)
        os.dup2(other, 3)
        os.dup2(40, 4)
    p = subprocess.run(["coracle-health", "", "/probe"], executable=bundle_kit.INIT, preexec_fn=place, close_fds=False, capture_output=True, text=True, timeout=60)
    os.close(record)
    os.close(other)
    assert p.returncode == 1 and "record" in p.stdout, p


def test_goes_when_the_unit_goes(box):
    """In the unit's cgroup where there are cgroups, and in its pid namespace in any case."""
    unit(box, "app", "term", "x")
    running(box)
    c = subprocess.Popen([box.bin / "coracle", "--socket", box.socket(), "exec", "app", "--", "/probe", "echo", "in", "sleep", "100000"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert c.stdout.readline() == "in\n"
    if box.status("app")["cgroup"]:
        procs = (box.cgroup_dir() / "app/cgroup.procs").read_text().split()
        assert len(procs) == 2 and str(c.pid) not in procs
    box.coracle("stop", "app")
    assert c.wait(20) == 137
    assert box.wait_state("app", "inactive")


def test_many_at_once_leave_nothing(box):
    unit(box, "app", "term", "x")
    running(box)
    results = []
    threads = [threading.Thread(target=lambda n: results.append(execute(box, "app", "/probe", "exit", str(n)).returncode), args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == list(range(8))
    p = execute(box, "app", "/probe", "processes", ".")
    assert len(re.findall("^process ", p.stdout, re.M)) == 2, p.stdout


def test_console_hands_its_terminal_over(box):
    unit(box, "app", "term", "x")
    box.conf(data_dir=str(box.data), console="-", hostname="bench", exec="yes")
    box.write_units()
    t = pexpect.spawn(box.command()[0], box.command()[1:], timeout=30, encoding="utf-8", dimensions=(24, 80))
    t.expect_exact("coracle> ")
    box.process = type("P", (), {"pid": t.pid, "poll": lambda self: None, "kill": lambda self: t.close(force=True), "wait": lambda self, *a: None})()
    box.wait(lambda: box.find_pid() and box.state("app") == "running", "app")
    t.sendline("exec app -- /probe tty . lines . exit 3")
    t.expect_exact("tty 0 1 1 1 2 1 name /dev/pts/0 foreground 1")
    t.sendline("typed")
    t.expect_exact("line 'typed' at 24x80")
    t.sendline("quit")
    t.expect_exact("over")
    t.expect_exact("coracle> ")
    t.sendline("version")
    t.expect("coracle [0-9.]+, kernel")
    t.sendline("poweroff")
    t.expect(pexpect.EOF)
