"""Match events to payments: whose each is, what becomes of it, and what it adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from django.utils import timezone

from payments.facts import Facts
from payments.merging import merge
from payments.models import Payment, WebhookEvent
from payments.record import Update
from payments.stripe import events, gateway, transport, values
from payments.stripe.events import Reference
from payments.webhooks.known import Known

State = WebhookEvent.State
Reason = WebhookEvent.Reason


class Matched(NamedTuple):
    """What events add: to payments, and the payment intents that turned out to be another integration's."""

    updates: list[Update]
    foreign: set[str]


@dataclass(frozen=True)
class _Verdict:
    """What becomes of one event, and what it adds."""

    state: State
    reason: Reason | Literal[""] = ""
    error: str = ""
    payment: Payment | None = None
    payment_intent_id: str | None = None
    update: Update | None = None
    foreign: str | None = None


_ignored = partial(_Verdict, State.IGNORED)


def match(rows: Sequence[WebhookEvent], known: Known) -> Matched:
    """Set what becomes of each event; return what they add. What one makes known is known to the next."""
    matched = Matched(updates=[], foreign=set())
    for row in rows:
        verdict = _judge(row, known)
        row.attempts += 1
        row.state, row.reason, row.error = verdict.state, verdict.reason, verdict.error
        row.payment, row.payment_intent_id = verdict.payment, verdict.payment_intent_id or ""
        if verdict.state == State.APPLIED:
            # A replay leaves the time at which the event first counted.
            row.applied_at = row.applied_at or timezone.now()
        if verdict.foreign:
            matched.foreign.add(verdict.foreign)
            known.owners.setdefault(verdict.foreign, None)
        if update := verdict.update:
            matched.updates.append(update)
            if update.is_new_intent and update.payment_intent_id:
                known.owners[update.payment_intent_id] = update.payment.pk
    return matched


def _judge(row: WebhookEvent, known: Known) -> _Verdict:
    """Return what becomes of the event, why where it adds nothing, and what it adds."""
    if refusal := _at_the_gate(row):
        return refusal
    try:
        reference = row.reference
    except events.UnreadableError as error:
        return _unreadable(row, error)
    payment = known.owner(reference)
    if payment is None:
        return _without_payment(row, reference, known)
    if known.belongs_to_another(reference.payment_intent_id, payment):
        # Metadata can be rewritten, ids cannot. Nothing is moved to the other payment: refunds and disputes of
        # the intent, and the ride, would have to move as well.
        text = "Its payment intent belongs to another payment: its metadata was rewritten."
        flag = Update(payment=payment, facts={"rewritten": row.content["created"]}, event=row)
        return _ignored(Reason.OTHER_PAYMENT, text, payment=payment, update=flag)
    return _read(row, reference, payment, known)


def _read(row: WebhookEvent, reference: Reference, payment: Payment, known: Known) -> _Verdict:
    """Return what an event adds to the payment that it is about."""
    try:
        facts = events.facts(row.content)
    except events.UnreadableError as error:
        return _unreadable(row, error, payment=payment)
    except values.ImpossibleSumError as error:
        # Another delivery would say the same, so it does not fail. What the sum means is not known: a person has to
        # look, and nothing of the payment can be refunded here.
        unknown: Facts = {"unknown": {f"{row.type}.amount": row.content["created"]}}
        update = _update(row, reference, payment, unknown, known)
        return _ignored(Reason.IMPOSSIBLE_SUM, str(error), payment=payment, update=update)
    session_id = reference.session_id or payment.session_id
    if session_id is None:
        # The event has overtaken our own write of Stripe's answer. A notification needs the session.
        text, intent_id = "Its payment's session is not known yet.", reference.payment_intent_id
        return _Verdict(State.PARKED, "", text, payment, intent_id)
    if payment.session_id not in {None, session_id} and "paid" not in facts:
        # Money counts whichever session it came by. What else that session says is not about the link that the
        # user has.
        text = "It is of another Checkout session than the one whose link the user got."
        return _ignored(Reason.OTHER_SESSION, text, payment=payment)
    return _Verdict(
        state=State.APPLIED,
        payment=payment,
        payment_intent_id=reference.payment_intent_id,
        update=_update(row, reference, payment, facts, known),
    )


def _update(row: WebhookEvent, reference: Reference, payment: Payment, facts: Facts, known: Known) -> Update:
    if reference.payment_id not in {None, payment.pk}:
        # Its ids say that it is of this payment, so it counts, and a person has to look at the metadata.
        facts = merge(facts, {"rewritten": row.content["created"]})
    intent_id = reference.payment_intent_id
    return Update(
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
    accounts `context` (https://docs.stripe.com/api/events/object#event_object-context). The owner of such an account
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


def _without_payment(row: WebhookEvent, reference: Reference, known: Known) -> _Verdict:
    """Judge an event that names no payment of ours: another integration's, or one that came too early."""
    intent_id = reference.payment_intent_id
    is_new = reference.names_us and intent_id is not None and intent_id not in known.owners
    # Remember it, so that later refunds and disputes of it are ignored at once.
    foreign = intent_id if is_new else None
    if claimed := known.payments.get(reference.claimed_id) if reference.claimed_id else None:
        return _ignored(
            Reason.FOREIGN_SESSION,
            "Its client_reference_id names the payment, but this service did not make its session.",
            payment=claimed,
            payment_intent_id=intent_id,
            update=Update(payment=claimed, facts={"foreign_session": row.content["created"]}, event=row),
            foreign=foreign,
        )
    if intent_id is None or reference.names_us or known.is_foreign(intent_id):
        text = "It names no payment of this service: another integration made it."
        return _ignored(Reason.NOT_OURS, text, payment_intent_id=intent_id, foreign=foreign)
    # A refund or a dispute names no more than its intent. The event that says whose that is may still come.
    return _Verdict(State.PARKED, error="Its payment is not known yet.", payment_intent_id=intent_id)


def _unreadable(row: WebhookEvent, error: events.UnreadableError, payment: Payment | None = None) -> _Verdict:
    """Let an event in a shape that is not read fail: a copy in another version may follow, and takes its place."""
    ours = transport.API_VERSION
    reason, text = Reason.UNREADABLE, f"It cannot be read: {error}."
    if row.api_version not in {"", ours}:
        reason = Reason.API_VERSION
        text = f"It is of API version {row.api_version}, this service reads {ours}: {error}."
    return _Verdict(State.FAILED, reason, text, payment)
