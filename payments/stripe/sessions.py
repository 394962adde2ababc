"""Read the facts of Checkout Sessions, and of their payment intents."""

from collections.abc import Callable, Mapping
from typing import Literal

from payments.facts import Facts, Failure
from payments.merging import merge
from payments.stripe import values
from payments.stripe.states import PAYMENT_STATES
from payments.stripe.values import Object


def paid(session: Object, at: int) -> Facts:
    """Return that the session was paid, with its sum."""
    # A session may name no intent. Its money counts all the same, under an empty name.
    sum_ = values.money_of(session["amount_total"], session["currency"])
    return {"paid": {values.id_of(session.get("payment_intent")) or "": {sum_: at}}}


def completed(session: Object, at: int) -> Facts:
    """Return what a completed session says. `unpaid` means a delayed method.

    Source: https://docs.stripe.com/checkout/fulfillment
    """
    status = session["payment_status"]
    if status == "paid":
        return paid(session, at)
    if status == "no_payment_required":
        return {"nothing_due": at}
    unknown = values.unknown("session.payment_status", status, PAYMENT_STATES, at)
    if session.get("recovered_from"):
        return merge({"recovered": {values.own_id(session): {"completed_unpaid": at}}}, unknown)
    return merge({"completed_unpaid": {values.id_of(session.get("payment_intent")) or "": at}}, unknown)


def ended(fact: Literal["async_failed", "expired"]) -> Callable[[Object, int], Facts]:
    """Return a reader of how a session ended. One that Stripe made from an expired one speaks for itself alone.

    Source: https://docs.stripe.com/payments/checkout/abandoned-carts
    """

    def read(session: Object, at: int) -> Facts:
        known: Facts = {}
        if session.get("recovered_from"):
            known["recovered"] = {values.own_id(session): {fact: at}}
        else:
            known[fact] = at
        return known

    return read


def intent_succeeded(intent: Object, at: int) -> Facts:
    """Return that the intent was paid, with its sum."""
    return {
        "paid": {values.own_id(intent): {values.money_of(intent["amount_received"], intent["currency"]): at}}
    }


def intent_canceled(intent: Object, at: int) -> Facts:
    """Return that the intent was canceled, or that Stripe did it because its session's time was up.

    Source: https://docs.stripe.com/api/payment_intents/object#payment_intent_object-cancellation_reason.
    """
    if intent.get("cancellation_reason") in {"automatic", "expired"}:
        return {"expired_intents": {values.own_id(intent): at}}
    return {"canceled_intents": {values.own_id(intent): at}}


def intent_processing(intent: Object, at: int) -> Facts:
    """Return that an attempt to pay is under way."""
    # That something was tried with this intent is kept: so the end of another one does not end the payment.
    return {"processing": {_charge_id(intent): at}, "attempted": {values.own_id(intent): at}}


def intent_waits(intent: Object, at: int) -> Facts:
    """Return that the customer was asked to do something."""
    return {"action_required": at, "attempted": {values.own_id(intent): at}}


def intent_failed(intent: Object, at: int) -> Facts:
    """Return that an attempt to pay failed, and why."""
    # By charge: a card that was declined must not outrank the bank debit that the customer tries next.
    known: Facts = {"failed": {_charge_id(intent): at}, "attempted": {values.own_id(intent): at}}
    if isinstance(error := intent.get("last_payment_error"), Mapping):
        known["failure"] = Failure(
            at=at,
            code=values.shown(error.get("code")),
            decline_code=values.shown(error.get("decline_code")),
            advice_code=values.shown(error.get("advice_code")),
            message=values.shown(error.get("message"), most=500),
        )
    return known


def _charge_id(intent: Object) -> str:
    """Return the charge of an intent's latest attempt; before the version 2022-11-15 it stands first in a list."""
    listed = values.find(intent, "charges", "data")
    return (
        values.id_of(intent.get("latest_charge"))
        or (values.id_of(listed[0]) if isinstance(listed, list) and listed else "")
        or ""
    )
