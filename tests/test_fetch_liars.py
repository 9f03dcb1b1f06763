# SPDX-License-Identifier: MIT
"""The liar's list: a registry, or somebody on the line, that lies in every way we know of, to the programs in their jails, and once more to programs
built with the address and undefined behaviour sanitizers (in `make check-full` also with the latter in the jails, where it traps). Each lie gets its own
refusal, memory stays below a ceiling, and the store is byte for byte what it was."""
import hashlib, json, os, pathlib, shutil, ssl, subprocess, time, types
import pytest
import asan, images, keys, layerkit, tcp
import registry as registry_kit
from liar import Liar, Proxy

ROOT = pathlib.Path(__file__).resolve().parents[1]
ACCEPT_ALL = {"type": "insecureAcceptAnything"}
CEILING_KIB = 8 << 10       # the largest process of a pull
TAG = "GET /v2/demo/app/manifests/1"


@pytest.fixture(scope="module")
def peak(tmp_path_factory):
    out = tmp_path_factory.mktemp("peak") / "peak"
    subprocess.run([ROOT / layerkit.BUILD / "deps/bin/musl-gcc", "-static", "-Os", "-o", out, ROOT / "tests/tools/peak.c"], check=True)
    return out


@pytest.fixture(scope="module")
def asan_out(tmp_path_factory):
    if os.uname().machine != "x86_64":
        pytest.skip("the address sanitizer: x86_64 alone")
    return tmp_path_factory.mktemp("asan")


def trapping(out):
    """coracle-fetch and coracle-bundle with -fsanitize=undefined, trapping."""
    flags = ("-std=c11 -O1 -g -fPIE -fstack-protector-all -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables "
             "-fsanitize=undefined -fsanitize-undefined-trap-on-error")
    machine = os.uname().machine.replace("armv7l", "armv7")
    targets = ["%s/%s/coracle-%s" % (out, machine, p) for p in ("fetch", "bundle")]
    done = subprocess.run(["make", "-s", "-j2", "O=%s" % out, "TARGET=" + machine, "CFLAGS=" + flags, *targets], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert b"ud2" in subprocess.run(["objdump", "-d", targets[0] + ".debug", "--no-show-raw-insn"], capture_output=True).stdout or machine != "x86_64"
    return targets[0]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    layout = tmp_path_factory.mktemp("good") / "layout"
    digest = images.make_image(layout, [[images.entry("etc/hello", os.urandom(400 << 10))]])
    data = images.get_blob(layout, digest)
    blobs = {"sha256:" + p.name: p.read_bytes() for p in (layout / "blobs/sha256").iterdir()}
    m = json.loads(data)
    return types.SimpleNamespace(data=data, blobs=blobs, m=m, layer="GET /v2/demo/app/blobs/" + m["layers"][0]["digest"], digest=digest,
                                 config="GET /v2/demo/app/blobs/" + m["config"]["digest"], bytes=blobs[m["layers"][0]["digest"]])


def endless(head, first=b""):
    def lie(handler):
        handler.wfile.write(head + (b"%x\r\n%s\r\n" % (len(first), first) if first and b"chunked" in head else first))
        try:
            while True:
                handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n" if b"chunked" in head else b" " * 65536)
        except OSError:
            pass
    return lie


def drip(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.1)
    except OSError:
        pass


def headers_without_end(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    try:
        for i in range(20000):
            handler.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 100))
    except OSError:
        pass


def one_header_without_end(handler):
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(400):
            handler.wfile.write(b"y" * 65536)
    except OSError:
        pass


def part_after_a_cut(head):
    """The layer breaks off at half; to the Range comes HEAD(first byte, length) and what it names."""
    def make(g):
        body = g.bytes

        def lie(handler):
            if "Range" in handler.headers:
                first = int(handler.headers["Range"][6:-1])
                return handler.say(206, head(first, len(body)), body[first:])
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:len(body) // 2])
            handler.close_connection = True
        return lie
    return layer(make)


def raw(data):
    def lie(handler):
        handler.wfile.write(data)
        handler.close_connection = True
    return lie


def manifest(change):
    """The manifest with CHANGE(document) applied."""
    def lie(lies, g):
        m = json.loads(g.data)
        change(m)
        lies[TAG] = (200, {"Content-Type": images.MANIFEST}, json.dumps(m).encode())
    return lie


def document(data, media=images.MANIFEST):
    return lambda lies, g: lies.update({TAG: (200, {"Content-Type": media}, data)})


def layer(make):
    return lambda lies, g: lies.update({g.layer: make(g)})


def tag(answer):
    return lambda lies, g: lies.update({TAG: answer})


def text_instead(old, new):
    return lambda lies, g: lies.update({TAG: (200, {"Content-Type": images.MANIFEST}, g.data.replace(old, new, 1))})


ATTACKS = [
    # bodies
    ("layer with another digest", layer(lambda g: (200, {}, g.bytes[:-9] + b"x" + g.bytes[-8:])), "the manifest says"),
    ("short layer", layer(lambda g: (200, {}, g.bytes[:-1])), "ended after"),
    ("empty layer", layer(lambda g: (200, {}, b"")), "ended after 0"),
    ("long layer", layer(lambda g: (200, {}, g.bytes + b"more")), "longer than its descriptor says"),
    ("endless layer", layer(lambda g: endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", g.bytes)), "longer than its descriptor says"),
    ("layer without length", layer(lambda g: endless(b"HTTP/1.1 200 OK\r\n\r\n", g.bytes)), "longer than its descriptor says"),
    ("layer that is not there", layer(lambda g: (404, {}, b"{}")), "is not there (404)"),
    ("a part where all was asked", layer(lambda g: (206, {"Content-Range": "bytes 0-9/10"}, g.bytes)), "sends a part where all was asked for"),
    ("another part after a cut", part_after_a_cut(lambda n, size: {"Content-Range": "bytes 0-%d/%d" % (size - 1, size)}), "without that Content-Range"),
    ("a part after a cut that does not say which", part_after_a_cut(lambda n, size: {}), "without that Content-Range"),
    ("a part after a cut, twice", part_after_a_cut(lambda n, size: {"Content-Range": ["bytes %d-%d/%d" % (n, size - 1, size)] * 2}), "without that Content-Range"),
    ("204 for a layer", layer(lambda g: (204, {}, b"")), "the registry answers 204"),
    ("config with another digest", lambda lies, g: lies.update({g.config: (200, {}, g.blobs[g.m["config"]["digest"]].replace(b"linux", b"linuX"))}),
     "image config: wrong size or digest"),
    ("long config", lambda lies, g: lies.update({g.config: (200, {}, g.blobs[g.m["config"]["digest"]] * 2)}), "is larger than"),
    ("endless manifest", tag(endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")), "larger than 4194304 bytes"),
    ("manifest dripped", tag(drip), "slower than it may be"),
    ("headers without end", tag(headers_without_end), "curl 23"), ("one header without end", tag(one_header_without_end), "(curl "),
    ("endless error page", tag(endless(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n")), "answers 404 and more than"),
    ("endless error page of a layer", layer(lambda g: endless(b"HTTP/1.1 500 Oh\r\n\r\n")), "answers 500 and more than"),
    ("endless page of a redirect", tag(endless(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")), "answers 302 and more than"),
    ("storm of 500", tag((500, {}, b"x" * 1000)), "the registry answers 500"),
    ("storm of 429", tag((429, {"Retry-After": "999999"}, b"")), "asks to come back in 999999 s"),
    ("no HTTP", tag(raw(b"SSH-2.0-x\r\n" * 10)), "curl 1"),
    ("HTTP/9", tag(raw(b"HTTP/9.9 200 OK\r\n\r\n")), "curl 1"),
    ("status 999999", tag(raw(b"HTTP/1.1 999999 OK\r\n\r\n")), "(curl "),
    ("length not a number", tag(raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}")), "curl 8"),
    ("two lengths", tag(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 500\r\n\r\n{}")), ""),
    ("NUL in a header", tag(raw(b"HTTP/1.1 200 OK\r\nContent-Type: a\0b\r\n\r\n{}")), ""),
    # redirects
    ("redirect loop", tag((302, {"Location": "/v2/demo/app/manifests/1"}, b"")), "more than 10 redirects"),
    ("redirect to http", tag((307, {"Location": "http://localhost/x"}, b"")), "no https URL"),
    ("redirect to a file", tag((302, {"Location": "file:///etc/passwd"}, b"")), "no https URL"),
    ("redirect with a password", tag((302, {"Location": "https://a:b@localhost/"}, b"")), "no https URL"),
    ("redirect to nowhere", tag((302, {}, b"")), "no https URL"),
    ("redirect to a closed port", tag((302, {"Location": "https://localhost:1/"}, b"")), "localhost:1: cannot connect"),
    ("redirect with a line break", tag(raw(b"HTTP/1.1 302 Found\r\nLocation: https://localhost/\tx\r\nContent-Length: 0\r\n\r\n")), "no https URL"),
    # log-in
    ("realm over http", tag((401, {"WWW-Authenticate": 'Bearer realm="http://localhost/"'}, b"")), "neither Basic nor Bearer over https"),
    ("401 for ever", tag((401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")), "denies access (401)"),
    ("403", tag((403, {}, b"")), "denies access (403)"),
    # documents
    ("not JSON", document(b"<html>"), "manifest: not JSON"), ("nothing", document(b""), "manifest: not JSON"),
    ("half a document", text_instead(b'"size"', b'"si'), "manifest: not JSON"),
    ("bad UTF-8", text_instead(b'"layers"', b'"\xff\xfe": 1, "layers"'), "invalid"),
    ("JSON with trailing bytes", lambda lies, g: lies.update({TAG: (200, {}, g.data + b"{}")}), "manifest: not JSON"),
    ("deep JSON", document(b'{"layers":' + b"[" * 100000 + b"]" * 100000 + b"}"), "nested more than 32 deep"),
    ("wide JSON", document(b'{"layers":[' + b"0," * 1000000 + b"0]}"), "more than 65536 values"),
    ("large JSON", document(b" " * (5 << 20)), "larger than 4194304 bytes"),
    ("a list", document(b"[]"), "not a JSON object"),
    ("duplicate key", text_instead(b'{"schemaVersion"', b'{"layers": [], "schemaVersion"'), "the same key twice"),
    ("duplicate key below", text_instead(b'"size"', b'"size": 1, "size"'), "the same key twice"),
    ("manifest and index in one", manifest(lambda m: m.update(manifests=[])), "index and a manifest at once"),
    ("Docker schema 1", document(json.dumps({"schemaVersion": 1, "fsLayers": []}).encode()), "schema 1 is not supported"),
    ("says it is an index", manifest(lambda m: m.update(mediaType=images.INDEX)), "says it is"),
    ("unknown type", lambda lies, g: (manifest(lambda m: m.update(mediaType="text/x"))(lies, g), lies.update({TAG: (200, {}, lies[TAG][2])})),
     "media type text/x"),
    ("no config", manifest(lambda m: m.pop("config")), "config or layers are malformed"),
    ("digest with a path", manifest(lambda m: m["layers"][0].update(digest="sha256:../../../../etc/passwd")), "layer 0 is malformed"),
    ("digest in capitals", manifest(lambda m: m["layers"][0].update(digest=m["layers"][0]["digest"].upper())), "layer 0 is malformed"),
    ("digest of another kind", manifest(lambda m: m["layers"][0].update(digest="sha512:" + "0" * 128)), "layer 0 is malformed"),
    ("negative size", manifest(lambda m: m["layers"][0].update(size=-1)), "layer 0 is malformed"),
    ("size with a fraction", manifest(lambda m: m["layers"][0].update(size=1.5)), "layer 0 is malformed"),
    ("size of 2^63", manifest(lambda m: m["layers"][0].update(size=1 << 63)), "beyond all reason"),
    ("size larger than the disk", manifest(lambda m: m["layers"][0].update(size=1 << 50)), "nothing was fetched"),
    ("layer of an unknown type", manifest(lambda m: m["layers"][0].update(mediaType="text/plain")), "text/plain"),
    ("500 layers", manifest(lambda m: m.update(layers=m["layers"] * 500)), "layers; 1 to"),
    ("no layers", manifest(lambda m: m.update(layers=[])), "layers; 1 to"),
    ("more layers than diff_ids", manifest(lambda m: m.update(layers=m["layers"] * 2)), "1 diff_ids for 2 layers"),
    ("an artifact, no image", manifest(lambda m: m["config"].update(mediaType="application/vnd.oci.empty.v1+json")), "not a container image"),
    ("config of 5 MiB", manifest(lambda m: m["config"].update(size=5 << 20)), "image config: larger than"),
    ("index of nothing", document(json.dumps({"schemaVersion": 2, "manifests": []}).encode(), images.INDEX), "it has: nothing"),
    ("index into itself", lambda lies, g: index_of(lies, 9), "index inside index"),
    ("index with a wrong size", lambda lies, g: index_of(lies, 1, 7), "its size is not what the index says"),
    ("index with another document", lambda lies, g: index_of(lies, 1, other=b"{}"), "another digest"),
]


def index_of(lies, depth, off=0, other=None):
    """An index inside an index, DEPTH times, each by its right digest, sizes off by OFF."""
    data = json.dumps({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": []}).encode()
    for _ in range(depth):
        lies["GET /v2/demo/app/manifests/" + keys.sha256(data)] = (200, {"Content-Type": images.INDEX}, other or data)
        data = json.dumps({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [
            {"mediaType": images.INDEX, "digest": keys.sha256(data), "size": len(data) + off}]}).encode()
    lies[TAG] = (200, {"Content-Type": images.INDEX}, data)


def content(store):
    """Every name in the store with its mode and a hash of its bytes."""
    found = {}
    for path in sorted(store.rglob("*")):
        if path.name not in ("tls13", "lock", "clock"):
            found[str(path.relative_to(store))] = (path.lstat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
    return found


class Attempt:
    """One pull of HOST/demo/app:1 with everything let in, and what it took."""

    def __init__(self, peak, fetch, env, store, folder, registry, ca=True):
        self.peak, self.fetch, self.env, self.store, self.folder, self.registry, self.ca = peak, fetch, env, store, folder, registry, ca

    def __call__(self, host, **env):
        trust = self.folder / "trust"
        shutil.rmtree(trust, ignore_errors=True)
        trust.mkdir()
        (trust / "policy.json").write_text(registry_kit.policy({host + "/demo/app": ACCEPT_ALL}))
        (trust / "auth.json").write_text(json.dumps({"auths": {host: {"auth": "eDp5"}}}))
        (trust / "certs.d").mkdir()
        if self.ca:
            self.registry.certs_dir(trust / "certs.d", host)
        read, write = os.pipe()
        words = [self.peak, write, self.fetch, "pull", "--store", self.store, "--policy", trust / "policy.json", "--authfile",
                 trust / "auth.json", "--cert-dir", trust / "certs.d", "--tries", "2", "--stall-timeout", "2", host + "/demo/app:1"]
        done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **self.env, **env), timeout=300,
                              pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as f:
            peak_kib = int(f.read())
        return types.SimpleNamespace(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode(errors="replace"), peak_kib=peak_kib)


def raw_server(answer):
    """A TCP server that sends ANSWER to whatever comes, then hangs up. Returns its host and a function that stops it."""
    def say(client):
        client.recv(4096)
        client.sendall(answer)
    one = tcp.Server(say)
    return "localhost:%d" % one.port, one.stop


def tls_attacks(registry, folder, liar):
    """(name, host, environment, words, has the CA, stop) of what goes wrong before any HTTP."""
    ca = registry.ca.parent

    def server(name, **more):
        cert, key = more.pop("pair", None) or keys.make_cert(folder / name, "server", "server", ca, usage="serverAuth", **more.pop("cert", {}))
        one = Liar(cert, key, **more)
        one.lies = liar.lies
        return one
    expired = server("expired", cert={"days": "-1"})
    yield "certificate run out", expired.host, {}, ("is not valid at", "this board's time"), True, expired.stop
    other = server("other", cert={"names": "DNS:somewhere.else"})
    yield "certificate of another host", other.host, {}, ("certificate does not verify",), True, other.stop
    client = server("client", cert={})
    keys.make_ca(folder / "unknown-ca")
    unknown = server("unknown", pair=(folder / "unknown-ca/server.crt", folder / "unknown-ca/server.key"))
    yield "unknown authority", unknown.host, {}, ("certificate does not verify",), True, unknown.stop
    yield "no authority of ours", client.host, {}, ("certificate",), False, client.stop
    old = server("old", cert={}, maximum=ssl.TLSVersion.TLSv1, minimum=ssl.TLSVersion.TLSv1)
    yield "TLS 1.0", old.host, {}, ("curl 35",), True, old.stop
    host, stop = raw_server(b"HTTP/1.1 200 OK\r\n\r\n{}")
    yield "HTTP without TLS", host, {}, ("curl 35",), True, stop
    host, stop = raw_server(b"\x16\x03\x03\x40\x00" + os.urandom(0x4000))
    yield "noise in a TLS record", host, {}, ("curl 35",), True, stop
    host, stop = raw_server(b"\x16\x03\x03\x10\x00" + b"\2" * 100)
    yield "cut inside the handshake", host, {}, ("curl 35",), True, stop
    for after in (4000, 60000):     # behind the handshake: in the middle of a record
        proxy = Proxy(limit=lambda after=after: after)
        yield "cut inside a record, %d" % after, liar.host, {"HTTPS_PROXY": "http://localhost:%d" % proxy.port}, ("curl",), True, proxy.stop


@pytest.mark.parametrize("kind", ["jailed", "address", pytest.param("undefined, jailed", marks=pytest.mark.full)])
def test_liars_list(kind, programs, peak, registry, good, workdir, request):
    store, fetch, env = workdir / "store", programs.fetch, {}
    store.mkdir()
    if kind == "undefined, jailed":
        fetch = trapping(workdir / "programs")
    if kind == "address":
        fetch, _ = asan.build(request.getfixturevalue("asan_out"), "coracle-fetch", "coracle-bundle")
        env = asan.environment(workdir)
    liar = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key")
    honest = {TAG: (200, {"Content-Type": images.MANIFEST}, good.data)}
    honest.update({"GET /v2/demo/app/blobs/" + d: (200, {}, b) for d, b in good.blobs.items()})
    attempt, wrong, largest = Attempt(peak, fetch, env, store, workdir, registry), [], 0
    try:
        liar.lies.update(honest)
        assert attempt(liar.host).code == 0        # the programs work, and the store has its folders
        for name in ("layers", "images"):
            shutil.rmtree(store / name)
        (store / "format").unlink()
        liar.lies.clear()
        assert "is not there" in attempt(liar.host).err
        before, count = content(store), 0

        def judge(name, done, words):
            nonlocal largest
            largest = max(largest, done.peak_kib)
            if done.code != 1 or done.out or not all(w in done.err for w in words):
                wrong.append("%s: exit %d %s%s, expected %s" % (name, done.code, done.out, done.err[-400:], words))
            after = content(store)
            for path in set(before) ^ set(after):       # a link that broke may leave the part it brought
                if not path.startswith("partial/") or "curl" not in done.err and "ended after" not in done.err:
                    wrong.append("%s: the store changed: %s" % (name, path))
            for path in (store / "partial").iterdir():
                path.unlink()
            if done.peak_kib > CEILING_KIB and kind != "address":
                wrong.append("%s: %d KiB resident" % (name, done.peak_kib))
        for name, lie, word in ATTACKS:
            liar.lies.clear()
            liar.lies.update(honest)
            lie(liar.lies, good)
            judge(name, attempt(liar.host), [word])
            count += 1
        liar.lies.clear()
        liar.lies.update(honest)
        for name, host, env, words, has_ca, stop in tls_attacks(registry, workdir, liar):
            attempt.ca = has_ca
            judge(name, attempt(host, **env), words)
            stop()
            count += 1
    finally:
        liar.stop()
    print("%d of %d lies refused with the right reason; the largest process had %d KiB" % (count - len(wrong), count, largest))
    assert not wrong, "\n".join(wrong)
    assert not asan.findings(workdir)


def test_unit_tests_of_fetch_under_the_sanitizers(asan_out, workdir):
    names = sorted("unit/" + p.stem for p in (ROOT / "tests/unit").glob("*_test.c") if (ROOT / "fetch" / p.name.replace("_test", "")).exists())
    assert len(names) > 6
    for path in asan.build(asan_out, *names):
        done = subprocess.run([path], cwd=ROOT, env=dict(os.environ, **asan.environment(workdir)), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0 and "PASSED" in done.stderr + done.stdout, done.stderr[-2000:]
    assert not asan.findings(workdir)
