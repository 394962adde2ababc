"""What must not be in a log: Checkout links and what opens them, keys, and signatures."""

from django.conf import settings

from tests.support import backend, sandbox
from tests.support.client import connected
from tests.support.frames import link, registered, status

AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64)",
    "curl/8.5.0",
    "Stripe/1.0 (+https://docs.stripe.com/webhooks)",
    "",
)
SECRETS = (settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS[0], settings.SECRET_KEY, "dev-key")


def test_a_whole_journey_leaves_no_secret_in_the_log(frail, connect, user_id):
    client = connect(frail)
    assert client.register(user_id, token="a-token-of-a-user") == registered(user_id)
    payment = backend.ask(frail, user_id)
    assert client.receive() == link(payment)
    for agent in AGENTS:
        ask_for_everything(frail, payment, agent)
    sandbox.choose(frail, payment, "pay")
    assert client.receive() == status(payment, "succeeded")
    backend.refund(frail, payment)
    sandbox.wait_until_delivered(frail)
    canceled = backend.ask(frail, user_id)
    backend.cancel(frail, canceled)

    written = frail.log
    assert written, "it logs something"
    assert not [secret for secret in (*SECRETS, "a-token-of-a-user") if secret in written]
    assert [line for line in written.splitlines() if "cs_test_" in line or "/sandbox/pay" in line] == []
    assert "cs_test_" not in frail.out


def ask_for_everything(server, payment, agent):
    """Ask well and badly, for what is there and what is not."""
    headers, session = {"User-Agent": agent}, payment["stripeSessionId"]
    paths = [payment["paymentUrl"], f"/sandbox/{session}", f"/v1/checkout/sessions/{session}", f"/{session}"]
    for path in paths:
        server.http.get(path, headers=headers)
        server.http.post(path, headers=headers, data={"outcome": "nonsense"})
        server.http.post(path, headers=headers, content=b"\xff" * 1_100_000)
    server.http.get("/api/payments?status=nonsense", headers=headers | {"Authorization": "Bearer dev-keyx"})
    server.http.post("/webhooks/stripe/", headers=headers | {"Stripe-Signature": "t=1,v1=1"}, content=session)
    with connected(server) as client:
        client.send(payment["paymentUrl"])
        client.receive()


def test_the_other_servers_logged_no_link_and_no_secret(server):
    assert not [secret for secret in (*SECRETS, "cs_test_", "/sandbox/pay") if secret in server.log]
