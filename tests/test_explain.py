# SPDX-License-Identifier: MIT
"""coracle-bundle explain: sizes, hidden files, updates; and what looks like a secret: planted ones are found, hidden layers included, and Debian's own
files raise no alarm. RefuseSecrets= refuses at pull."""
import base64
import collections
import json
import os
import random
import string
import subprocess

import pytest

import debian
import images
from layerkit import BUNDLE, Store, folder, item, link, make_tar

ALNUM = string.ascii_letters + string.digits
URL64 = ALNUM + "_-"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def explain(store, digest, *more):
    done = subprocess.run([BUNDLE, "explain", *more, "--store", store.path, digest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fakes(rnd):
    """{kind: [(file name, bytes)]}: secrets of every shape, made up here, at random places of files of all sorts."""
    def some(n, alphabet=ALNUM):
        return "".join(rnd.choice(alphabet) for _ in range(n))

    def armour(kind, headers="", end="\n", size=1200):
        body = base64.b64encode(rnd.randbytes(size)).decode()
        lines = end.join(body[i:i + 64] for i in range(0, len(body), 64))
        return "-----BEGIN %s-----%s%s%s%s-----END %s-----%s" % (kind, end, headers, lines, end, kind, end)

    def around(text):
        """Inside text, inside noise, at the edges of what is read at once, at both ends of a file."""
        raw = text.encode()
        noise = rnd.randbytes(rnd.choice((10, 3000, 70000))).replace(b"-", b"+")
        return rnd.choice((raw, b"key: \"" + raw + b"\"\n", noise + b"\n" + raw + b"\n" + noise, b"\n" * (65536 - rnd.randrange(0, 90)) + raw,
                           b" " * (65536 * 2 - 1024 - rnd.randrange(0, 60)) + raw + b"\n", noise + b" " + raw))

    tokens = {
        "AWS access key": lambda: rnd.choice(("AKIA", "ASIA")) + some(16, string.ascii_uppercase + "234567"),
        "GitHub token": lambda: rnd.choice([p + "_" + some(36) for p in ("ghp", "gho", "ghu", "ghs", "ghr")] + ["github_pat_" + some(22) + "_" + some(59)]),
        "GitLab token": lambda: "glpat-" + some(20, URL64),
        "Slack token": lambda: "xoxb-%s-%s-%s" % (some(12, string.digits), some(12, string.digits), some(24)),
        "Slack webhook": lambda: "https://hooks.slack.com/services/T%s/B%s/%s" % (some(9), some(9), some(24)),
        "Google API key": lambda: "AIza" + some(35, URL64),
        "Google client secret": lambda: "GOCSPX-" + some(28, URL64),
        "Stripe key": lambda: rnd.choice(("sk", "rk")) + "_live_" + some(rnd.choice((24, 99))),
        "npm token": lambda: "npm_" + some(36),
        "PyPI token": lambda: "pypi-AgEIcHlwaS5vcmc" + some(120, URL64),
        "SendGrid key": lambda: "SG.%s.%s" % (some(22, URL64), some(43, URL64)),
        "DigitalOcean token": lambda: "dop_v1_" + some(64, "0123456789abcdef"),
        "Hugging Face token": lambda: "hf_" + some(34, string.ascii_letters),
        "OpenAI key": lambda: rnd.choice(("sk-" + some(20) + "T3BlbkFJ" + some(20), "sk-proj-" + some(80, URL64))),
        "Anthropic key": lambda: "sk-ant-api03-" + some(93, URL64),
        "Docker Hub token": lambda: "dckr_pat_" + some(27, URL64),
        "Vault token": lambda: "hvs." + some(90, URL64),
        "age key": lambda: "AGE-SECRET-KEY-1" + some(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        "Azure storage key": lambda: "AccountKey=" + base64.b64encode(rnd.randbytes(64)).decode(),
        "JSON web token": lambda: "eyJhbGciOiJIUzI1NiJ9.eyJ%s.%s" % (some(60, URL64), some(43, URL64)),
        "PuTTY key": lambda: "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n",
    }
    keys = [lambda k=k: armour(k) for k in ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY")]
    keys += [lambda: armour("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,%s\n\n" % some(32, "0123456789ABCDEF")),
             lambda: armour("PRIVATE KEY", end="\r\n"), lambda: armour("PRIVATE KEY", end="\\n"), lambda: armour("PGP PRIVATE KEY BLOCK", "\n"),
             lambda: armour("EC PRIVATE KEY", size=121)]
    out = collections.defaultdict(list)
    for what, make in tokens.items():
        for n in range(7):
            out[what].append(("file-%d" % n, around(make())))
    for make in keys:
        for n in range(4):
            out["private key"].append(("key-%d.pem" % n, around(make())))
    der = lambda version: b"\x30\x82\x04\xa4\x02\x01" + bytes([version]) + rnd.randbytes(1200)
    out["private key"] += [("server.key", der(0)), ("pkcs8.der", der(0)), ("sign.p8", der(1)), ("client.p12", der(3)), ("client.pfx", der(3)),
                           ("store.jks", b"\xfe\xed\xfe\xed\0\0\0\2" + rnd.randbytes(900))]
    crypt = lambda: rnd.choice(("$6$%s$%s" % (some(16), some(86, ALNUM + "./")), "$5$%s$%s" % (some(16), some(43)), "$y$j9T$%s$%s" % (some(22), some(43)),
                                "$2b$12$" + some(53), "$1$%s$%s" % (some(8), some(22)), "$apr1$%s$%s" % (some(8), some(22))))
    for name in ("shadow", "shadow-", "gshadow", ".htpasswd", "htpasswd", "passwd", "passwd-"):
        out["password hash"].append((name, ("daemon:*:1:::::\nroot:%s:19000:0:99999:7:::\n" % crypt()).encode()))
    out["Wi-Fi password"] += [("wpa_supplicant.conf", b'network={\n ssid="x"\n psk="%s"\n}\n' % some(12).encode()),
                              ("wpa_supplicant-wlan0.conf", b" psk=%s\n" % some(64, "0123456789abcdef").encode()),
                              ("office.nmconnection", b"[wifi-security]\npsk=%s\n" % some(14).encode()), ("home.psk", b"[Security]\nPassphrase=%s\n" % some(14).encode())]
    auth = base64.b64encode(("user:" + some(20)).encode())
    out["registry password"] += [(n, b'{"auths": {"r.example.com": {"auth": "%s"}}}' % auth) for n in ("config.json", "auth.json", ".dockercfg")]
    out["password file"] += [(".netrc", b"machine git.host login me password %s\n" % some(12).encode()), (".my.cnf", b"[client]\npassword=%s\n" % some(9).encode()),
                             (".git-credentials", b"https://me:%s@git.host\n" % some(20).encode())]
    out["npm token"] += [(".npmrc", b"//npm.host/:_authToken=%s\n" % some(36).encode())]
    out["environment file"] += [(n, b"X=1\n%s=%s\n" % (k, some(18).encode())) for n in (".env", "prod.env") for k in (b"DB_PASSWORD", b"API_TOKEN", b"JWT_SECRET", b"MAPS_API_KEY")]
    return out


# What knows of secrets and holds none.
INNOCENT = {
    "usr/share/doc/keys.txt": b"A key begins with -----BEGIN PRIVATE KEY----- and ends with\n-----END PRIVATE KEY-----\n",
    "usr/share/doc/keys2.txt": b"-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\n",
    "usr/share/doc/keys3.txt": b"-----BEGIN PRIVATE KEY-----\nyour key goes here, forty letters at least, please\n-----END PRIVATE KEY-----\n",
    "usr/share/doc/aws.md": b"aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n",
    "usr/share/doc/github.md": b"export GH_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    "usr/lib/scan.py": b"PATTERNS = [r'AKIA[A-Z0-9]{16}', r'ghp_[0-9a-zA-Z]{36}', '-----BEGIN RSA PRIVATE KEY-----', r'xox[baprs]-']\n",
    "etc/ssl/cert.pem": b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(bytes(range(256)) * 3) + b"\n-----END CERTIFICATE-----\n",
    "etc/ssl/pub.pem": b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(bytes(range(91))) + b"\n-----END PUBLIC KEY-----\n",
    "etc/shadow": b"root:*:19000:0:99999:7:::\ndaemon:!:19000:0:99999:7:::\nsync:!*:1::::::\n", "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
    "etc/wpa_supplicant.conf": b'network={\n psk="<password>"\n}\n', "app/.env": b"DB_PASSWORD=${DB_PASSWORD}\nAPI_TOKEN=\nJWT_SECRET=changeme\n",
    "app/config.json": b'{"auth": {"kind": "none"}, "auths": {}}', "app/.netrc": b"machine x login y password <password>\n",
    "app/session.txt": b"a word_AKIA2345672345672ABCD and sk-hyphenated-words-that-go-on-and-on-for-a-long-time-in-a-css-file\n",
    "app/blob": bytes(range(256)) * 3000, "app/main.der": b"\x30\x82\x04\xa4\x30\x82" + bytes(500), "app/base64": base64.b64encode(bytes(range(256)) * 999),
}


def test_planted_secrets_are_found(store):
    """In three layers, the lowest of which is hidden by the others: each by its path and kind, and nothing of it is printed."""
    rnd = random.Random(7)
    planted = {}
    for what, files in fakes(rnd).items():
        for n, (name, data) in enumerate(files):
            planted["%s/%02d/%s" % (what.replace(" ", "-"), n, name)] = (what, data)
    assert len(planted) >= 200
    names = sorted(planted)
    store.put(make_tar(folder("./"), *(item("app/" + n, planted[n][1]) for n in names[::2])), "zstd")
    store.put(make_tar(*(item("srv/" + n, planted[n][1]) for n in names[1::2]), *(item(p, d) for p, d in INNOCENT.items())), "zstd")
    store.put(make_tar(item(".wh.app", ""), item("srv/.wh..wh..opq", "")))
    digest = store.image()
    text = explain(store, digest, "--json")
    said = {f["path"]: f for f in json.loads(text)["secrets"]}
    expected = {"/%s/%s" % (top, n): (layer, planted[n][0]) for top, layer, part in (("app", 0, names[::2]), ("srv", 1, names[1::2])) for n in part}
    missing = sorted(set(expected) - set(said))
    assert not missing, "%d of %d not found: %s" % (len(missing), len(expected), missing[:10])
    assert not set(said) - set(expected), sorted(set(said) - set(expected))
    wrong = [(p, said[p]["what"], e) for p, e in expected.items() if not said[p]["what"].startswith(e[1]) or said[p]["layer"] != e[0] or said[p]["hidden_by"] != 2]
    assert not wrong, wrong[:5]
    for _, data in planted.values():
        assert data.strip()[-40:].decode("latin-1") not in text
    print("%d of %d planted secrets found" % (len(expected), len(planted)))


@pytest.mark.parametrize("variant", debian.VARIANTS)
def test_debian_raises_no_alarm(store, variant):
    store.put(debian.rootfs(variant).read_bytes(), "plain")
    assert json.loads(explain(store, store.image(), "--json"))["secrets"] == []


def test_sizes_hidden_files_and_updates(store):
    store.put(make_tar(folder("./"), item("big", b"x" * 300000, mode=0o600), item("keep", b"k" * 1000), folder("d"), item("d/a", b"a" * 5000), link("l", "keep")))
    one = store.image("registry.test/one:1")
    store.put(make_tar(item(".wh.big", ""), item("d/a", b"b" * 7000), item("new", b"n" * 20000)))
    two = store.image("registry.test/two:1")
    out = json.loads(explain(store, two, "--json", "--from", one))
    assert [(h["path"], h["layer"], h["hidden_by"], h["bytes"], h["mode"]) for h in out["hidden"]] == [("/big", 0, 1, 300000, 0o600), ("/d/a", 0, 1, 5000, 0o644)]
    assert out["wasted_bytes"] == 305000 and [l["hidden_bytes"] for l in out["layers"]] == [305000, 0]
    assert [l["other_images"] for l in out["layers"]] == [1, 0] and [l["bytes"] for l in out["layers"]] == [306000, 27000]
    assert out["update"] == {"from": one, "new_bytes": 27000, "shared_bytes": 306000, "old_bytes": 0}
    text = explain(store, two, "--from", one)
    assert "/big (hidden by layer 1)" in text and "0600" in text and "297 KiB are shipped for nothing" in text and "26 KiB of layers are new" in text
    back = json.loads(explain(store, one, "--json", "--from", two))["update"]
    assert (back["new_bytes"], back["old_bytes"]) == (0, 27000)


def test_what_cannot_be_explained_is_named(store):
    store.put(make_tar(item("a", "a")))
    digest = store.image()
    for argv, code, word in ((["sha256:" + "0" * 64], 1, "No such file"), (["sha256:short"], 2, "usage"), ([], 2, "usage"), ([digest, "--from", "x"], 2, "usage")):
        done = subprocess.run([BUNDLE, "explain", "--store", store.path, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == code and word in done.stderr, done
    os.unlink(next((store.path / "layers/index").iterdir()))
    done = subprocess.run([BUNDLE, "explain", "--store", store.path, digest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "layer 0 is not in the store" in done.stderr


def test_refuse_secrets_refuses_at_pull(registry, programs, trust, run, workdir):
    """A key that a later layer removes, and a token in the image's environment: refused by name, and not without the option."""
    rnd = random.Random(3)
    token = "ghp_" + "".join(rnd.choice(ALNUM) for _ in range(36))
    entry = images.entry
    rows = {"hidden": ([[entry("etc", kind=images.tarfile.DIRTYPE), entry("etc/token", token.encode())], [entry("etc/.wh.token")]], {}, ("layer 0: /etc/token", "GitHub token")),
            "environment": ([[entry("a", b"a")]], {"Env": ["GH=" + token]}, ("image config", "GitHub token")), "clean": ([[entry("a", b"a")]], {}, None)}
    for name, (layers, config, words) in rows.items():
        full, store = "%s/secrets/%s" % (registry.host, name), workdir / ("store-" + name)
        images.make_image(workdir / name, layers, config=config)
        registry.push(workdir / name, "secrets/" + name)
        registry.sign("secrets/" + name, registry.key())
        store.mkdir()
        pull = [programs.fetch, "pull", "--store", store, *trust({full: registry.key().pub}).args]
        done = run(*pull, "--refuse-secrets", full + ":1", ok=words is None)
        assert all(w in done.err for w in words or ()) and token not in done.err
        listed = json.loads(run(programs.bundle, "ls", "--json", "--store", store).out)["images"]
        assert len(listed) == (words is None)
        run(*pull, full + ":1")
