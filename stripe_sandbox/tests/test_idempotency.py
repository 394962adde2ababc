import threading
from datetime import timedelta

import pytest
import stripe
from django.utils import timezone

from stripe_sandbox.api import idempotency
from stripe_sandbox.api.responses import ApiResponse
from stripe_sandbox.checkout import lifecycle
from stripe_sandbox.errors import ApiError
from stripe_sandbox.models import IdempotentRequest, Refund, Session
from stripe_sandbox.tests.conftest import make_session, session_params

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("stripe_sandbox.tests.urls")]


def once(*, key="k", path="/v1/x", form=None, run=None, request_id="req_1") -> ApiResponse:
    run = run or (lambda: ApiResponse.of({"made": request_id}, request_id=request_id))
    return idempotency.respond_once(key=key, path=path, form=form or {}, request_id=request_id, run=run)


def test_the_same_request_gets_the_same_answer(stripe_client):
    create = stripe_client.v1.checkout.sessions.create
    first = create(session_params(), {"idempotency_key": "ride-7"})
    second = create(session_params(), {"idempotency_key": "ride-7"})
    assert second == first
    assert Session.objects.count() == 1
    headers = second.last_response.headers
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Original-Request"] == first.last_response.headers["Request-Id"] != headers["Request-Id"]
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert headers["Idempotency-Key"] == "ride-7"


def test_the_answer_stays_the_same_when_the_session_has_moved_on(stripe_client):
    create = stripe_client.v1.checkout.sessions.create
    first = create(session_params(), {"idempotency_key": "ride-7"})
    lifecycle.pay(session_id=first.id)
    assert create(session_params(), {"idempotency_key": "ride-7"}).status == "open"


def test_another_request_with_the_same_key_is_refused(stripe_client):
    create = stripe_client.v1.checkout.sessions.create
    made = create(session_params(), {"idempotency_key": "ride-7"})
    for params in (session_params(client_reference_id="other"), session_params(mode="loan")):
        with pytest.raises(stripe.IdempotencyError, match="same parameters") as raised:
            create(params, {"idempotency_key": "ride-7"})
        assert raised.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        stripe_client.v1.checkout.sessions.expire(made.id, {}, {"idempotency_key": "ride-7"})


def test_a_refusal_of_the_parameters_leaves_the_key_unused(stripe_client):
    create = stripe_client.v1.checkout.sessions.create
    with pytest.raises(stripe.InvalidRequestError):
        create(session_params(mode="loan"), {"idempotency_key": "ride-7"})
    assert create(session_params(), {"idempotency_key": "ride-7"}).status == "open"


def test_what_is_not_possible_stays_so_for_its_key(stripe_client):
    intent_id = lifecycle.decline(session_id=make_session().stripe_id).payment_intent.stripe_id
    refund = {"payment_intent": intent_id}
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        stripe_client.v1.refunds.create(refund, {"idempotency_key": "refund-7"})
    lifecycle.pay(session_id=Session.objects.get().stripe_id)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge") as raised:
        stripe_client.v1.refunds.create(refund, {"idempotency_key": "refund-7"})
    assert raised.value.headers["Idempotent-Replayed"] == "true"
    assert stripe_client.v1.refunds.create(refund, {"idempotency_key": "refund-8"}).status == "succeeded"


def test_a_key_may_have_255_characters(stripe_client):
    create = stripe_client.v1.checkout.sessions.create
    create(session_params(), {"idempotency_key": "k" * 255})
    with pytest.raises(stripe.IdempotencyError, match="255 characters"):
        create(session_params(), {"idempotency_key": "k" * 256})


def test_a_crash_is_answered_and_answered_again_and_undoes_its_work(caplog):
    def crash():
        make_session()
        raise RuntimeError

    crashed = once(run=crash, request_id="req_1")
    assert crashed.status == 500
    assert "req_1" in caplog.text
    assert once(request_id="req_2") == crashed
    assert not Session.objects.exists()


def test_a_key_in_use_is_refused():
    def ask_again():
        with pytest.raises(ApiError) as raised:
            once(request_id="req_2")
        assert (raised.value.status, raised.value.code) == (409, "idempotency_key_in_use")
        return ApiResponse.of({"made": "req_1"}, request_id="req_1")

    assert (
        once(run=ask_again)
        == once(request_id="req_3")
        == ApiResponse.of({"made": "req_1"}, request_id="req_1")
    )


def test_of_many_requests_at_once_with_one_key_one_makes_a_session(stripe_client):
    made, refused = [], []

    def create():
        try:
            made.append(
                stripe_client.v1.checkout.sessions.create(session_params(), {"idempotency_key": "ride-7"}).id
            )
        except stripe.APIError as error:
            refused.append(error.http_status)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(made) == {Session.objects.get().stripe_id}
    assert len(made) + len(refused) == 6
    assert set(refused) <= {409}


def test_the_key_of_a_process_that_died_is_free_again_after_a_while():
    def die():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(run=die)
    with pytest.raises(ApiError, match="in-progress"):
        once(request_id="req_2")
    IdempotentRequest.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert once(request_id="req_3") == ApiResponse.of({"made": "req_3"}, request_id="req_3")


def test_who_lost_its_key_while_it_worked_undoes_its_work():
    def too_slow():
        make_session()
        IdempotentRequest.objects.update(request_id="req_2")
        return ApiResponse.of({}, request_id="req_1")

    with pytest.raises(ApiError, match="took too long") as raised:
        once(run=too_slow)
    assert raised.value.status == 409
    assert not Session.objects.exists()


def test_keys_are_kept_for_a_day():
    once()
    made = IdempotentRequest.objects.get().created_at
    idempotency.forget_old(now=made + timedelta(hours=24))
    assert IdempotentRequest.objects.exists()
    idempotency.forget_old(now=made + timedelta(hours=24, seconds=1))
    assert not IdempotentRequest.objects.exists()


def test_refunds_of_clients_that_try_again_are_made_once(stripe_client):
    intent_id = lifecycle.pay(session_id=make_session().stripe_id).payment_intent.stripe_id
    for _ in range(3):
        stripe_client.v1.refunds.create(
            {"payment_intent": intent_id, "amount": 100}, {"idempotency_key": "r"}
        )
    assert Refund.objects.get().amount == 100
