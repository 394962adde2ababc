"""Stripe's own client, pointed at the running server, works as it does with Stripe."""

import pytest
import stripe
from django.conf import settings

from tests.support import backend, sandbox


@pytest.fixture
def client(server):
    http = stripe.RequestsClient(timeout=20)
    yield stripe.StripeClient(
        settings.STRIPE_SECRET_KEY, base_addresses={"api": server.url}, http_client=http
    ).v1
    http.close()


@pytest.fixture
def paid(server, user_id):
    payment = backend.ask(server, user_id, amount=500, currency="jpy")
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    return payment


def test_a_session_is_read_with_what_was_bought_and_how_it_was_paid(client, paid):
    session = client.checkout.sessions.retrieve(
        paid["stripeSessionId"], {"expand": ["line_items", "payment_intent.latest_charge"]}
    )

    assert (session.status, session.payment_status) == ("complete", "paid")
    assert (session.amount_total, session.currency) == (500, "jpy")
    assert session.client_reference_id == paid["id"]
    assert session.line_items.data[0].amount_total == 500
    assert session.payment_intent.latest_charge.paid


def test_events_are_listed_page_by_page_and_read(client, paid):
    of_the_session = [
        event
        for event in client.events.list(
            {"types": ["checkout.session.completed"], "limit": 1}
        ).auto_paging_iter()
        if event.data.object.id == paid["stripeSessionId"]
    ]

    assert len(of_the_session) == 1
    assert of_the_session[0].pending_webhooks == 0
    assert client.events.retrieve(of_the_session[0].id).type == "checkout.session.completed"


def test_a_refund_is_made_once_for_one_key(client, server, paid):
    intent = sandbox.payment_intent(server, paid)
    options = {"idempotency_key": f"refund-{paid['id']}"}

    first = client.refunds.create({"payment_intent": intent, "amount": 100}, options)
    again = client.refunds.create({"payment_intent": intent, "amount": 100}, options)

    assert again.id == first.id
    sandbox.wait_until_delivered(server)
    assert backend.read(server, paid)["status"] == "partially_refunded"


def test_a_mistake_is_refused_as_stripe_does(client):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.checkout.sessions.create({"mode": "payment", "colour": "red"})
    assert refusal.value.code == "parameter_unknown"

    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.payment_intents.retrieve("pi_nothing")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("key", ["sk_live_other", "other"])
def test_another_key_is_refused(server, key):
    http = stripe.RequestsClient(timeout=20)
    client = stripe.StripeClient(key, base_addresses={"api": server.url}, http_client=http)

    with pytest.raises(stripe.AuthenticationError):
        client.v1.events.list()
    http.close()
