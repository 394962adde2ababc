"""The cards of the payment page, and the ways in which a card is declined.

Source: https://docs.stripe.com/testing (the cards), https://docs.stripe.com/declines/codes (codes and advice).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as the customer sees it, and Radar's risk of a payment with it."""

    label: str
    brand: str = "visa"
    last4: str = "4242"
    funding: str = "credit"
    wallet: str | None = None
    risk_level: str = "normal"
    risk_score: int = 11

    def kept(self) -> dict[str, Any]:
        """Return the fields that a charge keeps."""
        names = ("brand", "last4", "funding", "wallet", "risk_level", "risk_score")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Decline:
    """Why a card is declined. `blocked`: Radar did not ask the bank."""

    label: str
    last4: str
    code: str = "card_declined"
    decline_code: str | None = None
    message: str = "Your card was declined."
    advice_code: str | None = None
    network_decline_code: str | None = None
    blocked: bool = False

    def kept(self) -> dict[str, Any]:
        """Return the fields that a charge keeps."""
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

_DECLINED = "card_declined"
_WAIT, _CHECK, _STOP = "try_again_later", "confirm_card_data", "do_not_try_again"
_MESSAGE = "Your card was declined."
_ROWS = (
    ("generic_decline", "no reason given", "0002", _DECLINED, _WAIT, "05", _MESSAGE),
    ("insufficient_funds", "insufficient funds", "9995", _DECLINED, _WAIT, "51", "Your card has insufficient funds."),
    ("lost_card", "lost card", "9987", _DECLINED, _STOP, "41", _MESSAGE),
    ("stolen_card", "stolen card", "9979", _DECLINED, _STOP, "43", _MESSAGE),
    ("expired_card", "expired card", "0069", "expired_card", _CHECK, "54", "Your card has expired."),
    ("incorrect_cvc", "wrong security code", "0127", "incorrect_cvc", _CHECK, "82",
     "Your card's security code is incorrect."),
    ("processing_error", "processing error", "0119", "processing_error", _WAIT, "96",
     "An error occurred while processing your card. Try again in a little bit."),
    ("card_velocity_exceeded", "limit of the card reached", "6975", _DECLINED, _WAIT, "65",
     "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."),
    ("authentication_required", "authentication required", "3184", "authentication_required", _CHECK, "1A",
     "Your card was declined. This transaction requires authentication."),
)  # fmt: skip
"""Decline code, label, last digits, error code, advice code, the network's decline code, message."""
DECLINES = {
    decline_code: Decline(
        label=label,
        last4=last4,
        code=code,
        decline_code=decline_code,
        advice_code=advice,
        network_decline_code=network,
        message=message,
    )
    for decline_code, label, last4, code, advice, network, message in _ROWS
} | {
    "fraudulent": Decline(label="blocked by Radar", last4="0019", decline_code="fraudulent", blocked=True),
}
DEBIT_FAILED = Decline(
    label="the bank rejects the debit",
    last4="",
    code="insufficient_funds",
    message="The customer's account has insufficient funds to cover this payment.",
)


def declined_card(decline: Decline) -> Card:
    """Return Stripe's test card that is declined like this."""
    risk = {"risk_level": "highest", "risk_score": 95} if decline.blocked else {}
    return Card(label=f"Visa {decline.last4}", last4=decline.last4, **risk)  # type: ignore[arg-type]
