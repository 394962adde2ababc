"""Payments that wait to be paid, written straight into a subject's tables."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from .rides import AMOUNT, CURRENCY, Ride

SERVICE_TABLES = [
    "payments_payment",
    "payments_webhookevent",
    "payments_statuschange",
    "payments_refundrequest",
    "notifications_feed",
    "notifications_notification",
]
PEER_TABLES = ["payments", "events", "notifications"]


def empty(*, database_url: str, tables: Sequence[str]) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE".encode())


def seed_service(*, database_url: str, rides: Iterable[Ride]) -> None:
    """Write payments as `checkout.start` leaves them, their link sent long ago."""
    now = datetime.now(UTC)
    rows = (
        {
            "id": ride.payment_id,
            "ride_id": ride.ride_id,
            "ride_claim": ride.ride_id,
            "user_id": ride.user_id,
            "amount": AMOUNT,
            "currency": CURRENCY,
            "description": "",
            "status": "pending",
            "attention": "",
            "api_key": "",
            "facts": json.dumps({"asked": f"{AMOUNT} {CURRENCY}"}),
            "session_id": ride.session_id,
            "payment_url": f"https://checkout.stripe.com/c/pay/{ride.session_id}",
            "expires_at": now + timedelta(days=1),
            "link_seq": 1,
            "stripe_params": json.dumps({"mode": "payment", "client_reference_id": str(ride.payment_id)}),
            "attempt": 1,
            "stripe_error": "",
            "request_digest": "0" * 64,
            "created_at": now,
        }
        for ride in rides
    )
    _copy(database_url, "payments_payment", rows)


def seed_peer(*, database_url: str, rides: Iterable[Ride]) -> None:
    now = datetime.now(UTC)
    rows = (
        {
            "id": ride.payment_id,
            "ride_id": ride.ride_id,
            "user_id": ride.user_id,
            "amount": AMOUNT,
            "currency": CURRENCY,
            "status": "pending",
            "session_id": ride.session_id,
            "url": f"https://checkout.stripe.com/c/pay/{ride.session_id}",
            "created_at": now,
            "updated_at": now,
        }
        for ride in rides
    )
    _copy(database_url, "payments", rows)


def _copy(database_url: str, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows, and leave the table and the disk quiet: the measuring comes right after."""
    first = next(rows)
    with psycopg.connect(database_url, autocommit=True) as connection:
        columns = ", ".join(first)
        with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            copy.write_row(list(first.values()))
            for row in rows:
                copy.write_row(list(row.values()))
        # Else autovacuum and a checkpoint would come in the middle of the measuring.
        connection.execute(f"VACUUM ANALYZE {table}".encode())
        connection.execute("CHECKPOINT")
