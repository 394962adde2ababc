"""The sandbox's pages: here the one on which a customer pays, as Stripe hosts it; control.py has the other."""

from collections.abc import Callable
from functools import partial

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from . import lifecycle
from .control import control
from .display import format_money, ride_of, state_of
from .models import Charge, Session

_OUTCOMES: dict[str, Callable[..., Session]] = {
    "pay": lifecycle.pay,
    "decline": lifecycle.decline,
    "delayed": lifecycle.pay_later,
    "delayed_succeeded": partial(lifecycle.settle, succeeded=True),
    "delayed_failed": partial(lifecycle.settle, succeeded=False),
}
_LEAVES = {"pay", "delayed"}
"""The outcomes after which the customer is sent on to `success_url`."""


@csrf_exempt  # who knows the address may pay: no login or cookie is involved that another site could ride on
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, session_id: str) -> HttpResponse:
    """Show a session's payment page, or take its `outcome`: pay, decline, delayed, cancel, delayed_….

    Leaving (paid, or given up) answers 303 to the session's `success_url` or `cancel_url`, anything else the page.
    Giving up leaves the session open, as with Stripe.
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
        context = {"outcomes": [*_OUTCOMES, *(["cancel"] if session.cancel_url else [])]}
        return render(request, "sandbox/unknown_outcome.html", context, status=400)
    try:
        session = _OUTCOMES[outcome](session_id=session.stripe_id)
    except lifecycle.NotPossible as error:
        session.refresh_from_db()
        return _show(request, session, problem=str(error), status=409)
    if outcome in _LEAVES:
        return HttpResponseRedirect(session.success_url, status=303)
    return _show(request, session)


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
        "problem": problem or _declined(session),
    }
    return render(request, "sandbox/pay.html", context, status=status)


def _declined(session: Session) -> str:
    """Return why the last try failed, as long as another is possible."""
    charge = session.payment_intent and session.payment_intent.latest_charge
    if session.status != Session.Status.OPEN or not charge or charge.status != Charge.Status.FAILED:
        return ""
    return "Your card was declined. Nothing was charged: try again, or pay another way."


urlpatterns = [
    path("", control, name="sandbox-control"),
    path("pay/<str:session_id>", pay, name="sandbox-pay"),
]
