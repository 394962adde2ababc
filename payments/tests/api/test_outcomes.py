"""What the API shows of what became of a payment's money."""

import pytest

from payments.status import Status
from payments.tests import stripe_events as stripe

pytestmark = pytest.mark.django_db

NOTHING = {"failure": None, "dispute": None, "amountRefunded": 0, "refunds": [], "card": None}
DECLINED = {
    "code": "card_declined",
    "decline_code": "insufficient_funds",
    "advice_code": "try_again_later",
    "message": "Your card has insufficient funds.",
}


@pytest.fixture
def shown(client, deliver):
    """Return a function that delivers events, and returns the payment as the backend reads it."""

    def read(payment, *events):
        for body in stripe.bodies(events):
            deliver(body)
        response = client.get(f"/api/payments/{payment.pk}", headers={"Authorization": "Bearer dev-key"})
        assert response.status_code == 200
        return response.json()

    return read


def declined(payment, *, charge="ch_1", **error):
    fields = {"of": charge, "last_payment_error": DECLINED | error}
    return stripe.event(payment, "payment_intent.payment_failed", **fields)


def movement(payment, name, **fields):
    [first] = stripe.movements(payment, name, 500, count=1)
    return first | fields


def test_of_an_open_payment_nothing_is_shown_that_has_not_happened(shown, make_payment):
    assert shown(make_payment()).items() >= NOTHING.items()


def test_a_failure_is_shown_with_the_banks_reason(shown, make_payment):
    payment = make_payment()
    assert shown(payment, declined(payment))["failure"] == {
        "code": "card_declined",
        "declineCode": "insufficient_funds",
        "adviceCode": "try_again_later",
        "message": "Your card has insufficient funds.",
    }


def test_of_several_failures_the_last_is_shown_whatever_comes_first(shown, make_payment):
    payment = make_payment()
    first, second = declined(payment), declined(payment, charge="ch_2", decline_code="lost_card")
    assert shown(payment, second, first)["failure"]["declineCode"] == "lost_card"


def test_what_stripe_leaves_out_of_a_failure_is_null(shown, make_payment):
    payment = make_payment()
    failed = declined(payment, code="processing_error", decline_code=None, advice_code=None, message="")
    assert shown(payment, failed)["failure"] == {
        "code": "processing_error",
        "declineCode": None,
        "adviceCode": None,
        "message": None,
    }


@pytest.mark.parametrize(
    ("story", "status"),
    [
        (stripe.paid, Status.SUCCEEDED),
        (stripe.paid_later, Status.PROCESSING),
        (lambda p: [stripe.event(p, "payment_intent.requires_action")], Status.PENDING),
        (lambda p: stripe.expired(p) + stripe.recovered(p, "again"), Status.PROCESSING),
        (
            lambda p: [
                stripe.event(p, "checkout.session.completed", payment_status="paid", amount_total=1),
            ],
            Status.FAILED,
        ),
    ],
)
def test_a_failure_that_something_better_followed_is_not_shown(shown, make_payment, story, status):
    payment = make_payment()
    read = shown(payment, declined(payment), *story(payment))
    assert (read["status"], read["failure"]) == (status, None)


def test_a_payment_that_ended_after_a_failure_says_why(shown, make_payment):
    payment = make_payment()
    read = shown(payment, declined(payment), *stripe.expired(payment))
    assert (read["status"], read["failure"]["code"]) == ("expired", "card_declined")


def test_a_dispute_is_shown_with_its_amount_reason_and_due_date(shown, make_payment):
    payment = make_payment()
    sent = stripe.paid(payment) + stripe.disputed(payment, "du_1", amount=500)
    assert shown(payment, *sent)["dispute"] == {
        "id": f"du_1_{payment.pk.hex}",
        "status": "under_review",
        "reason": "fraudulent",
        "amount": 500,
        "currency": "usd",
        "dueBy": "2023-11-20T17:06:40Z",
    }


@pytest.mark.parametrize("due_by", [None, 0])
def test_a_dispute_without_due_date_has_none(shown, make_payment, due_by):
    payment = make_payment()
    sent = stripe.event(payment, "charge.dispute.created", of="du_1", evidence_details={"due_by": due_by})
    assert shown(payment, *stripe.paid(payment), sent)["dispute"]["dueBy"] is None


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ({"due_by": 1_700_600_000}, {"due_by": 1_700_500_000}, "du_2"),
        ({"due_by": None}, {"due_by": 1_700_500_000}, "du_2"),
        ({"status": "won", "due_by": 1}, {"status": "needs_response", "due_by": 2}, "du_2"),
        ({"status": "a_state_of_tomorrow"}, {"status": "lost"}, "du_1"),
        ({"status": "warning_closed"}, {"status": "warning_needs_response"}, "du_2"),
        ({"status": "lost", "moved_at": 2}, {"status": "lost", "moved_at": 1}, "du_1"),
        ({"status": "lost", "moved_at": 1}, {"status": "lost", "moved_at": 2}, "du_2"),
    ],
)
def test_of_several_disputes_the_open_one_that_is_due_first_is_shown_else_the_latest(
    shown, make_payment, first, second, chosen
):
    payment = make_payment()
    sent = [
        stripe.event(
            payment,
            "charge.dispute.updated",
            of=name,
            amount=100,
            status=fields.get("status", "needs_response"),
            evidence_details={"due_by": fields.get("due_by", 1_700_500_000)},
            balance_transactions=[movement(payment, name, amount=-100, created=fields["moved_at"])]
            if "moved_at" in fields
            else [],
        )
        for name, fields in (("du_1", first), ("du_2", second))
    ]
    assert shown(payment, *stripe.paid(payment), *sent)["dispute"]["id"] == f"{chosen}_{payment.pk.hex}"


def test_refunds_are_listed_with_their_states_and_those_that_succeeded_are_added_up(shown, make_payment):
    payment = make_payment()
    sent = [
        *stripe.paid(payment),
        stripe.event(payment, "refund.updated", of="re_2", amount=200, status="succeeded"),
        stripe.event(payment, "refund.updated", of="re_1", amount=300, status="succeeded"),
        stripe.event(payment, "refund.created", of="re_3", amount=250, status="pending"),
        stripe.event(payment, "refund.failed", of="re_4", amount=400, status="failed"),
    ]
    read = shown(payment, *sent)
    assert read["amountRefunded"] == 500
    assert [(row["id"].partition(f"_{payment.pk.hex}")[0], row["amount"]) for row in read["refunds"]] == [
        ("re_1", 300),
        ("re_2", 200),
        ("re_3", 250),
        ("re_4", 400),
    ]
    assert [row["status"] for row in read["refunds"]] == ["succeeded", "succeeded", "pending", "failed"]
    assert {row["currency"] for row in read["refunds"]} == {"usd"}


def test_a_refund_of_another_currency_is_shown_in_its_own(shown, make_payment):
    payment = make_payment()
    sent = [
        stripe.event(payment, "payment_intent.succeeded", currency="eur"),
        stripe.event(payment, "refund.updated", of="re_1"),
    ]
    assert shown(payment, *sent)["refunds"][0]["currency"] == "eur"


def test_the_card_that_paid_is_shown_and_no_risk_nor_receipt(shown, make_payment):
    payment = make_payment()
    read = shown(payment, *stripe.charged(payment), *stripe.paid(payment))
    assert read["card"] == {"brand": "visa", "last4": "4242", "wallet": "apple_pay"}
    assert "receipt" not in str(read)
    assert "risk" not in str(read)


def test_of_two_cards_the_one_of_the_payment_intent_that_paid_first_is_shown(shown, make_payment):
    payment = make_payment()
    [charged] = stripe.charged(payment)
    other = {"type": "card", "card": {"brand": "amex", "last4": "0005"}}
    [later] = stripe.charged(payment)
    later["data"]["object"] |= {
        "id": "ch_2",
        "payment_intent": "pi_2",
        "metadata": {"payment_id": str(payment.pk)},
        "payment_method_details": other,
    }
    assert shown(payment, *stripe.paid(payment), charged, later)["card"]["brand"] == "visa"


def test_what_is_no_card_is_not_shown_as_one(shown, make_payment):
    payment = make_payment()
    [charged] = stripe.charged(payment)
    details = {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}
    charged["data"]["object"]["payment_method_details"] = details
    assert shown(payment, *stripe.paid(payment), charged)["card"] is None


def test_a_list_shows_the_same_as_a_single_payment(shown, make_payment, client):
    payment = make_payment()
    one = shown(payment, declined(payment))
    page = client.get("/api/payments", headers={"Authorization": "Bearer dev-key"}).json()
    assert page["payments"] == [one]


def test_the_description_has_examples_of_what_is_new(client):
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    assert schemas["PaymentOut"]["properties"].keys() >= NOTHING.keys()
    assert schemas["FailureOut"]["properties"]["declineCode"]["examples"] == ["insufficient_funds"]
    assert schemas["DisputeOut"]["properties"].keys() >= {"dueBy", "reason", "amount", "currency"}
