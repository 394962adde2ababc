"""What one thing costs the whole machine: the workers, PostgreSQL and Valkey together."""

from collections.abc import Mapping
from typing import Any

PARTS = {"cpu_ms": "cpu_seconds", "postgresql_ms": "postgresql_seconds", "valkey_ms": "valkey_seconds"}
"""What is reported of each, by where it comes from; the first is the workers'."""
USED = (*PARTS.values(), "wal_bytes")


def each(used: Mapping[str, Any], *, count: int) -> dict[str, float]:
    """Return the share of one of `count`: milliseconds of CPU by part, their sum, and bytes of PostgreSQL's log.

    `used` has the names in USED: seconds of CPU, and bytes.
    """
    shared = count or 1
    parts = {name: 1000 * used[seconds] / shared for name, seconds in PARTS.items()}
    return parts | {"machine_ms": sum(parts.values()), "wal_each": used["wal_bytes"] / shared}
