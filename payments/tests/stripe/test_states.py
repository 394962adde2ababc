"""Our tables of Stripe's enumerations, compared with the types of stripe-python: a new release may add a value."""

import inspect
import re
from typing import Literal, get_args, get_origin

import pytest
import stripe

from payments.stripe.states import (
    DISPUTE_STAGES,
    INTENT_STATES,
    PAYMENT_STATES,
    REFUND_STAGES,
    SESSION_STATES,
)


def literals(annotation):
    """Return the values that a type names."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {value for part in get_args(annotation) for value in literals(part)}


@pytest.mark.parametrize(
    ("of_stripe", "known"),
    [
        (stripe.checkout.Session.__annotations__["status"], SESSION_STATES),
        (stripe.checkout.Session.__annotations__["payment_status"], PAYMENT_STATES),
        (stripe.PaymentIntent.__annotations__["status"], INTENT_STATES),
        (stripe.Dispute.__annotations__["status"], set(DISPUTE_STAGES)),
    ],
    ids=["session", "payment of a session", "payment intent", "dispute"],
)
def test_every_value_that_stripe_names_is_in_a_table(of_stripe, known):
    assert literals(of_stripe) == known


def test_every_state_of_a_refund_that_stripe_describes_is_in_a_table():
    """Its type says `str`; the description of the field names the values."""
    described = re.search(
        r"\n    status: Optional\[str\]\n\s+\"\"\"\n(.*?)\"\"\"", inspect.getsource(stripe.Refund), re.DOTALL
    )
    assert set(re.findall(r"`([a-z_]+)`", described[1])) == set(REFUND_STAGES)
