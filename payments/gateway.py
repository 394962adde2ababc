"""Stripe, as the rest of the service sees it: plain dictionaries in and out, and three errors of our own."""

import functools
from typing import Any

import stripe
from django.conf import settings

SIGNATURE_TOLERANCE = 300
"""Seconds a signed webhook stays good: https://docs.stripe.com/webhooks#replay-attacks"""

stripe.enable_telemetry = False


class StripeRefused(Exception):
    """Stripe understood the request and said no; the same request will get the same answer."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class StripeUnavailable(Exception):
    """Stripe did not answer, or not usefully: what became of the request is unknown, so repeat it as it was."""


class InvalidSignature(Exception):
    """The body was not signed with any of STRIPE_WEBHOOK_SECRETS within the last five minutes."""


@functools.lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    """Return the client: StripeClient itself would retry nothing and wait 80 seconds for an answer."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        http_client=stripe.RequestsClient(timeout=(3, 10)),
        max_network_retries=2,
    )


def _call(call: Any, *args: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = call(*args).to_dict(for_json=True)
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeUnavailable(str(error)) from error
    except stripe.APIError as error:
        raise StripeUnavailable(str(error)) from error
    except stripe.StripeError as error:
        message = error.user_message or "Stripe refused the request."
        raise StripeRefused(message, code=error.code or "refused") from error
    return answer


def _v1() -> Any:
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE).v1


def livemode() -> bool:
    """Tell whether the configured key moves real money."""
    return settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))


def create_session(*, params: dict[str, Any], idempotency_key: str) -> dict[str, Any]:
    """Create a Checkout Session; the same key and params, repeated within a day, give the same session.

    Raises StripeRefused or StripeUnavailable.
    """
    return _call(_v1().checkout.sessions.create, params, {"idempotency_key": idempotency_key})


def expire_session(*, session_id: str) -> dict[str, Any]:
    """End an open Checkout Session, so that it can no longer be paid.

    Raises StripeRefused (it is complete, or has expired) or StripeUnavailable.
    """
    return _call(_v1().checkout.sessions.expire, session_id)


def create_refund(*, payment_intent_id: str, amount: int, idempotency_key: str) -> dict[str, Any]:
    """Give `amount` minor units back. Raises StripeRefused or StripeUnavailable."""
    params = {"payment_intent": payment_intent_id, "amount": amount}
    return _call(_v1().refunds.create, params, {"idempotency_key": idempotency_key})


def verify(*, body: bytes, signature: str) -> None:
    """Return if `body` was signed with one of the configured secrets; several while one is being replaced.

    Source: https://docs.stripe.com/webhooks#verify-manually. Raises InvalidSignature.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidSignature("The body is not UTF-8.") from None
    if not signature.isascii():
        raise InvalidSignature("The Stripe-Signature header is not ASCII.")
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, SIGNATURE_TOLERANCE)
        except stripe.SignatureVerificationError:
            continue
        return
    raise InvalidSignature("The Stripe-Signature header does not match the body and any configured secret.")
