"""`manage.py forget_user`: put a pseudonym in place of a user, and remove what is that user's alone."""

import argparse
import time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from notifications import forgetting as notifications
from notifications.protocol import InvalidUserIdError, check_user_id
from payments import forgetting as payments
from payments.forgotten import is_pseudonym, pseudonym
from payments.stripe import gateway

if settings.STRIPE_SANDBOX:
    from stripe_sandbox import forgetting as sandbox

CLOSING_SECONDS = 3
"""Each process gets this time to close the user's connections. It looks once a second."""


def _user_id(text: str) -> str:
    try:
        user_id = check_user_id(text)
    except InvalidUserIdError:
        raise argparse.ArgumentTypeError("send the user id, 1 to 128 characters") from None
    if is_pseudonym(user_id):
        raise argparse.ArgumentTypeError("this is the pseudonym of a user who was forgotten already")
    return user_id


class Command(BaseCommand):
    """The command."""

    help = (
        "Forget a user: cancel open payments, put a pseudonym in place of the user id, remove links, notifications, texts "
        "and cards, and close the connections. Amounts, statuses, refunds and their times stay. Run it again after an "
        "interruption. Exit code: 0 done, 1 the database failed or Stripe did not answer, 2 wrong usage."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the argument."""
        parser.add_argument(
            "user_id", type=_user_id, metavar="USER", help="the user id, as your backend sends it"
        )

    def handle(self, *_: Any, user_id: str, **__: Any) -> None:
        """Forget the user, and write what was done."""
        try:
            payments.close_links(user_id=user_id)
            text = _forget(user_id)
        except gateway.StripeError as error:
            message = (
                f"Nothing was forgotten yet: a payment of the user is open, and Stripe did not close its link. {error} "
                "Run it again once Stripe answers."
            )
            raise CommandError(message) from error
        except DatabaseError as error:
            message = f"The database failed ({type(error).__name__}). What was done stays done: run it again."
            raise CommandError(message) from error
        self.stdout.write(text)


def _forget(user_id: str) -> str:
    """Forget the user; return a report that does not name the user. Payments come first: they write notifications."""
    # A later event of a payment notifies the user that the payment names: that has to be the pseudonym by then.
    batches = list(payments.forget(user_id=user_id))
    if notifications.close_connections(user_id=user_id):
        time.sleep(CLOSING_SECONDS)
    removed = notifications.forget(user_id=user_id, pseudonym=pseudonym(user_id))
    entries = payments.forget_in_log(user_id=user_id)
    if settings.STRIPE_SANDBOX:
        sandbox.forget(payments.sessions(user_id=user_id))
    text = (
        f"Forgot the user in {sum(count for count, _ in batches)} payments, "
        f"{sum(count for _, count in batches)} webhook events and {entries} entries of the staff's log; removed "
        f"{removed} notifications. What stays bears {pseudonym(user_id)}."
    )
    if count := payments.still_open(user_id=user_id):
        text += (
            f" Payments that Stripe did not close: {count}. They are being paid, or Stripe does not know them with this "
            "STRIPE_SECRET_KEY: look for them in the dashboard that they were made in."
        )
    if get_user_model().objects.filter(username=user_id).exists():
        text += " A login of this name is left: remove it in the admin, under Users."
    return text
