"""Users, payments and events to ask for, drawn by chance: the same in each run on the same data."""

import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Mapping

from django.conf import settings

from notifications.models import Feed
from payments.models import Payment, WebhookEvent


class Sample:
    """What there is in the database, as `fill.sql` made it."""

    def __init__(self) -> None:
        self._random = random.Random(1)  # noqa: S311 it hides nothing
        self._users = Feed.objects.order_by("-pk")[0].pk
        unpaid = Payment.objects.filter(status="pending").order_by("pk")[:1000]
        self._unpaid = list(unpaid.values_list("pk", "session_id", "user_id"))

    def user(self) -> str:
        return f"rider_{self._random.randint(2, self._users)}"  # the first has the longest feed

    def users(self, number: int) -> list[str]:
        return [f"rider_{n}" for n in self._random.sample(range(1, self._users + 1), number)]

    def feed(self) -> Feed:
        return Feed.objects.get(user_id=self.user())

    def long_feed(self, *, quiet: bool = False) -> Feed:
        """Return one with 5,000 notifications; a quiet one got its last 20 days ago."""
        first = 20_000 if quiet else 10_000
        return Feed.objects.get(pk=self._random.choice(range(first, self._users + 1, 20_000)))

    def longest_feed(self) -> Feed:
        """Return the one with 100,000 notifications."""
        return Feed.objects.get(user_id="rider_1")

    def payment(self) -> Payment:
        """Return one that was paid."""
        return Payment.objects.filter(user_id=self.user(), payment_intent_id__isnull=False)[0]

    def paid_now(self) -> tuple[bytes, str]:
        """Return the body and the signature of an event that an open payment, another each time, is paid."""
        # Each once: an event of a payment that is paid already writes less.
        pk, session_id, _ = self._unpaid.pop()
        session = {
            "id": session_id,
            "object": "checkout.session",
            "client_reference_id": str(pk),
            "metadata": {"payment_id": str(pk)},
            "payment_intent": f"pi_{uuid.uuid4().hex}",
            "payment_status": "paid",
            "amount_total": 1500,
            "currency": "usd",
        }
        return _signed(_event("checkout.session.completed", session))

    def named_by_session(self) -> list[WebhookEvent]:
        """Return an event, not stored, that names its payment by the Checkout Session alone."""
        session = {"id": self.payment().session_id, "object": "checkout.session"}
        return [_row(_event("checkout.session.expired", session))]

    def named_by_intent(self) -> list[WebhookEvent]:
        """Return an event, not stored, that names its payment by the payment intent alone."""
        charge = {"object": "charge", "payment_intent": self.payment().payment_intent_id}
        return [_row(_event("charge.refunded", charge))]


def _row(event: Mapping[str, object]) -> WebhookEvent:
    return WebhookEvent(type=str(event["type"]), body=json.dumps(event))


def _event(type_: str, obj: Mapping[str, object]) -> dict[str, object]:
    return {
        "object": "event",
        "id": f"evt_{uuid.uuid4().hex}",
        "type": type_,
        "created": int(time.time()),
        "livemode": True,
        "api_version": None,
        "data": {"object": obj},
    }


def _signed(event: dict[str, object]) -> tuple[bytes, str]:
    body, now = json.dumps(event).encode(), int(time.time())
    secret = settings.STRIPE_WEBHOOK_SECRETS[0].encode()
    digest = hmac.new(secret, f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={now},v1={digest}"
