# SPDX-License-Identifier: MIT
"""A board's network without a board: namespaces in which coracle-net makes networks, and sockets in any of them from the test's own process.

    host = Host(FOLDER, PROGRAM)        "the board": a network and a mount namespace; its uplink leads to host.world
    host.plan("network ...", "unit ...") writes the plan;  host.up("a", keep=[...]), host.sync("a", ...), host.show()
    with host.inside("a"): sockets that are made here are the unit's;  inside(None): the board's;  inside(World): the world's
"""
import contextlib, ctypes, json, os, pathlib, socket, subprocess, tempfile, threading, zlib
import tcp

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
UPLINK, GATEWAY, UPLINK6, GATEWAY6 = "10.0.2.15", "10.0.2.2", "2001:db8::15", "2001:db8::2"


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def namespace(path):
    """This thread's sockets are of the namespace at PATH."""
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(path, os.O_RDONLY)
    try:
        setns(there)
        yield
    finally:
        setns(home)
        os.close(home)
        os.close(there)


def links_of(path):
    with namespace(path):
        return sorted(l.split(":")[0].strip() for l in open("/proc/thread-self/net/dev") if ":" in l)


class Tunnel(tcp.Server):
    """127.0.0.1:PORT of the namespace at PATH leads to that of this process."""

    def __init__(self, path, port):
        with namespace(path):
            listener = socket.create_server(("127.0.0.1", port), backlog=64)
        super().__init__(self.forward, listener)        # outside: a thread is of the namespace of its maker

    def forward(self, client):
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            back = threading.Thread(target=pour, args=(server, client), daemon=True)
            back.start()
            pour(client, server)
            back.join()


def pour(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def sealed(plan):
    return "coracle-net-plan 1 %08x\n%s" % (zlib.crc32(plan.encode()), plan)


def hold(*flags):
    """A process that keeps new namespaces."""
    p = subprocess.Popen(["unshare", *flags, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


class Host:
    def __init__(self, folder, program, uplink=True):
        self.folder, self.program = pathlib.Path(folder), program
        self.ram = tempfile.TemporaryDirectory(prefix="coracle-net-", dir="/dev/shm")        # as /run is
        self.run, self.state = pathlib.Path(self.ram.name) / "run", self.folder / "state"
        self.run.mkdir()
        self.state.mkdir()
        self.board, self.world = hold("--net", "--mount", "--propagation", "private"), hold("--net")
        self.open = []
        for where in (None, World):
            self.ip("link", "set", "lo", "up", where=where)
        if uplink:
            self.plug()

    def plug(self, address=UPLINK, mtu=1500):
        """The uplink comes, with an address."""
        self.ip("link", "add", "up0", "mtu", str(mtu), "type", "veth", "peer", "name", "down0", "mtu", str(mtu), "netns", str(self.world.pid))
        self.ip("addr", "add", GATEWAY + "/24", "dev", "down0", where=World)
        self.ip("addr", "add", GATEWAY6 + "/64", "dev", "down0", "nodad", where=World)
        self.ip("link", "set", "down0", "up", where=World)
        self.ip("link", "set", "up0", "up")
        self.ip("addr", "add", UPLINK6 + "/64", "dev", "up0", "nodad")
        self.ip("-6", "route", "add", "default", "via", GATEWAY6)
        if address:
            self.address(address)

    def address(self, address):
        self.ip("-4", "addr", "flush", "dev", "up0")
        self.ip("addr", "add", address + "/24", "dev", "up0")
        self.ip("route", "replace", "default", "via", GATEWAY)

    def enter(self, where):
        return ["nsenter", "-t", str((self.world if where is World else self.board).pid), "-n"] + ([] if where is World else ["-m"])

    def call(self, *argv, where=None, ok=True, stdin=None, **more):
        done = subprocess.run([*self.enter(where), *map(str, argv)], capture_output=True, text=True, timeout=60, input=stdin, **more)
        assert not ok or done.returncode == 0, (argv, done.returncode, done.stdout, done.stderr)
        return done

    def ip(self, *argv, where=None):
        return self.call("ip", *argv, where=where).stdout

    def plan(self, *lines):
        """NETWORK lines want bridge= : it is added."""
        text = ""
        for line in lines:
            words = line.split(" ")
            if words[0] == "network" and "bridge=" not in line:
                line += " bridge=c-" + words[1]
            text += line + "\n"
        (self.run / "plan").write_text(sealed(text))

    def net(self, *argv, ok=True, **more):
        return self.call(self.program, argv[0], "--run", self.run, *(() if argv[0] == "show" else ("--state", self.state)), *argv[1:], ok=ok, **more)

    def up(self, unit, keep=(), ok=True):
        return self.net("up", unit, *keep, ok=ok)

    def all_up(self, *units):
        for i, u in enumerate(units):
            self.up(u, units[:i])

    def sync(self, *keep):
        return self.net("sync", *keep)

    def show(self):
        return json.loads("{" + self.net("show", "--json").stdout + "}")

    def address_of(self, unit, link=0, family=4):
        one = next(u for u in self.show()["units"] if u["name"] == unit)["links"][link]
        return one["address" if family == 4 else "address6"]

    def left(self):
        """What a run changes, as text: links, addresses, routes, rules, forwarding, names."""
        return (self.ip("-o", "link") + self.ip("-o", "addr") + self.ip("route") + self.ip("-6", "route") + self.call("nft", "list", "ruleset").stdout +
                self.call("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding").stdout +
                " ".join(sorted(str(p.relative_to(self.run)) for d in ("ns", "up", "files") for p in (self.run / d).rglob("*"))))

    def path(self, where):
        if where is World:
            return "/proc/%d/ns/net" % self.world.pid
        return "/proc/%d/ns/net" % self.board.pid if where is None else "/proc/%d/root%s/ns/%s" % (self.board.pid, self.run, where)

    def inside(self, where):
        return namespace(self.path(where))

    def names(self, unit, file="hosts"):
        return (self.run / "files" / unit / file).read_text()

    def serve(self, where, port, udp=False, address="::"):
        """Echoes the client's address, for as long as the host lives."""
        with self.inside(where):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        if udp:
            self.open.append(s.close)
            threading.Thread(target=answer_udp, args=(s,), daemon=True).start()
        else:
            s.listen(8)
            self.open.append(tcp.Server(lambda one: one.sendall(plain(one.getpeername()[0]).encode()), s).stop)

    def ask(self, where, address, port, udp=False, timeout=5, source=None):
        """What a server said: the address that it saw; None where nobody answered."""
        with self.inside(where):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            if source:
                s.bind((source, 0))
            s.connect((address, port))
            if udp:
                s.send(b"?")
            return s.recv(100).decode() or None
        except OSError:
            return None
        finally:
            s.close()

    def close(self):
        for close in self.open:
            close()
        for p in (self.board, self.world):
            p.kill()
            p.wait()
            p.stdout.close()
        self.ram.cleanup()


class World:
    pass


class Nets:
    """PID 1 (init_kit.Board) whose units are in networks; the plan is written by hand."""

    def __init__(self, board):
        self.board = board

    def unit(self, name, *args, change=None, **keys):
        def both(config):
            spaces = config["linux"]["namespaces"]
            spaces[:] = [s for s in spaces if s["type"] != "network"] + [{"type": "network", "path": "/run/coracle/net/ns/" + name}]
            for file in ("hosts", "resolv.conf"):
                config["mounts"].append({"destination": "/etc/" + file, "type": "bind", "source": "/run/coracle/net/files/%s/%s" % (name, file),
                                         "options": ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"], "is_file": True})
            if change:
                change(config)
        self.board.unit(name, *args, change=both, has_network=1, is_enabled=0, restart=0, timeout_stop_ms=200, **keys)

    def start(self, *plan):
        self.board.start("--net")
        (self.run / "net").mkdir(parents=True, exist_ok=True)
        self.plan(*plan)

    @property
    def run(self):
        return pathlib.Path("/proc/%d/root/run/coracle" % self.board.pid)

    def plan(self, *lines):
        text = "".join(l + "\n" for l in lines)
        (self.run / "net/plan").write_text(sealed(text))

    def links(self):
        return links_of("/proc/%d/ns/net" % self.board.pid)

    def logs(self, unit):
        return self.board.coracle("logs", unit).stdout

    def said(self, unit, text):
        self.board.wait(lambda: text in self.logs(unit), "%s says %s" % (unit, text))


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def answer_udp(s):
    while True:
        try:
            _, who = s.recvfrom(100)
            s.sendto(plain(who[0]).encode(), who)
        except OSError:
            return
