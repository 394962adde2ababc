"""The second stage of a webhook: whose events these are, what becomes of each, and what they add."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from bulk import statements
from bulk.execution import execute
from payments import events, gateway, transport
from payments.facts import Facts
from payments.ledger import Finding, Foreign
from payments.models import Intent, Payment, WebhookEvent

State = WebhookEvent.State
Reason = WebhookEvent.Reason

_EXAMINED = (
    "ride_id",
    "user_id",
    "status",
    "facts",
    "attention",
    "ride_claim",
    "session_id",
    "payment_intent_id",
)

_OWNERS = """
    SELECT intent_id, payment_id FROM payments_intent WHERE {}
    UNION ALL SELECT session_id, id FROM payments_payment WHERE {}
""".format(  # noqa: S608 made of names alone
    statements.among(Intent, "intent_id"), statements.among(Payment, "session_id")
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of the payments that events name."""

    payments: dict[uuid.UUID, Payment]
    owners: dict[str, uuid.UUID | None] = field(default_factory=dict)
    """By session or payment intent the payment that it belongs to; None: another integration's."""

    def owner(self, reference: events.Reference) -> Payment | None:
        """Return the payment that an event names: by our metadata, or by what belongs to one."""
        if reference.payment_id is not None:
            return self.payments.get(reference.payment_id)
        keys = [self.owners.get(name) for name in _names(reference)]
        return next((self.payments[key] for key in keys if key in self.payments), None)

    def is_foreign(self, intent_id: str) -> bool:
        """Tell whether a payment intent is known to be another integration's."""
        return intent_id in self.owners and self.owners[intent_id] is None


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    state: State
    reason: Reason | None = None
    error: str = ""
    payment: Payment | None = None
    payment_intent_id: str | None = None
    finding: Finding | Foreign | None = None


def look_up(rows: Iterable[WebhookEvent], *, lock: bool) -> Known:
    """Return what is known of the payments that events name.

    `lock`: until the commit, in the order of the payments' keys.
    """
    references = list(_references(rows))
    owners = _owners({name for r in references if r.payment_id is None for name in _names(r)})
    keys = {r.payment_id or r.claimed_id for r in references} | set(owners.values())
    named = keys - {None}
    if lock:
        payments = {payment.pk: payment for payment in statements.lock(Payment, named, fields=_EXAMINED)}
    else:
        payments = Payment.objects.in_bulk(named)
    new = {
        name
        for r in references
        if r.payment_id and (p := payments.get(r.payment_id))
        for name in _names(r) - _own(p)
    }
    return Known(payments=payments, owners=owners | _owners(new))


def examine(rows: Sequence[WebhookEvent], known: Known) -> list[Finding | Foreign]:
    """Set what becomes of each event; return what they add."""
    findings = (_examine(row, known) for row in rows)
    return [finding for finding in findings if finding is not None]


def _references(rows: Iterable[WebhookEvent]) -> Iterator[events.Reference]:
    for row in rows:
        if events.is_handled(row.type):
            try:
                yield events.reference(row.content)
            except events.UnreadableError:
                continue


def _names(reference: events.Reference) -> set[str]:
    return {name for name in (reference.session_id, reference.payment_intent_id) if name}


def _own(payment: Payment) -> set[str]:
    """Return what is known to belong to a payment without asking the database."""
    own = {payment.session_id, payment.payment_intent_id, *payment.facts.get("paid", {})}
    return {name for name in own if name}


def _owners(names: set[str]) -> dict[str, uuid.UUID | None]:
    """Return which payments sessions and payment intents belong to."""
    if not names:
        return {}
    rows = execute(
        _OWNERS,
        statements.values_of(Intent, "intent_id", names),
        statements.values_of(Payment, "session_id", names),
    )
    return {name: uuid.UUID(key) if key else None for name, key in rows}


def _examine(row: WebhookEvent, known: Known) -> Finding | Foreign | None:
    """Set what becomes of the event; return what it adds, if it adds anything."""
    row.attempts += 1
    verdict = _judge(row, known)
    row.state, row.reason, row.error = verdict.state, verdict.reason or "", verdict.error
    row.payment, row.payment_intent_id = verdict.payment, verdict.payment_intent_id or ""
    if verdict.state == State.APPLIED:
        row.applied_at = row.applied_at or timezone.now()
    return verdict.finding


def _judge(row: WebhookEvent, known: Known) -> _Verdict:
    """Return what becomes of the event, why where it adds nothing, and what it adds."""
    if refusal := _at_the_gate(row):
        return refusal
    try:
        reference = events.reference(row.content)
    except events.UnreadableError as error:
        return _unreadable(row, error)
    payment = known.owner(reference)
    if payment is None:
        return _without_payment(row, reference, known)
    if _belongs_elsewhere(reference, payment, known):
        text = "Its session or payment intent belongs to another payment than its metadata names."
        return _ignored(Reason.OTHER_PAYMENT, text, payment=payment)
    return _read(row, reference, payment)


def _read(row: WebhookEvent, reference: events.Reference, payment: Payment) -> _Verdict:
    """Return what an event adds to the payment that it is about."""
    try:
        facts = events.facts(row.content)
    except events.UnreadableError as error:
        return _unreadable(row, error, payment=payment)
    except events.ImpossibleSumError as error:
        unknown: Facts = {"unknown": {f"{row.type}.amount": row.content["created"]}}
        found = _finding(row, reference, payment, unknown)
        return _ignored(Reason.IMPOSSIBLE_SUM, str(error), payment=payment, finding=found)
    return _applied(row, reference, payment, facts)


def _applied(row: WebhookEvent, reference: events.Reference, payment: Payment, facts: Facts) -> _Verdict:
    session_id = reference.session_id or payment.session_id
    if session_id is None:
        return _parked("Its payment's session is not known yet.", reference, payment=payment)
    if payment.session_id not in {None, session_id} and "paid" not in facts:
        text = "It is of another Checkout session than the one the user was handed."
        return _ignored(Reason.OTHER_SESSION, text, payment=payment)
    return _Verdict(
        state=State.APPLIED,
        payment=payment,
        payment_intent_id=reference.payment_intent_id,
        finding=_finding(row, reference, payment, facts),
    )


def _finding(row: WebhookEvent, reference: events.Reference, payment: Payment, facts: Facts) -> Finding:
    return Finding(
        payment=payment,
        facts=facts,
        event=row,
        session_id=reference.session_id,
        payment_intent_id=reference.payment_intent_id,
        is_new_intent=bool(reference.payment_intent_id) and reference.payment_intent_id not in _own(payment),
    )


def _at_the_gate(row: WebhookEvent) -> _Verdict | None:
    """Return why an event is none of ours whatever it names; None: it may be.

    Events of connected accounts bear `account` (https://docs.stripe.com/connect/webhooks), those of an organisation's
    accounts `context` (https://docs.stripe.com/api/events/object#event_object-context). Anybody with such an account
    writes the metadata in them.
    """
    if not events.is_handled(row.type):
        return _ignored(Reason.TYPE, "This type of event says nothing about a payment.")
    for name in ("account", "context"):
        if row.content.get(name) is not None:
            return _ignored(Reason.ACCOUNT, f"It bears `{name}`: it is of another account than ours.")
    if row.livemode != gateway.livemode():
        return _ignored(
            Reason.LIVEMODE, f"Its livemode is {row.livemode}; that of the configured key is not."
        )
    return None


def _without_payment(row: WebhookEvent, reference: events.Reference, known: Known) -> _Verdict:
    """An event that names no payment of ours: another integration's, or one that came before what makes it known."""
    if claimed := known.payments.get(reference.claimed_id) if reference.claimed_id else None:
        text = "Its client_reference_id names the payment, but this service did not make its session."
        found = Finding(payment=claimed, facts={"foreign_session": row.content["created"]}, event=row)
        return _ignored(Reason.FOREIGN_SESSION, text, payment=claimed, finding=found)
    intent_id = reference.payment_intent_id
    if intent_id is None or reference.names_us or known.is_foreign(intent_id):
        is_new = reference.names_us and intent_id is not None and intent_id not in known.owners
        return _Verdict(
            state=State.IGNORED,
            reason=Reason.NOT_OURS,
            error="It names no payment of this service: another integration made it.",
            payment_intent_id=intent_id,
            finding=Foreign(intent_id=intent_id) if is_new and intent_id else None,
        )
    return _parked("Its payment is not known yet.", reference)


def _belongs_elsewhere(reference: events.Reference, payment: Payment, known: Known) -> bool:
    """Tell whether what an event is about is known to belong to another payment than the one it names."""
    owners = (known.owners.get(name) for name in _names(reference) - _own(payment))
    return any(owner not in {None, payment.pk} for owner in owners)


def _unreadable(row: WebhookEvent, error: events.UnreadableError, payment: Payment | None = None) -> _Verdict:
    """An event in a shape that is not read fails: a copy of it in another version may follow, and takes its place."""
    ours = transport.API_VERSION
    if row.api_version in {"", ours}:
        return _Verdict(
            state=State.FAILED,
            reason=Reason.UNREADABLE,
            error=f"It cannot be read: {error}.",
            payment=payment,
        )
    text = f"It is of API version {row.api_version}, this service reads {ours}: {error}."
    return _Verdict(state=State.FAILED, reason=Reason.API_VERSION, error=text, payment=payment)


def _ignored(
    reason: Reason, error: str, *, payment: Payment | None = None, finding: Finding | None = None
) -> _Verdict:
    return _Verdict(state=State.IGNORED, reason=reason, error=error, payment=payment, finding=finding)


def _parked(error: str, reference: events.Reference, *, payment: Payment | None = None) -> _Verdict:
    return _Verdict(
        state=State.PARKED, error=error, payment=payment, payment_intent_id=reference.payment_intent_id
    )
