"""Looking at payments and refunds one by one, with Stripe's help: what came of each, and when to stop."""

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
"""So many calls in a row without an answer are an outage, of Stripe's or of the database's."""

Row = TypeVar("Row", Payment, RefundRequest)


class End(enum.Enum):
    UNCHANGED = enum.auto()
    CHANGED = enum.auto()
    COMPLETED = enum.auto()
    GIVEN_UP = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one payment or refund; `text` says it to people."""

    end: End
    text: str = ""


def look_at_each(due: QuerySet[Row], look: Callable[[Row], Result]) -> Iterator[Result]:
    """Look at each row that is due, unless somebody else did meanwhile; one that fails fails alone.

    Raises StripeUnavailable or OperationalError in an outage, and StripeKeyRefused where Stripe does not take the key.
    """
    unanswered = 0
    for pk in list(due.values_list("pk", flat=True)):
        row = due.filter(pk=pk).first()
        if row is None:
            continue
        try:
            result = look(row)
        except (gateway.StripeUnavailable, OperationalError) as error:
            unanswered += 1
            if unanswered == OUTAGE:
                raise
            is_ours = isinstance(error, OperationalError)
            yield failed(row, "the database did not answer" if is_ours else str(error))
            continue
        except gateway.StripeRefused as error:
            result = failed(row, str(error))
        except (KeyError, TypeError, ValueError) as error:  # Stripe's answer is not as it describes it
            result = failed(row, f"{type(error).__name__}: {error}")
        unanswered = 0
        yield result


def failed(row: Payment | RefundRequest, reason: str) -> Result:
    return Result(end=End.FAILED, text=f"{name(row)}: {reason}")


def name(row: Payment | RefundRequest) -> str:
    """Return how people are told of a payment or a refund. A session's id is left out: it opens its page."""
    if isinstance(row, Payment):
        return f"payment {row.pk}, ride {row.ride_id}"
    return f"refund of {format_amount(row.amount, row.payment.currency)}, {name(row.payment)}"
