"""Columns and indexes that several tables have."""

import secrets
import time
import uuid

from django.db import models


def uuid7() -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562, section 5.7), whose place in an index is beside the last one's."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return uuid.UUID(int=number & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 0b10 << 62)


def by_beginning(field: str, *, name: str) -> models.Index:
    """Return an index that finds a whole text and how one begins. PostgreSQL's usual index finds the first alone."""
    return models.Index(fields=[field], name=name, opclasses=["varchar_pattern_ops"])


def unique_by_beginning(field: str, *, name: str) -> models.UniqueConstraint:
    """Return the same for a text that is unique."""
    return models.UniqueConstraint(fields=[field], name=name, opclasses=["varchar_pattern_ops"])


def api_key_name() -> "models.CharField[str, str]":
    """Return a column for the name of the API key that caused something. The name stays when the key is gone."""
    return models.CharField(
        "API key",
        max_length=64,
        # The version before, which does not know the column, inserts rows while a migration runs.
        db_default="",
        default="",
        help_text="The name of the API key that asked for it; empty: none did.",
    )
