"""Looking at Stripe while somebody waits for the answer: seldom, shortly, and never at the expense of the answer."""

import logging
import threading
import time
from datetime import timedelta

from django.db import OperationalError
from django.utils import timezone

from payments.models import Payment
from payments.reconciliation import stale_payments
from payments.stripe import gateway
from payments.stripe.deadline import within

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""How long a look may take: somebody waits for a page, or for an answer of the API."""
READER_EVERY = timedelta(minutes=1)
"""How old a payment is that the API is asked for, and how long ago Stripe was asked, before it is asked."""
CUSTOMER_EVERY = timedelta(seconds=10)
"""The same for a customer who comes back, as soon as there is a payment: Stripe has just sent him here."""
AT_ONCE = 4
"""How many looks a process has under way: each keeps a thread waiting."""
PAUSE_SECONDS = 5.0
"""How long nobody looks after Stripe did not answer, so that an outage costs few readers their patience."""


class _Bounds:
    """How many look in this process, and until when nobody does."""

    def __init__(self) -> None:
        self.places = threading.BoundedSemaphore(AT_ONCE)
        self.paused_until = 0.0


bounds = _Bounds()


def for_reader(payment: Payment) -> Payment:
    """Return a payment that the API was asked for, with what Stripe knows of it if it may have finished it."""
    if payment.created_at > timezone.now() - READER_EVERY:
        return payment
    return _looked_at(payment, every=READER_EVERY)


def for_customer(payment: Payment) -> Payment:
    """Return the payment of a customer who comes back from Checkout, with what Stripe knows of it."""
    return _looked_at(payment, every=CUSTOMER_EVERY)


def _looked_at(payment: Payment, *, every: timedelta) -> Payment:
    """Ask Stripe how a payment is, if it may have finished it and was not asked within `every`.

    One asks at a time, also of several processes: the others get what is known.
    """
    if time.monotonic() < bounds.paused_until or not bounds.places.acquire(blocking=False):
        return payment
    try:
        due = stale_payments.undecided(asked_before=timezone.now() - every).filter(pk=payment.pk)
        if not due.update(checked_at=timezone.now()):
            return payment
        _compare(payment)
        payment.refresh_from_db()
    except OperationalError as error:
        logger.warning("Payment %s is shown as it was: %s", payment.pk, type(error).__name__)
    finally:
        bounds.places.release()
    return payment


def _compare(payment: Payment) -> None:
    """Compare a payment with Stripe. Where that fails it stays due, for who looks next and for `fetch_webhooks`."""
    try:
        with within(PATIENCE_SECONDS):
            stale_payments.compare(payment, dry_run=False)
    except gateway.StripeUnavailable as error:
        bounds.paused_until = time.monotonic() + PAUSE_SECONDS
        logger.warning("Stripe could not be asked about payment %s: %s", payment.pk, error)
        Payment.objects.filter(pk=payment.pk).update(checked_at=payment.checked_at)
    except gateway.StripeError as error:
        logger.warning("Stripe refused to be asked about payment %s: %s", payment.pk, error.code)
    except (KeyError, TypeError, ValueError) as error:
        logger.warning(
            "Stripe's answer about payment %s is not as it describes it: %s", payment.pk, type(error).__name__
        )
    except OperationalError:
        raise
    except Exception:
        logger.exception("Payment %s could not be compared with Stripe.", payment.pk)
