# SPDX-License-Identifier: MIT
"""deps/: sources come from a folder as well as from the archive, only with the bytes that the lock demands, and a library
is built again only when something that it is made from changed."""
import os, pathlib, shutil, tempfile
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("CORACLE_CACHE") or pathlib.Path.home() / ".cache/coracle")
NO_NETWORK = ["unshare", "-n"]


def locked():
    rows = [line.split() for line in (ROOT / "deps/lock").read_text().splitlines()]
    return [row[1] for row in rows if row and not row[0].startswith("#")]


@pytest.fixture
def beside():
    """A folder beside the cache: of one file system with it, for hard links."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="test-") as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def vendor(beside):
    """What `make vendor` gathers, as links: a test that spoils a file replaces it."""
    folder = beside / "vendor"
    folder.mkdir()
    for name in locked():
        (folder / name).hardlink_to(CACHE / "src" / name)
    return folder


def offline(run, workdir, vendor, *argv, **more):
    env = dict(os.environ, CORACLE_CACHE=str(workdir / "cache"), VENDOR=str(vendor))
    return run(*NO_NETWORK, *argv, env=env, cwd=ROOT, **more)


def test_every_source_comes_from_the_vendor_folder(run, workdir, vendor):
    offline(run, workdir, vendor, "deps/fetch")
    assert sorted(p.name for p in (workdir / "cache/src").iterdir()) == sorted(locked())


def test_a_vendored_file_with_other_bytes_is_refused(run, workdir, vendor):
    name = locked()[-1]
    data = (vendor / name).read_bytes()
    (vendor / name).unlink()
    (vendor / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = offline(run, workdir, vendor, "deps/fetch", ok=False)
    assert name in done.err and "sha256" in done.err
    assert not (workdir / "cache/src" / name).exists()


def test_a_vendored_file_that_is_missing_is_named(run, workdir, vendor):
    name = locked()[0]
    (vendor / name).unlink()
    done = offline(run, workdir, vendor, "deps/fetch", ok=False)
    assert name in done.err and "make vendor" in done.err


def test_a_changed_recipe_rebuilds_that_library_alone(run, programs, beside):
    target, cache, deps = programs.folder.name, beside / "cache", beside / "deps"
    cache.mkdir()
    (cache / "deps").mkdir()
    for kept in ("src", "deps/" + target):
        run("cp", "-al", CACHE / kept, cache / kept)
    shutil.copytree(ROOT / "deps", deps)
    env = dict(os.environ, CORACLE_CACHE=str(cache))
    first = run(deps / "build", target, env=env)
    assert first.err == "" and pathlib.Path(first.out.strip()).name == (programs.folder / "deps").resolve().name
    with open(deps / "recipes/cmocka", "a") as recipe:
        recipe.write("# changed\n")
    again = run(deps / "build", target, env=env, timeout=300)
    assert [line.split()[2] for line in again.err.splitlines()] == ["cmocka"]
    assert again.out != first.out and os.path.exists(again.out.strip() + "/lib/libcmocka.a")


@pytest.mark.full
def test_everything_builds_without_a_network(run, workdir, vendor):
    offline(run, workdir, vendor, "make", "O=%s" % (workdir / "out"), timeout=1800)
    assert (workdir / "out" / os.uname().machine / "coracle-fetch").exists()
