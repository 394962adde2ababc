"""Create a Checkout Session: check its parameters, price it, and keep it."""

from datetime import UTC, datetime
from typing import Any

from payments.stripe.currencies import largest
from stripe_sandbox.errors import ApiError, missing
from stripe_sandbox.models import Session
from stripe_sandbox.objects.line_item import new_line_item
from stripe_sandbox.timing import LONGEST_SESSION
from stripe_sandbox.validation import (
    Tree,
    check_amount,
    check_currency,
    check_email,
    check_expiry,
    check_integer,
    check_length,
    check_metadata,
    check_suffix,
    check_url,
)

MAX_LINE_ITEMS = 100
MAX_QUANTITY = 999_999
MAX_REFERENCE = 200
MAX_TEXT = 5000
"""Source of these limits: https://docs.stripe.com/api/checkout/sessions/create."""

SUPPORTED: Tree = {
    "cancel_url": None,
    "client_reference_id": None,
    "currency": None,
    "customer_email": None,
    "expand": None,
    "expires_at": None,
    "line_items": {
        "metadata": None,
        "price_data": {
            "currency": None,
            "product_data": {"name": None, "description": None, "images": None, "metadata": None},
            "unit_amount": None,
        },
        "quantity": None,
    },
    "locale": None,
    "metadata": None,
    "mode": None,
    "payment_intent_data": {
        "description": None,
        "metadata": None,
        "receipt_email": None,
        "statement_descriptor_suffix": None,
    },
    "submit_type": None,
    "success_url": None,
    "ui_mode": None,
}


def create(*, params: dict[str, Any], now: datetime) -> Session:
    """Return a new session. Names and types of `params` are checked already; raise ApiError for bad values."""
    _check_mode(params)
    _check_texts(params)
    currency = _check_line_items(params)
    items = [new_line_item(item, now=now) for item in params["line_items"]]
    total = sum(item["amount_total"] for item in items)
    check_amount(total, currency)
    status = Session.PaymentStatus.UNPAID if total else Session.PaymentStatus.NO_PAYMENT_REQUIRED
    return Session.objects.create(
        params=params,
        line_items=items,
        amount_total=total,
        currency=currency,
        payment_status=status,
        created_at=now,
        expires_at=_expiry(params, now),
    )


def _check_mode(params: dict[str, Any]) -> None:
    if "mode" not in params:
        raise missing("mode")
    if params["mode"] != "payment":
        raise ApiError("The sandbox supports only mode `payment`.", param="mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise ApiError("The sandbox supports only ui_mode `hosted_page`.", param="ui_mode")


def _check_texts(params: dict[str, Any]) -> None:
    check_url(params.get("success_url"), "success_url", required=True)
    check_url(params.get("cancel_url"), "cancel_url")
    check_length(params.get("client_reference_id"), MAX_REFERENCE, "client_reference_id")
    check_email(params.get("customer_email"), "customer_email")
    check_metadata(params.get("metadata"))
    intent = params.get("payment_intent_data", {})
    check_metadata(intent.get("metadata"), "payment_intent_data[metadata]")
    check_length(intent.get("description"), MAX_TEXT, "payment_intent_data[description]")
    check_email(intent.get("receipt_email"), "payment_intent_data[receipt_email]")
    suffix = "statement_descriptor_suffix"
    check_suffix(intent.get(suffix), f"payment_intent_data[{suffix}]")


def _check_line_items(params: dict[str, Any]) -> str:
    """Return the currency of all line items. Make it lower case in `params` too."""
    items = params.get("line_items") or []
    if not items:
        raise missing("line_items")
    if len(items) > MAX_LINE_ITEMS:
        raise ApiError(f"Array too long: at most {MAX_LINE_ITEMS} line items.", param="line_items")
    currencies = {_check_line_item(item, f"line_items[{index}]") for index, item in enumerate(items)}
    if "currency" in params:
        params["currency"] = check_currency(params["currency"], "currency")
        currencies.add(params["currency"])
    if len(currencies) > 1:
        raise ApiError("All line items of a Checkout Session must have one currency.", param="line_items")
    return currencies.pop()


def _check_line_item(item: dict[str, Any], path: str) -> str:
    """Return the item's currency, in lower case."""
    _require(item, "price_data", "quantity", path=path)
    check_integer(item["quantity"], f"{path}[quantity]", least=1, most=MAX_QUANTITY)
    check_metadata(item.get("metadata"), f"{path}[metadata]")
    return _check_price(item["price_data"], f"{path}[price_data]")


def _check_price(price: dict[str, Any], path: str) -> str:
    _require(price, "product_data", "unit_amount", path=path)
    price["currency"] = check_currency(price["currency"], f"{path}[currency]")
    check_integer(price["unit_amount"], f"{path}[unit_amount]", least=0, most=largest(price["currency"]))
    product = price["product_data"]
    check_length(product["name"], MAX_TEXT, f"{path}[product_data][name]")
    check_length(product.get("description"), MAX_TEXT, f"{path}[product_data][description]")
    check_metadata(product.get("metadata"), f"{path}[product_data][metadata]")
    return str(price["currency"])


def _require(params: dict[str, Any], *names: str, path: str) -> None:
    for name in names:
        if name not in params:
            raise missing(f"{path}[{name}]")


def _expiry(params: dict[str, Any], now: datetime) -> datetime:
    if "expires_at" not in params:
        return now + LONGEST_SESSION
    check_integer(params["expires_at"], "expires_at", least=0, most=253_402_300_799)
    expires_at = datetime.fromtimestamp(params["expires_at"], tz=UTC)
    check_expiry(expires_at, now)
    return expires_at
