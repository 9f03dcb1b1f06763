# SPDX-License-Identifier: MIT
""".network files that a release brings: the real programs, PID 1 in namespaces, networks of their own; what docs/networking.md says of releases and of the store's key."""
import subprocess
import pytest

import images
import netkit
from test_release import digests, place      # noqa: F401: a fixture

SHOP = "[Network]\nSubnet=10.%d.0.0/24\n"


def network(text, name="shop"):
    return [images.entry("units/%s.network" % name, text.encode())]


def shop(apps):
    """Two units that find each other in the network shop, and one that is in none."""
    return {"app0": (apps[0], apps[0].push("echo", 80), "Network=shop.network"), "app1": (apps[1], apps[1].push("ask", "app0", 80), "Network=shop.network"),
            "app2": (apps[2], apps[2].push("say", "here"))}


@pytest.fixture
def fleet_board(place, registry):
    """The board in a network of its own, from which the registry is reached as from this machine."""
    board, fleet, apps = place
    board.start("--net")
    space = "/proc/%d/ns/net" % board.pid
    subprocess.run(["nsenter", "--net=" + space, "ip", "link", "set", "lo", "up"], check=True)
    tunnel = netkit.Tunnel(space, registry.port)
    yield board, fleet, apps
    tunnel.stop()


def asked(board, unit="app1"):
    """What the last run of UNIT was answered; None before it is."""
    lines = [line for line in board.coracle("logs", unit, "-n", "100").stdout.splitlines() if "ask app0: " in line]
    return lines[-1].split("ask app0: ")[1] if lines else None


def pids(board):
    return {u["name"]: u["pid"] for u in board.status()["units"]}


def test_networks_come_and_go_with_a_release(fleet_board):
    board, fleet, apps = fleet_board
    units = shop(apps)
    r1 = fleet.release(units, more=network(SHOP % 61))
    assert "committed" in board.release(board.ref)
    board.wait_all(digests(units), timeout=90)
    board.wait(lambda: (asked(board) or "").startswith("::ffff:10.61.0."), "app1 finds app0")
    assert (board.data / "releases" / r1[7:39] / "units/shop.network").read_text() == SHOP % 61
    before = pids(board)

    fleet.release(units, more=network(SHOP % 62))       # the network alone
    assert "committed" in board.release()
    board.wait_all(digests(units), timeout=90)
    board.wait(lambda: (asked(board) or "").startswith("::ffff:10.62.0."), "app1 finds app0 anew")
    now = pids(board)
    assert now["app2"] == before["app2"] and now["app0"] != before["app0"] and now["app1"] != before["app1"], (before, now)

    fleet.release(units, more=network("[Network]\nSubnet=10.62.0.1/24\n"))
    assert "units/shop.network:2: Subnet=10.62.0.1/24: takes" in board.release(ok=False)       # never switched to
    assert pids(board) == now
    fleet.release(units)
    assert "rolled back: unit app" in board.release(ok=False)
    assert "Network=shop.network: there is no such file here" in board.log()
    board.wait_all(digests(units), timeout=90)
    show = board.coracle("net").stdout
    assert "c-shop 10.62.0.1/24" in show and "10.61" not in show, show

    assert "rolled back" in board.coracle("rollback", "--release").stdout
    board.wait_all(digests(units), timeout=90)
    board.wait(lambda: "c-shop 10.61.0.1/24" in board.coracle("net").stdout, "the network as the first release has it")
    for name in units:
        board.coracle("stop", name)
    board.wait(lambda: netkit.links_of("/proc/%d/ns/net" % board.pid) == ["lo"], "links gone")


@pytest.fixture
def key(place, workdir, monkeypatch):
    """Before the board starts: what its jobs write is under this key."""
    path = workdir / "store.key"
    path.write_bytes(bytes(range(32)))
    monkeypatch.setenv("CORACLE_STORE_KEY", str(path))
    place[0].intercept("bundle", "export CORACLE_STORE_KEY=%s" % path)      # PID 1 hands no environment on
    return path


def test_a_changed_network_of_a_release_is_refused_under_the_key(key, fleet_board, programs):
    board, fleet, apps = fleet_board
    units = shop(apps)
    r1 = fleet.release(units, more=network(SHOP % 61))
    assert "committed" in board.release(board.ref)
    board.wait_all(digests(units), timeout=90)
    path = board.data / "releases" / r1[7:39] / "units/shop.network"
    text = path.read_text()
    assert text.startswith(SHOP % 61 + "#mac=")
    board.stop()

    def table():
        return subprocess.run([programs.bundle, "units", "--store", board.data, board.etc / "units"], capture_output=True, text=True).stdout

    assert ": refused" not in table()
    for change in (text.replace("10.61", "10.66"), SHOP % 61, text.replace("[Network]\n", "[Network]\nDNS=192.0.2.66\n")):
        path.write_text(change)
        out = table()
        for unit in ("app0", "app1"):
            assert "%s.container: Network=shop.network: " % unit in out and "shop.network: not written under this board's key: refused" in out, out
        assert "app2.container:" not in out, out
    path.write_text(text)
    assert ": refused" not in table()
