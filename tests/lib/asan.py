# SPDX-License-Identifier: MIT
"""Our programs and unit tests under the address and undefined behaviour sanitizers of the host's compiler: our code against the host's C library, the
libraries as they are built for musl, no jails (tests/tools/open_jail.c). For x86_64, where both C libraries lay out what the libraries use alike."""
import os, pathlib, subprocess
import layerkit

ROOT = layerkit.ROOT
HEADERS = ("archive.h", "archive_entry.h", "curl", "mbedtls", "psa", "yyjson.h", "zlib.h", "zconf.h", "igzip_lib.h", "zstd.h", "zstd_errors.h", "coracle_mbedtls_config.h",
           "cmocka.h", "cmocka_pbc.h", "cmocka_private.h", "sys/capability.h")
LIBRARIES = ("archive", "cap", "curl", "mbedcrypto", "mbedtls", "mbedx509", "yyjson", "z", "isal", "zstd", "cmocka")
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all"


def build(out, *names):
    """build/x86_64's NAMES ("coracle-fetch", "unit/ref_test"), below OUT instead: their paths."""
    deps, machine = (ROOT / layerkit.BUILD / "deps").resolve(), os.uname().machine
    for folder, below, some in (("include", "include", HEADERS), ("lib", "lib", ["lib%s.a" % n for n in LIBRARIES])):
        for name in some:
            at = out / folder / name
            at.parent.mkdir(parents=True, exist_ok=True)
            if not at.is_symlink():
                at.symlink_to(deps / below / name)
    jail = out / "open_jail.o"
    subprocess.run(["gcc", "-O1", "-g", "-fPIE", "-D_GNU_SOURCE", "-Ilib", "-c", "-o", jail, "tests/tools/open_jail.c"], cwd=ROOT, check=True)
    paths = [out / machine / name for name in names]
    includes = " ".join("-I" + d for d in ("%s/%s" % (out, machine), "lib", "init", "bundle", "fetch", "net"))
    done = subprocess.run(["make", "-s", "-j2", "O=%s" % out, "TARGET=" + machine, "CC=gcc", "LTO=",
                           "CPPFLAGS=-D_GNU_SOURCE -DMBEDTLS_CONFIG_FILE='\"coracle_mbedtls_config.h\"' %s -isystem %s/include" % (includes, out),
                           "CFLAGS=-std=c11 -O1 -g -fPIE -w -include fcntl.h " + FLAGS, "LDFLAGS=-pie %s %s -L%s/lib" % (FLAGS, jail, out),
                           *map(str, paths)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(b"__asan_report_load" in p.read_bytes() for p in paths)
    return paths


def environment(folder):
    """What a process needs for its findings, and those of its children, to become files named FOLDER/found.PID."""
    where = "log_path=%s/found" % folder
    return {"ASAN_OPTIONS": "detect_leaks=0:exitcode=99:" + where, "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99:" + where}


def findings(folder):
    return [p.read_text(errors="replace")[:3000] for p in sorted(pathlib.Path(folder).glob("found.*"))]
