"""`expand[]`: objects in place of their ids. Source: https://docs.stripe.com/expand."""

from collections.abc import Callable
from typing import Any

from .errors import ApiError
from .listing import page_of_items
from .models import Charge, PaymentIntent, Session
from .objects.charge import render_charge
from .objects.payment_intent import render_payment_intent

MAX_LEVELS, MAX_PATHS = 4, 20


def expand(rendered: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    """Put objects in place of ids, along paths such as `payment_intent.latest_charge`; raise ApiError."""
    if len(paths) > MAX_PATHS:
        raise ApiError(f"You cannot expand more than {MAX_PATHS} properties.", param="expand")
    for index, path in enumerate(paths):
        names = path.split(".")
        if len(names) > MAX_LEVELS:
            raise ApiError(f"You cannot expand more than {MAX_LEVELS} levels.", param=f"expand[{index}]")
        if not _expand(rendered, names):
            raise ApiError(f"This property cannot be expanded ({path[:200]}).", param=f"expand[{index}]")
    return rendered


def _expand(rendered: dict[str, Any], names: list[str]) -> bool:
    """Follow one path into an object; return whether the path exists."""
    if not names:
        return True
    name, *rest = names
    if rendered["object"] == "list":
        return name == "data" and bool(rest) and all(_expand(item, rest) for item in rendered["data"])
    load = _EXPANDABLE.get((rendered["object"], name))
    if load is None:
        return False
    if not isinstance(rendered.get(name), dict):
        rendered[name] = load(rendered)
    return rendered[name] is None or _expand(rendered[name], rest)


def _payment_intent(rendered: dict[str, Any]) -> dict[str, Any] | None:
    intent = PaymentIntent.objects.filter(stripe_id=rendered["payment_intent"]).first()
    return render_payment_intent(intent) if intent else None


def _charge(name: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    def load(rendered: dict[str, Any]) -> dict[str, Any] | None:
        charge = Charge.objects.select_related("payment_intent").filter(stripe_id=rendered[name]).first()
        return render_charge(charge) if charge else None

    return load


def _line_items(rendered: dict[str, Any]) -> dict[str, Any]:
    session = Session.objects.get(stripe_id=rendered["id"])
    return page_of_items(
        session.line_items, {}, kind="item", url=f"/v1/checkout/sessions/{session.stripe_id}/line_items"
    )


_EXPANDABLE: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    ("checkout.session", "line_items"): _line_items,
    ("checkout.session", "payment_intent"): _payment_intent,
    ("payment_intent", "latest_charge"): _charge("latest_charge"),
    ("charge", "payment_intent"): _payment_intent,
    ("refund", "charge"): _charge("charge"),
    ("refund", "payment_intent"): _payment_intent,
    ("dispute", "charge"): _charge("charge"),
    ("dispute", "payment_intent"): _payment_intent,
}
