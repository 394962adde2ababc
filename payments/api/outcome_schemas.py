"""Schemas of the API for the outcome of a payment: failure, dispute, refunds, card."""

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

Value = TypeVar("Value")
Known = Annotated[Value | None, BeforeValidator(lambda value: value or None)]
"""A value of the facts, where an empty text, or 0 for a time, says that it is not known."""


class Part(BaseModel):
    """A response's body or a part of it, in camel case."""

    # By name, because facts and models have Python's names.
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class FailureOut(Part):
    """Why an attempt to pay failed, in Stripe's words: https://docs.stripe.com/declines/codes."""

    code: Known[str] = Field(description="Stripe's error code.", examples=["card_declined"])
    decline_code: Known[str] = Field(description="Why the bank declined.", examples=["insufficient_funds"])
    advice_code: Known[str] = Field(
        description="The bank's advice on what to do next, if any.", examples=["try_again_later"]
    )
    message: Known[str] = Field(
        description="For the customer.", examples=["Your card has insufficient funds."]
    )


class DisputeOut(Part):
    """A dispute in Stripe's words: https://docs.stripe.com/api/disputes/object."""

    id: str = Field(examples=["du_1QzXyZ2eZvKYlo2C"])
    status: str = Field(description="Stripe's state of the dispute.", examples=["needs_response"])
    reason: str = Field(description="Why the customer disputes it.", examples=["fraudulent"])
    amount: int = Field(description="The disputed amount, in minor units.", examples=[1250])
    currency: str = Field(examples=["usd"])
    due_by: Known[datetime] = Field(description="When Stripe stops accepting evidence.")


class MadeRefundOut(Part):
    """A refund as Stripe last reported it: https://docs.stripe.com/api/refunds/object."""

    id: str = Field(examples=["re_3QzXyZ2eZvKYlo2C"])
    amount: int = Field(description="In minor units.", examples=[500])
    currency: str = Field(examples=["usd"])
    status: str = Field(description="Stripe's state of the refund.", examples=["succeeded"])


class CardOut(Part):
    """The card that paid."""

    brand: str = Field(examples=["visa"])
    last4: str = Field(examples=["4242"])
    wallet: Known[str] = Field(
        description="The wallet, such as `apple_pay`, if one was used.", examples=["apple_pay"]
    )
