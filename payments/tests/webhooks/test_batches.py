"""What comes together is written together, and each event is answered for itself."""

import asyncio
import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.db.backends.signals import connection_created

from payments.models import Payment, StatusChange, WebhookEvent
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import batches, envelope
from tests.support.server import eventually

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO payments_webhookevent"


@pytest.fixture
def writers():
    """Return a function that puts a wrapper around each statement of the writers that start from now on.

    https://docs.djangoproject.com/en/5.2/topics/db/instrumentation/
    """
    end_of_writers()
    wrappers = []

    def connected(connection, **_):
        if threading.current_thread() in batches._writers:
            connection.execute_wrappers += wrappers

    connection_created.connect(connected)
    yield wrappers.append
    end_of_writers()
    connection_created.disconnect(connected)


@pytest.fixture
def writes(writers, monkeypatch):
    """How many events each transaction inserts. None begins until `go` is set, and no second writer starts."""
    monkeypatch.setattr(batches, "STALL_SECONDS", 60)
    sizes, go, began = [], threading.Event(), threading.Event()

    def counted(execute, sql, params, *more):
        began.set()
        assert go.wait(10)
        if INSERT in sql:
            sizes.append(len(json.loads(params[0])))
        return execute(sql, params, *more)

    writers(counted)
    yield SimpleNamespace(sizes=sizes, go=go, began=began)
    go.set()


async def together(bodies, writes):
    """Deliver the first, and while it is being written all others at once; return the answers."""
    first = asyncio.create_task(answer(bodies[0]))
    await asyncio.to_thread(writes.began.wait, 10)
    others = [asyncio.create_task(answer(body)) for body in bodies[1:]]
    await asyncio.to_thread(eventually, lambda: batches._queue.qsize() == len(others))
    writes.go.set()
    return await asyncio.gather(first, *others)


def end_of_writers():
    for thread in tuple(batches._writers):
        thread.join()


async def answer(body):
    return await batches.submit(envelope.read(body))


def test_what_comes_while_another_is_written_is_written_in_one_transaction(make_payment, writes):
    payments = [make_payment() for _ in range(9)]
    bodies = [stripe.bodies(stripe.paid(payment))[0] for payment in payments]

    outcomes = asyncio.run(together(bodies, writes))

    assert writes.sizes == [1, 8]
    assert [outcome.state for outcome in outcomes] == ["applied"] * 9
    assert set(Payment.objects.values_list("status", flat=True)) == {"succeeded"}
    assert [len(wire.frames(payment.user_id)) for payment in payments] == [1] * 9


def test_a_bad_event_fails_alone_among_those_that_came_with_it(make_payment, writes):
    payments = [make_payment() for _ in range(4)]
    sent = [stripe.paid(payment)[1] for payment in payments]
    del sent[2]["data"]["object"]["amount_total"]

    outcomes = asyncio.run(together(stripe.bodies(sent), writes))

    assert writes.sizes == [1, 3]
    assert [outcome.state for outcome in outcomes] == ["applied", "applied", "failed", "applied"]
    assert [len(wire.frames(payment.user_id)) for payment in payments] == [1, 1, 0, 1]
    assert WebhookEvent.objects.filter(state="failed").count() == 1


def test_an_event_that_comes_twice_in_one_transaction_is_stored_once_and_counted(make_payment, writes):
    first, second = stripe.bodies([stripe.paid(make_payment())[1] for _ in range(2)])

    outcomes = asyncio.run(together([first, second, second, first], writes))

    assert [outcome.state for outcome in outcomes] == ["applied"] * 4
    assert list(WebhookEvent.objects.values_list("deliveries", flat=True)) == [2, 2]
    assert StatusChange.objects.count() == 2


def test_events_of_one_payment_that_come_together_are_notified_once(make_payment, writes):
    payment, other = make_payment(), make_payment()
    bodies = stripe.bodies([stripe.paid(other)[0], *stripe.paid_later(payment), *stripe.confirmed(payment)])

    asyncio.run(together(bodies, writes))

    assert [frame["status"] for frame in wire.frames(payment.user_id)] == ["succeeded"]


def test_an_event_whose_client_hung_up_is_taken_in_all_the_same(make_payment, writes):
    body = stripe.bodies(stripe.paid(make_payment()))[0]

    async def hang_up():
        asking = asyncio.create_task(answer(body))
        await asyncio.to_thread(writes.began.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        writes.go.set()

    asyncio.run(hang_up())
    end_of_writers()
    assert Payment.objects.get().status == "succeeded"


def test_a_caller_that_has_waited_too_long_is_answered_and_only_what_was_begun_is_written(
    make_payment, writes, monkeypatch
):
    monkeypatch.setattr(batches, "WAIT_SECONDS", 0.5)
    begun, waiting = make_payment(), make_payment()

    async def both():
        first = asyncio.create_task(answer(stripe.bodies(stripe.paid(begun))[0]))
        await asyncio.to_thread(writes.began.wait, 10)
        second = asyncio.create_task(answer(stripe.bodies(stripe.paid(waiting))[0]))
        return await asyncio.gather(first, second, return_exceptions=True)

    errors = asyncio.run(both())
    writes.go.set()
    end_of_writers()
    assert [str(error) for error in errors] == ["The database took too long."] * 2
    assert WebhookEvent.objects.get().payment == begun
    assert batches._waiting_bytes == 0


def test_what_finds_no_room_is_refused_and_not_stored(make_payment, writes, monkeypatch):
    monkeypatch.setattr(batches, "WAITING_MAX_BYTES", 10)
    bodies = [stripe.bodies(stripe.paid(make_payment()))[0] for _ in range(3)]

    async def crowd():
        writing = asyncio.create_task(answer(bodies[0]))
        await asyncio.to_thread(writes.began.wait, 10)
        waiting = asyncio.create_task(answer(bodies[1]))
        await asyncio.to_thread(eventually, lambda: batches._queue.qsize() == 1)
        with pytest.raises(OperationalError, match="Too many"):
            await answer(bodies[2])
        writes.go.set()
        await asyncio.gather(writing, waiting)

    asyncio.run(crowd())
    assert WebhookEvent.objects.count() == 2
    assert batches._waiting_bytes == 0


def test_an_outage_is_every_waiting_events_own_and_the_writer_goes_on(make_payment, writers):
    payment = make_payment()
    body = stripe.bodies(stripe.paid(payment))[0]
    outage = [OperationalError("away")]

    def away(execute, *statement):
        if outage:
            raise outage[0]
        return execute(*statement)

    writers(away)
    with pytest.raises(OperationalError, match="away"):
        asyncio.run(answer(body))
    outage.clear()
    assert asyncio.run(answer(body)).state == "applied"


on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite has no locks of rows, and no connection that could be lost",
)


@on_postgresql
def test_a_connection_that_was_lost_between_two_events_costs_neither(make_payment):
    first, second = [stripe.bodies(stripe.paid(make_payment()))[0] for _ in range(2)]

    async def both():
        await answer(first)
        await asyncio.to_thread(lose_the_writers_connection)
        return await answer(second)

    assert asyncio.run(both()).state == "applied"


def lose_the_writers_connection():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE '%%UNION ALL SELECT 1 FROM payments_webhookevent%%'"
        )
        assert cursor.rowcount >= 1
    connection.close()


@on_postgresql
def test_an_event_that_waits_for_a_lock_holds_up_none_that_come_after_it(make_payment, locked):
    held, free = make_payment(), make_payment()
    bodies = stripe.bodies([stripe.paid(held)[1], stripe.paid(free)[1]])

    async def both():
        waiting = asyncio.create_task(answer(bodies[0]))
        await asyncio.to_thread(eventually, lambda: is_waited_for() and batches._queue.empty())
        assert (await answer(bodies[1])).state == "applied"
        assert not waiting.done()
        release()
        return await waiting

    with locked(held) as release:
        assert asyncio.run(both()).state == "applied"


@on_postgresql
def test_an_event_that_waits_for_a_lock_holds_up_none_that_came_with_it(make_payment, writes, locked):
    first, free, held = make_payment(), make_payment(), make_payment()
    bodies = stripe.bodies([stripe.paid(first)[1], stripe.paid(free)[1], stripe.paid(held)[1]])

    async def all_three():
        asyncio.create_task(answer(bodies[0]))  # noqa: RUF006 it is written long before the end
        await asyncio.to_thread(writes.began.wait, 10)
        waiting = [asyncio.create_task(answer(body)) for body in bodies[1:]]
        await asyncio.to_thread(eventually, lambda: batches._queue.qsize() == len(waiting))
        writes.go.set()
        assert (await waiting[0]).state == "applied"
        assert not waiting[1].done()
        release()
        return await waiting[1]

    with locked(held) as release:
        assert asyncio.run(all_three()).state == "applied"


@on_postgresql
def test_events_that_come_again_for_a_locked_payment_hold_up_none_that_came_with_them(
    make_payment, writes, locked
):
    first, free, held = make_payment(), make_payment(), make_payment()
    again = stripe.bodies(stripe.paid(held))
    for body in again:
        envelope.store(envelope.read(body))
    WebhookEvent.objects.update(state="failed", attempts=1)
    bodies = [*stripe.bodies([stripe.paid(first)[1]]), *again, *stripe.bodies([stripe.paid(free)[1]])]

    async def all_of_them():
        asyncio.create_task(answer(bodies[0]))  # noqa: RUF006 it is written long before the end
        await asyncio.to_thread(writes.began.wait, 10)
        waiting = [asyncio.create_task(answer(body)) for body in bodies[1:]]
        await asyncio.to_thread(eventually, lambda: batches._queue.qsize() == len(waiting))
        writes.go.set()
        assert (await waiting[-1]).state == "applied"
        assert not any(each.done() for each in waiting[:-1])
        release()
        return await asyncio.gather(*waiting)

    with locked(held) as release:
        assert {result.state for result in asyncio.run(all_of_them())} == {"applied"}
    assert set(WebhookEvent.objects.filter(payment=held).values_list("deliveries", flat=True)) == {2}


def test_a_burst_above_capacity_is_written_by_one_writer(make_payment, writers, monkeypatch):
    """Each event waits for longer than a stall, and no transaction takes as long."""
    most = []
    bodies = stripe.bodies([stripe.paid(make_payment())[1] for _ in range(12)])
    monkeypatch.setattr(batches, "BATCH_MAX", 1)
    monkeypatch.setattr(batches, "STALL_SECONDS", 1)

    def slowly(execute, sql, *more):
        if INSERT in sql:
            most.append(len(batches._writers))
            threading.Event().wait(0.15)
        return execute(sql, *more)

    writers(slowly)

    async def burst():
        return await asyncio.gather(*map(answer, bodies))

    assert {outcome.state for outcome in asyncio.run(burst())} == {"applied"}
    assert most == [1] * len(bodies)


@on_postgresql
def test_once_a_stall_is_over_one_writer_is_left(make_payment, monkeypatch, locked):
    end_of_writers()
    monkeypatch.setattr(batches, "IDLE_SECONDS", 4)
    held, free = make_payment(), make_payment()
    bodies = stripe.bodies([stripe.paid(held)[1], stripe.paid(free)[1]])

    async def both():
        waiting = asyncio.create_task(answer(bodies[0]))
        await asyncio.to_thread(eventually, lambda: is_waited_for() and batches._queue.empty())
        await answer(bodies[1])
        assert len(batches._writers) == 2
        release()
        await waiting

    with locked(held) as release:
        asyncio.run(both())
    eventually(lambda: len(batches._writers) == 1, seconds=2)


def is_waited_for():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            return cursor.fetchone() is not None
    finally:
        connection.close()


@pytest.fixture
def locked():
    """Return what holds a payment's lock meanwhile; it yields what lets go of it."""

    @contextmanager
    def lock(payment):
        is_locked, let_go = threading.Event(), threading.Event()
        holder = threading.Thread(target=hold, args=(payment, is_locked, let_go))
        holder.start()
        try:
            assert is_locked.wait(10)
            yield let_go.set
        finally:
            let_go.set()
            holder.join()

    return lock


def hold(payment, is_locked, release):
    with transaction.atomic():
        Payment.objects.select_for_update().get(pk=payment.pk)
        is_locked.set()
        release.wait(10)
    connection.close()


def test_an_event_that_cannot_be_written_is_kept_and_asked_for_again(make_payment, writers, post, sign):
    body = stripe.bodies(stripe.paid(make_payment()))[0]
    is_broken = True

    def write(execute, sql, *more):
        if is_broken and "payments_statuschange" in sql:
            raise DataError("value too long")
        return execute(sql, *more)

    writers(write)
    for attempt in (1, 2):
        response = post(body, sign(body))
        assert (response.status_code, response.json()["error"]["code"]) == (500, "not_applied")
        row = WebhookEvent.objects.get()
        assert (row.state, row.reason, row.attempts) == ("failed", "error", attempt)
    is_broken = False
    assert post(body, sign(body)).json()["state"] == "applied"
