"""The admin's first page: what needs attention, and the latest status changes."""

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
"""How many of the newest payments that need attention are counted by reason."""
IGNORED_DAYS = 7

State = WebhookEvent.State
Reason = WebhookEvent.Reason

_WAITING = {
    State.FAILED: "They could not be applied. Look at the error, then apply them again.",
    State.PARKED: "They wait for a payment that is not known yet.",
    State.RECEIVED: "They are stored, but not applied yet.",
}
_IGNORED = {
    Reason.LIVEMODE: "The endpoint at Stripe has another mode than STRIPE_SECRET_KEY.",
    Reason.ACCOUNT: "The endpoint at Stripe also listens to other accounts.",
    Reason.FOREIGN_SESSION: "Someone else made a session that names a payment of this service.",
    Reason.OTHER_PAYMENT: "Someone changed the metadata of a session or a payment intent.",
    Reason.IMPOSSIBLE_SUM: "Look at the payment in Stripe's dashboard.",
}
"""Reasons that point to a wrong set-up or to interference. The others are everyday."""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the page's context what the user may see; for UNFOLD["DASHBOARD_CALLBACK"]."""
    if request.user.has_perm("payments.view_payment"):
        context["attention"] = _attention()
        # By the key, which counts up with time and has an index.
        latest = StatusChange.objects.select_related("payment").order_by("-pk")
        # The largest columns of a payment, which the list does not show.
        context["changes"] = latest.defer("payment__facts", "payment__stripe_params")[:CHANGES_SHOWN]
    if request.user.has_perm("payments.view_webhookevent"):
        since = timezone.now() - timedelta(days=IGNORED_DAYS)
        context["waiting"] = [
            {
                "count": _counted(state=state),
                "title": f"{state.label} events",
                "text": text,
                "url": _list("webhookevent", state=state),
            }
            for state, text in _WAITING.items()
        ]
        context["ignored"] = [
            {
                "count": count,
                "title": reason.label,
                "text": text,
                "url": _list("webhookevent", reason=reason, since=f"{since:%Y-%m-%d}"),
            }
            for reason, text in _IGNORED.items()
            if (count := _counted(reason=reason, received_at__gte=since))
        ]
        context["ignored_days"] = IGNORED_DAYS
    return context


def _attention() -> list[dict[str, Any]]:
    """Count the payments that need attention by reason. They have an index of their own."""
    by_reason = {reason.value: Count("pk", filter=Q(attention__contains=reason)) for reason in Attention}
    flagged = Payment.objects.exclude(attention="").order_by("-created_at")[:FLAGGED_AT_MOST]
    counts = flagged.aggregate(total=Count("pk"), **by_reason)
    return [
        {
            "count": f"{counts[reason]}+" if counts["total"] == FLAGGED_AT_MOST else counts[reason],
            "title": reason.label,
            "url": _list("payment", attention=reason),
        }
        for reason in Attention
    ]


def _counted(**which: Any) -> int | str:
    """Count events by an index, up to COUNTED_AT_MOST."""
    count = WebhookEvent.objects.filter(**which).order_by()[:COUNTED_AT_MOST].count()
    return f"{count}+" if count == COUNTED_AT_MOST else count


def _list(name: str, **query: str) -> str:
    return f"{reverse(f'admin:payments_{name}_changelist')}?{urlencode(query)}"
