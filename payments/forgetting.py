"""Put a pseudonym in place of a user in payments, events and the staff's log. The record of the money stays."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from payments.checkout import cancel
from payments.forgotten import pseudonym, without_person
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent
from payments.status import Status, is_open
from payments.stripe import gateway
from payments.stripe.values import REMOVED
from payments.webhooks import bodies
from payments.webhooks.scrubbing import scrub, without_customer

AT_ONCE = 100
"""Payments in one transaction, so that it holds its locks briefly."""
NEVER_ASKED = "The user was forgotten before Stripe was asked for a session."


def close_links(*, user_id: str) -> None:
    """Cancel the user's open payments, at Stripe too: whoever still has a link could pay by it.

    What is being paid goes on, and so does what Stripe refuses to close. Raises StripeError if it is not known whether a
    link is closed.
    """
    theirs = Payment.objects.filter(user_id__in=(user_id, pseudonym(user_id)), ride_claim__isnull=False)
    for payment in [each for each in theirs.exclude(session_id=None) if is_open(each.facts)]:
        with suppress(cancel.NotCancelable, gateway.StripeRefused):
            cancel.cancel(payment_id=payment.pk, cause=StatusChange.Cause.STAFF)


def forget(*, user_id: str) -> Iterator[tuple[int, int]]:
    """Forget the user of payments, batch by batch; yield how many payments and events each batch had.

    What is done stays done, and the next call goes on from there. A payment that is open and has no link is given up:
    what Stripe would have been asked for is removed. The writers of events notice that a payment changed while they
    worked (`writes.Additions`), so that none brings the user id back.
    """
    name = pseudonym(user_id)
    known = Payment.objects.filter(user_id=user_id).order_by("pk")
    for payment in known.filter(session_id=None).iterator():
        cancel.give_up(payment, reason=NEVER_ASKED, cause=StatusChange.Cause.STAFF)
    while True:
        with transaction.atomic():
            # A payment that is stripped has another user id, so each batch finds those that are left.
            payments = list(known.select_for_update(no_key=True)[:AT_ONCE])
            for payment in payments:
                _strip(payment, user_id=user_id, name=name)
            events = _strip_events(payments)
        if not payments:
            return
        yield len(payments), events


def _strip(payment: Payment, *, user_id: str, name: str) -> None:
    """Remove from a payment what is its user's. Its digest could be guessed from the user id, with the rest known."""
    payment.user_id = name
    payment.payment_url = payment.description = ""
    payment.stripe_error = REMOVED if payment.stripe_error else ""
    payment.stripe_params = scrub(payment.stripe_params)
    payment.request_digest = salted_hmac(
        "payments.forgotten.digest", payment.request_digest, algorithm="sha256"
    ).hexdigest()
    payment.facts = dict(without_person(payment.facts))
    # The rest of the key stays: a repeated request has to find its payment.
    payment.idempotency_key = _renamed(payment.idempotency_key, user_id, name)
    payment.save()
    for request in RefundRequest.objects.filter(payment=payment).exclude(idempotency_key=None):
        key = _renamed(request.idempotency_key, user_id, name)
        if key != request.idempotency_key:
            RefundRequest.objects.filter(pk=request.pk).update(idempotency_key=key)


def _strip_events(payments: list[Payment]) -> int:
    events = WebhookEvent.objects.filter(payment__in=payments).only("body")
    for event in events:
        body = bodies.serialize(without_customer(scrub(json.loads(event.body))))
        WebhookEvent.objects.filter(pk=event.pk).update(body=body)
    return len(events)


def forget_in_log(*, user_id: str) -> int:
    """Put the pseudonym in place of the user id in the log of what staff did; return how many entries had it."""
    name, changed = pseudonym(user_id), 0
    # The database finds too many, such as the id `1` in a number. `_renamed` decides.
    found = LogEntry.objects.filter(Q(object_repr__contains=user_id) | Q(change_message__contains=user_id))
    for entry in found.iterator():
        before = (entry.object_repr, entry.change_message)
        # Django's column has 200 characters, and the pseudonym may be longer than the id.
        entry.object_repr = str(_renamed(entry.object_repr, user_id, name))[:200]
        entry.change_message = str(_renamed(entry.change_message, user_id, name))
        if before != (entry.object_repr, entry.change_message):
            entry.save()
            changed += 1
    return changed


def sessions(*, user_id: str) -> list[str]:
    """Return the Checkout sessions of a user who was forgotten."""
    found: Any = Payment.objects.filter(user_id=pseudonym(user_id)).exclude(session_id=None)
    return list(found.values_list("session_id", flat=True))


def still_open(*, user_id: str) -> int:
    """Return how many payments of a user who was forgotten can still be paid, or are being paid."""
    theirs = Payment.objects.filter(user_id=pseudonym(user_id), ride_claim__isnull=False)
    return theirs.filter(status__in=(Status.PENDING, Status.FAILED, Status.PROCESSING)).count()


def _renamed(text: str | None, user_id: str, name: str) -> str | None:
    """Replace the user id where it stands as a word: the id `1` is in many a number."""
    if text is None:
        return None
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(user_id)}(?![A-Za-z0-9])", name, text)
