# SPDX-License-Identifier: MIT
"""coracle-net in network namespaces of its own (tests/lib/netkit.py): what units reach, what is refused by name, and that nothing is left."""
import ctypes, os, random, re, signal, socket, struct, subprocess, time
import pytest

import netkit
from netkit import GATEWAY, GATEWAY6, UPLINK, UPLINK6, World

FULL = bool(os.environ.get("CORACLE_FULL"))
TWO = ("network bridge", "network other", "unit a", " join bridge", "unit b", " join bridge", "unit c", " join other")
SIX = ("network six subnet6=auto", "unit a", " join six", "unit b", " join six")


@pytest.fixture
def host(workdir, programs):
    one = netkit.Host(workdir, programs.folder / "coracle-net")
    yield one
    one.close()


def quiet(host):
    """What there is, once IPv6 has settled."""
    end = time.monotonic() + 20
    while "tentative" in host.left() and time.monotonic() < end:
        time.sleep(0.05)
    return host.left()


def table(host, family):
    return host.call("nft", "list", "table", family, "coracle").stdout


def named(host, unit, name, family=4):
    """The address that the unit's hosts file has for NAME."""
    return next(l.split("\t")[0] for l in host.names(unit).splitlines() if name in l.split("\t")[1].split() and (":" in l) == (family == 6))


def test_units_reach_each_other_by_name_and_the_world_but_not_another_network(host):
    host.plan(*TWO[:4], " publish - 8080 8080 80 tcp", *TWO[4:])
    host.all_up("a", "b", "c")
    for port in (80, 7):
        host.serve("a", port)
    host.serve(World, 81)
    a = named(host, "b", "a")
    assert host.ask("b", a, 80) == host.address_of("b")
    assert host.ask(World, UPLINK, 8080) == GATEWAY                  # the client's own address, not the board's
    assert host.ask(None, UPLINK, 8080) == UPLINK
    assert host.ask(None, "127.0.0.1", 8080) == "10.89.0.1"
    assert host.ask("b", UPLINK, 8080)                               # by way of the board to a neighbour
    assert host.ask("a", GATEWAY, 81) == UPLINK
    assert "\ta" not in host.names("c")
    assert host.ask("c", a, 80, timeout=1) is None
    assert host.ask("c", UPLINK, 8080, timeout=1) is None
    assert host.ask(World, UPLINK, 7, timeout=1) is None             # not published
    assert host.ask("c", GATEWAY, 81) == UPLINK


def test_ipv6_is_a_network_of_its_own_kind(host):
    host.plan(*SIX, " publish - 8080 8080 80 tcp")
    host.all_up("a", "b")
    host.serve("b", 80)
    host.serve(World, 81)
    b = named(host, "a", "b", 6)
    assert b.startswith("fd")
    assert host.ask("a", b, 80) == host.address_of("a", family=6)
    assert host.ask("a", GATEWAY6, 81) == UPLINK6
    assert host.ask(World, UPLINK6, 8080) == GATEWAY6
    with host.inside(World):
        netkit.libc.system(b"ip -6 route add fd00::/8 via 2001:db8::15")
    assert host.ask(World, b, 80, timeout=1) is None                 # by its own address: not published


def test_the_board_itself_is_not_in_reach(host):
    host.plan(*TWO)
    host.up("a")
    host.serve(None, 22)
    assert host.ask(World, UPLINK, 22)
    for address in ("10.89.0.1", UPLINK):
        assert host.ask("a", address, 22, timeout=1) is None
    with host.inside("a"):                                            # but it answers, and anybody in a unit may ask it
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    s.settimeout(5)
    s.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), ("10.89.0.1", 0))
    assert s.recv(100)[0] == 0


def test_ports_ranges_addresses_and_protocols(host):
    host.plan("network bridge", "unit a", " join bridge", " publish - 7000 7003 7000 tcp", " publish - 53 54 1053 udp", " publish 127.0.0.1 9000 9000 90 tcp",
              " publish 10.0.2.15 9001 9001 90 tcp")
    host.up("a")
    for port in (7000, 7003, 90):
        host.serve("a", port)
    for port in (1053, 1054):
        host.serve("a", port, udp=True)
    for port in (7000, 7003, 9001):
        assert host.ask(World, UPLINK, port) == GATEWAY
    for port in (53, 54):
        assert host.ask(World, UPLINK, port, udp=True) == GATEWAY
    assert host.ask(None, "127.0.0.1", 9000)
    assert host.ask(World, UPLINK, 9000, timeout=1) is None          # on 127.0.0.1 alone
    assert host.ask(None, "127.0.0.1", 9001, timeout=1) is None


def test_a_port_on_one_ipv6_address(host):
    host.plan(*SIX, " publish 2001:db8::15 9000 9000 80 tcp", " publish 2001:db8::15 53 53 1053 udp", " publish 2001:db8::99 9001 9001 80 tcp")
    host.up("b")
    host.serve("b", 80)
    host.serve("b", 1053, udp=True)
    assert host.ask(World, UPLINK6, 9000) == GATEWAY6
    assert host.ask(World, UPLINK6, 53, udp=True) == GATEWAY6
    assert host.ask(World, UPLINK, 9000, timeout=1) is None          # not on IPv4
    assert host.ask(World, UPLINK6, 9001, timeout=1) is None         # the board has no such address,
    host.ip("addr", "add", "2001:db8::99/64", "dev", "up0", "nodad")
    assert host.ask(World, "2001:db8::99", 9001) == GATEWAY6         # now it has


def test_internal_leads_nowhere(host):
    host.plan("network in internal subnet6=auto", "unit a", " join in", "unit b", " join in")
    host.all_up("a", "b")
    host.serve("a", 80)
    host.serve(World, 81)
    assert host.ask("b", host.address_of("a"), 80)
    assert host.ask("b", GATEWAY, 81, timeout=1) is None
    with host.inside("b"):
        assert "default" not in subprocess.run(["ip", "route"], capture_output=True, text=True).stdout
    assert "masquerade" not in re.sub(".*ct status dnat.*|.*127.0.0.0.*", "", table(host, "inet"))


def test_a_unit_in_two_networks_sees_both(host):
    host.plan("network in internal", "network out", "unit a", " join in", " join out", "unit b", " join in", "unit c", " join out")
    host.all_up("a", "b", "c")
    host.serve("b", 80)
    host.serve("c", 80)
    host.serve(World, 81)
    assert host.ask("a", named(host, "a", "b"), 80) == host.address_of("a", 0)
    assert host.ask("a", named(host, "a", "c"), 80) == host.address_of("a", 1)
    assert host.ask("a", GATEWAY, 81) == UPLINK                      # the first that is not internal leads out
    assert host.ask("b", host.address_of("c"), 80, timeout=1) is None


def test_the_uplink_may_come_late_and_change_its_address(workdir, programs):
    host = netkit.Host(workdir, programs.folder / "coracle-net", uplink=False)
    try:
        host.plan(*SIX[:3], " publish - 8080 8080 80 tcp", " publish 10.0.2.77 9000 9000 80 tcp")
        host.up("a")
        host.serve("a", 80)
        host.plug()
        host.serve(World, 81)
        assert host.ask("a", GATEWAY, 81) == UPLINK
        assert host.ask("a", GATEWAY6, 81) == UPLINK6
        assert host.ask(World, UPLINK, 8080) == GATEWAY
        assert host.ask(World, UPLINK, 9000, timeout=1) is None
        host.address("10.0.2.77")
        assert host.ask("a", GATEWAY, 81) == "10.0.2.77"
        for port in (8080, 9000):
            assert host.ask(World, "10.0.2.77", port) == GATEWAY
        assert host.ask(World, UPLINK, 8080, timeout=1) is None
        host.ip("addr", "add", "2001:db8::77/64", "dev", "up0", "nodad")
        host.ip("addr", "del", UPLINK6 + "/64", "dev", "up0")
        assert host.ask("a", GATEWAY6, 81) == "2001:db8::77"
        assert host.ask(World, "2001:db8::77", 8080) == GATEWAY6
    finally:
        host.close()


def test_the_mtu_is_the_uplinks(workdir, programs):
    host = netkit.Host(workdir, programs.folder / "coracle-net", uplink=False)
    try:
        host.plug(mtu=1400)
        host.plan(*TWO[:4])
        host.up("a")
        assert "mtu 1400" in host.ip("link", "show", "c-bridge")
        with host.inside("a"):
            assert "mtu 1400" in subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    finally:
        host.close()


def test_names_servers_and_what_is_added_are_rewritten_in_place(host):
    resolv = host.folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.53\nnameserver 9.9.9.9\nnameserver 2620:fe::fe\nsearch x\n")
    host.call("mount", "--bind", resolv, "/etc/resolv.conf")
    plan = ["network bridge", " dns 1.1.1.1", "network plain", "unit a", " join bridge", " alias web", " host db 192.0.2.7", " search lan", " option ndots:1",
            "unit b", " join plain", "unit c", " join plain", " dns 8.8.8.8", "unit d", " join plain", " dns none"]
    host.plan(*plan)
    host.all_up("a", "b", "c", "d")
    assert host.names("a", "resolv.conf") == "nameserver 1.1.1.1\nsearch lan\noptions ndots:1\n"
    assert host.names("b", "resolv.conf") == "nameserver 9.9.9.9\nnameserver 2620:fe::fe\n"
    assert host.names("c", "resolv.conf") == "nameserver 8.8.8.8\n"
    assert host.names("d", "resolv.conf") == ""
    assert "192.0.2.7\tdb\n" in host.names("a") and "\ta web\n" in host.names("a")
    before = (host.run / "files/b/resolv.conf").stat().st_ino, (host.run / "files/b/hosts").stat().st_ino
    resolv.write_text("nameserver 4.4.4.4\n")
    host.plan(*plan, "unit e", " join plain")                        # not up, and has its name all the same
    host.sync("a", "b", "c", "d")
    assert host.names("b", "resolv.conf") == "nameserver 4.4.4.4\n"
    assert named(host, "b", "e").startswith("10.89.1.")
    assert ((host.run / "files/b/resolv.conf").stat().st_ino, (host.run / "files/b/hosts").stat().st_ino) == before


def test_addresses_stay_over_a_boot_and_whoever_comes(host):
    host.plan(*TWO)
    host.all_up("a", "b", "c")
    at = {u: host.address_of(u) for u in "abc"}
    text = (host.state / "net").read_text()
    for text in (text, None, "garbage", text.replace("lease", "leese", 1)):
        host.sync()
        (host.run / "leases").unlink(missing_ok=True)                # gone with the power
        (host.state / "net").write_text(text) if text else (host.state / "net").unlink()
        assert ("damaged" in host.up("a").stderr) == bool(text and ("garbage" in text or "leese" in text))
        host.all_up("a", "b", "c")
        assert {u: host.address_of(u) for u in "abc"} == at
    many = [l for i in range(60) for l in ("unit A%d" % i, " join bridge")]
    host.plan(*TWO[:2], *many, *TWO[2:])
    host.all_up("a", "b", "c")
    assert {u: host.address_of(u) for u in "abc"} == at
    host.plan("network bridge", "network other", "unit a", " join bridge ip=10.89.0.9", "unit b", " join bridge ip=" + at["b"], "unit c", " join bridge ip=10.89.0.9")
    host.up("a")
    assert host.address_of("a") == "10.89.0.9"
    assert "is that of unit a too" in host.up("c", ["a"], ok=False).stderr


def test_addresses_are_given_where_the_disk_takes_nothing(host):
    host.plan(*TWO)
    host.call("mount", "-t", "tmpfs", "-o", "ro", "none", host.state)
    assert "addresses may be others after the next boot" in host.up("a").stderr
    at = host.address_of("a")
    host.up("b", ["a"])
    assert host.address_of("a") == at


def refused(host, unit, keep, *words):
    before = quiet(host)
    done = host.up(unit, keep, ok=False)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert quiet(host) == before


def test_subnets_that_overlap_are_refused_by_name(host):
    host.plan("network lan subnet=10.0.0.0/8", "network one subnet=192.168.7.0/24", "network two subnet=192.168.0.0/16", "unit a", " join lan",
              "unit b", " join one", "unit c", " join two")
    refused(host, "a", [], "network lan: its subnet 10.0.0.0/8 overlaps with 10.0.2.0/24, to which the board has a route over up0")
    host.up("b")
    refused(host, "c", ["b"], "network two: its subnet 192.168.0.0/16 overlaps with 192.168.7.0/24 of network one")
    host.plan("network one subnet=192.168.9.0/24", "unit b", " join one", "unit d", " join one")
    refused(host, "d", ["b"], "network one: was changed while unit b is in it, as it was: waits until that is stopped")
    host.ip("route", "add", "10.89.0.0/22", "via", GATEWAY)          # what nobody wrote down goes elsewhere
    host.plan("network free", "unit e", " join free")
    host.up("e")
    assert host.address_of("e").startswith("10.89.4.")


def test_ports_that_are_taken_are_refused_by_name(host):
    host.plan("network bridge", "unit a", " join bridge", " publish - 8000 8010 8000 tcp", "unit b", " join bridge", " publish 127.0.0.1 8005 8005 80 tcp",
              "unit c", " join bridge", " publish - 9000 9000 80 tcp", "unit d", " join bridge", " publish - 8005 8005 80 udp")
    host.up("a")
    refused(host, "b", ["a"], "port 8005/tcp of the board is that of unit a already")
    host.up("d", ["a"])
    server = subprocess.Popen([*host.enter(None), "python3", "-c", "import socket,time;s=socket.socket();s.bind(('127.0.0.1',9000));s.listen();print(flush=True);"
                               "time.sleep(60)"], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        refused(host, "c", ["a", "d"], "port 9000/tcp of the board is taken by python3 (pid ")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    host.up("c", ["a", "d"])


def test_a_link_of_that_name_that_is_not_ours_is_left_alone(host):
    host.plan(*TWO)
    host.ip("link", "add", "c-bridge", "type", "bridge")
    refused(host, "a", [], "network bridge: the board has a link c-bridge already that is not of coracle")
    host.up("c")
    host.sync()
    assert "c-bridge" in host.ip("link")


def test_a_network_that_is_full_says_so(host):
    host.plan("network s subnet=10.77.0.0/30", "unit a", " join s", "unit b", " join s")
    host.up("a")
    refused(host, "b", ["a"], "network s has no address left in 10.77.0.0/30")


class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def without_nf_tables():
    """Sockets of NETLINK_NETFILTER: EPROTONOSUPPORT, as where the module is missing."""
    code = b"".join(struct.pack("HBBI", *i) for i in ((0x20, 0, 0, 0), (0x15, 0, 5, 41 if os.uname().machine == "x86_64" else 198), (0x20, 0, 0, 16), (0x15, 0, 3, 16),
                                                     (0x20, 0, 0, 32), (0x15, 0, 1, 12), (0x06, 0, 0, 0x0005005d), (0x06, 0, 0, 0x7fff0000)))
    keep = ctypes.create_string_buffer(code, len(code))
    netkit.libc.prctl(38, 1, 0, 0, 0)
    assert netkit.libc.prctl(22, 2, ctypes.byref(Filter(len(code) // 8, ctypes.addressof(keep))), 0, 0) == 0


def test_no_nf_tables_in_the_kernel(host):
    host.plan(*TWO)
    before = quiet(host)
    done = host.net("up", "a", ok=False, preexec_fn=without_nf_tables)
    assert done.returncode == 1 and "this kernel has no nf_tables" in done.stderr
    assert quiet(host) == before
    assert host.net("sync", preexec_fn=without_nf_tables).returncode == 0


def test_a_damaged_plan_is_not_believed(host):
    host.plan(*TWO)
    text = (host.run / "plan").read_text()
    for bad in (text.replace("join bridge", "join brigde", 1), "", "coracle-net-plan 1 00000000\n" + text.split("\n", 1)[1]):
        (host.run / "plan").write_text(bad)
        assert "plan" in host.up("a", ok=False).stderr
    for line in ("unit ../a", "unit a/b", "network x/y bridge=b", " join bridge", "unit a\n join nowhere", "unit a\n publish - 1 2 x tcp",
                 "unit a\n sysctl ../x 1", "unit a\n host - 1.1.1.1", "unit a\n join bridge ip=1.1.1"):
        host.plan("network bridge", *line.split("\n"))
        assert "not understood" in host.up("a", ok=False).stderr, line


# What a unit with CAP_NET_RAW and no user namespace of its own can try.

def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(source, destination):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + struct.pack("!HHHH", 1, 2, 8, 0)


def icmp6(source, destination, kind, target):
    s, d = (socket.inet_pton(socket.AF_INET6, x) for x in (source, destination))
    body = struct.pack("!BBHI", kind, 0, 0, 0x20000000) + socket.inet_pton(socket.AF_INET6, target)
    body = body[:2] + struct.pack("!H", checksum(s + d + struct.pack("!II", len(body), 58) + body)) + body[4:]
    return struct.pack("!IHBB16s16s", 0x60000000, len(body), 58, 255, s, d) + body


def arp(sender, address, target, op=1):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, sender, socket.inet_aton(address), bytes(6), socket.inet_aton(target))


class Wire:
    def __init__(self, host, unit):
        with host.inside(unit):
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.s.bind(("eth0", 0))
        self.s.settimeout(0.3)

    def send(self, destination, source, kind, body, tag=b""):
        self.s.send(destination + source + tag + struct.pack("!H", kind) + body)

    def hear(self, last=None):
        """Frames from others, until LAST comes or there are none for a while."""
        got = []
        try:
            while not got or got[-1] != last:
                frame, where = self.s.recvfrom(2000)
                if where[2] != socket.PACKET_OUTGOING:
                    got.append(frame)
        except TimeoutError:
            pass
        return got


def whole(frame):
    return frame[0] + frame[1] + struct.pack("!H", frame[2]) + frame[3]


def test_addresses_that_are_not_the_units_own_go_nowhere(host):
    host.plan(*SIX, "unit c", " join six")
    host.all_up("a", "b", "c")
    quiet(host)
    own, peer, third, all_ = (mac("02c00a5900%02x" % int(host.address_of(u).split(".")[3])) for u in "abc") and [
        mac("02c0" + socket.inet_aton(host.address_of(u)).hex()) for u in "abc"] + [b"\xff" * 6]
    a, b, c = (host.address_of(u) for u in "abc")
    a6, b6, c6 = (host.address_of(u, family=6) for u in "abc")
    forger, heard = Wire(host, "a"), Wire(host, "b")
    multicast = mac("333300000001")
    heard.hear()
    bad = {
        "another unit's Ethernet address": (peer, third, 0x800, ip4(a, b)),
        "an Ethernet address of nobody": (peer, mac("02aabbccddee"), 0x800, ip4(a, b)),
        "another unit's IPv4 address": (peer, own, 0x800, ip4(c, b)),
        "the world's IPv4 address": (peer, own, 0x800, ip4("8.8.8.8", b)),
        "another unit's IPv6 address": (peer, own, 0x86dd, icmp6(c6, b6, 128, "::")),
        "the gateway's address by ARP": (all_, own, 0x806, arp(own, "10.89.0.1", b, 2)),
        "another unit's address by ARP": (all_, own, 0x806, arp(own, c, b)),
        "another sender in ARP": (all_, own, 0x806, arp(third, a, b)),
        "the gateway's address by discovery": (multicast, own, 0x86dd, icmp6(a6, "ff02::1", 136, a6.rsplit("::")[0] + "::1")),
        "another unit's by discovery": (multicast, own, 0x86dd, icmp6(a6, "ff02::1", 136, c6)),
        "a router's advertisement": (multicast, own, 0x86dd, icmp6(a6, "ff02::1", 134, a6)),
        "a redirect": (peer, own, 0x86dd, icmp6(a6, b6, 137, c6)),
        "a tag of a VLAN": (peer, own, 0x800, ip4(a, b) + b"tag", struct.pack("!HH", 0x8100, 5)),
        "another protocol": (peer, own, 0x88cc, b"x" * 50),
    }
    mark = peer + own + b"\x08\0" + ip4(a, b)
    heard.s.settimeout(10)
    for what, frame in bad.items():
        forger.send(*frame)
        forger.send(peer, own, 0x800, ip4(a, b))                     # comes after whatever came of the other
        assert whole(frame) not in heard.hear(mark), what
    good = {
        "IPv4": (peer, own, 0x800, ip4(a, b)), "IPv6": (peer, own, 0x86dd, icmp6(a6, b6, 128, "::")), "ARP": (all_, own, 0x806, arp(own, a, b)),
        "discovery": (multicast, own, 0x86dd, icmp6(a6, "ff02::1", 136, a6)),
    }
    for what, frame in good.items():
        forger.send(*frame)
        assert heard.hear(whole(frame))[-1] == whole(frame), what
    host.serve("b", 80)
    for family in (4, 6):                                             # nobody was talked into anything
        assert host.ask("c", host.address_of("b", family=family), 80) == host.address_of("c", family=family)


def test_a_flood_of_arp_is_contained_and_the_others_keep_their_network(host):
    host.plan(*TWO[:6], "unit c", " join bridge")
    host.all_up("a", "b", "c")
    host.serve("b", 80)
    own = mac("02c0" + socket.inet_aton(host.address_of("a")).hex())
    forger, heard = Wire(host, "a"), Wire(host, "b")
    frame = arp(own, host.address_of("a"), "10.89.0.250")
    begin = time.monotonic()
    for _ in range(20000):
        forger.send(b"\xff" * 6, own, 0x806, frame)
    took = time.monotonic() - begin
    assert host.ask("c", host.address_of("b"), 80) == host.address_of("c")
    got = [f for f in heard.hear() if f[6:12] == own]
    assert 0 < len(got) <= 200 + 50 * (took + 1), (len(got), took)


# Nothing is left.

def test_rules_links_and_settings_are_as_before_and_the_users_are_left_alone(host):
    host.call("nft", "-f", "-", stdin="table inet mine { chain c { type filter hook forward priority 5; policy accept; tcp dport 9 drop; }; }\n"
              "table netdev mine { chain c { type filter hook ingress device up0 priority 0; policy accept; }; }\n")
    before = quiet(host)
    host.plan("network bridge subnet6=auto", *TWO[1:3], " join bridge", " publish - 8080 8080 80 tcp", *TWO[4:])
    host.all_up("a", "b", "c")
    assert "table inet mine" in host.left() and "table inet coracle" in host.left()
    with host.inside(None):
        assert open("/proc/sys/net/ipv6/conf/up0/accept_ra").read() == "2\n"
    host.sync("b")
    assert "masquerade" in table(host, "inet") and "dnat ip" not in table(host, "inet")
    host.sync()
    assert quiet(host) == before
    with host.inside(None):
        assert open("/proc/sys/net/ipv6/conf/up0/accept_ra").read() == "1\n"
    host.sync()
    assert quiet(host) == before


def test_the_board_does_not_become_a_router_for_others(host):
    host.plan(*TWO)
    host.up("a")
    text = table(host, "inet")
    assert text.index("meta nfproto ipv4 drop") > text.index("chain forward")
    host.sync()
    host.call("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")   # one that routes by itself goes on
    host.up("a")
    assert "meta nfproto ipv4 drop" not in table(host, "inet")
    host.sync()
    with host.inside(None):
        assert open("/proc/sys/net/ipv4/ip_forward").read() == "1\n"


def remains(host):
    """What a run changes, told fast."""
    return netkit.links_of(host.path(None)), sorted(str(p) for p in host.run.rglob("*")), (host.run / "leases").read_bytes()


def test_starts_and_stops_of_which_some_are_killed_half_way_leave_nothing(host):
    """200, in 50 of them SIGKILL at some system call. Whoever comes next takes away what was begun. The neighbour keeps its network all the while."""
    count, killed = 200, 50
    calls = {"up": 40, "sync": 16}          # of close(2), which are spread over all of a run
    host.plan(*TWO[:3], " join bridge", " publish - 8080 8090 8080 tcp", *TWO[4:], "unit n", " join bridge")
    empty = quiet(host)
    host.up("n")
    host.serve("n", 80)
    alone = quiet(host)
    chance = random.Random(10)
    doomed, half_done, points = set(chance.sample(range(count), killed)), 0, set()
    for i in range(count):
        verb = chance.choice(("up", "up", "sync"))
        argv = [host.program, verb, "--run", host.run, "--state", host.state, *([chance.choice("abc")] if verb == "up" else []), "n"]
        before, n = remains(host), chance.randint(1, calls[verb])
        while i in doomed:
            p = subprocess.run([*host.enter(None), "strace", "-o", "/dev/null", "-e", "inject=close:signal=SIGKILL:when=%d" % n, *argv], capture_output=True, text=True,
                               timeout=60)
            if p.returncode == -signal.SIGKILL:
                points.add((verb, n))
                half_done += remains(host) != before
                break
            assert p.returncode == 0 and n > 1, p.stderr        # it had fewer calls than that: not one of the fifty
            n //= 2
        if i not in doomed:
            assert (done := host.call(*argv)).returncode == 0, done.stderr
        if i % 20 == 0:
            assert host.ask(None, host.address_of("n"), 80), i
    assert len(points) >= 20 and half_done >= 20, (points, half_done)
    host.sync("n")
    assert quiet(host) == alone
    assert host.ask(None, host.address_of("n"), 80)
    host.sync()
    assert quiet(host) == empty


def test_a_hundred_units_in_one_network(host):
    units = ["u%d" % i for i in range(100)]
    host.plan("network bridge", *[l for u in units for l in ("unit " + u, " join bridge")])
    host.all_up(*units)
    assert len({host.address_of(u) for u in units[:3] + units[-3:]}) == 6
    assert len(re.findall("cv[0-9a-f]{8}@", host.ip("-o", "link"))) == len(units)
    host.serve(units[-1], 80)
    assert host.ask("u0", named(host, "u0", units[-1]), 80) == host.address_of("u0")
    host.sync(*units[:-1])
    host.serve(units[-2], 80)
    assert host.ask("u0", host.address_of(units[-2]), 80)
    host.sync()
    assert "cv" not in host.ip("-o", "link")


def test_show_tells_links_addresses_ports_and_who_listens(host):
    host.plan("network web subnet6=auto mtu=1400", "unit a", " join web", " publish 127.0.0.1 8080 8081 80 tcp", " publish - 53 53 53 udp", "unit b", " join web")
    host.up("a")
    host.serve("a", 80)
    host.serve("a", 53, udp=True, address="127.0.0.1")
    text = host.net("show").stdout
    assert re.search(r"^network web +c-web 10\.89\.0\.1/24 fd\S+::1/64 mtu 1400$", text, re.M), text
    assert re.search(r"^a +10\.89\.0\.\d+ fd\S+ \(web, cv[0-9a-f]{8}\)$", text, re.M), text
    assert "127.0.0.1:8080-8081->80-81/tcp\n" in text and "53->53/udp\n" in text
    assert "80/tcp6" in text and "127.0.0.1:53/udp" in text
    assert re.search(r"^b +not up; number \d+ of network web is kept for it$", text, re.M), text
    assert host.show()["units"][0]["listens"] == ["80/tcp6", "127.0.0.1:53/udp"]
    with host.inside("a"):
        assert "mtu 1400" in subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, text=True).stdout
