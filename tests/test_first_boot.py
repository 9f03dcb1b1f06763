# SPDX-License-Identifier: MIT
"""The demo's image from the registry to a running program, each piece by the programs themselves: what lies in the store is
what umoci unpacks, another runtime runs our config.json, and what is refused leaves the file system as it was."""
import json, os, subprocess
import pytest
import keys, treediff
from test_compile import crun

UNIT = keys.ROOT / "boards/common/units/hello.container"


@pytest.fixture
def pull(registry, demo_image, programs, trust, run):
    """pull(STORE, NAME, ok): the demo's image under NAME, the policy being that of `make run`."""
    def go(store, name, ok=True):
        repository = "%s/demo/%s" % (registry.host, name)
        made = trust({repository: registry.key().pub})
        return run(programs.fetch, "pull", "--store", store, *made.args, repository + ":1", ok=ok, timeout=120)

    for name, key in (("hello", "cosign"), ("unsigned", None), ("stranger", "stranger")):
        registry.push(demo_image, "demo/" + name)
        if key:
            registry.sign("demo/" + name, registry.key(key))
    return go


@pytest.fixture
def bundle(pull, workdir, programs, run):
    """The unit's bundle, its rootfs mounted at rootfs/; with the host's ids, so that owners can be compared."""
    store, folder, unit = workdir / "store", workdir / "bundle", workdir / "hello.container"
    store.mkdir()
    unit.write_text(UNIT.read_text().replace("[Container]\n", "[Container]\nUserNS=host\n"))
    digest = pull(store, "hello").out.strip()
    run(programs.bundle, "create", "--store", store, "--unit", unit, digest, folder)
    run(programs.bundle, "mount", folder)
    yield folder
    run(programs.bundle, "umount", folder)


def test_rootfs_is_what_umoci_unpacks(bundle, demo_image, workdir, run):
    run("skopeo", "copy", "-q", "oci:%s:1" % demo_image, "oci:%s:1" % (workdir / "layout"))     # of the index, this machine's platform
    run("umoci", "unpack", "--image", "%s:1" % (workdir / "layout"), workdir / "umoci")
    ours, theirs = treediff.scan(bundle / "rootfs"), treediff.scan(workdir / "umoci/rootfs")
    assert len(theirs) > 8 and b"usr/share/hello/removed" not in ours
    # A bundle brings the directories that config.json mounts on: no more than these.
    targets = [m["destination"].strip("/") for m in json.loads((bundle / "config.json").read_text())["mounts"]]
    added = {path for path in ours if path not in theirs}
    assert added <= {os.fsencode("/".join(t.split("/")[:n])) for t in targets for n in range(1, 9)}
    assert {path: ours[path] for path in theirs} == theirs


def test_crun_runs_the_demo(bundle):
    process = crun(bundle, "timeout", "-s", "TERM", "3")
    said = process.stdout
    assert "hello: started on" in said and "pid 1, uid 1000, gid 1000" in said, process.stderr
    assert "hello: writing /probe: Read-only file system" in said
    assert "hello: told to stop, bye" in said


def counters(at):
    subprocess.run(["sync", "-f", at], check=True)
    free = os.statvfs(at)
    return free.f_bfree, free.f_ffree


def test_a_refused_image_leaves_nothing(pull, programs, run, workdir):
    """On a file system of its own: listing, free inodes and free blocks."""
    disk, at = workdir / "disk", workdir / "mnt"
    with open(disk, "wb") as f:
        f.truncate(64 << 20)
    at.mkdir()
    run("mkfs.ext4", "-q", disk, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    run("mount", "-o", "loop", disk, at)
    try:
        pull(at, "hello")
        listing, free = run(programs.bundle, "ls", "--json", "--store", at).out, counters(at)
        for name, word in (("unsigned", "no signature"), ("stranger", "made by another key")):
            assert word in pull(at, name, False).err
            assert run(programs.bundle, "ls", "--json", "--store", at).out == listing
            assert counters(at) == free
    finally:
        run("umount", at)
