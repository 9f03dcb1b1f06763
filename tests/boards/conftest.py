# SPDX-License-Identifier: MIT
"""Fixtures of the boards' tests: the demo inside the session's registry, and a factory of boards.

Which boards a test boots: qemu-x86_64 all, the other QEMU boards those marked every_board; with CORACLE_FULL=1 every board all;
with BOARD=NAME that board alone, all."""
import itertools, os, shutil, warnings
import pytest
from _pytest.runner import runtestprotocol
import board as board_kit
import demo
import images


FIRST = "qemu-x86_64"
ONE = os.environ.get("BOARD")       # one object: pytest keeps a session's fixtures for as long as their parameter `is` the same
BOARDS = sorted((p.parent.name for p in board_kit.pack.BOARDS.glob("qemu-*/board")), key=lambda name: (name != FIRST, name))


def pytest_configure(config):
    config.addinivalue_line("markers", "every_board(NAME...): boots every QEMU board, those named excepted, not the first alone")


def pytest_runtest_makereport(item, call):
    if call.when == "call" and call.excinfo and "tmp_path" in item.funcargs:
        item.is_emulators_fault = any(board_kit.EMULATORS_FAULT in log.read_text(errors="replace") for log in item.funcargs["tmp_path"].glob("board*/console.log"))


def pytest_runtest_protocol(item, nextitem):
    """As ever, but a test whose guest died by the emulator runs again, once."""
    item.is_emulators_fault = False
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if item.is_emulators_fault:
        warnings.warn("%s: the guest's kernel died by the emulator (int3); run again" % item.nodeid)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_generate_tests(metafunc):
    if "board_name" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("every_board")
    boards = BOARDS if os.environ.get("CORACLE_FULL") == "1" else [b for b in BOARDS if b not in mark.args] if mark else BOARDS[:1]
    metafunc.parametrize("board_name", [ONE] if ONE else boards, scope="session")


@pytest.fixture(scope="session")
def etc(registry):
    """What `make run` gives a board as /etc/coracle, with this session's registry in it."""
    demo.push_all(registry)
    demo.write_etc(registry, more=("big", "escape", "fleet", "guest", "powercut", "twisted"))
    return registry.state / "etc"


@pytest.fixture(scope="session")
def first_disk(board_name, tmp_path_factory):
    """The disk that the first boot pulls onto, and later tests boot from."""
    return board_kit.make_disk(tmp_path_factory.mktemp("disk") / "data.img", 64)


@pytest.fixture(scope="session")
def big(board_name, registry, etc, tmp_path_factory):
    """The signed image demo/big: 3 MiB of noise, which no processor runs."""
    layout = tmp_path_factory.mktemp("big") / "image"
    images.make_image(layout, [[images.entry("big", os.urandom(3 << 20), mode=0o755)]], config={"Entrypoint": ["/big"]}, arch=board_kit.arch(board_name))
    registry.push(layout, "demo/big")
    registry.sign("demo/big", registry.key("cosign"), identity="registry.demo:%d/demo/big" % registry.port)


@pytest.fixture(scope="session")
def push_guest(board_name, registry, etc, tmp_path_factory):
    """push_guest("demo/hello", "x", ARGS..., annotations={}): tests/tools/guest.c as the image demo/hello:x, run with ARGS, signed with these claims. Its digest."""
    folder = tmp_path_factory.mktemp("guest")
    guest = board_kit.build_tool(board_name, "guest.c", folder / "guest").read_bytes()

    def push(repo, tag="1", *args, annotations=None):
        images.make_image(folder / "image", [[images.entry("guest", guest, mode=0o755)]], config={"Entrypoint": ["/guest", *args]}, arch=board_kit.arch(board_name))
        digest = registry.push(folder / "image", repo, tag)
        registry.sign(repo, registry.key("cosign"), tag, identity="registry.demo:%d/%s" % (registry.port, repo), annotations=annotations)
        return digest
    return push


@pytest.fixture
def unit_text(registry):
    """Text of a unit of the signed image. CONTAINER, SERVICE: more lines of these sections."""
    def make(container="", service="Restart=always", name="hello"):
        return "[Container]\nImage=registry.demo:%d/demo/%s:1\n%s\n\n[Service]\n%s\n" % (registry.port, name, container, service)
    return make


@pytest.fixture
def boot_later(board_name, etc, tmp_path):
    """boot_later(units={...}, disk=..., **more of Board): a board that is not started yet, killed at the end of the test. UNITS: {file name: text}
    instead of the demo's two; DISK "new" (the default), None, or a path; WITHOUT: names that /etc/coracle does not get."""
    boards, number = [], itertools.count()

    def go(units=None, disk="new", mib=256, without=(), **more):
        folder = tmp_path / ("board%d" % next(number))
        folder.mkdir()
        own = folder / "etc"
        shutil.copytree(etc, own, ignore=shutil.ignore_patterns(*without))
        if units is not None:
            shutil.rmtree(own / "units")
            (own / "units").mkdir()
            for name, text in units.items():
                (own / "units" / name).write_text(text)
        if disk == "new":
            disk = board_kit.make_disk(folder / "data.img", mib)
        one = board_kit.Board(folder, own, disk, name=board_name, **more)
        boards.append(one)
        return one

    yield go
    for one in boards:
        one.kill()


@pytest.fixture
def boot(boot_later):
    """The same, at its prompt."""
    return lambda *args, **more: boot_later(*args, **more).start()
