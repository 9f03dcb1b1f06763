# SPDX-License-Identifier: MIT
"""A fleet's eye: a real Prometheus (Debian's package, unpacked into the cache) scrapes PID 1's metrics, and its queries answer what is so."""
import json, socket, subprocess, time, urllib.parse, urllib.request
import pytest
import keys


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def prometheus(workdir):
    """prometheus(PORT): scrapes that port of loopback each second; query(TEXT): [(labels, value)]."""
    own, child = free_port(), []

    def query(text):
        url = "http://127.0.0.1:%d/api/v1/query?%s" % (own, urllib.parse.urlencode({"query": text}))
        try:
            with urllib.request.urlopen(url, timeout=10) as got:
                answer = json.load(got)
        except OSError:
            return []
        assert answer["status"] == "success", answer
        return [(r["metric"], float(r["value"][1])) for r in answer["data"]["result"]]

    def start(port):
        (workdir / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "boards", "static_configs": [{"targets": ["127.0.0.1:%d" % port]}]}]}))
        child.append(subprocess.Popen(
            [keys.tool("bookworm", "prometheus", "usr/bin/prometheus"), "--config.file=%s" % (workdir / "prometheus.yml"),
             "--storage.tsdb.path=%s" % (workdir / "tsdb"), "--web.listen-address=127.0.0.1:%d" % own],
            stdout=open(workdir / "prometheus.log", "w"), stderr=subprocess.STDOUT))
        return query
    yield start
    for one in child:
        one.terminate()
        one.wait(30)


def test_prometheus_scrapes_and_answers(board, prometheus):
    port = free_port()
    board.unit("app", "say", "x")
    board.unit("bad", "exit", 3)
    board.conf(data_dir=str(board.data), console="none", hostname="bench", metrics_port=port)
    board.start()
    board.wait_state("app", "running")
    query = prometheus(port)
    value = lambda text: dict((m.get("unit"), v) for m, v in query(text))
    board.wait(lambda: value("coracle_unit_up").get("app") == 1, "up", 60)
    assert value("up") == {None: 1}, "the scrape itself, in Prometheus's eyes"
    labels = query("coracle_device_info")[0][0]
    assert labels["hostname"] == "bench" and labels["version"].count(".") == 2
    (app,) = [m for m, _ in query('coracle_unit_image_info{unit="app"}')]
    assert app["digest"] == board.status("app")["digest"]
    board.wait(lambda: value("coracle_unit_restarts_total").get("bad", 0) >= 2, "restarts", 60)
    board.wait(lambda: value('increase(coracle_unit_restarts_total{unit="bad"}[1m])').get("bad", 0) > 0, "a rate", 60)
    # A board falls out of the rollout's alert as soon as its unit is down.
    board.coracle("stop", "app")
    board.wait(lambda: value('count by (unit) (coracle_unit_up{unit="app"} == 0)') == {"app": 1}, "down", 60)
    board.stop("poweroff")
    board.wait(lambda: value("up") == {None: 0}, "a board that is gone", 60)
