"""What a payment's page shows of what Stripe said: money, disputes, declines, cards and warnings."""

import re
from datetime import UTC, datetime

import pytest

from notifications.models import Feed
from payments.admin import fact_entries, tables
from payments.models import Intent
from payments.tests import stripe_events as stripe
from payments.tests.api.test_outcomes import declined
from payments.tests.stories import STORIES
from tests.support.admin_pages import page_of, text_of

RECEIPT = "https://pay.stripe.example/receipts/1"


@pytest.fixture
def shown(admin_client, deliver):
    """Return a function that delivers events, and returns the payment's page."""

    def read(payment, *events):
        for body in stripe.bodies(events):
            deliver(body)
        payment.refresh_from_db()
        return text_of(admin_client.get(page_of(payment)))

    return read


def rows_of(payment, title):
    """Return the cells of a table of the page, as text."""
    payment.refresh_from_db()
    [table] = [table for table in tables.build(payment) if table.title == title]
    return [[" ".join(re.sub(r"<[^>]+>", " ", str(cell)).split()) for cell in row] for row in table.rows]


def story_of(payment):
    return {entry.title: entry for entry in fact_entries.entries(payment.facts)}


@pytest.mark.parametrize("story", STORIES)
def test_whatever_happened_to_a_payment_is_shown_in_the_admin_and_in_the_api(
    shown, make_payment, client, settings, story
):
    payment = make_payment()
    assert shown(payment, *STORIES[story][0](payment))
    headers = {"Authorization": f"Bearer {settings.API_KEYS[0]}"}
    for path in (f"/api/payments/{payment.pk}", f"/api/payments?rideId={payment.ride_id}"):
        assert payment.status in client.get(path, headers=headers).text


def test_a_page_has_no_empty_tables(shown, make_payment):
    page = shown(make_payment())
    for title in ("Money by payment intent", "Disputes", "Refunds", "Paid with", "Early fraud warnings"):
        assert title not in page


def test_money_is_counted_for_each_payment_intent(shown, make_payment):
    payment = make_payment()
    Intent.objects.create(intent_id="pi_unpaid", payment=payment)
    page = shown(
        payment,
        *stripe.paid(payment),
        stripe.event(payment, "payment_intent.succeeded", id="pi_second", amount_received=100),
        *stripe.refunded(payment, "re_1", amount=200, total=200),
        stripe.event(payment, "refund.created", of="re_2", amount=50, status="pending"),
        *stripe.disputed(payment, "du_1", amount=300, ends="lost"),
        *stripe.disputed(payment, "du_2", amount=100),
    )
    assert rows_of(payment, "Money by payment intent") == [
        [f"pi_{payment.pk.hex}", "12.50 USD", "2.00 USD", "0.50 USD", "3.00 USD", "1.00 USD", "7.50 USD"],
        ["pi_second", "1.00 USD another sum", "-", "-", "-", "-", "1.00 USD"],
        ["pi_unpaid", "nothing", "-", "-", "-", "-", "-"],
    ]
    for name in ("Money by payment intent", "pi_second", "pi_unpaid", "another sum"):
        assert name in page


def test_what_is_given_back_before_it_is_said_to_be_paid_is_marked(shown, make_payment):
    payment = make_payment()
    Intent.objects.create(intent_id=f"pi_{payment.pk.hex}", payment=payment)
    shown(payment, stripe.event(payment, "refund.updated", of="re_1", amount=200))
    [[_, paid, refunded, *_]] = rows_of(payment, "Money by payment intent")
    assert (paid, refunded) == ("12.50 USD not confirmed yet", "2.00 USD")


def test_a_dispute_is_shown_with_its_state_and_each_of_its_balance_transactions(shown, make_payment):
    payment = make_payment()
    page = shown(payment, *stripe.paid(payment), *stripe.disputed(payment, "du_1", amount=500, ends="won"))
    name = f"du_1_{payment.pk.hex}"
    assert rows_of(payment, "Disputes") == [
        [name, "5.00 USD", "won", "fraudulent", "2023-11-20 17:06:40", f"pi_{payment.pk.hex}"]
    ]
    assert [row[:3] + row[4:] for row in rows_of(payment, "Balance transactions of disputes")] == [
        ["2023-11-14 22:13:20", "5.00 USD withdrawn", "15.00 USD", name],
        ["2023-11-14 22:13:21", "5.00 USD reinstated", "15.00 USD", name],
    ]
    withdrawn = story_of(payment)["5.00 USD withdrawn by a dispute"]
    assert withdrawn.at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert withdrawn.detail == f"{name} · fraudulent · fee 15.00 USD"
    assert "dispute over 5.00 USD, fraudulent, now won" in page


def test_refunds_are_shown_with_their_states(shown, make_payment):
    payment = make_payment()
    page = shown(
        payment,
        *stripe.paid(payment),
        stripe.event(payment, "refund.created", of="re_1", amount=200, status="requires_action"),
        *stripe.refund_failed(payment, "re_2", amount=300),
    )
    assert [row[1:3] for row in rows_of(payment, "Refunds")] == [
        ["2.00 USD", "requires_action"],
        ["3.00 USD", "failed"],
    ]
    assert "refund of 3.00 USD, now failed" in page


def test_a_decline_is_shown_with_code_advice_and_message_also_after_it_was_paid(shown, make_payment):
    payment = make_payment()
    page = shown(payment, declined(payment), *stripe.paid(payment))
    [[_, *words]] = rows_of(payment, "Last attempt that failed")
    assert words == [
        "card_declined",
        "insufficient_funds",
        "try_again_later",
        "Your card has insufficient funds.",
    ]
    failed = story_of(payment)["An attempt to pay failed: insufficient_funds"]
    assert failed.detail == "card_declined · advice: try_again_later · Your card has insufficient funds."
    assert failed.title in page


def test_the_card_the_risk_and_the_receipt_are_shown(shown, make_payment):
    payment = make_payment()
    page = shown(payment, *stripe.paid(payment), *stripe.charged(payment))
    [[_, means, risk, *_]] = rows_of(payment, "Paid with")
    assert (means, risk) == ("visa ···· 4242, apple_pay", "normal")
    assert f'href="{RECEIPT}" target="_blank" rel="noreferrer"' in page
    assert story_of(payment)["12.50 USD was paid"].detail == "visa ···· 4242, apple_pay"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://pay.stripe.example/1", "", None])
def test_a_receipt_is_a_link_only_where_it_is_a_safe_one(shown, make_payment, url):
    payment = make_payment()
    [charged] = stripe.charged(payment)
    charged["data"]["object"]["receipt_url"] = url
    shown(payment, *stripe.paid(payment), charged)
    assert rows_of(payment, "Paid with")[0][3] == "-"


def test_what_is_no_card_is_shown_by_its_kind(shown, make_payment):
    payment = make_payment()
    [charged] = stripe.charged(payment)
    details = {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}
    charged["data"]["object"] |= {"payment_method_details": details, "outcome": None}
    shown(payment, *stripe.paid(payment), charged)
    assert rows_of(payment, "Paid with")[0][1:3] == ["sepa_debit ···· 3000", "-"]


def test_warnings_reviews_and_values_that_nobody_knows_are_shown(shown, make_payment):
    payment = make_payment()
    page = shown(
        payment,
        *stripe.paid(payment),
        stripe.event(payment, "radar.early_fraud_warning.created"),
        stripe.event(payment, "review.opened"),
        stripe.event(payment, "review.closed", open=False, closed_reason="approved"),
        stripe.event(payment, "charge.dispute.updated", of="du_1", status="a_state_of_tomorrow"),
    )
    assert rows_of(payment, "Early fraud warnings")[0][2:] == ["made_with_stolen_card", "yes"]
    assert rows_of(payment, "Reviews by Stripe")[0][2:] == ["closed", "approved"]
    title = "Values of Stripe's that this service does not know"
    assert [row[1] for row in rows_of(payment, title)] == ["dispute.status=a_state_of_tomorrow"]
    for line in (
        "Early fraud warning: made_with_stolen_card",
        "Stripe's review is closed",
        "Stripe said dispute.status=a_state_of_tomorrow, which this service does not know",
    ):
        assert line in story_of(payment)
        assert line in page


def test_what_stripe_says_is_escaped(admin_client, shown, make_payment):
    payment = make_payment()
    assert "<script>alert(1)" in shown(payment, declined(payment, message="<script>alert(1)</script>"))
    assert b"<script>alert(1)" not in admin_client.get(page_of(payment)).content


@pytest.mark.parametrize(
    ("confirmed", "says"),
    [
        ({}, "no app has confirmed it"),
        ({"confirmed_seq": 1}, "an app confirmed up to number 1"),
        (
            {"confirmed_seq": 7, "confirmed_at": datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)},
            "an app confirmed up to number 7 by 2026-01-01 12:00:05",
        ),
    ],
)
def test_the_time_line_says_whether_and_when_an_app_confirmed_what_was_written(
    shown, make_payment, confirmed, says
):
    payment = make_payment()
    Feed.objects.create(user_id=payment.user_id, last_seq=9, **confirmed)
    page = shown(payment)
    assert "Checkout link written to the user's feed" in page
    assert f"notification 1 · {says}" in page
