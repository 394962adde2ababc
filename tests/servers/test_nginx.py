"""nginx with deploy/nginx.conf in front of a server, where nginx is installed."""

import json
import os
import shutil
import ssl
import subprocess
import uuid

import httpx
import pytest
from websockets.sync.client import connect

from tests.support import staff, tls, webhook
from tests.support.backend import KEY
from tests.support.frames import registered
from tests.support.ports import free_port
from tests.support.server import ROOT, eventually

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


class Behind:
    """A server as clients behind the proxy see it."""

    def __init__(self, *, folder, files, port):
        self.url = f"https://{tls.HOST}:{port}"
        self.context = ssl.create_default_context(cafile=files[0])
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False, verify=self.context)
        self.access_log = folder / "access.log"


@pytest.fixture(scope="module")
def server(serve):
    return serve(TRUSTED_PROXIES=tls.HOST, LIMITS="failures-per-address=1,logins-per-address=1000")


@pytest.fixture
def behind(server, tmp_path):
    """A proxy that has seen nobody yet: its limits are those of the file."""
    files, ports = tls.certificate(tmp_path), (free_port(), free_port())
    conf = (ROOT / "deploy/nginx.conf").read_text()
    for there, here in {
        "/tmp/": f"{tmp_path}/",
        "/etc/payments/tls/fullchain.pem": str(files[0]),
        "/etc/payments/tls/privkey.pem": str(files[1]),
        "/dev/stdout": f"{tmp_path}/access.log",
        "listen 8080": f"listen {tls.HOST}:{ports[0]}",
        "listen 8443": f"listen {tls.HOST}:{ports[1]}",
        "http://service:9090": f"http://{tls.HOST}:{server.port}",
    }.items():
        assert there in conf
        conf = conf.replace(there, here)
    (tmp_path / "nginx.conf").write_text(conf)
    as_root = "user root;" if os.geteuid() == 0 else ""  # else it could not write into the folder
    command = ["nginx", "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), "-g", f"daemon off; {as_root}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    proxied = Behind(folder=tmp_path, files=files, port=ports[1])
    try:
        eventually(lambda: process.poll() is not None or answers(proxied))
        yield proxied
    finally:
        proxied.http.close()
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said


def answers(proxied):
    try:
        return proxied.http.get("/healthz").is_success
    except httpx.TransportError:
        return False


def test_logins_of_one_address_are_refused_before_the_service_and_webhooks_go_on(server, behind):
    def looked_at():
        text = server.http.get("/metrics", headers=KEY).text
        return sum(
            float(line.split()[1])
            for line in text.splitlines()
            if line.startswith("payments_staff_logins_total{")
        )

    before = looked_at()
    page = behind.http.get(staff.LOGIN)
    form = {
        "csrfmiddlewaretoken": page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0],
        "password": "a-guess",
    }
    statuses = [
        behind.http.post(
            "/admin/login/",
            data=form | {"username": uuid.uuid4().hex},
            headers={"Referer": behind.url, "X-Forwarded-For": f"192.0.2.{number}"},
        ).status_code
        for number in range(12)
    ]

    # One at a time, and five at once: the sixth and the seventh may come as late as a new one is due.
    assert statuses[:6] == [200] * 6
    assert statuses.count(429) >= 4
    assert looked_at() - before == statuses.count(200)
    assert webhook.deliver(behind, webhook.event()).status_code == 200
    assert behind.http.get("/readyz").status_code == 200


def test_the_service_counts_a_client_by_the_address_that_the_proxy_saw(behind):
    wrong = [{"Authorization": "Bearer x", "X-Forwarded-For": f"198.51.100.{number}"} for number in range(2)]
    answers = [behind.http.get("/api/payments", headers=headers).status_code for headers in wrong]
    assert answers[-1] == 429, "a client does not choose its address"


def test_a_websocket_passes_and_an_upgrade_elsewhere_does_not(behind, user_id):
    url = behind.url.replace("https", "wss", 1) + "/basic/ws"
    with connect(url, ssl=behind.context, proxy=None) as client:
        client.send(json.dumps({"type": "register", "userId": user_id}))
        assert json.loads(client.recv(timeout=15)) == registered(user_id)
    offer = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert behind.http.get("/healthz", headers=offer).status_code == 200


def test_metrics_stay_inside_and_answers_ask_browsers_for_tls_once(behind):
    assert behind.http.get("/metrics", headers=KEY).status_code == 404
    assert behind.http.get("/healthz").headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]


def test_no_path_and_no_query_gets_into_its_log(behind):
    for path in ("/sandbox/pay/cs_test_of_a_rider", "/checkout/success?session_id=cs_test_of_a_rider"):
        behind.http.get(path)
    behind.http.get("/webhooks/stripe/")

    def last():
        lines = [line.split() for line in behind.access_log.read_text().splitlines()[-3:]]
        return [(line[1], line[3]) for line in lines]

    # nginx writes a line once its answer is sent.
    eventually(lambda: last() == [(tls.HOST, "other"), (tls.HOST, "other"), (tls.HOST, "webhook")])
    assert "cs_test" not in behind.access_log.read_text()
