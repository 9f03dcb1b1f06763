# SPDX-License-Identifier: MIT
"""The signature matrix: who signed (cosign 2, cosign 3, openssl), in which form, with which kind of key, for what, and what the policy says to it.
Against the real registry; `inspect` decides with the functions of `pull`, and says why."""
import base64, concurrent.futures, json, re, subprocess
import pytest
import images, keys
from liar import Liar


@pytest.fixture(scope="module")
def image(registry, tmp_path_factory):
    """image("name") pushes a small image of its own under demo/name; returns its digest."""
    count = [0]

    def push(name):
        count[0] += 1
        layout = tmp_path_factory.mktemp("image") / "layout"
        images.make_image(layout, [[images.entry("etc/number", b"%d %s\n" % (count[0], name.encode()))]])
        return registry.push(layout, "demo/" + name)
    return push


@pytest.fixture
def inspect(run, programs, trust, registry):
    def go(name, rule, ok=True, tag=":1", scope=None):
        full = registry.host + "/demo/" + name
        made = trust({scope or full: rule})
        done = run(programs.fetch, "inspect", "--json", *made.args, full + tag, ok=ok, timeout=120)
        report = json.loads(done.out)
        assert report["let_in"] == (done.code == 0)
        return report
    return go


def signed_by(*keys_, **more):
    rule = {"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}}
    rule["keyPaths" if len(keys_) > 1 else "keyPath"] = [str(k.pub) for k in keys_] if len(keys_) > 1 else str(keys_[0].pub)
    rule.update(more)
    return rule


KINDS = {"p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
         "rsa3072": ("RSA", "-pkeyopt", "rsa_keygen_bits:3072")}


@pytest.fixture(scope="module")
def key_of(registry):
    return lambda kind: keys.Key.imported(registry.keys, kind, *KINDS[kind])


@pytest.mark.parametrize("form", ("bundle", "sig"))
@pytest.mark.parametrize("kind", KINDS)
def test_cosign_3_signs(registry, image, inspect, key_of, kind, form):
    name, key = "c3-%s-%s" % (kind, form), key_of(kind)
    digest = image(name)
    assert "no signature" in inspect(name, signed_by(key), False)["why"]
    registry.sign_bundle(name="demo/" + name, key=key, form=form)
    tags = json.loads(registry.request("GET", "/v2/demo/%s/tags/list" % name)[2])["tags"]
    assert (digest.replace(":", "-") in tags, digest.replace(":", "-") + ".sig" in tags) == (form == "bundle", form == "sig")
    report = inspect(name, signed_by(key))
    assert report["signer"] == str(key.pub) and report["digest"] == digest and "good" in report["signatures"][0]
    other = key_of("p256" if kind != "p256" else "p384")
    assert ("made by another key" if kind != "rsa3072" else "not the DER") in inspect(name, signed_by(other), False)["why"]


def test_an_ed25519_key_is_refused_by_name(registry, image, inspect):
    image("ed25519")
    key = keys.Key.imported(registry.keys, "ed25519", "ed25519")
    registry.sign_bundle("demo/ed25519", key)
    assert "Ed25519" in inspect("ed25519", signed_by(key), False)["why"]


def test_pull_by_bundle(registry, image, run, programs, trust, workdir):
    """The whole way: a bundle by cosign 3 lets an image into the store, which says who signed."""
    digest = image("whole")
    registry.sign_bundle("demo/whole", registry.key())
    made, store = trust({registry.host + "/demo/whole": registry.key().pub}), workdir / "store"
    store.mkdir()
    assert run(programs.fetch, "pull", "--store", store, *made.args, registry.host + "/demo/whole:1").out.strip() == digest
    admitted = (store / "images/sha256" / digest[7:] / "admitted").read_text()
    assert "key=%s\n" % registry.key().pub in admitted


def test_bundle_names_no_repository(registry, image, inspect):
    """So it counts under a scope of that one repository only: under a whole host, a signature of one image would do for any."""
    image("nameless")
    registry.sign_bundle("demo/nameless", registry.key())
    inspect("nameless", signed_by(registry.key()))
    for scope in (registry.host, registry.host + "/demo"):
        assert "names no repository" in inspect("nameless", signed_by(registry.key()), False, scope=scope)["why"]
    exact = {"type": "exactRepository", "dockerRepository": registry.host + "/demo/nameless"}
    inspect("nameless", signed_by(registry.key(), signedIdentity=exact))


@pytest.mark.parametrize("twist,word", [
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d)), None),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement("sha256:" + "0" * 64)), "another image"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d, predicateType="https://example.com/scan")), "attestation"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d, _type="x")), "not an in-toto statement"),
    (lambda k, d: keys.bundle_by_hand(k, b"not json"), "the signed payload: not JSON"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d), payload=base64.b64encode(keys.statement(d) + b" ").decode()), "made by another key"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d), payloadType="text/plain"), "bundle: not the JSON"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d), signatures=[]), "bundle: not the JSON"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d), signatures=[{"sig": "x"}] * 2), "bundle: not the JSON"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d)).replace(b"v0.3", b"v9.9"), "bundle: not the JSON"),
    (lambda k, d: keys.bundle_by_hand(k, keys.statement(d)).replace(b"publicKey", b"x509"), "bundle: not the JSON"),
    (lambda k, d: b"[" * 200000, "bundle: not the JSON"),
    (lambda k, d: b"{}" * 200000, "larger than 262144 bytes"),
])
def test_twisted_bundle(registry, image, inspect, twist, word):
    digest, key = image("twisted-bundle"), registry.key()
    registry.refer("demo/twisted-bundle", digest, twist(key, digest))
    report = inspect("twisted-bundle", signed_by(key), word is None)
    assert word is None or word in report["why"], report


def test_replay_for_another_digest(registry, image, inspect):
    """The bundle and the .sig of one image under the tags of another."""
    first = image("replayed")
    registry.sign_bundle("demo/replayed", registry.key())
    registry.sign("demo/replayed", registry.key())
    second = image("replayed")
    for tag in ("sha256-%s.sig", "sha256-%s"):
        body, _, media = registry.manifest("demo/replayed", tag % first[7:])
        registry.put_manifest("demo/replayed", tag % second[7:], body, media)
    report = inspect("replayed", signed_by(registry.key()), False)
    assert "another image" in report["why"] and len(report["signatures"]) == 2


def test_other_referrers_are_passed_over(registry, image, inspect):
    """An SBOM and an attestation before the signature."""
    digest, key = image("company"), registry.key()
    registry.refer("demo/company", digest, b"{}", "application/spdx+json", "application/spdx+json")
    registry.refer("demo/company", digest, keys.bundle_by_hand(key, keys.statement(digest, predicateType="https://slsa.dev/provenance/v1")))
    assert "attestation" in inspect("company", signed_by(key), False)["why"]
    registry.refer("demo/company", digest, keys.bundle_by_hand(key, keys.statement(digest)))
    inspect("company", signed_by(key))


def test_two_keys_together(registry, image, inspect, key_of):
    one, two, three = registry.key(), registry.key("second"), key_of("p384")
    image("two")
    both = [signed_by(one), signed_by(two)]

    def rules():    # a list of requirements (policy.json's own way), and ours: a number of different keys
        yield both
        yield signed_by(one, two, three, **{"X-Coracle-Threshold": 2})
    registry.sign("demo/two", one)
    for rule in rules():
        assert "wants more signatures than the 1 that count" in inspect("two", rule, False)["why"]
    registry.sign("demo/two", one)      # the same key again is still one key
    assert "wants more signatures than the 1 that count" in inspect("two", list(rules())[1], False)["why"]
    inspect("two", signed_by(one, two))
    registry.sign_bundle("demo/two", two)
    for rule in rules():
        assert inspect("two", rule)["signer"] == "%s, %s" % (one.pub, two.pub)
    assert "wants more" in inspect("two", signed_by(one, two, three, **{"X-Coracle-Threshold": 3}), False)["why"]
    assert "rejects" in inspect("two", both + [{"type": "reject"}], False)["why"]


@pytest.mark.parametrize("rule", ("keyPath", "keyPaths", "keyData", "keyDatas"))
def test_ways_to_name_a_key(registry, image, inspect, rule):
    image("ways")
    registry.sign("demo/ways", registry.key())
    pub = registry.key().pub
    value = base64.b64encode(pub.read_bytes()).decode() if "Data" in rule else str(pub)
    made = {"type": "sigstoreSigned", rule: [value] if rule[-1] == "s" else value, "signedIdentity": {"type": "matchRepository"}}
    inspect("ways", made)


def test_signature_on_the_platforms_manifest(registry, demo_image, inspect):
    """podman and skopeo sign each manifest, not the index: that counts for its platform alone."""
    registry.push(demo_image, "demo/child")
    index = json.loads(registry.manifest("demo/child", "1")[0])["manifests"]
    assert "no signature" in inspect("child", signed_by(registry.key()), False)["why"]
    registry.sign_by_hand("demo/child", registry.key(), digest=index[1]["digest"])
    inspect("child", signed_by(registry.key()), False)
    registry.sign_by_hand("demo/child", registry.key(), digest=index[0]["digest"], identity=registry.host + "/demo/child:1")
    report = inspect("child", signed_by(registry.key()))
    assert report["manifest"] == index[0]["digest"] and report["digest"] == registry.digest("demo/child")
    inspect("child", signed_by(registry.key(), signedIdentity={"type": "matchExact"}))


def test_inspect_in_words(registry, image, run, programs, trust):
    digest = image("words")
    registry.sign("demo/words", registry.key("stranger"))
    registry.sign("demo/words", registry.key())
    name = registry.host + "/demo/words"
    made = trust({name: registry.key().pub})
    out = run(programs.fetch, "inspect", *made.args, name + ":1").out
    for words in ("names      " + digest, "scope " + name, "no: made by another key", "good", "decision   let in, signed by", "layers     1, "):
        assert words in out, out
    made = trust({})
    out = run(programs.fetch, "inspect", *made.args, name + ":1", ok=False).out
    assert "wants      reject" in out and "decision   refused: the policy rejects it (scope default)" in out


@pytest.fixture
def signatures(registry, run, programs, trust, workdir):
    """signatures([(payload, signature), ...], name=...) -> inspect of an image in a registry of ours whose `.sig` tag holds these. .digest, .host, .key"""
    layout, liar, key = workdir / "layout", Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key"), registry.key()
    digest = images.make_image(layout, [[images.entry("etc/hello", b"hello\n")]])
    for path in (layout / "blobs/sha256").iterdir():
        liar.lies["GET /v2/demo/app/blobs/sha256:" + path.name] = (200, {}, path.read_bytes())
    liar.lies["GET /v2/demo/app/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, images.get_blob(layout, digest))
    tag = "GET /v2/demo/app/manifests/%s.sig" % digest.replace(":", "-")

    def go(some, ok, more=b"", rule=None):
        made = trust({liar.host + "/demo/app": rule or key.pub})
        registry.certs_dir(made.certs, liar.host)
        layers = []
        for payload, sig in some:
            liar.lies["GET /v2/demo/app/blobs/" + keys.sha256(payload)] = (200, {}, payload)
            layers.append({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": keys.sha256(payload), "size": len(payload),
                           "annotations": {"dev.cosignproject.cosign/signature": sig}})
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": keys.sha256(b"{}"), "size": 2}
        data = json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config, "layers": layers}).encode() + more
        liar.lies[tag] = (200, {"Content-Type": images.MANIFEST}, data)
        done = run(programs.fetch, "inspect", *made.args, "--tries", "1", liar.host + "/demo/app:1", ok=ok, timeout=120)
        return done.out + done.err
    go.digest, go.host, go.key = digest, liar.host, key
    yield go
    liar.stop()


def test_limits_of_signatures(signatures, workdir):
    """SIGNATURES_MAX, SIGNATURE_MAX, SIGNATURE_MANIFEST_MAX, POLICY_KEYS_MAX: up to there, and one more."""
    payload = keys.payload(signatures.host + "/demo/app", signatures.digest)
    good, bad = (payload, signatures.key.signature_by_hand(payload)), (payload, "AAAA")
    assert "signature 64 of the .sig tag" in signatures([bad] * 63 + [good], ok=True)
    said = signatures([bad] * 64 + [good], ok=False)
    assert "signature 64 of the .sig tag" in said and "signature 65" not in said
    long = json.dumps(dict(json.loads(payload), optional={"x": "x" * 66000})).encode()
    assert "larger than 65536 bytes" in signatures([(long, signatures.key.signature_by_hand(long))], ok=False)
    signatures([good], ok=True, more=b" " * 200000)
    assert "larger than 262144 bytes" in signatures([good], ok=False, more=b" " * 262144)
    paths = []
    for i in range(8):
        paths.append(str(workdir / ("%d.pub" % i)))
        made = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True).stdout
        subprocess.run(["openssl", "ec", "-pubout", "-out", paths[-1]], input=made, capture_output=True, check=True)
    last = str(signatures.key.pub)
    rule = {"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}}
    signatures([good], ok=True, rule=dict(rule, keyPaths=paths[:7] + [last]))
    assert "more than 8 keys" in signatures([good], ok=False, rule=dict(rule, keyPaths=paths + [last]))


class Twisted(dict):
    """A registry whose repository demo/f<N> has the Nth of TRIES: (manifest, signature's manifest, payload), whatever digest it is asked for."""

    def __init__(self, tries, blobs):
        super().__init__()
        self.tries, self.blobs = tries, blobs

    def get(self, path, default=None):
        found = re.fullmatch(r"GET /v2/demo/f(\d+)/(manifests|blobs)/(\S+)", path)
        if not found:
            return default
        manifest, signature, payload = self.tries[int(found.group(1))]
        if found.group(2) == "manifests":
            return (200, {"Content-Type": images.MANIFEST}, signature if found.group(3).endswith(".sig") else manifest)
        digest = found.group(3)
        if digest in self.blobs:
            return (200, {}, self.blobs[digest])
        return (200, {}, payload) if digest.encode() in signature else default


def flips(data, start=0, end=None):
    return [data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1:] for i in range(start, len(data) if end is None else end)]


def test_no_flipped_byte_passes(registry, run, programs, trust, workdir):
    """One bit is another, in turn at each byte of the manifest (under the good one's signature), of the payload (under its own digest and under a signature
    manifest that names the new one), and of digest and signature in the signature's manifest. verify_test.c has every bit of what is signed."""
    layout, liar, key = workdir / "layout", Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key"), registry.key()
    digest = images.make_image(layout, [[images.entry("etc/hello", b"hello\n")]])
    good, name = images.get_blob(layout, digest), liar.host + "/demo/app"
    payload = keys.payload(name, digest)
    sig = key.signature_by_hand(payload)

    def signature_of(payload):
        layer = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": keys.sha256(payload), "size": len(payload),
                 "annotations": {"dev.cosignproject.cosign/signature": sig}}
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": keys.sha256(b"{}"), "size": 2}
        return json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config, "layers": [layer]}).encode()
    signature = signature_of(payload)
    at, sig_at = signature.index(keys.sha256(payload).encode()), signature.index(sig.encode())
    kinds = {
        "manifest": [(m, signature, payload) for m in flips(good)],
        "payload": [(good, signature, p) for p in flips(payload)],
        "payload, its digest too": [(good, signature_of(p), p) for p in flips(payload)],
        "digest": [(good, s, payload) for s in flips(signature, at, at + 71)],
        "signature": [(good, s, payload) for s in flips(signature, sig_at, sig_at + len(sig))],
    }
    tries = [(good, signature, payload)] + [t for some in kinds.values() for t in some]
    liar.lies = Twisted(tries, {"sha256:" + p.name: p.read_bytes() for p in (layout / "blobs/sha256").iterdir()})
    rule = {"type": "sigstoreSigned", "keyPath": str(key.pub), "signedIdentity": {"type": "exactRepository", "dockerRepository": name}}
    made = trust({liar.host + "/demo": rule})
    registry.certs_dir(made.certs, liar.host)
    honest, store = workdir / "honest", workdir / "store"

    def attempt(i, ok=False, store=store, ref=":1"):
        return run(programs.fetch, "pull", "--store", store, *made.args, "--tries", "1", "%s/demo/f%d%s" % (liar.host, i, ref), ok=ok, timeout=120)
    try:
        for folder in (honest, store):
            folder.mkdir()
        assert attempt(0, ok=True, store=honest).out.strip() == digest      # what is flipped passes as it is
        assert "another digest" in attempt(7, ref="@" + digest).err
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(attempt, range(1, len(tries))))
    finally:
        liar.stop()
    passed = [i for i, d in enumerate(done, 1) if d.code != 1 or d.out or "certificate" in d.err or "curl" in d.err]
    assert not passed, [(i, done[i - 1].err) for i in passed[:5]]
    assert not list((store / "images/sha256").iterdir()) and not list((store / "layers").glob("??????"))
    print("refused: " + ", ".join("each of %d bytes of the %s" % (len(some), what) for what, some in kinds.items()))


def test_a_staged_rollout_widens_by_one_more_signature(registry, image, run, programs, trust, workdir):
    """`pull --staged`, as an update by itself says: signed for nobody yet, then for all. By hand the share does not count."""
    name, key, store = "staged", registry.key("cosign"), workdir / "store"
    store.mkdir()
    digest = image(name)
    full = registry.host + "/demo/" + name
    registry.sign("demo/" + name, key, annotations={"coracle.rollout": "0"})
    made = trust({full: signed_by(key)})
    words = ("pull", "--store", store, *made.args, full + ":1")
    waits = run(programs.fetch, words[0], "--staged", *words[1:], ok=False)
    assert waits.code == 1 and "it is signed for 0.00 % of the boards, and this one stands at " in waits.err and "not yet" in waits.err
    assert not (store / "images").exists() or not list((store / "images").rglob("manifest*"))
    registry.sign("demo/" + name, key, annotations={"coracle.rollout": "100"})
    assert run(programs.fetch, words[0], "--staged", *words[1:]).out.strip() == digest
    other = image("staged-not")
    registry.sign("demo/staged-not", key, annotations={"coracle.rollout": "0"})
    made = trust({registry.host + "/demo/staged-not": signed_by(key)})
    assert run(programs.fetch, "pull", "--store", store, *made.args, registry.host + "/demo/staged-not:1").out.strip() == other
