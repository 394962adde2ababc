"""The one place where a payment changes: new facts go in; status, history and notifications follow."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.db import transaction

from notifications import feed
from payments import announcements, writes
from payments.balances import balances
from payments.facts import Facts
from payments.forgotten import is_pseudonym, without_person
from payments.merging import merge
from payments.metrics import UNKNOWN_VALUES
from payments.models import Payment, RefundRequest, StatusChange, WebhookEvent
from payments.status import attention, derive, holds_ride
from payments.writes import Change

# These are what `writes.PAYMENTS` updates: a payment in which none of them differs is not written.
_state = attrgetter("facts", "status", "attention", "ride_claim", "session_id", "payment_intent_id")


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an event, or an answer of Stripe's, adds to a payment."""

    payment: Payment
    facts: Facts
    event: WebhookEvent | None = None
    api_key: str = ""
    """The name of the API key that caused it; empty: none did."""
    session_id: str | None = None
    payment_intent_id: str | None = None
    is_new_intent: bool = False
    """Whether the payment intent was not known to belong to the payment."""


def lock(payment_id: Any) -> Payment:
    """Return a payment, locked until the commit. Raises Payment.DoesNotExist."""
    # Nobody changes a payment's id. So rows that refer to it can be inserted meanwhile.
    return Payment.objects.select_for_update(no_key=True).get(pk=payment_id)


def learn(
    payment_id: Any,
    facts: Facts,
    *,
    cause: StatusChange.Cause,
    api_key: str = "",
    payment_intent_id: str | None = None,
) -> Payment:
    """Lock a payment and add facts to it; return it as it is then. Raises Payment.DoesNotExist."""
    with transaction.atomic():
        # Facts are merged in memory and written whole. Without the lock, facts that another transaction commits
        # meanwhile would be lost.
        payment = lock(payment_id)
        is_new = payment_intent_id is not None and payment_intent_id != payment.payment_intent_id
        update = Update(
            payment=payment,
            facts=facts,
            api_key=api_key,
            payment_intent_id=payment_intent_id,
            is_new_intent=is_new,
        )
        apply_facts([update], cause=cause)
    return payment


def apply_facts(
    updates: Sequence[Update],
    *,
    cause: StatusChange.Cause,
    foreign: Collection[str] = (),
    events: Sequence[WebhookEvent] = (),
    refunds: Sequence[RefundRequest] = (),
    versions: Mapping[uuid.UUID, str] | None = None,
    briefly: bool = False,
) -> list[Change]:
    """Write what updates add to payments, and notify the users of every change of a status.

    The caller has locked the payments and is in a transaction, or gives `versions`: for that, `briefly` and what is
    raised see `writes.write`. `foreign`: payment intents that another integration made. `events`: new ones, which are
    inserted. `refunds`: what Stripe made of requests, which is noted on those that lack it. On PostgreSQL it is one
    statement.
    """
    # Look before the merge, which makes them known: each counts once for a payment.
    unknown = _new_unknown(updates)
    changed, changes = work_out(updates, cause=cause)
    # A frame needs the session; without one the user never got a link.
    announced = [change for change in _net(changes) if change.payment.session_id]
    news, intents = announcements.statuses(announced), _intents(updates, foreign)
    numbers = writes.write(
        writes.Additions(events, changed, intents, changes, refunds, announced, news, versions, briefly)
    )
    # Whoever hears of it may read the feed: the rows have to be committed by then.
    feed.wake_after_commit(news, numbers)
    # Count what is written. A write that fails is tried again, and would count twice.
    for _, value in unknown:
        UNKNOWN_VALUES.labels(field=value.partition("=")[0]).inc()
    return changes


def work_out(updates: Sequence[Update], *, cause: StatusChange.Cause) -> tuple[list[Payment], list[Change]]:
    """Add updates to their payments in memory, in the order given.

    Returns the payments that are not as they were, and the changes of statuses; writes nothing.
    """
    changed: dict[object, Payment] = {}
    changes: list[Change] = []
    for update in updates:
        # Updates of one payment share its object: each begins where the one before ended.
        payment, before = update.payment, update.payment.status
        if _absorb(update):
            changed[payment.pk] = payment
        if payment.status != before:
            change = Change(
                payment=payment,
                before=before,
                after=payment.status,
                cause=cause,
                api_key=update.api_key,
                event=update.event,
            )
            changes.append(change)
    return list(changed.values()), changes


def _new_unknown(updates: Sequence[Update]) -> set[tuple[object, str]]:
    """Return the values that no table has and that a payment did not bear before, by the payment's key."""
    return {
        (update.payment.pk, value)
        for update in updates
        for value in update.facts.get("unknown", {}).keys() - update.payment.facts.get("unknown", {}).keys()
    }


def _net(changes: Sequence[Change]) -> list[Change]:
    """Return the last change of each payment, unless the payment is back where it was: what is past is no news."""
    last = {change.payment.pk: change for change in changes}
    first = {change.payment.pk: change for change in reversed(changes)}
    return [change for pk, change in last.items() if change.after != first[pk].before]


def _intents(updates: Sequence[Update], foreign: Collection[str]) -> dict[str, uuid.UUID | None]:
    """Return the payment intents that are new, and whose each is; one of ours before the same as a foreign one."""
    found: dict[str, uuid.UUID | None] = dict.fromkeys(foreign)
    # Of several updates that name an intent the first decides whose it is.
    for update in reversed(updates):
        if update.is_new_intent and update.payment_intent_id:
            found[update.payment_intent_id] = update.payment.pk
    # Insert in one order: two transactions with the same intents must not wait for each other.
    return dict(sorted(found.items()))


def _absorb(update: Update) -> bool:
    """Add an update to its payment in memory; return whether it changed the payment.

    The status is derived anew even where nothing is new: so a replay mends one that is wrong.
    """
    payment, before = update.payment, _state(update.payment)
    payment.facts = merge(payment.facts, update.facts)
    # Facts only grow: a late event would bring back what was removed of a user who was forgotten.
    if is_pseudonym(payment.user_id):
        payment.facts = without_person(payment.facts)
    # The session whose link the user got stays. Another one can pay the payment, and changes no more than that.
    payment.session_id = payment.session_id or update.session_id
    payment.payment_intent_id = _intent_of(payment, update.payment_intent_id)
    money = balances(payment.facts)
    payment.status = derive(payment.facts, money)
    payment.attention = " ".join(attention(payment.facts, money))
    # The claim is never set again. The ride may have another payment by now, and the unique column would refuse
    # a true event (docs/decisions/0003-a-ride-is-claimed.md).
    if not holds_ride(payment.facts, money):
        payment.ride_claim = None
    return _state(payment) != before


def _intent_of(payment: Payment, found: str | None) -> str | None:
    """Return the payment intent that is shown: the one that paid first, or the first that was heard of."""
    return _paid_intent(payment.facts) or payment.payment_intent_id or found


def _paid_intent(facts: Facts) -> str:
    """Return the payment intent that paid first, of those with the sum that was asked for if there is one."""
    paid = facts.get("paid", {})
    return min(
        # A session that named no intent has an empty name. The id decides between equal times, so that the
        # order of events never does.
        paid.keys() - {""},
        key=lambda intent: (facts["asked"] not in paid[intent], min(paid[intent].values()), intent),
        default="",
    )
