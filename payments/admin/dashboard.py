"""The admin's first page: what waits for somebody, and what changed last."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from payments.models import StatusChange, WebhookEvent

CHANGES_SHOWN = 10
COUNTED_AT_MOST = 1000

State = WebhookEvent.State

_WAITING = {
    State.FAILED: "could not be applied. Look at the error, then apply them again.",
    State.PARKED: "wait for a payment that is not known yet.",
    State.RECEIVED: "were stored, but not applied.",
}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the page's context what this member of staff may see; for UNFOLD["DASHBOARD_CALLBACK"]."""
    if request.user.has_perm("payments.view_webhookevent"):
        context["waiting"] = [_waiting(state) for state in _WAITING]
    if request.user.has_perm("payments.view_payment"):
        latest = StatusChange.objects.select_related("payment").order_by("-pk")
        context["changes"] = latest.defer("payment__facts", "payment__stripe_params")[:CHANGES_SHOWN]
    return context


def _waiting(state: State) -> dict[str, Any]:
    """Count by the index on states, and not beyond what anybody reads as a number."""
    count = WebhookEvent.objects.filter(state=state)[:COUNTED_AT_MOST].count()
    return {
        "count": f"{count}+" if count == COUNTED_AT_MOST else count,
        "title": f"{state.label} events",
        "text": _WAITING[state],
        "url": f"{reverse('admin:payments_webhookevent_changelist')}?state={state}",
    }
