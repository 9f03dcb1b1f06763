# SPDX-License-Identifier: MIT
"""PID 1 and the networks of its units: a network before each start, a new one each time, and nothing left of it after the unit."""
import os, pathlib
import pytest

import netkit


@pytest.fixture
def nets(board):
    for file in ("hosts", "resolv.conf"):
        (board.rootfs / "etc" / file).write_text("")
    return netkit.Nets(board)


PLAN = ("network bridge bridge=c-bridge", "network other bridge=c-other subnet6=auto", "unit a", " join bridge", " publish - 8080 8080 80 tcp", "unit b",
        " join bridge", " alias bee", "unit c", " join other")


def test_units_find_each_other_by_name_and_leave_nothing(nets):
    board = nets.board
    nets.unit("a", "echo", 80)
    nets.unit("b", "ask", "a", 80)
    nets.unit("c", "ask", "a", 80)
    nets.start(*PLAN)
    board.coracle("start", "a")
    board.coracle("start", "b")
    board.coracle("start", "c")
    nets.said("a", "listens")
    nets.said("b", "ask a: ::ffff:10.89.0.")
    nets.said("c", "ask a: ")                                        # an error's text
    assert "10.89" not in nets.logs("c")
    assert [l for l in nets.links() if l.startswith("c-")] == ["c-bridge", "c-other"]
    for u in "abc":
        board.coracle("stop", u)
    board.wait(lambda: nets.links() == ["lo"], "links gone")
    assert not list((nets.run / "net/ns").iterdir()) and not list((nets.run / "net/up").iterdir())
    assert "refused" not in board.log()


def test_each_run_has_a_network_of_its_own_with_the_same_address(nets):
    board = nets.board
    nets.unit("a", "echo", 80)
    nets.unit("b", "echo", 80)
    nets.start(*PLAN)
    board.coracle("start", "b")
    board.coracle("start", "a")
    board.wait_state("a", "running")
    with netkit.namespace(nets.run / "net/ns/a"):                     # a setting of the first run
        pathlib.Path("/proc/sys/net/ipv4/ip_default_ttl").write_text("33")
    show = board.coracle("net").stdout
    address = next(l for l in show.splitlines() if l.startswith("a ")).split()[1]
    assert "network bridge" in show and "8080->80/tcp" in show and address.startswith("10.89.0.")
    pid = board.status("a")["pid"]
    board.coracle("restart", "a")
    board.wait(lambda: board.state("a") == "running" and board.status("a")["pid"] != pid, "a again")
    with netkit.namespace(nets.run / "net/ns/a"):
        assert pathlib.Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == "64\n"
    assert next(l for l in board.coracle("net").stdout.splitlines() if l.startswith("a ")).split()[1] == address
    assert board.state("b") == "running"
    board.coracle("reexec")
    board.wait(lambda: "goes on from the one before" in board.log(), "reexec")
    board.coracle("stop", "a")
    board.wait(lambda: len([l for l in nets.links() if l.startswith("cv")]) == 1, "the other's link alone")
    assert board.state("b") == "running"


def test_a_network_that_cannot_be_made_refuses_the_unit_and_no_other(nets):
    board = nets.board
    nets.unit("a", "echo", 80)
    nets.unit("d", "echo", 80)
    nets.unit("e", "echo", 80)
    nets.start(*PLAN, "unit d", " join bridge", " publish - 8080 8080 81 tcp")
    board.coracle("start", "a")
    board.wait_state("a", "running")
    board.coracle("start", "d")
    board.wait_state("d", "refused")
    assert "port 8080/tcp of the board is that of unit a already" in board.status("d")["reason"]
    board.coracle("start", "e")
    board.wait_state("e", "refused")
    assert "is in no network of" in board.status("e")["reason"]
    assert board.state("a") == "running"
    board.coracle("stop", "a")
    board.wait_state("a", "inactive")
    board.coracle("start", "d")
    board.wait_state("d", "running")


def test_a_job_that_is_killed_is_tried_again(nets):
    board = nets.board
    nets.unit("a", "echo", 80)
    nets.start(*PLAN)
    net = board.bin / "coracle-net"
    os.rename(net, board.bin / "real")
    net.write_text("#!/bin/sh\nkill -9 $$\n")
    net.chmod(0o755)
    board.coracle("start", "a")
    board.wait_state("a", "backoff")
    assert "network: its process was killed by signal 9" in board.status("a")["reason"]
    net.unlink()
    os.rename(board.bin / "real", net)
    board.wait_state("a", "running")
    board.coracle("stop", "a")
    board.wait(lambda: nets.links() == ["lo"], "links gone")
