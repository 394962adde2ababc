"""How requests travel to Stripe: kept connections, and no more time than the caller has left."""

import functools
import time
from collections.abc import Mapping
from typing import Any

import stripe
import urllib3
from requests.utils import get_auth_from_url, get_environ_proxies, select_proxy

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

    StripeClient itself would retry nothing and wait 80 seconds for an answer.
    """
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": base} if base else {},
        http_client=_Client(base or stripe.DEFAULT_API_BASE),
        max_network_retries=TRIES - 1,
    )


class _Client(stripe.HTTPClient):
    """Sends each try over kept connections, within the time that is left, and lets none begin that has too little.

    stripe-python's own clients would connect anew in each thread. That of `requests` takes a fifth of a payment's CPU.
    """

    name = "urllib3"

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def request(  # type: ignore[override] # the library's own requests are described in two ways
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        left = deadline.seconds_left()
        if left <= 0:
            raise _unreachable("NoTimeLeft", should_retry=False)
        try:
            answer = _connections(self._base).urlopen(
                method.upper(),
                url,
                body=post_data,
                headers={"Accept-Encoding": "gzip, deflate", **(headers or {})},
                timeout=urllib3.Timeout(
                    connect=min(CONNECT_SECONDS, left / ADDRESSES), read=min(SILENCE_SECONDS, left)
                ),
                retries=False,  # stripe-python tries again itself
                redirect=False,
                preload_content=False,
            )
            body = _read(answer)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # Another try would meet the same certificate.
            should_retry = not isinstance(error, urllib3.exceptions.SSLError) and _can_retry()
            raise _unreachable(type(error).__name__, should_retry=should_retry) from error
        # stripe-python obeys this header before it looks at the status.
        if not _can_retry():
            answer.headers["Stripe-Should-Retry"] = "false"
        return body, answer.status, answer.headers


@functools.cache
def _connections(base: str) -> urllib3.PoolManager:
    """Return the connections to an address, through the proxy that the environment names for it."""
    kept: dict[str, Any] = {"maxsize": CONNECTIONS_KEPT, "ca_certs": stripe.ca_bundle_path}
    proxy = select_proxy(base, get_environ_proxies(base))
    if proxy is None:
        return urllib3.PoolManager(**kept)
    if "://" not in proxy:  # other programs take it like this
        proxy = f"http://{proxy}"
    login = ":".join(get_auth_from_url(proxy))
    headers = urllib3.make_headers(proxy_basic_auth=login) if login != ":" else {}
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **kept)


def _unreachable(reason: str, *, should_retry: bool) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(  # type: ignore[no-untyped-call]
        f"(Network error: {reason})", should_retry=should_retry
    )


def _can_retry() -> bool:
    return deadline.seconds_left() > RETRY_NEEDS_SECONDS


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Return the body. Raises urllib3's HTTPError or OSError where it breaks off, or where its bytes come too slowly."""
    end = time.monotonic() + deadline.seconds_left()
    body = bytearray()
    try:
        # `read1` returns what is there. `read` would wait for a whole chunk, and the clock would not be looked
        # at.
        while chunk := answer.read1(_CHUNK, decode_content=True):
            body += chunk
            if time.monotonic() > end or len(body) > _LARGEST_ANSWER:
                raise urllib3.exceptions.TimeoutError
    except (urllib3.exceptions.HTTPError, OSError):
        answer.close()
        raise
    answer.release_conn()
    return bytes(body)
