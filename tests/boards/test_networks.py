# SPDX-License-Identifier: MIT
"""Networks of units on QEMU boards, on the kernels and modules that boards have: names, a published port, another network, nothing left."""
import re, socket, time
import pytest

@pytest.fixture(scope="session")
def guest(push_guest):
    push_guest("demo/guest")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def knock(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                said = s.recv(100).decode()
                if said:
                    return said
        except OSError:
            pass
        time.sleep(0.5)


@pytest.mark.every_board
def test_names_ports_and_another_network(boot, guest, unit_text):
    port = free_port()
    board = boot(forward="tcp:127.0.0.1:%d-:8080" % port, units={
        "shop.network": "[Network]\nSubnet=10.50.0.0/24\nIPv6=yes\n",
        "web.container": unit_text("Network=shop.network\nIP=10.50.0.10\nPublishPort=8080:80\nExec=both 80 client 81\nStopTimeout=1", name="guest"),
        "client.container": unit_text("Network=shop.network\nExec=both 81 web 80\nStopTimeout=1", name="guest"),
        "stranger.container": unit_text("Network=bridge\nDNS=none\nExec=ask web 80\nStopTimeout=1", name="guest"),
        "burglar.container": unit_text("Network=bridge\nDNS=none\nExec=ask 10.50.0.10 80\nStopTimeout=1", name="guest"),
    })
    names = ("web", "client", "stranger", "burglar")
    for name in names:
        board.wait_unit(name, "running", timeout=200)
    board.wait_says("logs client", r"ask web: (::ffff:10\.50\.|fd)", timeout=150)
    board.wait_says("logs web", r"ask client: (::ffff:10\.50\.|fd)", timeout=150)
    assert not re.search("10[.](50|89)|fd[0-9a-f]", board.wait_says("logs stranger", r"ask web: .*").group(0))
    assert knock(port) == "::ffff:10.0.2.2"
    assert "ask 10.50.0.10:" not in board.say("logs burglar")           # it asks until it is answered
    net = board.say("net")
    assert re.search(r"^network shop +c-shop 10\.50\.0\.1/24 fd\S+/64", net, re.M) and re.search(r"^  published +8080->80/tcp$", net, re.M), net
    assert re.search(r"^  listens +80/tcp6$", net, re.M), net
    for name in names:
        board.say("stop " + name)
        board.wait_unit(name, "inactive")
    board.wait_says("net", r"(?s)^((?!\bc-|\bcv).)*$")
    assert board.poweroff() == 0
