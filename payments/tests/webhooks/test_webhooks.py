import threading

import pytest
from django.db import OperationalError, connection

from payments.models import Payment, StatusChange, WebhookEvent
from payments.status import Status
from payments.tests import stripe_events as stripe
from payments.tests import wire
from payments.webhooks import apply, envelope, ingest, signatures

pytestmark = pytest.mark.django_db(transaction=True)


def frames(payment):
    return wire.frames(payment.user_id)


def test_a_paid_session_makes_the_payment_succeed_and_tells_the_user(make_payment, deliver):
    payment = make_payment()
    outcomes = [deliver(body) for body in stripe.bodies(stripe.paid(payment))]
    assert [outcome.state for outcome in outcomes] == ["applied", "applied"]
    assert frames(payment) == [
        {
            "type": "payment_status_update",
            "rideId": payment.ride_id,
            "status": "succeeded",
            "stripeSessionId": payment.session_id,
        }
    ]


def test_a_change_is_kept_with_its_cause_and_the_notification_that_announced_it(make_payment, deliver):
    payment = make_payment()
    outcome = deliver(stripe.bodies(stripe.paid(payment))[0])
    change = StatusChange.objects.get(payment=payment)
    assert (change.before, change.after, change.cause, change.seq) == ("pending", "succeeded", "event", 1)
    assert change.event.event_id == outcome.event_id
    assert [change.event for change in outcome.changes] == [change.event]


def test_an_event_delivered_twice_is_stored_once_and_counted(make_payment, deliver):
    payment = make_payment()
    body = stripe.bodies(stripe.paid(payment))[0]
    assert [deliver(body).state for _ in range(3)] == ["applied"] * 3
    assert WebhookEvent.objects.get().deliveries == 3
    assert WebhookEvent.objects.get().attempts == 1
    assert len(frames(payment)) == 1


def test_the_same_event_on_many_connections_at_once_is_applied_once(make_payment, deliver):
    payment = make_payment()
    body = stripe.bodies(stripe.paid(payment))[0]
    start, states = threading.Barrier(6), []

    def run():
        start.wait()
        states.append(deliver(body).state)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["applied"] * 6
    assert len(frames(payment)) == 1
    assert StatusChange.objects.filter(payment=payment).count() == 1


def test_different_events_of_a_payment_at_once_lose_nothing(make_payment, deliver):
    payments = [make_payment() for _ in range(4)]
    sent = stripe.bodies(
        event
        for p in payments
        for event in stripe.paid(p) + stripe.refunded(p, "re_1", amount=1250, total=1250)
    )
    start = threading.Barrier(4)

    def run(part):
        start.wait()
        for body in part:
            deliver(body)
        connection.close()

    threads = [threading.Thread(target=run, args=(sent[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not WebhookEvent.objects.exclude(state="applied").exists()
    assert set(Payment.objects.values_list("status", flat=True)) == {"refunded"}
    assert {frames(p)[-1]["status"] for p in payments} == {"refunded"}


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda body, sign: sign(body, secret="whsec_other"), "invalid_signature"),
        (lambda body, sign: sign(body + b" "), "invalid_signature"),
        (lambda body, sign: "", "unsigned"),
        (lambda body, sign: "t=abc,v1=", "unreadable_signature"),
        (lambda body, sign: sign(body).partition(",")[0] + ",v1=ä", "unreadable_signature"),
        (lambda body, sign: sign(body).replace("v1", "v0"), "unreadable_signature"),
        (lambda body, sign: sign(body).partition(",")[2], "unreadable_signature"),
    ],
    ids=["another secret", "another body", "missing", "garbage", "not ASCII", "only v0", "no time"],
)
def test_what_does_not_verify_is_refused_and_nothing_of_it_is_stored(make_payment, sign, forge, code, post):
    body = stripe.bodies(stripe.paid(make_payment()))[0]
    response = post(body, forge(body, sign))
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert not WebhookEvent.objects.exists()


def test_while_a_secret_is_replaced_both_verify(make_payment, sign, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_old", "whsec_new"]
    payment = make_payment()
    for secret, body in zip(
        settings.STRIPE_WEBHOOK_SECRETS, stripe.bodies(stripe.paid(payment)), strict=True
    ):
        row = ingest.receive(body=body, signature=signatures.read(sign(body, secret=secret)))
        assert ingest.ingest([row])[0].state == "applied"


def test_without_a_secret_nothing_verifies(make_payment, sign, settings):
    body = stripe.bodies(stripe.paid(make_payment()))[0]
    signature = signatures.read(sign(body))
    for secrets in ([], [""]):
        settings.STRIPE_WEBHOOK_SECRETS = secrets
        with pytest.raises(signatures.InvalidSignature):
            ingest.receive(body=body, signature=signature)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"123",
        b"{}",
        b'{"object":"event","id":"evt_1"}',
        b"[" * 100_000,
        b'{"object":"v2.core.event","id":"evt_1","type":"v1.checkout.session.completed","created":"2026"}',
        b'{"object":"event","id":"","type":"x","created":1,"livemode":false,"data":{"object":{}}}',
        b'{"object":"event","id":"e","type":"x","created":1e30,"livemode":false,"data":{"object":{}}}',
        b'{"object":"event","id":"e","type":"x","created":1,"livemode":false,"data":{"object":[]}}',
        b"\xff\xfe",
        b'{"object":"event","id":"e\\u0000","type":"x","created":1,"livemode":false,"data":{"object":{}}}',
    ],
)
def test_a_signed_body_that_is_no_event_is_refused_with_a_reason(sign, body, post):
    try:
        signature = sign(body)
    except UnicodeDecodeError:
        signature = ""
    response = post(body, signature)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert not WebhookEvent.objects.exists()


def test_the_webhook_answers_to_post_alone(make_payment, sign, post):
    body = stripe.bodies(stripe.paid(make_payment()))[0]
    refused = post(body, sign(body), method="PUT")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert not WebhookEvent.objects.exists()
    response = post(body, sign(body))
    assert (response.status_code, response.json()["state"]) == (200, "applied")


def test_events_of_unknown_types_are_stored_as_ignored(make_payment, deliver):
    payment = make_payment()
    event = stripe.event(payment, "charge.refunded") | {"type": "customer.created"}
    assert deliver(stripe.bodies([event])[0]).state == "ignored"
    assert WebhookEvent.objects.get().error


def test_events_of_other_integrations_are_stored_as_ignored(deliver):
    stranger = Payment(ride_id="ride", user_id="user", amount=1250, currency="usd")
    foreign = [*stripe.paid(stranger), *stripe.expired(stranger)]
    for event in foreign:
        event["data"]["object"]["metadata"] = {"payment_id": "order 17"}
        event["data"]["object"]["client_reference_id"] = None
    assert {deliver(body).state for body in stripe.bodies(foreign)} == {"ignored"}


def test_an_event_of_the_other_mode_is_ignored(make_payment, deliver):
    payment = make_payment()
    event = stripe.paid(payment)[0] | {"livemode": True}
    assert deliver(stripe.bodies([event])[0]).state == "ignored"
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_a_refund_that_comes_before_its_payment_is_known_waits_for_it(make_payment, deliver):
    payment = make_payment()
    early = stripe.bodies(stripe.refunded(payment, "re_1", amount=1250, total=1250))
    assert {deliver(body).state for body in early} == {"parked"}
    assert frames(payment) == []
    deliver(stripe.bodies(stripe.paid(payment))[0])
    payment.refresh_from_db()
    assert payment.status == Status.REFUNDED
    assert not WebhookEvent.objects.filter(state="parked").exists()
    assert frames(payment)[-1]["status"] == "refunded"


def test_an_event_that_overtakes_our_own_note_of_the_session_waits_for_it(make_payment, deliver):
    payment = make_payment(session_id=None, link_seq=None)
    intent, session = stripe.paid(payment)
    assert deliver(stripe.bodies([intent])[0]).state == "parked"
    assert deliver(stripe.bodies([session])[0]).state == "applied"
    payment.refresh_from_db()
    assert (payment.status, payment.session_id) == ("succeeded", session["data"]["object"]["id"])
    assert [frame["stripeSessionId"] for frame in frames(payment)] == [payment.session_id]
    assert not WebhookEvent.objects.filter(state="parked").exists()


def test_the_end_of_another_session_does_not_end_the_payment(make_payment, deliver):
    payment = make_payment()
    event = stripe.expired(payment)[0]
    event["data"]["object"]["id"] = "cs_test_an_earlier_try"
    assert deliver(stripe.bodies([event])[0]).state == "ignored"
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_a_payment_of_another_session_of_the_ride_is_still_a_payment(make_payment, deliver):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    event["data"]["object"]["id"] = "cs_test_an_earlier_try"
    assert deliver(stripe.bodies([event])[0]).state == "applied"
    payment.refresh_from_db()
    assert payment.status == Status.SUCCEEDED
    assert payment.session_id != "cs_test_an_earlier_try"


def test_an_event_that_cannot_be_read_is_kept_with_its_error_and_not_asked_for_again(
    make_payment, sign, post
):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    del event["data"]["object"]["amount_total"]
    body = stripe.bodies([event])[0]
    for attempt in (1, 2):
        response = post(body, sign(body))
        assert (response.status_code, response.json()["state"]) == (200, "failed")
        row = WebhookEvent.objects.get()
        assert (row.state, row.reason, row.attempts) == ("failed", "unreadable", attempt)
        assert "amount_total" in row.error


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("refund.created", {"amount": 1.5}),
        ("refund.created", {"amount": -100}),
        ("refund.created", {"amount": True}),
        ("charge.dispute.created", {"status": None}),
        ("charge.refunded", {"amount_refunded": "5"}),
        ("payment_intent.succeeded", {"amount_received": None}),
    ],
)
def test_an_object_that_is_not_as_it_should_be_adds_no_fact(make_payment, deliver, type_, fields):
    payment = make_payment(payment_intent_id=None)
    deliver(stripe.bodies(stripe.paid(payment))[1])
    assert deliver(stripe.bodies([stripe.event(payment, type_, of="x", **fields)])[0]).state == "failed"
    payment.refresh_from_db()
    assert payment.status == Status.SUCCEEDED


def test_an_event_that_was_applied_before_an_error_came_is_not_kept_as_failed(make_payment, deliver):
    payment = make_payment()
    body = stripe.bodies(stripe.paid(payment))[0]
    errors = [OperationalError("canceling statement due to lock timeout")]

    def fail_once(execute, sql, *more):
        if errors and "UNION ALL SELECT 1 FROM payments_webhookevent" in sql:  # asked after the commit
            raise errors.pop()
        return execute(sql, *more)

    with connection.execute_wrapper(fail_once):
        assert deliver(body).state == "applied"
    assert not errors
    assert WebhookEvent.objects.get().state == "applied"
    assert len(frames(payment)) == 1


def test_a_failed_event_is_found_by_its_payment_and_its_error_quotes_no_row(make_payment, deliver):
    payment = make_payment()
    event = stripe.paid(payment)[1]
    del event["data"]["object"]["amount_total"]
    deliver(stripe.bodies([event])[0])
    row = WebhookEvent.objects.get(payment=payment)
    assert row.error == row.error.splitlines()[0]
    assert row.error == "It cannot be read: it has no field 'amount_total'."


def test_a_refund_without_an_intent_is_of_another_integration(make_payment, deliver):
    event = stripe.event(make_payment(), "charge.refunded", payment_intent=None)
    assert deliver(stripe.bodies([event])[0]).state == "ignored"


def test_what_changed_twice_in_one_transaction_is_notified_once(make_payment):
    payment = make_payment()
    sent = stripe.paid_later(payment) + stripe.confirmed(payment)
    for body in stripe.bodies(sent):
        envelope.store(envelope.read(body))
    apply.apply([event["id"] for event in sent])
    assert [frame["status"] for frame in frames(payment)] == ["succeeded"]
    assert [c.after for c in StatusChange.objects.filter(payment=payment)] == ["processing", "succeeded"]


def test_the_intent_that_was_paid_is_the_one_that_refunds_go_to(make_payment, deliver):
    payment = make_payment(payment_intent_id="pi_of_another_session")
    deliver(stripe.bodies(stripe.paid(payment))[0])
    payment.refresh_from_db()
    assert payment.payment_intent_id == f"pi_{payment.pk.hex}"


def test_a_bad_event_fails_alone(make_payment):
    good, bad = make_payment(), make_payment()
    sent = stripe.paid(good) + stripe.paid(bad)
    del sent[-1]["data"]["object"]["currency"]
    for body in stripe.bodies(sent):
        envelope.store(envelope.read(body))
    outcomes = apply.apply([event["id"] for event in sent])
    assert [outcome.state for outcome in outcomes] == ["applied", "applied", "applied", "failed"]
    good.refresh_from_db()
    assert good.status == Status.SUCCEEDED
    assert len(frames(good)) == 1


def test_a_batch_takes_the_same_few_statements_however_large_it_is(
    make_payment, django_assert_max_num_queries
):
    """One query a table; only notifications are numbered one at a time (two statements each)."""
    sent = [event for _ in range(20) for event in stripe.expired(make_payment())]
    for body in stripe.bodies(sent):
        envelope.store(envelope.read(body))
    with django_assert_max_num_queries(12 + 2 * 20):
        apply.apply([event["id"] for event in sent])


def test_another_sum_than_asked_is_flagged_and_pays_nothing(make_payment, deliver, admin_client):
    payment = make_payment()
    event = stripe.event(payment, "checkout.session.completed", payment_status="paid", amount_total=1)
    assert deliver(stripe.bodies([event])[0]).state == "applied"
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
    assert payment.facts["paid"][payment.payment_intent_id].keys() == {"1 usd"}
    assert payment.attention == "other_sum"
    assert frames(payment) == []


def test_a_payment_that_ends_gives_its_ride_free_and_one_that_is_paid_keeps_it(make_payment, deliver):
    ended, paid = make_payment(), make_payment()
    for body in stripe.bodies(stripe.expired(ended) + stripe.paid(paid)):
        deliver(body)
    ended.refresh_from_db()
    paid.refresh_from_db()
    assert (ended.ride_claim, paid.ride_claim) == (None, paid.ride_id)


def test_replaying_what_was_applied_writes_nothing_and_tells_nobody(make_payment, deliver):
    payment = make_payment()
    sent = stripe.paid(payment) + stripe.refunded(payment, "re_1", amount=1250, total=1250)
    for body in stripe.bodies(sent):
        deliver(body)
    payment.refresh_from_db()
    before = (frames(payment), StatusChange.objects.count())
    apply.apply([event["id"] for event in sent], cause=StatusChange.Cause.REPLAY)
    payment.refresh_from_db()
    assert (frames(payment), StatusChange.objects.count()) == before
