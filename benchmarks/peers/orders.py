"""What the two peers in Python read from a request for a payment, and what they answer."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class NewPayment(Body):
    ride_id: str = Field(min_length=1, max_length=128)
    user_id: str = Field(min_length=1, max_length=128)
    amount: int = Field(gt=0, le=99_999_999)
    currency: str = Field(pattern="^[A-Za-z]{3}$")
    description: str = Field(default="", max_length=250)
    success_url: str = Field(default="https://example.com/success", max_length=2048)
    cancel_url: str = Field(default="https://example.com/cancel", max_length=2048)


class PaymentOut(Body):
    id: UUID
    ride_id: str
    user_id: str
    amount: int
    currency: str
    status: str
    payment_url: str
    stripe_session_id: str
    created_at: datetime
