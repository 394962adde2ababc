"""Expand ids into objects (`expand[]`). Source: https://docs.stripe.com/expand."""

from collections.abc import Callable
from typing import Any

from stripe_sandbox.api.listing import as_list, page_of_items
from stripe_sandbox.api.parameters import can_expand
from stripe_sandbox.errors import ApiError
from stripe_sandbox.models import Charge, Dispute, PaymentIntent, Refund, Review, Session
from stripe_sandbox.objects.charge import render_charge
from stripe_sandbox.objects.dispute import render_dispute
from stripe_sandbox.objects.fraud import render_review
from stripe_sandbox.objects.payment_intent import render_payment_intent
from stripe_sandbox.objects.payment_method import render_payment_method
from stripe_sandbox.objects.refund import render_refund

MAX_LEVELS, MAX_PATHS = 4, 20

Rendered = dict[str, Any]


def expand(rendered: Rendered, paths: list[str]) -> Rendered:
    """Replace ids by objects along paths such as `payment_intent.latest_charge`; raise ApiError for other paths.

    Null stays null. Stripe's description says which fields can be expanded.
    """
    if len(paths) > MAX_PATHS:
        raise ApiError(f"You cannot expand more than {MAX_PATHS} properties.", param="expand")
    for index, path in enumerate(paths):
        names = path.split(".")
        if len(names) > MAX_LEVELS:
            raise ApiError(f"You cannot expand more than {MAX_LEVELS} levels.", param=f"expand[{index}]")
        if not _exists(rendered, names):
            raise ApiError(f"This property cannot be expanded ({path[:200]}).", param=f"expand[{index}]")
        _expand(rendered, names)
    return rendered


def _exists(rendered: Rendered, names: list[str]) -> bool:
    if rendered["object"] != "list":
        return can_expand(rendered["object"], names)
    name, *rest = names
    return name == "data" and bool(rest) and all(_exists(item, rest) for item in rendered["data"])


def _expand(rendered: Any, names: list[str]) -> None:
    """Expand along a path that exists."""
    if not names or not rendered:
        return
    if isinstance(rendered, list):
        for item in rendered:
            _expand(item, names)
        return
    name, *rest = names
    included = _INCLUDED.get((rendered.get("object", ""), name))
    if included and name not in rendered:
        rendered[name] = included(rendered["id"])
    elif isinstance(rendered.get(name), str):
        rendered[name] = _load(rendered, name)
    _expand(rendered.get(name), rest)


def _load(holder: Rendered, name: str) -> Any:
    """Return the object of the id in a field, or the id itself if the sandbox has no such object."""
    stripe_id: str = holder[name]
    prefix = stripe_id.partition("_")[0]
    # A balance transaction has no row. The object that moved the money keeps it.
    if prefix == "txn":
        row = _MOVING[holder["object"]].objects.get(stripe_id=holder["id"])
        return getattr(row, name)
    load = _LOADERS.get(prefix)
    return load(stripe_id) if load else stripe_id


def _payment_intent(stripe_id: str) -> Rendered:
    return render_payment_intent(PaymentIntent.objects.get(stripe_id=stripe_id))


def _charge(stripe_id: str) -> Rendered:
    return render_charge(Charge.objects.select_related("payment_intent").get(stripe_id=stripe_id))


def _refund(stripe_id: str) -> Rendered:
    return render_refund(Refund.objects.select_related("charge__payment_intent").get(stripe_id=stripe_id))


def _dispute(stripe_id: str) -> Rendered:
    return render_dispute(Dispute.objects.select_related("charge__payment_intent").get(stripe_id=stripe_id))


def _review(stripe_id: str) -> Rendered:
    return render_review(Review.objects.select_related("charge__payment_intent").get(stripe_id=stripe_id))


def _payment_method(stripe_id: str) -> Rendered:
    charge = Charge.objects.select_related("payment_intent").get(payment_method_id=stripe_id)
    return render_payment_method(charge, email=charge.payment_intent.data.get("receipt_email"))


def _line_items(session_id: str) -> Rendered:
    session = Session.objects.get(stripe_id=session_id)
    return page_of_items(
        session.line_items, {}, kind="item", url=f"/v1/checkout/sessions/{session.stripe_id}/line_items"
    )


def _refunds(charge_id: str) -> Rendered:
    refunds = Refund.objects.filter(charge__stripe_id=charge_id).select_related("charge__payment_intent")
    # One more than the ten that Stripe includes says whether there are others.
    newest = [render_refund(refund) for refund in refunds[:11]]
    return as_list(
        newest[:10], has_more=len(newest) > len(newest[:10]), url=f"/v1/charges/{charge_id}/refunds"
    )


_LOADERS: dict[str, Callable[[str], Rendered]] = {
    "pi": _payment_intent,
    "ch": _charge,
    "re": _refund,
    "du": _dispute,
    "prv": _review,
    "pm": _payment_method,
}
"""By the prefix of an id."""
_MOVING: dict[str, Any] = {"charge": Charge, "refund": Refund}
"""The objects that keep a balance transaction."""
_INCLUDED: dict[tuple[str, str], Callable[[str], Rendered]] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
}
"""Lists that an object includes only when a request expands them."""
