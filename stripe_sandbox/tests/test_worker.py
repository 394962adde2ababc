"""The worker as it runs: threads, real HTTP, real time."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from stripe_sandbox import timing
from stripe_sandbox.checkout import lifecycle
from stripe_sandbox.events import behaviour, deliveries, worker
from stripe_sandbox.models import Delivery, Session
from stripe_sandbox.tests.conftest import event_types, make_session, pay_and_break, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PAID = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
]


def all_delivered() -> bool:
    return not Delivery.objects.exclude(state="delivered").exists()


@pytest.mark.usefixtures("running_worker")
def test_a_commit_wakes_it_and_events_arrive_in_order(receiver):
    lifecycle.pay(session_id=make_session().stripe_id)
    wait_until(lambda: len(receiver.received) == len(PAID))
    wait_until(all_delivered)
    assert receiver.types == PAID


@pytest.mark.usefixtures("running_worker")
def test_nothing_of_a_change_that_is_undone_is_sent(receiver):
    with pytest.raises(RuntimeError):
        pay_and_break(make_session())
    lifecycle.expire(session_id=make_session().stripe_id)
    wait_until(lambda: receiver.received)
    wait_until(all_delivered)
    assert receiver.types == ["checkout.session.expired"]


@pytest.mark.usefixtures("running_worker")
def test_a_failed_delivery_is_tried_again_by_itself(receiver):
    receiver.answers = [503]
    lifecycle.expire(session_id=make_session().stripe_id)
    wait_until(lambda: len(receiver.received) == 2)
    wait_until(all_delivered)
    assert receiver.events[0]["id"] == receiver.events[1]["id"]


@pytest.mark.usefixtures("running_worker")
def test_a_slow_answer_does_not_hold_up_other_sessions(receiver):
    slow = make_session()
    receiver.held = slow.stripe_id
    lifecycle.expire(session_id=slow.stripe_id)
    wait_until(lambda: receiver.received)
    for _ in range(5):
        lifecycle.expire(session_id=make_session().stripe_id)
    wait_until(lambda: Delivery.objects.filter(state="delivered").count() == 5)
    receiver.hold.set()
    wait_until(all_delivered)


@pytest.mark.usefixtures("running_worker")
def test_it_expires_sessions_whose_time_is_up(receiver):
    session = make_session()
    Session.objects.update(expires_at=timezone.now())
    wait_until(lambda: receiver.types == ["checkout.session.expired"])
    session.refresh_from_db()
    assert session.status == "expired"


def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(receiver):
    lifecycle.pay(session_id=make_session().stripe_id)
    worker.start()
    wait_until(lambda: receiver.received)
    worker.stop()
    assert not Delivery.objects.exclude(claimed_until=None).exists()
    worker.start()
    wait_until(all_delivered)
    worker.stop()
    assert receiver.types == PAID


def test_a_claim_of_a_process_that_died_is_taken_over(receiver, running_worker):
    worker.stop()
    lifecycle.expire(session_id=make_session().stripe_id)
    deliveries.claim(now=timezone.now() - 2 * timing.DELIVERY_CLAIM, limit=1)
    Delivery.objects.update(claimed_until=timezone.now())
    worker.start()
    wait_until(all_delivered)
    assert receiver.types == ["checkout.session.expired"]


def test_there_is_one_worker_in_a_process_and_stopping_ends_all_its_threads():
    def threads():
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox-")]

    worker.start()
    worker.start()
    assert len(threads()) == 1 + worker.SENDERS
    worker.stop()
    worker.stop()
    assert threads() == []


def test_two_processes_send_nothing_twice(receiver):
    """Two workers stand for two processes: they share nothing but the database."""
    workers = [worker.Worker(), worker.Worker()]
    for each in workers:
        each.start()
    for _ in range(6):
        lifecycle.pay(session_id=make_session().stripe_id)
    wait_until(lambda: Delivery.objects.filter(state="delivered").count() == 6 * len(PAID))
    for each in workers:
        each.stop()
    assert len(receiver.received) == len({event["id"] for event in receiver.events}) == len(event_types())
    for session in Session.objects.all():
        mine = set(session.events.values_list("stripe_id", flat=True))
        assert [event["type"] for event in receiver.events if event["id"] in mine] == PAID


@pytest.mark.usefixtures("running_worker")
def test_an_event_is_sent_again_on_request(receiver):
    behaviour.set_mode(mode="drop")
    lifecycle.expire(session_id=make_session().stripe_id)
    behaviour.send_again(delivery_id=Delivery.objects.get().pk)
    wait_until(lambda: receiver.types == ["checkout.session.expired"])


def test_it_goes_on_when_the_database_is_back(receiver, running_worker, caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sandbox_delivery RENAME TO elsewhere")
        try:
            wait_until(lambda: "cannot look for work" in caplog.text)
        finally:
            cursor.execute("ALTER TABLE elsewhere RENAME TO sandbox_delivery")
    lifecycle.expire(session_id=make_session().stripe_id)
    wait_until(all_delivered)
    assert caplog.text.count("cannot look for work") == 1
