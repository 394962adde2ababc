import base64
import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Payment, RefundRequest
from payments.tests import broken_stripe
from stripe_sandbox.checkout import lifecycle
from tests.support.plans import on_postgresql, plan_of

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {"rideId": "ride_1", "userId": "a@b.com", "amount": 1250, "currency": "usd"}


@pytest.fixture
def api(client, stripe_api):
    """Return a function that calls the API as the ride's backend does."""

    def call(method, path, body=None, *, key="dev-key", idempotency_key=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        more = {"data": "" if body is None else body, "content_type": "application/json"}
        return getattr(client, method)(f"/api{path}", headers=headers, **({} if method == "get" else more))

    return call


def refusal(response):
    return response.status_code, response.json()["error"]["code"]


def test_a_payment_is_created_with_exactly_the_keys_that_are_promised(api):
    response = api("post", "/payments", ORDER)
    payment = response.json()
    assert response.status_code == 201
    assert list(payment) == [
        "id",
        "rideId",
        "userId",
        "amount",
        "currency",
        "status",
        "paymentUrl",
        "stripeSessionId",
        "createdAt",
        "createdBy",
        "expiresAt",
        "failure",
        "dispute",
        "amountRefunded",
        "refunds",
        "card",
    ]
    assert payment.items() >= (ORDER | {"status": "pending"}).items()
    assert payment["paymentUrl"].startswith("http")
    assert payment["stripeSessionId"].startswith("cs_test_")
    assert api("get", f"/payments/{payment['id']}").json() == payment


def test_every_field_of_an_order_reaches_stripe(api):
    more = {
        "description": "Zürich → airport 🚕",
        "successUrl": "https://ride.example/ok?s={CHECKOUT_SESSION_ID}",
        "cancelUrl": "https://ride.example/no",
    }
    session_id = api("post", "/payments", ORDER | more).json()["stripeSessionId"]
    session = lifecycle.get_session(session_id=session_id)
    assert session.params["success_url"] == more["successUrl"]
    assert session.params["cancel_url"] == more["cancelUrl"]
    assert session.params["line_items"][0]["price_data"]["product_data"]["name"] == more["description"]


def test_the_same_key_and_body_gets_the_same_answer_even_after_payment(api):
    first = api("post", "/payments", ORDER, idempotency_key="k1")
    refund = {"amount": 500, "status": "succeeded", "intent": "pi_1"}
    facts = {"asked": "1250 usd", "paid": {"pi_1": {"1250 usd": 1}}, "refunds": {"re_1": refund}}
    Payment.objects.update(status="succeeded", facts=facts)
    second = api("post", "/payments", ORDER, idempotency_key="k1")
    assert (second.status_code, second.json()) == (201, first.json())
    assert api("get", f"/payments/{first.json()['id']}").json()["status"] == "succeeded"


def test_the_same_key_with_another_body_is_a_conflict(api):
    api("post", "/payments", ORDER, idempotency_key="k1")
    again = api("post", "/payments", ORDER | {"amount": 1}, idempotency_key="k1")
    assert again.status_code == 422
    again = api("post", "/payments", ORDER | {"amount": 1300}, idempotency_key="k1")
    assert refusal(again) == (409, "idempotency_key_reused")


def test_a_second_payment_of_a_ride_is_a_conflict_that_names_the_first(api):
    first = api("post", "/payments", ORDER).json()
    second = api("post", "/payments", ORDER)
    assert refusal(second) == (409, "ride_has_payment")
    assert second.json()["error"]["paymentId"] == first["id"]


@pytest.mark.parametrize("key", [None, "", "wrong", "dev-keY", "dév"])
def test_without_the_key_nothing_is_answered(api, key):
    for method, path in [("post", "/payments"), ("get", "/payments"), ("get", f"/payments/{uuid.uuid4()}")]:
        response = api(method, path, ORDER if method == "post" else None, key=key)
        assert refusal(response) == (401, "unauthorized")
        assert response["WWW-Authenticate"] == "Bearer"


def test_a_header_that_is_not_as_it_should_be_is_not_logged(api, client, caplog):
    for header in ("dev-key", "Basic dev-key", "dev-key Bearer"):
        assert client.get("/api/payments", headers={"Authorization": header}).status_code == 401
    assert "dev-key" not in caplog.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rideId": ""}, "rideId"),
        ({"rideId": "r" * 129}, "rideId"),
        ({"rideId": None}, "rideId"),
        ({"userId": 7}, "userId"),
        ({"userId": "a\x00b"}, "userId"),
        ({"userId": "u" * 129}, "userId"),
        ({"rideId": "a\nb"}, "rideId"),
        ({"amount": "1250"}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 10**30}, "amount"),
        ({"amount": 49}, ""),
        ({"currency": "us"}, "currency"),
        ({"currency": "xxx"}, ""),
        ({"amount": 151, "currency": "isk"}, ""),
        ({"description": "d" * 251}, "description"),
        ({"successUrl": "javascript:alert(1)"}, "successUrl"),
        ({"successUrl": "https://"}, "successUrl"),
        ({"successUrl": "/relative"}, "successUrl"),
        ({"cancelUrl": "https://a b"}, "cancelUrl"),
        ({"cancelUrl": "https://[bad"}, "cancelUrl"),
        ({"curency": "usd"}, "curency"),
        ({"ride_id": "ride_1"}, "ride_id"),
        ({"user_id": "u", "success_url": "https://a.example/"}, "success_url"),
        ({"rideId": "a\x9bb"}, "rideId"),
        ({"rideId": "a\x85b"}, "rideId"),
        ({"rideId": "a\u2028b"}, "rideId"),
        ({"description": "a\u202eb"}, "description"),
        ({"description": "a\u202ab"}, "description"),
        ({"description": "a\u2029b"}, "description"),
        ({"successUrl": "https://a.example/\xa0"}, "successUrl"),
        ({"successUrl": "https://evil\\@a.example/"}, "successUrl"),
        ({"cancelUrl": "https://a:b@a.example/"}, "cancelUrl"),
    ],
)
def test_a_wrong_order_is_refused_with_the_field_and_what_to_send(api, change, field):
    response = api("post", "/payments", ORDER | change)
    assert refusal(response) == (422, "invalid_request")
    error = response.json()["error"]
    assert field in [problem["field"].split(".")[-1] for problem in error["fields"]] or not field
    assert error["message"]
    assert not Payment.objects.exists()


def test_many_unknown_fields_are_refused_with_those_that_there_are(api):
    answer = api("post", "/payments", ORDER | {f"field{n}": n for n in range(100)})
    (problem,) = answer.json()["error"]["fields"]
    assert answer.status_code == 422
    assert "rideId, userId, amount, currency, description, successUrl, cancelUrl" in problem["message"]


def test_the_name_of_an_unknown_field_is_cut(api):
    answer = api("post", "/payments", ORDER | {"x" * 10_000: 1})
    (problem,) = answer.json()["error"]["fields"]
    assert problem["field"] == "x" * 100


@pytest.mark.parametrize(
    "body", ["", "not json", "[]", "null", '"text"', '{"rideId": "\\ud800"}', "[" * 50_000, "\x00"]
)
def test_a_body_that_is_no_object_is_refused_in_json(api, body):
    response = api("post", "/payments", body)
    assert response.status_code in {400, 422}
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(ORDER).replace("}", ', "amount": 1}').encode(),
        json.dumps(ORDER).encode("utf-16"),
        json.dumps(ORDER | {"description": "ü"}, ensure_ascii=False).encode("latin1"),
    ],
    ids=["an amount twice", "UTF-16", "Latin 1"],
)
def test_a_body_that_readers_would_read_differently_is_refused(api, body):
    assert refusal(api("post", "/payments", body)) == (400, "invalid_request")
    assert not Payment.objects.exists()


def test_an_order_in_the_names_of_the_code_is_no_order(api):
    order = {"ride_id": "ride_1", "user_id": "u", "amount": 1250, "currency": "usd"}
    assert refusal(api("post", "/payments", order)) == (422, "invalid_request")


@pytest.mark.parametrize("ride_id", ["ride 1", "Zürich → 🚕", "👩\u200d🚀", "שלום\u200f", "rïde\u202e"])
def test_a_ride_may_be_called_in_any_script(api, ride_id):
    assert api("post", "/payments", ORDER | {"rideId": ride_id}).json()["rideId"] == ride_id


@pytest.mark.parametrize("user_id", ["a@b.com", "auth0|1", "🚕", "tab\tand\nline", "u" * 128, " "])
def test_any_user_id_is_taken(api, user_id):
    assert api("post", "/payments", ORDER | {"userId": user_id}).json()["userId"] == user_id


def test_rupiah_have_room_for_twelve_digits(api):
    payment = api("post", "/payments", ORDER | {"amount": 100_000_000, "currency": "idr"})
    assert (payment.status_code, payment.json()["amount"]) == (201, 100_000_000)


def test_a_zero_decimal_currency_is_taken_as_it_is(api):
    payment = api("post", "/payments", ORDER | {"amount": 500, "currency": "JPY"}).json()
    assert (payment["amount"], payment["currency"]) == (500, "jpy")
    session = lifecycle.get_session(session_id=payment["stripeSessionId"])
    assert (session.amount_total, session.currency) == (500, "jpy")


def test_a_payment_that_does_not_exist_is_not_found(api):
    missing = uuid.uuid4()
    for method, path in [("get", ""), ("post", "/cancel"), ("post", "/refund")]:
        answer = api(method, f"/payments/{missing}{path}", {}, idempotency_key="k1")
        assert refusal(answer) == (404, "not_found")
    assert refusal(api("get", "/payments/17")) == (404, "not_found")
    assert refusal(api("get", "/nothing")) == (404, "not_found")


def test_a_wrong_method_is_refused_in_json(api):
    response = api("put", "/payments", ORDER)
    assert refusal(response) == (405, "method_not_allowed")
    assert "POST" in response["Allow"]


def test_a_body_of_more_than_a_mebibyte_is_refused_in_json(api):
    response = api("post", "/payments", ORDER | {"description": "d" * (1024 * 1024)})
    assert refusal(response) == (413, "too_large")


def test_when_stripe_is_away_the_answer_says_so_and_the_same_request_completes_it(api, settings):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    response = api("post", "/payments", ORDER)
    assert refusal(response) == (503, "stripe_unavailable")
    assert response["Retry-After"]
    settings.STRIPE_API_BASE = there
    assert api("post", "/payments", ORDER).status_code == 201
    assert Payment.objects.count() == 1


def test_when_stripe_asks_to_wait_the_answer_passes_that_on(api, settings):
    limit = {
        "error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}
    }
    answer = broken_stripe.raw(429, limit, Retry_After="60")
    with broken_stripe.in_front_of("", lambda _: answer) as (settings.STRIPE_API_BASE, _):
        response = api("post", "/payments", ORDER)
    assert refusal(response) == (503, "stripe_unavailable")
    assert response["Retry-After"] == "60"


@pytest.mark.parametrize("path", ["", "/cancel", "/refund"])
def test_a_request_of_the_api_ends_in_time_whatever_stripe_does(api, paid, settings, monkeypatch, path):
    monkeypatch.setattr("payments.api.endpoints.REQUEST_SECONDS", 0.5)
    if path != "/refund":
        Payment.objects.update(status="pending", facts={"asked": "1250 usd"})
    target = f"/payments/{paid['id']}{path}" if path else "/payments"
    body = ORDER | {"rideId": "ride_2"} if not path else {}
    with broken_stripe.in_front_of("", lambda _: broken_stripe.silent) as (url, calls):
        settings.STRIPE_API_BASE = url
        response = api("post", target, body, idempotency_key="k1")
    assert refusal(response) == (503, "stripe_unavailable")
    assert len(calls) == 1


def test_when_stripe_refuses_the_answer_says_why(api, settings):
    settings.PUBLIC_URL = "nowhere"
    response = api("post", "/payments", ORDER)
    assert refusal(response) == (502, "stripe_refused")
    assert "url" in response.json()["error"]["message"].lower()


def test_lists_are_filtered_and_come_in_pages_newest_first(api, make_payment):
    mine = [make_payment(user_id="me") for _ in range(5)]
    make_payment(user_id="you", ride_id="ride_you")
    seen, cursor = [], ""
    while cursor is not None:
        page = api("get", f"/payments?userId=me&limit=2{cursor and f'&cursor={cursor}'}").json()
        seen += [payment["id"] for payment in page["payments"]]
        assert len(page["payments"]) <= 2
        cursor = page["nextCursor"]
    assert seen == [str(payment.pk) for payment in reversed(mine)]
    assert len(api("get", "/payments").json()["payments"]) == 6
    assert len(api("get", "/payments?rideId=ride_you").json()["payments"]) == 1
    assert len(api("get", "/payments?status=pending&userId=you").json()["payments"]) == 1
    assert api("get", "/payments?status=succeeded").json()["payments"] == []


@on_postgresql
def test_a_page_further_on_is_found_without_reading_those_before_it(api, make_payment):
    for _ in range(5):
        make_payment()
    cursor = api("get", "/payments?limit=2").json()["nextCursor"]
    with CaptureQueriesContext(connection) as queries:
        api("get", f"/payments?limit=2&cursor={cursor}")
    plan = plan_of(queries)
    assert "Index Scan using payment_by_age" in plan
    assert "Index Cond: (created_at <= " in plan


@pytest.mark.parametrize(
    "query",
    [
        "status=paid",
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "cursor=" + base64.urlsafe_b64encode(b"9" * 40 + b" x").decode(),
        "userId=%00",
        "user_id=a",
        "userid=a",
        "userId=a&userId=b",
        "rideId=%C2%9B",
    ],
)
def test_a_wrong_list_is_refused_with_what_to_send(api, query):
    response = api("get", f"/payments?{query}")
    assert refusal(response) == (422, "invalid_request")


PAYMENT = f"/payments/{uuid.UUID(int=0)}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/payments"),
        ("get", "/payments"),
        ("get", PAYMENT),
        ("post", f"{PAYMENT}/cancel"),
        ("post", f"{PAYMENT}/refund"),
        ("get", "/users/u/notifications"),
        ("post", "/users/u/token"),
        ("post", "/users/u/disconnect"),
    ],
)
def test_no_operation_passes_over_a_parameter_or_a_field_that_it_does_not_know(api, method, path):
    good = ORDER if path == "/payments" else {"amount": 1} if path.endswith("refund") else {}
    asked = [api(method, f"{path}?x=1", good, idempotency_key="k")]
    if method == "post":
        asked.append(api(method, path, good | {"x": 1}, idempotency_key="k"))
    for answer in asked:
        assert refusal(answer) == (422, "invalid_request")
        assert [problem["field"].split(".")[-1] for problem in answer.json()["error"]["fields"]] == ["x"]
    assert not Payment.objects.exists()


@pytest.mark.parametrize("body", ["", {}])
def test_an_operation_without_fields_takes_no_body_or_an_empty_one(api, body):
    assert api("post", "/users/u/disconnect", body).status_code == 204


@pytest.mark.parametrize("body", ["x", "[]", "null", "[" * 50_000, {str(n): n for n in range(1000)}])
def test_any_other_body_is_refused_there_in_few_words(api, body):
    answer = api("post", "/users/u/disconnect", body)
    assert refusal(answer) == (422, "invalid_request")
    assert "send no body" in answer.json()["error"]["message"]
    assert len(answer.content) < 4096


def test_a_thousand_and_one_parameters_are_refused_in_json(api, caplog):
    response = api("get", "/payments?" + "&".join(f"a{n}=1" for n in range(1001)))
    assert refusal(response) == (400, "invalid_request")
    assert not caplog.records


def test_a_payment_is_canceled_and_shows_no_link_any_more(api):
    payment = api("post", "/payments", ORDER).json()
    canceled = api("post", f"/payments/{payment['id']}/cancel")
    assert canceled.status_code == 200
    assert canceled.json() == payment | {"status": "canceled", "paymentUrl": None}
    assert api("post", f"/payments/{payment['id']}/cancel").json() == canceled.json()


def test_a_paid_payment_is_not_canceled_and_an_unpaid_one_not_refunded(api, make_payment):
    paid = make_payment(status="succeeded", facts={"asked": "1250 usd", "paid": {"pi_1": {"1250 usd": 1}}})
    assert refusal(api("post", f"/payments/{paid.pk}/cancel")) == (409, "not_cancelable")
    unpaid = api("post", f"/payments/{make_payment().pk}/refund", {}, idempotency_key="r1")
    assert refusal(unpaid) == (409, "not_refundable")


@pytest.fixture
def paid(api):
    payment = api("post", "/payments", ORDER).json()
    intent = lifecycle.pay(session_id=payment["stripeSessionId"]).payment_intent.stripe_id
    Payment.objects.update(
        status="succeeded",
        payment_intent_id=intent,
        facts={"asked": "1250 usd", "paid": {intent: {"1250 usd": 1}}},
    )
    return payment


def test_a_refund_answers_with_the_refund_and_its_payment(api, paid):
    refund = api("post", f"/payments/{paid['id']}/refund", {"amount": 500}, idempotency_key="r1")
    assert refund.status_code == 201
    assert refund.json()["paymentIntentId"] == Payment.objects.get().payment_intent_id
    assert refund.json()["id"].startswith("re_")
    assert refund.json().items() >= {"amount": 500, "currency": "usd", "status": "succeeded"}.items()
    assert refund.json()["payment"]["status"] == "partially_refunded"
    rest = api("post", f"/payments/{paid['id']}/refund", {}, idempotency_key="r2")
    assert (rest.json()["amount"], rest.json()["payment"]["status"]) == (750, "refunded")


@pytest.mark.parametrize(
    "body", [{"amount": 0}, {"amount": "5"}, {"amonut": 5}, {"paymentIntentId": ""}, [], "null", "x"]
)
def test_a_wrong_refund_is_refused_before_any_money_moves(api, paid, body):
    response = api("post", f"/payments/{paid['id']}/refund", body, idempotency_key="r1")
    assert response.status_code in {400, 422}
    assert not RefundRequest.objects.exists()


def test_a_refund_without_a_key_is_refused_with_what_to_send(api, paid):
    response = api("post", f"/payments/{paid['id']}/refund", {"amount": 500})
    assert refusal(response) == (400, "idempotency_key_required")
    assert "`Idempotency-Key`" in response.json()["error"]["message"]
    assert not RefundRequest.objects.exists()


def test_a_refund_without_a_body_is_refused_with_what_to_send(api, paid):
    response = api("post", f"/payments/{paid['id']}/refund", idempotency_key="r1")
    assert refusal(response) == (422, "invalid_request")
    assert "send `{}` to refund all that is left" in response.json()["error"]["message"]
    assert not RefundRequest.objects.exists()


def test_a_refund_names_the_payment_intent_that_it_goes_to(api, paid):
    intent = Payment.objects.get().payment_intent_id
    path = f"/payments/{paid['id']}/refund"
    another = api("post", path, {"paymentIntentId": "pi_of_another"}, idempotency_key="r1")
    assert refusal(another) == (409, "not_refundable")
    assert f"Send {intent} as paymentIntentId" in another.json()["error"]["message"]
    assert api("post", path, {"paymentIntentId": intent}, idempotency_key="r1").status_code == 201
    again = api("post", path, {"paymentIntentId": "pi_of_another"}, idempotency_key="r1")
    assert refusal(again) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["k" * 256, "with space", "ä"])
def test_a_wrong_idempotency_key_is_refused(api, key):
    response = api("post", "/payments", ORDER, idempotency_key=key)
    assert refusal(response) == (422, "invalid_request")


def test_the_api_page_is_served_without_a_cdn(client):
    page = client.get("/api/docs").content.decode()
    assert "cdn" not in page.lower()
    assert "/static/ninja/" in page
    schema = client.get("/api/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/payments",
        "/api/payments/{payment_id}",
        "/api/payments/{payment_id}/cancel",
        "/api/payments/{payment_id}/refund",
        "/api/users/{user_id}/notifications",
        "/api/users/{user_id}/token",
        "/api/users/{user_id}/disconnect",
    }
