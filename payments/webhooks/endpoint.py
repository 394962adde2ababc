"""Answer Stripe's deliveries of events, in an ASGI application of its own.

Django's handler starts and joins a thread for each request, which costs more than all else of an event. The signed
messages of a machine need no middleware.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.db import OperationalError

from access.refusals import Kind, refused
from database.errors import log_outage
from payments.metrics import REFUSED
from payments.models import WebhookEvent
from payments.webhooks import batches, envelope, ingest, signatures

logger = logging.getLogger(__name__)

PATHS = ("/webhooks/stripe", "/webhooks/stripe/")


class Answer(NamedTuple):
    """An HTTP response: its status, what its body says in JSON, and its headers beside those of the body."""

    status: int
    content: Mapping[str, Any]
    headers: Mapping[str, str] = {}


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
    # Counted here, and not in `answer`: only the ASGI scope has the sender's address.
    if answered.content.get("error", {}).get("code") in signatures.CODES:
        refused(Kind.SIGNATURE, scope)
    body = orjson.dumps(answered.content)
    described = {"content-type": "application/json", "content-length": str(len(body))}
    headers = {**described, **answered.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answered.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def answer(*, method: str, signature: str, read: Callable[[], Awaitable[bytes]]) -> Answer:
    """Answer 200 once an event is stored and dealt with, 400 to what is not Stripe's, 5xx to be sent it again.

    An event that cannot be read is answered with 200 and the state `failed`: the same bytes, delivered again, would not
    be read either.

    `read` returns the body. It is not called where the signature cannot have been made just now. Raises HungUpError
    if `read` does.
    """
    try:
        if method != "POST":
            return _error(405, "method_not_allowed", "This address takes POST alone.", allow="POST")
        return await _ingest(signature=signature, read=read)
    except HungUpError:
        raise
    except Exception:
        logger.exception("A webhook could not be answered.")
        return _error(500, "internal_error", "Something broke. It is logged; deliver the event again.")


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
        if result.reason == WebhookEvent.Reason.ERROR:
            return _refuse(
                500, "not_applied", "The event is stored but could not be applied: deliver it again."
            )
        # Its error may quote it: the admin shows that.
        logger.error("Events that cannot be read are kept as failed.", extra={"reason": result.reason})
    return Answer(200, {"event": result.event_id, "state": result.state})


async def _read(receive: Any) -> bytes:
    """Return the body. Raises HungUpError. How much it may be is bounded for all requests."""
    # A bytearray grows in place. To add up bytes would copy all of them for each message.
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
    # Latin 1 reads any byte. What is no signature is refused later, under a name of its own.
    return ",".join(value.decode("latin1") for value in values)


def _refuse(status: int, code: str, message: str) -> Answer:
    REFUSED.labels(reason=code).inc()
    return _error(status, code, message)


def _error(status: int, code: str, message: str, **headers: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}}, headers)
