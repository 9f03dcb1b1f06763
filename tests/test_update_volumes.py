# SPDX-License-Identifier: MIT
"""What an update does to a unit's data: VolumeOnUpdate=copy and PreSwitch= (docs/updates.md, "Data"). First through PID 1 and the real registry, then the
jobs alone, killed at their system calls."""
import collections
import os
import pathlib
import shutil
import stat
import subprocess
import types

import pytest

import images
import layerkit
from test_update import app, board, first, make_board  # noqa: F401
from test_release import digests, place  # noqa: F401
from test_units import GOOD, lines, units  # noqa: F401

CONTAINER = "Volume=data:/data\nUser=0"
X = "ConfirmSec=500ms\nVolumeOnUpdate=copy\n"
LOG = "/data/log"


def log(board):
    file = board.data / "volumes/data/log"
    return file.read_text().split() if file.exists() else []


def copies(board):
    before = board.data / "volumes/.before"
    return sorted(os.listdir(before)) if before.exists() else []


def begin(board, app, x=X):
    """The unit runs its first image, which left a line in its volume."""
    one = first(board, app, "put", LOG, "one", "say", "one", container=CONTAINER, x=x)
    board.wait(lambda: log(board) == ["one"], "its line")
    return one


# Through PID 1


def test_what_a_failed_image_did_to_a_copied_volume_is_undone(board, app):
    one = begin(board, app)
    two = app.push("put", LOG, "two", "exit", "1")
    said = board.update("app", ok=False, timeout=200)
    assert "its program ended too often" in said
    board.wait_runs(one, timeout=120)
    board.wait(lambda: log(board) == ["one", "one"], "the old one on what it knows")
    assert board.slot()["refused"] == two and copies(board) == []


def test_a_volume_that_is_kept_is_not_touched(board, app):
    """The default, and by name beside one that is copied."""
    one = first(board, app, "put", LOG, "one", "say", "one", container=CONTAINER + "\nVolume=other:/other", x=X + "VolumeOnUpdate=data:keep")
    board.wait(lambda: log(board) == ["one"], "its line")
    app.push("put", LOG, "two", "put", "/other/log", "two", "exit", "1")
    board.update("app", ok=False, timeout=200)
    board.wait_runs(one, timeout=120)
    board.wait(lambda: log(board)[-1] == "one", "the old one")
    assert log(board) == ["one"] + ["two"] * log(board).count("two") + ["one"] and "two" in log(board)
    assert os.listdir(board.data / "volumes/other") == []


def test_the_command_runs_once_before_the_new_program_and_what_it_did_is_kept(board, app):
    begin(board, app, x=X + "PreSwitch=/guest put /data/log $$migrated exit 0")
    two = app.push("put", LOG, "two", "say", "two")
    assert "committed" in board.update("app", timeout=200)
    board.wait_runs(two, timeout=120)
    assert log(board) == ["one", "$migrated", "two"] and copies(board) == []
    board.coracle("restart", "app")
    board.wait(lambda: log(board) == ["one", "$migrated", "two", "two"], "a later start is without it")
    board.stop()
    board.start()
    board.wait_runs(two, timeout=120)
    board.wait(lambda: log(board) == ["one", "$migrated", "two", "two", "two"], "a later boot too")


def test_a_command_that_fails_is_a_verdict(board, app):
    one = begin(board, app, x=X + "PreSwitch=/guest put /data/log half exit 3")
    two = app.push("put", LOG, "two", "say", "two")
    assert "PreSwitch=: ended with code 3" in board.update("app", ok=False, timeout=200)
    board.wait_runs(one, timeout=120)
    board.wait(lambda: log(board) == ["one", "one"], "its volume is back")
    assert board.slot()["refused"] == two and copies(board) == []
    assert "failed here before" in board.update("app", timeout=200)


def test_a_command_that_hangs_is_ended_and_a_verdict(board, app):
    one = begin(board, app, x=X + "PreSwitch=/guest put /data/log half deaf wait-for-ever\nPreSwitchSec=1s")
    two = app.push("say", "two")
    assert "PreSwitch=: took longer than 1 s" in board.update("app", ok=False, timeout=200)
    board.wait_runs(one, timeout=120)
    assert board.slot()["refused"] == two
    board.wait(lambda: log(board) == ["one", "one"], "its volume is back")
    board.wait(lambda: not [pid for pid in os.listdir("/proc") if pid.isdigit() and b"wait-for-ever" in command_line(pid)], "the command was killed")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_the_power_goes_while_the_command_runs(board, app):
    """Attempt 2 runs it again; the copy is the one from before the first."""
    again = X + "PreSwitch=/guest put /data/log again exit 0"
    one = begin(board, app, x=X + "PreSwitch=/guest put /data/log begun later 3000000 0\nPreSwitchSec=1h")
    two = app.push("put", LOG, "two", "say", "two")
    board.update("app", "--no-wait")
    board.wait(lambda: log(board)[-1] == "begun", "the command", timeout=120)
    assert copies(board) == ["app." + two[7:39]]
    board.kill()
    assert (board.data / "volumes/.before" / copies(board)[0] / "data/log").read_text() == "one\n"
    board.unit("app", app, container=CONTAINER, x=again)
    board.start()
    board.wait_runs(two, timeout=120)
    assert log(board) == ["one", "begun", "again", "two"] and board.slot()["previous"] == one and copies(board) == []


def test_the_power_goes_in_mid_trial_and_all_attempts_are_spent(board, app):
    one = begin(board, app, x="ConfirmSec=250s\nVolumeOnUpdate=data:copy\nPreSwitch=/guest put /data/log migrated exit 0")
    two = app.push("put", LOG, "two", "say", "two")
    board.update("app", "--no-wait")
    for n in (1, 2, 3):
        board.wait(lambda: log(board) == ["one", "migrated"] + ["two"] * n, f"trial {n}: what the last one wrote is kept", timeout=120)
        board.kill()
        board.start()
    board.wait_runs(one, timeout=120)
    board.wait(lambda: log(board) == ["one", "one"], "its volume is back")
    assert board.slot()["refused"] == two and copies(board) == []


def test_an_image_whose_copy_has_no_room_is_not_switched_to(make_board, app, run, workdir):
    disk = workdir / "disk"
    with open(disk, "wb") as f:
        f.truncate(48 << 20)
    run("mkfs.ext4", "-q", "-m", "0", disk, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    os.chmod(workdir, 0o755)
    board = make_board(app, base=workdir / "b")
    run("mount", "-o", "loop", disk, board.data)
    try:
        begin(board, app)
        big = board.data / "volumes/data/big"
        big.write_bytes(os.urandom(24 << 20))
        pid = board.status("app")["pid"]
        two = app.push("put", LOG, "two", "say", "two")
        said = board.update("app", ok=False, timeout=200)
        assert "unit app: a copy of its volumes (VolumeOnUpdate=) takes 24" in said and "KiB are free: make room" in said, said
        assert board.status("app")["pid"] == pid and board.slot()["next"] == "-" and board.slot()["refused"] == "-"
        os.truncate(big, 1 << 20)
        assert "committed" in board.update("app", timeout=200)
        board.wait_runs(two, timeout=120)
        assert log(board) == ["one", "two"]
    finally:
        try:
            board.stop()
        finally:
            subprocess.run(["umount", board.data], check=False)


@pytest.mark.full
def test_where_blocks_are_shared_a_copy_takes_no_room(make_board, app, run, workdir):
    """btrfs: a volume of which no second copy fits on the disk is copied, and put back."""
    path = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if "\tbtrfs\n" not in pathlib.Path("/proc/filesystems").read_text() or not shutil.which("mkfs.btrfs", path=path["PATH"]):
        pytest.skip("skip: this machine mounts or makes no btrfs, which shares blocks")
    disk = workdir / "disk"
    with open(disk, "wb") as f:
        f.truncate(160 << 20)
    run("mkfs.btrfs", "-q", "--mixed", disk, env=path)
    os.chmod(workdir, 0o755)
    board = make_board(app, base=workdir / "b")
    run("mount", "-o", "loop", disk, board.data)
    try:
        one = begin(board, app)
        data = os.urandom(80 << 20)
        (board.data / "volumes/data/big").write_bytes(data)
        run("sync", "-f", board.data)
        free = os.statvfs(board.data)
        assert free.f_bavail * free.f_frsize < len(data), "a second one would fit"
        app.push("put", LOG, "two", "exit", "1")
        assert "its program ended too often" in board.update("app", ok=False, timeout=200)
        board.wait_runs(one, timeout=120)
        board.wait(lambda: log(board) == ["one", "one"], "the old one on what it knows")
        assert (board.data / "volumes/data/big").read_bytes() == data and copies(board) == []
    finally:
        try:
            board.stop()
        finally:
            subprocess.run(["umount", board.data], check=False)


def test_a_release_puts_back_what_its_units_did(place):
    """app1 is bad, and app0's volume, which app0 itself was well with, goes back with it; a good release keeps what it did, and no copy is left."""
    board, fleet, apps = place
    x = "Volume=data:/data\nUser=0\n[X-Coracle]\nVolumeOnUpdate=copy\nPreSwitch=/guest put /data/log migrated exit 0"

    def release(word, *second):
        units = {"app0": (apps[0], apps[0].push("put", LOG, word, "say", word), x), "app1": (apps[1], apps[1].push(*second))}
        fleet.release(units)
        return digests(units)
    old = release("one", "say", "x")
    board.start()
    assert "committed" in board.release(board.ref)
    board.wait_all(old, timeout=120)
    assert log(board) == ["migrated", "one"] and copies(board) == []
    release("bad", "exit", "3")
    assert "rolled back: unit app1: its program ended too often" in board.release(ok=False)
    board.wait_all(old, timeout=120)
    board.wait(lambda: log(board) == ["migrated", "one", "one"], "its volume is back")
    assert copies(board) == []
    new = release("two", "say", "y")
    assert "committed" in board.release()
    board.wait_all(new, timeout=120)
    assert log(board) == ["migrated", "one", "one", "migrated", "two"] and copies(board) == []


# Unit files


def test_keys(units):
    units("a.container", GOOD + "Volume=db:/db\n[X-Coracle]\nVolumeOnUpdate=copy db:keep\nVolumeOnUpdate=db:copy\nPreSwitch=/bin/migrate \"two words\"\n")
    units.check(ok=True)
    units("a.container", GOOD + "Volume=db:/db\n[X-Coracle]\nVolumeOnUpdate=bd:copy\n")
    assert "a.container: VolumeOnUpdate=bd:copy: no Volume= of that name" in lines(units.check(ok=False))["a"]
    for bad in ("VolumeOnUpdate=db", "VolumeOnUpdate=:copy", "VolumeOnUpdate=db:snapshot", "PreSwitchSec=0", "PreSwitchSec=2h", "PreSwitch=\"open"):
        units("a.container", GOOD + "Volume=db:/db\n[X-Coracle]\n" + bad + "\n")
        assert "a.container:5: " + bad.split("=")[0] + "=" in lines(units.check(ok=False))["a"]


def test_a_volume_of_two_units_is_not_copied_for_one(units):
    units("a.container", GOOD + "Volume=db:/db\n[X-Coracle]\nVolumeOnUpdate=copy\n")
    units("b.container", GOOD + "Volume=db:/elsewhere\n")
    by = lines(units.check(ok=False))
    assert "VolumeOnUpdate=copy: volume db is unit b's too" in by["a"] and by["b"].startswith("ok")


# The jobs alone


@pytest.fixture(scope="module")
def scene(tmp_path_factory, registry, programs):
    """A store with app running image one, two pulled and staged, and a volume with one of everything in it."""
    folder = tmp_path_factory.mktemp("volumes")
    digests = []
    for n in ("one", "two"):
        images.make_image(folder / n, [[images.entry("bin/true", n.encode() * 9, mode=0o755)]])
        digests.append(registry.push(folder / n, "volumes/app", tag=n))
        registry.sign_by_hand("volumes/app", registry.key(), tag=n)
    import registry as kit
    (folder / "policy.json").write_text(kit.policy({registry.host + "/volumes/app": registry.key().pub}))
    trust = ["--policy", folder / "policy.json", "--authfile", registry.login_file(folder / "auth.json"),
             "--cert-dir", registry.certs_dir(folder / "certs.d")]
    store, ref, unit = folder / "store", registry.host + "/volumes/app:stable", folder / "app.container"
    store.mkdir()
    unit.write_text(f"[Container]\nImage={ref}\nVolume=data:/data\n[X-Coracle]\nVolumeOnUpdate=copy\n")
    for n in ("one", "two"):
        subprocess.run([programs.fetch, "pull", "--store", store, *trust, f"{registry.host}/volumes/app:{n}"], check=True, stdout=subprocess.DEVNULL)

    def prepare(digest, before=()):
        fd = os.memfd_create("record")
        try:
            return subprocess.run([*before, programs.bundle, "prepare", "--record-fd", str(fd), "--store", store, "--name", "app", "--unit", unit,
                                   "--ref", ref, digest], pass_fds=(fd,), capture_output=True, text=True, timeout=600)
        finally:
            os.close(fd)

    def step(*words, before=()):
        return subprocess.run([*before, programs.bundle, "slot", *words, "--store", store, "--name", "app", "--unit", unit, "--ref", ref, digests[1]],
                              capture_output=True, text=True, timeout=600)

    assert prepare(digests[0]).returncode == 0
    fill(store / "volumes/data")
    for words in (("stage",), ("switch",)):
        assert step(*words).returncode == 0
    shutil.copyfile(store / "state/slots", folder / "slots-on-trial")
    return types.SimpleNamespace(folder=folder, store=store, trial=folder / "slots-on-trial", one=digests[0], two=digests[1], prepare=prepare, step=step)


def fill(top):
    """Everything that a program may leave in its volume."""
    (top / "sub/deeper").mkdir(parents=True)
    (top / "sub/file").write_bytes(os.urandom(70000))
    with open(top / "sparse", "wb") as f:
        f.seek(3 << 20)
        f.write(b"end")
        f.truncate(8 << 20)
    (top / "sub/empty").touch()
    (top / os.fsdecode(b"not \xff utf-8 \n")).write_text("x")
    (top / ("n" * 255)).write_text("long")
    os.symlink("../../../../etc/passwd", top / "link")
    os.symlink("/", top / "sub/root")
    os.mkfifo(top / "sub/fifo", 0o640)
    os.link(top / "sub/file", top / "again")
    os.mknod(top / "null", stat.S_IFCHR | 0o620, os.makedev(1, 3))
    os.chown(top / "sub/file", 12, 34)
    os.chmod(top / "sub/file", 0o4751)
    os.setxattr(top / "sub/file", "user.note", b"kept\0too")
    os.setxattr(top / "sub", "trusted.note", b"t")
    os.lchown(top / "link", 5, 6)
    deep = top
    for _ in range(20):
        deep = deep / "d"
        os.mkdir(deep)
    for at, _, names in os.walk(top, topdown=False):
        for n in names:
            os.utime(os.path.join(at, n), ns=(10**18 + 5, 10**18 + 7), follow_symlinks=False)
        os.utime(at, ns=(10**18 + 5, 10**18 + 9))


def picture(top):
    """What lies there, as far as a copy is to be the same."""
    out = {}
    for at, folders, names in os.walk(os.fsencode(top)):
        for n in [b"."] + folders + names:
            path = os.path.join(at, n)
            s = os.lstat(path)
            kind = stat.S_IFMT(s.st_mode)
            body = os.readlink(path) if kind == stat.S_IFLNK else open(path, "rb").read() if kind == stat.S_IFREG else s.st_rdev
            attrs = {a: os.getxattr(path, a, follow_symlinks=False) for a in os.listxattr(path, follow_symlinks=False)} if kind in (stat.S_IFREG, stat.S_IFDIR) else {}
            out[os.path.relpath(path, os.fsencode(top))] = (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, body, attrs)
    return out


def use(scene, saved):
    """The store as it was when SAVED was taken."""
    for name in ("state", "volumes"):
        shutil.rmtree(scene.store / name)
        subprocess.run(["cp", "-a", saved / name, scene.store / name], check=True)


def save(scene, name):
    saved = scene.folder / name
    saved.mkdir()
    for n in ("state", "volumes"):
        subprocess.run(["cp", "-a", scene.store / n, saved / n], check=True)
    return saved


FULL = os.environ.get("CORACLE_FULL") == "1"
CALLS = "openat2,openat,mkdirat,renameat,syncfs,fsync,unlinkat,sendfile,fchown,getdents64"


def kill_at_calls(scene, saved, job, check, least):
    """JOB(before=words), killed at calls 1, 2, 3, 5, 8, ... of each kind (at every one of the first 200 where all is tested); CHECK() each time; done again, it
    comes to its end. How many kills."""
    hits = collections.Counter()
    for call in CALLS.split(","):
        n = 1
        while True:
            use(scene, saved)
            done = job(before=("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={n}"))
            if done.returncode == 0:
                break
            hits[call] += 1
            check()
            again = job(before=())
            assert again.returncode == 0, (call, n, again.stderr)
            check(True)
            n += 1 if FULL and n < 200 else max(1, n * 2 // 3)
    assert sum(hits.values()) >= least, hits


def test_no_kill_loses_data(scene):
    """The copy before a trial, the rollback and the commit, each killed at system calls."""
    volume, before = scene.store / "volumes/data", scene.store / "volumes/.before"
    kept = before / ("app." + scene.two[7:39])
    old = picture(volume)
    on_trial = save(scene, "trial")

    def copying(is_done=False):
        assert picture(volume) == old, "the volume itself is only read"
        if kept.exists():
            assert picture(kept / "data") == old, "a copy that is there is whole"
        assert kept.exists() or not is_done
        assert not is_done or os.listdir(before) == [kept.name]
    kill_at_calls(scene, on_trial, lambda before: scene.prepare(scene.two, before), copying, 25)
    blocks = lambda path: os.stat(path).st_blocks
    assert blocks(kept / "data/sparse") <= blocks(volume / "sparse") + 16, "holes stay holes"

    (volume / "sub/file").write_text("new")
    shutil.rmtree(volume / "sub/deeper")
    (volume / "more").write_text("new")
    new = picture(volume)
    in_trial = save(scene, "in-trial")
    assert scene.prepare(scene.two).returncode == 0
    assert picture(volume) == new and picture(kept / "data") == old, "another attempt goes on with what there is"

    assert scene.step("rollback", "--verdict", "yes").returncode == 0
    failed = save(scene, "failed")

    def going_back(is_done=False):
        there = picture(volume) if volume.exists() else None
        assert there == old or (there in (None, new) and picture(kept / "data") == old)
        assert not is_done or (there == old and os.listdir(before) == [])
    kill_at_calls(scene, failed, lambda before: scene.prepare(scene.one, before), going_back, 15)

    use(scene, in_trial)

    def committing(is_done=False):
        assert picture(volume) == new
        if is_done:
            assert scene.prepare(scene.two).returncode == 0 and os.listdir(before) == [] and picture(volume) == new
    kill_at_calls(scene, in_trial, lambda before: scene.step("commit", before=before), committing, 10)


def test_a_volume_too_deep_to_copy_is_said_so(scene):
    saved = save(scene, "before-deep")
    deep = os.open(scene.store / "volumes/data", os.O_RDONLY)
    for _ in range(400):
        os.mkdir("e", dir_fd=deep)
        below = os.open("e", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    shutil.copyfile(scene.trial, scene.store / "state/slots")
    shutil.rmtree(scene.store / "volumes/.before", ignore_errors=True)
    done = scene.prepare(scene.two)
    assert done.returncode == 1 and "the volumes of app: e: " in done.stderr, done.stderr
    assert os.listdir(scene.store / "volumes/.before") == []
    subprocess.run(["rm", "-rf", scene.store / "volumes/data/e"], check=True)
    use(scene, saved)
