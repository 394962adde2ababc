"""Make an event's row of a verified body, or of an event that was fetched from Stripe, and store it once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, Literal

from django.db.models import F, QuerySet
from pydantic import BaseModel, Field, ValidationError

from payments.models import WebhookEvent
from payments.stripe.transport import API_VERSION
from payments.webhooks import bodies
from payments.webhooks.scrubbing import scrub

_STORED = ("type", "body", "api_version", "livemode", "object_id", "created_at")
_COPY = ("body", "api_version", "object_id")
"""What may differ between two copies of one event, which come in two versions of Stripe's API."""
_STORABLE = r"^[^\ufffd]*$"
"""What is no character was replaced: it would make one id of two."""

_READ = (WebhookEvent.State.PARKED, WebhookEvent.State.IGNORED)


class MalformedEvent(ValueError):
    """Signed, but no event of the kind this service takes; the message says what to send instead."""


class _Data(BaseModel):
    object: dict[str, Any]


class _Envelope(BaseModel):
    """What every snapshot event has (https://docs.stripe.com/api/events/object)."""

    object: Literal["event"]
    id: Annotated[str, Field(min_length=1, max_length=255, pattern=_STORABLE)]
    type: Annotated[str, Field(min_length=1, pattern=_STORABLE)]
    created: Annotated[int, Field(ge=0, lt=2**32)]
    livemode: bool
    api_version: Any = None
    account: Any = None
    context: Any = None
    data: _Data


def read(body: bytes) -> WebhookEvent:
    """Return the event's row, not stored yet: its body is what is kept of it. Raises MalformedEvent."""
    try:
        content = bodies.parse(body)
        envelope = _Envelope.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        message = f"Send one of Stripe's snapshot events as it is ({where}: {first['msg']})."
        # The error itself quotes the body, which must not get into a log.
        raise MalformedEvent(message) from None
    except ValueError as error:
        raise MalformedEvent(f"Send one of Stripe's snapshot events as it is (body: {error}).") from None
    kept = scrub(content)
    row = WebhookEvent(
        event_id=envelope.id,
        type=_fitting(envelope.type, most=100),
        body=bodies.serialize(kept),
        api_version=_fitting(envelope.api_version, most=255),
        livemode=envelope.livemode,
        # From what is kept: an integration may choose its ids, and takes e-mails for them.
        object_id=_fitting(kept["data"]["object"].get("id"), most=255),
        created_at=datetime.fromtimestamp(envelope.created, tz=UTC),
    )
    # Facts are read from the body as it was delivered. What is stored lacks texts
    # (docs/decisions/0023-what-is-kept-of-a-body.md).
    row.content = {
        "type": envelope.type,
        "created": envelope.created,
        "account": envelope.account,
        "context": envelope.context,
        "data": {"object": envelope.data.object},
    }
    return row


def _fitting(value: Any, *, most: int) -> str:
    """Return a value that is only shown, or compared with what is shorter: as it fits its column."""
    return "" if value is None else str(value).replace("\0", "")[:most]


def store(row: WebhookEvent) -> WebhookEvent:
    """Return the stored row of a delivered event: this one, or that of an earlier delivery. See `_take_copy`."""
    values = {name: getattr(row, name) for name in _STORED}
    event, is_new = WebhookEvent.objects.get_or_create(event_id=row.event_id, defaults=values)
    if not is_new:
        WebhookEvent.objects.filter(pk=event.pk).update(deliveries=F("deliveries") + 1)
        if _take_copy(row):
            event.refresh_from_db()
    return event


def store_fetched(rows: Sequence[WebhookEvent]) -> None:
    """Store events that Stripe was asked for. See `_take_copy` of those that are there already."""
    for row in rows:
        row.deliveries = 0
    # In the order of `writes.write`: else the two could wait for each other. Conflicts are events that are delivered
    # at this moment.
    in_order = sorted(rows, key=attrgetter("event_id"))
    WebhookEvent.objects.bulk_create(in_order, ignore_conflicts=True)
    ids = [row.event_id for row in rows]
    known = set(_not_applied().filter(event_id__in=ids).values_list("event_id", flat=True))
    for row in rows:
        if row.event_id in known:
            _take_copy(row)


def _not_applied() -> QuerySet[WebhookEvent]:
    return WebhookEvent.objects.exclude(state=WebhookEvent.State.APPLIED)


def _take_copy(row: WebhookEvent) -> bool:
    """Let a stored event that was not applied take over a copy that differs; return whether it did.

    An event that names no payment in one version of the API may name it in another. One that waits, or that was
    ignored, in the version that is read stays in that.
    """
    copy = {name: getattr(row, name) for name in _COPY} | {"state": WebhookEvent.State.RECEIVED}
    stored = _not_applied().filter(event_id=row.event_id).exclude(body=row.body)
    if row.api_version != API_VERSION:
        stored = stored.exclude(api_version=API_VERSION, state__in=_READ)
    return bool(stored.update(**copy))
