r"""Check web addresses that a backend sends for its customers.

Browsers read addresses by https://url.spec.whatwg.org/, which differs from RFC 3986: they read `\` as `/`, drop tabs
and line ends, and go to `evil` where a library sees `good`. Refuse whatever the two may read differently.
"""

import ipaddress
import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.http import is_same_domain

_FULL = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_LABEL = re.compile(r"(?=.{1,63}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
"""A last label that makes a host name an IPv4 address (https://url.spec.whatwg.org/#ends-in-a-number-checker)."""
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


_SLASHES = re.compile("[\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9\u3033\u1735]")
"""They look like / or \\, and are other characters (https://www.unicode.org/reports/tr39/#Confusable_Detection)."""
_DIVIDERS = {*"/\\?#@:%"}


def check_web_address(url: str) -> str:
    """Return the address unchanged: Stripe fills in {CHECKOUT_SESSION_ID} itself. Raises ValueError."""
    if not _FULL.match(url):
        raise ValueError("send a full address that begins with https:// or http://")
    if not _is_visible(url):
        raise ValueError("send the address without spaces and invisible characters: percent-encode them")
    if _has_lookalike(url):
        raise ValueError("send characters that look like one of / \\ ? # @ : % percent-encoded")
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
    """Return whether customers may be led to this host. It has passed the other checks: browsers read it alike."""
    name = host.removesuffix(".")
    name = str(ipaddress.IPv6Address(name)) if ":" in name else name
    return any(is_same_domain(name, each) for each in settings.RETURN_HOSTS)


def _is_host(host: str, parts: SplitResult) -> bool:
    if "[" in parts.netloc:  # urlsplit drops any text beside the brackets
        return bool(_BRACKETS.fullmatch(parts.netloc)) and _is_ip_address(host, version=6)
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):  # browsers read 0x7f.1 and 2130706433 as 127.0.0.1
        return _is_ip_address(host, version=4)
    return len(host) <= _HOST_MAX_LENGTH and all(_is_label(label) for label in labels)


def _is_visible(text: str) -> bool:
    """Return whether a text has no white space, and no control, format, private, unassigned and blank characters."""
    return not _IGNORABLE.search(text) and not any(
        unicodedata.category(character)[0] in "CZ" or character in _BLANK for character in text
    )


def _has_lookalike(text: str) -> bool:
    """Return whether a text has a character that is not ASCII, and stands for one that divides addresses."""
    return bool(_SLASHES.search(text)) or any(
        _DIVIDERS & {*unicodedata.normalize("NFKC", character)}
        for character in text
        if not character.isascii()
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
