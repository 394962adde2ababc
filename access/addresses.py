"""Find the address that a client is counted by."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"
"""The address of a client without one, as on a Unix socket."""
UNIX = "unix:"
"""Among TRUSTED_PROXIES: what connects over a Unix socket. The permissions of its file say which programs can."""
NETWORK_BITS = 64
"""The bits of an IPv6 address that name a client's network. The client has all addresses in it (RFC 6177)."""

HOPS_MAX_LENGTH = 1024
"""Characters of X-Forwarded-For that are read, from its end: more than 20 proxies write."""

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


def client_address(connection: HttpRequest | Mapping[str, Any]) -> str:
    """Return the address of a client: its IPv4 address, the /64 network of its IPv6 address, or UNKNOWN.

    `connection` is a request, or the ASGI scope of a request or WebSocket. X-Forwarded-For counts only where the
    connection comes from one of TRUSTED_PROXIES. It is read from its end, as far as trusted proxies wrote it: a client
    may send any beginning.
    """
    peer, forwarded = _hops(connection)
    # What a stranger wrote in front may be long, and is kept with the result.
    return _client_of(peer, forwarded[-HOPS_MAX_LENGTH:], tuple(settings.TRUSTED_PROXIES))


def is_trusted_proxy(address: str) -> bool:
    """Return whether connections from this address carry those of other clients, see TRUSTED_PROXIES."""
    return _is_trusted(_parsed(address))


def unnamed_proxy(connection: HttpRequest | Mapping[str, Any]) -> str:
    """Return the address of the other end if it names another client, and is not one of TRUSTED_PROXIES; else empty."""
    peer, forwarded = _hops(connection)
    if not forwarded or is_trusted_proxy(peer):
        return ""
    return _shown(_parsed(peer)) if peer else UNIX


def _is_trusted(address: _Address | None) -> bool:
    if address is None:
        return UNIX in settings.TRUSTED_PROXIES
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=1024)  # a connection is looked at several times on its way in
def _client_of(peer: str, forwarded: str, _trusted: tuple[str, ...]) -> str:
    address = _parsed(peer)
    for hop in reversed(forwarded.split(",")):
        if not _is_trusted(address):
            break
        # What a trusted proxy wrote is no address: then the proxy's own counts, since none behind it is known.
        if (before := _parsed(hop)) is None:
            break
        address = before
    return _shown(address)


def _hops(connection: HttpRequest | Mapping[str, Any]) -> tuple[str, str]:
    """Return the address of the other end, and X-Forwarded-For."""
    if isinstance(connection, HttpRequest):
        return connection.META.get("REMOTE_ADDR") or "", connection.META.get("HTTP_X_FORWARDED_FOR", "")
    values = [value for name, value in connection.get("headers", ()) if name.lower() == b"x-forwarded-for"]
    return (connection.get("client") or [""])[0], b",".join(values).decode("latin1")


@lru_cache(maxsize=1024)
def _parsed(text: str) -> _Address | None:
    """Return an address, without a port. An IPv4 address that is written as one of IPv6 is one of IPv4."""
    # Some proxies write a port behind the address: 192.0.2.1:443 or [2001:db8::1]:443.
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # A zone, as in fe80::1%eth0, names an interface of one machine, and no client.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ip_network(text) for text in texts if text != UNIX)


def _shown(address: _Address | None) -> str:
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, NETWORK_BITS), strict=False))
    return str(address)
