"""Ids as Stripe makes them: a prefix that says the kind, and letters and digits nobody can guess."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_LENGTHS = {"cs_test": 58, "evt": 24, "pi": 24, "ch": 24, "re": 24, "du": 24, "req": 14}


def new_id(prefix: str) -> str:
    """Return an id such as `pi_…`. A session's is a secret too: it is all that its page asks for."""
    return f"{prefix}_{random_part(_LENGTHS.get(prefix, 24))}"


def random_part(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def session_id() -> str:
    return new_id("cs_test")


def payment_intent_id() -> str:
    return new_id("pi")


def charge_id() -> str:
    return new_id("ch")


def refund_id() -> str:
    return new_id("re")


def dispute_id() -> str:
    return new_id("du")


def event_id() -> str:
    return new_id("evt")


def request_id() -> str:
    return new_id("req")


def payment_method_id() -> str:
    return new_id("pm")


def warning_id() -> str:
    return new_id("issfr")


def review_id() -> str:
    return new_id("prv")
