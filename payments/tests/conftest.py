import asyncio
import hashlib
import hmac
import time
import uuid

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from payments.facts import money
from payments.models import Payment, WebhookEvent
from payments.reconciliation import on_demand
from payments.webhooks import batches, endpoint, ingest, signatures


@pytest.fixture(scope="session", autouse=True)
def no_connection_is_left(django_db_setup):
    """Wait for the writer, which keeps its connection for a moment: the database could not be dropped."""
    yield
    for thread in tuple(batches._writers):
        thread.join()


@pytest.fixture(autouse=True)
def nobody_has_looked_yet(monkeypatch):
    """Let no test pause for an outage that another one made."""
    monkeypatch.setattr(on_demand, "limits", on_demand._Limits())


@pytest.fixture
def make_payment(db):
    """Return a function that makes a payment as `checkout` leaves it, link announced."""

    def make(**fields):
        number = uuid.uuid4()
        values = {
            "id": number,
            "ride_id": f"ride-{number.hex}",
            "ride_claim": f"ride-{number.hex}",
            "user_id": f"user-{number.hex}",
            "amount": 1250,
            "currency": "usd",
            "session_id": f"cs_test_{number.hex}",
            "payment_url": "https://checkout.stripe.example/pay",
            "link_seq": 1,
        } | fields
        values.setdefault("facts", {"asked": money(values["amount"], values["currency"])})
        return Payment.objects.create(**values)

    return make


@pytest.fixture
def sign(settings):
    """Return a function that signs a body as Stripe does."""

    def sign_body(body, *, secret=None, at=None):
        at = int(time.time()) if at is None else at
        key = (secret or settings.STRIPE_WEBHOOK_SECRETS[0]).encode()
        digest = hmac.new(key, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={at},v1={digest}"

    return sign_body


@pytest.fixture
def post():
    """Return a function that sends a body and a signature to the webhook's endpoint; it returns the response."""

    def send(body, signature, *, method="POST"):
        async def request():
            transport = httpx.ASGITransport(app=endpoint.stripe_webhook)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                headers = {"Stripe-Signature": signature.encode()}
                return await client.request(method, "/webhooks/stripe/", content=body, headers=headers)

        return asyncio.run(request())

    return send


@pytest.fixture
def deliver(sign):
    """Return a function that hands a body to the service as a delivery of Stripe's."""
    return lambda body: ingest.ingest([ingest.receive(body=body, signature=signatures.read(sign(body)))])[0]


@pytest.fixture
def stripe_api(live_server, settings):
    """Serve the sandbox over HTTP, and let the gateway talk to it."""
    settings.STRIPE_API_BASE = live_server.url
    return live_server


@pytest.fixture
def admin_user(db):
    """A superuser without a password: hashing one takes a second."""
    return User.objects.create(username="admin", is_staff=True, is_superuser=True)


@pytest.fixture
def many_rows(db):
    """Make as many payments and events as it takes for an index to be worth its while."""
    numbers = range(1000)
    now = timezone.now()
    Payment.objects.bulk_create(Payment(amount=1, currency="usd", ride_id=n, user_id=n) for n in numbers)
    WebhookEvent.objects.bulk_create(
        WebhookEvent(event_id=n, type="t", body="{}", livemode=False, created_at=now) for n in numbers
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
