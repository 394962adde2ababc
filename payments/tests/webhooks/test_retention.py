import io
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from django.core.management import CommandError, ManagementUtility, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notifications.models import Notification
from payments.models import Payment, StatusChange, WebhookEvent
from payments.status import Status
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import apply, retention

pytestmark = pytest.mark.django_db

State = WebhookEvent.State


@pytest.fixture
def make_event(db):
    """Return a function that makes an event that was received so many days ago."""

    def make(*, days=100, state=State.APPLIED, **fields):
        number = uuid.uuid4().hex
        received = timezone.now() - timedelta(days=days)
        values = {"event_id": f"evt_{number}", "type": "payment_intent.succeeded", "body": "{}"}
        event = WebhookEvent.objects.create(
            **values | fields, livemode=False, state=state, created_at=received
        )
        WebhookEvent.objects.filter(pk=event.pk).update(received_at=received)
        return event

    return make


@pytest.fixture
def paid(make_payment, deliver):
    """A payment whose events came 100 days ago."""
    payment = make_payment()
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(days=100))
    return payment


def prune(*, days=90, **how):
    return sum(retention.prune(days=days, **how))


def kept():
    return set(WebhookEvent.objects.all())


def test_what_is_older_than_asked_for_goes_and_the_rest_stays(make_event):
    make_event(days=91)
    make_event(days=91, state=State.IGNORED)
    young = make_event(days=89)
    assert prune() == 2
    assert kept() == {young}


@pytest.mark.parametrize("state", [State.RECEIVED, State.PARKED, State.FAILED])
def test_what_still_waits_for_something_is_never_removed(make_event, state):
    waiting = make_event(days=10_000, state=state)
    make_event()
    assert prune(days=30) == 1
    assert kept() == {waiting}


def test_every_state_is_either_done_or_waits():
    assert set(retention._DONE) == set(State) - {State.RECEIVED, State.PARKED, State.FAILED}


def test_a_dry_run_counts_and_removes_nothing(make_event):
    make_event()
    make_event(state=State.FAILED)
    assert prune(dry_run=True) == 1
    assert len(kept()) == 2


def test_many_go_in_batches_past_those_that_stay(make_event, monkeypatch):
    monkeypatch.setattr(retention, "PRUNED_AT_ONCE", 3)
    waiting = {make_event(state=State.FAILED) for _ in range(4)}
    for _ in range(5):
        make_event()
    young = {make_event(days=0) for _ in range(5)}
    with CaptureQueriesContext(connection) as queries:
        assert list(retention.prune(days=90)) == [0, 2, 3]
    assert kept() == waiting | young
    deletions = [query for query in queries if query["sql"].startswith("DELETE")]
    assert len(deletions) == 2


@pytest.mark.parametrize("days", [29, 0, -1])
def test_fewer_days_than_stripe_may_send_an_event_again_are_refused(days):
    with pytest.raises(ValueError, match="30 days at least"):
        prune(days=days)


def test_payments_and_their_history_are_kept_and_still_say_what_caused_them(paid, admin_client):
    event = StatusChange.objects.get().event
    assert prune() == 2
    change = StatusChange.objects.get()
    assert (change.event, change.pruned_event_id, change.pruned_event_type) == (
        None,
        event.event_id,
        event.type,
    )
    assert Payment.objects.get().status == Status.SUCCEEDED
    page = admin_client.get(reverse("admin:payments_payment_change", args=[paid.pk]))
    shown = page.content.decode()
    assert f"cause: event, {event.type} ({event.event_id}, no longer kept)" in shown
    assert "12.50 USD was paid" in shown


def test_a_change_whose_event_stays_keeps_it(paid):
    assert prune(days=101) == 0
    change = StatusChange.objects.get()
    assert change.event is not None
    assert change.pruned_event_id == ""


def test_an_event_that_was_pruned_and_comes_again_changes_nothing(paid, deliver):
    [event] = {change.event for change in StatusChange.objects.all()}
    before = wire.frames(paid.user_id)
    assert prune() == 2
    assert deliver(event.body.encode()).state == State.APPLIED
    assert StatusChange.objects.count() == 1
    assert wire.frames(paid.user_id) == before


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_being_applied_again_keeps_nobody_waiting_for_long(paid):
    first = WebhookEvent.objects.earliest("pk")

    def in_thread():
        try:
            return prune()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            list(WebhookEvent.objects.select_for_update().filter(pk=first.pk))
            removed = thread.submit(in_thread)
            wait({removed}, timeout=5)  # SQLite knows no locks of rows: there it waits for us
            passed_by = removed.done()
        assert removed.result(timeout=30) == (1 if passed_by else 2)
    assert passed_by == connection.features.has_select_for_update_skip_locked
    assert removed.result() + prune() == 2
    assert apply.apply([first.event_id]) == []


def run(*arguments):
    """Run the command; return its exit code and what it wrote to both streams."""
    out = io.StringIO()
    try:
        call_command("prune", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def test_the_command_says_in_one_line_what_went(paid):
    Notification.objects.update(
        created_at=timezone.now() - timedelta(days=31), expires_at=timezone.now() - timedelta(days=24)
    )
    assert run("--dry-run") == (0, "Would remove 2 webhook events and 1 notifications.\n")
    assert run("--events-days", "101", "--notifications-days", "32") == (
        0,
        "Removed 0 webhook events and 0 notifications.\n",
    )
    assert run() == (0, "Removed 2 webhook events and 1 notifications.\n")
    assert run() == (0, "Removed 0 webhook events and 0 notifications.\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--events-days", "29"], "send 30 to 36500"),
        (["--events-days", "-90"], "--events-days"),
        (["--events-days", "ninety"], "send 30 to 36500"),
        (["--events-days", "9" * 5000], "send 30 to 36500"),
        (["--events-days", "٩٩"], "send 30 to 36500"),
        (["--notifications-days", "6"], "send 7 to 36500"),
        (["--payments-days", "90"], "--payments-days"),
    ],
)
def test_wrong_usage_is_refused_with_what_to_send(arguments, hint, capfd, settings):
    settings.DEBUG = True  # as the command's own process has it
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "prune", *arguments]).execute()
    assert ended.value.code == 2
    assert hint in capfd.readouterr().err
