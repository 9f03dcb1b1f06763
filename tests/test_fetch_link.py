# SPDX-License-Identifier: MIT
"""Any link: cut, killed, stalled, slow, full. A real docker-registry behind a proxy that cuts connections at random bytes; servers of ours for the
answers to a Range that a real one never gives."""
import json, os, random, re, shutil, signal, socket, subprocess, time, types
import pytest
import images
import registry as registry_kit
from liar import Liar, Proxy

ACCEPT_ALL = {"type": "insecureAcceptAnything"}


def make(folder, sizes):
    """An image of layers of SIZES bytes that do not compress."""
    layout = folder / "layout"
    digest = images.make_image(layout, [[images.entry("data/%d" % i, os.urandom(n))] for i, n in enumerate(sizes)])
    manifest = json.loads(images.get_blob(layout, digest))
    return types.SimpleNamespace(layout=layout, digest=digest, manifest=manifest, size=sum(l["size"] for l in manifest["layers"]))


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory):
    return make(tmp_path_factory.mktemp("one"), [1 << 20])


@pytest.fixture
def store(workdir):
    (workdir / "store").mkdir()
    return workdir / "store"


@pytest.fixture
def command(programs, registry, store, workdir):
    """The words of a pull of HOST/demo/app:1."""
    def go(host, *more, name="demo/app", auth=None):
        trust = workdir / "trust"
        shutil.rmtree(trust, ignore_errors=True)
        trust.mkdir()
        (trust / "policy.json").write_text(registry_kit.policy({host + "/" + name: ACCEPT_ALL}))
        (trust / "auth.json").write_text(json.dumps({"auths": auth or {}}))
        registry.certs_dir(trust / "certs.d", host)
        return [programs.fetch, "pull", "--store", store, "--policy", trust / "policy.json", "--authfile", trust / "auth.json",
                "--cert-dir", trust / "certs.d", *more, host + "/" + name + ":1"]
    return go


@pytest.fixture
def liar(registry, one_layer):
    one = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key")
    one.lies["GET /v2/demo/app/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, images.get_blob(one_layer.layout, one_layer.digest))
    for blob in (one_layer.layout / "blobs/sha256").iterdir():
        one.lies["GET /v2/demo/app/blobs/sha256:" + blob.name] = (200, {}, blob.read_bytes())
    yield one
    one.stop()


def partials(store):
    return sorted(p.name for p in (store / "partial").iterdir())


@pytest.mark.parametrize("cuts,kills,mib", [(100, 20, 48)])
def test_cuts_and_kills(registry, command, store, workdir, cuts, kills, mib):
    """The connection is cut at random bytes, the process killed among the cuts; it ends with the right digest, and less than 5 % came twice: all that
    went over the wire is counted, handshakes too."""
    image = make(workdir, [mib << 18] * 3 + [mib << 17] * 2)
    registry.push(image.layout, "demo/cut")
    rng, state = random.Random(7), types.SimpleNamespace(left=image.size, cuts=0, bytes=0)

    class Counting:
        """A client's socket: counts what goes to it, at about 8 MB/s: a link slower than the pull, as links are, so that little is on its way."""

        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def sendall(self, data):
            state.bytes += len(data)
            for i in range(0, len(data), 16384):
                self.inner.sendall(data[i:i + 16384])
                time.sleep(0.002)

    class Cutter(Proxy):
        def pump(self, client, server):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
            super().pump(Counting(client), server)
            state.cuts += 1

    def limit():
        if state.cuts >= cuts:
            return None
        return rng.randint(1, 2 * max(1, image.size - state.bytes) // (cuts - state.cuts) + 1)
    proxy = Cutter(limit=limit)
    (workdir / "proxy.conf").write_text("HTTPS_PROXY=http://localhost:%d\n" % proxy.port)
    auth = {registry.host: {"auth": "ZGVtbzphIHBhc3N3b3JkIGZvciB0aGUgZGVtbw=="}}
    words = [str(w) for w in command(registry.host, "--proxy-conf", workdir / "proxy.conf", name="demo/cut", auth=auth)]
    killed = runs = 0
    try:
        while True:
            runs += 1
            assert runs < 200, "does not come to an end: %s" % vars(state)
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while process.poll() is None:
                if killed < kills and state.cuts >= (killed + 1) * cuts // (kills + 5):
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    killed += 1
                time.sleep(0.005)
            out, err = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode in (1, -signal.SIGKILL), err
            assert process.returncode < 0 or "refused" not in err, err
    finally:
        proxy.stop()
    assert out.strip() == image.digest
    assert partials(store) == [] and not list((store / "tmp").iterdir())
    again = (state.bytes - image.size) * 100 / image.size
    print("%d bytes, %d cuts, %d kills, %d runs: %.2f %% more than the layers went over the wire" % (image.size, state.cuts, killed, runs, again))
    assert state.cuts >= cuts and killed == kills
    assert again < 5


def cut_at(liar, image, n):
    """The blob's answer breaks off after N bytes unless a Range is asked for, which is answered honestly. Returns the list of Ranges asked."""
    path = "GET /v2/demo/app/blobs/" + image.manifest["layers"][0]["digest"]
    body, asked = liar.lies[path][2], []

    def answer(handler):
        asked.append(handler.headers.get("Range"))
        if asked[-1]:
            first = int(re.fullmatch(r"bytes=(\d+)-", asked[-1]).group(1))
            return handler.say(206, {"Content-Range": "bytes %d-%d/%d" % (first, len(body) - 1, len(body))}, body[first:])
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:n])
        handler.close_connection = True
    liar.lies[path] = answer
    return path, body, asked


def test_resumes_within_a_pull(run, command, liar, one_layer, store):
    _, _, asked = cut_at(liar, one_layer, 700000)
    done = run(*command(liar.host))
    assert done.out.strip() == one_layer.digest and "trying again in" in done.err
    assert asked[0] is None and 650000 < int(asked[1][6:-1]) <= 700000 and len(asked) == 2 and partials(store) == []


def test_resumes_in_the_next_pull(run, command, liar, one_layer, store):
    _, body, asked = cut_at(liar, one_layer, 700000)
    run(*command(liar.host, "--tries", "1"), ok=False)
    part = store / "partial" / one_layer.manifest["layers"][0]["digest"][7:]
    assert 650000 < part.stat().st_size <= 700000 and part.read_bytes() == body[:part.stat().st_size]
    had = part.stat().st_size
    assert run(*command(liar.host)).out.strip() == one_layer.digest
    assert asked == [None, "bytes=%d-" % had] and partials(store) == []


def test_a_part_of_no_use_is_thrown_away(run, command, liar, one_layer, store):
    """A torn tail, as a power cut leaves it; a part longer than the layer; a directory in its place."""
    _, body, asked = cut_at(liar, one_layer, len(liar.lies["GET /v2/demo/app/blobs/" + one_layer.manifest["layers"][0]["digest"]][2]))
    run(*command(liar.host))
    part = store / "partial" / one_layer.manifest["layers"][0]["digest"][7:]
    for text in (body[:600000] + bytes(4096), body + b"more", bytes(len(body))):
        for name in ("layers", "images"):
            shutil.rmtree(store / name)
        (store / "format").unlink()
        part.write_bytes(text)
        done = run(*command(liar.host))
        assert done.out.strip() == one_layer.digest and partials(store) == []
        assert ("of no use" in done.err) == (len(text) <= len(body))
    for name in ("layers", "images"):
        shutil.rmtree(store / name)
    (store / "format").unlink()
    part.mkdir()
    assert run(*command(liar.host)).out.strip() == one_layer.digest


def test_no_partial(run, command, liar, one_layer, store):
    _, _, asked = cut_at(liar, one_layer, 700000)
    assert run(*command(liar.host, "--no-partial")).out.strip() == one_layer.digest      # within the pull it goes on all the same
    shutil.rmtree(store)
    store.mkdir()
    asked.clear()
    run(*command(liar.host, "--no-partial", "--tries", "1"), ok=False)
    assert partials(store) == [] and asked == [None]


@pytest.mark.parametrize("answer,word", [
    (lambda body, n: (206, {"Content-Range": "bytes 0-%d/%d" % (len(body) - 1, len(body))}, body), "without that Content-Range"),
    (lambda body, n: (206, {"Content-Range": "bytes %d-%d/%d" % (n + 1, len(body) - 1, len(body))}, body[n + 1:]), "without that Content-Range"),
    (lambda body, n: (206, {}, body[n:]), "without that Content-Range"),
    (lambda body, n: (206, {"Content-Range": ["bytes %d-%d/%d" % (n, len(body) - 1, len(body))] * 2}, body[n:]), "without that Content-Range"),
    (lambda body, n: (206, {"Content-Range": "pages %d-2/3" % n}, body[n:]), "without that Content-Range"),
    (lambda body, n: (206, {"Content-Type": "multipart/byteranges; boundary=x"}, b"--x\r\n"), "without that Content-Range"),
    (lambda body, n: (206, {"Content-Range": "bytes %d-%d/%d" % (n, len(body) - 1, len(body))}, body[n:-1] + b"x"), "the manifest says"),
    (lambda body, n: (206, {"Content-Range": "bytes %d-%d/%d" % (n, len(body) - 1, len(body))}, body[n:] + b"more"), "longer than its descriptor"),
    (lambda body, n: (200, {}, body), None),         # does not do ranges: what is known is skipped
    (lambda body, n: (200, {}, b"x" + body[1:]), None),     # what was hashed counts, not what comes again
    (lambda body, n: (200, {}, body[:100]), "ended after"),
])
def test_answers_to_a_range(run, command, liar, one_layer, answer, word):
    path, body, asked = cut_at(liar, one_layer, 700000)
    honest = liar.lies[path]

    def lie(handler):
        if "Range" not in handler.headers:
            return honest(handler)
        handler.say(*answer(body, int(handler.headers["Range"][6:-1])))
    liar.lies[path] = lie
    done = run(*command(liar.host), ok=word is None)
    assert word is None or word in done.err


def test_416_means_from_the_start(run, command, liar, one_layer, store):
    path, body, asked = cut_at(liar, one_layer, 700000)
    run(*command(liar.host, "--tries", "1"), ok=False)
    assert partials(store)
    liar.lies[path] = lambda handler: handler.say(*((416, {"Content-Range": "bytes */1"}, b"") if "Range" in handler.headers else (200, {}, body)))
    done = run(*command(liar.host))
    assert done.out.strip() == one_layer.digest and "of no use" in done.err


def test_another_mirror_goes_on_where_the_first_broke_off(run, command, registry, liar, one_layer, workdir):
    other = Liar(registry.ca.parent / "server.crt", registry.ca.parent / "server.key")
    try:
        other.lies = dict(liar.lies)
        path, body, _ = cut_at(other, one_layer, 600000)
        cutting = other.lies[path]
        other.lies[path] = lambda h: h.say(503, {}, b"") if "Range" in h.headers else cutting(h)
        _, _, asked = cut_at(liar, one_layer, 0)
        (workdir / "registries.conf").write_text('[[registry]]\nlocation = "%s"\n[[registry.mirror]]\nlocation = "%s"\n' % (liar.host, other.host))
        words = command(liar.host, "--registries-conf", workdir / "registries.conf")
        registry.certs_dir(workdir / "trust/certs.d", other.host)
        done = run(*words)
        assert done.out.strip() == one_layer.digest and "going on to the next place" in done.err
        assert len(asked) == 1 and 550000 < int(asked[0][6:-1]) <= 600000
    finally:
        other.stop()


def test_a_tag_that_changes_in_mid_pull(run, command, liar, one_layer, workdir):
    """The tag is asked once; all else goes by digest."""
    path, _, asked = cut_at(liar, one_layer, 500000)
    tag = "GET /v2/demo/app/manifests/1"
    first = liar.lies[tag]
    other = make(workdir, [1000])
    seen = []

    def change(handler):
        seen.append(1)
        handler.say(*(first if len(seen) == 1 else (200, {"Content-Type": images.MANIFEST}, images.get_blob(other.layout, other.digest))))
    liar.lies[tag] = change
    assert run(*command(liar.host)).out.strip() == one_layer.digest and len(seen) == 1


def test_drip_and_silence_and_deadline(run, command, liar, one_layer):
    path, body, _ = cut_at(liar, one_layer, 0)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            for i in range(600):
                handler.wfile.write(body[i:i + 1])
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    def silence(handler):
        try:
            for _ in range(600):
                time.sleep(0.1)
                handler.connection.send(b"")
        except OSError:
            pass
    for lie, words, text in ((drip, ("--stall-timeout", "2"), "slower than it may be"), (silence, ("--stall-timeout", "2"), "no answer in time"),
                             (drip, ("--timeout", "2"), "longer than it may"), (silence, ("--timeout", "2"), "longer than it may")):
        liar.lies[path] = lie
        assert text in run(*command(liar.host, "--tries", "1", *words), ok=False).err


def test_limit_rate(run, command, liar, one_layer):
    start = time.monotonic()
    run(*command(liar.host, "--limit-rate", "400000"))
    assert time.monotonic() - start > 1.5      # a mebibyte; more is no fault


def test_room_is_looked_at_before_the_first_byte(run, command, liar, one_layer, store, workdir):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", store], check=True)
    try:
        done = run(*command(liar.host), ok=False)
        assert "needs at least" in done.err and "nothing was fetched" in done.err
        assert not any("/blobs/" + one_layer.manifest["layers"][0]["digest"] in p for p in liar.paths())
        # what other images left behind makes room first
        subprocess.run(["mount", "-o", "remount,size=18m", store], check=True)
        (store / "partial" / ("1" * 64)).write_bytes(bytes(9 << 20))
        assert run(*command(liar.host)).out.strip() == one_layer.digest
        assert partials(store) == []
    finally:
        subprocess.run(["umount", store], check=True)


@pytest.mark.parametrize("says", [True, False])
def test_a_layer_that_unpacks_to_more_than_there_is_room_for(run, command, liar, store, workdir, says):
    """6 MiB that unpack to 42. Where its maker says so it is refused before its first byte, else on the way, before others of the disk feel it."""
    def twist(config, manifest):
        if says:
            manifest["layers"][0]["annotations"] = {"io.containers.estargz.uncompressed-size": str(42 << 20)}
    layer = [images.entry("%s%02d" % (kind, n), data) for n in range(12) for kind, data in (("noise", os.urandom(1 << 19)), ("zeros", bytes(3 << 20)))]
    digest = images.make_image(workdir / "large", [layer], twist=twist)
    manifest = images.get_blob(workdir / "large", digest)
    liar.lies["GET /v2/demo/app/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, manifest)
    for blob in (workdir / "large/blobs/sha256").iterdir():
        liar.lies["GET /v2/demo/app/blobs/sha256:" + blob.name] = (200, {}, blob.read_bytes())
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", store], check=True)
    try:
        err = run(*command(liar.host, "--no-partial"), ok=False).err
        is_fetched = any("/blobs/" + json.loads(manifest)["layers"][0]["digest"] in p for p in liar.paths())
        assert ("nothing was fetched" in err and "50 MiB" in err if says else "does not fit" in err and "broken off" in err) and is_fetched == (not says), err
        assert os.listdir(store / "tmp") == [] and os.listdir(store / "layers/index") == []
        subprocess.run(["mount", "-o", "remount,size=80m", store], check=True)
        assert run(*command(liar.host)).out.strip() == digest
    finally:
        subprocess.run(["umount", store], check=True)


def test_parts_of_other_images_are_few(run, command, liar, one_layer, store):
    run(*command(liar.host))
    for i in range(20):
        (store / "partial" / ("%064x" % i)).write_bytes(b"x")
        os.utime(store / "partial" / ("%064x" % i), (1000 + i, 1000 + i))
    run(*command(liar.host))
    assert partials(store) == ["%064x" % i for i in range(12, 20)]


# What is shown

def test_json_events(run, command, liar, one_layer, store):
    cut_at(liar, one_layer, 700000)
    events = [json.loads(line) for line in run(*command(liar.host, "--json")).out.splitlines()]
    assert [e["event"] for e in events if e["event"] != "progress"] == ["step", "step", "step", "step", "done"]
    assert "trying again" in events[[e["event"] for e in events].index("step", 1)]["text"] or any("trying again" in e.get("text", "") for e in events)
    last = [e for e in events if e["event"] == "progress"][-1]
    assert last["bytes"] == last["total"] == one_layer.size and (last["layer"], last["layers"]) == (1, 1)
    assert events[-1]["digest"] == one_layer.digest and "nobody" in events[-1]["signer"]
    liar.lies.clear()
    done = run(*command(liar.host, "--json"), ok=False)
    assert json.loads(done.out.splitlines()[-1])["code"] == "refused" and "is not there" in done.err


def test_bar_on_a_terminal_and_lines_elsewhere(run, command, liar, one_layer, store):
    import pexpect
    words = [str(w) for w in command(liar.host)]
    shown = pexpect.run(" ".join(words), timeout=60).decode()
    assert re.search(r"\r\[#{24}\] 100%  layer 1 of 1  1.0 of 1.0 MiB  [0-9.]+ MiB/s  0:00 left", shown), shown
    assert one_layer.digest in shown
    shutil.rmtree(store)
    store.mkdir()
    lines = run(*words).err
    assert "\r" not in lines and "\x1b" not in lines and "layer 1 of 1 is in the store\n" in lines
