"""Refuse to start where the settings would open development, keys or links to a network."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, register
from redis.connection import SSLConnection, parse_url

from access.addresses import UNIX
from payments.api.addresses import NUMBER
from payments.stripe import gateway
from payments_project.checks.errors import error

_PRIVATE_NAMES = (".internal", ".local", ".home.arpa")
"""Ends of names that no public DNS has: ICANN's resolution of July 29, 2024, RFC 6762 and RFC 8375."""
PROXIES_BITS_MIN = 8
"""A public network with a shorter prefix than this is of clients in general. Those of proxies, such as a CDN's, are smaller."""


@register("service")
def check_development(**_: Any) -> Iterable[CheckMessage]:
    """Refuse DEBUG, and the sandbox, where other machines reach them."""
    if settings.EXPOSE_DEVELOPMENT or not (where := _beyond_this_machine()):
        return
    if settings.DEBUG:
        yield error(
            14,
            f"DEBUG is on, and {where} is no address of this machine alone: others could act as anyone.",
            "Unset DEBUG, also in .env, or set HOST=localhost. "
            "For a network that you trust, such as your own phone's, set EXPOSE_DEVELOPMENT=1.",
        )
    elif settings.STRIPE_SANDBOX:
        yield error(
            15,
            f"STRIPE_SANDBOX is on, and {where} is no address of this machine alone: payments there are not real.",
            "Unset STRIPE_SANDBOX and set STRIPE_SECRET_KEY. "
            "To try it in a network that you trust, set EXPOSE_DEVELOPMENT=1.",
        )


@register("service")
def check_hosts(**_: Any) -> Iterable[CheckMessage]:
    """Refuse to answer to every host name, or to all below a top-level domain, which anyone can get."""
    if any(host == "*" or re.fullmatch(r"\.[^.]*", host) for host in settings.ALLOWED_HOSTS):
        yield error(
            16,
            "ALLOWED_HOSTS has *, or a whole domain such as .com, so that any page can have a name of its own lead here.",
            "Set ALLOWED_HOSTS to the host names of the service.",
        )


@register("service")
def check_transport(**_: Any) -> Iterable[CheckMessage]:
    """Refuse keys, and links, that would go over a network in clear text."""
    is_live = gateway.is_live(settings.STRIPE_CONFIGURED_KEY)
    if is_live and not settings.STRIPE_SANDBOX and not settings.PUBLIC_URL.startswith("https://"):
        yield error(
            17,
            "STRIPE_SECRET_KEY is a live key, and PUBLIC_URL begins with http://, so that links, keys and the "
            "cookies of staff go in clear text.",
            "Set PUBLIC_URL to the https:// address of the service.",
        )
    stripe = urlsplit("" if settings.STRIPE_SANDBOX else settings.STRIPE_API_BASE)
    if stripe.scheme == "http" and not is_loopback(stripe.hostname or ""):
        yield error(
            18,
            "STRIPE_API_BASE begins with http:// and leads to another machine, so that the key goes in clear text.",
            "Set STRIPE_API_BASE to an https:// address, or unset it.",
        )
    if not settings.DEBUG:
        yield from _redis()


@register("service")
def check_processes(**_: Any) -> Iterable[CheckMessage]:
    """Refuse several processes without a channel layer that connects them."""
    if not settings.DEBUG and settings.WORKERS > 1 and not settings.REDIS_URL:
        yield error(
            6,
            f"WORKERS is {settings.WORKERS}, and the channel layer in memory reaches one process only.",
            "Set REDIS_URL to a Redis or Valkey server, or WORKERS=1.",
        )


@register("service")
def check_proxies(**_: Any) -> Iterable[CheckMessage]:
    """Refuse to take clients in general for proxies: each could choose the address that it is counted by."""
    networks = [ip_network(network) for network in settings.TRUSTED_PROXIES if network != UNIX]
    if any(network.prefixlen < PROXIES_BITS_MIN and not network.is_private for network in networks):
        yield error(
            28,
            "TRUSTED_PROXIES has a network of clients in general, so that each client chooses its own address, and no "
            "limit holds.",
            "Set TRUSTED_PROXIES to the addresses and networks of your proxies.",
        )


def redis_options(url: str) -> dict[str, Any]:
    """Return what redis-py reads in an address; empty if none is set. A host and a password may stand in the query."""
    return dict(parse_url(url)) if url else {}  # type: ignore[no-untyped-call]  # redis-py has no types for it


def _redis() -> Iterator[CheckMessage]:
    if not (options := redis_options(settings.REDIS_URL)):
        return
    host = str(options.get("host", "localhost"))
    if "path" in options or is_loopback(host):
        return
    if not options.get("password"):
        yield error(
            19,
            "REDIS_URL leads to another machine without a password.",
            "Set a password there, and REDIS_URL to redis://:PASSWORD@HOST:PORT/NUMBER.",
        )
    is_verified = options.get("ssl_cert_reqs") != "none" and options.get("ssl_check_hostname", True)
    if not (options.get("connection_class") is SSLConnection and is_verified) and is_open(host):
        yield error(
            24,
            "REDIS_URL leads over an open network without TLS that is verified, and Checkout links go through Redis.",
            "Set REDIS_URL to rediss://…, without ssl_cert_reqs=none and ssl_check_hostname=false, or to a server on a "
            "private network.",
        )


def _beyond_this_machine() -> str:
    """Return the setting by which other machines reach the service; empty if none does."""
    if not is_loopback(settings.HOST):
        return f"HOST {settings.HOST}"
    if not is_loopback(urlsplit(settings.PUBLIC_URL).hostname or ""):
        return f"PUBLIC_URL {settings.PUBLIC_URL}"
    return ""


def is_loopback(host: str) -> bool:
    """Return whether a host name or address leads to this machine and is reached from nowhere else.

    Source for names: RFC 6761, section 6.3.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".").rpartition(".")[2] == "localhost"


def is_open(host: str) -> bool:
    """Return whether others may listen on the way to a host: unless it is this machine, or on a private network.

    It is on one by its address, by a name without a dot, as containers have, or by a name that no public DNS has. A
    number without a dot is an address too: 134744072 is 8.8.8.8.
    """
    try:
        return ip_address(host).is_global
    except ValueError:
        name = host.lower().removesuffix(".")
        is_name_of_network = "." not in name and not NUMBER.fullmatch(name)
        return not (is_name_of_network or name.endswith(_PRIVATE_NAMES) or is_loopback(host))
