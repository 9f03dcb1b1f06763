# SPDX-License-Identifier: MIT
"""The demo: `demo.py start [STATE]` sets up what is missing (CA, keys, images, signatures), starts the registry and writes
STATE/etc, what a board gets as /etc/coracle; `demo.py stop [STATE]` stops it. A second start takes a second or two."""
import os, pathlib, shutil, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import images, keys, registry

PORT = int(os.environ.get("DEMO_PORT", "5443"))
NAME = "registry.demo"


def say(text):
    print("demo: " + text, flush=True)


def port_of(state):
    """The port that this demo was set up with; else the usual one, else a free one."""
    try:
        port = int((state / "port").read_text())
    except (OSError, ValueError):
        port = PORT if registry.is_free(PORT) else registry.free_port()
    return port


def open_demo(state):
    state.mkdir(parents=True, exist_ok=True)
    demo = registry.Registry(state, port_of(state))
    if not demo.pid() and not registry.is_free(demo.port):
        say("port %d is taken by another program: taking a free one" % demo.port)
        demo = registry.Registry(state, registry.free_port())
    if not (state / "port").exists() or (state / "port").read_text() != str(demo.port):
        (state / "pushed").unlink(missing_ok=True)
        (state / "port").write_text(str(demo.port))
    return demo


def push_all(demo):
    """hello: signed. unsigned: the same image, nobody signed it. stranger: signed, by a key that no board knows."""
    made = images.make_demo(demo.state / "image")
    stamp = demo.state / "pushed"
    want = (made / "made-from").read_text()
    if stamp.exists() and stamp.read_text() == want:
        return
    say("pushing three images, signing two of them with cosign")
    for name, key in (("hello", "cosign"), ("unsigned", None), ("stranger", "stranger")):
        demo.push(made, "demo/" + name)
        if key:
            demo.sign("demo/" + name, demo.key(key), identity="%s:%d/demo/%s" % (NAME, demo.port, name))
    stamp.write_text(want)


def write_etc(demo, more=()):
    """What the board trusts, knows and runs: policy (of the images MORE, too), password, CA, key, units."""
    etc, host = demo.state / "etc", "%s:%d" % (NAME, demo.port)
    shutil.rmtree(etc, ignore_errors=True)
    (etc / "keys").mkdir(parents=True)
    (etc / "units").mkdir()
    shutil.copy(demo.key("cosign").pub, etc / "keys/cosign.pub")
    (etc / "policy.json").write_text(registry.policy(
        {"%s/demo/%s" % (host, name): "/etc/coracle/keys/cosign.pub" for name in ("hello", "unsigned", "stranger", *more)}))
    demo.login_file(etc / "auth.json", host)
    demo.certs_dir(etc / "certs.d", host)
    for unit in sorted((keys.ROOT / "boards/common/units").glob("*.container")):
        (etc / "units" / unit.name).write_text(unit.read_text().replace("registry.demo:5443", host))


def start(state):
    demo = open_demo(state)
    if not (state / "pushed").exists():
        say("making a CA, keys and the image (once; kept in %s)" % state)
    demo.start()
    try:
        push_all(demo)
        write_etc(demo)
    except BaseException:
        demo.stop()
        raise
    say("registry on https://127.0.0.1:%d, called %s:%d on the board; log: %s" % (demo.port, NAME, demo.port, demo.log))
    return demo


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    state = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.environ.get("O", "build"), "demo")).resolve()
    if verb == "start":
        start(state)
    elif verb == "stop":
        registry.Registry(state, port_of(state)).stop()
    else:
        sys.exit("usage: demo.py start|stop [STATE]")
