"""The API as Stripe's own client meets it, over HTTP."""

import base64
import time

import pytest
import requests
import stripe
from django.db import connection

from stripe_sandbox.checkout import disputes, fraud, lifecycle, refunds
from stripe_sandbox.models import Event, Session
from stripe_sandbox.tests.conftest import event_types, make_session, session_params
from stripe_sandbox.tests.description import problems
from stripe_sandbox.tests.published import objects as published

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("stripe_sandbox.tests.urls")]


@pytest.fixture
def http(live_server, settings):
    """A plain HTTP client of the API: `http("GET", "/v1/…", data=…)`."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {settings.STRIPE_SECRET_KEY}"
        yield lambda method, path, **kwargs: session.request(
            method, live_server.url + path, timeout=10, **kwargs
        )


def test_a_session_is_created_as_stripes_client_asks_and_read_back(stripe_client, settings):
    expires_at = int(time.time()) + 3600
    made = stripe_client.v1.checkout.sessions.create(session_params(expires_at=expires_at))
    assert made.id.startswith("cs_test_")
    assert made.url == f"{settings.PUBLIC_URL}/sandbox/pay/{made.id}"
    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (made.amount_total, made.currency, made.expires_at) == (1250, "usd", expires_at)
    assert made.success_url == "https://example.com/paid?session_id={CHECKOUT_SESSION_ID}"
    assert made.client_reference_id == "payment-7"
    assert made.metadata["ride"] == "7"
    assert stripe_client.v1.checkout.sessions.retrieve(made.id) == made
    assert made.last_response.headers["Stripe-Version"] == stripe.api_version


def test_a_session_without_an_end_lasts_a_day_and_currencies_are_lower_case(stripe_client):
    price = {"currency": "JPY", "unit_amount": 500, "product_data": {"name": "Ride"}}
    made = stripe_client.v1.checkout.sessions.create(
        session_params(line_items=[{"quantity": 2, "price_data": price}])
    )
    assert (made.amount_total, made.currency) == (1000, "jpy")
    assert made.expires_at - made.created == 24 * 3600


def test_line_items_have_pages(stripe_client):
    price = {"currency": "usd", "unit_amount": 1, "product_data": {"name": "Mile"}}
    made = stripe_client.v1.checkout.sessions.create(
        session_params(line_items=[{"quantity": number, "price_data": price} for number in range(1, 6)])
    )
    items = stripe_client.v1.checkout.sessions.line_items
    listed = [item.quantity for item in items.list(made.id, {"limit": 2}).auto_paging_iter()]
    assert listed == [1, 2, 3, 4, 5]
    last = items.list(made.id).data[-1]
    with pytest.raises(stripe.InvalidRequestError, match="No such item: 'li_none'"):
        items.list(made.id, {"starting_after": "li_none"})
    before = items.list(made.id, {"ending_before": last.id, "limit": 3})
    assert [item.quantity for item in before.data] == [2, 3, 4]
    assert before.has_more


def test_a_session_is_expired_once(stripe_client):
    session = make_session()
    expired = stripe_client.v1.checkout.sessions.expire(session.stripe_id)
    assert (expired.status, expired.url) == ("expired", None)
    event = Event.objects.get()
    assert event.type == "checkout.session.expired"
    assert event.request_id == expired.last_response.headers["Request-Id"]
    with pytest.raises(stripe.InvalidRequestError, match="not open any more: it is expired"):
        stripe_client.v1.checkout.sessions.expire(session.stripe_id)


def test_a_session_whose_time_is_up_is_found_expired(stripe_client):
    session = make_session()
    Session.objects.update(expires_at=session.created_at)
    assert stripe_client.v1.checkout.sessions.retrieve(session.stripe_id).status == "expired"
    assert event_types() == ["checkout.session.expired"]


def test_sessions_are_listed_by_status_and_by_payment_intent(stripe_client):
    paid = lifecycle.pay(session_id=make_session().stripe_id)
    waiting = make_session()
    sessions = stripe_client.v1.checkout.sessions
    assert [each.id for each in sessions.list({"status": "open"}).data] == [waiting.stripe_id]
    found = sessions.list({"payment_intent": paid.payment_intent.stripe_id})
    assert [each.id for each in found.data] == [paid.stripe_id]


def test_objects_are_expanded_on_request(stripe_client):
    session = lifecycle.pay(session_id=make_session().stripe_id)
    expand = ["line_items", "payment_intent", "payment_intent.latest_charge"]
    found = stripe_client.v1.checkout.sessions.retrieve(session.stripe_id, {"expand": expand})
    assert found.payment_intent.latest_charge.status == "succeeded"
    assert found.line_items.data[0].description == "Ride 7"
    assert not problems(found.to_dict(for_json=True), stripe.checkout.Session)
    listed = stripe_client.v1.checkout.sessions.list({"expand": ["data.payment_intent"]})
    assert listed.data[0].payment_intent.status == "succeeded"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("url", "cannot be expanded"),
        ("payment_intent.amount", "cannot be expanded"),
        ("total_details", "cannot be expanded"),
        ("customer.name.first", "cannot be expanded"),
        ("line_items.a.b.c.d", "more than 4 levels"),
        ("line_items.url", "cannot be expanded"),
    ],
)
def test_what_cannot_be_expanded_is_refused(stripe_client, path, said):
    session = lifecycle.pay(session_id=make_session().stripe_id)
    with pytest.raises(stripe.InvalidRequestError, match=said) as raised:
        stripe_client.v1.checkout.sessions.retrieve(session.stripe_id, {"expand": [path]})
    assert raised.value.param == "expand[0]"


EXPANDABLE = [
    (kind, name.removesuffix("?"))
    for kind in ("checkout.session", "payment_intent", "charge", "refund", "dispute")
    for name, types in published.OBJECTS[kind].items()
    if "string" in types and any(isinstance(each, str) and each[0] in "#&" for each in types)
]


def test_what_stripe_expands_is_expanded_here_and_null_stays_where_nothing_is(http):
    assert len(EXPANDABLE) > 30
    session = lifecycle.pay(session_id=make_session().stripe_id)
    intent_id = session.payment_intent.stripe_id
    refund = refunds.refund(payment_intent_id=intent_id, amount=50)
    dispute = disputes.open_dispute(payment_intent_id=intent_id, amount=50)
    fraud.open_review(payment_intent_id=intent_id)
    paths = {
        "checkout.session": f"/v1/checkout/sessions/{session.stripe_id}",
        "payment_intent": f"/v1/payment_intents/{intent_id}",
        "charge": f"/v1/charges/{refund.charge.stripe_id}",
        "refund": f"/v1/refunds/{refund.stripe_id}",
        "dispute": f"/v1/disputes/{dispute.stripe_id}",
    }
    whole = {}
    for kind, name in EXPANDABLE:
        answer = http("GET", f"{paths[kind]}?expand[]={name}")
        assert answer.status_code == 200, (kind, name, answer.text)
        found = answer.json()
        assert not published.problems(found)
        assert not isinstance(found.get(name), str), (kind, name)
        if found.get(name):
            whole[kind, name] = found[name]["object"]
    assert whole == {
        ("checkout.session", "payment_intent"): "payment_intent",
        ("payment_intent", "latest_charge"): "charge",
        ("payment_intent", "payment_method"): "payment_method",
        ("payment_intent", "review"): "review",
        ("charge", "balance_transaction"): "balance_transaction",
        ("charge", "payment_intent"): "payment_intent",
        ("charge", "review"): "review",
        ("refund", "balance_transaction"): "balance_transaction",
        ("refund", "charge"): "charge",
        ("refund", "payment_intent"): "payment_intent",
        ("refund", "payment_method"): "payment_method",
        ("dispute", "charge"): "charge",
        ("dispute", "payment_intent"): "payment_intent",
    }


def test_lists_and_what_is_in_them_are_expanded(stripe_client):
    session = lifecycle.pay(session_id=make_session().stripe_id)
    intent_id = session.payment_intent.stripe_id
    refund = refunds.refund(payment_intent_id=intent_id, amount=50)
    dispute = disputes.open_dispute(payment_intent_id=intent_id, amount=50)
    path = ["refunds.data.balance_transaction", "balance_transaction.source"]
    charge = stripe_client.v1.charges.retrieve(refund.charge.stripe_id, {"expand": path})
    assert charge.refunds.data[0].id == refund.stripe_id
    assert charge.refunds.data[0].balance_transaction.net == -50
    assert charge.balance_transaction.source.id == charge.id
    found = stripe_client.v1.disputes.retrieve(
        dispute.stripe_id, {"expand": ["balance_transactions.source", "evidence.receipt"]}
    )
    assert found.balance_transactions[0].source.id == dispute.stripe_id


def test_only_so_many_properties_are_expanded(stripe_client):
    with pytest.raises(stripe.InvalidRequestError, match="more than 20 properties"):
        stripe_client.v1.events.list({"expand": ["data"] * 21})


def test_an_intent_not_there_yet_expands_to_nothing(stripe_client):
    session_id = make_session().stripe_id
    found = stripe_client.v1.checkout.sessions.retrieve(
        session_id, {"expand": ["payment_intent.latest_charge"]}
    )
    assert found.payment_intent is None


def test_the_objects_of_a_payment_are_retrieved_and_listed(stripe_client):
    intent_id = lifecycle.pay(session_id=make_session().stripe_id).payment_intent.stripe_id
    v1 = stripe_client.v1
    intent = v1.payment_intents.retrieve(intent_id)
    charge = v1.charges.retrieve(intent.latest_charge)
    refund = v1.refunds.create({"charge": charge.id, "amount": 50, "metadata": {"why": "late"}})
    dispute = disputes.open_dispute(payment_intent_id=intent_id)
    assert (refund.status, refund.metadata["why"]) == ("succeeded", "late")
    assert v1.refunds.retrieve(refund.id) == refund
    assert v1.disputes.retrieve(dispute.stripe_id).amount == 1200
    lists = [
        v1.payment_intents.list(),
        v1.charges.list({"payment_intent": intent_id}),
        v1.refunds.list({"charge": charge.id}),
        v1.disputes.list({"payment_intent": intent_id}),
    ]
    assert [each.data[0].id for each in lists] == [intent_id, charge.id, refund.id, dispute.stripe_id]
    assert v1.refunds.list({"charge": "ch_other"}).data == []


def test_the_payment_intent_of_a_session_is_not_canceled_by_itself(stripe_client):
    intent_id = lifecycle.decline(session_id=make_session().stripe_id).payment_intent.stripe_id
    with pytest.raises(stripe.InvalidRequestError, match="Expire the Checkout Session instead"):
        stripe_client.v1.payment_intents.cancel(intent_id)


def test_closing_a_dispute_loses_it(stripe_client):
    session = lifecycle.pay(session_id=make_session().stripe_id)
    dispute = disputes.open_dispute(payment_intent_id=session.payment_intent.stripe_id)
    assert stripe_client.v1.disputes.close(dispute.stripe_id).status == "lost"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        stripe_client.v1.disputes.close(dispute.stripe_id)


def test_more_than_was_paid_is_not_refunded(stripe_client):
    intent_id = lifecycle.pay(session_id=make_session().stripe_id).payment_intent.stripe_id
    refunds = stripe_client.v1.refunds
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as raised:
        refunds.create({"payment_intent": intent_id, "amount": 1251})
    assert raised.value.param == "amount"
    refunds.create({"payment_intent": intent_id})
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded") as raised:
        refunds.create({"payment_intent": intent_id})
    assert raised.value.code == "charge_already_refunded"


def test_a_refund_is_of_a_charge_or_of_a_payment_intent(stripe_client):
    for params in ({"amount": 1}, {"charge": "ch_1", "payment_intent": "pi_1"}):
        with pytest.raises(stripe.InvalidRequestError, match="only one"):
            stripe_client.v1.refunds.create(params)
    intent_id = lifecycle.pay(session_id=make_session().stripe_id).payment_intent.stripe_id
    refund = stripe_client.v1.refunds.create({"payment_intent": intent_id, "metadata": ""})
    assert refund.metadata.to_dict() == {}


def test_events_are_listed_by_type_time_and_delivery(stripe_client):
    session = lifecycle.pay(session_id=make_session().stripe_id)
    refunds.refund(payment_intent_id=session.payment_intent.stripe_id)
    events = stripe_client.v1.events

    def types(**params):
        return [event.type for event in events.list(params).data]

    assert types(type="charge.*") == ["charge.refunded", "charge.succeeded"]
    assert types(types=["refund.created", "payment_intent.created"]) == [
        "refund.created",
        "payment_intent.created",
    ]
    last = Event.objects.order_by("pk").last()
    second = int(last.created_at.timestamp())
    assert types(type="refund.updated", created=second) == ["refund.updated"]
    assert types(created={"gt": second}) == []
    assert types(created={"gte": second + 1}) == []
    assert types(created={"lt": second - 60}) == []
    assert len(types(created={"gte": second - 60, "lte": second})) == 7
    assert types(delivery_success=True) == []
    last.deliveries.update(state="delivered")
    assert types(delivery_success=True) == ["refund.updated"]
    assert len(types(delivery_success=False)) == 6
    assert events.retrieve(last.stripe_id).pending_webhooks == 0


def test_arrays_are_taken_without_indices_too(http):
    lifecycle.pay(session_id=make_session().stripe_id)
    found = http("GET", "/v1/events?types[]=charge.succeeded&types[]=refund.created").json()
    assert [event["type"] for event in found["data"]] == ["charge.succeeded"]


def test_events_have_pages_both_ways(stripe_client):
    for _ in range(2):
        lifecycle.pay(session_id=make_session().stripe_id)
    ids = list(Event.objects.order_by("-pk").values_list("stripe_id", flat=True))
    events = stripe_client.v1.events
    assert [event.id for event in events.list({"limit": 3}).auto_paging_iter()] == ids
    page = events.list({"ending_before": ids[6], "limit": 2})
    assert ([event.id for event in page.data], page.has_more) == (ids[4:6], True)
    assert [event.id for event in page.auto_paging_iter()] == ids[5::-1]
    newest = events.list({"ending_before": ids[1]})
    assert ([event.id for event in newest.data], newest.has_more) == (ids[:1], False)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"limit": 0}, "greater than or equal to 1"),
        ({"limit": 101}, "less than or equal to 100"),
        ({"starting_after": "evt_none"}, "No such event: 'evt_none'"),
        ({"starting_after": "evt_a", "ending_before": "evt_b"}, "only specify one"),
        ({"types": ["a"] * 21}, "at most 20"),
        ({"type": "a", "types": ["a"]}, "only specify one"),
        ({"type": "*.created"}, "wildcard stands at the end"),
        ({"created": {"since": 3}}, r"Received unknown parameter: created\[since\]"),
        ({"created": {"gt": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_list_that_cannot_be_is_refused(stripe_client, params, said):
    with pytest.raises(stripe.InvalidRequestError, match=said):
        stripe_client.v1.events.list(params)


def test_the_key_is_taken_as_bearer_and_as_user_name(http, settings):
    basic = base64.b64encode(f"{settings.STRIPE_SECRET_KEY}:".encode()).decode()
    assert http("GET", "/v1/events", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert http("GET", "/v1/events").status_code == 200


def test_stripes_client_sees_a_wrong_key_and_a_missing_object(stripe_client, live_server):
    other = stripe.StripeClient("sk_test_other", base_addresses={"api": live_server.url})
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
        other.v1.events.list()
    with pytest.raises(
        stripe.InvalidRequestError, match=r"No such checkout\.session: 'cs_test_none'"
    ) as raised:
        stripe_client.v1.checkout.sessions.retrieve("cs_test_none")
    assert (raised.value.http_status, raised.value.code) == (404, "resource_missing")
    assert raised.value.request_id.startswith("req_")
    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent") as raised:
        stripe_client.v1.refunds.create({"payment_intent": "pi_none"})
    assert (raised.value.http_status, raised.value.param) == (400, "payment_intent")


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("checkout/sessions/cs_none", "session"),
        ("checkout/sessions/cs_none/line_items", "session"),
        ("payment_intents/pi_none", "intent"),
        ("charges/ch_none", "charge"),
        ("refunds/re_none", "refund"),
        ("disputes/du_none", "dispute"),
        ("events/evt_none", "id"),
        ("reviews/prv_none", "review"),
        ("radar/early_fraud_warnings/issfr_none", "early_fraud_warning"),
    ],
)
def test_what_is_not_there_is_named_as_stripes_paths_name_it(http, path, param):
    answer = http("GET", f"/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["code"] == "resource_missing"


def test_warnings_and_reviews_are_retrieved_listed_and_approved(stripe_client):
    intent_id = lifecycle.pay(session_id=make_session().stripe_id).payment_intent.stripe_id
    warning = fraud.warn(payment_intent_id=intent_id, fraud_type="misc")
    review = fraud.open_review(payment_intent_id=intent_id)
    v1 = stripe_client.v1
    found = v1.radar.early_fraud_warnings.list({"payment_intent": intent_id}).data
    assert found == [v1.radar.early_fraud_warnings.retrieve(warning.stripe_id)]
    assert v1.reviews.list().data == [v1.reviews.retrieve(review.stripe_id)]
    assert v1.reviews.approve(review.stripe_id).reason == "approved"
    assert v1.reviews.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        v1.reviews.approve(review.stripe_id)


def test_line_items_are_taken_as_older_clients_write_them(http):
    price = "line_items[][price_data]"
    made = http(
        "POST",
        "/v1/checkout/sessions",
        data=[
            ("mode", "payment"),
            ("success_url", "https://example.com/"),
            *[
                (f"{price}[currency]", "usd"),
                (f"{price}[unit_amount]", "1000"),
                (f"{price}[product_data][name]", "Ride"),
                ("line_items[][quantity]", "1"),
                (f"{price}[currency]", "usd"),
                (f"{price}[unit_amount]", "250"),
                (f"{price}[product_data][name]", "Tip"),
                ("line_items[][quantity]", "2"),
            ],
        ],
    )
    assert made.json()["amount_total"] == 1500


def test_each_answer_to_a_post_says_whether_to_try_again(http):
    refused = http("POST", "/v1/refunds", data={"amount": "1"})
    assert refused.headers["Stripe-Should-Retry"] == "false"
    assert "Stripe-Should-Retry" not in http("GET", "/v1/events").headers
    log = refused.json()["error"]["request_log_url"]
    assert refused.headers["Request-Id"] in log


def test_a_body_has_to_be_a_form_and_of_bounded_size(http):
    refused = http("POST", "/v1/checkout/sessions", json={"mode": "payment"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert http("POST", "/v1/checkout/sessions", data={"cancel_url": "x" * 300_000}).status_code == 413


def test_a_request_that_breaks_is_a_500_in_stripes_shape(http, caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sandbox_event RENAME TO elsewhere")
        try:
            answer = http("GET", "/v1/events")
        finally:
            cursor.execute("ALTER TABLE elsewhere RENAME TO sandbox_event")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")
    assert answer.headers["Request-Id"] in caplog.text
