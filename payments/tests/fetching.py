"""`manage.py fetch_webhooks`, and payments of the sandbox whose events nobody delivers."""

import io
from datetime import timedelta

from django.core.management import CommandError, call_command
from django.utils import timezone

from payments.checkout import create
from payments.models import Payment
from stripe_sandbox.checkout import lifecycle

ORDER = {"user_id": "a@b.com", "amount": 1250, "currency": "usd"}


def fetch(*arguments):
    """Run the command; return its exit code and what it wrote to both streams."""
    out = io.StringIO()
    try:
        call_command("fetch_webhooks", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def order(ride_id="ride_1", **fields):
    return create.Order(**(ORDER | {"ride_id": ride_id} | fields))


def start(ride_id="ride_1", key=None, **fields):
    """Ask for a payment. The sandbox's worker does not run here: no event is delivered."""
    return create.start(order=order(ride_id, **fields), idempotency_key=key)


def age(**since):
    """Let all payments be so old."""
    Payment.objects.update(created_at=timezone.now() - timedelta(**since))


def pay(payment):
    return lifecycle.pay(session_id=payment.session_id)


def status(payment):
    return Payment.objects.get(pk=payment.pk).status
