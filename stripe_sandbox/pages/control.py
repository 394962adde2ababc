"""The control page: sessions, deliveries, and what can happen to them next."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from stripe_sandbox.api import faults
from stripe_sandbox.checkout import disputes, fraud
from stripe_sandbox.errors import NotPossible
from stripe_sandbox.events import behaviour
from stripe_sandbox.models import Charge, Delivery, Dispute, Refund, Review, Session
from stripe_sandbox.pages.actions import ACTIONS, UnfitForm
from stripe_sandbox.pages.display import format_money, ride_of, state_of

_SHOWN = 50


PERMISSION = "sandbox.change_session"
"""To see the control page, and to do all that it offers, without DEBUG."""


def _staff_unless_debug(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Let everyone in with DEBUG, and only staff with the permission without."""
    for_staff = staff_member_required(permission_required(PERMISSION, raise_exception=True)(view))

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        return view(request) if settings.DEBUG else for_staff(request)

    return guarded


@never_cache
@_staff_unless_debug
@require_http_methods(["GET", "HEAD", "POST"])
def control(request: HttpRequest) -> HttpResponse:
    """Show the newest sessions and deliveries, or run the posted `action` and redirect here."""
    if request.method != "POST":
        return render(request, "sandbox/control.html", _context())
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        return render(request, "400.html", status=400)
    try:
        messages.success(request, action({name: str(value) for name, value in request.POST.items()}))
    except NotPossible as error:
        messages.error(request, str(error))
    except (ObjectDoesNotExist, UnfitForm):
        messages.error(request, "Nothing was done: the form does not fit what is there.")
    # 303 makes it a GET, so that a reload does not do the same again.
    return HttpResponseRedirect(reverse("sandbox-control"), status=303)


def _context() -> dict[str, Any]:
    sessions = Session.objects.select_related("payment_intent").prefetch_related(
        "payment_intent__charges__refunds",
        "payment_intent__charges__disputes",
        "payment_intent__charges__reviews",
        "payment_intent__charges__warning",
    )[:_SHOWN]
    return {
        "sandbox": True,
        "demo": settings.DEBUG,
        "here": "sandbox",
        "shown": _SHOWN,
        "mode": behaviour.get_mode(),
        "modes": behaviour.Mode.choices,
        "planned": faults.get(),
        "faults": faults.Fault.choices,
        "most_calls": faults.MOST_CALLS,
        "longest_delay": faults.LONGEST_DELAY,
        "case_types": Dispute.CaseType.choices,
        "dispute_reasons": [(name, name.replace("_", " ")) for name in disputes.REASONS],
        "fraud_types": [(name, name.replace("_", " ")) for name in fraud.FRAUD_TYPES],
        "review_ends": Review.Closed.choices,
        "sessions": [_session_row(session) for session in sessions],
        "deliveries": Delivery.objects.select_related("event", "session")[:_SHOWN],
    }


def _session_row(session: Session) -> dict[str, Any]:
    """Return a session's row, with what can happen to it next."""
    intent = session.payment_intent
    charges = list(intent.charges.all()) if intent else []
    paid = next((charge for charge in charges if charge.status == Charge.Status.SUCCEEDED), None)
    return {
        "session": session,
        "state": state_of(session),
        "amount": format_money(session.amount_total, session.currency),
        "names": [*filter(None, [*(item["description"] for item in session.line_items), ride_of(session)])],
        "charge": paid,
        "left": paid.refundable if paid else 0,
        "refunds": [_with_amount(refund, session) for refund in paid.refunds.all()] if paid else [],
        "disputes": [_with_amount(dispute, session) for dispute in paid.disputes.all()] if paid else [],
        "reviews": list(paid.reviews.all()) if paid else [],
        "warning": getattr(paid, "warning", None),
        "by_card": paid is not None and paid.payment_method_type == "card",
    }


def _with_amount(row: Refund | Dispute, session: Session) -> tuple[Refund | Dispute, str]:
    return row, format_money(row.amount, session.currency)
