"""What a session may be created with, and how the rest is refused."""

import time
from urllib.parse import quote

import pytest
from django.test import Client
from stripe._encode import _api_encode

from stripe_sandbox.models import Session
from stripe_sandbox.tests.conftest import session_params

pytestmark = [pytest.mark.django_db, pytest.mark.urls("stripe_sandbox.tests.urls")]

PRICE = "line_items[0][price_data]"


def create(settings, params: dict) -> tuple[int, dict]:
    encoded = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in _api_encode(params))
    answer = Client().post(
        "/v1/checkout/sessions",
        encoded,
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"},
    )
    return answer.status_code, answer.json()


def priced(**changes) -> dict:
    """Return a price for a line item; None leaves a field out."""
    price = {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Ride"}} | changes
    return {name: value for name, value in price.items() if value is not None}


def one_item(*, quantity=1, **changes) -> dict:
    return session_params(line_items=[{"quantity": quantity, "price_data": priced(**changes)}])


INTENT = "payment_intent_data"
SUFFIX = f"{INTENT}[statement_descriptor_suffix]"
REFUSED = [
    (session_params(customer_email="notanemail"), "email_invalid", "customer_email", "Invalid email address"),
    (session_params(customer_email="a" * 801), None, "customer_email", "at most 800"),
    (
        session_params(payment_intent_data={"receipt_email": "a@"}),
        "email_invalid",
        f"{INTENT}[receipt_email]",
        "Invalid email address",
    ),
    *[
        (session_params(payment_intent_data={"statement_descriptor_suffix": suffix}), None, SUFFIX, said)
        for suffix, said in [("<bad>", "cannot contain < >"), ("123", "one letter"), ("Zoë", "Latin")]
    ],
    (session_params(foo=1), "parameter_unknown", "foo", "Received unknown parameter: foo"),
    (session_params(foo=1, bar=2), "parameter_unknown", "foo", "Received unknown parameters: foo, bar"),
    (session_params(idempotency_key="x"), "parameter_unknown", "idempotency_key", "Received unknown"),
    (one_item(colour="red"), "parameter_unknown", f"{PRICE}[colour]", "Received unknown"),
    (
        one_item(product_data={"name": "Ride", "size": {"deep": {"down": 1}}}),
        "parameter_unknown",
        f"{PRICE}[product_data][size]",
        "Received unknown",
    ),
    (session_params(mode="loan"), None, "mode", "must be one of payment, setup, subscription"),
    (session_params(mode="subscription"), None, "mode", "supports only mode `payment`"),
    (session_params(mode=None), "parameter_missing", "mode", "Missing required param"),
    (session_params(ui_mode="hosted"), None, "ui_mode", "must be one of"),
    (session_params(ui_mode="embedded_page"), None, "ui_mode", "supports only"),
    (session_params(success_url=None), "parameter_missing", "success_url", "Missing required param"),
    (session_params(success_url=""), "parameter_invalid_empty", "success_url", "empty string"),
    (session_params(success_url="ftp://x"), "url_invalid", "success_url", "Not a valid URL"),
    (session_params(cancel_url="https://"), "url_invalid", "cancel_url", "Not a valid URL"),
    (session_params(cancel_url="https://[x"), "url_invalid", "cancel_url", "Not a valid URL"),
    (session_params(line_items=[]), "parameter_missing", "line_items", "Missing required param"),
    (session_params(line_items="one"), None, "line_items", "Invalid array"),
    (session_params(line_items={"a": {}, "b": "c"}), None, "line_items", "Invalid array"),
    (session_params(line_items=["one"]), None, "line_items[0]", "Invalid object"),
    (
        session_params(line_items=[{"price": "price_1", "quantity": 1}]),
        None,
        "line_items[0][price]",
        "not support",
    ),
    (session_params(line_items=[{"quantity": 1}]), "parameter_missing", PRICE, "Missing required param"),
    (one_item(quantity=None), "parameter_missing", "line_items[0][quantity]", "Missing required param"),
    (one_item(quantity=0), "parameter_invalid_integer", "line_items[0][quantity]", "equal to 1"),
    (
        one_item(quantity="1.5"),
        "parameter_invalid_integer",
        "line_items[0][quantity]",
        "Invalid integer: 1.5",
    ),
    (one_item(unit_amount=-1), "parameter_invalid_integer", f"{PRICE}[unit_amount]", "equal to 0"),
    (one_item(unit_amount=100_000_000), "parameter_invalid_integer", f"{PRICE}[unit_amount]", "99999999"),
    (one_item(unit_amount=None), "parameter_missing", f"{PRICE}[unit_amount]", "Missing required param"),
    (one_item(unit_amount=50_000_000, quantity=2), "amount_too_large", None, "99999999"),
    (one_item(currency=None), "parameter_missing", f"{PRICE}[currency]", "Missing required param"),
    (one_item(currency="xxx"), None, f"{PRICE}[currency]", "Invalid currency: xxx"),
    (session_params(currency="eur"), None, "line_items", "one currency"),
    (one_item(product_data=None), "parameter_missing", f"{PRICE}[product_data]", "Missing required param"),
    (one_item(product_data={"name": ""}), "parameter_invalid_empty", f"{PRICE}[product_data][name]", "empty"),
    (session_params(client_reference_id="x" * 201), None, "client_reference_id", "at most 200 characters"),
    (session_params(metadata="x"), None, "metadata", "Invalid object"),
    (session_params(metadata={str(n): "x" for n in range(51)}), None, "metadata", "50 keys"),
    (session_params(metadata={"x" * 41: "y"}), None, "metadata", "40 characters"),
    (session_params(metadata={"x": "y" * 501}), None, "metadata[x]", "500 characters"),
    (session_params(metadata={"x": {"y": "z"}}), None, "metadata[x]", "Invalid string"),
    (
        session_params(payment_intent_data={"metadata": {"x": "y" * 501}}),
        None,
        "payment_intent_data[metadata][x]",
        "500 characters",
    ),
    (
        session_params(payment_intent_data={"capture_method": "manual"}),
        None,
        "payment_intent_data[capture_method]",
        "does not support",
    ),
    (session_params(allow_promotion_codes="maybe"), None, "allow_promotion_codes", "Invalid boolean: maybe"),
    (session_params(allow_promotion_codes=True), None, "allow_promotion_codes", "does not support"),
    (session_params(expires_at="soon"), "parameter_invalid_integer", "expires_at", "Invalid integer: soon"),
    (session_params(expires_at=10**17), "parameter_invalid_integer", "expires_at", "less than"),
    (
        session_params(line_items=[{"quantity": 1, "price_data": priced()}] * 101),
        None,
        "line_items",
        "at most 100",
    ),
    (session_params(line_items={"9" * 5000: {"quantity": 1}}), None, "line_items", "Invalid array"),
    (
        session_params(line_items={"0": {"quantity": 1}, "00": {"quantity": 1}}),
        "parameter_missing",
        PRICE,
        "Missing",
    ),
    (session_params(submit_type={"a": "b"}), None, "submit_type", "Invalid submit_type: must be one of"),
    (
        session_params(subscription_data={"application_fee_percent": "ten"}),
        None,
        "subscription_data[application_fee_percent]",
        "Invalid decimal: ten",
    ),
    (
        session_params(subscription_data={"application_fee_percent": "10.5"}),
        None,
        "subscription_data",
        "does not support",
    ),
]


@pytest.mark.parametrize(("params", "code", "param", "said"), REFUSED)
def test_what_stripe_refuses_is_refused_in_its_shape(settings, params, code, param, said):
    status, body = create(settings, params)
    error = body["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert (error.get("code"), error.get("param")) == (code, param)
    assert said in error["message"]
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    "params",
    [
        session_params(client_reference_id="x" * 200),
        session_params(metadata={("é" * 38) + str(n): "y" * 500 for n in range(50)} | {}),
        session_params(metadata={"unset": ""}),
        session_params(ui_mode="hosted_page", locale="auto", submit_type="pay", currency="usd"),
        session_params(cancel_url=None),
        one_item(unit_amount=99_999_999),
        one_item(unit_amount=0),
        session_params(line_items=[{"quantity": 1, "price_data": priced()}] * 100),
    ],
)
def test_what_stripe_takes_up_to_its_limits_is_taken(settings, params):
    status, body = create(settings, params)
    assert (status, body["object"]) == (200, "checkout.session"), body
    assert Session.objects.get().stripe_id == body["id"]


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(20, "at least 30 minutes"), (30, None), (24 * 60, None), (25 * 60, "less than 24 hours")],
)
def test_a_session_lasts_from_half_an_hour_to_a_day(settings, minutes, said):
    status, body = create(settings, session_params(expires_at=int(time.time()) + minutes * 60))
    if said:
        assert (status, body["error"]["param"]) == (400, "expires_at")
        assert said in body["error"]["message"]
    else:
        assert (status, body["status"]) == (200, "open")


def test_an_empty_text_unsets_a_key_of_metadata(settings):
    _, body = create(settings, session_params(metadata={"kept": "1", "unset": ""}))
    assert body["metadata"] == {"kept": "1"}
