r"""Check web addresses that a backend sends for its customers.

Browsers read addresses by https://url.spec.whatwg.org/, which differs from RFC 3986: they read `\` as `/`, drop tabs and
line ends, and go to `evil` where a library sees `good`. Refuse whatever the two may read differently.
"""

import ipaddress
import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.http import is_same_domain

_FULL = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\[\]]*\](:[0-9]+)?")
_HOST_MAX_LENGTH = 253
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point, which no font shows. Some are letters and marks by their category.

Source: https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt
"""
_BLANK = "\u2800\ufffc"
"""Symbols that look like nothing: the blank pattern of Braille, and the place of an object."""


def check_web_address(url: str) -> str:
    """Return the address unchanged: Stripe fills in {CHECKOUT_SESSION_ID} itself. Raises ValueError."""
    if not _FULL.match(url):
        raise ValueError("send a full address that begins with https:// or http://")
    if not _is_visible(url):
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
    if settings.RETURN_HOSTS and not _is_return_host(host):
        raise ValueError("send an address of a host that the setting RETURN_HOSTS names")
    return url


def _is_return_host(host: str) -> bool:
    """Return whether customers may be led to this host, which has passed the other checks: browsers read it the same."""
    name = host.removesuffix(".")
    name = str(ipaddress.IPv6Address(name)) if ":" in name else name
    return any(is_same_domain(name, each) for each in settings.RETURN_HOSTS)


def _is_host(host: str, parts: SplitResult) -> bool:
    if "[" in parts.netloc:  # urlsplit drops any text beside the brackets
        return bool(_BRACKETS.fullmatch(parts.netloc)) and _is_ip_address(host, version=6)
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):  # browsers read 0x7f.1 and 2130706433 as 127.0.0.1
        return _is_ip_address(host, version=4)
    return len(host) <= _HOST_MAX_LENGTH and all(_is_label(label) for label in labels)


def _is_visible(text: str) -> bool:
    """Return whether a text has no white space, control, format, private and unassigned characters, and no blank ones."""
    return not _IGNORABLE.search(text) and not any(
        unicodedata.category(character)[0] in "CZ" or character in _BLANK for character in text
    )


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    return not label.startswith("xn--") or _is_punycode(label[4:])


def _is_punycode(text: str) -> bool:
    """Return whether it stands for a label as https://www.unicode.org/reports/tr46/#Validity_Criteria has it.

    Libraries that do not check it would show or resolve another name than browsers.
    """
    try:
        label = text.encode().decode("punycode")
    except UnicodeError:
        return False
    return (
        not label.isascii()
        and _is_visible(label)
        and unicodedata.category(label[0])[0] != "M"
        and label == unicodedata.normalize("NFKC", label).lower()
        and label.encode("punycode").decode() == text
        and "\u3002" not in label  # browsers read it as a dot
    )


def _is_ip_address(host: str, *, version: int) -> bool:
    try:
        return "%" not in host and ipaddress.ip_address(host).version == version
    except ValueError:
        return False
