"""Count how much of a payment's money is here, has gone back, or may go: for each payment intent that was paid.

What is still here = paid - refunded - withdrawn. All sums are in minor units of the currency that was paid.
"""

from dataclasses import dataclass

from payments.facts import Dispute, Facts, Refund, read_money
from payments.stripe.states import BLOCKED, DISPUTE_STAGES, REFUND_STAGES, RESOLVED, Stage


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The money of one payment intent."""

    currency: str
    paid: int
    refunded: int
    """What went back by refunds."""
    given_back: int
    """What refunds gave back, each of which is known to have succeeded."""
    under_way: int
    """What refunds that are under way, or in an unknown state, may still give back."""
    withdrawn: int
    """What disputes took, for good."""
    disputed: int
    """What disputes that are not decided may take."""
    is_disputed: bool
    is_blocked: bool
    """Whether a sum was named that no payment has."""
    is_full: bool
    """Whether the sum that was asked for was paid."""
    has_other: bool
    """Whether another sum was paid."""

    @property
    def here(self) -> int:
        """What is still here, be it disputed or on its way back."""
        return max(0, self.paid - self.refunded - self.withdrawn)

    @property
    def kept(self) -> int:
        """What is still here as far as is proven: a charge counts a refund that may still be under way."""
        return max(0, self.paid - self.given_back - self.withdrawn)

    @property
    def left(self) -> int:
        """What can still be refunded; nothing after an impossible sum, whose meaning is unknown."""
        return 0 if self.is_blocked else max(0, self.here - self.under_way - self.disputed)


def balances(facts: Facts) -> dict[str, Balance]:
    """Return by payment intent the money of each that was paid.

    Money that was given back or disputed has been paid, also where the event that says so is not here yet: then it is
    taken to be what was asked for. What names no intent is of the only one that is known.
    """
    paid = facts.get("paid", {})
    refunds = facts.get("refunds", {}).values()
    disputes = facts.get("disputes", {}).values()
    intents = {*paid, *facts.get("refunded_at_least", {})}
    intents |= {refund["intent"] for refund in refunds} | {dispute["intent"] for dispute in disputes}
    # Counted beside the intent that it is, its money would be here twice.
    if len(named := intents - {""}) == 1:
        return {intent: _balance(facts, {intent, ""}) for intent in named}
    if len(paid) > 1:
        intents.discard("")  # a session that named no intent: it is one of the others
    return {intent: _balance(facts, {intent}) for intent in sorted(intents)}


def refunded_amount(facts: Facts) -> int:
    """Return what went back to the customer by refunds, in minor units."""
    return sum(balance.refunded for balance in balances(facts).values())


def _balance(facts: Facts, names: set[str]) -> Balance:
    """Return the money of the intent that these names stand for."""
    asked = facts["asked"]
    sums = {sum_ for name in names for sum_ in facts.get("paid", {}).get(name, ())}
    is_full = asked in sums
    # Of several wrong sums any would do, as long as the order of events does not choose it.
    paid, currency = read_money(asked if is_full or not sums else max(sums, key=read_money))
    refunds = [r for r in facts.get("refunds", {}).values() if r["intent"] in names]
    at_least = max(facts.get("refunded_at_least", {}).get(name, 0) for name in names)
    given_back, under_way, unproven = _refunds(refunds, at_least=at_least)
    refunded = given_back + unproven
    left = max(0, paid - refunded)
    effects = [
        _effect(dispute, left=left, currency=currency)
        for dispute in facts.get("disputes", {}).values()
        if dispute["intent"] in names
    ]
    return Balance(
        currency=currency,
        paid=paid,
        refunded=refunded,
        given_back=given_back,
        under_way=under_way,
        withdrawn=sum(withdrawn for withdrawn, _, _ in effects),
        disputed=sum(disputed for _, disputed, _ in effects),
        is_disputed=any(is_open for _, _, is_open in effects),
        # The name of an unknown value has no intent in it, so it blocks every intent of the payment.
        is_blocked=any(name.endswith(".amount") for name in facts.get("unknown", {})),
        is_full=is_full,
        has_other=bool(sums - {asked}),
    )


def _refunds(refunds: list[Refund], *, at_least: int) -> tuple[int, int, int]:
    """Return what refunds gave back, what others may still give back, and what a charge alone says went back.

    A charge counts a refund as soon as it is made, and the count is not lowered in each event when the refund fails. So
    the charge's own sum is trusted only for refunds of which nothing else is known: the most that it ever said, less
    those that have not succeeded.
    """
    by_stage: dict[Stage, int] = {}
    for refund in refunds:
        stage = REFUND_STAGES.get(refund["status"], Stage.UNKNOWN)
        by_stage[stage] = by_stage.get(stage, 0) + refund["amount"]
    given_back = by_stage.pop(Stage.GONE, 0)
    not_yet = by_stage.get(Stage.OPEN, 0) + by_stage.get(Stage.UNKNOWN, 0)
    return given_back, not_yet, max(0, at_least - sum(by_stage.values()) - given_back)


def _effect(dispute: Dispute, *, left: int, currency: str) -> tuple[int, int, bool]:
    """Return what a dispute took for good, what it may take, and whether it is undecided.

    Balance transactions say what was withdrawn and reinstated. Where none is known the state says it.
    """
    # A sum in another currency cannot be compared: all that is left may be meant.
    amount = min(dispute["amount"], left) if dispute["currency"] in {"", currency} else left
    withdrawn = _withdrawn(dispute, amount=amount, currency=currency)
    is_reinstated = any(movement["amount"] > 0 for movement in dispute["movements"].values())
    match stage_of(dispute):
        case Stage.INQUIRY | Stage.BACK if not withdrawn:
            return 0, 0, False
        case Stage.BACK if is_reinstated:  # a part of it came back
            return withdrawn, 0, False
        case Stage.GONE if withdrawn or not dispute["movements"]:
            return withdrawn or amount, 0, False
        case Stage.GONE:  # lost once, and since then its money came back
            return 0, 0, False
        case _:  # undecided, or won and the money is still to come
            return 0, max(withdrawn, amount), True


def stage_of(dispute: Dispute) -> Stage:
    """Return how far a dispute has got. One that was prevented is over where Stripe says how it ended."""
    stage = DISPUTE_STAGES.get(dispute["status"], Stage.UNKNOWN)
    if stage is not Stage.PREVENTED:
        return stage
    return {RESOLVED: Stage.GONE, BLOCKED: Stage.BACK}.get(dispute["case_type"], Stage.UNKNOWN)


def _withdrawn(dispute: Dispute, *, amount: int, currency: str) -> int:
    """Return what the balance transactions add up to.

    In another currency they differ by the rates of their days: then it counts whether something like one of the
    withdrawals is missing.
    """
    amounts = [movement["amount"] for movement in dispute["movements"].values()]
    if all(movement["currency"] == currency for movement in dispute["movements"].values()):
        return max(0, -sum(amounts))
    largest = max((-each for each in amounts), default=0)
    return amount if -sum(amounts) * 2 > largest > 0 else 0
