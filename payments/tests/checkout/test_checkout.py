"""Payments asked for at the sandbox's API, through the official client and real HTTP."""

import threading
import uuid

import pytest
from django.db import OperationalError, connection, transaction

from notifications import installation
from payments import record
from payments.checkout import cancel, create, refund, refundable
from payments.models import Payment, RefundRequest, StatusChange
from payments.status import Status, derive
from payments.stripe import gateway
from payments.tests import stripe_events
from payments.tests.wire import frames
from payments.webhooks import apply, envelope
from stripe_sandbox.checkout import lifecycle, refunds
from stripe_sandbox.models import Session
from tests.support.plans import on_postgresql, session_with
from tests.support.server import eventually

pytestmark = pytest.mark.django_db(transaction=True)


REFUND = {"at": 1, "amount": 1250, "status": "succeeded", "intent": "pi_1"}
DISPUTE = {
    "at": 1,
    "intent": "pi_1",
    "amount": 1250,
    "currency": "usd",
    "status": "needs_response",
    "case_type": "",
    "movements": {},
}


def make_order(**fields):
    values = {"ride_id": "ride_1", "user_id": "a@b.com", "amount": 1250, "currency": "usd"}
    return create.Order(**(values | fields))


@pytest.fixture
def start(stripe_api):
    return lambda key=None, **fields: create.start(order=make_order(**fields), idempotency_key=key)


def test_a_payment_gets_a_session_and_the_user_its_link(start):
    payment = start(description="To the airport")
    session = Session.objects.get(stripe_id=payment.session_id)
    assert (session.amount_total, session.currency) == (1250, "usd")
    assert payment.status == Status.PENDING
    assert payment.expires_at == session.expires_at.replace(microsecond=0)
    assert frames("a@b.com") == [
        {
            "type": "payment_url",
            "rideId": "ride_1",
            "paymentUrl": payment.payment_url,
            "status": "pending",
        }
    ]


def test_the_same_key_and_body_is_the_same_payment(start):
    first, second = start("key-1"), start("key-1")
    assert first.pk == second.pk
    assert Session.objects.count() == 1
    assert len(frames("a@b.com")) == 1


def test_the_same_key_with_another_body_is_refused(start):
    start("key-1")
    with pytest.raises(create.IdempotencyKeyReused):
        start("key-1", amount=1300)
    assert Payment.objects.count() == 1


def test_a_ride_has_one_open_or_paid_payment(start):
    first = start()
    with pytest.raises(create.RideHasPayment) as refused:
        start()
    assert refused.value.payment.pk == first.pk
    assert str(first.pk) in str(refused.value)


def test_a_ride_whose_payment_ended_can_be_asked_for_again(start):
    first = start()
    cancel.cancel(payment_id=first.pk, cause=StatusChange.Cause.API)
    assert start().pk != first.pk


def test_a_ride_that_was_paid_after_all_is_not_charged_again(start):
    """The payment had ended and let go of its ride when the news came that it was paid."""
    payment = start()
    Payment.objects.filter(pk=payment.pk).update(ride_claim=None, status=Status.SUCCEEDED)
    with pytest.raises(create.RideHasPayment):
        start()


def test_the_same_request_many_times_at_once_is_one_payment(start):
    barrier, made = threading.Barrier(5), []

    def run():
        barrier.wait()
        made.append(start("key-1").pk)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 5
    assert len(set(made)) == 1
    assert Session.objects.count() == 1
    assert len(frames("a@b.com")) == 1


def test_two_requests_for_a_ride_at_once_make_one_payment(start):
    barrier, refused = threading.Barrier(4), []

    def run(amount):
        barrier.wait()
        try:
            start(amount=amount)
        except create.RideHasPayment as error:
            refused.append(error)
        connection.close()

    threads = [threading.Thread(target=run, args=(1000 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert Payment.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_of_requests_with_different_keys_at_once_one_gets_the_payment_and_keeps_it(start, settings):
    """The first try had no key, and Stripe did not answer: either request could finish it."""
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with pytest.raises(gateway.StripeUnavailable):
        start()
    settings.STRIPE_API_BASE = there
    made, refused = {}, []

    def run(key):
        try:
            made[key] = start(key).pk
        except create.RideHasPayment:
            refused.append(key)
        connection.close()

    threads = [threading.Thread(target=run, args=(key,)) for key in ("key-1", "key-2")]
    with transaction.atomic(), connection.cursor() as cursor:
        Payment.objects.select_for_update().get()
        for thread in threads:
            thread.start()
        eventually(lambda: waiting(cursor) == 2)
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    [(key, payment_id)] = made.items()
    assert start(key).pk == payment_id
    assert len(frames("a@b.com")) == 1


def waiting(cursor):
    cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
    return cursor.fetchone()[0]


@pytest.mark.parametrize("key", [None, "key-1"])
def test_when_stripe_is_away_the_payment_is_kept_and_the_same_request_completes_it(start, settings, key):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with pytest.raises(gateway.StripeUnavailable):
        start(key)
    kept = Payment.objects.get()
    assert kept.stripe_error
    assert frames("a@b.com") == []
    settings.STRIPE_API_BASE = there
    payment = start(key)
    assert payment.pk == kept.pk
    assert payment.session_id
    assert len(frames("a@b.com")) == 1


def test_when_stripe_refuses_the_payment_is_kept_and_another_order_needs_it_canceled(start, settings):
    url, settings.PUBLIC_URL = settings.PUBLIC_URL, "nowhere"
    with pytest.raises(gateway.StripeRefused):
        start()
    settings.PUBLIC_URL = url
    kept = Payment.objects.get()
    with pytest.raises(create.RideHasPayment):
        start(amount=1300)
    assert cancel.cancel(payment_id=kept.pk, cause=StatusChange.Cause.API).status == Status.CANCELED
    assert frames("a@b.com") == []  # nobody was notified
    assert start(amount=1300).session_id


def test_an_answer_of_stripe_that_got_lost_is_the_same_session_on_the_next_try(start):
    payment = start("key-1")
    Payment.objects.filter(pk=payment.pk).update(
        session_id=None, payment_url="", link_seq=None, expires_at=None
    )
    assert start("key-1").session_id == payment.session_id
    assert Session.objects.count() == 1


def test_a_repetition_that_meets_its_finished_payment_by_the_ride_is_no_second_request(start):
    """The first request may be committed between the looks for the key and for the ride."""
    payment = start("key-1")
    digest = make_order().digest()

    again = create._adopted(payment.pk, digest=digest, key={"api_key": "", "idempotency_key": "key-1"})
    assert again == payment
    for other in ({"api_key": "b", "idempotency_key": "key-1"}, {"api_key": "", "idempotency_key": "key-2"}):
        with pytest.raises(create.RideHasPayment):
            create._adopted(payment.pk, digest=digest, key=other)


def test_canceling_ends_the_session_and_tells_the_user_once(start):
    payment = start()
    for _ in range(2):
        payment = cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API)
        assert payment.status == Status.CANCELED
    assert Session.objects.get().status == "expired"
    assert [frame.get("status") for frame in frames("a@b.com")] == ["pending", "canceled"]


@on_postgresql
def test_a_payment_takes_three_statements_and_no_transaction_around_them(
    start, django_assert_num_queries, monkeypatch
):
    # What a process knows of the installation it reads anew after a second, and in tests the one before is gone.
    monkeypatch.setattr(installation, "FRESH_SECONDS", 60)
    installation.read()
    start(ride_id="warm")
    with django_assert_num_queries(3):
        payment = start(ride_id="ride-2")
    stored = Payment.objects.get(pk=payment.pk)
    names = [field.attname for field in Payment._meta.concrete_fields]
    assert {name: getattr(payment, name) for name in names} == {name: getattr(stored, name) for name in names}
    assert stored.link_seq == 2


def test_a_payment_that_changed_while_stripe_was_asked_is_read_anew(start):
    payment, version = create._reserve(order=make_order(), key={"api_key": "", "idempotency_key": None})
    params = {"params": payment.stripe_params, "idempotency_key": f"payment-{payment.pk}"}
    record.learn(payment.pk, {"rewritten": 1}, cause=StatusChange.Cause.API)
    session = gateway.create_session(**params)
    announced = create._announce(payment, session=session, version=version)
    assert announced.link_seq == 1
    assert announced.facts["rewritten"] == 1
    again = create._announce(payment, session=session, version=version)
    assert again.link_seq == 1
    assert len(frames("a@b.com")) == 1


@on_postgresql
def test_only_the_row_of_a_payment_is_committed_without_a_flush(start):
    with session_with("synchronous_commit", "on"), connection.cursor() as cursor:
        create._reserve(order=make_order(), key={"api_key": "", "idempotency_key": None})
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


def test_a_payment_that_the_database_lost_while_stripe_was_asked_is_made_again(start):
    payment, version = create._reserve(order=make_order(), key={"api_key": "", "idempotency_key": None})
    session = gateway.create_session(params=payment.stripe_params, idempotency_key=f"payment-{payment.pk}")
    payment.delete()
    payment.pk = uuid.UUID(session["client_reference_id"])
    with pytest.raises(OperationalError, match="lost the payment"):
        create._announce(payment, session=session, version=version)
    assert start().link_seq == 1
    assert len(frames("a@b.com")) == 1


def test_a_payment_that_was_canceled_while_stripe_was_asked_is_not_handed_over(start):
    key = {"api_key": "backend", "idempotency_key": "key-1"}
    payment, version = create._reserve(order=make_order(), key=key)
    session = gateway.create_session(params=payment.stripe_params, idempotency_key=f"payment-{payment.pk}")
    cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API)
    payment = create._announce(payment, session=session, version=version)
    assert payment.status == Status.CANCELED
    assert Session.objects.get().status == "expired"
    assert frames("a@b.com") == []


def test_a_request_whose_payment_was_canceled_gets_that_payment_and_asks_stripe_nothing(start, settings):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with pytest.raises(gateway.StripeUnavailable):
        start("key-1")
    settings.STRIPE_API_BASE = there
    cancel.cancel(payment_id=Payment.objects.get().pk, cause=StatusChange.Cause.API)
    assert start("key-1").status == Status.CANCELED
    assert not Session.objects.exists()


def test_a_cancel_whose_answer_got_lost_succeeds_on_the_next_try(start):
    payment = start()
    lifecycle.expire(session_id=payment.session_id)
    assert cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API).status == Status.CANCELED


def test_after_an_error_of_stripe_the_next_try_is_another_request(start, settings):
    """Stripe repeats a stored answer to the same key, an error of its own too."""
    url, settings.PUBLIC_URL = settings.PUBLIC_URL, "nowhere"
    with pytest.raises(gateway.StripeRefused):
        start()
    settings.PUBLIC_URL = url
    assert Payment.objects.get().attempt == 2


def test_stripe_is_not_asked_within_a_transaction():
    with transaction.atomic(), pytest.raises(RuntimeError):
        gateway.expire_session(session_id="cs_test_1")


def test_a_payment_that_was_just_paid_is_not_canceled(start):
    payment = start()
    lifecycle.pay(session_id=payment.session_id)
    with pytest.raises(cancel.NotCancelable):
        cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API)
    payment.refresh_from_db()
    assert payment.status == Status.PENDING  # its event is still on the way


@pytest.fixture
def paid(start):
    payment = start()
    session = lifecycle.pay(session_id=payment.session_id)
    payment.payment_intent_id = session.payment_intent.stripe_id
    payment.facts |= {"paid": {payment.payment_intent_id: {"1250 usd": 1}}}
    payment.status = Status.SUCCEEDED
    payment.save()
    payment.intents.create(intent_id=payment.payment_intent_id)
    return payment


def give_back(payment, amount=None, key=None, intent=None):
    return refund.refund(
        payment_id=payment.pk,
        amount=amount,
        payment_intent_id=intent,
        idempotency_key=key or uuid.uuid4().hex,
        cause=StatusChange.Cause.API,
    )


def test_a_refund_in_part_and_then_of_the_rest(paid):
    assert give_back(paid, 500).payment.status == Status.PARTIALLY_REFUNDED
    rest = give_back(paid)
    assert (rest.amount, rest.payment.status) == (750, Status.REFUNDED)
    assert [frame["status"] for frame in frames("a@b.com")][1:] == ["partially_refunded", "refunded"]


def test_the_same_refund_with_its_key_is_made_once(paid):
    first, second = give_back(paid, 500, "key-1"), give_back(paid, 500, "key-1")
    assert first.refund_id == second.refund_id
    assert second.payment.status == Status.PARTIALLY_REFUNDED
    with pytest.raises(create.IdempotencyKeyReused):
        give_back(paid, 600, "key-1")
    with pytest.raises(create.IdempotencyKeyReused):
        give_back(paid, None, "key-1")


def test_more_than_is_left_is_not_refunded(paid):
    give_back(paid, 1000)
    with pytest.raises(refundable.NotRefundable, match="250"):
        give_back(paid, 251)


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        ({}, "only a paid payment"),
        ({"disputes": {"du_1": DISPUTE}}, "the customer's bank decides"),
        ({"refunds": {"re_1": REFUND | {"status": "pending"}}}, "Wait for the refunds that are under way"),
        (
            {"refunds": {"re_1": REFUND | {"status": "of_tomorrow"}}},
            "Wait for the refunds that are under way",
        ),
        ({"refunds": {"re_1": REFUND}}, "nothing is left"),
        ({"refunds": {"re_1": REFUND}, "unknown": {"refund.amount": 1}}, "Stripe's dashboard"),
        ({"paid": {"": {"1250 usd": 1}}}, "Stripe's dashboard"),
    ],
)
def test_a_payment_of_which_nothing_can_go_back_says_why(start, facts, advice):
    payment = start()
    payment.facts |= facts
    payment.status = derive(payment.facts)
    payment.save()
    with pytest.raises(refundable.NotRefundable, match=advice):
        give_back(payment)


def test_a_refund_that_stripe_did_not_answer_is_the_same_refund_on_the_next_try(paid, settings):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with pytest.raises(gateway.StripeUnavailable):
        give_back(paid, 500, "key-1")
    settings.STRIPE_API_BASE = there
    give_back(paid, 500, "key-1")
    assert RefundRequest.objects.count() == 1


def test_a_refund_after_an_error_of_stripe_is_another_request(paid, monkeypatch):
    """Stripe repeats a stored answer to the same key, an error of its own too."""

    def fail(**_):
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(refunds, "refund", fail)
        with pytest.raises(gateway.StripeUnavailable):
            give_back(paid, 500, "key-1")

    assert give_back(paid, 500, "key-1").refund_id
    assert RefundRequest.objects.count() == 1


def test_a_refund_that_others_completed_is_handed_to_the_same_request_and_made_once(paid, settings):
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:1"
    with pytest.raises(gateway.StripeUnavailable):
        give_back(paid, 500, "key-1")
    settings.STRIPE_API_BASE = there
    completed = refund.complete(RefundRequest.objects.get(), cause=StatusChange.Cause.RECONCILIATION)

    assert give_back(paid, 500, "key-1").refund_id == completed.refund_id
    assert give_back(paid, 500, "key-2").refund_id != completed.refund_id
    assert RefundRequest.objects.count() == 2


def test_a_refund_whose_answer_got_lost_is_known_by_its_event(paid):
    made = give_back(paid, 500)
    lost = RefundRequest.objects.get(pk=made.pk)
    RefundRequest.objects.update(refund_id="", refund_status="")
    event = stripe_events.event(
        paid,
        "refund.created",
        of="re_1",
        amount=500,
        payment_intent=paid.payment_intent_id,
        metadata={"refund_request": str(lost.pk)},
    )
    envelope.store(envelope.read(stripe_events.bodies([event])[0]))
    apply.apply([event["id"]])
    lost.refresh_from_db()
    assert lost.refund_id.startswith("re_1")


def test_a_payment_with_another_sum_can_be_given_back(paid):
    Payment.objects.update(
        status="pending",
        facts={"asked": "1300 usd", "paid": {paid.payment_intent_id: {"1250 usd": 1}}},
    )
    assert give_back(paid).amount == 1250
    paid.refresh_from_db()
    assert (paid.status, paid.ride_claim) == (Status.REFUNDED, None)


def test_a_refund_that_stripe_refused_is_forgotten(paid):
    refunds.refund(payment_intent_id=paid.payment_intent_id)  # somebody else gave it back
    with pytest.raises(gateway.StripeRefused):
        give_back(paid)
    assert not RefundRequest.objects.exists()


@pytest.fixture
def event_comes_first(monkeypatch):
    """Let the event of a call to Stripe be applied before its answer is."""

    def arrange(name, event_of):
        call = getattr(gateway, name)

        def call_and_deliver(**asked):
            answer = call(**asked)
            event = event_of(answer)
            envelope.store(envelope.read(stripe_events.bodies([event])[0]))
            apply.apply([event["id"]])
            return answer

        monkeypatch.setattr(gateway, name, call_and_deliver)

    return arrange


def names_of_changes(payment):
    return list(payment.changes.order_by("pk").values_list("after", "cause", "api_key"))


def test_a_cancel_whose_event_comes_first_bears_the_name_of_its_key(start, event_comes_first):
    payment = start()
    event_comes_first("expire_session", lambda _: stripe_events.expired(payment)[0])

    cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API, api_key="backend")
    cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.API, api_key="another")
    assert names_of_changes(payment) == [("canceled", "event", "backend")]


def test_a_refund_whose_event_comes_first_bears_the_name_of_its_key(paid, event_comes_first):
    def refunded(made):
        event = stripe_events.event(
            paid, "refund.created", of="re_1", amount=500, payment_intent=paid.payment_intent_id
        )
        event["data"]["object"]["id"] = made["id"]
        return event

    event_comes_first("create_refund", refunded)
    made = refund.refund(
        payment_id=paid.pk,
        amount=500,
        payment_intent_id=None,
        idempotency_key="key-1",
        cause=StatusChange.Cause.API,
        api_key="backend",
    )
    assert made.api_key == "backend"
    assert names_of_changes(paid) == [("partially_refunded", "event", "backend")]
