"""Stripe, as the rest of the service sees it: plain dictionaries in and out, and each call raises StripeError alone."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import stripe
from django.conf import settings
from django.db import connection

from access.escaping import escape
from payments.stripe import deadline, transport, values

TYPES_A_REQUEST = 20
"""How many types of events can be asked for at once: https://docs.stripe.com/api/events/list"""
KEYS_KEPT = timedelta(hours=24)
"""How long Stripe at least repeats its answer to a key: https://docs.stripe.com/api/idempotent_requests"""
EVENTS_KEPT = timedelta(days=30)
"""How long Stripe keeps events: https://docs.stripe.com/api/events"""
PAGE_SIZE = 100
"""The largest page that Stripe gives: https://docs.stripe.com/api/pagination"""

LONGEST_WAIT = 3600
"""What is passed on of Stripe's Retry-After, in seconds, at most."""

_UNREADABLE = "Stripe's answer could not be read."
_TEST_KEY = re.compile(r"(sk|rk)_(org_)?test_")


class StripeError(Exception):
    """Stripe did not do what it was asked to do.

    The message, Stripe's own words in it, is shown in terminals, logs and pages, so control characters are written out. `code`: Stripe's own word for why, where it has one. `is_final`: Stripe would repeat this answer to the same
    idempotency key.
    """

    is_final = False

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(escape(message))
        self.code = code


class StripeRefused(StripeError):
    """Stripe understood the request and said no. It did not do it this time; an earlier try is another matter."""

    is_final = True


class StripeKeyRefused(StripeError):
    """Stripe said no to STRIPE_SECRET_KEY, which says nothing of the request."""


class StripeUnavailable(StripeError):
    """Stripe did not answer, or not usefully: what became of the request is unknown, so repeat it as it was.

    It is final where Stripe answered with an error of its own, or the key came with other parameters before.
    `retry_after`: the seconds that Stripe asks to wait.
    """

    def __init__(self, message: str, *, is_final: bool = False, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.retry_after = retry_after


def _ask(call: Any, *args: Any) -> dict[str, Any]:
    """Ask Stripe, which may take seconds: no transaction is open meanwhile, and no connection is held."""
    if connection.in_atomic_block:
        raise RuntimeError("Commit before Stripe is asked: its answer can take seconds.")
    connection.close()
    try:
        with deadline.within(deadline.REQUEST_SECONDS):
            answer: dict[str, Any] = call(*args).to_dict(for_json=True)
    except (AttributeError, TypeError, ValueError) as error:  # JSON, but no object
        raise StripeUnavailable(_UNREADABLE) from error
    except stripe.APIConnectionError as error:
        # The library's text quotes the path. That of the sandbox's session opens its page.
        reason = re.search(r"\(Network error: (\w+)", str(error))
        name = reason[1] if reason else type(error).__name__
        raise StripeUnavailable(f"Stripe cannot be reached ({name}).") from error
    except stripe.StripeError as error:
        raise _failure(error) from error
    return answer


def _failure(error: stripe.StripeError) -> StripeError:
    """Say what an error of Stripe's means. The library passes on its message as it came, of whatever kind."""
    if not isinstance(error.user_message, str | None):
        return StripeUnavailable(_UNREADABLE)
    if isinstance(error, stripe.IdempotencyError | stripe.RateLimitError | stripe.APIError):
        return _unavailable(error)
    is_about_key = isinstance(error, stripe.AuthenticationError | stripe.PermissionError)
    refused = StripeKeyRefused if is_about_key else StripeRefused
    return refused(error.user_message or "Stripe refused the request.", code=str(error.code or "refused"))


def _unavailable(error: stripe.StripeError) -> StripeUnavailable:
    """Say that it is unknown what became of a request.

    A server error that is not in Stripe's own form is a proxy's: Stripe may be working on the request still. That a
    key came with other parameters says that something was done under it, not that nothing was.
    """
    said = error.error
    if said is None:
        return StripeUnavailable(f"{_UNREADABLE[:-1]} (HTTP {error.http_status}).")
    if isinstance(error, stripe.IdempotencyError):
        is_final = getattr(said, "code", None) != "idempotency_key_in_use"
    else:
        is_final = (error.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after = _seconds((error.headers or {}).get("Retry-After", "").strip())
    return StripeUnavailable(str(error), is_final=is_final, retry_after=retry_after)


def _seconds(text: str) -> int | None:
    """Return how long Retry-After says to wait (RFC 9110, section 10.2.3): from 1 second to LONGEST_WAIT."""
    try:
        if text.isdecimal():
            wait = float(text)
        else:
            date = parsedate_to_datetime(text)
            wait = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(tz=UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return int(max(1, min(wait, LONGEST_WAIT)))


def _call(call: Any, *args: Any, **needed: Callable[[Any], object]) -> dict[str, Any]:
    """Return the object that Stripe answers with, which has an id, and these fields as they are needed."""
    answer = _ask(call, *args)
    needed.setdefault("id", values.is_id)
    if not all(name in answer and is_good(answer[name]) for name, is_good in needed.items()):
        raise StripeUnavailable(_UNREADABLE)
    return answer


def _pages(call: Any, params: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield a list of Stripe's page by page, newest first."""
    params = params | {"limit": PAGE_SIZE}
    while True:
        answer = _ask(call, params)
        page = answer.get("data")
        if not isinstance(page, list) or not all(values.is_id(values.find(each, "id")) for each in page):
            raise StripeUnavailable(_UNREADABLE)
        # A cache that does not look at the query would give the same page for ever.
        if page and page[-1]["id"] == params.get("starting_after"):
            raise StripeUnavailable(_UNREADABLE)
        yield page
        if not page or not answer.get("has_more"):
            return
        params["starting_after"] = page[-1]["id"]


def _v1() -> Any:
    return transport.client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE).v1


def is_live(key: str) -> bool:
    """Return whether a secret key moves real money: each does that is not marked as a test key."""
    return bool(key) and not _TEST_KEY.match(key)


def livemode() -> bool:
    """Return whether the configured key moves real money."""
    return is_live(settings.STRIPE_SECRET_KEY)


def create_session(*, params: dict[str, Any], idempotency_key: str) -> dict[str, Any]:
    """Create a Checkout Session; the same key and params, repeated within a day, give the same session."""
    create = _v1().checkout.sessions.create
    options = {"idempotency_key": idempotency_key}
    return _call(create, params, options, url=values.is_link, expires_at=values.seconds)


def expire_session(*, session_id: str) -> dict[str, Any]:
    """End an open Checkout Session. Raises StripeRefused where it is complete, or has expired."""
    return _call(_v1().checkout.sessions.expire, session_id)


def retrieve_session(*, session_id: str) -> dict[str, Any]:
    """Return a Checkout Session as it is now, with its payment intent in it."""
    retrieve = _v1().checkout.sessions.retrieve
    return _call(
        retrieve,
        session_id,
        {"expand": ["payment_intent"]},
        id=lambda id_: id_ == session_id,  # a cache may give another one, which is paid
        status=values.is_text,
        payment_status=values.is_text,
    )


def create_refund(*, params: dict[str, Any], idempotency_key: str) -> dict[str, Any]:
    """Give money back; the same key and params, repeated within a day, give the same refund."""
    create = _v1().refunds.create
    return _call(create, params, {"idempotency_key": idempotency_key})


def list_refunds(*, payment_intent_id: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the refunds of a payment page by page, newest first."""
    return _pages(_v1().refunds.list, {"payment_intent": payment_intent_id})


def list_events(
    *, types: Sequence[str], since: datetime, until: datetime | None, undelivered: bool
) -> Iterator[list[dict[str, Any]]]:
    """Yield events page by page, newest first: made from `since` on and before `until` (UTC, whole seconds).

    At most TYPES_A_REQUEST types. `undelivered`: those alone that an endpoint has not taken yet. Nothing signs them:
    they come from Stripe over TLS, for our key.
    """
    created = {"gte": int(since.timestamp())} | ({"lt": int(until.timestamp())} if until else {})
    params: dict[str, Any] = {"types": list(types), "created": created}
    if undelivered:
        params["delivery_success"] = False
    return _pages(_v1().events.list, params)
