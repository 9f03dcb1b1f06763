# SPDX-License-Identifier: MIT
""".network files and the network keys of units: what becomes of them, as `coracle-bundle units --plan` hands it to coracle-net."""
import re
import pytest

import layerkit
from test_tamper import board, bundle, code, key      # noqa: F401: the first and the last are fixtures

UNIT = "[Container]\nImage=registry.test:5000/a/b:1\n"


@pytest.fixture
def folder(workdir, run, programs):
    class Folder:
        def write(self, **files):
            for name, text in files.items():
                (workdir / name.replace("__", ".")).write_text(text)
            return self

        def check(self, ok=None):
            return run(programs.bundle, "units", workdir, ok=ok)

        def plan(self):
            return run(programs.bundle, "units", "--plan", workdir).out.split("\n")[1:-1]

        def refused(self, *words):
            out = self.check(ok=False).out
            for word in words:
                assert word in out, out

    return Folder()


def test_a_network_file_becomes_a_line_of_the_plan(folder):
    folder.write(a__container=UNIT + "Network=web.network\nNetwork=bridge\nIP=10.50.0.130\nNetworkAlias=www shop\nHostName=box\nContainerName=x\n",
                 web__network="[Unit]\nDescription=x\n[Network]\nSubnet=10.50.0.0/24\nGateway=10.50.0.254\nIPRange=10.50.0.128/25\nSubnet=fd00:1::/64\nOptions=mtu=1400\n"
                              "DNS=1.1.1.1 9.9.9.9\nLabel=a=b\nInterfaceName=web0\n",
                 in__network="[Network]\nInternal=true\nIPv6=yes\n", averyverylongname__network="")
    plan = folder.plan()
    assert plan[0] == "network bridge bridge=c-bridge"
    assert re.fullmatch("network averyverylongname bridge=c-averyve-[0-9a-f]{5}", plan[1])
    assert plan[2:] == ["network in bridge=c-in internal subnet6=auto",
                        "network web bridge=web0 mtu=1400 subnet=10.50.0.0/24 gateway=10.50.0.254 range=128-255 subnet6=fd00:1::/64", " dns 1.1.1.1", " dns 9.9.9.9",
                        "unit a", " join web ip=10.50.0.130", " join bridge", " alias box", " alias x", " alias www", " alias shop"]


def test_what_a_unit_says_of_its_network(folder):
    folder.write(a__container=
                 UNIT + "Network=bridge\nPublishPort=8080:80\nPublishPort=[::1]:7000-7001:70-71/udp\nPublishPort=0.0.0.0:1:1\nAddHost=db:192.0.2.1\n"
                        "AddHost=six:2001:db8::1\nDNS=none\nDNSSearch=lan\nDNSOption=ndots:1\nSysctl=\"net.ipv4.tcp_rmem=1 2 3\"\n")
    assert folder.plan()[2:] == [" join bridge", " publish - 8080 8080 80 tcp", " publish ::1 7000 7001 70 udp", " publish - 1 1 1 tcp", " dns none", " search lan",
                                 " option ndots:1", " host db 192.0.2.1", " host six 2001:db8::1", " sysctl net/ipv4/tcp_rmem 1\t2\t3"]


def test_without_a_network_there_is_no_plan(folder):
    assert folder.write(a__container=UNIT, web__network="[Network]\n").plan() == []


BAD = {
    "a word that is none": ("Internl=yes", "web.network:2: unknown key Internl= in [Network]; did you mean Internal=?"),
    "far from any": ("Wibblewobble=1", "unknown key Wibblewobble= in [Network]; docs/networking.md lists all"),
    "a section": ("[Netwrk]\nInternal=yes", "web.network:3: unknown section [Netwrk]; there are [Unit], [Network] and [Install]"),
    "bits behind the prefix": ("Subnet=10.1.2.3/24", "web.network:2: Subnet=10.1.2.3/24: takes ADDRESS/PREFIX without a bit behind the prefix"),
    "no room": ("Subnet=10.1.2.0/31", "Subnet=10.1.2.0/31: takes"),
    "a gateway elsewhere": ("Subnet=10.1.2.0/24\nGateway=10.1.3.1", "Gateway= is no address of Subnet="),
    "a gateway alone": ("Gateway=10.1.3.1", "Gateway= is an address of Subnet=, of which there is none"),
    "a range elsewhere": ("Subnet=10.1.2.0/24\nIPRange=10.1.3.0/25", "IPRange=: 10.1.3.0/25 is no part of Subnet="),
    "a driver": ("Driver=macvlan", "Driver=macvlan: takes bridge, the only one"),
    "an option": ("Options=isolate=true", "Options=isolate=true: takes mtu=N"),
    "a link's name": ("InterfaceName=averyverylongname", "takes a name of at most 15"),
    "podman's": ("PodmanArgs=--x", "PodmanArgs= is not supported: there is no podman here"),
    "DNS": ("DNS=x", "DNS=x: takes addresses of name servers"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_network_refuses_its_units_by_name_and_no_other(folder, name):
    text, why = BAD[name]
    folder.write(a__container=UNIT + "Network=web.network\n", b__container=UNIT + "Network=bridge\n", web__network="[Network]\n" + text + "\n")
    folder.refused("a.container: Network=web.network: ", why)
    assert re.search("^b +ok", folder.check().out, re.M)
    assert [l for l in folder.plan() if not l.startswith(" ")] == ["network bridge bridge=c-bridge", "unit b"]


def test_networks_against_each_other(folder):
    folder.write(a__container=UNIT + "Network=one.network\n", b__container=UNIT + "Network=two.network\n", c__container=UNIT + "Network=three.network\n",
                 d__container=UNIT + "Network=one.network\nNetwork=one.network\n", e__container=UNIT + "Network=bridge.network\n",
                 one__network="[Network]\nSubnet=10.1.0.0/16\n", two__network="[Network]\nSubnet=10.1.5.0/24\n", three__network="[Network]\nInterfaceName=c-one\n",
                 bridge__network="[Network]\n")
    folder.refused("two.network: Subnet=10.1.5.0/24 overlaps with 10.1.0.0/16 of one.network", "three.network: its link c-one is that of network one too",
                   "d.container: Network=one is there twice", "bridge is the network that needs no file")
    assert re.search("^a +ok", folder.check().out, re.M)


def test_ports_of_an_internal_network_are_refused(folder):
    folder.write(a__container=UNIT + "Network=in.network\nPublishPort=80:80\n", in__network="[Network]\nInternal=yes\n")
    folder.refused("PublishPort=: nothing comes into an Internal=yes network")


def test_a_network_of_the_data_partition_is_taken_with_its_code_alone(board, key, tmp_path):
    """Under the store's key: as a unit is."""
    text = "[Network]\nSubnet=10.50.0.0/24\n"
    board.unit.write_text(UNIT + "Network=web.network\n")
    (board.units / "b.container").write_text(UNIT + "Network=bridge\n")
    web = board.units / "web.network"
    web.write_text(text)
    bundle("seal", board.unit, board.units / "b.container", web)
    assert web.read_text() == text + "#mac=%s\n" % code(key, "unit", "web.network", text.encode())
    assert re.search("(?m)^app +ok", board.table(ok=True))
    assert "network web bridge=c-web subnet=10.50.0.0/24" in bundle("units", "--store", board.store.path, "--plan", board.units)
    good = web.read_text()
    for bad in (text, good.replace("10.50", "10.66"), text + "Internal=no\n" + good.splitlines(True)[-1], text + "#mac=%s\n" % code(key, "unit", "bep.network", text.encode())):
        web.write_text(bad)
        out = board.table(ok=False)
        assert "app.container: Network=web.network: " in out and "web.network: not written under this board's key: refused" in out, out
        assert re.search("(?m)^b +ok", out), out
    (board.units / "bridge2.network").write_text("[Network]\n")        # one that nobody is in harms nobody
    web.write_text(good)
    board.table(ok=True)
    (tmp_path / "units").mkdir()                                        # of the initramfs: no code is asked for
    (tmp_path / "units/web.network").write_text(text)
    (tmp_path / "units/c.container").write_text(UNIT + "Network=web.network\n")
    assert re.search("(?m)^c +ok", bundle("units", "--store", board.store.path, tmp_path / "units", ok=True))


def test_docs_have_every_key_of_a_network_file():
    source = (layerkit.ROOT / "bundle/net_files.c").read_text()
    doc = (layerkit.ROOT / "docs/networking.md").read_text()
    for key in re.findall(r'\{ "Network", "(\w+)"', source):
        assert "| %s= |" % key in doc, key
