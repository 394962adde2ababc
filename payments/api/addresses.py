r"""Check web addresses that a backend sends for its customers.

Browsers read addresses by https://url.spec.whatwg.org/, which differs from RFC 3986: they read `\` as `/`, drop tabs and
line ends, and go to `evil` where a library sees `good`. Refuse whatever the two may read differently.
"""

import ipaddress
import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

_FULL = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\[\]]*\](:[0-9]+)?")
_HOST_MAX_LENGTH = 253


def check_web_address(url: str) -> str:
    """Return the address unchanged: Stripe fills in {CHECKOUT_SESSION_ID} itself. Raises ValueError."""
    if not _FULL.match(url):
        raise ValueError("send a full address that begins with https:// or http://")
    if any(unicodedata.category(character)[0] in "CZ" for character in url):
        raise ValueError("send the address without spaces and invisible characters: percent-encode them")
    if "\\" in url:
        raise ValueError("send the address without backslashes: browsers read them as /")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("send a host, and a port from 1 to 65535 or none") from None
    if "@" in parts.netloc:
        raise ValueError("send the address without a user name and password")
    if parts.netloc.endswith(":") or port == 0:
        raise ValueError("send a port from 1 to 65535, or none")
    if not _is_host(host, parts):
        raise ValueError(
            "send a host name in letters, digits and hyphens (others as xn--...), or an IP address"
        )
    return url


def _is_host(host: str, parts: SplitResult) -> bool:
    if "[" in parts.netloc:  # urlsplit drops any text beside the brackets
        return bool(_BRACKETS.fullmatch(parts.netloc)) and _is_ip_address(host, version=6)
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):  # browsers read 0x7f.1 and 2130706433 as 127.0.0.1
        return _is_ip_address(host, version=4)
    return len(host) <= _HOST_MAX_LENGTH and all(_is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    try:
        return not label.startswith("xn--") or bool(label[4:].encode().decode("punycode"))
    except UnicodeError:
        return False


def _is_ip_address(host: str, *, version: int) -> bool:
    try:
        return "%" not in host and ipaddress.ip_address(host).version == version
    except ValueError:
        return False
