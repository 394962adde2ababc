"""A payment's status follows from its facts, and from nothing else."""

from django.db import models

from payments.facts import Facts, paid_amount, refunded_amount


class Status(models.TextChoices):
    PENDING = "pending", "pending"
    PROCESSING = "processing", "processing"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    EXPIRED = "expired", "expired"
    CANCELED = "canceled", "canceled"
    PARTIALLY_REFUNDED = "partially_refunded", "partially refunded"
    REFUNDED = "refunded", "refunded"
    DISPUTED = "disputed", "disputed"
    CHARGED_BACK = "charged_back", "charged back"


PAID = (Status.PROCESSING, Status.SUCCEEDED, Status.PARTIALLY_REFUNDED, Status.DISPUTED)
"""Paid, or about to be: another payment would charge the ride twice."""


def derive(facts: Facts) -> Status:
    """Return the status that the facts add up to: the first that holds, in order of precedence."""
    return (
        _disputed(facts)
        or _refunded(facts)
        or _paid(facts)
        or _ended(facts)
        or _attempted(facts)
        or Status.PENDING
    )


def is_open(facts: Facts) -> bool:
    """Tell whether the customer can still pay on the Checkout page."""
    ended = {"paid", "completed_unpaid", "async_failed", "expired", "canceled"} & facts.keys()
    return not ended and derive(facts) in {Status.PENDING, Status.FAILED, Status.PROCESSING}


def holds_ride(facts: Facts) -> bool:
    """Tell whether the ride is being paid or is paid, if only with another sum, and the money still here."""
    is_held = paid_amount(facts) > refunded_amount(facts) and derive(facts) != Status.CHARGED_BACK
    return is_open(facts) or is_held or derive(facts) in PAID


def _disputed(facts: Facts) -> Status | None:
    """A warning is an inquiry: no money has moved. `won` and `prevented` leave the payment as it was."""
    states = set(facts.get("disputes", {}).values())
    if "lost" in states:
        return Status.CHARGED_BACK
    return Status.DISPUTED if states & {"needs_response", "under_review"} else None


def _refunded(facts: Facts) -> Status | None:
    refunded = refunded_amount(facts)
    if refunded <= 0:
        return None
    whole = paid_amount(facts) or int(facts["asked"].split()[0])
    return Status.REFUNDED if refunded >= whole else Status.PARTIALLY_REFUNDED


def _paid(facts: Facts) -> Status | None:
    return Status.SUCCEEDED if facts["asked"] in facts.get("paid", {}) else None


def _ended(facts: Facts) -> Status | None:
    if "canceled" in facts or {"expired", "cancel_requested"} <= facts.keys():
        return Status.CANCELED
    return Status.EXPIRED if "expired" in facts else None


def _attempted(facts: Facts) -> Status | None:
    """A failed attempt shows until a later one is under way: each attempt is a charge of its own."""
    if "async_failed" in facts:
        return Status.FAILED
    attempts = facts.get("attempts", {}).values()
    if "processing" in attempts:
        return Status.PROCESSING
    if "failed" in attempts:
        return Status.FAILED
    return Status.PROCESSING if "completed_unpaid" in facts else None
