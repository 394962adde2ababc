"""The second stage of a webhook: whose events these are, what becomes of each, and what they add."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from django.utils import timezone

from bulk import statements
from bulk.execution import execute
from payments.facts import Facts, merge
from payments.models import Intent, Payment, WebhookEvent
from payments.record import Finding, Foreign
from payments.stripe import events, gateway, transport

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
        """Return the payment that an event is about: by a session that we made, by our metadata, or by its intent."""
        of_session = self._owner_of(reference.session_id)
        named = self.payments.get(reference.payment_id) if reference.payment_id else None
        return of_session or named or self._owner_of(reference.payment_intent_id)

    def is_anothers(self, intent_id: str | None, payment: Payment) -> bool:
        """Tell whether a payment intent belongs to another payment than this one."""
        return self.owners.get(intent_id or "") not in {None, payment.pk}

    def _owner_of(self, name: str | None) -> Payment | None:
        key = self.owners.get(name) if name else None
        return self.payments.get(key) if key else None

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
    findings: tuple[Finding | Foreign, ...] = ()


class OthersNamedError(Exception):
    """Events name more payments than were locked, by sessions with others' metadata: roll back, and lock all at once."""

    def __init__(self, keys: AbstractSet[uuid.UUID]) -> None:
        super().__init__()
        self.keys = keys


def look_up(rows: Iterable[WebhookEvent], *, lock: bool, also: AbstractSet[uuid.UUID] = frozenset()) -> Known:
    """Return what is known of the payments that events name.

    `lock`: until the commit, in the order of the payments' keys, and in one statement, or two transactions could wait for
    each other. `also` are payments that are known to be named beside those that are easily found. Raises
    OthersNamedError where there are still more.
    """
    references = list(_references(rows))
    owners = _owners({name for r in references if r.payment_id is None for name in _names(r)})
    easily_found = {r.payment_id or r.claimed_id for r in references} | set(owners.values())
    payments = _payments(easily_found | also, lock=lock)
    for reference in references:
        if reference.payment_id in payments:
            owners |= dict.fromkeys(_own(payments[reference.payment_id]), reference.payment_id)
    owners |= _owners({name for r in references for name in _names(r)} - owners.keys())
    # Where the metadata of a session of ours names another payment, or none that there is.
    named = {owner for r in references if r.session_id and (owner := owners.get(r.session_id))}
    others = named - payments.keys()
    if others and lock:
        raise OthersNamedError(others)
    return Known(payments=payments | _payments(others, lock=False), owners=owners)


def _payments(keys: AbstractSet[uuid.UUID | None], *, lock: bool) -> dict[uuid.UUID, Payment]:
    named = keys - {None}
    if lock:
        return {p.pk: p for p in statements.lock(Payment, named, fields=_EXAMINED)} if named else {}
    return Payment.objects.in_bulk(named)


def examine(rows: Sequence[WebhookEvent], known: Known) -> list[Finding | Foreign]:
    """Set what becomes of each event; return what they add."""
    findings: list[Finding | Foreign] = []
    for row in rows:
        found = _examine(row, known)
        for each in found:  # what one event makes known, the next of the batch is judged by
            if isinstance(each, Foreign):
                known.owners.setdefault(each.intent_id, None)
            elif each.is_new_intent and each.payment_intent_id:
                known.owners[each.payment_intent_id] = each.payment.pk
        findings += found
    return findings


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


def _examine(row: WebhookEvent, known: Known) -> Iterable[Finding | Foreign]:
    """Set what becomes of the event; return what it adds."""
    row.attempts += 1
    verdict = _judge(row, known)
    row.state, row.reason, row.error = verdict.state, verdict.reason or "", verdict.error
    row.payment, row.payment_intent_id = verdict.payment, verdict.payment_intent_id or ""
    if verdict.state == State.APPLIED:
        row.applied_at = row.applied_at or timezone.now()
    return verdict.findings


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
    if known.is_anothers(reference.payment_intent_id, payment):
        text = "Its payment intent belongs to another payment: its metadata was rewritten."
        flagged = Finding(payment=payment, facts={"rewritten": row.content["created"]}, event=row)
        return _ignored(Reason.OTHER_PAYMENT, text, payment=payment, findings=(flagged,))
    return _read(row, reference, payment, known)


def _read(row: WebhookEvent, reference: events.Reference, payment: Payment, known: Known) -> _Verdict:
    """Return what an event adds to the payment that it is about."""
    try:
        facts = events.facts(row.content)
    except events.UnreadableError as error:
        return _unreadable(row, error, payment=payment)
    except events.ImpossibleSumError as error:
        unknown: Facts = {"unknown": {f"{row.type}.amount": row.content["created"]}}
        found = _finding(row, reference, payment, unknown, known)
        return _ignored(Reason.IMPOSSIBLE_SUM, str(error), payment=payment, findings=(found,))
    return _applied(row, reference, payment, facts, known)


def _applied(
    row: WebhookEvent, reference: events.Reference, payment: Payment, facts: Facts, known: Known
) -> _Verdict:
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
        findings=(_finding(row, reference, payment, facts, known),),
    )


def _finding(
    row: WebhookEvent, reference: events.Reference, payment: Payment, facts: Facts, known: Known
) -> Finding:
    if reference.payment_id not in {None, payment.pk}:
        facts = merge(facts, {"rewritten": row.content["created"]})
    intent_id = reference.payment_intent_id
    return Finding(
        payment=payment,
        facts=facts,
        event=row,
        session_id=reference.session_id,
        payment_intent_id=intent_id,
        is_new_intent=intent_id is not None and known.owners.get(intent_id) != payment.pk,
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
        flagged = Finding(payment=claimed, facts={"foreign_session": row.content["created"]}, event=row)
        found: tuple[Finding | Foreign, ...] = (flagged, *_foreign(reference, known))
        return _ignored(
            Reason.FOREIGN_SESSION,
            text,
            payment=claimed,
            payment_intent_id=reference.payment_intent_id,
            findings=found,
        )
    intent_id = reference.payment_intent_id
    if intent_id is None or reference.names_us or known.is_foreign(intent_id):
        return _Verdict(
            state=State.IGNORED,
            reason=Reason.NOT_OURS,
            error="It names no payment of this service: another integration made it.",
            payment_intent_id=intent_id,
            findings=_foreign(reference, known),
        )
    return _parked("Its payment is not known yet.", reference)


def _foreign(reference: events.Reference, known: Known) -> tuple[Foreign, ...]:
    """Return the payment intent of an event that is none of ours, if it is not known as another integration's yet."""
    intent_id = reference.payment_intent_id
    is_new = reference.names_us and intent_id is not None and intent_id not in known.owners
    return (Foreign(intent_id=intent_id),) if is_new and intent_id else ()


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
    reason: Reason,
    error: str,
    *,
    payment: Payment | None = None,
    payment_intent_id: str | None = None,
    findings: tuple[Finding | Foreign, ...] = (),
) -> _Verdict:
    return _Verdict(
        state=State.IGNORED,
        reason=reason,
        error=error,
        payment=payment,
        payment_intent_id=payment_intent_id,
        findings=findings,
    )


def _parked(error: str, reference: events.Reference, *, payment: Payment | None = None) -> _Verdict:
    return _Verdict(
        state=State.PARKED, error=error, payment=payment, payment_intent_id=reference.payment_intent_id
    )
