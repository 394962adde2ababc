"""Check a payment at Stripe while a customer or an API client waits: seldom, briefly, and never at their cost."""

import logging
import threading
import time
from datetime import timedelta

from django.db import OperationalError
from django.utils import timezone

from database.errors import describe
from payments.models import Payment
from payments.reconciliation import stale_payments
from payments.reconciliation.each import NOT_AS_DOCUMENTED
from payments.stripe import gateway
from payments.stripe.deadline import within

logger = logging.getLogger(__name__)

CHECK_SECONDS = 3.0
"""How long a check may take, because a page or a response waits for it."""
CLIENT_INTERVAL = timedelta(minutes=1)
"""For API clients: how old a payment is before its first check, and how long until the next one."""
CUSTOMER_INTERVAL = timedelta(seconds=10)
"""For customers who come back: how long until the next check. The first comes at once, as Stripe has sent them here."""
CHECKS_MAX = 4
"""How many checks a process makes at once: each occupies a thread."""
COOLDOWN_SECONDS = 5.0
"""How long a process makes no checks after Stripe did not answer: in an outage, few requests wait for it."""


class _Limits:
    """The checks under way in this process, and the end of its cooldown."""

    def __init__(self) -> None:
        self.places = threading.BoundedSemaphore(CHECKS_MAX)
        self.paused_until = 0.0


limits = _Limits()


def for_client(payment: Payment) -> Payment:
    """Return the payment for the API, checked at Stripe first if Stripe may have finished it."""
    if payment.created_at > timezone.now() - CLIENT_INTERVAL:
        return payment
    return _checked(payment, interval=CLIENT_INTERVAL)


def for_customer(payment: Payment) -> Payment:
    """Return the payment for a customer who comes back from Checkout, checked at Stripe first."""
    return _checked(payment, interval=CUSTOMER_INTERVAL)


def _checked(payment: Payment, *, interval: timedelta) -> Payment:
    """Check a payment that Stripe may have finished, unless a check began within `interval`.

    One check at a time, across all processes: other callers get what is known.
    """
    # Nobody waits for a place: what is known is a good answer, and each that waits holds a thread.
    if time.monotonic() < limits.paused_until or not limits.places.acquire(blocking=False):
        return payment
    try:
        due = stale_payments.undecided(checked_before=timezone.now() - interval).filter(pk=payment.pk)
        # Of all processes one wins this update, and asks.
        if not due.update(checked_at=timezone.now()):
            return payment
        _compare(payment)
        payment.refresh_from_db()
    except OperationalError as error:
        logger.warning("Payment %s is shown as it was: %s", payment.pk, describe(error))
    finally:
        limits.places.release()
    return payment


def _compare(payment: Payment) -> None:
    """Compare a payment with Stripe. If Stripe does not answer, it stays due for the next check."""
    try:
        with within(CHECK_SECONDS):
            stale_payments.compare(payment, dry_run=False)
    except gateway.StripeUnavailable as error:
        limits.paused_until = time.monotonic() + COOLDOWN_SECONDS
        logger.warning("Stripe did not answer about payment %s: %s", payment.pk, error)
        # The object still bears the time of the check before, so that `fetch_webhooks` finds the payment due.
        Payment.objects.filter(pk=payment.pk).update(checked_at=payment.checked_at)
    except (gateway.StripeError, *NOT_AS_DOCUMENTED) as error:
        reason = getattr(error, "code", type(error).__name__)
        logger.warning("Stripe gave no answer of use about payment %s: %s", payment.pk, reason)
    except OperationalError:
        raise
    except Exception:
        logger.exception("Payment %s could not be compared with Stripe.", payment.pk)
