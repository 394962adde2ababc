"""What Stripe's answers say of a request, and of the tries before it: through real HTTP, in front of the sandbox."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import connection
from django.utils import timezone

from payments.checkout import create, refund, refundable
from payments.models import Payment, RefundRequest, StatusChange
from payments.status import Status
from payments.stripe import deadline, gateway, transport
from payments.tests import broken_stripe
from payments.tests.broken_stripe import raw
from payments.tests.fetching import order, pay, start
from payments.tests.wire import frames
from stripe_sandbox.models import Refund, Session
from tests.support.server import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


def said(type_, code=None):
    return {"error": {"type": type_, "code": code, "message": "A message of Stripe's."}}


IDEMPOTENCY_ERROR = raw(400, said("idempotency_error"))
REFUSED = raw(400, said("invalid_request_error"))
ALREADY_REFUNDED = raw(400, said("invalid_request_error", "charge_already_refunded"))
SERVER_ERROR = raw(500, said("api_error"), Stripe_Should_Retry="false")


@pytest.fixture
def amiss(settings):
    """Stand in front of the sandbox; what this list holds meets the requests that make something, one after the other."""
    waiting = []

    def interfere(call):
        return waiting.pop(0) if waiting and call.method == "POST" else None

    with broken_stripe.in_front_of(settings.STRIPE_API_BASE, interfere) as (settings.STRIPE_API_BASE, calls):
        waiting_and_calls = waiting, calls
        yield waiting_and_calls


@pytest.fixture
def paid():
    payment = start()
    payment.payment_intent_id = pay(payment).payment_intent.stripe_id
    payment.facts |= {"paid": {payment.payment_intent_id: {"1250 usd": 1}}}
    payment.status = Status.SUCCEEDED
    payment.save()
    return payment


def give_back(payment, amount=500, key="key-1"):
    return refund.refund(
        payment_id=payment.pk,
        amount=amount,
        payment_intent_id=None,
        idempotency_key=key,
        cause=StatusChange.Cause.API,
    )


def once():
    """Leave time for a single try."""
    return deadline.within(transport.RETRY_NEEDS_SECONDS)


def lose(payment, waiting, **asked):
    """Ask for a refund that Stripe makes, and of which no answer arrives."""
    waiting.append("lost")
    with once(), pytest.raises(gateway.StripeUnavailable):
        give_back(payment, **asked)
    # On a busy machine the caller may have given up before Stripe has made it.
    eventually(lambda: Refund.objects.count() == 1)


@pytest.mark.parametrize(
    "answer",
    [
        IDEMPOTENCY_ERROR,
        REFUSED,
        ALREADY_REFUNDED,
        raw(402, said("card_error")),
        raw(404, said("invalid_request_error")),
    ],
)
def test_a_refund_that_was_made_is_found_whatever_stripe_says_to_its_retry(paid, amiss, answer):
    waiting, _ = amiss
    lose(paid, waiting, amount=None)
    waiting.append(answer)
    found = give_back(paid, None)
    assert found.refund_id == Refund.objects.get().stripe_id
    assert found.payment.status == Status.REFUNDED
    assert give_back(paid, None).refund_id == found.refund_id


def test_a_refund_whose_loss_and_refusal_come_within_one_request_is_found(paid, amiss):
    waiting, _ = amiss
    waiting += ["lost", REFUSED]
    assert give_back(paid).refund_id == Refund.objects.get().stripe_id


def test_a_refund_that_stripe_refuses_is_forgotten_only_where_stripe_lists_none(paid, amiss):
    waiting, calls = amiss
    waiting.append(REFUSED)
    with pytest.raises(gateway.StripeRefused):
        give_back(paid)
    assert [call.method for call in calls] == ["POST", "GET"]
    assert not RefundRequest.objects.exists()


def test_a_refused_refund_is_kept_while_nobody_can_look_for_it(paid, settings):
    def answer(method, _):
        return (400, said("invalid_request_error")) if method == "POST" else (500, said("api_error"))

    with (
        broken_stripe.answering(answer) as settings.STRIPE_API_BASE,
        pytest.raises(gateway.StripeUnavailable),
    ):
        give_back(paid)
    assert RefundRequest.objects.get().refund_id == ""


def test_a_key_that_was_used_for_something_else_is_replaced_by_another(paid, amiss):
    waiting, calls = amiss
    waiting.append(IDEMPOTENCY_ERROR)
    with pytest.raises(gateway.StripeUnavailable):
        give_back(paid)
    made = give_back(paid)
    assert (made.refund_id, made.attempt) == (Refund.objects.get().stripe_id, 2)
    keys = [call.headers["Idempotency-Key"] for call in calls if call.method == "POST"]
    assert len(set(keys)) == 2


def test_a_refund_of_another_amount_under_the_same_number_is_another_refund(paid, amiss):
    """A database that was restored to an earlier time gives a number out again."""
    waiting, _ = amiss
    lose(paid, waiting)
    RefundRequest.objects.update(amount=300, idempotency_key="key-2")
    with pytest.raises(gateway.StripeUnavailable):  # the sandbox knows the key with other parameters
        give_back(paid, 300, "key-2")
    assert give_back(paid, 300, "key-2").refund_id
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [300, 500]


@pytest.mark.parametrize(
    "answer",
    [
        raw(401, said("invalid_request_error")),
        raw(403, said("invalid_request_error")),
        raw(409, said("idempotency_error", "idempotency_key_in_use"), Stripe_Should_Retry="false"),
        raw(400, said("idempotency_error", "idempotency_key_in_use")),
        raw(429, said("invalid_request_error", "rate_limit")),
        raw(424, said("api_error")),
        raw(503, b"<html>Service Unavailable</html>", Stripe_Should_Retry="false"),
        raw(200, b"<html>a captive portal</html>"),
        raw(200, {"id": "re_1", "object": "refund"}),
        raw(200, b"[]"),
        raw(200, b"null"),
        raw(200, b"7"),
    ],
)
def test_an_answer_that_proves_nothing_leaves_the_request_as_it_is(paid, amiss, answer):
    waiting, calls = amiss
    lose(paid, waiting)
    waiting.append(answer)
    with pytest.raises(gateway.StripeError):
        give_back(paid)
    assert RefundRequest.objects.get().attempt == 1
    assert give_back(paid).refund_id == Refund.objects.get().stripe_id
    assert len({call.headers["Idempotency-Key"] for call in calls if call.method == "POST"}) == 1


def test_an_error_of_stripes_own_is_looked_into_before_another_key_is_used(paid, amiss):
    waiting, _ = amiss
    lose(paid, waiting)
    waiting.append(SERVER_ERROR)
    assert give_back(paid).refund_id == Refund.objects.get().stripe_id


def test_a_retry_asks_for_what_the_first_try_asked_for(paid, amiss):
    waiting, _ = amiss
    lose(paid, waiting)
    Payment.objects.update(payment_intent_id="pi_of_a_second_payment")
    assert give_back(paid).refund_id == Refund.objects.get().stripe_id


def test_what_is_asked_for_and_not_answered_is_not_left(paid, settings):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with once(), pytest.raises(gateway.StripeUnavailable):
        give_back(paid, 1000, "key-1")
    with pytest.raises(
        refundable.NotRefundable, match=r"at most 250: 1250 .* refunds of 1000 of them are under way"
    ):
        give_back(paid, 251, "key-2")
    with once(), pytest.raises(gateway.StripeUnavailable):
        give_back(paid, None, "key-3")
    assert RefundRequest.objects.get(idempotency_key="key-3").amount == 250
    with pytest.raises(refundable.NotRefundable, match="Wait for the refunds that are under way"):
        give_back(paid, 1, "key-4")
    refund.give_up(RefundRequest.objects.get(idempotency_key="key-1"))
    settings.STRIPE_API_BASE = there
    assert give_back(paid, 800, "key-5").refund_id
    with pytest.raises(refundable.NotRefundable, match="at most 200"):
        give_back(paid, 1000, "key-1")
    assert RefundRequest.objects.get(idempotency_key="key-1").abandoned_at


def test_many_refunds_at_once_ask_stripe_for_no_more_than_is_left(paid, amiss):
    _, calls = amiss
    barrier, ends = threading.Barrier(6), []

    def run(number):
        barrier.wait()
        try:
            ends.append(give_back(paid, 500, f"key-{number}"))
        except refundable.NotRefundable as error:
            ends.append(error)
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 6
    assert Refund.objects.count() == 2
    assert [call.method for call in calls] == ["POST", "POST"]


def test_a_session_whose_key_was_used_for_something_else_gets_another_and_one_link(amiss):
    waiting, _ = amiss
    waiting.append(IDEMPOTENCY_ERROR)
    with pytest.raises(gateway.StripeUnavailable):
        start(key="key-1")
    assert start(key="key-1").attempt == 2
    assert Session.objects.count() == 1
    assert len(frames("a@b.com")) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_session_that_was_made_is_found_once_the_key_is_mended(amiss, status):
    waiting, _ = amiss
    waiting += ["lost", raw(status, said("invalid_request_error"))]
    with pytest.raises(gateway.StripeKeyRefused):
        start(key="key-1")
    assert start(key="key-1").session_id == Session.objects.get().stripe_id


def test_an_answer_that_cannot_be_read_is_not_kept_since_it_may_hold_a_link(amiss):
    waiting, _ = amiss
    waiting += [raw(200, b'{"id": "cs_test_half", "url": "https://checkout.stripe.com/c/pay/cs_te')]
    with pytest.raises(gateway.StripeUnavailable):
        start(key="key-1")
    assert Payment.objects.get().stripe_error == "Stripe's answer could not be read (HTTP 200)."


SESSION = {"id": "cs_test_1", "object": "checkout.session", "url": "https://pay.example.com/1"}
NOT_DESCRIBED = [
    {"id": ""},
    {"id": None},
    {"id": "x" * 256},
    {"id": "cs_\0"},
    {"url": 7},
    {"url": "javascript:alert(1)"},
    {"url": "https://pay.example.com/\0"},
    {"url": "https://pay.example.com/\ud83d"},
    {"expires_at": None},
    {"expires_at": "soon"},
    {"expires_at": True},
    {"expires_at": 0},
    {"expires_at": 10**18},
]


@pytest.mark.parametrize("odd", NOT_DESCRIBED)
def test_a_session_that_cannot_be_kept_or_opened_is_asked_for_again_with_its_key(amiss, odd):
    waiting, calls = amiss
    waiting.append(raw(200, SESSION | {"expires_at": 1800000000} | odd))
    with pytest.raises(gateway.StripeUnavailable, match="could not be read"):
        start(key="key-1")
    assert start(key="key-1").session_id == Session.objects.get().stripe_id
    assert len({call.headers["Idempotency-Key"] for call in calls}) == 1
    assert len(frames("a@b.com")) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"type": "invalid_request_error", "message": ["No."]},
        {"type": "api_error", "message": {"en": "No."}},
        {"type": "invalid_request_error", "message": "No.", "code": 7},
    ],
)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_in_another_form_than_stripes_is_one_of_ours_all_the_same(settings, status, error):
    answer = raw(status, {"error": error}, Stripe_Should_Retry="false")
    with (
        broken_stripe.in_front_of("", lambda _: answer) as (settings.STRIPE_API_BASE, _),
        pytest.raises(gateway.StripeError) as raised,
    ):
        gateway.retrieve_session(session_id="cs_test_1")
    assert isinstance(raised.value.code, str)


@pytest.mark.parametrize("page", [[7], [None], [{"object": "refund"}], [{"id": 7}], {"id": "re_1"}])
def test_a_list_of_what_has_no_id_is_not_believed(settings, page):
    with (
        broken_stripe.answering(lambda *_: (200, {"data": page})) as settings.STRIPE_API_BASE,
        pytest.raises(gateway.StripeUnavailable, match="could not be read"),
    ):
        list(gateway.list_refunds(payment_intent_id="pi_1"))


@pytest.mark.parametrize("metadata", [None, ["1"], "1", {"refund_request": 1}])
def test_a_refund_whose_metadata_is_of_another_kind_is_not_the_one_that_was_lost(paid, settings, metadata):
    listed = {"data": [{"id": "re_1", "amount": 500, "metadata": metadata}]}

    def answer(method, _):
        return (400, said("invalid_request_error")) if method == "POST" else (200, listed)

    with broken_stripe.answering(answer) as settings.STRIPE_API_BASE, pytest.raises(gateway.StripeRefused):
        give_back(paid)
    assert not RefundRequest.objects.exists()


def test_a_list_that_gives_its_first_page_for_ever_comes_to_an_end(settings):
    """Such as that of a cache on the way, which does not look at the query."""
    page = {"data": [{"id": "re_2"}, {"id": "re_1"}], "has_more": True}
    with (
        broken_stripe.answering(lambda *_: (200, page)) as settings.STRIPE_API_BASE,
        pytest.raises(gateway.StripeUnavailable, match="could not be read"),
    ):
        list(gateway.list_refunds(payment_intent_id="pi_1"))


DATES = {
    format_datetime(datetime.now(tz=UTC) + timedelta(days=1), usegmt=True): 3600,
    format_datetime(datetime.now(tz=UTC) - timedelta(days=1), usegmt=True): 1,
}


WAITS = {"60": 60, "0": 1, "999999": 3600, "-5": None, "soon": None, "": None, "²": None, **DATES}


def test_how_long_stripe_asks_to_wait_is_read_and_bounded(settings):
    sent = iter(WAITS)

    def limited(_):
        return raw(429, said("invalid_request_error", "rate_limit"), Retry_After=next(sent))

    understood = []
    with broken_stripe.in_front_of("", limited) as (settings.STRIPE_API_BASE, _):
        for _ in WAITS:
            with pytest.raises(gateway.StripeUnavailable) as unavailable:
                gateway.retrieve_session(session_id="cs_test_1")
            understood.append(unavailable.value.retry_after)
    assert understood == list(WAITS.values())


def test_as_many_requests_as_there_are_threads_keep_their_connections(settings, caplog):
    at_once = 40
    all_are_there = threading.Barrier(at_once)

    def refuse(*_):
        all_are_there.wait(timeout=20)
        return 404, broken_stripe.error("No such session.", "invalid_request_error")

    def ask(_):
        with pytest.raises(gateway.StripeRefused):
            gateway.retrieve_session(session_id="cs_test_1")

    with (
        broken_stripe.answering(refuse) as settings.STRIPE_API_BASE,
        ThreadPoolExecutor(at_once) as threads,
        caplog.at_level("WARNING", "urllib3"),
    ):
        list(threads.map(ask, range(at_once)))
    assert not caplog.records


@pytest.mark.parametrize("misbehave", [broken_stripe.silent, broken_stripe.trickling])
def test_a_stripe_that_does_not_come_to_an_end_is_left_at_the_deadline(settings, misbehave):
    with broken_stripe.in_front_of("", lambda _: misbehave) as (settings.STRIPE_API_BASE, calls):
        began = time.monotonic()
        with deadline.within(0.5), pytest.raises(gateway.StripeUnavailable, match="cannot be reached"):
            create.start(order=order())
        assert time.monotonic() - began < deadline.REQUEST_SECONDS / 2
        assert len(calls) == 1


def test_a_stripe_that_thinks_for_longer_than_it_takes_to_connect_is_waited_for(settings, monkeypatch):
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)

    def slow(connection):
        time.sleep(0.5)
        connection.sendall(REFUSED)

    with broken_stripe.in_front_of("", lambda _: slow) as (settings.STRIPE_API_BASE, calls):
        with pytest.raises(gateway.StripeRefused):
            gateway.expire_session(session_id="cs_test_1")
        assert len(calls) == 1


def test_no_try_begins_that_has_too_little_time(settings):
    down = raw(500, said("api_error"))
    with broken_stripe.in_front_of("", lambda _: down) as (settings.STRIPE_API_BASE, calls):
        payment, _ = create._reserve(order=order(), key={"api_key": "", "idempotency_key": None})
        with (
            deadline.within(transport.RETRY_NEEDS_SECONDS),
            pytest.raises(gateway.StripeUnavailable) as error,
        ):
            create.complete(payment)
        assert error.value.is_final
        assert len(calls) == 1
        with pytest.raises(gateway.StripeUnavailable):
            create.complete(payment)
        assert len(calls) == 1 + transport.TRIES  # with time enough


def test_nothing_is_asked_once_the_time_is_up(settings, amiss):
    _, calls = amiss
    with deadline.within(0), pytest.raises(gateway.StripeUnavailable):
        gateway.retrieve_session(session_id="cs_test_1")
    assert calls == []


def test_a_call_cannot_take_more_time_than_its_request_has_left():
    with deadline.within(60), deadline.within(5):
        assert 4 < deadline.seconds_left() <= 5
        with deadline.within(60):
            assert deadline.seconds_left() <= 5
    assert deadline.seconds_left() == deadline.REQUEST_SECONDS


def test_stripe_is_asked_for_the_version_that_is_read_and_learns_which_service_asks(amiss):
    _, calls = amiss
    start()
    assert calls[0].headers["Stripe-Version"] == transport.API_VERSION
    assert "payment-notifications" in calls[0].headers["User-Agent"]


@pytest.mark.parametrize("scheme", ["http://", ""], ids=["with its scheme", "without"])
def test_stripe_is_asked_through_the_proxy_that_the_environment_names(settings, monkeypatch, scheme):
    not_found = raw(404, said("invalid_request_error"))
    with broken_stripe.in_front_of("", lambda _: not_found) as (proxy, calls):
        monkeypatch.setenv("http_proxy", proxy.replace("http://", f"{scheme}a-user:p%40ss@"))
        transport._connections.cache_clear()
        settings.STRIPE_API_BASE = "http://stripe.invalid"
        with pytest.raises(gateway.StripeRefused):
            gateway.expire_session(session_id="cs_test_1")
    (call,) = calls
    assert call.path == "http://stripe.invalid/v1/checkout/sessions/cs_test_1/expire"
    assert call.headers["proxy-authorization"] == "Basic YS11c2VyOnBAc3M="


def test_a_key_is_live_unless_it_says_that_it_is_for_tests():
    for key in ("sk_live_1", "rk_live_1", "sk_org_live_1", "rk_org_live_1", "sk_1", "sk_new_live_1"):
        assert gateway.is_live(key)
    for key in ("sk_test_1", "rk_test_1", "sk_org_test_1", ""):
        assert not gateway.is_live(key)


def test_a_refund_that_was_given_up_and_is_asked_for_again_is_looked_for(paid, amiss):
    waiting, _ = amiss
    lose(paid, waiting)
    RefundRequest.objects.update(created_at=timezone.now() - gateway.KEYS_KEPT, abandoned_at=timezone.now())
    assert give_back(paid).refund_id == Refund.objects.get().stripe_id
