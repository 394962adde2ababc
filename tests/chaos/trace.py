"""All that a run saw, for whoever wants to know why it failed."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.chaos.records import ClientRecord, FaultRecord, Truth


def write_trace(
    path: Path, *, truth: Truth, clients: Iterable[ClientRecord], faults: Iterable[FaultRecord]
) -> None:
    """Write feeds, clients and faults as JSON, without payment links. Times are seconds since 1970."""
    seen = {
        "faults": [asdict(fault) for fault in faults],
        "clients": [asdict(client) for client in clients],
        "feeds": {
            user_id: [asdict(notification) for notification in feed]
            for user_id, feed in truth.notifications.items()
        },
    }
    path.write_text(json.dumps(_without_links(seen), indent=1))


def _without_links(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_links(each) for name, each in value.items() if name != "paymentUrl"}
    if isinstance(value, list | tuple):
        return [_without_links(each) for each in value]
    return value
