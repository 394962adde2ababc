"""The admin's first page: what waits for somebody, and what changed last."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from payments.models import Payment, StatusChange, WebhookEvent
from payments.status import Attention

CHANGES_SHOWN = 10
COUNTED_AT_MOST = 1000
FLAGGED_AT_MOST = 10_000
"""Of the payments that need attention, so many of the newest are counted by reason."""
IGNORED_DAYS = 7

State = WebhookEvent.State
Reason = WebhookEvent.Reason

_WAITING = {
    State.FAILED: "could not be applied. Look at the error, then apply them again.",
    State.PARKED: "wait for a payment that is not known yet.",
    State.RECEIVED: "were stored, but not applied.",
}
_IGNORED = {
    Reason.LIVEMODE: "The endpoint at Stripe and the key of this service are of two modes.",
    Reason.ACCOUNT: "The endpoint at Stripe listens to other accounts than ours.",
    Reason.FOREIGN_SESSION: "Somebody made a session that names a payment of ours.",
    Reason.OTHER_PAYMENT: "Somebody changed the metadata of a session or an intent.",
    Reason.IMPOSSIBLE_SUM: "Look at the payment in Stripe's dashboard.",
}
"""Reasons that say that something is set up wrong, or that somebody meddles. The others are everyday."""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the page's context what this member of staff may see; for UNFOLD["DASHBOARD_CALLBACK"]."""
    if request.user.has_perm("payments.view_payment"):
        context["attention"] = _attention()
        latest = StatusChange.objects.select_related("payment").order_by("-pk")
        context["changes"] = latest.defer("payment__facts", "payment__stripe_params")[:CHANGES_SHOWN]
    if request.user.has_perm("payments.view_webhookevent"):
        context["waiting"] = [_waiting(state) for state in _WAITING]
        context["ignored"] = list(filter(None, map(_ignored, _IGNORED)))
        context["ignored_days"] = IGNORED_DAYS
    return context


def _attention() -> list[dict[str, Any]]:
    """Count the payments that need attention, by reason and by their own index."""
    by_reason = {reason.value: Count("pk", filter=Q(attention__contains=reason)) for reason in Attention}
    flagged = Payment.objects.exclude(attention="").order_by("-created_at")[:FLAGGED_AT_MOST]
    counts = flagged.aggregate(total=Count("pk"), **by_reason)
    more = "+" if counts["total"] == FLAGGED_AT_MOST else ""
    return [
        {
            "count": f"{counts[reason]}{more}" if more else counts[reason],
            "title": reason.label,
            "url": _list("payment", attention=reason),
        }
        for reason in Attention
    ]


def _waiting(state: State) -> dict[str, Any]:
    """Count by the index on states, and not beyond what anybody reads as a number."""
    return {
        "count": _counted(state=state),
        "title": f"{state.label} events",
        "text": _WAITING[state],
        "url": _list("webhookevent", state=state),
    }


def _ignored(reason: Reason) -> dict[str, Any] | None:
    """Count, by the index on reasons, what was lately ignored for a reason; None: nothing was."""
    since = timezone.now() - timedelta(days=IGNORED_DAYS)
    if not (count := _counted(reason=reason, received_at__gte=since)):
        return None
    return {
        "count": count,
        "title": reason.label,
        "text": _IGNORED[reason],
        "url": _list("webhookevent", reason=reason, since=f"{since:%Y-%m-%d}"),
    }


def _counted(**which: Any) -> int | str:
    count = WebhookEvent.objects.filter(**which).order_by()[:COUNTED_AT_MOST].count()
    return f"{count}+" if count == COUNTED_AT_MOST else count


def _list(name: str, **query: str) -> str:
    return f"{reverse(f'admin:payments_{name}_changelist')}?{urlencode(query)}"
