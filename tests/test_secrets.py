"""What must not be in a log: Checkout links and what opens them, keys, and signatures."""

import os

import pytest
from django.conf import settings

from tests import backend, sandbox
from tests.client import connected
from tests.frames import link, registered, status

AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64)",
    "curl/8.5.0",
    "Stripe/1.0 (+https://docs.stripe.com/webhooks)",
    "",
)
SECRETS = (settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS[0], settings.SECRET_KEY, "dev-key")


@pytest.fixture(scope="module")
def talkative(serve):
    """A server that logs all it can, and whose Redis fails."""
    return serve(LOG_LEVEL="DEBUG", REDIS_URL=os.environ["REDIS_URL"] and "redis://localhost:1/0")


def test_a_whole_journey_leaves_no_secret_in_the_log(talkative, connect, user_id):
    client = connect(talkative)
    assert client.register(user_id, token="a-token-of-a-user") == registered(user_id)
    payment = backend.ask(talkative, user_id)
    assert client.receive() == link(payment)
    for agent in AGENTS:
        ask_for_everything(talkative, payment, agent)
    sandbox.choose(talkative, payment, "pay")
    assert client.receive() == status(payment, "succeeded")
    backend.refund(talkative, payment)
    sandbox.wait_until_delivered(talkative)
    canceled = backend.ask(talkative, user_id)
    backend.cancel(talkative, canceled)

    written = talkative.log
    assert written, "it logs something"
    assert not [secret for secret in (*SECRETS, "a-token-of-a-user") if secret in written]
    assert [line for line in written.splitlines() if "cs_test_" in line or "/sandbox/pay" in line] == []
    assert "cs_test_" not in talkative.out


def ask_for_everything(server, payment, agent):
    """Ask well and badly, for what is there and what is not."""
    headers, session = {"User-Agent": agent}, payment["stripeSessionId"]
    paths = [payment["paymentUrl"], f"/sandbox/{session}", f"/v1/checkout/sessions/{session}", f"/{session}"]
    for path in paths:
        server.http.get(path, headers=headers)
        server.http.post(path, headers=headers, data={"outcome": "nonsense"})
        server.http.post(path, headers=headers, content=b"\xff" * 2_000_000)
    server.http.get("/api/payments?status=nonsense", headers=headers | {"Authorization": "Bearer dev-keyx"})
    server.http.post("/webhooks/stripe/", headers=headers | {"Stripe-Signature": "t=1,v1=1"}, content=session)
    with connected(server) as client:
        client.send(payment["paymentUrl"])
        client.receive()


def test_the_shared_servers_logged_no_link_and_no_secret(server):
    assert not [secret for secret in (*SECRETS, "cs_test_", "/sandbox/pay") if secret in server.log]
