"""Strangers who guess passwords of staff, all at once and from many addresses."""

import random
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support import frames, staff, webhook
from tests.support.client import connected

AT_ONCE = 40
WEBHOOK_SECONDS = 5.0
"""No webhook takes longer, also on a machine that has other work; Stripe waits for ten."""


def run(target, tally, *, seed, inputs):
    """Log in with wrong passwords; webhooks, health checks and registrations go on."""
    chosen = random.Random(seed)
    page = target.http.get(staff.LOGIN)
    form = {
        "csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1],
        "password": "a-guess",
    }
    guesses = [
        (f"{chosen.getrandbits(32):08x}", f"2001:db8:{chosen.getrandbits(16):x}::1") for _ in range(inputs)
    ]
    cookies = {"csrftoken": page.cookies["csrftoken"]}

    with (
        httpx.Client(base_url=target.server.url, timeout=30, trust_env=False, cookies=cookies) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def guess(name, address):
            return client.post(
                # Each from another address, or the limit of one address would stop them all.
                staff.LOGIN,
                data=form | {"username": name},
                headers={"X-Forwarded-For": address},
            )

        guessed = [pool.submit(guess, *each) for each in guesses]
        slowest = 0.0
        while not all(each.done() for each in guessed):
            slowest = max(slowest, _others(target))
    tally.notes["slowest webhook, ms"] = slowest * 1000
    for each in guessed:
        tally.inputs += 1
        answer = each.result()
        is_full = answer.status_code == 503 and "Retry-After" in answer.headers
        tally.answered(answer.status_code, "busy" if is_full else "", "a wrong password")
        assert answer.status_code in {200, 403, 429, 503}, answer
    assert slowest < WEBHOOK_SECONDS


def _others(target):
    """Do what others do; return how long a webhook took, in seconds."""
    body, since = webhook.event(), time.monotonic()
    assert target.deliver(body).status_code == 200
    took = time.monotonic() - since
    assert target.http.get("/readyz").status_code == 200
    user_id = f"user-{uuid.uuid4().hex}"
    with connected(target.server) as client:
        assert client.register(user_id, token=target.token(user_id)) == frames.registered(user_id)
    return took
