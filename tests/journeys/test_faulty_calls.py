"""Calls of the sandbox's API fail as its control page says, whichever server carries them."""

import pytest
import stripe
from django.conf import settings

from tests.support import sandbox

PARAMS = {
    "mode": "payment",
    "success_url": "https://example.com/",
    "line_items": [
        {
            "quantity": 1,
            "price_data": {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Ride"}},
        }
    ],
}


@pytest.fixture
def client(server):
    """Stripe's client, which gives up at once and after two seconds."""
    http = stripe.RequestsClient(timeout=2)
    yield stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        base_addresses={"api": server.url},
        http_client=http,
        max_network_retries=0,
    ).v1
    http.close()


@pytest.fixture
def fail(server):
    """Let the next calls fail; afterwards none does."""

    def plan(fault, *, calls=1, delay=3):
        sandbox.control(server, "set_fault", fault=fault, calls=str(calls), delay=str(delay))

    yield plan
    plan("")


@pytest.fixture
def made(server):
    """Return how many sessions were made since the test began."""
    count = "SELECT count(*) FROM sandbox_session"
    before = server.database.execute(count)[0][0]
    return lambda: server.database.execute(count)[0][0] - before


def create(client, key=None):
    return client.checkout.sessions.create(PARAMS, {"idempotency_key": key} if key else None)


def test_a_call_is_refused_as_one_too_many_and_the_next_is_not(client, fail, made):
    fail("rate_limited")

    with pytest.raises(stripe.RateLimitError) as raised:
        create(client, "k-rate")

    assert raised.value.headers["Retry-After"] == "2"
    assert made() == 0
    assert create(client, "k-rate").status == "open"


def test_an_error_is_kept_for_its_key_and_nothing_is_done(client, fail, made):
    fail("error")

    for _ in range(2):
        with pytest.raises(stripe.APIError) as raised:
            create(client, "k-error")
        assert raised.value.http_status == 500

    assert raised.value.headers["Idempotent-Replayed"] == "true"
    assert made() == 0
    assert create(client, "k-error-2").status == "open"


def test_a_slow_call_is_given_up_and_its_work_is_done_once(client, fail, made):
    fail("slow")

    with pytest.raises(stripe.APIConnectionError):
        create(client, "k-slow")

    again = create(client, "k-slow")
    assert made() == 1
    assert create(client, "k-slow").id == again.id


def test_a_call_that_is_cut_has_done_nothing(client, fail, made):
    fail("cut", calls=2)

    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError, match="closed connection without response"):
            create(client, "k-cut")

    assert made() == 0
    assert create(client, "k-cut").status == "open"


def test_an_answer_that_is_lost_is_given_to_a_caller_that_asks_again_with_the_key(client, fail, made):
    fail("lost")

    with pytest.raises(stripe.APIConnectionError, match="closed connection without response"):
        create(client, "k-lost")

    assert made() == 1
    again = create(client, "k-lost")
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert made() == 1


def test_a_client_that_tries_again_by_itself_notices_nothing_of_a_lost_answer(server, fail, made):
    http = stripe.RequestsClient(timeout=2)
    client = stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        base_addresses={"api": server.url},
        http_client=http,
        max_network_retries=2,
    ).v1
    fail("lost", calls=2)

    assert create(client).status == "open"

    assert made() == 1
    http.close()
