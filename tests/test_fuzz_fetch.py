# SPDX-License-Identifier: MIT
"""The parsers of what registries, sticks and operators write: corpus and some thousand mutations of it, under the address and undefined behaviour
sanitizers of the host's compiler. FUZZ_ROUNDS=N for a longer run; with clang, tests/fuzz/*_fuzz.c link to libFuzzer as they are."""
import os, subprocess
import pytest
import layerkit

ROOT = layerkit.ROOT
TARGETS = {
    "image": ["fetch/image.c", "fetch/json.c", "fetch/platform.c", "lib/digest.c", "lib/file.c"],
    "settings": ["fetch/auth.c", "fetch/url.c", "fetch/ref.c", "fetch/platform.c", "lib/digest.c", "lib/file.c"],
    "layout": ["lib/digest.c", "lib/file.c"],
    "attend": ["fetch/attend.c", "fetch/sntp.c", "lib/clock.c", "lib/file.c"],
}


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    """The libraries' headers without the C library's that lie beside them."""
    folder = tmp_path_factory.mktemp("include")
    for name in ("yyjson.h", "mbedtls", "psa", "coracle_mbedtls_config.h"):
        (folder / name).symlink_to((ROOT / layerkit.BUILD / "deps/include" / name).resolve())
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(name, headers, workdir):
    program, library = workdir / name, ROOT / layerkit.BUILD / "deps/lib/libyyjson.a"
    sources = ["tests/fuzz/driver.c", "tests/fuzz/%s_fuzz.c" % name, "lib/err.c", "lib/span.c"] + TARGETS[name]
    done = subprocess.run(["gcc", "-std=c11", "-g", "-O1", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                           '-DMBEDTLS_CONFIG_FILE="coracle_mbedtls_config.h"', "-I%s" % layerkit.BUILD, "-I%s" % headers, "-Ilib", "-Ibundle", "-Ifetch",
                           "-o", program, *sources, library], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    corpus = sorted((ROOT / "tests/fuzz/corpus" / name).iterdir())
    assert corpus
    done = subprocess.run([program, os.environ.get("FUZZ_ROUNDS", "20000"), *corpus], cwd=workdir, timeout=3600,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("%d files, " % len(corpus))
