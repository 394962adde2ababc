"""Seal messages of the channel layer, since others may be able to write to Redis.

A message carries a MAC of all its values, by a key that the processes of an installation derive from SECRET_KEY. The
names of groups are made with the key too, so that installations on one Redis do not hear each other, and a name does
not reveal its user. A message that does not verify is dropped and counted. The reconciler delivers instead.
"""

import hmac
import logging
from functools import cache
from typing import Any

import orjson
from django.conf import settings

from notifications import metrics

logger = logging.getLogger(__name__)

_PURPOSE = b"notifications.fanout.seal"
_REFUSED = {
    "unreadable": "A message of the channel layer cannot be read, and is dropped.",
    "seal": "A message of the channel layer is not sealed with this SECRET_KEY, and is dropped. Check which programs write there.",
    "epoch": "A message of the channel layer has a number of another epoch, and is dropped.",
}


def group_name(kind: str, *parts: str) -> str:
    """Return the name of a group. It is a hash: Channels allows at most 100 characters, and few signs among them."""
    return f"{kind}.{_mac([kind, *parts])}"


def sealed(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its seal. Values are text and numbers alone."""
    return message | {"seal": _mac(message)}


def is_ours(message: Any) -> bool:
    """Return whether a message has the seal of its values."""
    if not isinstance(message, dict):
        return False
    values = {key: value for key, value in message.items() if key != "seal"}
    seal = message.get("seal")
    try:
        # compare_digest raises TypeError for text beyond ASCII, so bytes are compared.
        return isinstance(seal, str) and hmac.compare_digest(seal.encode(), _mac(values).encode())
    except (TypeError, ValueError):  # it has no JSON form, so that we have not sealed it
        return False


def refuse(reason: str) -> None:
    """Count and log a dropped message. `reason`: `unreadable`, `seal` or `epoch`. Each is logged once a minute."""
    metrics.REFUSED.labels(reason).inc()
    logger.warning(_REFUSED[reason])


def _mac(values: Any) -> str:
    """Return the MAC of JSON values: a list for a name, a mapping for a message, so that they cannot be confused."""
    text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    # Sorted, so that equal messages have one text, whatever the order of their keys.
    return hmac.digest(_key(settings.SECRET_KEY), text, "sha256").hex()


@cache
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), _PURPOSE, "sha256")
