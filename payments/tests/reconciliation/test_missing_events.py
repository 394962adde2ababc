"""Events that never arrived are fetched from the sandbox, through the official client and real HTTP."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import FetchedUntil, Payment, StatusChange, WebhookEvent
from payments.reconciliation import missing_events
from payments.stripe import events
from payments.tests import broken_stripe
from payments.tests import stripe_events as stripe
from payments.tests.fetching import fetch, pay, start, status
from payments.tests.wire import frames
from payments.webhooks import apply, envelope, parked
from payments.webhooks.scrubbing import scrub
from stripe_sandbox.checkout import lifecycle, refunds
from stripe_sandbox.models import Event
from stripe_sandbox.objects.event import render_event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


@pytest.fixture
def paid():
    """A payment that is paid at Stripe, of which nothing arrived."""
    payment = start()
    pay(payment)
    return payment


def test_what_never_arrived_is_stored_applied_and_notified(paid):
    code, out = fetch()
    assert code == 0
    assert f"payment {paid.pk}, ride ride_1: pending → succeeded (evt_" in out
    assert "3 events asked for, 3 missing (3 applied)" in out
    assert status(paid) == "succeeded"
    assert [frame["status"] for frame in frames("a@b.com")] == ["pending", "succeeded"]
    assert StatusChange.objects.get().cause == "reconciliation"


def test_it_is_kept_as_a_delivery_is_and_known_to_be_fetched(paid):
    fetch()
    for row in WebhookEvent.objects.all():
        event = Event.objects.get(stripe_id=row.event_id)
        assert json.loads(row.body) == scrub(render_event(event, pending_webhooks=1))
        assert (row.deliveries, row.state, row.payment_id) == (0, "applied", paid.pk)


def test_the_next_run_finds_nothing_and_changes_nothing(paid):
    fetch()
    before = list(WebhookEvent.objects.values()), frames("a@b.com"), StatusChange.objects.count()
    code, out = fetch()
    assert code == 0
    assert "3 events asked for, 0 missing;" in out
    assert (list(WebhookEvent.objects.values()), frames("a@b.com"), StatusChange.objects.count()) == before


def test_an_event_that_is_delivered_after_it_was_fetched_counts_as_one(paid, deliver):
    fetch()
    event = Event.objects.get(type="checkout.session.completed")
    deliver(json.dumps(render_event(event, pending_webhooks=1)).encode())
    row = WebhookEvent.objects.get(event_id=event.stripe_id)
    assert (row.deliveries, row.attempts) == (1, 1)


def test_only_what_is_missing_is_stored(paid, deliver):
    event = Event.objects.get(type="payment_intent.succeeded")
    deliver(json.dumps(render_event(event, pending_webhooks=1)).encode())
    assert "3 events asked for, 2 missing (2 applied)" in fetch()[1]
    assert WebhookEvent.objects.get(event_id=event.stripe_id).attempts == 1
    assert len(frames("a@b.com")) == 2


def test_a_dry_run_asks_stripe_and_writes_nothing(paid):
    code, out = fetch("--dry-run")
    assert code == 0
    assert "pending → succeeded" in out
    assert "Dry run, nothing was written: 3 events asked for, 3 missing (3 applied)" in out
    assert status(paid) == "pending"
    assert not WebhookEvent.objects.exists()
    assert not FetchedUntil.objects.exists()
    assert Payment.objects.get().checked_at is None


def test_more_than_a_page_is_fetched_and_applied_in_the_order_of_time(paid):
    session = Event.objects.first().session
    refunds.refund(payment_intent_id=session.payment_intent.stripe_id, amount=1)
    other = Event.objects.get(type="checkout.session.completed").data
    Event.objects.bulk_create(
        Event(type="checkout.session.expired", session=session, data=_of_a_stranger(other))
        for _ in range(230)
    )
    refunds.refund(payment_intent_id=session.payment_intent.stripe_id)
    code, out = fetch()
    assert code == 0
    assert "239 events asked for, 239 missing (9 applied, 230 ignored)" in out
    assert [change.after for change in StatusChange.objects.all()] == [
        "succeeded",
        "partially_refunded",
        "refunded",
    ]


def _of_a_stranger(data):
    strange = {"id": "cs_test_strange", "payment_intent": None, "metadata": {}, "client_reference_id": None}
    return {"object": data["object"] | strange}


def test_events_of_a_page_are_applied_in_the_order_of_time():
    payment = start()
    lifecycle.pay_later(session_id=payment.session_id)
    lifecycle.settle(session_id=payment.session_id, succeeded=True)
    fetch()
    assert [change.after for change in StatusChange.objects.all()] == ["processing", "succeeded"]


def test_more_types_than_one_request_may_name_are_asked_for_in_several(paid, monkeypatch):
    monkeypatch.setattr("payments.stripe.gateway.TYPES_A_REQUEST", 4)
    assert "3 events asked for, 3 missing" in fetch()[1]


def test_each_option_selects(paid):
    refunds.refund(payment_intent_id=Event.objects.first().session.payment_intent.stripe_id)
    Event.objects.filter(type="payment_intent.succeeded").update(
        created_at=timezone.now() - timedelta(days=2)
    )
    Event.objects.get(type="refund.created").deliveries.update(state="delivered")
    for arguments, number in [
        (["--since", "30d"], 6),
        (["--since", "1d"], 5),
        (["--until", "1d"], 1),
        (["--since", "3d", "--until", "1d"], 1),
        (["--type", "charge.refunded"], 1),
        (["--type", "charge.refunded", "--type", "refund.created"], 2),
        (["--undelivered"], 5),
    ]:
        code, out = fetch(*arguments, "--dry-run")
        assert (arguments, code, f": {number} event" in out) == (arguments, 0, True), out
        assert "checked" not in out


def test_a_choice_of_events_is_no_whole_fetch(paid):
    fetch("--since", "1d")
    assert not FetchedUntil.objects.exists()


def test_without_a_choice_a_run_begins_where_the_last_whole_one_did():
    assert timezone.now() - missing_events.since_last_fetch() < timedelta(hours=1, minutes=1)
    Payment.objects.create(ride_id="old", user_id="old", amount=1, currency="usd")
    Payment.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert timezone.now() - missing_events.since_last_fetch() > timedelta(days=3)
    began = timezone.now()
    fetch()
    assert began <= FetchedUntil.objects.get().moment <= timezone.now()
    assert missing_events.since_last_fetch() == FetchedUntil.objects.get().moment - missing_events.OVERLAP
    FetchedUntil.objects.update(moment=timezone.now() - timedelta(days=90))
    assert timezone.now() - missing_events.since_last_fetch() < timedelta(days=30, minutes=1)


def test_what_could_not_be_applied_or_was_left_lying_is_tried_again(paid, make_payment, deliver):
    other = make_payment()
    failing = stripe.paid(other)[1]
    whole = json.dumps(failing)
    del failing["data"]["object"]["currency"]
    deliver(json.dumps(failing).encode())
    code, out = fetch()
    assert code == 1
    assert "1 stored event tried again (1 failed)" in out
    assert "it has no field 'currency'" in out
    code, out = fetch()
    assert (code, "1 event failed before, and still does" in out) == (0, True), out
    WebhookEvent.objects.filter(event_id=failing["id"]).update(body=whole)
    left_lying = envelope.store(
        envelope.read(stripe.bodies(stripe.refunded(other, "re_1", amount=5, total=5))[0])
    )
    WebhookEvent.objects.filter(pk=left_lying.pk).update(received_at=timezone.now() - timedelta(minutes=2))
    code, out = fetch()
    assert code == 0, out
    assert "2 stored events tried again (2 applied)" in out
    assert status(other) == "partially_refunded"


def test_an_event_stays_parked_no_longer_than_its_payment_is_unknown(make_payment, deliver):
    payment = make_payment()
    deliver(stripe.bodies(stripe.refunded(payment, "re_1", amount=1250, total=1250))[0])
    # As if the process had died between the commit that made the intent known, and the look for what waits for it.
    payment.intents.create(intent_id=f"pi_{payment.pk.hex}")
    assert "pending → refunded" in fetch("--dry-run")[1]
    assert "1 stored event tried again (1 applied)" in fetch()[1]
    assert status(payment) == "refunded"


def test_looking_for_what_waits_reads_neither_table_for_each_row_of_the_other():
    """Which PostgreSQL would do, for hours, where a subquery is too large to be kept in memory."""
    with CaptureQueriesContext(connection) as queries:
        parked.no_longer_waiting()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + queries.captured_queries[-1]["sql"])
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert "SubPlan" not in plan


def test_two_runs_at_once_do_no_harm(paid):
    barrier, codes = threading.Barrier(2), []

    def run():
        barrier.wait()
        codes.append(fetch())
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code for code, _ in codes] == [0, 0], codes
    assert WebhookEvent.objects.count() == 3
    assert [frame["status"] for frame in frames("a@b.com")] == ["pending", "succeeded"]
    assert StatusChange.objects.count() == 1


def pages(listed):
    """Return a Stripe that gives the newest of these events, and then does not answer any more."""

    def answer(method, path):
        if "starting_after" in path:
            return 500, broken_stripe.error("Down.")
        return 200, {"object": "list", "data": listed, "has_more": True, "url": "/v1/events"}

    return answer


def test_when_stripe_fails_on_the_way_what_came_is_applied_and_the_next_run_asks_for_all(paid, settings):
    event = render_event(Event.objects.get(type="payment_intent.succeeded"), pending_webhooks=0)
    with broken_stripe.answering(pages([event])) as settings.STRIPE_API_BASE:
        code, out = fetch()
    assert code == 1
    assert "1 event asked for, 1 missing (1 applied)" in out
    assert "Stripe does not answer: Down. What was done stays done; run the command again." in out
    assert status(paid) == "succeeded"
    assert not FetchedUntil.objects.exists()


def test_what_is_no_event_fails_alone(paid, settings):
    event = render_event(Event.objects.get(type="payment_intent.succeeded"), pending_webhooks=0)
    page = {"object": "list", "data": [event, {"id": "evt_odd", "object": "event"}], "has_more": False}
    with broken_stripe.answering(lambda *_: (200, page)) as settings.STRIPE_API_BASE:
        code, out = fetch("--since", "1d")
    assert code == 1
    assert "evt_odd: Send one of Stripe's snapshot events" in out
    assert "3 missing (1 applied, 1 failed)" in out


@pytest.mark.parametrize(
    ("status_", "message"),
    [
        (401, "Stripe refuses STRIPE_SECRET_KEY"),
        (403, "Stripe refuses STRIPE_SECRET_KEY"),
        (400, "Stripe refuses: No."),
    ],
)
def test_a_refusal_is_reported_with_what_to_set(settings, status_, message):
    refusal = broken_stripe.error("No.", "invalid_request_error")
    with broken_stripe.answering(lambda *_: (status_, refusal)) as settings.STRIPE_API_BASE:
        code, out = fetch()
    assert (code, message in out) == (1, True), out


def test_when_stripe_is_away_it_says_so(settings):
    settings.STRIPE_API_BASE = "http://127.0.0.1:1"
    code, out = fetch()
    assert code == 1
    assert "Stripe does not answer: Stripe cannot be reached (NewConnectionError)." in out


def test_every_handled_type_is_asked_for():
    assert set(events.handled_types()) == set(events._FACTS)


def test_fetched_events_are_inserted_in_the_order_of_their_ids_and_applied_in_that_given(make_payment):
    """As deliveries insert theirs: else two of them could wait for each other."""
    payment = make_payment()
    taken = [*stripe.paid(payment), stripe.event(payment, "charge.refunded", amount_refunded=3)]
    rows = [envelope.read(body) for body in stripe.bodies(taken)]
    for row, letter in zip(rows, "cba", strict=True):
        row.event_id = f"evt_{letter}"
    envelope.store_fetched(rows)
    stored = list(WebhookEvent.objects.order_by("pk").values_list("event_id", flat=True))
    assert stored == ["evt_a", "evt_b", "evt_c"]
    results = apply.apply([row.event_id for row in rows])
    assert [(result.event_id, result.state) for result in results] == [
        ("evt_c", "applied"),
        ("evt_b", "applied"),
        ("evt_a", "applied"),
    ]
