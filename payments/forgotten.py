"""Know a user who was forgotten, and what of a payment's facts says nothing about money. No I/O."""

import re

from django.utils.crypto import salted_hmac

from payments.facts import Charge, Facts

_PSEUDONYM = re.compile(r"forgotten-[0-9a-f]{32}")


def pseudonym(user_id: str) -> str:
    """Return what stands in place of a user id: the same for the same id, and found by nobody without SECRET_KEY."""
    return f"forgotten-{salted_hmac('payments.forgotten', user_id, algorithm='sha256').hexdigest()[:32]}"


def is_pseudonym(user_id: str) -> bool:
    """Return whether it stands in place of a user id."""
    return bool(_PSEUDONYM.fullmatch(user_id))


def without_person(facts: Facts) -> Facts:
    """Return the facts without what they say of the customer: the card's digits, and the receipt, which is a link."""
    if not facts.get("charges"):
        return facts
    bare = {
        name: Charge(**{**made, "last4": "", "receipt_url": ""}) for name, made in facts["charges"].items()
    }
    return {**facts, "charges": bare}
