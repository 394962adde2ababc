"""Deliver events to the webhook endpoint: claim, sign, send, retry.

The rows are the truth. Any number of processes may claim, and one at a time sends a row. If that process dies, another
one takes the row. As with Stripe, an event can arrive twice, but none is lost.
"""

import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from datetime import datetime

import requests
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from stripe_sandbox.models import Delivery
from stripe_sandbox.objects.event import render_event
from stripe_sandbox.timing import DELIVERY_CLAIM, RETRIES, TIMEOUTS

_MAX_RESPONSE = 64 * 1024

wake = threading.Event()
"""Set when there is something to send or to record, so that the worker need not wait for its next poll."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The result of an attempt: an HTTP status, or None and the reason why there was no response."""

    delivery: Delivery
    status: int | None = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the response was 2xx."""
        return self.status is not None and requests.codes.ok <= self.status < requests.codes.multiple_choices


def claim(*, now: datetime, limit: int) -> list[Delivery]:
    """Claim up to `limit` due deliveries for this process, for DELIVERY_CLAIM."""
    # Each process asks every second. Without anything due it takes no lock, which on SQLite would hold up all
    # writers.
    if limit <= 0 or not _due(now).exists():
        return []
    with transaction.atomic():
        # Pass by what another process is claiming. Lock the delivery alone, not its event.
        due = _due(now).select_related("event").select_for_update(skip_locked=True, of=("self",))
        claimed = list(due.order_by("due_at", "id")[:limit])
        for delivery in claimed:
            delivery.claimed_until = now + DELIVERY_CLAIM
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            claimed_until=now + DELIVERY_CLAIM
        )
    return claimed


def _due(now: datetime) -> QuerySet[Delivery]:
    """Return the deliveries to send now. First attempts of one session go one at a time, in order."""
    unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=now)
    pending = Delivery.objects.filter(state=Delivery.State.PENDING)
    before = Q(due_at__lt=OuterRef("due_at")) | Q(due_at=OuterRef("due_at"), id__lt=OuterRef("id"))
    overtaken = pending.filter(before, session=OuterRef("session"), attempts=0)
    return pending.filter(unclaimed, Q(attempts__gt=0) | ~Exists(overtaken), due_at__lte=now)


def signature(*, body: bytes, secret: str, timestamp: int) -> str:
    """Return the Stripe-Signature header. Source: https://docs.stripe.com/webhooks#verify-manually."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def send(delivery: Delivery, *, http: requests.Session, now: datetime) -> Attempt:
    """Post a delivery's event to the endpoint. Return the result; raise nothing."""
    body = json.dumps(render_event(delivery.event, pending_webhooks=1), indent=2).encode()
    # While a secret is replaced several are set, and the endpoint tries all of them.
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
        ) as response:
            # Read to the end, so that the connection can be reused.
            next(response.iter_content(_MAX_RESPONSE), b"")
            return Attempt(delivery=delivery, status=response.status_code)
    except requests.RequestException as error:
        return Attempt(delivery=delivery, error=type(error).__name__)


def record(attempt: Attempt, *, now: datetime) -> None:
    """Keep the result of an attempt, and plan the next one after a failure. Do nothing if the claim was lost."""
    delivery = attempt.delivery
    # The time of the claim names it: after its end another process may have taken the delivery.
    claimed = Delivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    result = {"last_status": attempt.status, "last_error": attempt.error, "attempts": delivery.attempts + 1}
    if attempt.succeeded:
        state = Delivery.State.DELIVERED
        claimed.update(**result, state=state, finished_at=now, claimed_until=None)
        return
    # One that was dropped from the control page while it was sent stays dropped.
    pending = claimed.filter(state=Delivery.State.PENDING)
    if delivery.attempts < len(RETRIES):
        pending.update(**result, due_at=now + RETRIES[delivery.attempts], claimed_until=None)
    else:
        pending.update(**result, state=Delivery.State.FAILED, finished_at=now, claimed_until=None)
