# SPDX-License-Identifier: MIT
"""Keys, certificates and signatures of the demo and of the tests: a private CA by openssl, cosign by the real cosign
(Debian 13's package, unpacked into the cache), and the same signature by hand with openssl, for the twisted ones."""
import base64, hashlib, json, os, pathlib, subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("CORACLE_CACHE") or pathlib.Path.home() / ".cache/coracle")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NAMES = "DNS:registry.demo,DNS:localhost,IP:127.0.0.1,IP:10.0.2.2,IP:::1"


def run(*argv, stdin_bytes=b"", **more):
    """Runs a program and returns what it printed; its whole output in the exception when it fails."""
    done = subprocess.run([str(a) for a in argv], input=stdin_bytes, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode:
        raise RuntimeError("%s: exit %d\n%s" % (" ".join(map(str, argv)), done.returncode,
                                                (done.stdout + done.stderr).decode(errors="replace")))
    return done.stdout.decode(errors="replace")


def tool(suite, package, path):
    """A program out of a Debian package that is unpacked into the cache, not installed."""
    deb = pathlib.Path(subprocess.run([ROOT / "boards/common/deb", suite, run("dpkg", "--print-architecture").strip(), package],
                                      stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    folder = CACHE / "tools" / deb.stem
    if not (folder / path).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = folder.with_name("%s.%d" % (folder.name, os.getpid()))
        run("dpkg-deb", "-x", deb, aside)
        try:
            aside.rename(folder)
        except OSError:             # somebody else was faster
            run("rm", "-rf", aside)
    return folder / path


def make_ca(folder, names=NAMES):
    """FOLDER/ca.crt, and server.crt + server.key signed by it. Keeps what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "server.crt").exists():
        return
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("openssl", "req", "-x509", *ec, "-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-days", "3650",
        "-subj", "/CN=coracle demo CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "req", *ec, "-keyout", folder / "server.key", "-out", folder / "server.csr", "-subj", "/CN=registry.demo")
    (folder / "ext").write_text("subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n" % names)
    run("openssl", "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-days", "3650", "-extfile", folder / "ext", "-out", folder / "server.crt")


def make_cert(folder, name, subject, ca, usage="clientAuth", names="DNS:localhost", days="3650"):
    """FOLDER/NAME.crt and .key, signed by the CA in folder CA (ca.crt, ca.key)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / (name + ".key"),
        "-out", folder / (name + ".csr"), "-subj", "/CN=" + subject)
    (folder / (name + ".ext")).write_text("extendedKeyUsage=%s\nbasicConstraints=CA:FALSE\nsubjectAltName=%s\n" % (usage, names))
    run("openssl", "x509", "-req", "-in", folder / (name + ".csr"), "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key", "-CAcreateserial",
        "-days", days, "-extfile", folder / (name + ".ext"), "-out", folder / (name + ".crt"))
    return folder / (name + ".crt"), folder / (name + ".key")


class Key:
    """One signing key, made by cosign or imported: NAME.key for cosign, NAME.pem the same for openssl, NAME.pub the public half."""

    def __init__(self, folder, name):
        self.name, self.folder = name, pathlib.Path(folder)
        self.key, self.pem, self.pub = (self.folder / (name + end) for end in (".key", ".pem", ".pub"))
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.pub.exists():
            run(cosign(), "generate-key-pair", "--output-key-prefix", name, cwd=self.folder, env=cosign_env(self.folder))
            run("openssl", "pkey", "-inform", "DER", "-out", self.pem, stdin_bytes=self.decrypted())

    @classmethod
    def imported(cls, folder, name, *algorithm):
        """A key by openssl (ALGORITHM: words for genpkey), imported into cosign 3."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / (name + ".pub")).exists():
            run("openssl", "genpkey", "-quiet", "-algorithm", *algorithm, "-out", folder / (name + ".pem"))
            run(cosign3(), "import-key-pair", "--key", name + ".pem", "--output-key-prefix", name, cwd=folder, env=cosign_env(folder))
        return cls(folder, name)

    def decrypted(self):
        """PKCS#8 DER out of cosign's key file: scrypt, then NaCl's secretbox. (cosign's own import-key-pair is broken in
        Debian's 2.5.0: it refuses every key, so the key is taken out instead of put in.)"""
        import nacl.secret
        text = "".join(line for line in self.key.read_text().splitlines() if "-----" not in line)
        box = json.loads(base64.b64decode(text))
        kdf = box["kdf"]["params"]
        secret = hashlib.scrypt(b"", salt=base64.b64decode(box["kdf"]["salt"]), n=kdf["N"], r=kdf["r"], p=kdf["p"],
                                maxmem=1 << 28, dklen=32)
        return nacl.secret.SecretBox(secret).decrypt(base64.b64decode(box["ciphertext"]), base64.b64decode(box["cipher"]["nonce"]))

    def signature_by_hand(self, payload):
        """base64 of the ECDSA signature over the bytes PAYLOAD, as cosign's annotation carries it."""
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.pem)], input=payload, capture_output=True, check=True)
        return base64.b64encode(done.stdout).decode()


def cosign():
    return tool("trixie", "cosign", "usr/bin/cosign")


def cosign3():
    """The newer line, whose default is the bundle form; it also imports keys of any kind."""
    return tool("sid", "cosign", "usr/bin/cosign")


def cosign_env(home):
    """No word to the network but to the registry, no file outside HOME."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "COSIGN_PASSWORD": "", "TUF_ROOT": str(home / "tuf")}


def statement(digest, **more):
    """The in-toto statement that cosign 3 signs. MORE goes over it."""
    made = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": digest[7:]}, "annotations": {}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {}}
    made.update(more)
    return json.dumps(made, separators=(",", ":")).encode()


def bundle_by_hand(key, statement_bytes, **more):
    """A v0.3 bundle with openssl: the DSSE pre-authentication encoding is signed. MORE goes over the envelope."""
    kind = "application/vnd.in-toto+json"
    message = b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(statement_bytes)) + statement_bytes
    envelope = {"payload": base64.b64encode(statement_bytes).decode(), "payloadType": kind,
                "signatures": [{"sig": key.signature_by_hand(message)}]}
    envelope.update(more)
    return json.dumps({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": ""}}, "dsseEnvelope": envelope}).encode()


def payload(identity, digest, **more):
    """The document that cosign signs. MORE goes over `critical` (for the tests that twist it)."""
    critical = {"identity": {"docker-reference": identity}, "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature"}
    critical.update(more)
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()
