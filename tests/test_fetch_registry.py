# SPDX-License-Identifier: MIT
"""What registries do: tokens, log-ins, redirects, client certificates, mirrors, proxies, IPv6, being busy; by a real docker-registry where it can play
it, by a server of ours where it cannot. Also image layouts, which answer the same questions from a stick. docs/registries.md is the table of it."""
import base64, json, os, pathlib, re, shutil, socket, subprocess, time, types
import pytest
import images, keys
import registry as registry_kit
from liar import Liar, Proxy, TokenServer

ACCEPT_ALL = {"type": "insecureAcceptAnything"}


@pytest.fixture(scope="module")
def image(registry, tmp_path_factory):
    """An image of three layers that do not compress, 300 KiB each, signed, at demo/many in the real registry."""
    layout = tmp_path_factory.mktemp("many") / "layout"
    layers = [[images.entry("data/%d" % i, os.urandom(300 << 10))] for i in range(3)]
    digest = images.make_image(layout, layers)
    registry.push(layout, "demo/many")
    registry.sign("demo/many", registry.key())
    return types.SimpleNamespace(layout=layout, digest=digest, manifest=json.loads(images.get_blob(layout, digest)))


@pytest.fixture
def store(workdir):
    (workdir / "store").mkdir()
    return workdir / "store"


@pytest.fixture
def pull(run, programs, registry, store, workdir):
    """pull(host, ...) of demo/many from HOST with everything let in; --tries 2. AUTH: auth.json's "auths"; CERTS: more hosts that the CA vouches for."""
    def go(host, *more, ok=True, auth=None, certs=(), name="demo/many", env=None, ref=":1", command="pull", rule=None):
        trust = workdir / "trust"
        shutil.rmtree(trust, ignore_errors=True)
        trust.mkdir()
        full = host + "/" + name
        (trust / "policy.json").write_text(registry_kit.policy({full: rule or ACCEPT_ALL}))
        (trust / "auth.json").write_text(json.dumps({"auths": auth or {}}))
        registry.certs_dir(trust / "certs.d", host, *certs)
        return run(programs.fetch, command, *(("--store", store) if command == "pull" else ()), "--policy", trust / "policy.json", "--authfile",
                   trust / "auth.json", "--cert-dir", trust / "certs.d", "--tries", "2", *more, full + ref, ok=ok, timeout=120,
                   env=dict(os.environ, **(env or {})))
    return go


def basic(registry):
    return {"auth": base64.b64encode(("%s:%s" % (registry.user, registry.password)).encode()).decode()}


def serve(liar, image, name="demo/many"):
    """The image, honestly."""
    data = images.get_blob(image.layout, image.digest)
    for ref in ("1", image.digest):
        liar.lies["GET /v2/%s/manifests/%s" % (name, ref)] = (200, {"Content-Type": images.MANIFEST}, data)
    for blob in (image.layout / "blobs/sha256").iterdir():
        liar.lies["GET /v2/%s/blobs/sha256:%s" % (name, blob.name)] = (200, {}, blob.read_bytes())


@pytest.fixture
def liars(registry, image):
    """liars() makes one that serves the image honestly; liars(False) one that has nothing."""
    made = []

    def make(is_serving=True, **more):
        made.append(Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key", **more))
        if is_serving:
            serve(made[-1], image)
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def with_tokens(registry, image, workdir):
    """A second real docker-registry on the same storage that wants bearer tokens, and their server: with_tokens(life=...)."""
    made = []

    def make(**more):
        cert, key = keys.make_cert(workdir / "issuer", "issuer", "issuer", registry.state / "tls", usage="serverAuth", names="DNS:localhost,IP:127.0.0.1")
        tokens = TokenServer(cert, key, user=registry.user, password=registry.password, **more)
        made.append(tokens)
        auth = "token: {realm: \"https://localhost:%d/token\", service: demo, issuer: coracle tests, rootcertbundle: %s}" % (tokens.port, cert)
        front = registry_kit.Registry(workdir / "front", storage=registry.storage, auth=auth)
        made.append(front)
        shutil.copytree(registry.state / "tls", front.state / "tls", dirs_exist_ok=True)
        front.start()
        return front, tokens
    yield make
    for one in made:
        one.stop()


# Log-ins

def test_bearer_tokens_of_a_real_registry(registry, image, pull, with_tokens):
    front, tokens = with_tokens()
    certs = ["localhost:%d" % tokens.port]
    assert pull(front.host, auth={front.host: basic(registry)}, certs=certs).out.strip() == image.digest
    assert tokens.issued == 1
    scopes = [p for p in tokens.paths() if "scope=repository%3Ademo%2Fmany%3Apull" in p and "service=demo" in p]
    assert scopes and not any("push" in p for p in tokens.paths())
    wrong = pull(front.host, ok=False, auth={front.host: {"auth": "eDp5"}}, certs=certs, command="inspect").out
    assert "the token server localhost answers 401" in wrong and "credentials" in wrong


def test_token_runs_out_in_mid_pull(registry, image, pull, with_tokens):
    """Three seconds of life, five of pulling; the member access_token this time."""
    front, tokens = with_tokens(life=3, member="access_token")
    done = pull(front.host, "--limit-rate", "180000", auth={front.host: basic(registry)}, certs=["localhost:%d" % tokens.port])
    assert done.out.strip() == image.digest and tokens.issued >= 2


def test_a_token_with_fewer_rights_gets_a_second_one(registry, image, pull, with_tokens):
    front, tokens = with_tokens()
    tokens.is_poor = True
    pull(front.host, auth={front.host: basic(registry)}, certs=["localhost:%d" % tokens.port])
    assert tokens.issued == 2


def test_identity_token(registry, image, pull, with_tokens):
    """auth.json's identitytoken goes as an OAuth2 refresh token in a POST to the realm, never to the registry."""
    front, tokens = with_tokens(member="access_token")
    tokens.identity = "a refresh token/+&="
    auth = {front.host: dict(basic(registry), identitytoken=tokens.identity)}
    pull(front.host, auth=auth, certs=["localhost:%d" % tokens.port])
    assert [m for m, _, _, _ in tokens.seen] == ["POST"] * tokens.issued and tokens.issued == 1


def test_third_401_is_an_answer(liars, pull):
    one = liars()
    one.lies["GET /v2/demo/many/manifests/1"] = (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    out = pull(one.host, ok=False, auth={one.host: {"auth": "eDp5"}}).err
    assert "denies access (401)" in out and len(one.paths()) == 3


@pytest.mark.parametrize("challenge,word", [
    ('Bearer realm="http://localhost/token"', "neither Basic nor Bearer over https"), ("Digest realm=x", "neither Basic nor Bearer"),
    ("", "neither Basic nor Bearer"), ('Bearer realm="https://user@localhost/"', "no https URL"), ('Bearer realm="https://"', "no https URL"),
    ('Bearer realm="https://localhost:1/token"', "localhost:1: cannot connect"),
])
def test_odd_challenges(liars, pull, challenge, word):
    one = liars()
    one.lies["GET /v2/demo/many/manifests/1"] = (401, {"WWW-Authenticate": challenge}, b"")
    assert word in pull(one.host, ok=False, auth={one.host: {"auth": "eDp5"}}).err


@pytest.mark.parametrize("answer,word", [
    (b"{}", "sent no token"), (b"<html>", "token: not the JSON"), (b'{"token": 7}', "sent no token"), (b'{"token": "a\\nb"}', "control characters"),
    (b'{"token": "%s"}' % (b"x" * 9000), "sent no token"), (b" " * 70000, "more than 65536 bytes"), (b"[" * 60000, "token: not the JSON"),
])
def test_odd_tokens(liars, pull, answer, word):
    one = liars()
    one.lies["GET /v2/demo/many/manifests/1"] = (401, {"WWW-Authenticate": 'Bearer realm="https://%s/token"' % one.host}, b"")
    one.lies["GET /token"] = (200, {}, answer)
    assert word in pull(one.host, ok=False).err


def test_a_token_server_leads_nowhere(liars, pull):
    """Its redirect is not followed: the password was for it."""
    one, other = liars(), liars(False)
    one.lies["GET /v2/demo/many/manifests/1"] = (401, {"WWW-Authenticate": 'Bearer realm="https://%s/token"' % one.host}, b"")
    one.lies["GET /token"] = (307, {"Location": "https://%s/token" % other.host}, b"")
    assert "answers 307" in pull(one.host, ok=False, auth={one.host: {"auth": "eDp5"}}, certs=[other.host]).err
    assert not other.seen


def test_credentials_by_repository(liars, pull):
    """The longest entry wins; what is for another repository is not sent."""
    one = liars()
    sent = []

    def gate(handler):
        sent.append(handler.headers.get("Authorization"))
        if not sent[-1]:
            return handler.say(401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
        handler.say(404, {}, b"{}")
    one.lies["GET /v2/demo/many/manifests/1"] = gate
    auth = {one.host: {"auth": "aG9zdDo="}, one.host + "/demo": {"auth": "bmFtZXNwYWNlOg=="}, one.host + "/demo/many": {"auth": "cmVwbzo="},
            one.host + "/demo/ma": {"auth": "b3RoZXI6"}}
    for want in ("cmVwbzo=", "bmFtZXNwYWNlOg==", "aG9zdDo="):
        sent.clear()
        pull(one.host, ok=False, auth=auth)
        assert sent == [None, "Basic " + want]
        del auth[next(k for k, v in auth.items() if v["auth"] == want)]
    assert "has none for it" in pull(one.host, ok=False, auth={one.host + "/demo/ma": {"auth": "eDp5"}}).err


# Certificates

def test_client_certificate(registry, image, pull, workdir):
    """A real registry that demands one."""
    front = registry_kit.Registry(workdir / "front", storage=registry.storage, tls=", clientcas: [%s]" % registry.ca)
    shutil.copytree(registry.state / "tls", front.state / "tls", dirs_exist_ok=True)
    front.start()
    try:
        auth = {front.host: basic(registry)}
        pull(front.host, ok=False, auth=auth)
        cert, key = keys.make_cert(workdir / "mine", "client", "board 7", registry.state / "tls")
        with_cert = workdir / "with-cert" / front.host
        with_cert.mkdir(parents=True)
        shutil.copy(registry.ca, with_cert / "ca.crt")
        shutil.copy(cert, with_cert / "client.cert")
        args = ("--cert-dir", with_cert.parent)
        assert "client.cert has no usable key" in pull(front.host, *args, ok=False, auth=auth).err
        shutil.copy(key, with_cert / "client.key")
        assert pull(front.host, *args, auth=auth).out.strip() == image.digest
        own = ("--cert-dir", "/etc", "--own-cert-dir", with_cert.parent)        # the device's own come first, host by host
        assert pull(front.host, *own, auth=auth).out.strip() == image.digest
    finally:
        front.stop()


def test_ipv6(registry, image, pull, liars, workdir):
    """A real one on [::1], and by its port alone in a Host header."""
    front = registry_kit.Registry(workdir / "front", storage=registry.storage, address="[::1]")
    shutil.copytree(registry.state / "tls", front.state / "tls", dirs_exist_ok=True)
    front.start()
    try:
        assert pull(front.host, auth={front.host: basic(registry)}).out.strip() == image.digest
        assert "its certificate does not verify" in pull(front.host, "--cert-dir", "/etc", ok=False).err
    finally:
        front.stop()
    one = liars(family=socket.AF_INET6)
    assert pull(one.host, command="inspect").code == 0
    assert one.seen[0][2]["Host"] == one.host


# Redirects

def test_real_registry_redirects_blobs_to_another_host(registry, image, pull, liars, workdir):
    """docker-registry's redirect middleware, as with a CDN; the other host sees no credentials, and no Authorization beside its signed URL."""
    other = liars(False)
    more = "middleware:\n  storage: [{name: redirect, options: {baseurl: \"https://localhost:%d\"}}]\n" % other.port
    front = registry_kit.Registry(workdir / "front", storage=registry.storage, more=more)
    shutil.copytree(registry.state / "tls", front.state / "tls", dirs_exist_ok=True)
    for f in registry.storage.glob("docker/registry/v2/blobs/sha256/*/*/data"):
        other.lies["GET /" + str(f.relative_to(registry.storage))] = (200, {}, f.read_bytes())
    (front.state / "htpasswd").write_text((registry.state / "htpasswd").read_text())
    front.start()
    try:
        done = pull(front.host, auth={front.host: basic(registry), other.host: {"auth": "bmV2ZXI6"}}, certs=[other.host])
        assert done.out.strip() == image.digest and len(other.seen) >= 4
        assert all("Authorization" not in headers for _, _, headers, _ in other.seen)
    finally:
        front.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_cut_behind_a_redirect_is_asked_anew_at_the_registry(image, pull, liars, status):
    """A signed URL is good once: the second part is asked of the registry, with its credentials, which sends us to another one, without."""
    one, store = liars(), liars(False)
    path = "/v2/demo/many/blobs/" + image.manifest["layers"][0]["digest"]
    body, ranges = one.lies["GET " + path][2], []

    def gate(handler):
        if not handler.headers.get("Authorization"):
            return handler.say(401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
        ranges.append(handler.headers.get("Range"))
        handler.say(status, {"Location": "https://%s/signed/%d?X-Amz-Signature=%d" % (store.host, len(ranges), len(ranges))}, b"<a/>")

    def first(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:200000])
        handler.close_connection = True

    def second(handler):
        n = int(handler.headers["Range"][6:-1])
        handler.say(206, {"Content-Range": "bytes %d-%d/%d" % (n, len(body) - 1, len(body))}, body[n:])
    one.lies["GET " + path] = gate
    store.lies["GET /signed/1"], store.lies["GET /signed/2"] = first, second
    assert pull(one.host, auth={one.host: {"auth": "eDp5"}, store.host: {"auth": "bmV2ZXI6"}}, certs=[store.host]).out.strip() == image.digest
    assert ranges == [None, store.seen[1][2]["Range"]] and len(store.seen) == 2
    assert all("Authorization" not in headers for _, _, headers, _ in store.seen)


@pytest.mark.parametrize("where,word", [
    ("http://localhost/x", "no https URL"), ("file:///etc/passwd", "no https URL"), ("https://user:pw@localhost/", "no https URL"),
    ("https://localhost:99999/", "no https URL"), ("https:///x", "no https URL"), ("//localhost/x", "no https URL"), ("", "no https URL"),
    ("https://" + "x" * 3000, "no https URL"),
])
def test_redirects_that_are_not_followed(image, pull, liars, where, word):
    one = liars()
    one.lies["GET /v2/demo/many/manifests/1"] = (302, {"Location": where}, b"")
    assert word in pull(one.host, ok=False).err


INSIDE = """
import json, subprocess, sys
tests, folder, words = sys.argv[1], sys.argv[2], sys.argv[3:]
sys.path[:0] = [tests + "/lib", tests + "/demo"]
from liar import Liar
import images
for words_of_ip in ("link set lo up", "addr add 10.99.0.1/32 dev lo", "addr add 10.99.0.2/32 dev lo", "addr add 169.254.169.254/32 dev lo"):
    subprocess.run(["ip", *words_of_ip.split()], check=True)
cert, key = folder + "/here.crt", folder + "/here.key"
one = Liar(cert, key, address="10.99.0.1", port=5000)
there = {a: Liar(cert, key, address=a, port=5001) for a in ("10.99.0.2", "127.0.0.1", "169.254.169.254")}
said = {}
for where in ("10.99.0.2", "127.0.0.1", "localhost", "169.254.169.254", "0.0.0.0", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "2852039166"):
    one.lies["GET /v2/demo/app/manifests/1"] = (307, {"Location": "https://%s:5001/latest/meta-data" % where}, b"")
    said[where] = subprocess.run(words, capture_output=True, text=True, timeout=60).stderr
print(json.dumps({"said": said, "seen": {a: l.paths() for a, l in there.items()}}))
"""


def test_a_redirect_does_not_lead_to_this_machine(registry, programs, workdir):
    """In a network of its own: a registry out there (10.99.0.1) sends us to a cloud's metadata service, to the machine itself, to a neighbour. The first two
    would answer, with a certificate of our authority, and are never asked."""
    keys.make_cert(workdir, "here", "here", registry.ca.parent, "serverAuth", "IP:10.99.0.1,IP:10.99.0.2,IP:127.0.0.1,IP:169.254.169.254,DNS:localhost")
    (workdir / "policy.json").write_text(registry_kit.policy({"10.99.0.1:5000/demo/app": ACCEPT_ALL}))
    registry.certs_dir(workdir / "certs.d", "10.99.0.1:5000", "10.99.0.2:5001", "127.0.0.1:5001", "169.254.169.254:5001", "localhost:5001")
    (workdir / "store").mkdir()
    done = subprocess.run(["unshare", "-n", "/usr/bin/python3", "-c", INSIDE, os.path.dirname(os.path.abspath(__file__)), workdir, programs.fetch, "pull",
                           "--store", workdir / "store", "--policy", workdir / "policy.json", "--cert-dir", workdir / "certs.d", "--authfile",
                           workdir / "none.json", "--tries", "1", "10.99.0.1:5000/demo/app:1"], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert "is not there (404)" in got["said"].pop("10.99.0.2") and got["seen"]["10.99.0.2"] == ["/latest/meta-data"]
    for where, said in got["said"].items():
        assert "the registry sent us to an address of this machine: refused" in said, (where, said)
    assert got["seen"]["127.0.0.1"] == got["seen"]["169.254.169.254"] == []


def test_relative_redirect_belongs_to_the_host_that_sent_it(image, pull, liars):
    one, other = liars(), liars(False)
    blob = image.manifest["layers"][0]["digest"]
    path = "GET /v2/demo/many/blobs/" + blob
    other.lies["GET /first"] = (307, {"Location": "/second"}, b"")
    other.lies["GET /second"] = one.lies[path]
    one.lies[path] = (307, {"Location": "https://%s/first" % other.host}, b"")
    assert pull(one.host, certs=[other.host]).out.strip() == image.digest
    assert other.paths() == ["/first", "/second"]


# Being busy

def test_retry_after_is_waited_out(image, pull, liars):
    one = liars()
    times = []

    def busy(handler):
        times.append(handler.log_date_time_string())
        if len(times) == 1:
            return handler.say(429, {"Retry-After": "1"}, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}')
        handler.say(200, {"Content-Type": images.MANIFEST}, images.get_blob(image.layout, image.digest))
    one.lies["GET /v2/demo/many/manifests/1"] = busy
    done = pull(one.host)
    assert len(times) == 2 and "answers 429; trying again in 1.0 s" in done.err
    one.lies["GET /v2/demo/many/manifests/1"] = (429, {"Retry-After": "86400"}, b"")
    assert "asks to come back in 86400 s" in pull(one.host, ok=False).err


def test_a_storm_of_500_is_sat_out_then_given_up(image, pull, liars):
    one = liars()
    manifest = one.lies["GET /v2/demo/many/manifests/1"]
    left = [3]

    def storm(handler):
        left[0] -= 1
        handler.say(*((503, {}, b"x" * 100000) if left[0] >= 0 else manifest))
    one.lies["GET /v2/demo/many/manifests/1"] = storm
    assert pull(one.host, "--tries", "4").out.strip() == image.digest
    left[0] = 99
    done = pull(one.host, "--tries", "3", ok=False)
    assert "the registry answers 503" in done.err and left[0] == 96


# Mirrors

def mirrors(workdir, text):
    (workdir / "registries.conf").write_text(text)
    return "--registries-conf", workdir / "registries.conf"


def table(location, *mirror, **more):
    text = '[[registry]]\nlocation = "%s"\n%s' % (location, "".join("%s = %s\n" % (k.replace("_", "-"), v) for k, v in more.items()))
    return text + "".join('[[registry.mirror]]\nlocation = "%s"\n%s' % (m if isinstance(m, tuple) else (m, "")) for m in mirror)


def test_mirrors_in_order_with_fallback(image, pull, liars, workdir):
    origin, first, second = liars(), liars(False), liars()
    certs = [first.host, second.host]
    text = "# mirrors of the plant\n" + table(origin.host, "localhost:1", first.host, second.host)
    auth = {second.host: {"auth": "bWlycm9yOg=="}, origin.host: {"auth": "b3JpZ2luOg=="}}
    done = pull(origin.host, *mirrors(workdir, text), certs=certs, auth=auth)
    assert done.out.strip() == image.digest and "localhost:1" in done.err and "going on to the next place" in done.err
    assert first.seen and second.seen and not origin.seen
    assert not any(headers.get("Authorization") for _, _, headers, _ in second.seen)       # it did not ask
    for one in (first, second):
        one.lies.clear()
    assert pull(origin.host, *mirrors(workdir, text), certs=certs, command="inspect").code == 0 and origin.seen


def test_mirror_serves_the_name_that_was_asked_for(registry, image, pull, liars, workdir):
    """Policy and signature go by the original name; a mirror under another path cannot make an image another."""
    origin, mirror = liars(False), liars(False)
    sig = image.digest.replace(":", "-") + ".sig"
    for path in ("manifests/1", "manifests/" + sig):
        body, _, media = registry.manifest("demo/many", path.split("/")[1])
        mirror.lies["GET /v2/cache/many/" + path] = (200, {"Content-Type": media}, body)
    for layer in json.loads(registry.manifest("demo/many", sig)[0])["layers"] + [image.manifest["config"]] + image.manifest["layers"]:
        mirror.lies["GET /v2/cache/many/blobs/" + layer["digest"]] = (200, {}, registry.request("GET", "/v2/demo/many/blobs/" + layer["digest"])[2])
    conf = mirrors(workdir, table(origin.host + "/demo", mirror.host + "/cache"))
    rule = {"type": "sigstoreSigned", "keyPath": str(registry.key().pub),
            "signedIdentity": {"type": "exactRepository", "dockerRepository": registry.host + "/demo/many"}}
    assert pull(origin.host, *conf, certs=[mirror.host], rule=rule).out.strip() == image.digest
    rule["signedIdentity"] = {"type": "matchRepository"}
    assert "does not let stand for" in pull(origin.host, *conf, certs=[mirror.host], rule=rule, ok=False).err


def test_mirror_for_digests_alone(image, pull, liars, workdir):
    origin, mirror = liars(), liars()
    for text in (table(origin.host, (mirror.host, 'pull-from-mirror = "digest-only"\n')), table(origin.host, mirror.host, mirror_by_digest_only="true")):
        mirror.seen.clear()
        origin.seen.clear()
        shutil.rmtree(workdir / "store")
        (workdir / "store").mkdir()
        pull(origin.host, *mirrors(workdir, text), certs=[mirror.host])
        assert origin.paths() == ["/v2/demo/many/manifests/1"] and len(mirror.paths()) == 4


@pytest.mark.parametrize("text,word", [
    ('[[registry]]\nlocation = "x"\ninsecure = true\n', "registries.conf:3: insecure = true"),
    ('[[registry]]\nlocation = "x"\ncolour = "red"\n', "registries.conf:3: colour"), ("[registries.search]\n", ":1: table [registries.search]"),
    ("[[registry.mirror]]\n", ":1: table"), ("[[registry]]\nlocation\n", ":2: neither"), ('[[registry]]\nlocation = "x\n', ":2: the value"),
    ('[[registry]]\nlocation = "https://x"\n', ":2: location must be"), ("[[registry]]\nblocked = maybe\n", ":2: the value is neither"),
    ('[[registry]]\n[[registry.mirror]]\npull-from-mirror = "never"\n', ":3: pull-from-mirror must be"),
    ('[[registry]]\nlocation = "x"\n' + '[[registry.mirror]]\nlocation = "y"\n' * 5, ":11: more than 4 mirrors"),
    ('[[registry]]\nlocation = "localhost"\nblocked = true\n[[registry]]\nprefix = "*.example.com"\nlocation = "y"\n', None),
])
def test_odd_registries_conf(image, pull, liars, workdir, text, word):
    one = liars()
    done = pull(one.host, *mirrors(workdir, text), ok=False)
    assert (word or "blocks localhost") in done.err and not one.seen


# Proxies

def test_proxy_and_exceptions(registry, image, pull, liars, workdir):
    one, proxy = liars(), Proxy(credentials="board:se cret".replace(" ", "%20") and "board:secret")
    conf = workdir / "proxy.conf"
    try:
        conf.write_text("HTTPS_PROXY=http://board:secret@localhost:%d\n" % proxy.port)
        pull(one.host, "--proxy-conf", conf)
        assert set(proxy.seen) == {("CONNECT", one.host)}
        shutil.rmtree(workdir / "store")
        (workdir / "store").mkdir()
        proxy.seen.clear()
        for rule in ("localhost", "*", ".example.com,localhost:%d" % one.port, "10.0.0.0/8, LOCALHOST"):
            conf.write_text("HTTPS_PROXY=http://board:secret@localhost:%d\nNO_PROXY=%s\n" % (proxy.port, rule))
            pull(one.host, "--proxy-conf", conf, command="inspect")
            assert not proxy.seen
        for rule in ("ocalhost", "localhost:1", "127.0.0.0/8"):
            pull(one.host, command="inspect", env={"HTTPS_PROXY": "http://board:secret@localhost:%d" % proxy.port, "NO_PROXY": rule})
            assert proxy.seen
            proxy.seen.clear()
        out = pull(one.host, command="inspect", ok=False, env={"https_proxy": "http://board:wrong@localhost:%d" % proxy.port}).out
        assert "the proxy does not let us through" in out and "wrong" not in out
        assert "proxy setting" in pull(one.host, command="inspect", ok=False, env={"https_proxy": "socks5://localhost:1"}).out
    finally:
        proxy.stop()


def test_proxy_over_tls(registry, image, pull, liars):
    one, proxy = liars(), Proxy(tls=(registry.ca.parent / "server.crt", registry.ca.parent / "server.key"))
    try:
        assert pull(one.host, env={"HTTPS_PROXY": "https://localhost:%d" % proxy.port}).out.strip() == image.digest
        assert set(proxy.seen) == {("CONNECT", one.host)}
    finally:
        proxy.stop()


# Image layouts

@pytest.fixture
def layout(registry, image, workdir):
    """The image with its .sig in one layout, as skopeo copies both onto a stick."""
    to = workdir / "stick"
    args = ("--src-authfile", registry.login_file(workdir / "login.json"), "--src-cert-dir", registry.state / "certs.d" / registry.host)
    for tag, name in (("1", "1"), (image.digest.replace(":", "-") + ".sig",) * 2):
        keys.run("skopeo", "copy", "-q", "--insecure-policy", *args, "docker://%s/demo/many:%s" % (registry.host, tag), "oci:%s:%s" % (to, name))
    return to


@pytest.fixture
def stick(run, programs, registry, workdir, store):
    """stick(ref, ok, identity) pulls REF under a policy for its path that wants the signature of demo/many."""
    def go(ref, ok=True, identity=None, command="pull", more=()):
        kind, path = ref.split(":")[0], ref.split(":")[1].split("@")[0]
        rule = {"type": "sigstoreSigned", "keyPath": str(registry.key().pub), "signedIdentity": identity or
                {"type": "exactRepository", "dockerRepository": registry.host + "/demo/many"}}
        (workdir / "policy.json").write_text(json.dumps({"default": [{"type": "reject"}], "transports": {kind: {path: [rule]}}}))
        return run(programs.fetch, command, *(("--store", store) if command == "pull" else ()), "--policy", workdir / "policy.json", *more, ref, ok=ok)
    return go


def pack(layout, to, mode="w"):
    import tarfile
    with tarfile.open(to, mode) as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout), recursive=False)
    return to


def test_signed_image_from_a_stick(image, layout, stick, workdir, store):
    assert stick("oci:%s:1" % layout).out.strip() == image.digest
    assert not (store / "state/tls13").exists()
    for ref in ("oci:%s" % layout, "oci:%s@%s" % (layout, image.digest), "oci-archive:%s:1" % pack(layout, workdir / "stick.tar"),
                "oci-archive:%s" % (workdir / "stick.tar")):
        shutil.rmtree(store)
        store.mkdir()
        assert stick(ref).out.strip() == image.digest
    os.chmod(layout, 0o700)
    os.chmod(layout / "index.json", 0o600)
    assert stick("oci:%s:1" % layout, command="inspect").code == 0


def test_stick_is_no_more_trusted_than_a_registry(registry, image, layout, stick, workdir):
    assert "no name of its own" in stick("oci:%s:1" % layout, False, {"type": "matchRepository"}).err
    other = {"type": "exactRepository", "dockerRepository": registry.host + "/demo/other"}
    assert "does not let stand for" in stick("oci:%s:1" % layout, False, other).err
    assert "is not there" in stick("oci:%s:2" % layout, False).err
    index = json.loads((layout / "index.json").read_text())
    (layout / "index.json").write_text(json.dumps(dict(index, manifests=[m for m in index["manifests"] if ".sig" not in str(m)])))
    assert "no signature" in stick("oci:%s:1" % layout, False).err
    (layout / "index.json").write_text(json.dumps(index))
    blob = layout / "blobs/sha256" / image.manifest["layers"][1]["digest"][7:]
    whole = blob.read_bytes()
    blob.write_bytes(whole[:1000] + b"x" + whole[1001:])
    assert "the manifest says" in stick("oci:%s:1" % layout, False).err
    blob.write_bytes(whole[:-1])
    assert "ended after" in stick("oci:%s:1" % layout, False).err
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    assert "denies access" in stick("oci:%s:1" % layout, False).err
    (layout / "index.json").write_text("{")
    assert "not an image layout" in stick("oci:%s:1" % layout, False).err
    assert "No such file" in stick("oci:%s/none:1" % layout, False).err


def test_preload(registry, image, layout, run, programs, workdir, store):
    """Used once under the policy of its path; what is refused is set aside, and the registry asked."""
    path = pack(layout, workdir / "many.tar")
    rule = {"type": "sigstoreSigned", "keyPath": str(registry.key().pub)}
    signed = dict(rule, signedIdentity={"type": "exactRepository", "dockerRepository": registry.host + "/demo/many"})
    docker = {registry.host + "/demo/many": [dict(rule, signedIdentity={"type": "matchRepository"})]}

    def pull(transports, ok=True):
        (workdir / "policy.json").write_text(json.dumps({"default": [{"type": "reject"}], "transports": transports}))
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        return run(programs.fetch, "pull", "--store", store, "--policy", workdir / "policy.json", "--authfile",
                   registry.login_file(workdir / "login.json"), "--cert-dir", registry.certs_dir(workdir / "certs.d"), "--preload", path,
                   registry.host + "/demo/many:1", ok=ok)

    before = len(registry.requests_seen())
    assert pull({"oci-archive": {str(path): [signed]}}).out.strip() == image.digest
    assert len(registry.requests_seen()) == before and not path.exists()

    assert pull({"docker": docker}).out.strip() == image.digest             # not there: as if it had not been asked for
    pack(layout, path)
    done = pull({"docker": docker})                                         # no policy lets the path in
    assert done.out.strip() == image.digest and "kept as .refused" in done.err
    assert not path.exists() and (workdir / "many.tar.refused").exists()
    path.write_bytes(b"noise")
    done = pull({"oci-archive": {str(path): [signed]}, "docker": {}}, ok=False)
    assert "kept as .refused" in done.err and "the policy" in done.err


@pytest.mark.parametrize("spoil,word", [
    (lambda data: data[:len(data) // 2], "not a tar, or cut short"), (lambda data: b"", "no index.json"), (lambda data: b"PK\3\4" * 300, "not a tar"),
    (lambda data: __import__("gzip").compress(data), "compressed archive"), (lambda data: data[:1536 + 124] + b"9" * 12 + data[1536 + 136:], "not a tar"),
])
def test_odd_archives(layout, stick, workdir, spoil, word):
    path = pack(layout, workdir / "stick.tar")
    path.write_bytes(spoil(path.read_bytes()))
    assert word in stick("oci-archive:%s:1" % path, False).err


def test_archive_of_too_many_blobs(layout, stick, workdir):
    import tarfile
    path = pack(layout, workdir / "stick.tar")
    with tarfile.open(path, "a") as tar:
        for i in range(1100):
            tar.addfile(tarfile.TarInfo("blobs/sha256/%064x" % i))
    assert "more than 1024 blobs" in stick("oci-archive:%s:1" % path, False).err


def test_cosign_saves_a_stick(registry, image, stick, workdir):
    """`cosign save` writes image and signatures into one layout, with marks of its own instead of names."""
    keys.run(keys.cosign(), "save", "--dir", workdir / "saved", "--registry-cacert", registry.ca, "--registry-username", registry.user,
             "--registry-password", registry.password, "%s/demo/many:1" % registry.host, env=keys.cosign_env(registry.keys))
    assert stick("oci:%s" % (workdir / "saved")).out.strip() == image.digest


def test_bundle_on_a_stick(registry, layout, image, stick, workdir):
    """The bundle form beside the image; it names no repository, so the scope must be this one path."""
    index = json.loads((layout / "index.json").read_text())
    bundle = images.put_blob(layout, keys.bundle_by_hand(registry.key(), keys.statement(image.digest)))
    manifest = {"schemaVersion": 2, "mediaType": images.MANIFEST, "artifactType": keys.BUNDLE,
                "config": dict(images.put_blob(layout, b"{}"), mediaType="application/vnd.oci.empty.v1+json"),
                "layers": [dict(bundle, mediaType=keys.BUNDLE)], "subject": {"mediaType": images.MANIFEST, "digest": image.digest, "size": 1}}
    entry = dict(images.put_blob(layout, json.dumps(manifest).encode()), mediaType=images.MANIFEST, artifactType=keys.BUNDLE)
    manifests = [m for m in index["manifests"] if ".sig" not in str(m)] + [entry]
    (layout / "index.json").write_text(json.dumps(dict(index, manifests=manifests)))
    assert "bundle" in stick("oci:%s:1" % layout, command="inspect").out
    assert stick("oci:%s" % layout).out.strip() == image.digest


# What else the table of docs/registries.md promises

def test_docker_manifest(registry, image, pull):
    registry.push(image.layout, "demo/docker", docker=True)
    body, digest, media = registry.manifest("demo/docker", "1")
    assert media == "application/vnd.docker.distribution.manifest.v2+json"
    assert pull(registry.host, name="demo/docker", auth={registry.host: basic(registry)}).out.strip() == digest


def test_referrers_api_with_pages(registry, image, pull, liars):
    """A registry with the API: two pages, the signature on the second; a next page elsewhere is not followed."""
    one = liars()
    bundle = keys.bundle_by_hand(registry.key(), keys.statement(image.digest))
    manifest = json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "artifactType": keys.BUNDLE,
                           "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": keys.sha256(b"{}"), "size": 2},
                           "layers": [{"mediaType": keys.BUNDLE, "digest": keys.sha256(bundle), "size": len(bundle)}],
                           "subject": {"mediaType": images.MANIFEST, "digest": image.digest, "size": 1}}).encode()
    one.lies["GET /v2/demo/many/manifests/" + keys.sha256(manifest)] = (200, {"Content-Type": images.MANIFEST}, manifest)
    one.lies["GET /v2/demo/many/blobs/" + keys.sha256(bundle)] = (200, {}, bundle)
    path = "/v2/demo/many/referrers/" + image.digest

    def page(*manifests):
        return json.dumps({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": manifests}).encode()
    sbom = {"mediaType": images.MANIFEST, "digest": "sha256:" + "0" * 64, "size": 5, "artifactType": "application/spdx+json"}
    found = {"mediaType": images.MANIFEST, "digest": keys.sha256(manifest), "size": len(manifest), "artifactType": keys.BUNDLE}
    rule = {"type": "sigstoreSigned", "keyPath": str(registry.key().pub), "signedIdentity": {"type": "matchRepository"}}
    one.lies["GET " + path] = (200, {"Link": ['</x>; rel="prev"', '<%s?page=2>; rel="next"' % path]}, page(sbom))
    one.lies["GET " + path + "?page=2"] = (200, {}, page(found))
    assert pull(one.host, rule=rule).out.strip() == image.digest
    # Some say 400 or 405 for an API that they have not; then the fallback tag counts.
    one.lies["GET /v2/demo/many/manifests/" + image.digest.replace(":", "-")] = (200, {"Content-Type": images.INDEX}, page(found))
    for status in (400, 405):
        one.lies["GET " + path] = (status, {}, b'{"errors":[{"code":"UNSUPPORTED"}]}')
        assert pull(one.host, rule=rule, command="inspect").code == 0
    del one.lies["GET /v2/demo/many/manifests/" + image.digest.replace(":", "-")]
    for link in ("</v2/demo/other/x>; rel=\"next\"", "<%s?page=3>; rel=\"next\"" % path):
        one.lies["GET " + path] = (200, {"Link": link}, page(sbom))
        one.lies["GET " + path + "?page=3"] = (200, {"Link": link}, page(sbom))     # in a circle
        one.seen.clear()
        assert "no signature" in pull(one.host, rule=rule, ok=False, command="inspect").out
        assert len(one.seen) < 14 and not any("other" in p for p in one.paths())


# What a tag names now

def test_check_asks_by_head(registry, image, pull):
    """No manifest is fetched, so that it is no pull in a registry's count."""
    before = len(registry.requests_seen())
    done = pull(registry.host, command="check", auth={registry.host: basic(registry)})
    asked = [r for r in registry.requests_seen()[before:] if "/manifests/" in r]
    assert done.out.strip() == image.digest and asked and set(asked) == {"HEAD /v2/demo/many/manifests/1"}


@pytest.mark.parametrize("answer", [
    None, (405, {}, b""), (404, {}, b""), (200, {}, b""), (200, {"Docker-Content-Digest": "sha256:" + "A" * 64}, b""),
    (200, {"Docker-Content-Digest": "sha256:" + "a" * 3000}, b""), (200, {"Docker-Content-Digest": "x"}, b""),
])
def test_check_without_a_usable_head(image, pull, liars, answer):
    one = liars()
    one.lies["HEAD" if answer is None else "HEAD /v2/demo/many/manifests/1"] = answer
    if answer and "Docker-Content-Digest" not in answer[1]:
        one.lies["HEAD /v2/demo/many/manifests/1"] = (answer[0], {"Docker-Content-Digest": ""}, b"")
    assert pull(one.host, command="check").out.strip() == image.digest
    assert [m for m, path, _, _ in one.seen if path.endswith("/manifests/1")] == ["HEAD", "GET"]


# What the specifications let a registry say, and what is made of it

OCI_LAYER, DOCKER_LAYER = "application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."


def index_around(manifest):
    """An index with what is yet to come, an attestation and another platform in front of MANIFEST."""
    mine = {"mediaType": images.MANIFEST, "digest": keys.sha256(manifest), "size": len(manifest)}
    nobody = {"mediaType": images.MANIFEST, "digest": "sha256:" + "1" * 64, "size": 7}
    return json.dumps({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [
        dict(nobody, mediaType="application/vnd.future.v9+json", platform={"os": "linux", "architecture": "amd64"}),
        dict(nobody, platform={"os": "unknown", "architecture": "unknown"}, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
        dict(nobody, platform={"os": "linux", "architecture": "riscv64"}), dict(mine, platform={"os": "linux", "architecture": "amd64"})]}).encode()


LEGAL = {
    "gzip": lambda m: m["layers"][0].update(mediaType=OCI_LAYER + "v1.tar+gzip"),
    "nondistributable": lambda m: m["layers"][0].update(mediaType=OCI_LAYER + "nondistributable.v1.tar+gzip", urls=["https://localhost:1/elsewhere"]),
    "Docker": lambda m: m["layers"][0].update(mediaType=DOCKER_LAYER + "diff.tar.gzip"),
    "Docker foreign": lambda m: m["layers"][0].update(mediaType=DOCKER_LAYER + "foreign.diff.tar.gzip", urls=["https://localhost:1/elsewhere"]),
    "urls": lambda m: m["config"].update(urls=["https://localhost:1/elsewhere"]),
    "embedded data": lambda m: (m["config"].update(data="e30="), m["layers"][0].update(data="bGllcw==")),
    "unknown members": lambda m: m.update(futureMember={"a": [1, None, True]}, subject={"x": 1}, annotations={"a": "b"}),
    "no media type": lambda m: m.pop("mediaType"),
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_manifests(image, pull, liars, name):
    """Taken, and nothing but the registry's own blobs asked for."""
    one, manifest = liars(), json.loads(images.get_blob(image.layout, image.digest))
    LEGAL[name](manifest)
    data = json.dumps(manifest).encode()
    one.lies["GET /v2/demo/many/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, data)
    assert pull(one.host).out.strip() == keys.sha256(data)
    assert len([p for p in one.paths() if "/blobs/" in p]) == 1 + len(manifest["layers"])


@pytest.mark.parametrize("headers", [
    {"Content-Type": images.MANIFEST + "; charset=utf-8"}, {"Content-Type": "text/plain"}, {},
    {"Content-Type": images.MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64}, {"content-type": images.MANIFEST, "X-Odd": "\xff" * 1000},
])
def test_headers_decide_nothing(image, pull, liars, headers):
    one = liars()
    one.lies["GET /v2/demo/many/manifests/1"] = (200, headers, images.get_blob(image.layout, image.digest))
    assert pull(one.host).out.strip() == image.digest


def test_index_with_what_is_yet_to_come(image, pull, liars):
    one, manifest = liars(), images.get_blob(image.layout, image.digest)
    one.lies["GET /v2/demo/many/manifests/1"] = (200, {"Content-Type": images.INDEX}, index_around(manifest))
    assert pull(one.host, "--platform", "linux/amd64").out.strip() == image.digest
    types = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
             "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
    assert all(set(headers["Accept"].split(", ")) == types for _, path, headers, _ in one.seen if "/manifests/" in path)


def test_index_in_index(image, pull, liars):
    """Of OCI and of Docker; for a platform, or for all."""
    one, inner = liars(), index_around(images.get_blob(image.layout, image.digest))
    entry = {"mediaType": images.INDEX, "digest": keys.sha256(inner), "size": len(inner)}
    one.lies["GET /v2/demo/many/manifests/" + keys.sha256(inner)] = (200, {"Content-Type": images.INDEX}, inner)
    for media in (images.INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"):
        for more in ({}, {"platform": {"os": "linux", "architecture": "amd64"}}):
            outer = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": [dict(entry, **more)]}).encode()
            one.lies["GET /v2/demo/many/manifests/1"] = (200, {"Content-Type": media}, outer)
            assert pull(one.host, "--platform", "linux/amd64").out.strip() == image.digest


@pytest.mark.parametrize("twist,word", [
    (lambda c, m: c["rootfs"].update(type="chunks"), 'rootfs.type is not "layers"'),
    (lambda c, m: c["rootfs"].update(diff_ids=c["rootfs"]["diff_ids"][:-1]), "diff_ids for"),
    (lambda c, m: c["rootfs"].update(diff_ids=["sha256:" + "0" * 64] * len(c["rootfs"]["diff_ids"])), "the image config says"),
    (lambda c, m: c.update(architecture="riscv64"), "riscv64"),
])
def test_config_that_does_not_fit(pull, liars, workdir, twist, word):
    one, layout = liars(), workdir / "layout"
    digest = images.make_image(layout, [[images.entry("a", b"a")], [images.entry("b", b"b")]], twist=twist)
    serve(one, types.SimpleNamespace(layout=layout, digest=digest))
    assert word in pull(one.host, "--platform", "linux/amd64", ok=False).err


def http_date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


@pytest.mark.parametrize("away_s,is_kept", [(0, True), (-300, True), (-1200, False), (-10 * 365 * 86400, False), (86400, True), (None, False), ("soon", False)])
def test_a_time_that_the_registry_contradicts_is_not_kept(image, pull, liars, store, away_s, is_kept):
    """A certificate may be valid for a hundred years: that it is valid now confirms a clock only where the answer's Date is no earlier than that clock."""
    one = liars()
    date = None if away_s is None else away_s if away_s == "soon" else http_date(time.time() + away_s)
    for path, (status, headers, body) in list(one.lies.items()):
        one.lies[path] = (status, dict(headers, Date=date), body)
    before = int(time.time())
    pull(one.host)
    kept = store / "state/clock"
    assert kept.exists() == is_kept
    if is_kept:     # the clock's own time, not the registry's
        assert before <= int(kept.read_text()) <= time.time()


def test_the_pages_name_tests_that_are_there():
    root = pathlib.Path(__file__).resolve().parents[1]
    known = "".join(p.read_text() for p in [*root.glob("tests/*.py"), *root.glob("tests/boards/*.py")])
    for page in ("registries", "trust"):
        text = (root / "docs" / (page + ".md")).read_text()
        for name in re.findall(r"\btest_[a-z0-9_]+\b(?!\.py)", text):
            assert "def %s(" % name in known, (page, name)
        for name in re.findall(r"\b(?:test_\w+\.py|\w+_test\.c)\b", text):
            assert list(root.glob("tests/**/" + name)), (page, name)
