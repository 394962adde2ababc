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
PASSWORDS_MEANWHILE = 3
"""How many passwords may be looked at while one webhook is answered.

A webhook is to take less than 100 ms, and a hash takes about as long. On a machine that has other work both take longer,
and alike: their ratio stays. A webhook that waits behind logins sees all of them go by.
"""


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
        slowest, meanwhile = 0.0, 0
        while not all(each.done() for each in guessed):
            before = _looked_at(guessed)
            slowest = max(slowest, _webhook(target))
            meanwhile = max(meanwhile, _looked_at(guessed) - before)
            _others(target)
    tally.notes["slowest webhook, ms"] = slowest * 1000
    tally.notes["passwords looked at during a webhook, at most"] = meanwhile
    for each in guessed:
        tally.inputs += 1
        answer = each.result()
        is_full = answer.status_code == 503 and "Retry-After" in answer.headers
        tally.answered(answer.status_code, "busy" if is_full else "", "a wrong password")
        assert answer.status_code in {200, 403, 429, 503}, answer
    assert meanwhile <= PASSWORDS_MEANWHILE, f"a webhook waited while {meanwhile} passwords were looked at"


def _looked_at(guessed):
    """Return how many guesses were looked at so far. Those beyond the bound are answered 503."""
    return sum(
        each.done() and each.result().status_code != httpx.codes.SERVICE_UNAVAILABLE for each in guessed
    )


def _webhook(target):
    """Deliver an event; return how long that took, in seconds."""
    body, since = webhook.event(), time.monotonic()
    assert target.deliver(body).status_code == httpx.codes.OK
    return time.monotonic() - since


def _others(target):
    """Do what else goes on: health checks and registrations."""
    assert target.http.get("/readyz").status_code == httpx.codes.OK
    user_id = f"user-{uuid.uuid4().hex}"
    with connected(target.server) as client:
        assert client.register(user_id, token=target.token(user_id)) == frames.registered(user_id)
