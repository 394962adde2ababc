"""The sandbox's control page: what happened, what was delivered, and what else could happen."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from . import behaviour, lifecycle
from .display import format_money, ride_of, state_of
from .models import Charge, Delivery, Dispute, Refund, Session

_SHOWN = 50

Form = dict[str, str]


class _UnfitForm(Exception):
    """The form is none of this page's, or one of a page that is long out of date."""


def _staff_unless_debug(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let anybody in while developing, staff alone elsewhere."""
    for_staff = staff_member_required(view)

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        return view(request) if settings.DEBUG else for_staff(request)

    return guarded


@never_cache
@_staff_unless_debug
@require_http_methods(["GET", "HEAD", "POST"])
def control(request: HttpRequest) -> HttpResponse:
    """Show the newest sessions and deliveries, or do the posted `action` and come back."""
    if request.method != "POST":
        return render(request, "sandbox/control.html", _context())
    action = _ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return render(request, "400.html", status=400)
    try:
        messages.success(request, action({name: str(value) for name, value in request.POST.items()}))
    except lifecycle.NotPossible as error:
        messages.error(request, str(error))
    except (ObjectDoesNotExist, _UnfitForm):
        messages.error(request, "Nothing was done: the form does not fit what is there.")
    return HttpResponseRedirect(reverse("sandbox-control"), status=303)


def _context() -> dict[str, Any]:
    sessions = Session.objects.select_related("payment_intent").prefetch_related(
        "payment_intent__charges__refunds", "payment_intent__charges__disputes"
    )[:_SHOWN]
    return {
        "sandbox": True,
        "demo": settings.DEBUG,
        "here": "sandbox",
        "shown": _SHOWN,
        "mode": behaviour.get_mode(),
        "modes": behaviour.Mode.choices,
        "sessions": [_session_row(session) for session in sessions],
        "deliveries": Delivery.objects.select_related("event", "session")[:_SHOWN],
    }


def _session_row(session: Session) -> dict[str, Any]:
    """Return what the page shows of a session, with what can happen to it next."""
    intent = session.payment_intent
    paid = [c for c in intent.charges.all() if c.status == Charge.Status.SUCCEEDED] if intent else []
    refunds = [refund for charge in paid for refund in charge.refunds.all()]
    disputes = [dispute for charge in paid for dispute in charge.disputes.all()]
    gone = sum(refund.amount for refund in refunds if refund.status != Refund.Status.FAILED)
    left = bool(paid) and gone < session.amount_total
    return {
        "session": session,
        "state": state_of(session),
        "amount": format_money(session.amount_total, session.currency),
        "names": [*filter(None, [*(item["description"] for item in session.line_items), ride_of(session)])],
        "refundable": left and all(dispute.status == Dispute.Status.WON for dispute in disputes),
        "disputable": left and not disputes,
        "refunds": [(refund, format_money(refund.amount, session.currency)) for refund in refunds],
        "disputes": disputes,
    }


def _number(form: Form, name: str) -> int:
    try:
        number = int(form.get(name, ""))
    except ValueError:
        raise _UnfitForm from None
    if number < 1:
        raise _UnfitForm
    return number


def _chose(form: Form, wanted: str, *, not_: str) -> bool:
    if form.get("outcome") not in {wanted, not_}:
        raise _UnfitForm
    return form["outcome"] == wanted


def _expire(form: Form) -> str:
    lifecycle.expire(session_id=form.get("session", ""))
    return "The session has expired."


def _settle(form: Form) -> str:
    succeeded = _chose(form, "succeeded", not_="failed")
    lifecycle.settle(session_id=form.get("session", ""), succeeded=succeeded)
    return "The bank confirmed the payment." if succeeded else "The bank rejected the payment."


def _refund(form: Form) -> str:
    amount = _number(form, "amount") if form.get("amount") else None
    refund = lifecycle.refund(payment_intent_id=form.get("payment_intent", ""), amount=amount)
    return f"{format_money(refund.amount, refund.charge.payment_intent.currency)} went back."


def _fail_refund(form: Form) -> str:
    lifecycle.fail_refund(refund_id=form.get("refund", ""))
    return "The refund failed: the bank sent it back."


def _open_dispute(form: Form) -> str:
    lifecycle.open_dispute(payment_intent_id=form.get("payment_intent", ""))
    return "The customer disputes the payment."


def _close_dispute(form: Form) -> str:
    won = _chose(form, "won", not_="lost")
    lifecycle.close_dispute(dispute_id=form.get("dispute", ""), won=won)
    return "The dispute is won." if won else "The dispute is lost."


def _send_again(form: Form) -> str:
    delivery = behaviour.send_again(delivery_id=_number(form, "delivery"))
    return f"{delivery.event.type} is sent again."


def _drop(form: Form) -> str:
    delivery = behaviour.drop(delivery_id=_number(form, "delivery"))
    return f"{delivery.event.type} is {delivery.state}."


def _set_mode(form: Form) -> str:
    try:
        mode = behaviour.set_mode(mode=form.get("mode", ""))
    except ValueError:
        raise _UnfitForm from None
    return f"New events are delivered: {mode.label}."


_ACTIONS: dict[str, Callable[[Form], str]] = {
    "expire": _expire,
    "settle": _settle,
    "refund": _refund,
    "fail_refund": _fail_refund,
    "open_dispute": _open_dispute,
    "close_dispute": _close_dispute,
    "send_again": _send_again,
    "drop": _drop,
    "set_mode": _set_mode,
}
