# SPDX-License-Identifier: MIT
"""Every program of every target is a stripped static-pie with full RELRO, and none carries another's libraries."""
import os, subprocess
import pytest

O = os.environ.get("O", "build")
BUILT = [(t, p) for t in ("x86_64", "aarch64", "armv7") for p in ("coracle-init", "coracle-fetch", "coracle-bundle", "coracle-net")
         if os.path.exists(p.replace("coracle-", "") + "/" + p.replace("coracle-", "") + "_main.c")]


def read(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target,program", BUILT)
def test_static_pie_stripped_relro(target, program):
    path = os.path.join(O, target, program)
    kind = read("file", path)
    assert "static-pie linked" in kind and "stripped" in kind and "not stripped" not in kind
    headers = read("readelf", "-lW", path)
    assert "INTERP" not in headers and "GNU_RELRO" in headers and "RWE" not in headers
    assert "BIND_NOW" in read("readelf", "-dW", path)


def test_init_links_no_tls_json_tar():
    symbols = read("nm", os.path.join(O, "x86_64", "coracle-init.debug"))
    for word in ("mbedtls_", "yyjson_", "archive_read", "curl_", "seccomp_init"):
        assert word not in symbols


def test_every_limit_says_why():
    import kconfiglib
    conf = kconfiglib.Kconfig("Kconfig")
    silent = [s.name for s in conf.unique_defined_syms if s.type == kconfiglib.INT and not any(n.help and len(n.help) > 10 for n in s.nodes)]
    assert len(conf.unique_defined_syms) > 80 and not silent
