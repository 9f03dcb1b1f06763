# SPDX-License-Identifier: MIT
"""The parsers of unit files, .network files and their plan, run records, config.json (seccomp, device rules), ranges of ids, an image's passwd, tar headers and sd_notify datagrams: corpus and some thousand mutations of it, under the address and undefined
behaviour sanitizers of the host's compiler. FUZZ_ROUNDS=N for a longer run; with clang, tests/fuzz/*_fuzz.c link to libFuzzer as they are."""
import os
import subprocess

import pytest

import layerkit

ROOT = layerkit.ROOT
TARGETS = {
    "unit": ["bundle/unit_file.c", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("bundle/unit_keys*.c")), "bundle/calendar.c",
             "lib/unit_table.c", "lib/record.c", "lib/addr.c",
             "bundle/quadlet.c", "bundle/quadlet_values.c", "bundle/signals.c"],
    "network": [],
    "record": ["lib/record.c"],
    "passwd": [],
    "secrets": ["bundle/secrets.c", "bundle/tar_sparse.c"],
    "tar": ["bundle/tar_guard.c", "bundle/tar_sparse.c"],
    "ids": ["bundle/quadlet.c", "bundle/quadlet_values.c", "bundle/signals.c"],
    "config": [*sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("bundle/compile*.c")), *("bundle/%s.c" % n for n in (
        "jv", "record_build", "seccomp_arch", "seccomp_bpf", "caps", "bundle_layers")), "lib/record.c", "lib/digest.c"],
    "notify": ["init/notify_parse.c", "init/text.c"],
}
TARGETS["network"] = [*TARGETS["unit"], "bundle/net_files.c", "net/plan.c"]

ROUNDS = {"network": "1500"}     # a plan is some MiB of memory, anew each time


LIBRARIES = {"config": ["libyyjson.a", "libcap.a"]}


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    """The libraries' headers without the C library's that lie beside them."""
    folder = tmp_path_factory.mktemp("include")
    for name in ("yyjson.h", "sys/capability.h"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to((ROOT / layerkit.BUILD / "deps/include" / name).resolve())
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(name, headers, workdir):
    program = workdir / name
    sources = ["tests/fuzz/driver.c", "tests/fuzz/%s_fuzz.c" % name, "lib/err.c", "lib/span.c", "lib/file.c"] + TARGETS[name]
    subprocess.run(["gcc", "-std=c11", "-g", "-O1", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    "-I%s" % layerkit.BUILD, "-I%s" % headers, "-Ilib", "-Ibundle", "-Iinit", "-Inet", "-o", program, *sources,
                    *(layerkit.BUILD / "deps/lib" / n for n in LIBRARIES.get(name, []))], check=True, cwd=ROOT)
    corpus = sorted((ROOT / "tests/fuzz/corpus" / name).iterdir())
    assert corpus
    done = subprocess.run([program, os.environ.get("FUZZ_ROUNDS", ROUNDS.get(name, "20000")), *corpus], cwd=workdir, timeout=3600,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("%d files, " % len(corpus))
