"""Whose event is it: each reason for which an event adds nothing to a payment."""

import json
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from payments.balances import balances
from payments.models import Intent, Payment, RefundRequest, WebhookEvent
from payments.stripe import gateway
from payments.tests import stripe_events as stripe
from payments.tests.fetching import fetch
from payments.webhooks import apply, envelope, retention

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def send(deliver):
    """Return a function that delivers one event, and returns its row."""

    def send_event(event, **changes):
        deliver(json.dumps(event | changes).encode())
        return WebhookEvent.objects.get(event_id=event["id"])

    return send_event


@pytest.fixture
def story(make_payment, send):
    return make_payment, send


def verdict(row):
    return row.state, row.reason


def of_a_stranger(type_, **fields):
    """Return an event of another integration's payment on the same account."""
    stranger = Payment(pk=uuid.UUID(int=7), amount=4200, currency="eur", session_id="cs_of_another")
    metadata = {"order_id": "7001"} if type_.startswith(("checkout", "payment_intent")) else {}
    return stripe.event(
        stranger,
        type_,
        **{"metadata": metadata, **({"client_reference_id": None} if metadata else {}), **fields},
    )


@pytest.mark.parametrize("name", ["account", "context"])
@pytest.mark.parametrize(
    "story", [stripe.paid, stripe.expired, lambda p: stripe.disputed(p, "du_1", ends="lost")]
)
def test_events_of_another_account_say_nothing_of_our_payments(make_payment, send, name, story):
    payment = make_payment()
    assert {verdict(send(event, **{name: "acct_1OTHER"})) for event in story(payment)} == {
        ("ignored", "account")
    }
    payment.refresh_from_db()
    assert (payment.status, payment.ride_claim) == ("pending", payment.ride_id)
    assert not Intent.objects.exists()


def test_an_event_that_names_no_account_is_of_our_own(make_payment, send):
    row = send(stripe.paid(make_payment())[1], account=None, context=None)
    assert verdict(row) == ("applied", "")


def test_an_event_of_the_other_mode_says_so(make_payment, send):
    assert verdict(send(stripe.paid(make_payment())[0], livemode=True)) == ("ignored", "livemode")


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("checkout.session.completed", {"payment_status": "paid"}),
        ("checkout.session.completed", {"payment_status": "paid", "amount_total": 50}),
        ("checkout.session.completed", {"payment_status": "unpaid"}),
        ("checkout.session.expired", {"payment_intent": None}),
    ],
)
def test_a_session_that_we_did_not_make_closes_nothing_and_is_flagged(make_payment, send, type_, fields):
    """Where the account has Payment Links the customer chooses `client_reference_id`."""
    payment = make_payment()
    event = stripe.event(
        payment, type_, **{"id": "cs_of_a_link", "metadata": {}, "payment_intent": "pi_l", **fields}
    )
    row = send(event)
    assert (verdict(row), row.payment) == (("ignored", "foreign_session"), payment)
    payment.refresh_from_db()
    assert (payment.status, payment.attention) == ("pending", "foreign_session")
    send(stripe.paid(payment)[1])
    payment.refresh_from_db()
    assert payment.status == "succeeded"


def test_many_foreign_sessions_do_not_make_a_payment_grow(make_payment, send):
    payment = make_payment()
    sizes = set()
    for number in range(3):
        send(stripe.event(payment, "checkout.session.expired", id=f"cs_link_{number}", metadata={}))
        payment.refresh_from_db()
        sizes.add(len(json.dumps(payment.facts)))
    assert len(sizes) == 1


def test_our_session_counts_by_its_id_though_it_bears_no_metadata(make_payment, send):
    payment = make_payment()
    row = send(stripe.event(payment, "checkout.session.completed", payment_status="paid", metadata=None))
    assert verdict(row) == ("applied", "")


def of(payment):
    return {"payment_id": str(payment.pk)}


def test_an_intent_whose_metadata_was_rewritten_stays_with_the_payment_that_it_paid(make_payment, send):
    paid, other = make_payment(), make_payment()
    send(stripe.paid(paid)[0])
    row = send(stripe.event(paid, "payment_intent.succeeded", metadata=of(other)))
    assert (verdict(row), row.payment) == (("ignored", "other_payment"), other)
    refund = send(stripe.refunded(paid, "re_1", amount=1250, total=1250)[2])
    assert (verdict(refund), refund.payment) == (("applied", ""), paid)
    other.refresh_from_db()
    assert (other.status, other.attention, other.payment_intent_id) == ("pending", "rewritten", None)


def taken(payment, other):
    """Return the events of an intent that was given to another payment before anything of it was heard of."""
    return [
        stripe.event(payment, "payment_intent.succeeded", metadata=of(other)),
        stripe.event(payment, "checkout.session.completed", payment_status="paid"),
    ]


def counted(*payments):
    for payment in payments:
        payment.refresh_from_db()
    return sorted(payment.status for payment in payments)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_money_of_an_intent_counts_once_whatever_its_metadata_says(make_payment, send, order):
    payment, other = make_payment(), make_payment()
    sent = taken(payment, other)
    states = [verdict(send(sent[number])) for number in order]
    assert states == [("applied", ""), ("ignored", "other_payment")]
    assert counted(payment, other) == ["pending", "succeeded"]
    assert {payment.attention, other.attention} == {"", "rewritten"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_it_counts_once_in_one_batch_too(make_payment, order):
    payment, other = make_payment(), make_payment()
    sent = [taken(payment, other)[number] for number in order]
    for body in stripe.bodies(sent):
        envelope.store(envelope.read(body))
    outcomes = apply.apply([event["id"] for event in sent])
    assert [outcome.state for outcome in outcomes] == ["applied", "ignored"]
    assert counted(payment, other) == ["pending", "succeeded"]


def test_it_counts_once_where_both_come_at_the_same_moment(make_payment, deliver):
    for _ in range(6):
        payment, other = make_payment(), make_payment()
        start = threading.Barrier(2)

        def run(body, start=start):
            start.wait()
            deliver(body)
            connection.close()

        threads = [
            threading.Thread(target=run, args=(body,)) for body in stripe.bodies(taken(payment, other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counted(payment, other) == ["pending", "succeeded"]
    assert not WebhookEvent.objects.filter(state="failed").exists()


@pytest.mark.parametrize("named", [str(uuid.UUID(int=9)), "order 17", None, "another"])
def test_a_session_of_ours_counts_whatever_its_metadata_says(make_payment, send, named):
    payment, other = make_payment(), make_payment()
    metadata = {"payment_id": str(other.pk) if named == "another" else named}
    row = send(stripe.event(payment, "checkout.session.completed", payment_status="paid", metadata=metadata))
    assert (verdict(row), row.payment) == (("applied", ""), payment)
    payment.refresh_from_db()
    other.refresh_from_db()
    assert (payment.status, other.status) == ("succeeded", "pending")


def test_the_intent_of_a_foreign_session_is_foreign(make_payment, send):
    link = {"id": "cs_of_a_link", "metadata": {}, "payment_intent": "pi_of_a_link"}
    send(stripe.event(make_payment(), "checkout.session.completed", payment_status="paid", **link))
    refund = send(stripe.event(make_payment(), "refund.created", of="re_1", payment_intent="pi_of_a_link"))
    assert verdict(refund) == ("ignored", "not_ours")


def test_what_came_before_the_foreign_session_waits_no_longer(make_payment, send):
    row = send(stripe.event(make_payment(), "refund.created", of="re_1", payment_intent="pi_of_a_link"))
    link = {"id": "cs_of_a_link", "metadata": {}, "payment_intent": "pi_of_a_link"}
    send(stripe.event(make_payment(), "checkout.session.completed", payment_status="paid", **link))
    row.refresh_from_db()
    assert verdict(row) == ("ignored", "not_ours")


FOLLOWERS = [
    ("charge.refunded", {"amount_refunded": 4200}),
    ("charge.succeeded", {"status": "succeeded"}),
    ("refund.created", {"of": "re_1"}),
    ("charge.dispute.created", {"of": "du_1"}),
    ("charge.dispute.closed", {"of": "du_1", "status": "lost"}),
    ("radar.early_fraud_warning.created", {}),
]


@pytest.mark.parametrize("teller", ["payment_intent.succeeded", "checkout.session.completed"])
@pytest.mark.parametrize(("type_", "fields"), FOLLOWERS)
def test_what_is_known_to_be_of_another_integration_is_ignored_at_once(send, teller, type_, fields):
    assert verdict(send(of_a_stranger(teller))) == ("ignored", "not_ours")
    assert verdict(send(of_a_stranger(type_, **fields))) == ("ignored", "not_ours")


@pytest.mark.parametrize(("type_", "fields"), FOLLOWERS)
def test_what_came_before_it_is_known_to_be_of_another_integration_waits_no_longer(send, type_, fields):
    row = send(of_a_stranger(type_, **fields))
    assert row.state == "parked"
    send(of_a_stranger("payment_intent.succeeded"))
    row.refresh_from_db()
    assert verdict(row) == ("ignored", "not_ours")


def test_a_charge_with_the_metadata_of_another_integration_is_ignored(send):
    row = send(of_a_stranger("charge.refunded", amount_refunded=4200, metadata={"order_id": "7001"}))
    assert verdict(row) == ("ignored", "not_ours")


def test_an_intent_that_turns_out_to_be_ours_is_ours(make_payment, send):
    payment = make_payment()
    send(stripe.event(payment, "payment_intent.processing", metadata={}))
    send(stripe.paid(payment)[1])
    assert Intent.objects.get().payment == payment
    assert verdict(send(stripe.refunded(payment, "re_1", amount=5, total=5)[1])) == ("applied", "")


def test_what_no_payment_became_known_for_is_given_up_after_thirty_days(send, stripe_api):
    waiting = send(of_a_stranger("refund.created", of="re_1"))
    young = send(of_a_stranger("refund.created", of="re_2"))
    before = timezone.now() - gateway.EVENTS_KEPT - timedelta(minutes=1)
    WebhookEvent.objects.filter(pk=waiting.pk).update(received_at=before)
    code, out = fetch()
    assert (code, "1 event waited in vain for a payment" in out) == (0, True), out
    waiting.refresh_from_db()
    young.refresh_from_db()
    assert (verdict(waiting), young.state) == (("ignored", "unmatched"), "parked")
    assert waiting.error


def test_a_payment_paid_by_two_intents_knows_both_and_what_becomes_of_either(make_payment, send):
    payment = make_payment()
    send(stripe.paid(payment)[1])
    again = {"id": "cs_again", "recovered_from": payment.session_id, "payment_intent": "pi_again"}
    send(stripe.event(payment, "checkout.session.completed", payment_status="paid", **again))
    payment.refresh_from_db()
    assert (payment.status, payment.attention) == ("succeeded", "paid_twice")
    assert set(payment.intents.values_list("intent_id", flat=True)) == {f"pi_{payment.pk.hex}", "pi_again"}
    for intent_id, status in ((f"pi_{payment.pk.hex}", "succeeded"), ("pi_again", "refunded")):
        row = send(stripe.event(payment, "refund.created", of=f"re_{intent_id}", payment_intent=intent_id))
        payment.refresh_from_db()
        assert (verdict(row), payment.status) == (("applied", ""), status)
    assert (payment.attention, payment.ride_claim) == ("", None)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("checkout.session.completed", {"payment_status": "paid", "amount_total": 10**30}),
        ("charge.refunded", {"amount_refunded": 2**63}),
    ],
)
def test_a_sum_that_no_payment_has_is_counted_nowhere_and_flagged(make_payment, send, type_, fields):
    payment = make_payment()
    send(stripe.paid(payment)[0])
    assert verdict(send(stripe.event(payment, type_, **fields))) == ("ignored", "impossible_sum")
    payment.refresh_from_db()
    assert (payment.status, payment.attention) == ("succeeded", "unknown_value")
    assert [book.left for book in balances(payment.facts).values()] == [0]


@pytest.mark.parametrize(
    ("type_", "fields", "status"),
    [
        ("refund.created", {"amount": 10**20}, "succeeded"),
        ("charge.dispute.created", {"amount": 10**16}, "disputed"),
        (
            "charge.dispute.created",
            {"balance_transactions": [{"id": "txn_1", "amount": -(10**30), "currency": "usd"}]},
            "disputed",
        ),
    ],
)
def test_what_names_an_impossible_sum_keeps_all_money_from_being_refunded(
    make_payment, send, type_, fields, status
):
    payment = make_payment()
    send(stripe.paid(payment)[0])
    assert verdict(send(stripe.event(payment, type_, of="x", **fields))) == ("applied", "")
    payment.refresh_from_db()
    assert (payment.status, payment.ride_claim) == (status, payment.ride_id)
    assert "unknown_value" in payment.attention.split()
    assert [book.left for book in balances(payment.facts).values()] == [0]


@pytest.mark.parametrize("digits", [17, 30, 5000])
def test_a_number_of_a_refund_that_we_did_not_give_out_is_nobodys(make_payment, send, digits):
    payment = make_payment()
    send(stripe.paid(payment)[0])
    event = stripe.event(payment, "refund.created", of="re_1", metadata={"refund_request": "9" * digits})
    assert verdict(send(event)) == ("applied", "")


@pytest.mark.parametrize(
    "odd", [{"amount": 2**64}, {"id": "re_" + "x" * 300}, {"status": "of_tomorrow" * 10}]
)
def test_a_refund_that_no_column_takes_as_it_is_answers_a_request_as_far_as_it_fits(make_payment, send, odd):
    payment = make_payment()
    send(stripe.paid(payment)[0])
    request = RefundRequest.objects.create(
        payment=payment, payment_intent_id=f"pi_{payment.pk.hex}", amount=500, is_full=False
    )
    fields = {"amount": 500, "metadata": {"refund_request": str(request.pk)}} | odd
    assert verdict(send(stripe.event(payment, "refund.created", of="re_1", **fields))) == ("applied", "")
    request.refresh_from_db()
    assert bool(request.refund_id) == ("amount" not in odd)


@pytest.mark.parametrize(
    ("type_", "value", "status", "unknown"),
    [
        ("charge.dispute.updated", "of_tomorrow", "disputed", "dispute.status=of_tomorrow"),
        ("charge.dispute.updated", "prevented", "disputed", "dispute.case_type="),
        ("refund.updated", "of_tomorrow", "succeeded", "refund.status=of_tomorrow"),
    ],
)
def test_a_value_that_nobody_knows_is_kept_and_shown_and_not_read_in_our_favour(
    story, type_, value, status, unknown
):
    make_payment, send = story
    payment = make_payment()
    send(stripe.paid(payment)[1])
    send(stripe.event(payment, type_, of="x", status=value))
    payment.refresh_from_db()
    assert (payment.status, payment.ride_claim) == (status, payment.ride_id)
    assert "unknown_value" in payment.attention.split()
    assert payment.facts["unknown"].keys() == {unknown}


def test_a_session_paid_in_a_way_that_nobody_knows_is_not_paid(make_payment, send):
    payment = make_payment()
    send(stripe.event(payment, "checkout.session.completed", payment_status="of_tomorrow"))
    payment.refresh_from_db()
    assert (payment.status, payment.attention) == ("processing", "unknown_value")


def test_foreign_intents_are_removed_with_the_events_that_named_them(make_payment, send):
    send(of_a_stranger("payment_intent.succeeded"))
    send(stripe.paid(make_payment())[0])
    Intent.objects.update(created_at=timezone.now() - timedelta(days=91))
    assert list(retention.prune_foreign_intents(days=90)) == [1]
    assert Intent.objects.get().payment is not None
