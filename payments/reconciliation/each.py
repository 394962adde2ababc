"""Process payments and refunds in turn, and stop in an outage."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from django.db import OperationalError
from django.db.models import QuerySet

from payments.models import Payment, RefundRequest
from payments.stripe import gateway
from payments.stripe.currencies import format_amount

OUTAGE = 3
"""How many calls in a row fail before it counts as an outage of Stripe or of the database."""

NOT_AS_DOCUMENTED = (KeyError, TypeError, ValueError)
"""What reading an answer of Stripe's raises that does not have the documented shape."""

Row = TypeVar("Row", Payment, RefundRequest)


class End(enum.Enum):
    """How processing a row ended."""

    UNCHANGED = enum.auto()
    CHANGED = enum.auto()
    COMPLETED = enum.auto()
    GIVEN_UP = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result for one payment or refund. `text` is for people."""

    end: End
    text: str = ""


def each(due: QuerySet[Row], process: Callable[[Row], Result]) -> Iterator[Result]:
    """Process each row that is due; skip rows that another process has finished meanwhile.

    An error fails its own row only. Raises StripeUnavailable or OperationalError in an outage, and StripeKeyRefused if
    Stripe refuses the API key.
    """
    unanswered = 0
    # Keep no more than keys: a run takes minutes, and each row has to be read as it is at its turn.
    for pk in list(due.values_list("pk", flat=True)):
        row = due.filter(pk=pk).first()
        if row is None:
            continue
        try:
            result = process(row)
        except (gateway.StripeUnavailable, OperationalError) as error:
            unanswered += 1
            if unanswered == OUTAGE:
                raise
            is_ours = isinstance(error, OperationalError)
            reason = "the database did not answer" if is_ours else str(error)
            yield Result(end=End.FAILED, text=f"{name(row)}: {reason}")
            continue
        except (gateway.StripeRefused, *NOT_AS_DOCUMENTED) as error:
            prefix = "" if isinstance(error, gateway.StripeRefused) else f"{type(error).__name__}: "
            result = Result(end=End.FAILED, text=f"{name(row)}: {prefix}{error}")
        unanswered = 0
        yield result


def name(row: Payment | RefundRequest) -> str:
    """Return a payment's or refund's name for people. It has no session id, because that opens the payment page."""
    if isinstance(row, Payment):
        return f"payment {row.pk}, ride {row.ride_id}"
    return f"refund of {format_amount(row.amount, row.payment.currency)}, {name(row.payment)}"
