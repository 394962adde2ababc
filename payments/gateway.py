"""Stripe, as the rest of the service sees it: plain dictionaries in and out, and three errors of our own."""

import functools
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests
import stripe
from django.conf import settings
from django.db import connection
from requests.adapters import HTTPAdapter

TYPES_A_REQUEST = 20
"""How many types of events can be asked for at once: https://docs.stripe.com/api/events/list"""
KEYS_KEPT = timedelta(hours=24)
"""How long Stripe at least repeats its answer to a key: https://docs.stripe.com/api/idempotent_requests"""
EVENTS_KEPT = timedelta(days=30)
"""How long Stripe keeps events: https://docs.stripe.com/api/events"""
PAGE_SIZE = 100
"""The largest page that Stripe gives: https://docs.stripe.com/api/pagination"""

CONNECTIONS_KEPT = 20
"""Open connections to Stripe that wait for the next request. More are made when they are needed, and closed after it."""

stripe.enable_telemetry = False


class StripeRefused(Exception):
    """Stripe understood the request and said no; the same request will get the same answer.

    `is_about_key`: it said no to STRIPE_SECRET_KEY, so that this says nothing of the request.
    """

    def __init__(self, message: str, *, code: str, is_about_key: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_about_key = is_about_key


class StripeUnavailable(Exception):
    """Stripe did not answer, or not usefully: what became of the request is unknown, so repeat it as it was.

    `is_final`: it did answer, with an error of its own, and would repeat that answer to the same idempotency key.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


@functools.lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    """Return the client: StripeClient itself would retry nothing and wait 80 seconds for an answer.

    It would also connect anew for each request of the API, which Django gives a thread of its own.
    """
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS_KEPT))
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        http_client=stripe.RequestsClient(timeout=(3, 10), session=session),
        max_network_retries=2,
    )


def _ask(call: Any, *args: Any) -> dict[str, Any]:
    """Ask Stripe, which may take half a minute: no transaction is open meanwhile, and no connection is held."""
    if connection.in_atomic_block:
        raise RuntimeError("Commit before Stripe is asked: its answer can take half a minute.")
    connection.close()
    try:
        answer: dict[str, Any] = call(*args).to_dict(for_json=True)
    except AttributeError as error:
        raise StripeUnavailable("Stripe's answer could not be read.") from error
    except stripe.APIConnectionError as error:
        raise StripeUnavailable(_describe_outage(error)) from error
    except (stripe.RateLimitError, stripe.APIError) as error:
        is_final = (error.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise StripeUnavailable(str(error), is_final=is_final) from error
    except stripe.StripeError as error:
        message = error.user_message or "Stripe refused the request."
        is_about_key = isinstance(error, stripe.AuthenticationError | stripe.PermissionError)
        raise StripeRefused(message, code=error.code or "refused", is_about_key=is_about_key) from error
    return answer


def _describe_outage(error: stripe.APIConnectionError) -> str:
    """Say in a sentence that Stripe cannot be reached, and why. The library's text quotes the path that was asked for.

    A session's path opens its page where the sandbox is Stripe.
    """
    reason = re.search(r"\(Network error: (\w+)", str(error))
    return f"Stripe cannot be reached ({reason[1] if reason else type(error).__name__})."


def _call(call: Any, *args: Any) -> dict[str, Any]:
    """Return the object that Stripe answers with."""
    answer = _ask(call, *args)
    if not isinstance(answer.get("id"), str):
        raise StripeUnavailable("Stripe's answer could not be read.")
    return answer


def _pages(call: Any, params: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield a list of Stripe's page by page, newest first."""
    params = params | {"limit": PAGE_SIZE}
    while True:
        answer = _ask(call, params)
        page = answer.get("data")
        if not isinstance(page, list):
            raise StripeUnavailable("Stripe's answer could not be read.")
        yield page
        if not page or not answer.get("has_more"):
            return
        params["starting_after"] = page[-1]["id"]


def _v1() -> Any:
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE).v1


def livemode() -> bool:
    """Tell whether the configured key moves real money."""
    return settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))


def create_session(*, params: dict[str, Any], idempotency_key: str) -> dict[str, Any]:
    """Create a Checkout Session; the same key and params, repeated within a day, give the same session.

    Raises StripeRefused or StripeUnavailable.
    """
    return _call(_v1().checkout.sessions.create, params, {"idempotency_key": idempotency_key})


def expire_session(*, session_id: str) -> dict[str, Any]:
    """End an open Checkout Session, so that it can no longer be paid.

    Raises StripeRefused (it is complete, or has expired) or StripeUnavailable.
    """
    return _call(_v1().checkout.sessions.expire, session_id)


def retrieve_session(*, session_id: str) -> dict[str, Any]:
    """Return a Checkout Session as it is now, with its payment intent in it.

    Raises StripeRefused or StripeUnavailable.
    """
    return _call(_v1().checkout.sessions.retrieve, session_id, {"expand": ["payment_intent"]})


def create_refund(
    *, payment_intent_id: str, amount: int, metadata: dict[str, str], idempotency_key: str
) -> dict[str, Any]:
    """Give `amount` minor units back. Raises StripeRefused or StripeUnavailable."""
    params = {"payment_intent": payment_intent_id, "amount": amount, "metadata": metadata}
    return _call(_v1().refunds.create, params, {"idempotency_key": idempotency_key})


def list_refunds(*, payment_intent_id: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the refunds of a payment page by page, newest first. Raises StripeRefused or StripeUnavailable."""
    return _pages(_v1().refunds.list, {"payment_intent": payment_intent_id})


def list_events(
    *, types: Sequence[str], since: datetime, until: datetime | None, undelivered: bool
) -> Iterator[list[dict[str, Any]]]:
    """Yield events page by page, newest first: made from `since` on and before `until` (UTC, whole seconds).

    At most TYPES_A_REQUEST types. `undelivered`: those alone that an endpoint has not taken yet. Nothing signs
    them: they come from Stripe over TLS, for our key. Raises StripeRefused or StripeUnavailable.
    """
    created = {"gte": int(since.timestamp())} | ({"lt": int(until.timestamp())} if until else {})
    params: dict[str, Any] = {"types": list(types), "created": created}
    if undelivered:
        params["delivery_success"] = False
    return _pages(_v1().events.list, params)
