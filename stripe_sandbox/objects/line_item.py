"""Render line items. Source: https://docs.stripe.com/api/checkout/sessions/line_items."""

from datetime import datetime
from typing import Any

from stripe_sandbox.ids import new_id
from stripe_sandbox.timing import seconds


def new_line_item(asked: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return a new line item for a session, with a price of its own."""
    price = asked["price_data"]
    product = price["product_data"]
    total = price["unit_amount"] * asked["quantity"]
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price["currency"],
        "description": product["name"],
        "metadata": asked.get("metadata", {}),
        "price": _new_price(price, now=now),
        "quantity": asked["quantity"],
    }


def _new_price(asked: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("price"),
        "object": "price",
        "active": False,  # made for this session only
        "billing_scheme": "per_unit",
        "created": seconds(now),
        "currency": asked["currency"],
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": new_id("prod"),
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": asked["unit_amount"],
        "unit_amount_decimal": str(asked["unit_amount"]),
    }
