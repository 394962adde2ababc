"""Remove from a body of Stripe's every text whose field is not named here.

An event identifies the customer and bears links and secrets. This service needs none of it, and all that it stores can
leak. Numbers, truth values, nulls and the names of all fields stay: a body keeps its shape, and can be applied again.
Source of the names: https://docs.stripe.com/api, and https://github.com/stripe/openapi.
"""

from typing import Any

from payments.stripe.values import REMOVED

DEPTH_MAX = 32
"""Levels that are read. An event with the four that Stripe expands has some 15. What is deeper is removed."""

_IDS = """
    id account application application_fee application_fee_refund balance_transaction charge checkout_session
    client_reference_id context coupon customer customer_account default_payment_method destination dispute
    failure_balance_transaction invoice latest_charge latest_invoice mandate on_behalf_of parent payment_attempt_record
    payment_intent payment_link payment_method payment_record price product promotion_code recovered_from refund request
    review setup_attempt setup_intent shipping_rate source source_transfer source_transfer_reversal subscription
    transfer transfer_reversal
"""
_KINDS = """
    api_version balance_type billing_reason billing_scheme brand capture_method collection_method confirmation_method
    country customer_creation display_brand funding funding_type interval last4 mode network object origin_context
    payment_method_collection payment_method_type payment_method_types read_method redirect_on_completion
    regulated_status reporting_category request_extended_authorization request_incremental_authorization
    request_multicapture request_overcapture request_three_d_secure setup_future_usage submit_type tax_behavior
    taxability_reason tokenization_method type ui_mode
"""
_STATES = """
    address_line1_check address_postal_code_check address_zip_check advice_code authentication_flow
    cancellation_reason case_type chargeback_loss_reason_code closed_reason code cvc_check decline_code
    electronic_commerce_indicator enhanced_eligibility_types exemption_indicator failure_code failure_reason fraud_type
    network_advice_code network_decline_code network_reason_code network_status opened_reason param payment_status
    pending_reason reason reason_code reference_status required_actions result result_reason risk_level status
    stripe_report user_report version
"""
_SUMS = """
    amount_decimal currency fx_rate presentment_currency settlement_currency source_currency unit_amount_decimal
"""
_SENTENCES = """
    failure_message message seller_message
"""
"""In Stripe's own words: why a payment failed, or was blocked."""

_KEPT = frozenset(f"{_IDS} {_KINDS} {_STATES} {_SUMS} {_SENTENCES}".split())

_PERSONS = """
    address billing_address billing_details business_profile collected_information company custom_fields custom_text
    customer_acceptance customer_details dob evidence individual ip_address_location metadata owner payer_details person
    receiver recipient registered_address representative session shipping shipping_address shipping_details tax_ids
    use_stripe_sdk verified_address verified_outputs
"""
_PRIVATE = frozenset(_PERSONS.split())
"""Of these nothing is kept, numbers included, whatever the names of the fields in them."""

_OURS = frozenset({"payment_id", "ride_id", "refund_request"})
"""What this service puts into metadata. Other integrations put there what they like."""

_UUID_LENGTH = 36

_NUMBERS = frozenset({"exp_month", "exp_year"})


def scrub(body: Any) -> Any:
    """Return the parsed body of an event, or of any object of Stripe's, without what is not needed.

    Takes whatever JSON can say and leaves it as it is; what is returned is new. Scrubbing twice changes nothing.
    """
    return _kept_of(body, "", DEPTH_MAX)


_CUSTOMERS = """
    country customer customer_account default_payment_method exp_month exp_year fingerprint funding last4 mandate
    payment_method setup_intent source
"""
_OF_A_CUSTOMER = frozenset(_CUSTOMERS.split())
"""Fields that are kept of an event, and that lead to a person all the same."""


def without_customer(body: Any) -> Any:
    """Return the same without the texts by which a customer could be found at Stripe, or a card be known."""
    if isinstance(body, dict):
        return {
            name: REMOVED if isinstance(value, str) and name in _OF_A_CUSTOMER else without_customer(value)
            for name, value in body.items()
        }
    return [without_customer(item) for item in body] if isinstance(body, list) else body


def _kept_of(value: Any, name: str, depth: int) -> Any:
    """Return what is kept of a value that stands, by itself or in a list, in the field of this name."""
    if isinstance(value, str):
        return value if _is_kept(value, name) else REMOVED
    if isinstance(value, dict):
        return _object(value, name, depth - 1) if depth else REMOVED
    if isinstance(value, list):
        if name in _PRIVATE or not depth:
            return _nothing_of(value, depth)
        return [_kept_of(item, name, depth - 1) for item in value]
    return REMOVED if name in _NUMBERS and value is not None else value


def _object(fields: dict[str, Any], name: str, depth: int) -> dict[str, Any]:
    """Return what is kept of an object; `depth` is that of its fields."""
    if name == "metadata":
        return {
            key: item if _is_ours(fields, key) else _nothing_of(item, depth) for key, item in fields.items()
        }
    if name in _PRIVATE:
        return {key: _nothing_of(item, depth) for key, item in fields.items()}
    # The names of fields stay, even unknown ones, so that what reads an event can read it from what is stored.
    return {  # most are null or a truth value: no call for them
        key: item if item is None or item is True or item is False else _kept_of(item, key, depth)
        for key, item in fields.items()
    }


def _nothing_of(value: Any, depth: int) -> Any:
    """Return the shape of a value, with nothing in it."""
    if depth and isinstance(value, dict):
        return {key: _nothing_of(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list):
        return [_nothing_of(item, depth - 1) for item in value]
    return None if value is None else REMOVED


def _is_kept(text: str, name: str) -> bool:
    """Return whether a text is what its field is for. Some ids an integration chooses itself: it may take an e-mail."""
    if name == "client_reference_id":
        return _is_uuid(text)
    if name in _KEPT:
        return "@" not in text and "://" not in text
    # Of a list it is a path of Stripe's API; any other is a link.
    return name == "url" and text.startswith("/v1/") and "@" not in text


def _is_ours(fields: dict[str, Any], key: str) -> bool:
    """Return whether this service put a value into metadata: beside it stands a payment's id, or a refund's number."""
    if key == "refund_request":
        return str(fields[key]).isdecimal()
    return key in _OURS and _is_uuid(fields.get("payment_id"))


def _is_uuid(value: Any) -> bool:
    """Return whether a value may be a payment's id. What a customer or another integration writes there is not kept."""
    return isinstance(value, str) and len(value) == _UUID_LENGTH and not value.strip("0123456789abcdef-")
