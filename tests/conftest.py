# SPDX-License-Identifier: MIT
"""Fixtures for every test. The modules of tests/demo, tests/lib and tests/tools can be imported by name.

    registry    (session) a real docker-registry on loopback at a free port: TLS by a private CA, htpasswd. registry.Registry:
                .host "localhost:PORT", .url, .port, .user, .password, .ca (path), .state (folder)
                .push(LAYOUT, "demo/name", tag="1", source_tag="1", docker=False) -> digest
                .key("cosign") -> keys.Key with .pub, .pem, .key: made when first asked for
                .sign("demo/name", key, identity=..., recursive=...)      by the real cosign
                .sign_by_hand("demo/name", key, payload=..., signature=..., digest=..., identity=...)
                .request(METHOD, PATH, body, headers), .put_blob, .put_manifest, .manifest(name, ref), .digest(name, ref)
                .login_file(PATH), .certs_dir(DIR), .requests_seen(), .start(), .stop()
    demo_image  (session) path of the demo image's OCI layout: tag 1 is an index of three platforms
    programs    (session) .init .fetch .bundle .client .dhcpcd .folder: paths of the built programs of this machine;
                $CORACLE_INIT, $CORACLE_FETCH, $CORACLE_BUNDLE override
    workdir     a fresh folder for one test, removed by pytest's rules
    trust       factory: trust({"localhost:PORT/demo/name": key.pub, ...}) writes policy.json, auth.json and certs.d/ into the
                workdir and returns an object with .policy .auth .certs .args; .args is what `coracle-fetch pull` takes for them
    run         run(*argv, ok=True|False|None, timeout=60, **subprocess) -> done with .out .err .code (text); asserts the exit
                status is 0 (ok=True), not 0 (False), or leaves it (None)

    registry.policy(rules)                   the text of a policy.json
    images.make_image(layout, layers, ...)   small images of any layers: images.entry(name, data, kind, mode, ...), also twisted
    keys.payload(identity, digest, **twist), keys.sha256(data), keys.tool(suite, package, path)

    tools       (session) init_kit.Tools: the scripted job and the guest program
    board       init_kit.Board: coracle-init as PID 1 of namespaces, its jobs scripted; killed at the end

A test that cannot run here: pytest.skip("reason"). Nothing else may skip. One that takes too long for every run is marked
@pytest.mark.full: `make check-full` (CORACLE_FULL=1) runs it, `make check` does not collect it.
"""
import os, pathlib, shutil, subprocess, sys, types
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / d) for d in ("demo", "lib", "tools")]

import images, init_kit, registry as registry_kit

OUT = pathlib.Path(os.environ.get("O") or ROOT / "build").resolve()


def pytest_configure(config):
    config.addinivalue_line("markers", "full: runs in `make check-full` alone")


def pytest_collection_modifyitems(config, items):
    if not os.environ.get("CORACLE_FULL"):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("full")])
        items[:] = [i for i in items if not i.get_closest_marker("full")]


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    one = registry_kit.Registry(tmp_path_factory.mktemp("registry"))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def demo_image(tmp_path_factory):
    return images.make_demo(tmp_path_factory.mktemp("demo") / "image")


@pytest.fixture(scope="session")
def programs():
    folder = OUT / os.uname().machine.replace("armv7l", "armv7")
    found = types.SimpleNamespace(folder=folder, client=folder / "coracle", dhcpcd=folder / "deps/bin/dhcpcd")
    for name in ("init", "fetch", "bundle"):
        path = pathlib.Path(os.environ.get("CORACLE_" + name.upper()) or folder / ("coracle-" + name))
        if not path.exists():
            pytest.fail("%s is not there: run `make` first" % path)
        setattr(found, name, path)
    return found


@pytest.fixture
def workdir(tmp_path):
    return tmp_path


@pytest.fixture
def run():
    def go(*argv, ok=True, timeout=60, **more):
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **more)
        out = types.SimpleNamespace(code=done.returncode, out=done.stdout.decode(errors="replace"),
                                    err=done.stderr.decode(errors="replace"))
        if ok is not None:
            assert (out.code == 0) == ok, "%s: exit %d\n%s%s" % (" ".join(map(str, argv)), out.code, out.out, out.err)
        return out
    return go


@pytest.fixture
def trust(registry, workdir):
    def write(rules):
        folder = workdir / "trust"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "policy.json").write_text(registry_kit.policy(rules))
        made = types.SimpleNamespace(policy=folder / "policy.json", auth=registry.login_file(folder / "auth.json"),
                                     certs=registry.certs_dir(folder / "certs.d"))
        made.args = ["--policy", made.policy, "--authfile", made.auth, "--cert-dir", made.certs]
        return made
    return write


@pytest.fixture(scope="session")
def tools():
    with init_kit.scratch() as folder:
        yield init_kit.Tools(pathlib.Path(folder))


@pytest.fixture
def board(tools):
    with init_kit.scratch() as folder:
        os.chmod(folder, 0o755)
        one = init_kit.Board(pathlib.Path(folder) / "b", tools)
        yield one
        one.kill()
