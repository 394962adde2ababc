"""Events whose metadata names another payment than their session: two at the same moment do not wait for each other."""

import threading

import pytest
from django.db import connection, transaction

from payments.models import Payment, WebhookEvent
from payments.tests import stripe_events as stripe
from payments.webhooks import apply, envelope, ingest
from tests.support.plans import on_postgresql
from tests.support.server import eventually

pytestmark = [on_postgresql, pytest.mark.django_db(transaction=True)]


def crossed(payment, other):
    """Return an event of a payment's session that another payment's id was written into."""
    metadata = {"payment_id": str(other.pk)}
    return stripe.event(payment, "checkout.session.completed", payment_status="paid", metadata=metadata)


def store_and_apply(rows):
    ingest.ingest(rows)


def apply_stored(rows):
    for row in rows:
        envelope.store(row)
    apply.apply([row.event_id for row in rows])


def waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0]


def at_the_same_moment(work, *batches):
    """Let several threads begin, until each waits for its first payment; then let go of all payments."""

    def run(batch):
        try:
            work([envelope.read(body) for body in stripe.bodies(batch)])
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(batch,)) for batch in batches]
    with transaction.atomic():
        list(Payment.objects.select_for_update().order_by("pk"))
        for thread in threads:
            thread.start()
        eventually(lambda: waiting() == len(threads))
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("work", [store_and_apply, apply_stored])
def test_two_events_that_name_each_others_payments_are_both_applied_at_once(make_payment, work):
    a, b = make_payment(), make_payment()
    at_the_same_moment(work, [crossed(a, b)], [crossed(b, a)])
    assert set(WebhookEvent.objects.values_list("state", "attempts", "error")) == {("applied", 1, "")}
    assert list(Payment.objects.values_list("status", "attention")) == [("succeeded", "rewritten")] * 2


def test_batches_of_them_are_too(make_payment):
    payments = [make_payment() for _ in range(4)]
    batch = [crossed(payments[n], payments[n + 2]) for n in range(2)]
    other = [crossed(payments[n + 2], payments[n]) for n in range(2)]
    at_the_same_moment(apply_stored, batch, other)
    assert set(WebhookEvent.objects.values_list("state", "attempts", "error")) == {("applied", 1, "")}
    assert list(Payment.objects.values_list("status", "attention")) == [("succeeded", "rewritten")] * 4


def test_a_copy_that_comes_while_its_event_is_being_applied_is_the_one_that_counts(make_payment):
    """The payments are locked first: until the event is locked, too, another version of it can take its place."""
    event = stripe.paid(make_payment())[1]
    (whole,) = stripe.bodies([event])
    del event["data"]["object"]["amount_total"]
    (broken,) = stripe.bodies([event])
    envelope.store(envelope.read(broken))
    copies = [whole]

    def store(body):
        envelope.store(envelope.read(body))
        connection.close()

    def copied(execute, sql, *more):
        answer = execute(sql, *more)
        if copies and "FOR NO KEY UPDATE" in sql:
            thread = threading.Thread(target=store, args=(copies.pop(),))
            thread.start()
            thread.join()
        return answer

    with connection.execute_wrapper(copied):
        (result,) = apply.apply([event["id"]])
    assert (result.state, copies) == ("applied", [])
    assert Payment.objects.get().status == "succeeded"
