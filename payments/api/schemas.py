"""Schemas of the API's requests and responses."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from payments import shown
from payments.api.addresses import check_web_address
from payments.api.outcome_schemas import CardOut, DisputeOut, FailureOut, MadeRefundOut, Part
from payments.balances import refunded_amount
from payments.facts import Facts
from payments.models import Payment, RefundRequest
from payments.status import Status, is_open
from payments.stripe.currencies import LARGEST, refuse_amount


def _without(pattern: str, what: str) -> AfterValidator:
    """Return a validator that refuses a text in which the pattern is found."""

    def check(text: str) -> str:
        if re.search(pattern, text):
            raise ValueError(f"send text without {what}")
        return text

    return AfterValidator(check)


_STORABLE = _without("\0", "NUL characters")
_PRINTABLE = _without(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "control characters and line separators")
"""Terminals and logs obey these characters instead of showing them."""
_IN_ORDER = _without(r"[\u202a-\u202e]", "characters that override its direction")
"""These reorder the text around them. Right-to-left scripts need only marks and isolates (UAX 9)."""

FIELDS_MAX = 20
"""Fields of a body, of which no wrong one is left out of the answer."""

UserId = Annotated[str, Field(min_length=1, max_length=128), _STORABLE]
"""A user id as the WebSocket takes it for registration."""
RideId = Annotated[str, Field(min_length=1, max_length=128), _PRINTABLE]
WebAddress = Annotated[str, Field(max_length=2048), AfterValidator(check_web_address)]


class RequestBody(BaseModel):
    """A request's body, accepted only in the spelling of docs/api.md."""

    # Strict: neither "1250" nor true is an amount.
    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, content: Any) -> Any:
        """Refuse many fields with one error: a body has room for 100,000, each of which would have its own."""
        if isinstance(content, dict) and len(content) > FIELDS_MAX:
            known = ", ".join(map(to_camel, cls.model_fields))
            raise ValueError(f"send no other fields than these: {known}")
        return content


class ResponseBody(Part):
    """A response's body, with exactly the fields of docs/api.md."""

    model_config = ConfigDict(strict=True, extra="forbid")


class NewPayment(RequestBody):
    """A payment to create."""

    ride_id: RideId = Field(description="The ride; it has one open or paid payment at most.")
    user_id: UserId = Field(
        description="The user who gets the link and every status, as registered on the WebSocket."
    )
    amount: int = Field(gt=0, le=LARGEST, description="In minor units: 1250 is 12.50 USD, 500 is 500 JPY.")
    currency: Annotated[str, StringConstraints(to_lower=True)] = Field(
        pattern="^[A-Za-z]{3}$", description="ISO 4217.", examples=["usd"]
    )
    description: Annotated[str, Field(max_length=250), _PRINTABLE, _IN_ORDER] = Field(
        default="", description="Shown to the customer on the payment page."
    )
    success_url: WebAddress | None = Field(default=None, description="Where the customer goes after paying.")
    cancel_url: WebAddress | None = Field(default=None, description="Where the customer goes without paying.")

    @model_validator(mode="after")
    def _chargeable(self) -> "NewPayment":
        # Here, before there is a row: a payment that Stripe refuses holds its ride until it is canceled.
        if reason := refuse_amount(self.amount, self.currency):
            raise ValueError(reason)
        return self


class NewRefund(RequestBody):
    """A refund to make."""

    amount: int | None = Field(
        default=None, gt=0, le=LARGEST, description="In minor units. Default: all that is left."
    )
    payment_intent_id: str | None = Field(
        default=None,
        pattern=r"^[\x21-\x7e]+$",
        max_length=255,
        description="The payment intent to refund, if the payment has several. Default: the one with the most left.",
    )


class PaymentOut(ResponseBody):
    """A payment."""

    id: UUID
    ride_id: str
    user_id: str
    amount: int = Field(description="In minor units.")
    currency: str
    status: Status
    payment_url: str | None = Field(
        description="The Checkout link, while the payment is open, for callers with the scope links:read."
    )
    stripe_session_id: str | None
    created_at: datetime
    created_by: str | None = Field(
        description="The name of the API key that asked for it.", examples=["ride backend"]
    )
    expires_at: datetime | None = Field(description="When the Checkout link ends.")
    failure: FailureOut | None = Field(description="Why the last attempt to pay failed, while that counts.")
    dispute: DisputeOut | None = Field(description="The open dispute that is due first, else the latest.")
    amount_refunded: int = Field(description="The sum of the refunds that succeeded, in minor units.")
    refunds: list[MadeRefundOut] = Field(description="Each known refund, in any state.")
    card: CardOut | None = Field(description="The card that paid.")

    @classmethod
    def of(cls, payment: Payment) -> "PaymentOut":
        """Return the payment as it is now."""
        link = is_open(payment.facts)
        return cls._show(payment, status=Status(payment.status), with_link=link, facts=payment.facts)

    @classmethod
    def as_created(cls, payment: Payment) -> "PaymentOut":
        """Return the payment as it was when its link was made, so that a repeated request gets the same answer."""
        if payment.link_seq is None:
            return cls.of(payment)
        return cls._show(payment, status=Status.PENDING, with_link=True, facts={})

    @classmethod
    def _show(cls, payment: Payment, *, status: Status, with_link: bool, facts: Facts) -> "PaymentOut":
        return cls.model_validate(
            {
                "id": payment.pk,
                "ride_id": payment.ride_id,
                "user_id": payment.user_id,
                "amount": payment.amount,
                "currency": payment.currency,
                "status": status,
                "payment_url": (payment.payment_url or None) if with_link else None,
                "stripe_session_id": payment.session_id,
                "created_at": payment.created_at,
                "created_by": payment.api_key or None,
                "expires_at": payment.expires_at,
                "failure": shown.failure(facts),
                "dispute": shown.dispute(facts),
                "amount_refunded": refunded_amount(facts),
                "refunds": shown.refunds(facts),
                "card": shown.card(facts, intent_id=payment.payment_intent_id),
            }
        )


class PaymentPage(ResponseBody):
    """A page of payments."""

    payments: list[PaymentOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class RefundOut(ResponseBody):
    """A refund, with the payment as it is now."""

    id: str
    amount: int = Field(description="In minor units.")
    currency: str
    created_by: str | None = Field(description="The name of the API key that asked for it.")
    payment_intent_id: str = Field(description="Stripe's id of the payment intent that was refunded.")
    status: str = Field(description="Stripe's first answer. Later changes show in the payment's status.")
    payment: PaymentOut

    @classmethod
    def of(cls, request: RefundRequest) -> "RefundOut":
        """Return an answered refund."""
        return cls(
            id=request.refund_id,
            amount=request.amount,
            currency=request.payment.currency,
            created_by=request.api_key or None,
            payment_intent_id=request.payment_intent_id,
            status=request.refund_status,
            payment=PaymentOut.of(request.payment),
        )
