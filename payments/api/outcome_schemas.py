"""Schemas of the API for the outcome of a payment: failure, dispute, refunds, card."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from payments import shown
from payments.facts import Facts


class Part(BaseModel):
    """A part of a response's body, in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class FailureOut(Part):
    """Why an attempt to pay failed, in Stripe's words: https://docs.stripe.com/declines/codes."""

    code: str | None = Field(description="Stripe's error code.", examples=["card_declined"])
    decline_code: str | None = Field(description="Why the bank declined.", examples=["insufficient_funds"])
    advice_code: str | None = Field(
        description="The bank's advice on what to do next, if any.", examples=["try_again_later"]
    )
    message: str | None = Field(
        description="For the customer.", examples=["Your card has insufficient funds."]
    )

    @classmethod
    def of(cls, facts: Facts) -> "FailureOut | None":
        """Return why the last attempt to pay failed; None if the payment is no longer failed by it."""
        if (failure := shown.failure(facts)) is None:
            return None
        return cls(
            code=failure["code"] or None,
            decline_code=failure["decline_code"] or None,
            advice_code=failure["advice_code"] or None,
            message=failure["message"] or None,
        )


class DisputeOut(Part):
    """A dispute in Stripe's words: https://docs.stripe.com/api/disputes/object."""

    id: str = Field(examples=["du_1QzXyZ2eZvKYlo2C"])
    status: str = Field(description="Stripe's state of the dispute.", examples=["needs_response"])
    reason: str = Field(description="Why the customer disputes it.", examples=["fraudulent"])
    amount: int = Field(description="The disputed amount, in minor units.", examples=[1250])
    currency: str = Field(examples=["usd"])
    due_by: datetime | None = Field(description="When Stripe stops accepting evidence.")

    @classmethod
    def of(cls, facts: Facts) -> "DisputeOut | None":
        """Return the open dispute that is due first, else the latest."""
        if (found := shown.dispute(facts)) is None:
            return None
        dispute_id, dispute, currency = found
        due_by = dispute["due_by"]
        return cls(
            id=dispute_id,
            status=dispute["status"],
            reason=dispute["reason"],
            amount=dispute["amount"],
            currency=currency,
            due_by=datetime.fromtimestamp(due_by, tz=UTC) if due_by else None,
        )


class MadeRefundOut(Part):
    """A refund as Stripe last reported it: https://docs.stripe.com/api/refunds/object."""

    id: str = Field(examples=["re_3QzXyZ2eZvKYlo2C"])
    amount: int = Field(description="In minor units.", examples=[500])
    currency: str = Field(examples=["usd"])
    status: str = Field(description="Stripe's state of the refund.", examples=["succeeded"])

    @classmethod
    def each(cls, facts: Facts) -> "list[MadeRefundOut]":
        """Return each known refund, in the order of their ids."""
        return [
            cls(id=refund_id, amount=refund["amount"], currency=currency, status=refund["status"])
            for refund_id, refund, currency in shown.refunds(facts)
        ]


class CardOut(Part):
    """The card that paid."""

    brand: str = Field(examples=["visa"])
    last4: str = Field(examples=["4242"])
    wallet: str | None = Field(
        description="The wallet, such as `apple_pay`, if one was used.", examples=["apple_pay"]
    )

    @classmethod
    def of(cls, facts: Facts, *, intent_id: str | None) -> "CardOut | None":
        """Return the card that paid; None if no card did, or if it is not known yet."""
        charge = shown.charge(facts, intent_id=intent_id)
        if charge is None or not charge["last4"] or not charge["brand"]:
            return None
        return cls(brand=charge["brand"], last4=charge["last4"], wallet=charge["wallet"] or None)
