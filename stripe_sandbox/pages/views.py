"""The payment page, in place of the one that Stripe hosts, and the receipt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from stripe_sandbox.checkout import lifecycle
from stripe_sandbox.checkout.cards import CARDS, DECLINES, Card, Decline
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.models import Charge, Session, receipts
from stripe_sandbox.objects.payment_method import card_of
from stripe_sandbox.pages.display import format_money, ride_of, state_of

_OUTCOMES: dict[str, Callable[..., Session]] = {
    "pay": lifecycle.pay,
    "decline": lifecycle.decline,
    "delayed": lifecycle.pay_later,
    "delayed_succeeded": partial(lifecycle.settle, succeeded=True),
    "delayed_failed": partial(lifecycle.settle, succeeded=False),
}
_LEAVES = {"pay", "delayed"}
"""The outcomes after which the customer goes on to `success_url`."""


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A field of the form for an outcome, and the argument that it becomes."""

    name: str
    argument: str
    options: Mapping[str, Card | Decline]
    default: str


_CHOICES = {
    "pay": _Choice(name="card", argument="card", options=CARDS, default="visa"),
    "decline": _Choice(name="decline_code", argument="why", options=DECLINES, default="generic_decline"),
}


@csrf_exempt  # the URL is the secret: no login or cookie is involved that another site could abuse
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, session_id: str) -> HttpResponse:
    """Show a session's payment page, or take its `outcome`: pay, decline, delayed, cancel, delayed_….

    `card` names the card to pay with (default: a Visa), `decline_code` the reason of a decline (default: none given).

    After paying or canceling, redirect with 303 to the session's `success_url` or `cancel_url`; else show the page.
    As with Stripe, canceling leaves the session open.
    """
    try:
        session = lifecycle.get_session(session_id=session_id)
    except Session.DoesNotExist:
        return render(request, "404.html", status=404)
    if request.method == "POST":
        return _submit(request, session, request.POST.get("outcome", ""))
    return _show(request, session)


def _submit(request: HttpRequest, session: Session, outcome: str) -> HttpResponse:
    if outcome == "cancel" and session.cancel_url:
        return HttpResponseRedirect(session.cancel_url, status=303)
    if outcome not in _OUTCOMES:
        return _unknown(request, "outcome", [*_OUTCOMES, *(["cancel"] if session.cancel_url else [])])
    choice = _CHOICES.get(outcome)
    chosen = request.POST.get(choice.name, choice.default) if choice else ""
    if choice and chosen not in choice.options:
        return _unknown(request, choice.name, list(choice.options))
    with_what = {choice.argument: choice.options[chosen]} if choice else {}
    try:
        session = _OUTCOMES[outcome](session_id=session.stripe_id, **with_what)
    except NotPossible as error:
        # Another request has changed it meanwhile. Show how it is now.
        session.refresh_from_db()
        return _show(request, session, problem=str(error), status=409)
    if outcome in _LEAVES:
        return HttpResponseRedirect(session.success_url, status=303)
    return _show(request, session)


def _unknown(request: HttpRequest, name: str, known: list[str]) -> HttpResponse:
    return render(request, "sandbox/unknown_outcome.html", {"name": name, "known": known}, status=400)


def _show(request: HttpRequest, session: Session, *, problem: str = "", status: int = 200) -> HttpResponse:
    context = {
        "session": session,
        "state": state_of(session),
        "ride": ride_of(session),
        "amount": format_money(session.amount_total, session.currency),
        "items": [
            {
                "name": item["description"],
                "quantity": item["quantity"],
                "amount": format_money(item["amount_total"], item["currency"]),
            }
            for item in session.line_items
        ],
        "cards": CARDS.items(),
        "declines": DECLINES.items(),
        "problem": problem or _declined(session),
    }
    return render(request, "sandbox/pay.html", context, status=status)


def _declined(session: Session) -> str:
    """Return why the last attempt failed, if another one is possible."""
    charge = session.payment_intent and session.payment_intent.latest_charge
    if session.status != Session.Status.OPEN or not charge or charge.status != Charge.Status.FAILED:
        return ""
    said = (charge.failure or {}).get("message", "Your card was declined.")
    return f"{said} Nothing was charged: try again, or pay another way."


@never_cache
@require_safe
def receipt(request: HttpRequest, signed: str) -> HttpResponse:
    """Show the receipt of a charge that succeeded, at its signed `receipt_url`."""
    try:
        charge = Charge.objects.select_related("payment_intent__session").get(
            stripe_id=receipts.unsign(signed), status=Charge.Status.SUCCEEDED
        )
    except (BadSignature, Charge.DoesNotExist):
        return render(request, "404.html", status=404)
    currency = charge.payment_intent.currency
    card = card_of(charge) if charge.payment_method_type == "card" else None
    method = charge.payment_method_type.replace("_", " ")
    context = {
        "charge": charge,
        "session": charge.payment_intent.session,
        "amount": format_money(charge.payment_intent.amount, currency),
        "refunded": charge.amount_refunded and format_money(charge.amount_refunded, currency),
        "paid_with": f"{card['brand']} •••• {card['last4']}".capitalize() if card else method,
    }
    return render(request, "sandbox/receipt.html", context)
