"""Answer Stripe's deliveries of events.

This is an ASGI application of its own, beside Django's. Django's handler starts and joins a thread for each request,
also for an async view, and that costs more than all else of an event; middleware, which would be left out then, is of
no use to an endpoint for the signed messages of a machine.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.db import OperationalError

from payments.api.errors import log_outage
from payments.metrics import REFUSED
from payments.models import WebhookEvent
from payments.webhooks import batches, envelope, ingest, signatures

logger = logging.getLogger(__name__)

PATHS = frozenset({"/webhooks/stripe/", "/webhooks/stripe"})


class Answer(NamedTuple):
    """An HTTP response: its status, its body as JSON, and its headers."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, status: int, content: dict[str, Any], **headers: str) -> "Answer":
        """Return an answer with this content."""
        body = orjson.dumps(content)
        described = {"content-type": "application/json", "content-length": str(len(body))} | headers
        return cls(status, body, tuple(described.items()))

    @classmethod
    def error(cls, status: int, code: str, message: str, **headers: str) -> "Answer":
        """Return an answer that says what is wrong."""
        return cls.of(status, {"error": {"code": code, "message": message}}, **headers)


class HungUpError(Exception):
    """The client went before its request was there, or sent more than it may."""


async def stripe_webhook(scope: Any, receive: Any, send: Any) -> None:
    """Answer an ASGI request."""
    try:
        answered = await answer(
            method=scope["method"], signature=_signature(scope), read=partial(_read, receive)
        )
    except HungUpError:
        return
    headers = [(name.encode(), value.encode()) for name, value in answered.headers]
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


async def answer(*, method: str, signature: str, read: Callable[[], Awaitable[bytes]]) -> Answer:
    """Answer 200 once an event is stored and applied, 400 to what is not Stripe's, 5xx to be sent it again.

    `read` returns the body. It is not called where the signature cannot have been made just now. Raises HungUpError
    if `read` does.
    """
    try:
        return await _ingest(signature=signature, read=read) if method == "POST" else _NOT_POST
    except HungUpError:
        raise
    except Exception:
        logger.exception("A webhook could not be answered.")
        return _BROKEN


async def _ingest(*, signature: str, read: Callable[[], Awaitable[bytes]]) -> Answer:
    """Verify, store and apply an event. A body whose signature cannot be good is not waited for."""
    try:
        signed = signatures.read(signature)
        row = ingest.receive(body=await read(), signature=signed)
        result = await batches.submit(row)
    except signatures.InvalidSignature as error:
        logger.warning("Webhooks are refused as %s: %s", error.code, error, extra={"reason": error.code})
        return _refuse(400, error.code, str(error))
    except envelope.MalformedEvent as error:
        return _refuse(400, "malformed_event", str(error))
    except OperationalError as error:
        log_outage(error)
        return _refuse(503, "unavailable", "The database did not answer: deliver the event again.")
    if result.state == WebhookEvent.State.FAILED:
        return _refuse(500, "not_applied", "The event is stored but could not be applied: deliver it again.")
    return Answer.of(200, {"event": result.event_id, "state": result.state})


async def _read(receive: Any) -> bytes:
    """Return the body. Raises HungUpError. How much it may be is bounded for all requests."""
    body = bytearray()
    is_whole = False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUpError
        body += message.get("body", b"")
        is_whole = not message.get("more_body")
    return bytes(body)


def _signature(scope: Any) -> str:
    """Return the Stripe-Signature header; several lines are one, with commas between (RFC 9110, section 5.2)."""
    values = [value for name, value in scope["headers"] if name == b"stripe-signature"]
    return ",".join(value.decode("latin1") for value in values)


def _refuse(status: int, code: str, message: str) -> Answer:
    REFUSED.labels(reason=code).inc()
    return Answer.error(status, code, message)


_NOT_POST = Answer.error(405, "method_not_allowed", "This address takes POST alone.", allow="POST")
_BROKEN = Answer.error(500, "internal_error", "Something broke. It is logged; deliver the event again.")
