"""The one place where a payment changes: new facts go in; status, history and notifications follow."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulk import statements
from bulk.execution import execute
from payments.announcements import announce_statuses
from payments.facts import Facts, merge
from payments.metrics import UNKNOWN_VALUES
from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.status import attention, derive, holds_ride

_WRITTEN = (
    "facts",
    "status",
    "attention",
    "ride_claim",
    "session_id",
    "payment_intent_id",
)
# A payment intent stays where it was first found. One of another integration can turn out to be ours.
_CLAIM_INTENT = (
    "ON CONFLICT (intent_id) DO UPDATE SET payment_id = EXCLUDED.payment_id"
    " WHERE payments_intent.payment_id IS NULL AND EXCLUDED.payment_id IS NOT NULL RETURNING intent_id"
)


class IntentTakenError(Exception):
    """A payment intent was found to be another payment's a moment ago: look again whose it is."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something learnt about a payment, from an event or else from an answer of Stripe's."""

    payment: Payment
    facts: Facts
    event: WebhookEvent | None = None
    session_id: str | None = None
    payment_intent_id: str | None = None
    is_new_intent: bool = False
    """Whether the payment intent was not known to belong to the payment."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A payment intent that another integration made."""

    intent_id: str


def work_out(
    findings: Sequence[Finding | Foreign], *, cause: StatusChange.Cause
) -> tuple[list[Payment], list[StatusChange]]:
    """Add findings to their payments in memory, in the order given.

    Returns the payments that are not as they were, and the changes of statuses; writes nothing.
    """
    learnt: dict[object, Payment] = {}
    changes: list[StatusChange] = []
    for finding in findings:
        if isinstance(finding, Foreign):
            continue
        before = finding.payment.status
        if _absorb(finding):
            learnt[finding.payment.pk] = finding.payment
        if finding.payment.status != before:
            changes.append(_change(finding, before=before, cause=cause))
    return list(learnt.values()), changes


def apply_facts(findings: Sequence[Finding | Foreign], *, cause: StatusChange.Cause) -> list[StatusChange]:
    """Write what was found, and tell the users of every change of a status.

    The caller has locked the payments and is in a transaction. Statements are per table, not per finding.
    Raises IntentTakenError, and then the transaction has to be rolled back.
    """
    unknown = _new_unknown(findings)
    learnt, changes = work_out(findings, cause=cause)
    # A frame needs the session; without one the user never got a link.
    told = [change for change in _net(changes) if change.payment.session_id]
    for change, seq in zip(told, announce_statuses(told), strict=True):
        change.seq = seq
    writes = [statements.updating(learnt, _WRITTEN)] if learnt else []
    writes += [statements.inserting(changes)] if changes else []
    _claim(intents(findings))
    if writes:
        statements.write(*writes)
    for _, value in unknown:
        UNKNOWN_VALUES.labels(field=value.partition("=")[0]).inc()
    return changes


def _new_unknown(findings: Sequence[Finding | Foreign]) -> set[tuple[object, str]]:
    """Return the values that nobody knows and that a payment did not bear before, by the payment's key."""
    return {
        (finding.payment.pk, value)
        for finding in findings
        if isinstance(finding, Finding)
        for value in finding.facts.get("unknown", {}).keys() - finding.payment.facts.get("unknown", {}).keys()
    }


def _net(changes: Sequence[StatusChange]) -> list[StatusChange]:
    """Return the last change of each payment, unless the payment is back where it was: what is past is no news."""
    last = {change.payment_id: change for change in changes}
    first = {change.payment_id: change for change in reversed(changes)}
    return [change for pk, change in last.items() if change.after != first[pk].before]


def intents(findings: Sequence[Finding | Foreign]) -> list[Intent]:
    """Return the payment intents that were found, each once; one of ours before the same as a foreign one."""
    found: dict[str, Intent] = {}
    for finding in findings:
        if isinstance(finding, Foreign):
            found.setdefault(finding.intent_id, Intent(intent_id=finding.intent_id))
        elif finding.is_new_intent and finding.payment_intent_id:
            intent_id = finding.payment_intent_id
            if intent_id not in found or found[intent_id].payment_id is None:
                found[intent_id] = Intent(intent_id=intent_id, payment_id=finding.payment.pk)
    return [found[intent_id] for intent_id in sorted(found)]


def _claim(found: Sequence[Intent]) -> None:
    if not found:
        return
    text, parameter = statements.inserting(found, on_conflict=_CLAIM_INTENT)
    claimed = {intent_id for (intent_id,) in execute(text, parameter)}
    if any(intent.payment_id and intent.intent_id not in claimed for intent in found):
        raise IntentTakenError


def _state(payment: Payment) -> tuple[object, ...]:
    return (
        payment.facts,
        payment.status,
        payment.attention,
        payment.ride_claim,
        payment.session_id,
        payment.payment_intent_id,
    )


def _absorb(finding: Finding) -> bool:
    """Add a finding to its payment in memory; tell whether the payment is not as it was.

    The status is derived anew even where nothing new was found: so a replay mends one that is wrong.
    """
    payment, before = finding.payment, _state(finding.payment)
    payment.facts = merge(payment.facts, finding.facts)
    payment.session_id = payment.session_id or finding.session_id
    payment.payment_intent_id = _intent_of(payment, finding.payment_intent_id)
    payment.status = derive(payment.facts)
    payment.attention = " ".join(attention(payment.facts))
    if not holds_ride(payment.facts):
        payment.ride_claim = None
    return _state(payment) != before


def _intent_of(payment: Payment, found: str | None) -> str | None:
    """Return the payment intent that is shown: the one that paid first, or the first that was heard of."""
    return _paid_intent(payment.facts) or payment.payment_intent_id or found


def _paid_intent(facts: Facts) -> str:
    """Return the payment intent that paid first, of those with the sum that was asked for if there is one."""
    paid = facts.get("paid", {})
    return min(
        paid.keys() - {""},
        key=lambda intent: (facts["asked"] not in paid[intent], min(paid[intent].values()), intent),
        default="",
    )


def _change(finding: Finding, *, before: str, cause: StatusChange.Cause) -> StatusChange:
    return StatusChange(
        payment=finding.payment,
        before=before,
        after=finding.payment.status,
        cause=cause,
        event=finding.event,
    )
