"""A stranger who logs in as fast as possible holds up nobody but those who log in."""

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import httpx
import pytest

from tests.support import staff, webhook
from tests.support.backend import KEY
from tests.support.frames import registered
from tests.support.server import eventually

PASSWORD = "a-password-of-enough-length"


@pytest.fixture(scope="module")
def server(serve):
    """A server that believes X-Forwarded-For: each attempt comes from an address of its own, and is looked at."""
    server = serve(TRUSTED_PROXIES="127.0.0.1,::1")
    staff.make_user(server, "clerk", PASSWORD)
    return server


def address():
    return f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"


@pytest.fixture(params=[40, 100])
def flood(server, request):
    """Log in with wrong passwords, so many at a time, until the test has ended; yields the answers so far."""
    answers, over, at_once = [], threading.Event(), request.param
    page = server.http.get(staff.LOGIN)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    cookies = {"csrftoken": page.cookies["csrftoken"]}

    def attack():
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False, cookies=cookies) as client:
            while not over.is_set():
                form = {
                    "csrfmiddlewaretoken": token,
                    "username": uuid.uuid4().hex,
                    "password": "a-guess",
                }
                headers = {"X-Forwarded-For": address()}
                answers.append(client.post(staff.LOGIN, data=form, headers=headers))
                over.wait(0.2)

    with ThreadPoolExecutor(at_once) as pool:
        attackers = [pool.submit(attack) for _ in range(at_once)]
        try:
            eventually(lambda: len(answers) >= at_once)
            yield answers
        finally:
            over.set()
        for attacker in attackers:
            attacker.result()


def test_webhooks_registrations_and_health_go_on_while_strangers_log_in(server, flood, connect, user_id):
    seconds = []
    for _ in range(9):
        delivered = webhook.deliver(server, webhook.event())
        assert delivered.status_code == 200
        seconds.append(delivered.elapsed.total_seconds())
        assert server.http.get("/readyz").status_code == 200
        assert server.http.get("/api/payments", headers=KEY).status_code == 200
    assert connect(server).register(user_id) == registered(user_id)
    assert median(seconds) < 1, "it is a tenth of that where nothing else is at work"

    statuses = {answer.status_code for answer in flood}
    assert statuses == {200, 503}, "some were looked at, those beyond the bound were not"
    refused = next(answer for answer in flood if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "5"
    assert "Too many logins" in refused.text
    counted = server.http.get("/metrics", headers=KEY).text
    assert not re.search(r'payments_staff_logins_total\{outcome="(busy|refused)"\} 0\.0', counted)


def test_staff_log_in_with_their_passwords(server):
    with staff.browser(server, **{"X-Forwarded-For": address()}) as browser:
        assert staff.log_in(browser, "clerk", PASSWORD).url == f"{server.url}/admin/"


def test_a_flood_from_one_address_is_answered_without_a_look_at_its_passwords(server):
    with staff.browser(server, **{"X-Forwarded-For": address()}) as browser:
        answers = [staff.log_in(browser, uuid.uuid4().hex, "a-guess") for _ in range(12)]

        assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
        assert staff.log_in(browser, "clerk", PASSWORD).status_code == 429
