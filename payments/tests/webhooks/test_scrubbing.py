"""What is kept of Stripe's events, tried with events as they were recorded, and with any JSON there can be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.stripe import events
from payments.stripe.values import REMOVED
from payments.tests import recorded
from payments.webhooks import envelope
from payments.webhooks.scrubbing import DEPTH_MAX, scrub

PRIVATE = """
    quimb lilas bleu cornouaille 29033 +332987 mail.example fr834 hush19 fprint tok_login 203.0.113 48.0019 4.0971 ://
    dubois 110000000 threeds netw976 authz231 ref9198 track90210 9182 device-31415 19840229 1984 290331 2031
    FR7611 AGRIFRPP crm.example file_1comm 1234-5678 fr-fr ingbnl colis
""".casefold().split()
"""Each stands in what an event of `recorded` says of a person, or in a secret of the payment."""

DECLINED = "The bank returned the decline code `insufficient_funds`."
CARD = [
    "brand=visa",
    "last4=4242",
    "funding=debit",
    "wallet.type=apple_pay",
    "checks.cvc_check=pass",
    "country=FR",
]

KEPT = {
    "session_completed_2019": [
        "data.object.id=cs_test_2019aB",
        "data.object.payment_intent=pi_2019a",
        "data.object.client_reference_id=0b0f8a52-6c8b-4b7e-9d0e-3f5a1f2c7d11",
        "data.object.display_items.0.amount=1250",
        "data.object.customer=cus_2019a",
    ],
    "intent_failed_2020": [
        "api_version=2020-08-27",
        "data.object.charges.data.0.id=ch_2020a",
        "data.object.charges.data.0.status=failed",
        "data.object.charges.data.0.failure_code=card_declined",
        f"data.object.charges.data.0.outcome.seller_message={DECLINED}",
        "data.object.charges.data.0.outcome.risk_score=31",
        "data.object.charges.data.0.refunds.url=/v1/charges/ch_2020a/refunds",
        *(f"data.object.charges.data.0.payment_method_details.card.{rest}" for rest in CARD),
        "data.object.last_payment_error.code=card_declined",
        "data.object.last_payment_error.decline_code=insufficient_funds",
        "data.object.last_payment_error.message=Your card has insufficient funds.",
        "data.object.last_payment_error.payment_method.id=pm_2020a",
        "data.object.metadata.payment_id=0b0f8a52-6c8b-4b7e-9d0e-3f5a1f2c7d11",
        "data.object.metadata.ride_id=ride-4711",
        "data.object.status=requires_payment_method",
        "data.object.next_action=None",
    ],
    "charge_refunded_2022": [
        "data.object.amount_refunded=500",
        "data.object.refunds.data.0.id=re_2022a",
        "data.object.refunds.data.0.metadata.refund_request=17",
        "data.object.refunds.data.0.reason=requested_by_customer",
        "data.object.presentment_details.presentment_currency=eur",
        "data.previous_attributes.amount_refunded=0",
        f"data.previous_attributes.receipt_url={REMOVED}",
    ],
    "session_completed_2023": [
        "data.object.amount_total=1250",
        "data.object.payment_status=paid",
        "data.object.currency_conversion.fx_rate=1.136",
        "data.object.payment_method_types.1=link",
        f"data.object.customer_details.email={REMOVED}",
        f"data.object.metadata.customer_note={REMOVED}",
        f"data.object.success_url={REMOVED}",
        "data.object.url=None",
    ],
    "dispute_created_2024": [
        "data.object.status=needs_response",
        "data.object.reason=fraudulent",
        "data.object.evidence_details.due_by=1720569599",
        "data.object.evidence_details.submission_count=1",
        "data.object.balance_transactions.0.id=txn_d1",
        "data.object.balance_transactions.0.amount=-500",
        "data.object.balance_transactions.0.fee=1500",
        "data.object.balance_transactions.0.net=-2000",
        "data.object.balance_transactions.0.currency=usd",
        "data.object.balance_transactions.0.reporting_category=dispute",
        "data.object.balance_transactions.0.type=adjustment",
        "data.object.payment_method_details.card.case_type=chargeback",
        "data.object.payment_method_details.card.network_reason_code=10.4",
        "data.object.is_charge_refundable=False",
        f"data.object.evidence.customer_purchase_ip={REMOVED}",
        "data.object.evidence.receipt=None",
    ],
    "intent_requires_action_2025": [
        "data.object.id=pi_2025a",
        "data.object.next_action.type=swish_handle_redirect_or_display_qr_code",
        f"data.object.next_action.redirect_to_url.url={REMOVED}",
        f"data.object.client_secret={REMOVED}",
    ],
    "session_completed_2026": [
        "created=1793534400",
        "livemode=False",
        "request.id=req_Q4mZ8sVdT1",
        "data.object.id=cs_live_2026aB",
        "data.object.presentment_details.presentment_amount=1180",
        f"data.object.url={REMOVED}",
    ],
    "session_expired_2026": [
        "data.object.status=expired",
        "data.object.recovered_from=cs_live_2026aB",
        f"data.object.after_expiration.recovery.url={REMOVED}",
        "data.object.after_expiration.recovery.expires_at=1796000000",
    ],
    "session_expanded_2026": [
        "data.object.payment_intent.id=pi_2026c",
        "data.object.payment_intent.amount_received=1250",
        "data.object.payment_intent.latest_charge.outcome.risk_level=elevated",
        *(f"data.object.payment_intent.latest_charge.payment_method_details.card.{rest}" for rest in CARD),
        "data.object.customer.id=cus_7",
        "data.object.line_items.data.0.price.unit_amount_decimal=1250",
        f"data.object.line_items.data.0.description={REMOVED}",
    ],
    "charge_succeeded_2026": ["data.object.review=prv_7", f"data.object.receipt_url={REMOVED}"],
    "charge_pending_2026": [
        "data.object.payment_method_details.us_bank_account.last4=6789",
        "data.object.payment_method_details.sepa_debit.mandate=mandate_1",
    ],
    "refund_failed_2026": [
        "data.object.failure_reason=lost_or_stolen_card",
        "data.object.failure_balance_transaction=txn_rff",
        "data.object.status=failed",
        "data.object.destination_details.card.reference_status=available",
    ],
    "early_fraud_warning_2026": [
        "data.object.actionable=True",
        "data.object.fraud_type=unauthorized_use_of_card",
        "data.object.charge.id=ch_2026a",
        "data.object.payment_intent=pi_2026a",
    ],
    "review_closed_2026": [
        "data.object.open=False",
        "data.object.opened_reason=rule",
        "data.object.closed_reason=refunded_as_fraud",
        "data.object.reason=refunded_as_fraud",
        "data.previous_attributes.open=True",
        f"data.object.ip_address_location.latitude={REMOVED}",
    ],
    "customer_updated_2026": [
        "account=acct_9",
        "context=acct_9",
        "data.object.balance=-300",
        f"data.object.id={REMOVED}",
        f"data.object.metadata.status={REMOVED}",
    ],
    "invoice_paid_2026": ["data.object.amount_paid=900", "data.object.lines.data.0.id=il_1"],
    "account_updated_2026": [
        "data.object.id=acct_9",
        "data.object.charges_enabled=True",
        f"data.object.individual.dob.year={REMOVED}",
    ],
}


def at(value, path):
    for name in path.split("."):
        value = value[int(name) if isinstance(value, list) else name]
    return value


def said_by(event):
    """What the service reads in an event, or why it cannot."""
    try:
        return events.reference(event), events.facts(event)
    except Exception as error:  # noqa: BLE001 whatever it is, it has to be the same
        return type(error), str(error)


@pytest.mark.parametrize("name", recorded.NAMES)
def test_nothing_of_a_person_and_no_secret_is_left_of_a_recorded_event(name):
    whole, kept = recorded.text(name).casefold(), json.dumps(scrub(recorded.event(name))).casefold()
    found = [word for word in PRIVATE if word in whole]
    assert len(found) > 2
    assert [word for word in found if word in kept] == []


@pytest.mark.parametrize("name", recorded.NAMES)
def test_what_the_service_reads_and_staff_look_for_is_left(name):
    kept = scrub(recorded.event(name))
    for line in KEPT[name]:
        path, _, value = line.partition("=")
        assert f"{path}={at(kept, path)}" == f"{path}={value}"


@pytest.mark.parametrize(
    "name", [name for name in recorded.NAMES if events.is_handled(recorded.event(name)["type"])]
)
def test_what_is_stored_says_to_a_replay_what_the_delivery_said(name):
    """But for the link to the receipt, which opens without a password."""
    event = recorded.event(name)
    whole = json.loads(json.dumps(event))
    if "receipt_url" in event["data"]["object"]:
        event["data"]["object"]["receipt_url"] = ""
    assert said_by(scrub(whole)) == said_by(event)


@pytest.mark.parametrize("name", recorded.NAMES)
def test_the_row_of_a_recorded_event_holds_what_is_kept_and_its_content_the_whole(name):
    event = recorded.event(name)
    row = envelope.read(recorded.text(name).encode())
    assert json.loads(row.body) == scrub(event)
    assert row.content["data"]["object"] == event["data"]["object"]
    assert "quimby" not in row.object_id


NAMES_OF_FIELDS = st.sampled_from(
    [
        *(
            "id",
            "status",
            "message",
            "url",
            "metadata",
            "payment_id",
            "evidence",
            "address",
            "exp_year",
            "object",
        ),
        *("name", "email", "nobody_knows_this", ""),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES_OF_FIELDS, inner, max_size=4),
    max_leaves=12,
)


def shape(value):
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(item) for item in value]
    return None


@given(JSON)
def test_whatever_json_says_keeps_its_shape_and_its_nulls_and_loses_nothing_more_the_second_time(value):
    before = json.dumps(value)
    kept = scrub(value)
    assert shape(kept) == shape(value)
    assert scrub(kept) == kept
    assert json.dumps(value) == before


@given(st.text())
def test_a_text_in_a_field_that_nobody_has_thought_of_is_removed(text):
    kept = scrub({"nobody_knows_this": text, "lists": [[text], {"unheard_of": text}]})
    assert kept == {"nobody_knows_this": REMOVED, "lists": [[REMOVED], {"unheard_of": REMOVED}]}


@pytest.mark.parametrize("name", ["evidence", "metadata", "billing_details", "tax_ids", "dob"])
@pytest.mark.parametrize(
    "value", [{"id": 1, "status": "x", "b": [True, {"type": "y"}]}, ["x", 1, {"id": "x"}], "x"]
)
def test_of_what_is_about_a_person_nothing_is_kept_whatever_its_fields_are_called(name, value):
    kept = json.dumps(scrub({name: value}))
    assert all(each not in kept.replace(REMOVED, "") for each in ('"x"', '"y"', "1", "true"))


@pytest.mark.parametrize("text", ["ann@mail.example", "https://app.example/?login=1", "myapp://ok?login=1"])
@pytest.mark.parametrize("name", ["id", "client_reference_id", "message", "customer", "url"])
def test_an_address_is_removed_where_an_id_or_a_sentence_should_be(name, text):
    assert scrub({name: text}) == {name: REMOVED}


@pytest.mark.parametrize("depth", [120, 900])
def test_what_is_nested_deeper_than_any_event_is_removed_below_a_bound(depth):
    value = "x"
    for n in range(depth):
        value = [value] if n % 2 else {"id": value}
    kept = json.dumps(scrub(value))
    assert kept.count("[") + kept.count("{") == DEPTH_MAX
    assert REMOVED in kept
