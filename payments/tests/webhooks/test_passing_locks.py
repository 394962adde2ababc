"""A lock that passes costs no event: what waits for it is tried again, and holds up nothing else."""

import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from payments import record
from payments.models import Payment, RefundRequest, WebhookEvent
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import apply, envelope, ingest, parked
from tests.support.plans import on_postgresql, session_with

pytestmark = [on_postgresql, pytest.mark.django_db(transaction=True)]

WRITE = "seen AS"


def rows(*events):
    return [envelope.read(body) for body in stripe.bodies(events)]


def store_and_apply(*events, **options):
    return ingest.ingest(rows(*events), **options)


@pytest.fixture
def impatient():
    """Let this connection wait for locks for a second, not for five."""
    with session_with("lock_timeout", "1s"):
        yield


@contextmanager
def held(lock):
    """Hold a lock on another connection until the block ends, or `release`, which is yielded, is called."""
    is_locked, released = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                lock()
                is_locked.set()
                released.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_locked.wait(10)
        yield
    finally:
        released.set()
        holder.join()


def payment_of(payment):
    return lambda: record.lock(payment.pk)


@contextmanager
def held_after_the_write(lock):
    """Hold a lock from the end of the first write on."""
    holding = []

    def wrapper(execute, sql, *more):
        answer = execute(sql, *more)
        if WRITE in sql and not holding:
            holding.append(held(lock))
            holding[0].__enter__()
        return answer

    try:
        with connection.execute_wrapper(wrapper):
            yield
    finally:
        holding[0].__exit__(None, None, None)


def states():
    return dict(WebhookEvent.objects.values_list("event_id", "state"))


def kept_as_failed(event):
    """Store an event as one that could not be applied."""
    envelope.store(*rows(event))
    WebhookEvent.objects.filter(event_id=event["id"]).update(state="failed", attempts=1)


def test_an_event_whose_payment_stays_locked_is_kept_and_applied_with_its_next_delivery(
    make_payment, impatient
):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    with held(payment_of(payment)), pytest.raises(OperationalError):
        store_and_apply(event)
    assert states() == {event["id"]: "received"}
    assert [result.state for result in store_and_apply(event)] == ["applied"]
    assert [frame["status"] for frame in wire.frames(payment.user_id)] == ["succeeded"]


@pytest.mark.parametrize("state", ["failed", "parked", "received"])
def test_a_stored_event_whose_payment_stays_locked_stays_as_it_is(make_payment, impatient, state):
    payment, other = make_payment(), make_payment()
    event, free = stripe.paid(payment)[1], stripe.paid(other)[1]
    for each in (event, free):
        kept_as_failed(each)
    WebhookEvent.objects.update(state=state)
    with held(payment_of(payment)), pytest.raises(OperationalError):
        apply.apply([event["id"], free["id"]])
    assert states() == {event["id"]: state, free["id"]: "applied"}
    assert WebhookEvent.objects.get(event_id=event["id"]).error == ""


def test_a_parked_event_whose_payment_is_locked_in_that_moment_is_applied_with_the_next_delivery(
    make_payment, impatient
):
    payment = make_payment()
    refund, completed = stripe.event(payment, "charge.refunded", amount_refunded=3), stripe.paid(payment)[1]
    store_and_apply(refund)
    with held_after_the_write(payment_of(payment)), pytest.raises(OperationalError):
        store_and_apply(completed)
    assert states() == {refund["id"]: "parked", completed["id"]: "applied"}
    assert [result.state for result in store_and_apply(completed)] == ["applied"]
    assert states()[refund["id"]] == "applied"
    assert WebhookEvent.objects.get(event_id=completed["id"]).deliveries == 2


def test_an_event_that_comes_again_for_a_locked_payment_holds_up_none_that_came_with_it(make_payment):
    good, locked = make_payment(), make_payment()
    again, fresh = stripe.paid(locked)[1], stripe.paid(good)[1]
    kept_as_failed(again)
    with held(payment_of(locked)):
        done, left = ingest.write(rows(fresh, again), together=True)
        assert (done.state, left) == ("applied", None)
        with pytest.raises(ingest.NotTogetherError):
            store_and_apply(again, together=True)
    assert states()[again["id"]] == "failed"


def test_a_delivery_whose_event_is_locked_is_counted_once_it_can_be(make_payment):
    event = stripe.paid(make_payment())[1]
    kept_as_failed(event)
    (row,) = rows(event)
    with held(lambda: list(WebhookEvent.objects.select_for_update())), pytest.raises(ingest.NotTogetherError):
        ingest.ingest([row], together=True)
    with held(payment_of(Payment.objects.get())), pytest.raises(ingest.NotTogetherError):
        ingest.ingest([row], together=True)
    assert [result.state for result in ingest.ingest([row])] == ["applied"]
    assert WebhookEvent.objects.get().deliveries == 2


def test_a_parked_event_of_a_locked_payment_keeps_waiting_only_the_event_that_made_it_known(make_payment):
    good, other = make_payment(), make_payment()
    refund = stripe.event(other, "charge.refunded", amount_refunded=3)
    store_and_apply(refund)
    batch = rows(stripe.paid(good)[1], stripe.paid(other)[1])
    with held_after_the_write(payment_of(other)):
        done, left = ingest.write(batch, together=True)
        assert (done.state, left) == ("applied", None)
        with pytest.raises(ingest.NotTogetherError):
            ingest.ingest(batch[1:], together=True)
    assert [result.state for result in ingest.ingest(batch[1:])] == ["applied"]
    assert states()[refund["id"]] == "applied"
    assert WebhookEvent.objects.get(event_id=batch[1].event_id).deliveries == 1


def test_a_request_of_a_refund_that_is_locked_is_waited_for_as_briefly_as_a_payment(make_payment):
    payment = make_payment()
    store_and_apply(*stripe.paid(payment))
    request = RefundRequest.objects.create(payment=payment, amount=500, is_full=False, idempotency_key="key")
    refunded = stripe.event(
        payment, "refund.created", of="re_1", amount=500, metadata={"refund_request": str(request.pk)}
    )
    with (
        session_with("lock_timeout", "0"),  # only what is brief ends the wait
        held(lambda: RefundRequest.objects.select_for_update().get()),
        pytest.raises(ingest.NotTogetherError),
    ):
        store_and_apply(refunded, together=True)
    assert refunded["id"] not in states()
    assert [result.state for result in store_and_apply(refunded)] == ["applied"]
    request.refresh_from_db()
    assert request.refund_id.startswith("re_1")


def test_parked_events_that_are_being_applied_are_not_given_up_and_not_waited_for(make_payment, impatient):
    held_one, old = (stripe.event(make_payment(), "charge.refunded", amount_refunded=3) for _ in range(2))
    store_and_apply(held_one, old)
    newest = WebhookEvent.objects.latest("received_at").received_at
    WebhookEvent.objects.update(received_at="2020-01-01T00:00Z")
    with held(lambda: WebhookEvent.objects.select_for_update().get(event_id=held_one["id"])):
        assert parked.give_up_waiting(before=newest) == 1
    assert states() == {held_one["id"]: "parked", old["id"]: "ignored"}
