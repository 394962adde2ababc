import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import Payment, StatusChange, WebhookEvent
from payments.status import Status
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import envelope
from payments.webhooks.replay import BATCH_SIZE, Selection, select
from tests.support.plans import on_postgresql, plan_of

pytestmark = pytest.mark.django_db(transaction=True)


def replay(*arguments):
    """Run the command; return its exit code and what it wrote to both streams."""
    out = io.StringIO()
    try:
        call_command("replay_webhooks", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


@pytest.fixture
def paid(make_payment, deliver):
    payment = make_payment()
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    return payment


def make_wrong(payment):
    """Undo what events did, as a bug that was mended since might have."""
    Payment.objects.filter(pk=payment.pk).update(status="pending", facts={"asked": "1250 usd"})


def test_a_status_that_does_not_follow_from_its_facts_is_mended(paid):
    Payment.objects.filter(pk=paid.pk).update(status="pending")
    assert "pending → succeeded" in replay("--payment", str(paid.pk), "--dry-run")[1]
    assert "pending → succeeded" in replay("--payment", str(paid.pk))[1]
    paid.refresh_from_db()
    assert paid.status == Status.SUCCEEDED


def test_what_was_stored_but_never_applied_counts_as_failed(make_payment):
    payment = make_payment()
    for body in stripe.bodies(stripe.paid(payment)):
        envelope.store(envelope.read(body))
    assert "0 events" in replay("--failed")[1]  # its own process may be at it
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(minutes=2))
    assert "2 events (2 applied); 1 statuses changed." in replay("--failed")[1]


def test_replaying_everything_changes_nothing_and_notifies_nobody(paid):
    before = wire.frames(paid.user_id)
    code, out = replay("--all")
    assert (code, wire.frames(paid.user_id)) == (0, before)
    assert "2 events (2 applied); 0 statuses changed." in out


def test_a_wrong_state_is_mended_and_the_user_notified(paid):
    make_wrong(paid)
    code, out = replay("--payment", str(paid.pk))
    assert code == 0
    assert f"payment {paid.pk}, ride {paid.ride_id}: pending → succeeded" in out
    paid.refresh_from_db()
    assert paid.status == Status.SUCCEEDED
    assert [frame["status"] for frame in wire.frames(paid.user_id)] == ["succeeded", "succeeded"]
    assert StatusChange.objects.filter(payment=paid).last().cause == "replay"


def test_a_dry_run_shows_what_would_change_and_changes_nothing(paid):
    make_wrong(paid)
    before = list(WebhookEvent.objects.values())
    code, out = replay("--payment", str(paid.pk), "--dry-run")
    assert code == 0
    assert "pending → succeeded" in out
    assert "1 statuses would change" in out
    paid.refresh_from_db()
    assert paid.status == Status.PENDING
    assert list(WebhookEvent.objects.values()) == before
    assert len(wire.frames(paid.user_id)) == 1


def test_each_option_selects_and_together_they_select_less(make_payment, deliver):
    payments = [make_payment(user_id="me", ride_id=f"ride_{n}", ride_claim=None) for n in range(3)]
    sent = [event for payment in payments for event in stripe.paid(payment)]
    for body in stripe.bodies(sent):
        deliver(body)
    old = sent[0]["id"]
    WebhookEvent.objects.filter(event_id=old).update(received_at=timezone.now() - timedelta(days=2))
    for arguments, number in [
        (["--all"], 6),
        ([old, sent[1]["id"]], 2),
        (["--type", "payment_intent.succeeded"], 3),
        (["--type", "payment_intent.succeeded", "--type", "checkout.session.completed"], 6),
        (["--payment", str(payments[0].pk)], 2),
        (["--ride", "ride_1"], 2),
        (["--user", "me"], 6),
        (["--user", "you"], 0),
        (["--until", "1d"], 1),
        (["--since", "1d"], 5),
        (["--since", "2000-01-01", "--until", "2001-01-01T00:00:00Z"], 0),
        (["--limit", "4"], 4),
        (["--ride", "ride_1", "--type", "payment_intent.succeeded"], 1),
        (["--failed"], 0),
    ]:
        code, out = replay(*arguments)
        assert (arguments, code, out.splitlines()[-1].split(" ")[0]) == (arguments, 0, str(number))


def test_failed_events_are_applied_once_their_cause_is_gone(make_payment, deliver):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    whole = json.dumps(event)
    del event["data"]["object"]["currency"]
    assert deliver(stripe.bodies([event])[0]).state == "failed"
    assert replay("--failed", "--dry-run")[0] == 1
    code, out = replay("--failed", "--payment", str(payment.pk))
    assert code == 1
    assert "it has no field 'currency'" in out
    WebhookEvent.objects.update(body=whole)
    code, out = replay("--failed")
    assert (code, WebhookEvent.objects.get().state) == (0, "applied")
    assert "0 events (none)" in replay("--failed")[1]


def test_events_that_wait_for_their_payment_are_found_by_it(make_payment, deliver):
    payment = make_payment()
    deliver(stripe.bodies(stripe.refunded(payment, "re_1", amount=5, total=5))[0])
    payment.intents.create(intent_id=f"pi_{payment.pk.hex}")
    assert "(1 applied)" in replay("--ride", payment.ride_id)[1]


def test_a_replay_of_more_than_a_batch_applies_all(make_payment):
    sent = [event for _ in range(BATCH_SIZE // 2 + 1) for event in stripe.paid(make_payment())]
    for body in stripe.bodies(sent):
        envelope.store(envelope.read(body))
    assert (
        f"{len(sent)} events ({len(sent)} applied); {len(sent) // 2} statuses changed." in replay("--all")[1]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        ([], 2, "Say which events"),
        (["evt_unknown"], 1, "No such event"),
        (["--since", "yesterday"], 2, "2026-01-31"),
        (["--limit", "0"], 2, "1 or more"),
        (["--payment", "17"], 2, "payment"),
    ],
)
def test_wrong_usage_is_refused_with_what_to_send(arguments, code, hint, capfd, settings):
    settings.DEBUG = True  # as the command's own process has it
    from django.core.management import ManagementUtility

    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "replay_webhooks", *arguments]).execute()
    assert ended.value.code == code
    assert hint in capfd.readouterr().err


@on_postgresql
def test_a_users_events_are_found_without_reading_those_of_others(paid):
    with CaptureQueriesContext(connection) as queries:
        assert len(select(Selection(user_id=paid.user_id))) == 2
    plan = plan_of(queries, without=("seqscan", "indexscan"))
    assert "Index Scan on payments_webhookevent_payment_id" in plan
    assert "Index Scan on parked_events" in plan
