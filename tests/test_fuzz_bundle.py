# SPDX-License-Identifier: MIT
"""The parsers of unit files, run records, an image's passwd, tar headers and sd_notify datagrams: corpus and some thousand mutations of it, under the address and undefined
behaviour sanitizers of the host's compiler. FUZZ_ROUNDS=N for a longer run; with clang, tests/fuzz/*_fuzz.c link to libFuzzer as they are."""
import os
import subprocess

import pytest

import layerkit

ROOT = layerkit.ROOT
TARGETS = {
    "unit": ["bundle/unit_file.c", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("bundle/unit_keys*.c")), "bundle/calendar.c",
             "lib/unit_table.c", "lib/record.c",
             "bundle/quadlet.c", "bundle/quadlet_values.c", "bundle/signals.c"],
    "record": ["lib/record.c"],
    "passwd": [],
    "secrets": ["bundle/secrets.c", "bundle/tar_sparse.c"],
    "tar": ["bundle/tar_guard.c", "bundle/tar_sparse.c"],
    "notify": ["init/notify_parse.c", "init/text.c"],
}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(name, workdir):
    program = workdir / name
    sources = ["tests/fuzz/driver.c", "tests/fuzz/%s_fuzz.c" % name, "lib/err.c", "lib/span.c", "lib/file.c"] + TARGETS[name]
    subprocess.run(["gcc", "-std=c11", "-g", "-O1", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    "-I%s" % layerkit.BUILD, "-Ilib", "-Ibundle", "-Iinit", "-o", program, *sources], check=True, cwd=ROOT)
    corpus = sorted((ROOT / "tests/fuzz/corpus" / name).iterdir())
    assert corpus
    done = subprocess.run([program, os.environ.get("FUZZ_ROUNDS", "20000"), *corpus], cwd=workdir, timeout=3600,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("%d files, " % len(corpus))
