"""Ids that are written in the order of time, so that each new row's place in the index is beside the last one's."""

import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """Return a UUID of version 7: milliseconds since 1970, then 74 random bits (RFC 9562, section 5.7)."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return uuid.UUID(int=number & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 0b10 << 62)
