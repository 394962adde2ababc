"""Read Stripe's signature of a webhook, and compare it with the body.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hmac
import re
import time
from typing import NamedTuple

from django.conf import settings

TOLERANCE_SECONDS = 300
"""How far the time of signing may be from now, either way: https://docs.stripe.com/webhooks#replay-attacks"""

_TIME = re.compile(r"[0-9]{1,15}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class InvalidSignature(Exception):
    """A body is not known to be Stripe's; the message says what does not fit, and `code` says it to programs."""

    code = "invalid_signature"


class Unsigned(InvalidSignature):
    """A delivery has no signature: it is not Stripe's, or a proxy has dropped the header."""

    code = "unsigned"

    def __init__(self) -> None:
        super().__init__("Send the header Stripe-Signature with the event.")


class UnreadableSignature(InvalidSignature):
    """A header holds no time or no signature in the form of Stripe's. That says nothing about the secret."""

    code = "unreadable_signature"

    def __init__(self) -> None:
        super().__init__(
            "The Stripe-Signature header cannot be read: send it as Stripe does, `t=TIME,v1=SIGNATURE`, "
            "with the time in seconds, 64 hexadecimal digits in lower case, and no white space around `=`."
        )


class SignatureOfAnotherTime(InvalidSignature):
    """A body was signed more than TOLERANCE_SECONDS from now, or is forged, or the clock of this server goes wrong."""

    def __init__(self, *, age: int) -> None:
        """`age`: how long ago it says that it was signed, in seconds; below 0 that is still to come."""
        self.code = "signature_too_old" if age > 0 else "signature_too_new"
        when = f"{age} seconds ago" if age > 0 else f"{-age} seconds from now"
        super().__init__(
            f"The event says that it was signed {when}, and is good for {TOLERANCE_SECONDS}: "
            "check the clock of this server, or deliver the event anew. Whether it is forged is not known: "
            "what is signed at another time is not compared with a secret."
        )


CODES = frozenset(
    {"invalid_signature", "unsigned", "unreadable_signature", "signature_too_old", "signature_too_new"}
)
"""Those of what is not known to be Stripe's."""


class Signature(NamedTuple):
    """What a header says: the time of signing as it is signed, in seconds since 1970, and signatures in hexadecimal."""

    at: str
    digests: tuple[str, ...]


def read(header: str) -> Signature:
    """Return the signature that a header carries. Raises Unsigned, UnreadableSignature or SignatureOfAnotherTime.

    A proxy that joins two header lines adds white space. Of several times the first counts; any of several signatures
    may be ours. No body is compared yet, so a time in the future is no more than what a stranger wrote.
    """
    if not header.strip():
        raise Unsigned
    pairs = [item.strip().partition("=") for item in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    digests = tuple(value for name, _, value in pairs if name == "v1" and _DIGEST.fullmatch(value))
    if not times or not digests or not _TIME.fullmatch(times[0]):
        raise UnreadableSignature
    age = round(time.time() - int(times[0]))
    if abs(age) > TOLERANCE_SECONDS:
        raise SignatureOfAnotherTime(age=age)
    return Signature(at=times[0], digests=digests)


def verify(*, body: bytes, signature: Signature) -> None:
    """Raise InvalidSignature unless one of the configured secrets signed `body`; several while one is replaced."""
    # The bytes as they came: JSON that is parsed and written anew would have another signature.
    signed = signature.at.encode() + b"." + body
    for secret in filter(None, settings.STRIPE_WEBHOOK_SECRETS):
        expected = hmac.digest(secret.encode(), signed, "sha256").hex()
        # In constant time, so that a forger learns nothing from how long it takes.
        if any(hmac.compare_digest(expected, digest) for digest in signature.digests):
            return
    raise InvalidSignature(
        "The Stripe-Signature header does not match the body and any configured secret: "
        "compare STRIPE_WEBHOOK_SECRETS with Stripe's."
    )
