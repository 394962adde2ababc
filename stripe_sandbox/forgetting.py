"""Remove from the sandbox's copies of sessions what says something of a customer, as one would ask Stripe to do."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from stripe_sandbox.models import Event, IdempotentRequest, Session

_TEXTS = frozenset({"description", "email", "name", "phone", "receipt_url"})
_ADDRESSES = frozenset({"success_url", "cancel_url"})
REMOVED = "(removed)"


def forget(session_ids: Sequence[str]) -> int:
    """Strip sessions with these ids, their events and the answers to repeated requests; return how many there were.

    Of an address that customers return to its host stays, so that an open session still leads somewhere.
    """
    sessions = list(Session.objects.filter(stripe_id__in=session_ids).select_related("payment_intent"))
    for session in sessions:
        session.params, session.line_items = _bare(session.params), _bare(session.line_items)
        session.save(update_fields=["params", "line_items"])
        if intent := session.payment_intent:
            intent.data = _bare(intent.data)
            intent.save(update_fields=["data"])
        for event in Event.objects.filter(session=session):
            event.data = _bare(event.data)
            event.save(update_fields=["data"])
        # A request under way keeps its row: it would find its key gone, and answer that it took too long.
        IdempotentRequest.objects.filter(status__isnull=False, body__contains=session.stripe_id).delete()
    return len(sessions)


def _bare(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _bare(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_bare(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if name in _ADDRESSES:
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.netloc}/"
    return REMOVED if name in _TEXTS else value
