"""Derive a payment's status from its facts, and from nothing else."""

from collections.abc import Mapping

from django.db import models

from payments.balances import Balance, balances
from payments.facts import Facts, read_money
from payments.merging import ATTEMPTS_KEPT


class Status(models.TextChoices):
    """How a payment stands, as users and callers see it."""

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


class Attention(models.TextChoices):
    """Why a person should look at a payment."""

    OTHER_SUM = "other_sum", "paid with another sum"
    PAID_TWICE = "paid_twice", "paid more than once"
    DISPUTE = "dispute", "disputed or inquired about"
    FRAUD_WARNING = "fraud_warning", "early fraud warning"
    FOREIGN_SESSION = "foreign_session", "named by a foreign session"
    REWRITTEN = "rewritten", "metadata names another payment"
    UNKNOWN_VALUE = "unknown_value", "an unknown value of Stripe's"


ENDS = frozenset({"async_failed", "expired", "canceled"})
"""Facts that are final for a session that was not paid."""
CLOSES = ENDS | {"paid", "nothing_due", "completed_unpaid"}
"""Facts after which its page takes no payment."""


Money = Mapping[str, Balance]
"""What `balances` returns for the facts. A caller that has it hands it on, so that it is counted once."""


def derive(facts: Facts, money: Money | None = None) -> Status:
    """Return the status that the facts add up to: the first that holds, in order of precedence."""
    money = balances(facts) if money is None else money
    return _of_money(facts, money) or _ended(facts) or _under_way(facts) or Status.PENDING


def is_open(facts: Facts) -> bool:
    """Return whether the customer can still pay on the Checkout page."""
    # A refund or a dispute proves that money was paid, also where the event that says so is still to come.
    return not (CLOSES & facts.keys()) and not balances(facts) and not _are_intents_over(facts)


def holds_ride(facts: Facts, money: Money | None = None) -> bool:
    """Return whether another payment could charge the ride twice.

    A ride is given up by final facts alone: the session ended unpaid, or all money went back. What a status shows may
    still change, such as an attempt that failed.
    """
    if _is_awaited(facts) or "nothing_due" in facts:
        return True
    if money := balances(facts) if money is None else money:
        # Not what is `here`: a refund under way may fail, and the ride is paid then.
        return any(balance.kept for balance in money.values())
    return not (ENDS & facts.keys()) and not _are_intents_over(facts)


def is_failed(facts: Facts) -> bool:
    """Return whether the last attempt to pay failed and nothing came of the payment since, be it over or not."""
    is_paid = "nothing_due" in facts or balances(facts)
    return not is_paid and not _is_awaited(facts) and _under_way(facts) is Status.FAILED


def attention(facts: Facts, money: Money | None = None) -> list[Attention]:
    """Return each reason why a person should look at the payment."""
    money = balances(facts) if money is None else money
    books = money.values()
    is_asked = any(
        # An inquiry waits for an answer until it is closed, though it withdraws nothing.
        dispute["status"].startswith("warning_") and dispute["status"] != "warning_closed"
        for dispute in facts.get("disputes", {}).values()
    )
    reasons = {
        # Nobody has to look at a wrong sum that has gone back.
        Attention.OTHER_SUM: any(book.has_other and book.here for book in books),
        Attention.PAID_TWICE: sum(bool(book.here) for book in books) > 1,
        Attention.DISPUTE: is_asked or any(book.is_disputed for book in books),
        Attention.FRAUD_WARNING: any(each["actionable"] for each in facts.get("warnings", {}).values()),
        Attention.FOREIGN_SESSION: "foreign_session" in facts,
        Attention.REWRITTEN: "rewritten" in facts,
        Attention.UNKNOWN_VALUE: "unknown" in facts,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _of_money(facts: Facts, money: Money) -> Status | None:
    """Return what the money says: an open dispute, wholly gone, paid and here, or partly gone.

    None while no money, or another sum, was paid.
    """
    books = money.values()
    if any(book.is_disputed for book in books):
        return Status.DISPUTED
    is_gone = any(book.refunded or book.withdrawn for book in books)
    if is_gone and not any(book.here for book in books):
        return Status.CHARGED_BACK if any(book.withdrawn for book in books) else Status.REFUNDED
    if "nothing_due" in facts:
        return Status.SUCCEEDED
    asked, currency = read_money(facts["asked"])
    # Sums in different currencies cannot be added.
    here = sum(book.here for book in books if book.currency == currency)
    # One intent has to have paid the sum that was asked for: several other sums do not add up to a paid ride.
    if any(book.is_full for book in books) and here >= asked:
        return Status.SUCCEEDED
    return Status.PARTIALLY_REFUNDED if is_gone else None


def _ended(facts: Facts) -> Status | None:
    """Return how the payment ended, if it did.

    A delayed payment outranks an end: it may be of another intent, or of a session made from the expired one.
    """
    if _is_awaited(facts):
        return Status.PROCESSING
    are_over = _are_intents_over(facts)
    is_expired = "expired" in facts or are_over
    # Stripe has no canceled session: a cancel expires it. Our request says which of the two it was.
    if "canceled" in facts or (is_expired and "cancel_requested" in facts):
        return Status.CANCELED
    if are_over and "canceled_intents" in facts:
        return Status.CANCELED
    return Status.EXPIRED if is_expired else None


def _ended_intents(facts: Facts) -> set[str]:
    return {*facts.get("canceled_intents", {}), *facts.get("expired_intents", {})}


def _are_intents_over(facts: Facts) -> bool:
    """Return whether payment intents were canceled, and none is left that something was tried with."""
    ended = _ended_intents(facts)
    # An empty name is an intent that its session did not name: it cannot be compared with those that ended.
    tried = {*facts.get("attempted", {}), *facts.get("completed_unpaid", {})} - {""}
    return bool(ended) and not tried - ended


def _is_awaited(facts: Facts) -> bool:
    """Return whether a session was completed, or one that Stripe made from an expired one, and its money is to come."""
    recovered = facts.get("recovered", {}).values()
    if any("completed_unpaid" in session and "async_failed" not in session for session in recovered):
        return True
    return "async_failed" not in facts and bool(
        facts.get("completed_unpaid", {}).keys() - _ended_intents(facts)
    )


def _under_way(facts: Facts) -> Status | None:
    """Return how the attempts to pay stand.

    The session's own failure outranks them: a card can be declined before a bank transfer is chosen.
    """
    if "async_failed" in facts:
        return Status.FAILED
    if _is_attempted(facts):
        return Status.PROCESSING
    failed_at = max(facts.get("failed", {}).values(), default=-1)
    return Status.FAILED if failed_at > facts.get("action_required", -1) else None


def _is_attempted(facts: Facts) -> bool:
    """Return whether an attempt is under way: each is a charge of its own, and one that failed does not go on.

    Where no charge is named attempts cannot be distinguished, and the later counts. Where more failed than are
    kept, one that was under way before them all has failed, too.
    """
    failed = facts.get("failed", {})
    oldest_kept = min(failed.values()) if len(failed) >= ATTEMPTS_KEPT else -1
    return any(
        at >= oldest_kept and (charge not in failed or (not charge and at >= failed[charge]))
        for charge, at in facts.get("processing", {}).items()
    )
