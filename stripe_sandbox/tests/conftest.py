import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from stripe_sandbox.checkout import creation, lifecycle
from stripe_sandbox.events import worker
from stripe_sandbox.models import Event, Session

stripe.enable_telemetry = False


def session_params(**changes) -> dict:
    """Return parameters for a session of 12.50 USD, as Stripe's client takes them."""
    price = {"currency": "usd", "unit_amount": 1250, "product_data": {"name": "Ride 7"}}
    return {
        "mode": "payment",
        "success_url": "https://example.com/paid?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://example.com/back",
        "client_reference_id": "payment-7",
        "line_items": [{"quantity": 1, "price_data": price}],
        "metadata": {"ride": "7"},
        "payment_intent_data": {"metadata": {"payment": "7"}, "description": "Ride 7"},
        **changes,
    }


def make_session(*, amount: int = 1250, currency: str = "usd", **changes) -> Session:
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Ride 7"}}
    params = session_params(line_items=[{"quantity": 1, "price_data": price}], **changes)
    return creation.create(params=params, now=timezone.now())


@transaction.atomic
def pay_and_break(session: Session) -> None:
    """Pay a session in a transaction that fails in the end."""
    lifecycle.pay(session_id=session.stripe_id)
    raise RuntimeError


def event_types() -> list[str]:
    """Return the types of all events, oldest first."""
    return list(Event.objects.order_by("pk").values_list("type", flat=True))


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)


class Receiver(ThreadingHTTPServer):
    """A webhook endpoint: keeps what it gets, and answers what a test asks for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict, bytes]] = []
        self.answers: list[int] = []
        self.hold = threading.Event()
        self.held: str | None = None
        """The id of a session whose events are answered only when `hold` is set."""

    @property
    def events(self) -> list[dict]:
        return [json.loads(body) for _, body in self.received]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if self.server.held and json.loads(body)["data"]["object"]["id"] == self.server.held:
            self.server.hold.wait(20)
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    with override_settings(LOCAL_URL=f"http://localhost:{server.server_port}"):
        yield server
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def running_worker():
    worker.start()
    yield
    worker.stop()


@pytest.fixture
def stripe_client(live_server, settings):
    """Stripe's own client, talking to the sandbox over HTTP."""
    http = stripe.RequestsClient(timeout=(3, 10))
    yield stripe.StripeClient(
        settings.STRIPE_SECRET_KEY, base_addresses={"api": live_server.url}, http_client=http
    )
    http.close()
