"""Events are read and written without a transaction around them: what others write in between is never overwritten."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from notifications.models import Notification
from payments import record
from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import envelope, ingest
from tests.support.plans import on_postgresql, session_with
from tests.support.server import eventually

pytestmark = [on_postgresql, pytest.mark.django_db(transaction=True)]

READ, WRITE = "owner AS", "seen AS"


def store_and_apply(events):
    return ingest.ingest([envelope.read(body) for body in stripe.bodies(events)])


def elsewhere(work, *arguments):
    """Run something on another connection."""

    def run():
        try:
            return work(*arguments)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(20)


@contextmanager
def between(work):
    """Run something once, after what is first read and before it is written."""
    left = [work]

    def wrapper(execute, sql, *more):
        if WRITE in sql and left:
            left.pop()()
        return execute(sql, *more)

    with connection.execute_wrapper(wrapper):
        yield
    assert not left


def at_once(*batches):
    """Store and apply several batches, each on a connection of its own, all of which are read before one is written."""
    ready = threading.Barrier(len(batches))

    def run(batch):
        with between(lambda: ready.wait(10)):
            return store_and_apply(batch)

    with ThreadPoolExecutor(len(batches)) as pool:
        running = [pool.submit(elsewhere_in_thread, run, batch) for batch in batches]
        return [result for each in running for result in each.result(20)]


def elsewhere_in_thread(work, *arguments):
    try:
        return work(*arguments)
    finally:
        connection.close()


def seqs(user_id):
    found = Notification.objects.filter(feed__user_id=user_id).order_by("seq")
    return list(found.values_list("seq", flat=True))


def test_an_event_takes_one_statement_to_read_one_to_write_and_one_to_look_for_what_waits(make_payment):
    statements = []

    def note(execute, sql, *more):
        statements.append(sql)
        return execute(sql, *more)

    store_and_apply(stripe.paid(make_payment()))  # what wakes connections is read once
    payments = [make_payment() for _ in range(3)]
    with connection.execute_wrapper(note):
        store_and_apply([stripe.paid(payment)[1] for payment in payments])
        assert [READ in statements[0], WRITE in statements[1], "'parked'" in statements[2]] == [True] * 3
        assert len(statements) == 3
        statements.clear()
        store_and_apply([stripe.event(payments[0], "charge.refunded", amount_refunded=5)])
    assert [READ in statements[0], WRITE in statements[1], len(statements)] == [True, True, 2]


def test_what_another_event_adds_between_the_read_and_the_write_is_kept(make_payment):
    payment = make_payment()
    store_and_apply(stripe.paid(payment)[:1])
    first, second = (
        stripe.event(payment, "charge.refunded", amount_refunded=amount) for amount in (300, 1250)
    )
    with between(lambda: elsewhere(store_and_apply, [first])):
        (result,) = store_and_apply([second])
    assert result.state == "applied"
    assert [change.after for change in StatusChange.objects.all()] == [
        "succeeded",
        "partially_refunded",
        "refunded",
    ]
    assert WebhookEvent.objects.filter(attempts=1, state="applied").count() == 3
    assert seqs(payment.user_id) == [1, 2, 3]


def test_what_the_api_adds_between_the_read_and_the_write_is_kept(make_payment):
    payment = make_payment()

    def cancel():
        record.learn(payment.pk, {"canceled": 1_700_000_000}, cause=StatusChange.Cause.API)

    with between(lambda: elsewhere(cancel)):
        (result,) = store_and_apply(stripe.paid(payment)[1:])
    assert result.state == "applied"
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert payment.facts.keys() >= {"canceled", "paid"}
    assert len(seqs(payment.user_id)) == StatusChange.objects.exclude(seq=None).count()


def test_an_event_whose_payment_is_being_changed_waits_for_the_change_and_is_worked_out_on_it(make_payment):
    payment = make_payment()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            record.lock(payment.pk)
            running = pool.submit(elsewhere_in_thread, store_and_apply, stripe.paid(payment)[1:])
            eventually(waits_for_a_lock)
            record.learn(payment.pk, {"canceled": 1_700_000_000}, cause=StatusChange.Cause.API)
        assert [result.state for result in running.result(20)] == ["applied"]
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert payment.facts.keys() >= {"canceled", "paid"}


def test_a_database_whose_snapshots_last_costs_no_event(make_payment):
    """A pooler may drop what this service asks of a session, and a DBA may have another default."""
    payment = make_payment()
    refunds = [stripe.event(payment, "charge.refunded", amount_refunded=amount) for amount in (300, 1250)]
    store_and_apply(stripe.paid(payment)[1:])
    lasting = session_with("default_transaction_isolation", "repeatable read")
    with lasting, between(lambda: elsewhere(store_and_apply, refunds[:1])):
        (result,) = store_and_apply(refunds[1:])
    assert result.state == "applied"
    assert WebhookEvent.objects.filter(attempts=1, state="applied").count() == 3


def test_an_event_whose_snapshot_is_too_old_when_it_has_waited_is_read_anew(make_payment):
    payment, other = make_payment(user_id="rider"), make_payment(user_id="rider")
    store_and_apply(stripe.paid(make_payment(user_id="rider"))[1:])
    lasting = session_with("default_transaction_isolation", "repeatable read")
    running = []

    def late(execute, sql, *more):
        if WRITE in sql and not running:  # another event is written once the statement has its snapshot
            running.append(pool.submit(elsewhere_in_thread, store_and_apply, stripe.paid(other)[1:]))
            sql = sql.replace("WITH ", "WITH late AS MATERIALIZED (SELECT pg_sleep(1)), ", 1)
            sql = sql.replace("WHERE id = ANY", "WHERE (SELECT count(*) FROM late) = 1 AND id = ANY", 1)
        return execute(sql, *more)

    with lasting, ThreadPoolExecutor(1) as pool, connection.execute_wrapper(late):
        (result,) = store_and_apply(stripe.paid(payment)[1:])
        running[0].result(20)
    assert result.state == "applied"
    assert seqs("rider") == [1, 2, 3]


def waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def test_one_event_that_is_delivered_several_times_at_once_is_stored_and_applied_once(make_payment):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    assert {result.state for result in at_once(*[[event]] * 4)} == {"applied"}
    assert list(WebhookEvent.objects.values_list("deliveries", "attempts")) == [(4, 1)]
    assert StatusChange.objects.count() == 1
    assert seqs(payment.user_id) == [1]


def test_an_event_of_no_payment_that_is_delivered_twice_at_once_is_stored_once(make_payment):
    """No payment is read, so that nothing but the event's own id shows that it is there."""
    unknown = stripe.event(make_payment(), "charge.refunded", payment_intent="pi_unknown")

    def store():
        elsewhere(store_and_apply, [unknown])

    def wrapper(execute, sql, *more):
        if "INSERT INTO payments_webhookevent" in sql and not WebhookEvent.objects.exists():
            store()
        return execute(sql, *more)

    with connection.execute_wrapper(wrapper):
        (result,) = store_and_apply([unknown])
    assert result.state == "parked"
    assert list(WebhookEvent.objects.values_list("deliveries", flat=True)) == [2]


def test_batches_that_name_the_same_payments_in_opposite_order_do_not_wait_for_each_other(make_payment):
    payments = [make_payment(user_id="rider") for _ in range(4)]
    paid = [stripe.paid(payment) for payment in payments]
    results = at_once([first for first, _ in paid], [second for _, second in reversed(paid)])
    assert [result.state for result in results] == ["applied"] * 8
    assert set(Payment.objects.values_list("status", flat=True)) == {"succeeded"}
    assert seqs("rider") == [1, 2, 3, 4]


def test_the_numbers_of_a_feed_have_no_gap_however_many_write_to_it_at_once(make_payment):
    payments = [make_payment(user_id="rider") for _ in range(12)]
    results = at_once(*([stripe.paid(payment)[1]] for payment in payments[:4]))
    results += at_once(*([stripe.paid(p)[1] for p in payments[n::4]] for n in range(4)))
    assert {result.state for result in results} == {"applied"}
    assert seqs("rider") == list(range(1, 13))
    assert sorted(StatusChange.objects.values_list("seq", flat=True)) == list(range(1, 13))


def test_a_payment_intent_that_was_just_given_to_another_payment_is_not_taken_from_it(make_payment):
    payment, other = make_payment(), make_payment()
    theirs, ours = (
        stripe.event(each, "checkout.session.completed", payment_status="paid", payment_intent="pi_contested")
        for each in (other, payment)
    )
    with between(lambda: elsewhere(store_and_apply, [theirs])):
        (result,) = store_and_apply([ours])
    assert (result.state, result.reason) == ("ignored", "other_payment")
    assert Intent.objects.get().payment == other
    payment.refresh_from_db()
    assert (payment.status, payment.attention) == ("pending", "rewritten")


def test_a_payment_intent_of_another_integration_is_given_to_one_of_two_payments(make_payment):
    Intent.objects.create(intent_id="pi_contested")
    payment, other = make_payment(), make_payment()
    events = [
        stripe.event(each, "checkout.session.completed", payment_status="paid", payment_intent="pi_contested")
        for each in (payment, other)
    ]
    results = at_once(*([event] for event in events))
    assert sorted((result.state, result.reason) for result in results) == [
        ("applied", ""),
        ("ignored", "other_payment"),
    ]
    assert sorted(Payment.objects.values_list("status", flat=True)) == ["pending", "succeeded"]


def test_an_event_that_parks_while_its_payment_becomes_known_is_applied(make_payment):
    payment = make_payment()
    refund = stripe.event(payment, "charge.refunded", amount_refunded=300)
    completed = stripe.paid(payment)[1]
    parking = threading.Event()

    def park(execute, sql, *more):
        if "INSERT INTO payments_webhookevent" in sql:
            parking.set()
        return execute(sql, *more)

    def take_in_refund():
        with connection.execute_wrapper(park):
            store_and_apply([refund])

    with between(lambda: elsewhere(take_in_refund)):
        store_and_apply([completed])
    assert parking.is_set()
    assert [frame["status"] for frame in wire.frames(payment.user_id)] == ["succeeded", "partially_refunded"]


@contextmanager
def while_it_is_applied(work):
    """Run something once, before the first write of what became of stored events."""
    left = [work]

    def wrapper(execute, sql, *more):
        if "UPDATE payments_webhookevent" in sql and left:
            left.pop()()
        return execute(sql, *more)

    with connection.execute_wrapper(wrapper):
        yield
    assert not left


def test_an_event_that_failed_before_and_parks_while_its_payment_becomes_known_is_applied(make_payment):
    payment = make_payment()
    refund = stripe.event(payment, "charge.refunded", amount_refunded=300)
    store_and_apply([refund])
    WebhookEvent.objects.update(state="failed")
    with while_it_is_applied(lambda: elsewhere(store_and_apply, stripe.paid(payment)[1:])):
        store_and_apply([refund])
    assert WebhookEvent.objects.get(event_id=refund["id"]).state == "applied"
    assert [frame["status"] for frame in wire.frames(payment.user_id)] == ["succeeded", "partially_refunded"]


def test_a_copy_that_parks_while_its_payment_becomes_known_is_applied(make_payment):
    payment = make_payment()
    refund = stripe.event(payment, "charge.refunded", amount_refunded=300)
    store_and_apply([refund | {"api_version": "2020-01-01"}])
    assert WebhookEvent.objects.get().state == "parked"
    with while_it_is_applied(lambda: elsewhere(store_and_apply, stripe.paid(payment)[1:])):
        store_and_apply([refund])
    assert WebhookEvent.objects.get(event_id=refund["id"]).state == "applied"


def test_an_event_that_is_removed_while_it_comes_again_is_stored_anew(make_payment):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    store_and_apply([event])
    WebhookEvent.objects.update(state="failed")
    left = [lambda: StatusChange.objects.all().delete(), lambda: WebhookEvent.objects.all().delete()]

    def wrapper(execute, sql, *more):
        while READ in sql and "FOR NO KEY UPDATE" in sql and left:
            elsewhere(left.pop(0))
        return execute(sql, *more)

    with connection.execute_wrapper(wrapper):
        (result,) = store_and_apply([event])
    assert (result.state, left) == ("applied", [])
    assert list(WebhookEvent.objects.values_list("event_id", "deliveries")) == [(event["id"], 1)]


def test_a_bad_event_writes_nothing_of_those_that_came_with_it(make_payment):
    good = make_payment()
    events = [stripe.paid(payment)[1] for payment in (good, make_payment())]
    rows = [envelope.read(body) for body in stripe.bodies(events)]
    rows[1].type = "x" * 101  # the database refuses it
    with pytest.raises(ingest.NotTogetherError):
        ingest.ingest(rows, together=True)
    assert not WebhookEvent.objects.exists()
    assert not wire.frames(good.user_id)


def test_a_writer_that_dies_between_the_two_leaves_nothing_behind(make_payment):
    payment = make_payment()
    event = stripe.paid(payment)[1]

    def die():
        raise SystemExit

    with pytest.raises(SystemExit), between(die):
        store_and_apply([event])
    assert not WebhookEvent.objects.exists()
    assert [result.state for result in elsewhere(store_and_apply, [event])] == ["applied"]
    assert seqs(payment.user_id) == [1]


def test_a_connection_that_is_lost_between_the_two_is_replaced_and_the_event_applied_once(make_payment):
    payment = make_payment()

    def lose(pid):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    connection.ensure_connection()
    with between(lambda: elsewhere(lose, connection.connection.info.backend_pid)):
        (result,) = store_and_apply([stripe.paid(payment)[1]])
    assert result.state == "applied"
    assert seqs(payment.user_id) == [1]


def test_a_database_that_stays_away_is_an_outage_and_writes_nothing(make_payment):
    event = stripe.paid(make_payment())[1]

    def away(execute, sql, *more):
        raise OperationalError("away")

    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        store_and_apply([event])
    assert not WebhookEvent.objects.exists()
