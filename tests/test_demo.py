# SPDX-License-Identifier: MIT
"""The demo and the fixtures are what they claim to be: the image's shape, the real cosign's signatures and those by hand."""
import json
import images, keys, registry as registry_kit


def index_of(layout):
    return json.loads(images.get_blob(layout, json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]))


def test_demo_image_has_layers_and_a_whiteout(demo_image, run, workdir):
    index = index_of(demo_image)
    assert [m["platform"]["architecture"] for m in index["manifests"]] == ["amd64", "arm64", "arm"]
    manifest = json.loads(images.get_blob(demo_image, index["manifests"][0]["digest"]))
    assert len(manifest["layers"]) >= 3
    images.write_layout(demo_image, {"1": json.loads((demo_image / "index.json").read_text())["manifests"][0],
                                     "amd64": {k: v for k, v in index["manifests"][0].items() if k != "platform"}})
    run("umoci", "unpack", "--image", "%s:amd64" % demo_image, workdir / "bundle")
    root = workdir / "bundle/rootfs"
    assert (root / "usr/share/hello/greeting").read_text() == "a greeting from layer 3\n"
    assert not (root / "usr/share/hello/removed").exists()
    assert (root / "usr/bin/hello").stat().st_nlink == 2
    out = run(root / "usr/bin/hello", "seen").out
    assert "hello: started on" in out and "processes I can see" in out


def test_programs_are_for_their_platform(demo_image, run, workdir):
    for gnu, machine in (("x86_64-linux-gnu", "X86-64"), ("aarch64-linux-gnu", "AArch64"), ("arm-linux-gnueabihf", "ARM")):
        images.build_hello(workdir / gnu, gnu)
        header = run("readelf", "-hl", workdir / gnu).out
        assert machine in header and "INTERP" not in header


def test_registry_asks_for_a_password(registry, run):
    asked = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", registry.ca, registry.url + "/v2/").out
    assert asked == "401"
    assert registry.request("GET", "/v2/")[0] == 200
    assert run("curl", "-s", registry.url + "/v2/", ok=False).code == 60        # unknown CA


def verify(run, registry, name, key, ok):
    return run(keys.cosign(), "verify", "--key", key.pub, "--insecure-ignore-tlog", "--registry-cacert", registry.ca,
               "--registry-username", registry.user, "--registry-password", registry.password,
               "%s/%s:1" % (registry.host, name), ok=ok, env=keys.cosign_env(registry.keys))


def test_cosign_signs_the_index_for_the_boards_name(registry, demo_image, run):
    digest = registry.push(demo_image, "check/signed")
    assert json.loads(registry.manifest("check/signed", "1")[0])["mediaType"] == images.INDEX
    verify(run, registry, "check/signed", registry.key(), ok=False)
    registry.sign("check/signed", registry.key(), identity="registry.demo:5443/demo/hello")
    signed = json.loads(verify(run, registry, "check/signed", registry.key(), ok=True).out)[0]["critical"]
    assert signed["image"]["docker-manifest-digest"] == digest
    assert signed["identity"]["docker-reference"] == "registry.demo:5443/demo/hello"
    verify(run, registry, "check/signed", registry.key("other"), ok=False)


def test_a_signature_by_hand_satisfies_cosign(registry, demo_image, run):
    registry.push(demo_image, "check/byhand")
    registry.sign_by_hand("check/byhand", registry.key())
    verify(run, registry, "check/byhand", registry.key(), ok=True)
    registry.sign_by_hand("check/byhand", registry.key(), payload=b'{"critical":{}}')
    verify(run, registry, "check/byhand", registry.key(), ok=False)


def test_small_images_unpack(registry, run, workdir):
    import tarfile
    layers = [[images.entry("a", kind=tarfile.DIRTYPE), images.entry("a/x", b"one"), images.entry("a/y", b"two")],
              [images.entry("a/.wh.x"), images.entry("a/z", kind=tarfile.SYMTYPE, link="y")]]
    for how in (None, "gzip"):                   # umoci 0.4.7 does not read zstd
        layout = workdir / ("layout-%s" % how)
        images.make_image(layout, layers, how=how)
        run("umoci", "unpack", "--image", "%s:1" % layout, workdir / ("out-%s" % how))
        root = workdir / ("out-%s" % how) / "rootfs"
        assert sorted(p.name for p in (root / "a").iterdir()) == ["y", "z"]
    images.make_image(workdir / "zstd", layers, how="zstd")
    assert registry.push(workdir / "zstd", "check/zstd") == registry.digest("check/zstd")


def test_policy_names_only_what_it_is_given():
    text = json.loads(registry_kit.policy({"h:1/a": "/k.pub"}))
    assert text["default"] == [{"type": "reject"}]
    assert text["transports"]["docker"] == {"h:1/a": [
        {"type": "sigstoreSigned", "keyPath": "/k.pub", "signedIdentity": {"type": "matchRepository"}}]}


def test_requests_are_seen(registry):
    before = len(registry.requests_seen())
    registry.request("GET", "/v2/nothing/here/manifests/1")
    assert registry.requests_seen()[before:] == ["GET /v2/nothing/here/manifests/1"]
