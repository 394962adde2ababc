"""Seals on what goes over the channel layer: who can write to Redis is not believed for that.

A message carries a MAC of all that it says, by a key that the processes of an installation derive from SECRET_KEY.
The names of groups are made with the key, too, so that installations on one Redis hear nothing of each other, and
nobody learns from a name whose it is. What does not verify is dropped and counted; what it would have said, the
reconciler brings.
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
    "seal": "A message of the channel layer is not sealed with this SECRET_KEY, and is dropped. Who else writes there?",
    "epoch": "A message of the channel layer has a number of another epoch, and is dropped.",
}


def group_name(kind: str, *parts: str) -> str:
    """Return the name of a group: Channels takes 100 characters at most, and few others than letters."""
    return f"{kind}.{_mac([kind, *parts])}"


def sealed(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its seal. Values are text and numbers alone."""
    return message | {"seal": _mac(message)}


def is_ours(message: Any) -> bool:
    """Tell whether a message has the seal of what it says."""
    if not isinstance(message, dict):
        return False
    said = {key: value for key, value in message.items() if key != "seal"}
    seal = message.get("seal")
    try:
        return isinstance(seal, str) and hmac.compare_digest(seal.encode(), _mac(said).encode())
    except (TypeError, ValueError):  # we seal nothing that has no JSON form
        return False


def refuse(reason: str) -> None:
    """Count a message that is dropped: `unreadable`, `seal` or `epoch`. The log is to say so once a minute."""
    metrics.REFUSED.labels(reason).inc()
    logger.warning(_REFUSED[reason])


def _mac(said: Any) -> str:
    """Return the MAC of JSON values. A name's are a list, a message's a mapping: neither is taken for the other."""
    text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(_key(settings.SECRET_KEY), text, "sha256").hex()


@cache
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), _PURPOSE, "sha256")
