"""Stripe's ids: a prefix that names the kind, then random letters and digits."""

import secrets
import string
from functools import partial

_ALPHABET = string.ascii_letters + string.digits
_LENGTHS = {"cs_test": 58, "req": 14}


def new_id(prefix: str) -> str:
    """Return a new id such as `pi_…`. A session's id is also a secret, because it opens the payment page."""
    # Clients store ids in columns, so they are as long as Stripe's.
    length = _LENGTHS.get(prefix, 24)
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(length))}"


session_id = partial(new_id, "cs_test")
payment_intent_id = partial(new_id, "pi")
charge_id = partial(new_id, "ch")
refund_id = partial(new_id, "re")
dispute_id = partial(new_id, "du")
event_id = partial(new_id, "evt")
request_id = partial(new_id, "req")
payment_method_id = partial(new_id, "pm")
warning_id = partial(new_id, "issfr")
review_id = partial(new_id, "prv")
