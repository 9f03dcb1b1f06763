# SPDX-License-Identifier: MIT
"""The seccomp compiler (bundle/seccomp_*.c, compile_seccomp.c) against libseccomp as referee: the filters of both are run here, instruction by
instruction, over the same calls, and have to say the same. libseccomp is in no program of ours. Where ours is stricter on purpose, a test says so."""
import ctypes, json, os, random, re, struct, subprocess
import pytest

import bundle_kit, record_writer

ROOT = bundle_kit.ROOT
FULL = bool(os.environ.get("CORACLE_FULL"))
KILL, KILL_THREAD, TRAP, ERRNO, TRACE, LOG, ALLOW = 0x80000000, 0, 0x30000, 0x50000, 0x7FF00000, 0x7FFC0000, 0x7FFF0000
AUDIT = {"X86_64": 0xC000003E, "X86": 0x40000003, "ARM": 0x40000028, "AARCH64": 0xC00000B7}
OPS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
HOST = {"x86_64": ("X86_64", "X86"), "aarch64": ("AARCH64", "ARM"), "armv7l": ("ARM", "ARM")}[os.uname().machine]


def verdict(code, nr, arch, args):
    """A classic BPF program over one struct seccomp_data; what the kernel would do (linux/filter.h)."""
    data = struct.unpack("<16I", struct.pack("<iIQ6Q", nr if nr < 1 << 31 else nr - (1 << 32), arch, 0, *args))
    a, pc = 0, 0
    while True:
        op, jt, jf, k = code[pc]
        pc += 1
        if op == 0x20:
            a = data[k // 4]
        elif op == 0x06:
            return k
        elif op == 0x54:
            a &= k
        elif op == 0x05:
            pc += k
        elif op in (0x15, 0x25, 0x35, 0x45):
            true = a == k if op == 0x15 else a > k if op == 0x25 else a >= k if op == 0x35 else a & k
            pc += jt if true else jf
        else:
            raise AssertionError("instruction %04x" % op)


def decode(raw):
    return [struct.unpack_from("<HBBI", raw, i) for i in range(0, len(raw), 8)]


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Referee:
    """libseccomp by its shared library, which crun and runc bring along."""

    def __init__(self):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.lib.seccomp_init.argtypes = [ctypes.c_uint32]
        self.lib.seccomp_arch_resolve_name.restype = self.lib.seccomp_arch_native.restype = ctypes.c_uint32
        for name, args in (("arch_add", [ctypes.c_uint32]), ("arch_remove", [ctypes.c_uint32]), ("export_bpf", [ctypes.c_int]),
                           ("attr_set", [ctypes.c_int, ctypes.c_uint32]), ("release", []),
                           ("rule_add_array", [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Compare)])):
            getattr(self.lib, "seccomp_" + name).argtypes = [ctypes.c_void_p, *args]

    def token(self, arch):
        return self.lib.seccomp_arch_resolve_name(arch.lower().encode())

    def number(self, arch, name):
        return self.lib.seccomp_syscall_resolve_name_arch(self.token(arch), name.encode())

    def build(self, archs, fallback, rules):
        """The code, and those of RULES [(action, name, [(arg, op, a, b)])] that libseccomp took."""
        ctx = self.lib.seccomp_init(fallback)
        native = self.lib.seccomp_arch_native()
        for a in archs:
            self.lib.seccomp_arch_add(ctx, self.token(a))
        if native not in [self.token(a) for a in archs]:
            self.lib.seccomp_arch_remove(ctx, native)
        self.lib.seccomp_attr_set(ctx, 2, KILL)  # SCMP_FLTATR_ACT_BADARCH
        taken = []
        for action, name, compares in rules:
            nr = self.lib.seccomp_syscall_resolve_name(name.encode())
            array = (Compare * 6)(*[Compare(c[0], OPS.index(c[1]) + 1, c[2], c[3]) for c in compares])
            if nr != -1 and self.lib.seccomp_rule_add_array(ctx, action, nr, len(compares), array) == 0:
                taken.append((action, name, compares))
        fd = os.memfd_create("filter")
        assert self.lib.seccomp_export_bpf(ctx, fd) == 0
        raw = os.pread(fd, 1 << 20, 0)
        os.close(fd)
        self.lib.seccomp_release(ctx)
        return decode(raw), taken


@pytest.fixture(scope="module")
def referee():
    return Referee()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """export(archs, fallback, rules) -> code, by our generator for any architecture."""
    program = tmp_path_factory.mktemp("seccomp") / "seccomp_export"
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-Wall", "-Wextra", "-Werror", "-o",
                    program, ROOT / "tests/tools/seccomp_export.c"], check=True)

    def run(archs, fallback, rules):
        lines = ["default %d" % fallback] + ["arch SCMP_ARCH_" + a for a in archs]
        for action, name, compares in rules:
            lines.append(" ".join(map(str, ["rule", action, name, *(x for c in compares for x in (c[0], OPS.index(c[1]), c[2], c[3]))])))
        # The rules' memory is the process's; its end frees it.
        p = subprocess.run([program], input="\n".join(lines).encode(), capture_output=True, env={"ASAN_OPTIONS": "detect_leaks=0"})
        assert p.returncode == 0, p.stderr.decode()
        return decode(p.stdout)
    return run


def table():
    """syscall_table.h: name -> {arch: number}"""
    found = {}
    for m in re.finditer(r"^SYSCALL\((\w+), (.*)\)$", (ROOT / "bundle/syscall_table.h").read_text(), re.M):
        numbers = [0x0F0000 + int(x[12:-1]) if x.startswith("ARM_PRIVATE") else int(x) for x in m[2].split(", ")]
        found[m[1]] = dict(zip(("X86_64", "X86", "ARM", "AARCH64"), numbers))
    return found


TABLE = table()
# The calls that i386 has behind socketcall and ipc too.
INNER = set("socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt "
            "sendmsg recvmsg accept4 recvmmsg sendmmsg semop semget semctl semtimedop msgsnd msgrcv msgget msgctl shmat shmdt shmget shmctl".split())


def test_numbers_are_libseccomps(referee):
    known = 0
    for name, numbers in TABLE.items():
        for arch, nr in numbers.items():
            theirs = referee.number(arch, name)
            # Its table may be older than ours, and gives calls behind socketcall numbers below -100.
            if nr >= 0 and theirs >= 0:
                known += 1
                assert theirs == nr, (name, arch)
    assert known > 1400


def test_no_number_twice():
    for arch in AUDIT:
        numbers = [n[arch] for name, n in TABLE.items() if n[arch] >= 0 and name != "sync_file_range2"]
        assert len(numbers) == len(set(numbers))


EDGES = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 63), (1 << 64) - 1, (1 << 64) - 2]


def random_rule(rng, name, action, args):
    value = lambda: rng.choice(EDGES + [rng.getrandbits(64), rng.getrandbits(32), rng.randrange(64)])
    compares = []
    for arg in args:
        op, a, b = rng.choice(OPS), value(), value()
        compares.append((arg, op, a, a & b if op == "MASKED_EQ" else 0))
    return action, name, compares


def random_profile(rng, is_plain):
    """IS_PLAIN: one rule a call, or equalities of one argument, as profiles in the wild have it. Several rules of several comparisons are not
    for a referee: libseccomp 2.5.4 does not try the second once it is half way into the first."""
    names = rng.sample(sorted(TABLE), rng.randrange(5, 60))
    fallback = rng.choice([ERRNO | 1, KILL, KILL_THREAD, TRAP, ALLOW, LOG, TRACE | 7])
    rules = []
    for name in names:
        actions = [a for a in (ERRNO | rng.randrange(1, 4096), KILL, KILL_THREAD, TRAP, ALLOW, LOG, TRACE | rng.randrange(99)) if a != fallback]
        action, kind = rng.choice(actions), rng.choice("-aca" if is_plain else "-aoo")
        if kind == "-":
            rules.append((action, name, []))
        elif kind == "a":
            rules.append(random_rule(rng, name, action, rng.sample(range(6), rng.choice([1, 1, 2, 3, 6]))))
        elif kind == "c":
            arg = rng.randrange(6)
            rules += [(action, name, [(arg, "EQ", v, 0)]) for v in rng.sample(range(40), 5)]
        else:
            rules += [random_rule(rng, name, rng.choice(actions), rng.sample(range(6), rng.randrange(7))) for _ in range(rng.randrange(1, 5))]
    return fallback, rules


def plain_reading(fallback, rules, name, args, is_32bit):
    """What seccomp_bpf.h says, in five lines."""
    cut = 0xFFFFFFFF if is_32bit else (1 << 64) - 1
    holds = lambda x, op, a, b: {"NE": x != a, "LT": x < a, "LE": x <= a, "EQ": x == a, "GE": x >= a, "GT": x > a, "MASKED_EQ": x & a == b}[op]
    mine = [r for r in rules if r[1] == name and r[0] != fallback]
    mine = [r for r in mine if not r[2]][:1] or mine
    return next((r[0] for r in mine if all(holds(args[c[0]], c[1], c[2] & cut, c[3] & cut) for c in r[2])), fallback)


def samples(rng, rules, name, is_32bit):
    """Arguments around every value that a rule of NAME looks at."""
    mask = 0xFFFFFFFF if is_32bit else (1 << 64) - 1
    mine = [c for _, n, cs in rules if n == name for c in cs]
    for c in mine + [None] * 3:
        args = [rng.choice(EDGES + [rng.getrandbits(64)]) & mask for _ in range(6)]
        # All of one rule holding at once is what random numbers never hit.
        for other in mine:
            args[other[0]] = (other[3] if other[1] == "MASKED_EQ" else other[2] + rng.choice([0, 0, 1, -1])) & mask
        for delta in (0, 1, -1, 1 << 32, 1 << 31):
            if c:
                args[c[0]] = ((c[3] if c[1] == "MASKED_EQ" else c[2]) + delta) & mask
            yield tuple(args)


@pytest.mark.parametrize("archs", [("X86_64",), ("X86_64", "X86"), ("AARCH64",), ("AARCH64", "ARM"), ("ARM",)], ids="+".join)
def test_verdicts_are_libseccomps(referee, export, archs):
    rng = random.Random(6)
    compared = 0
    for _ in range(100 if FULL else 8):
        fallback, rules = random_profile(rng, True)
        theirs, rules = referee.build(archs, fallback, rules)
        ours = export(archs, fallback, rules)
        for arch in AUDIT:
            wide = [0x40000000, 0x40000001, 0xFFFFFFFF, 0x0F0005, 5000] + rng.sample(range(500), 20)
            calls = [(n[arch], name) for name, n in TABLE.items() if n[arch] >= 0 and any(r[1] == name for r in rules)]
            for nr, name in calls + [(nr, None) for nr in wide]:
                if arch == "X86" and (nr in (102, 117) or name in ("socketcall", "ipc")):
                    continue    # test_socketcall
                for args in samples(rng, rules, name, arch in ("X86", "ARM")):
                    a, b = (verdict(code, nr, AUDIT[arch], args) for code in (ours, theirs))
                    compared += 1
                    assert a == b, "%s %s(%d) %s: ours %08x, libseccomp %08x, rules %s" % (
                        arch, name, nr, [hex(x) for x in args], a, b, [r for r in rules if r[1] == name])
    assert compared > 5000


@pytest.mark.parametrize("arch", AUDIT)
def test_verdicts_are_what_the_rules_say(export, arch):
    rng = random.Random(7)
    for _ in range(100 if FULL else 8):
        fallback, rules = random_profile(rng, False)
        code = export([arch], fallback, rules)
        assert len(code) <= 4096
        for name in {r[1] for r in rules} - INNER - {"socketcall", "ipc"}:
            if TABLE[name][arch] >= 0:
                for args in samples(rng, rules, name, arch in ("X86", "ARM")):
                    got, want = verdict(code, TABLE[name][arch], AUDIT[arch], args), plain_reading(fallback, rules, name, args, arch in ("X86", "ARM"))
                    assert got == want, "%s %s: %08x for %08x, %s" % (name, [hex(x) for x in args], got, want, [r for r in rules if r[1] == name])


@pytest.fixture(scope="module")
def kit():
    with bundle_kit.scratch() as d:
        yield bundle_kit.Kit(d)


def compiled(kit, profile, ok=True):
    """The filter that `coracle-bundle compile` makes of a profile, or what it says against it."""
    b = kit.bundle()
    config = kit.config()
    config["linux"]["seccomp"] = profile
    (b / "config.json").write_text(json.dumps(config))
    p = subprocess.run([bundle_kit.BUNDLE, "compile", b], capture_output=True, text=True)
    assert (p.returncode == 0) == ok, p.stderr
    return decode(record_writer.seccomp_of((b / p.stdout.strip()).read_bytes())) if ok else p.stderr


def as_rules(profile, fallback):
    """As runc hands a profile to libseccomp."""
    words = {"ALLOW": ALLOW, "ERRNO": ERRNO, "KILL": KILL_THREAD, "KILL_THREAD": KILL_THREAD, "KILL_PROCESS": KILL, "TRAP": TRAP,
             "LOG": LOG, "TRACE": TRACE}
    for group in profile["syscalls"]:
        action = words[group["action"][9:]]
        if action in (ERRNO, TRACE):
            action |= group.get("errnoRet", 1)
        compares = [(a["index"], a["op"][9:], a["value"], a.get("valueTwo", 0)) for a in group.get("args", [])]
        for name in group["names"]:
            if action == fallback:
                continue
            if len({c[0] for c in compares}) < len(compares):
                yield from ((action, name, [c]) for c in compares)
            else:
                yield action, name, compares


CAPS = [[], ["CAP_SYS_ADMIN"], ["CAP_SYS_TIME", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_BPF", "CAP_PERFMON"]]


def default_profile(tmp_path, caps):
    """The built-in list as a config.json of ours has it."""
    out = tmp_path / "default"
    source = tmp_path / "default.c"
    source.write_text("""
#include "seccomp_default.h"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	struct json_out o = { .at = NULL };
	char *text;
	size_t len;
	seccomp_default(&o, NULL, argv[1], strtoull(argv[2], NULL, 0));
	if (argc != 3 || json_out_end(&o, &text, &len) < 0)
		return 1;
	return fwrite(text, 1, len, stdout) == len ? 0 : 1;
}
""")
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-I", ROOT / "bundle", "-I", ROOT / "lib", "-I", bundle_kit.BUILD, "-o", out, source,
                    ROOT / "bundle/seccomp_default.c", ROOT / "bundle/json_out.c"], check=True)
    arch = {"X86_64": "amd64", "AARCH64": "arm64", "ARM": "arm"}[HOST[0]]
    return json.loads(subprocess.run([out, arch, str(record_writer.caps(caps))], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("caps", CAPS, ids=lambda c: "+".join(c) or "none")
def test_default_list_over_all_calls(referee, kit, tmp_path, caps):
    """Every number that exists and some that do not, with arguments around all that the list looks at."""
    profile = default_profile(tmp_path, [c for c in caps if c not in ("CAP_BPF", "CAP_PERFMON")])
    ours = compiled(kit, profile)
    archs = ["X86_64"] if HOST[0] == "X86_64" else list(dict.fromkeys(HOST))
    fallback = ERRNO | profile["defaultErrnoRet"]
    rules = list(as_rules(profile, fallback))
    theirs, taken = referee.build(archs, fallback, rules)
    # What libseccomp is too old to know.
    new = {n for _, n, _ in rules} - {n for _, n, _ in taken}
    skipped = {a: {TABLE[n][a] for n in new if n in TABLE} for a in AUDIT}
    values = [0, 1, 2, 8, 16, 17, 29, 38, 40, 0x11, 0x20000, 0x20008, 0xFFFFFFFF, 0x10000000, 0x7E020000, 1 << 32, (1 << 32) | 2, (1 << 64) - 1]
    for arch in AUDIT:
        for nr in [*range(700), *range(0x0F0000, 0x0F0008), *range(0x40000000, 0x40000000 + 600, 7), 0xFFFFFFFF]:
            if nr in skipped[arch]:
                continue
            for value in values:
                args = (value & (0xFFFFFFFF if arch in ("X86", "ARM") else -1) & (1 << 64) - 1, 0, 0, 0, 0, 0)
                a, b = (verdict(code, nr, AUDIT[arch], args) for code in (ours, theirs))
                assert a == b, "%s %d(%x): ours %08x, libseccomp %08x" % (arch, nr, value, a, b)


@pytest.mark.skipif(HOST[0] != "X86_64", reason="skip: x32 is x86-64's")
def test_x32_is_killed_even_where_the_profile_names_it(kit):
    """Stricter than libseccomp, which lets x32 calls through once SCMP_ARCH_X32 is listed, as docker's list does."""
    code = compiled(kit, {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]})
    assert {verdict(code, 0x40000000 | n, AUDIT["X86_64"], (0,) * 6) for n in range(600)} == {KILL}
    assert verdict(code, 4, AUDIT["X86"], (0,) * 6) == ALLOW
    assert verdict(code, 4, AUDIT["ARM"], (0,) * 6) == KILL


def test_socketcall(export):
    """i386's socketcall hides arguments: an allowing rule with arguments does not open it, a forbidding one closes it whole (libseccomp passes both by)."""
    call = lambda code, sub: verdict(code, 102, AUDIT["X86"], (sub, 0x1000, 0, 0, 0, 0))
    code = export(["X86"], ERRNO | 1, [(ALLOW, "socket", [(0, "EQ", 2, 0)]), (ALLOW, "bind", [])])
    assert call(code, 1) == ERRNO | 1 and call(code, 2) == ALLOW and call(code, 3) == ERRNO | 1
    code = export(["X86"], ALLOW, [(ERRNO | 97, "socket", [(0, "EQ", 38, 0)]), (KILL, "shmget", [(0, "EQ", 38, 0)])])
    assert call(code, 1) == ERRNO | 97 and call(code, 2) == ALLOW
    assert verdict(code, 117, AUDIT["X86"], (23, 0, 0, 0, 0, 0)) == KILL


def test_what_overlapping_rules_mean(export):
    code = export(["X86_64"], ERRNO | 1, [(KILL, "read", [(0, "GT", 9, 0)]), (ALLOW, "read", [(0, "GT", 5, 0)]),
                                          (ALLOW, "write", [(0, "EQ", 1, 0)]), (TRAP, "write", []), (KILL, "write", [])])
    said = lambda nr, a: verdict(code, nr, AUDIT["X86_64"], (a, 0, 0, 0, 0, 0))
    assert [said(0, a) for a in (5, 6, 9, 10)] == [ERRNO | 1, ALLOW, ALLOW, KILL]
    assert [said(1, a) for a in (0, 1)] == [TRAP, TRAP]


@pytest.mark.parametrize("profile,why", [
    ({}, "defaultAction: is missing"),
    ({"defaultAction": "SCMP_ACT_NOTIFY"}, "not supported"),
    ({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}, "listenerPath"),
    ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 4}, "goes with SCMP_ACT_ERRNO"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_Z80"]}, "SCMP_ARCH_Z80"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}, "NEW_LISTENER"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}, "syscalls[0].names"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_PASS"}]}, "SCMP_ACT_PASS"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}, "args[0].index"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 0, "op": "SCMP_CMP_ABOUT"}]}]}, "SCMP_CMP_ABOUT"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_refused_by_name(kit, profile, why):
    assert why in compiled(kit, profile, ok=False)


def test_actions_hold_in_the_kernel(kit):
    """Each action once with a real program: allowed, refused with an errno, killed."""
    b = kit.bundle()
    config = kit.config("sys", "unshare-user", "sys", "bpf", "exit", 3)
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "args": [{"index": 0, "value": 999, "op": "SCMP_CMP_NE"}]}]}
    (b / "config.json").write_text(json.dumps(config))
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 3 and "unshare-user!E95" in p.stdout and "bpf!ENOSYS" in p.stdout, p.stdout + p.stderr
    config["linux"]["seccomp"]["syscalls"][0] = {"names": ["unshare"], "action": "SCMP_ACT_KILL_PROCESS"}
    (b / "config.json").write_text(json.dumps(config))
    p = subprocess.run([bundle_kit.INIT, "run", b], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 128 + 31, p.stdout
