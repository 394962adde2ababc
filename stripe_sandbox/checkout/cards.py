"""What a customer can pay with on the hosted page, and how a card can be declined.

Source: https://docs.stripe.com/testing (the cards), https://docs.stripe.com/declines/codes (codes and advice).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card, as the customer sees it, and what Radar thinks of a payment with it."""

    label: str
    brand: str = "visa"
    last4: str = "4242"
    funding: str = "credit"
    wallet: str | None = None
    risk_level: str = "normal"
    risk_score: int = 11

    def kept(self) -> dict[str, Any]:
        """Return what a charge keeps of the card."""
        names = ("brand", "last4", "funding", "wallet", "risk_level", "risk_score")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Decline:
    """Why a card is not charged. `blocked`: Radar did not even ask the bank."""

    label: str
    last4: str
    code: str = "card_declined"
    decline_code: str | None = None
    message: str = "Your card was declined."
    advice_code: str | None = None
    network_decline_code: str | None = None
    blocked: bool = False

    def kept(self) -> dict[str, Any]:
        """Return what a charge keeps of the failure."""
        names = ("code", "decline_code", "message", "advice_code", "network_decline_code", "blocked")
        return {name: getattr(self, name) for name in names}


CARDS = {
    "visa": Card(label="Visa 4242"),
    "mastercard": Card(label="Mastercard 4444", brand="mastercard", last4="4444"),
    "amex": Card(label="American Express 0005", brand="amex", last4="0005"),
    "visa_debit": Card(label="Visa debit 5556", last4="5556", funding="debit"),
    "apple_pay": Card(label="Apple Pay, Visa 4242", wallet="apple_pay"),
    "google_pay": Card(
        label="Google Pay, Mastercard 4444", brand="mastercard", last4="4444", wallet="google_pay"
    ),
    "elevated_risk": Card(
        label="Visa 9235, elevated risk", last4="9235", risk_level="elevated", risk_score=67
    ),
}
DECLINES = {
    "generic_decline": Decline(
        label="no reason given",
        last4="0002",
        decline_code="generic_decline",
        advice_code="try_again_later",
        network_decline_code="05",
    ),
    "insufficient_funds": Decline(
        label="insufficient funds",
        last4="9995",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
        advice_code="try_again_later",
        network_decline_code="51",
    ),
    "lost_card": Decline(
        label="lost card",
        last4="9987",
        decline_code="lost_card",
        advice_code="do_not_try_again",
        network_decline_code="41",
    ),
    "stolen_card": Decline(
        label="stolen card",
        last4="9979",
        decline_code="stolen_card",
        advice_code="do_not_try_again",
        network_decline_code="43",
    ),
    "expired_card": Decline(
        label="expired card",
        last4="0069",
        code="expired_card",
        decline_code="expired_card",
        message="Your card has expired.",
        advice_code="confirm_card_data",
        network_decline_code="54",
    ),
    "incorrect_cvc": Decline(
        label="wrong security code",
        last4="0127",
        code="incorrect_cvc",
        decline_code="incorrect_cvc",
        message="Your card's security code is incorrect.",
        advice_code="confirm_card_data",
        network_decline_code="82",
    ),
    "processing_error": Decline(
        label="processing error",
        last4="0119",
        code="processing_error",
        decline_code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
        advice_code="try_again_later",
        network_decline_code="96",
    ),
    "card_velocity_exceeded": Decline(
        label="limit of the card reached",
        last4="6975",
        decline_code="card_velocity_exceeded",
        message="Your card was declined for making repeated attempts too frequently or exceeding its "
        "amount limit.",
        advice_code="try_again_later",
        network_decline_code="65",
    ),
    "authentication_required": Decline(
        label="authentication required",
        last4="3184",
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
        advice_code="confirm_card_data",
        network_decline_code="1A",
    ),
    "fraudulent": Decline(label="blocked by Radar", last4="0019", decline_code="fraudulent", blocked=True),
}
DEBIT_FAILED = Decline(
    label="the bank rejects the debit",
    last4="",
    code="insufficient_funds",
    message="The customer's account has insufficient funds to cover this payment.",
)


def declined_card(decline: Decline) -> Card:
    """Return the card that Stripe's own test cards have for such a decline."""
    risk = {"risk_level": "highest", "risk_score": 95} if decline.blocked else {}
    return Card(label=f"Visa {decline.last4}", last4=decline.last4, **risk)  # type: ignore[arg-type]
