"""Deliveries to the webhook endpoint: claimed, signed, sent, and tried again.

The rows are the truth. Any number of processes may claim; a row is sent by one at a time, and is taken again
when the one that had it went away. An event can arrive twice, as Stripe's do: never does one get lost.
"""

import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import requests
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from stripe_sandbox.models import Delivery
from stripe_sandbox.objects.event import render_event

TIMEOUTS = (3, 10)
"""Seconds to connect, and to answer."""
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 64))
"""How long after a failed try the next follows: Stripe's three days, shortened."""
CLAIM = timedelta(seconds=30)
"""How long a claim holds: longer than a try can take."""
_MAX_ANSWER = 64 * 1024

wake = threading.Event()
"""Set when there may be something to send, or to record, sooner than the next look."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a try ended: an HTTP status, or None and why there was no answer."""

    delivery: Delivery
    status: int | None = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and requests.codes.ok <= self.status < requests.codes.multiple_choices


def claim(*, now: datetime, limit: int) -> list[Delivery]:
    """Take up to `limit` deliveries that are due, for this process alone, until CLAIM is over."""
    if limit <= 0 or not _due(now).exists():
        return []
    with transaction.atomic():
        due = _due(now).select_related("event").select_for_update(skip_locked=True, of=("self",))
        claimed = list(due.order_by("due_at", "id")[:limit])
        for delivery in claimed:
            delivery.claimed_until = now + CLAIM
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            claimed_until=now + CLAIM
        )
    return claimed


def _due(now: datetime) -> QuerySet[Delivery]:
    """Return what can be sent now. First tries of one session go one at a time, in order."""
    unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=now)
    pending = Delivery.objects.filter(state=Delivery.State.PENDING)
    before = Q(due_at__lt=OuterRef("due_at")) | Q(due_at=OuterRef("due_at"), id__lt=OuterRef("id"))
    overtaken = pending.filter(before, session=OuterRef("session"), attempts=0)
    return pending.filter(unclaimed, Q(attempts__gt=0) | ~Exists(overtaken), due_at__lte=now)


def signature(*, body: bytes, secret: str, timestamp: int) -> str:
    """Return the Stripe-Signature header. Source: https://docs.stripe.com/webhooks#verify-manually."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def send(delivery: Delivery, *, http: requests.Session, now: datetime) -> Outcome:
    """Post a delivery's event to the endpoint; whatever happens is an outcome, never an exception."""
    body = json.dumps(render_event(delivery.event, pending_webhooks=1), indent=2).encode()
    secret = settings.STRIPE_WEBHOOK_SECRETS[0]
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(body=body, secret=secret, timestamp=int(now.timestamp())),
        "User-Agent": "Stripe/1.0 (+https://docs.stripe.com/webhooks)",
    }
    url = f"{settings.LOCAL_URL}/webhooks/stripe/"
    try:
        with http.post(
            url, data=body, headers=headers, timeout=TIMEOUTS, allow_redirects=False, stream=True
        ) as answer:
            next(answer.iter_content(_MAX_ANSWER), b"")  # read to its end, the connection serves the next
            return Outcome(delivery=delivery, status=answer.status_code)
    except requests.RequestException as error:
        return Outcome(delivery=delivery, error=type(error).__name__)


def record(outcome: Outcome, *, now: datetime) -> None:
    """Keep how a try ended, and plan the next if there is to be one; nothing if the claim was lost."""
    delivery = outcome.delivery
    claimed = Delivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    told = {"last_status": outcome.status, "last_error": outcome.error, "attempts": delivery.attempts + 1}
    if outcome.succeeded:
        state = Delivery.State.DELIVERED
        claimed.update(**told, state=state, finished_at=now, claimed_until=None)
        return
    pending = claimed.filter(state=Delivery.State.PENDING)
    if delivery.attempts < len(RETRIES):
        pending.update(**told, due_at=now + RETRIES[delivery.attempts], claimed_until=None)
    else:
        pending.update(**told, state=Delivery.State.FAILED, finished_at=now, claimed_until=None)
