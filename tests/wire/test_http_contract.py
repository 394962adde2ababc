"""What backends and Stripe may rely on over real HTTP, however often and however badly they ask."""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import backend, sandbox
from tests.support.frames import link
from tests.support.webhook import event, signed


def key():
    return {"Idempotency-Key": uuid.uuid4().hex}


def test_the_same_key_and_body_is_the_same_payment(server, rider):
    header, order = key(), backend.order(rider.user_id)

    first = backend.post(server, "/api/payments", order, **header)
    again = backend.post(server, "/api/payments", order, **header)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert rider.receive_all() == [link(first.json())]


def test_the_same_key_with_another_body_is_refused(server, user_id):
    header = key()
    backend.post(server, "/api/payments", backend.order(user_id), **header)

    answer = backend.post(server, "/api/payments", backend.order(user_id), **header)

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


def test_many_at_once_with_one_key_make_one_payment(server, rider):
    header, order = key(), backend.order(rider.user_id)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: backend.post(server, "/api/payments", order, **header), range(6)))

    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.content for answer in answers}) == 1
    assert rider.receive_all() == [link(answers[0].json())]


def test_a_refund_with_a_key_is_made_once(server, user_id):
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    header, path = key(), f"/api/payments/{payment['id']}/refund"

    first = backend.post(server, path, {"amount": 100}, **header)
    again = backend.post(server, path, {"amount": 100}, **header)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    intent = sandbox.payment_intent(server, payment)
    assert len(sandbox.stripe(server, "GET", "refunds", payment_intent=intent)["data"]) == 1


def test_a_ride_has_one_payment(server, user_id):
    payment = backend.ask(server, user_id)

    answer = backend.post(server, "/api/payments", backend.order(user_id, rideId=payment["rideId"]))

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ride_has_payment"
    assert answer.json()["error"]["paymentId"] == payment["id"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Authorization": ""}, {}, 401, "unauthorized"),
        ({"Authorization": "Bearer another"}, {}, 401, "unauthorized"),
        ({}, {}, 422, "invalid_request"),
        ({}, {"rideId": "r", "userId": "u", "amount": 1, "currency": "usd"}, 422, "invalid_request"),
    ],
)
def test_a_refusal_has_a_code_and_a_message(server, headers, body, status, code):
    answer = backend.post(server, "/api/payments", body, **headers)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/webhooks/stripe/", "/webhooks/stripe"])
def test_a_signed_event_is_taken_with_and_without_the_slash(server, path):
    body = event()

    answer = server.http.post(path, content=body, headers=signed(body))

    assert (answer.status_code, answer.json()["state"]) == (200, "ignored")


def test_an_event_whose_signature_does_not_match_is_refused_and_not_kept(server):
    body = event()
    bad = [
        ({}, "unsigned"),
        ({"Stripe-Signature": "?"}, "unreadable_signature"),
        (signed(b"another"), "invalid_signature"),
        (signed(body, secret="whsec_x"), "invalid_signature"),
    ]

    for headers, code in bad:
        answer = server.http.post("/webhooks/stripe/", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        metrics = server.http.get("/metrics", headers=backend.KEY).text
        assert f'payments_webhooks_refused_total{{reason="{code}"}}' in metrics
        assert f"Webhooks are refused as {code}: " in server.log

    stored = "SELECT count(*) FROM payments_webhookevent WHERE event_id = %s"
    assert server.database.execute(stored, json.loads(body)["id"])[0] == (0,)


@pytest.mark.parametrize(
    ("ahead", "code", "says"),
    [
        (-3600, "signature_too_old", r"signed 360\d seconds ago"),
        (3600, "signature_too_new", r"signed (3600|359\d) seconds from now"),
    ],
)
def test_a_clock_that_is_wrong_is_distinguished_from_a_secret_that_is_wrong(server, ahead, code, says):
    def counted():
        text = server.http.get("/metrics", headers=backend.KEY).text
        found = re.search(rf'payments_webhooks_refused_total{{reason="{code}"}} (\S+)', text)
        return float(found[1]) if found else 0.0

    body, before = event(), counted()
    for _ in range(3):
        headers = signed(body, at=time.time() + ahead)
        answer = server.http.post("/webhooks/stripe/", content=body, headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, code)
        assert re.search(says, error["message"])
        assert "check the clock of this server" in error["message"]

    assert counted() == before + 3
    assert server.log.count(f"Webhooks are refused as {code}: ") == 1
    stored = "SELECT count(*) FROM payments_webhookevent WHERE event_id = %s"
    assert server.database.execute(stored, json.loads(body)["id"])[0] == (0,)


def test_a_signature_header_may_be_joined_with_spaces_or_come_in_two_lines(server):
    for form in (lambda t, v: [f"{t}, {v}, v0={'0' * 64}"], lambda t, v: [t, v], lambda t, v: [v, t]):
        body = event()
        lines = form(*signed(body)["Stripe-Signature"].split(","))
        headers = [("Stripe-Signature", line) for line in lines]
        assert server.http.post("/webhooks/stripe/", content=body, headers=headers).status_code == 200
