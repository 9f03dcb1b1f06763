# SPDX-License-Identifier: MIT
"""One docker-registry (Debian's package, unpacked into the cache) on loopback: TLS by a private CA, htpasswd, storage under
a state folder. Starts and stops by pid; pushes by skopeo or raw requests; signs by the real cosign or by hand."""
import base64, json, os, pathlib, signal, socket, ssl, subprocess, time, urllib.request, urllib.error
import images, keys
from keys import run, sha256

USER, PASSWORD = "demo", "a password for the demo"
CONFIG = """version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: %(storage)s}
  delete: {enabled: true}
http:
  addr: "%(address)s:%(port)d"
  tls: {certificate: %(state)s/tls/server.crt, key: %(state)s/tls/server.key%(tls)s}
auth:
  %(auth)s
%(more)s"""


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Registry:
    """STATE is its folder. PORT: the one wanted; None takes a free one. WRAP: words before the program (ip netns exec ...). STORAGE: of
    another one, shared. ADDRESS, AUTH, TLS, MORE: instead of or behind those lines of its configuration."""

    def __init__(self, state, port=None, wrap=(), storage=None, address="127.0.0.1", auth=None, tls="", more=""):
        self.state = pathlib.Path(state).resolve()
        self.state.mkdir(parents=True, exist_ok=True)
        self.user, self.password = USER, PASSWORD
        self.wrap, self.process = list(wrap), None
        self.storage, self.address, self.tls, self.more = storage or self.state / "storage", address, tls, more
        self.auth = auth or "htpasswd: {realm: demo, path: %s/htpasswd}" % self.state
        self.port = port or free_port()
        self.keys = self.state / "keys"
        keys.make_ca(self.state / "tls")
        self.ca = self.state / "tls/ca.crt"
        self.log = self.state / "registry.log"
        if not (self.state / "htpasswd").exists():
            (self.state / "htpasswd").write_text(run("htpasswd", "-Bbn", self.user, self.password))

    # names

    @property
    def host(self):
        return "%s:%d" % (self.address if ":" in self.address else "localhost", self.port)

    @property
    def url(self):
        return "https://" + self.host

    def names(self):
        return [n + ":%d" % self.port for n in ("registry.demo", "localhost", "127.0.0.1")]

    # life

    def pid(self):
        """Of the registry that runs for this state folder, or None."""
        try:
            pid = int((self.state / "pid").read_text())
            words = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.state / "registry.yml").encode() in words else None

    def start(self):
        if self.pid():
            return self
        (self.state / "registry.yml").write_text(CONFIG % dict(
            vars(self), state=self.state, port=self.port))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.wrap + [str(keys.tool("bookworm", "docker-registry", "usr/bin/docker-registry")), "serve",
                             str(self.state / "registry.yml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"})
        (self.state / "pid").write_text(str(self.process.pid))
        end = time.monotonic() + 90
        while self.process.poll() is None and time.monotonic() < end:
            try:
                if self.auth.startswith("htpasswd") and not self.tls:
                    if self.request("GET", "/v2/")[0] == 200:
                        return self
                elif self.answers():
                    return self
            except OSError:
                pass
            time.sleep(0.1)
        self.stop()
        raise RuntimeError("the registry did not start on port %d; its log %s ends:\n%s" %
                           (self.port, self.log, self.log.read_text(errors="replace")[-1000:]))

    def answers(self):
        """Does somebody accept connections?"""
        with socket.create_connection((self.address.strip("[]"), self.port), timeout=5):
            return True

    def stop(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            for _ in range(50):
                if self.process and self.process.poll() is not None or not self.pid():
                    break
                time.sleep(0.1)
            else:
                os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None
        (self.state / "pid").unlink(missing_ok=True)

    def requests_seen(self):
        """["GET /v2/..."] so far, out of the registry's access log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.split('"')[1].rsplit(" ", 1)[0] for line in lines if '" ' in line and ' HTTP/' in line and "] \"" in line]

    # raw requests

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body) of one authorised request; PATH from / on, or a whole URL."""
        url = path if path.startswith("https:") else self.url + path
        token = base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode()
        want = urllib.request.Request(url, data=body, method=method, headers=dict({"Authorization": "Basic " + token}, **(headers or {})))
        try:
            with urllib.request.urlopen(want, context=ssl.create_default_context(cafile=self.ca), timeout=30) as got:
                return got.status, got.headers, got.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()
        except urllib.error.URLError as e:
            raise OSError(str(e))

    def manifest(self, name, ref):
        """(bytes, digest, media type) of a manifest or index."""
        code, headers, body = self.request("GET", "/v2/%s/manifests/%s" % (name, ref), headers={"Accept": ", ".join((
            images.INDEX, images.MANIFEST, "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json"))})
        if code != 200:
            raise RuntimeError("%s:%s: HTTP %d %s" % (name, ref, code, body[:200]))
        return body, sha256(body), headers["Content-Type"]

    def digest(self, name, ref="1"):
        return self.manifest(name, ref)[1]

    def put_blob(self, name, data):
        code, headers, body = self.request("POST", "/v2/%s/blobs/uploads/" % name, b"")
        assert code == 202, (code, body)
        where = headers["Location"]
        code, _, body = self.request("PUT", where + ("&" if "?" in where else "?") + "digest=" + sha256(data), data,
                                     {"Content-Type": "application/octet-stream"})
        assert code == 201, (code, body)
        return {"digest": sha256(data), "size": len(data)}

    def put_manifest(self, name, ref, data, media=images.MANIFEST):
        code, _, body = self.request("PUT", "/v2/%s/manifests/%s" % (name, ref), data, {"Content-Type": media})
        assert code == 201, (code, body)
        return sha256(data)

    # images

    def login_file(self, to, *more):
        """containers-auth.json(5) with this registry's password under all its names, mode 0600."""
        auth = base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode()
        to = pathlib.Path(to)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.touch(mode=0o600)
        to.chmod(0o600)
        to.write_text(json.dumps({"auths": {n: {"auth": auth} for n in list(more) or self.names()}}, indent=1))
        return to

    def certs_dir(self, to, *more):
        """containers-certs.d(5): TO/HOST:PORT/ca.crt for all its names."""
        for name in list(more) or self.names():
            folder = pathlib.Path(to) / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "ca.crt").write_bytes(self.ca.read_bytes())
        return pathlib.Path(to)

    def push(self, layout, name, tag="1", source_tag="1", docker=False):
        """An OCI layout's tag, all its platforms, to NAME:TAG, by skopeo. DOCKER: as Docker v2s2. Returns the digest there."""
        run("skopeo", "copy", "-q", "--all", "--insecure-policy", "--dest-authfile", self.login_file(self.state / "auth.json"),
            "--dest-cert-dir", self.certs_dir(self.state / "certs.d") / self.host, *(("--format", "v2s2") if docker else ()),
            "oci:%s:%s" % (layout, source_tag), "docker://%s/%s:%s" % (self.host, name, tag))
        return self.digest(name, tag)

    def key(self, name="cosign"):
        return keys.Key(self.keys, name)

    def sign(self, name, key, tag="1", identity=None, recursive=False, annotations=None):
        """By the real cosign, into the .sig tag. IDENTITY: the docker-reference that is signed; default HOST/NAME."""
        run(keys.cosign(), "sign", "--yes", "--key", key.key, "--tlog-upload=false",
            "--registry-cacert", self.ca, "--registry-username", self.user, "--registry-password", self.password,
            "--sign-container-identity", identity or "%s/%s" % (self.host, name),
            *(("--recursive",) if recursive else ()), *[w for k, v in (annotations or {}).items() for w in ("-a", "%s=%s" % (k, v))],
            "%s/%s@%s" % (self.host, name, self.digest(name, tag)), env=keys.cosign_env(self.keys))

    def sign_bundle(self, name, key, tag="1", form="bundle"):
        """By cosign 3: the bundle form, found through the referrers' fallback tag; FORM "sig": its older form."""
        run(keys.cosign3(), "sign", "--yes", "--key", key.key, "--tlog-upload=false", "--use-signing-config=false",
            "--new-bundle-format=%s" % ("true" if form == "bundle" else "false"),
            "--registry-cacert", self.ca, "--registry-username", self.user, "--registry-password", self.password,
            *(() if form == "bundle" else ("--sign-container-identity", "%s/%s" % (self.host, name))),
            "%s/%s@%s" % (self.host, name, self.digest(name, tag)), env=keys.cosign_env(self.keys))

    def refer(self, name, digest, bundle, layer_type=keys.BUNDLE, artifact=keys.BUNDLE):
        """BUNDLE's bytes as a referrer of DIGEST, listed under the fallback tag beside what is there."""
        layer = dict(self.put_blob(name, bundle), mediaType=layer_type)
        config = dict(self.put_blob(name, b"{}"), mediaType="application/vnd.oci.empty.v1+json")
        manifest = json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "artifactType": artifact, "config": config,
                               "layers": [layer], "subject": {"mediaType": images.MANIFEST, "digest": digest, "size": 1}}).encode()
        self.put_manifest(name, sha256(manifest), manifest)
        tag = digest.replace(":", "-")
        code, _, body = self.request("GET", "/v2/%s/manifests/%s" % (name, tag), headers={"Accept": images.INDEX})
        index = json.loads(body) if code == 200 else {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": []}
        index["manifests"].append({"mediaType": images.MANIFEST, "digest": sha256(manifest), "size": len(manifest), "artifactType": artifact})
        self.put_manifest(name, tag, json.dumps(index).encode(), images.INDEX)

    def sign_by_hand(self, name, key, tag="1", payload=None, signature=None, digest=None, identity=None):
        """The same form with openssl, so that a test can twist any part of it: PAYLOAD the bytes that are stored and signed,
        SIGNATURE the base64 text stored instead of the right one, DIGEST whose .sig tag it goes to."""
        digest = digest or self.digest(name, tag)
        if payload is None:
            payload = keys.payload(identity or "%s/%s" % (self.host, name), digest)
        layer = dict(self.put_blob(name, payload), mediaType="application/vnd.dev.cosign.simplesigning.v1+json",
                     annotations={"dev.cosignproject.cosign/signature": signature or key.signature_by_hand(payload)})
        config = dict(self.put_blob(name, b"{}"), mediaType="application/vnd.oci.image.config.v1+json")
        self.put_manifest(name, digest.replace(":", "-") + ".sig", json.dumps(
            {"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config, "layers": [layer]}).encode())


def policy(rules):
    """policy.json(5) that rejects everything but RULES = {"host:port/name": path of the public key, a requirement, or a list of them}."""
    def requirement(rule):
        if isinstance(rule, (dict, list)):
            return rule if isinstance(rule, list) else [rule]
        return [{"type": "sigstoreSigned", "keyPath": str(rule), "signedIdentity": {"type": "matchRepository"}}]
    return json.dumps({"default": [{"type": "reject"}],
                       "transports": {"docker": {scope: requirement(rule) for scope, rule in rules.items()}}}, indent=1) + "\n"
