"""Stripe's signature of a webhook: read from its header, told from one that is too old, and compared with the body.

Source of the scheme: https://docs.stripe.com/webhooks#verify-manually
"""

import hmac
import logging
import re
import time
from typing import NamedTuple

from django.conf import settings

TOLERANCE_SECONDS = 300
"""How long a signed webhook stays good: https://docs.stripe.com/webhooks#replay-attacks"""

_TIME = re.compile(r"[0-9]{1,15}")
_NOT_SIGNED = (
    "Send the header Stripe-Signature as Stripe does: `t=TIME,v1=SIGNATURE`, over the body as it was sent."
)

logger = logging.getLogger(__name__)


class InvalidSignature(Exception):
    """A body is not known to be Stripe's; the message says what does not fit."""


class SignatureTooOld(InvalidSignature):
    """A body was signed longer ago than TOLERANCE_SECONDS, or the clock of this server goes wrong."""


class Signature(NamedTuple):
    """What a header says: the time of signing as it is signed, in seconds since 1970, and signatures in hexadecimal."""

    at: str
    digests: tuple[str, ...]


def read(header: str) -> Signature:
    """Return the signature that a header carries. It is compared with no body yet.

    White space around its items is no part of them: a proxy that joins two header lines adds some. Of several times the
    first counts; any of several signatures may be ours. A time in the future is taken, as stripe-python does: only
    Stripe can have signed it, and it says that this server's clock goes slow.

    Raises InvalidSignature or SignatureTooOld.
    """
    pairs = [item.strip().partition("=") for item in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    digests = tuple(value for name, _, value in pairs if name == "v1" and value.isascii())
    if not times or not digests or not _TIME.fullmatch(times[0]):
        raise InvalidSignature(_NOT_SIGNED)
    age = round(time.time() - int(times[0]))
    if age > TOLERANCE_SECONDS:
        message = f"The event says that it was signed {age} seconds ago, and is good for {TOLERANCE_SECONDS}"
        raise SignatureTooOld(f"{message}: check the clock of this server, or deliver the event anew.")
    return Signature(at=times[0], digests=digests)


def verify(*, body: bytes, signature: Signature) -> None:
    """Return if `body` was signed with one of the configured secrets; several while one is being replaced.

    Raises InvalidSignature.
    """
    signed = signature.at.encode() + b"." + body
    for secret in filter(None, settings.STRIPE_WEBHOOK_SECRETS):
        expected = hmac.digest(secret.encode(), signed, "sha256").hex()
        if any(hmac.compare_digest(expected, digest) for digest in signature.digests):
            _notice_a_slow_clock(int(signature.at))
            return
    raise InvalidSignature("The Stripe-Signature header does not match the body and any configured secret.")


def _notice_a_slow_clock(signed_at: int) -> None:
    ahead = round(signed_at - time.time())
    if ahead > TOLERANCE_SECONDS:
        logger.warning("Stripe signed an event %d seconds from now: check the clock of this server.", ahead)
