"""How requests travel to Stripe: kept connections, and no more time than the caller has left."""

import functools
import time
from collections.abc import Mapping
from typing import Any

import requests
import stripe
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from payments.stripe import deadline

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's API that is asked for, and whose events are read. It is pinned here, so that an update of
stripe-python does not change it unseen: https://docs.stripe.com/api/versioning"""

CONNECTIONS_KEPT = 100
"""Open connections to Stripe that wait for the next request: one for each thread that may ask
(payments_project/handler.py). If there were fewer, a connection would be closed after its request, with a warning."""
CONNECT_SECONDS = 3.0
ADDRESSES = 4
"""A name can have several addresses. Each gets the time to connect, so all together get what is left."""
SILENCE_SECONDS = 10.0
"""How long Stripe may say nothing."""
TRIES = 3
RETRY_NEEDS_SECONDS = 2.0
"""The longest pause between tries (1 s), and time for a try that is worth it. With less left there is none."""
_CHUNK = 64 * 1024
_LARGEST_ANSWER = 64 * 1024 * 1024

stripe.enable_telemetry = False
stripe.set_app_info("payment-notifications")


@functools.lru_cache(maxsize=4)
def client(key: str, base: str) -> stripe.StripeClient:
    """Return the client for a key and an address of the API; an empty address is Stripe's own.

    StripeClient itself would retry nothing and wait 80 seconds for an answer. It would also connect anew for each
    request of the API, which Django gives a thread of its own.
    """
    session = requests.Session()
    session.proxies = get_environ_proxies(base or stripe.DEFAULT_API_BASE)
    session.trust_env = False  # or the environment and .netrc are read again for each request
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(pool_maxsize=CONNECTIONS_KEPT))
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": base} if base else {},
        http_client=_Client(session=session),
        max_network_retries=TRIES - 1,
    )


class NoTimeLeft(requests.exceptions.RequestException):
    """The deadline has come. Unlike a time-out, stripe-python does not try again after it."""


class _Adapter(HTTPAdapter):
    """Give each try the time that is left."""

    def send(self, request: Any, *args: Any, **more: Any) -> requests.Response:
        left = deadline.seconds_left()
        if left <= 0:
            raise NoTimeLeft
        more["timeout"] = (min(CONNECT_SECONDS, left / ADDRESSES), min(SILENCE_SECONDS, left))
        return super().send(request, *args, **more)


class _Client(stripe.RequestsClient):
    """Read an answer within the time that is left, and let no try begin that has too little."""

    def request(  # type: ignore[override] # the library's own requests are described in two ways
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            raw, status, answered = self.request_stream(method, url, headers, post_data)
            body = _read(raw)
        except stripe.APIConnectionError as error:
            error.should_retry = error.should_retry and _can_retry()
            raise
        answered = CaseInsensitiveDict(answered)
        # stripe-python obeys this header before it looks at the status.
        if not _can_retry():
            answered["Stripe-Should-Retry"] = "false"
        return body, status, answered


def _can_retry() -> bool:
    return deadline.seconds_left() > RETRY_NEEDS_SECONDS


def _read(raw: urllib3.HTTPResponse) -> bytes:
    """Return the body. Raises APIConnectionError where it breaks off, or where its bytes come too slowly."""
    end = time.monotonic() + deadline.seconds_left()
    body = bytearray()
    try:
        # `read1` returns what is there. `read` would wait for a whole chunk, and the clock would not be looked
        # at.
        while chunk := raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if time.monotonic() > end or len(body) > _LARGEST_ANSWER:
                raise urllib3.exceptions.TimeoutError
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raw.close()
        name = type(error).__name__
        raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]
            f"(Network error: {name})", should_retry=True
        ) from error
    raw.release_conn()
    return bytes(body)
