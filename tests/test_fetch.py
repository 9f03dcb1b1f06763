# SPDX-License-Identifier: MIT
"""coracle-fetch pull against a real registry with real signatures, and against one that lies."""
import json, os, ssl
import pytest
import images, keys
from liar import Liar

ACCEPT_ALL = {"type": "insecureAcceptAnything"}


@pytest.fixture(scope="module")
def signed(registry, demo_image):
    registry.push(demo_image, "demo/hello")
    registry.sign("demo/hello", registry.key())
    return registry.host + "/demo/hello"


@pytest.fixture
def store(workdir):
    folder = workdir / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def pull(run, programs, trust, store):
    def go(ref, rules, ok=True, *more):
        made = trust(rules)
        return run(programs.fetch, "pull", "--store", store, *made.args, *more, ref, ok=ok, timeout=120)
    return go


def state(store):
    """All that lies in the store, but for the list of hosts that spoke TLS 1.3."""
    return sorted(os.path.relpath(os.path.join(d, n), store) for d, ds, fs in os.walk(store) for n in ds + fs
                  if n not in ("tls13", "lock"))


def amd64_of(registry, name):
    return json.loads(registry.manifest(name, "1")[0])["manifests"][0]["digest"]


def test_signed_index_is_pulled(registry, signed, pull, store, run, programs):
    done = pull(signed + ":1", {signed: registry.key().pub})
    assert done.out.strip() == amd64_of(registry, "demo/hello")
    listed = json.loads(run(programs.bundle, "ls", "--json", "--store", store).out)["images"]
    assert [i["digest"] for i in listed] == [done.out.strip()]
    assert all((store / layer["directory"]).is_dir() for layer in listed[0]["layers"]) and len(listed[0]["layers"]) >= 3
    assert "cosign.pub" in (store / "images/sha256" / done.out.strip()[7:] / "admitted").read_text()
    assert not list((store / "tmp").iterdir())
    before = state(store)
    again = pull(signed + ":1", {signed: registry.key().pub})
    assert again.out == done.out and state(store) == before


def test_pull_by_digest_and_other_platform(registry, signed, pull):
    digest = registry.digest("demo/hello")
    index = json.loads(registry.manifest("demo/hello", "1")[0])["manifests"]
    done = pull("docker://%s@%s" % (signed, digest), {signed: registry.key().pub}, True, "--platform", "linux/arm/v7")
    assert done.out.strip() == index[2]["digest"]
    missing = pull(signed + ":1", {signed: registry.key().pub}, False, "--platform", "linux/riscv64")
    assert "linux/amd64" in missing.err and "riscv64" in missing.err


def refused(pull, store, ref, rules, *words):
    pull("localhost:1/none/none:1", {"localhost:1/none/none": ACCEPT_ALL}, False, "--tries", "1")     # the store's own folders
    before = state(store)
    done = pull(ref, rules, False)
    assert done.code == 1 and done.out == ""
    for word in words:
        assert word in done.err, done.err
    assert state(store) == before and not list((store / "tmp").iterdir())
    return done


def test_unsigned_is_refused(registry, demo_image, pull, store):
    registry.push(demo_image, "demo/unsigned")
    name = registry.host + "/demo/unsigned"
    refused(pull, store, name + ":1", {name: registry.key().pub}, "no signature", "cosign sign")


def test_other_key_is_refused(registry, demo_image, pull, store):
    registry.push(demo_image, "demo/otherkey")
    registry.sign("demo/otherkey", registry.key("stranger"))
    name = registry.host + "/demo/otherkey"
    refused(pull, store, name + ":1", {name: registry.key().pub}, "made by another key", "cosign.pub")


@pytest.mark.parametrize("twist,word", [
    ({"identity": "somewhere.else/demo/app"}, "somewhere.else/demo/app"),
    ({"payload": lambda name, d: keys.payload(name, "sha256:" + "0" * 64)}, "another image"),
    ({"payload": lambda name, d: keys.payload(name, d, type="a note")}, "not a cosign container image signature"),
    ({"payload": lambda name, d: keys.payload(name, d, more="x")}, "not a cosign container image signature"),
    ({"payload": lambda name, d: b"not json"}, "the signed payload: not JSON"),
    ({"signature": "bm90IGEgc2lnbmF0dXJl"}, "not the DER of an ECDSA signature"),
    ({"signature": "!!!"}, "not base64"),
])
def test_twisted_signature_is_refused(registry, demo_image, pull, store, twist, word):
    registry.push(demo_image, "demo/twisted")
    name = registry.host + "/demo/twisted"
    if callable(twist.get("payload")):
        twist = {"payload": twist["payload"](name, registry.digest("demo/twisted"))}
    registry.sign_by_hand("demo/twisted", registry.key(), **twist)
    refused(pull, store, name + ":1", {name: registry.key().pub}, word)


def test_policy_decides(registry, signed, pull, store):
    refused(pull, store, signed + ":1", {}, "rejects", "scope default")
    refused(pull, store, signed + ":1", {signed: "/nonexistent/key.pub"}, "/nonexistent/key.pub")
    # cosign signs without a tag: the exact match that policy.json takes by default cannot hold, and the refusal says what to use
    exact = {"type": "sigstoreSigned", "keyPath": str(registry.key().pub)}
    refused(pull, store, signed + ":1", {signed: exact}, "matchRepository")
    pull(signed + ":1", {registry.host + "/demo": {"type": "reject"}, signed: registry.key().pub})


def test_missing_policy_lets_nothing_in(signed, run, programs, trust, store):
    made = trust({})
    made.policy.unlink()
    done = run(programs.fetch, "pull", "--store", store, *made.args, signed + ":1", ok=False)
    assert "no policy, so nothing is let in" in done.err


def test_wrong_password_and_unknown_ca(registry, signed, run, programs, trust, store):
    made = trust({signed: registry.key().pub})
    made.auth.write_text('{"auths": {"%s": {"auth": "eDp5"}}}' % registry.host)
    assert "denies access" in run(programs.fetch, "pull", "--store", store, *made.args, signed + ":1", ok=False).err
    made = trust({signed: registry.key().pub})
    (made.certs / registry.host / "ca.crt").unlink()
    assert "certificate" in run(programs.fetch, "pull", "--store", store, *made.args, signed + ":1", ok=False).err


def test_no_registry_is_a_retry(pull, store):
    done = pull("localhost:1/demo/app:1", {"localhost:1/demo/app": ACCEPT_ALL}, False, "--tries", "2")
    assert "localhost:1: cannot connect" in done.err


@pytest.mark.parametrize("ref,word", [
    ("localhost:5000/Demo/app", "repository name"), ("localhost:5000/a/../b", "repository name"), ("localhost:0/a", "port"),
    ("localhost:5000/app:-x", "not a tag"), ("localhost:5000/app@sha256:beef", "64 lower-case hex"), ("", "repository name"),
])
def test_bad_reference_is_named(run, programs, store, ref, word):
    assert word in run(programs.fetch, "pull", "--store", store, ref, ok=False).err


# A registry that lies

@pytest.fixture
def liar(registry):
    one = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key")
    yield one
    one.stop()


@pytest.fixture
def lie(liar, registry, run, programs, trust, store, workdir):
    """Serves a good image at /demo/app:1 with CHANGE(lies, manifest) applied, pulls it unsigned, returns the result."""
    def go(change, ok=False, rule=ACCEPT_ALL):
        layout = workdir / "good"
        digest = images.make_image(layout, [[images.entry("etc/hello", b"hello\n" * 1000)]])
        manifest = images.get_blob(layout, digest)
        liar.lies["GET /v2/demo/app/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, manifest)
        for blob in (layout / "blobs/sha256").iterdir():
            liar.lies["GET /v2/demo/app/blobs/sha256:" + blob.name] = (200, {}, blob.read_bytes())
        change(liar.lies, json.loads(manifest))
        name = liar.host + "/demo/app"
        made = trust({name: rule})
        registry.certs_dir(made.certs, liar.host)
        made.auth.write_text(json.dumps({"auths": {liar.host: {"auth": "eDp5"}}}))
        done = run(programs.fetch, "pull", "--store", store, *made.args, name + ":1", ok=ok, timeout=100)
        if not ok:
            assert not list((store / "layers").glob("[0-9a-f]*")) or "image" in done.err
            assert not list((store / "images/sha256").iterdir()) and not list((store / "tmp").iterdir())
        return done
    return go


def blob_path(manifest, layer=0):
    return "GET /v2/demo/app/blobs/" + manifest["layers"][layer]["digest"]


def test_honest_liar_is_believed(lie):
    assert lie(lambda lies, m: None, ok=True).out.startswith("sha256:")


def test_layer_with_other_bytes(lie):
    def change(lies, m):
        status, headers, body = lies[blob_path(m)]
        lies[blob_path(m)] = (status, headers, body[:-9] + b"x" + body[-8:])
    assert "refused" in lie(change).err


def test_layer_longer_than_it_says(lie):
    def change(lies, m):
        status, headers, body = lies[blob_path(m)]
        lies[blob_path(m)] = (status, headers, body + b"more")
    assert "longer than its descriptor says" in lie(change).err


def test_config_with_other_bytes(lie):
    def change(lies, m):
        path = "GET /v2/demo/app/blobs/" + m["config"]["digest"]
        lies[path] = (200, {}, lies[path][2].replace(b"linux", b"linuX"))
    assert "image config: wrong size or digest" in lie(change).err


@pytest.mark.parametrize("spoil,word", [
    (lambda m: m.update(manifests=[]), "index and a manifest at once"),
    (lambda m: m.update(mediaType=images.INDEX), "says it is"),
    (lambda m: m["layers"][0].update(digest="sha256:../../../../etc/passwd"), "layer 0 is malformed"),
    (lambda m: m["layers"][0].update(size=-1), "layer 0 is malformed"),
    (lambda m: m["layers"][0].update(mediaType="text/plain"), "text/plain"),
    (lambda m: m.update(layers=m["layers"] * 2), "1 diff_ids for 2 layers"),
    (lambda m: m.update(layers=m["layers"] * 500), "layers; 1 to"),
    (lambda m: m["config"].update(mediaType="application/vnd.oci.empty.v1+json"), "not a container image"),
])
def test_spoilt_manifest(lie, spoil, word):
    def change(lies, m):
        spoil(m)
        lies["GET /v2/demo/app/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, json.dumps(m).encode())
    assert word in lie(change).err


def test_manifest_above_the_limit(lie):
    def change(lies, m):
        lies["GET /v2/demo/app/manifests/1"] = (200, {}, b" " * (5 << 20))
    assert "larger than 4194304 bytes" in lie(change).err


def test_header_without_end(lie):
    def change(lies, m):
        def endless(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for i in range(20000):
                handler.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 100))
        lies["GET /v2/demo/app/manifests/1"] = endless
    lie(change)


def test_redirect_carries_no_credentials_and_no_plain_http(lie, liar, registry, trust):
    other = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key")
    try:
        def change(lies, m):
            body = lies[blob_path(m)][2]
            # asks for the password first, so that the client has it to leak
            def gate(handler):
                if "Authorization" not in handler.headers:
                    handler.send_response(401)
                    handler.send_header("WWW-Authenticate", 'Basic realm="x"')
                    handler.send_header("Content-Length", "0")
                    return handler.end_headers()
                handler.send_response(307)
                handler.send_header("Location", "https://127.0.0.1:%d/elsewhere" % other.port)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            lies[blob_path(m)] = gate
            other.lies["GET /elsewhere"] = (200, {}, body)
        done = lie(change)      # 127.0.0.1: an address of this machine behind a redirect
        assert "address of this machine" in done.err or "certificate" in done.err
        assert all("Authorization" not in headers for _, _, headers, _ in other.seen)

        def plain(lies, m):
            lies[blob_path(m)] = (302, {"Location": "http://localhost/x"}, b"")
        assert "no https URL" in lie(plain).err
    finally:
        other.stop()


def test_redirect_loop_ends(lie):
    def change(lies, m):
        lies[blob_path(m)] = (302, {"Location": blob_path(m)[4:]}, b"")
    assert "redirects" in lie(change).err


def test_server_of_tls_12_alone_and_downgrade(registry, run, programs, trust, store, workdir, lie, liar):
    old = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key", ssl.TLSVersion.TLSv1_2)
    try:
        old.lies = liar.lies
        lie(lambda lies, m: None, ok=True)
        name = old.host + "/demo/app"
        made = trust({name: ACCEPT_ALL})
        registry.certs_dir(made.certs, old.host)
        run(programs.fetch, "pull", "--store", store, *made.args, name + ":1")
        with open(store / "state/tls13", "a") as f:
            f.write(old.host + "\n")
        done = run(programs.fetch, "pull", "--store", store, *made.args, name + ":1", ok=False)
        assert "it spoke TLS 1.3 before" in done.err
    finally:
        old.stop()
