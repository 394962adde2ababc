"""Where Stripe delivers its events.

It is an ASGI application of its own, beside Django's. Django's handler starts and joins a thread for each request,
also for an async view, and that costs more than all else of an event; middleware, which would be left out then, is of
no use to an endpoint for the signed messages of a machine.
"""

import logging
from typing import Any, NamedTuple

import orjson
from django.db import OperationalError

from payments import intake, signatures, webhooks, writer
from payments.metrics import REFUSED
from payments.models import WebhookEvent
from payments.refusals import log_outage

logger = logging.getLogger(__name__)

PATHS = frozenset({"/webhooks/stripe/", "/webhooks/stripe"})


class Answer(NamedTuple):
    status: int
    content: dict[str, Any]


class HungUpError(Exception):
    """The client went before its request was there, or sent more than it may."""


async def stripe_webhook(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 once an event is stored and applied, 400 to what is not Stripe's, 5xx to be sent it again."""
    try:
        answer = await _take_in(scope, receive) if scope["method"] == "POST" else _NOT_POST
    except HungUpError:
        return
    except Exception:
        logger.exception("A webhook could not be answered.")
        answer = _BROKEN
    body = orjson.dumps(answer.content)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if answer is _NOT_POST:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _take_in(scope: Any, receive: Any) -> Answer:
    """Take an event in. The body of what cannot have been signed just now is not waited for."""
    try:
        signature = signatures.read(_signature(scope))
        row = webhooks.receive(body=await _read(receive), signature=signature)
        outcome = await writer.take_in(row)
    except signatures.SignatureOfAnotherTime as error:
        return _refuse_time(error)
    except signatures.InvalidSignature as error:
        logger.warning("Webhooks are refused: %s Compare STRIPE_WEBHOOK_SECRETS with Stripe's.", error)
        return _refuse(400, "invalid_signature", str(error))
    except intake.MalformedEvent as error:
        return _refuse(400, "malformed_event", str(error))
    except OperationalError as error:
        log_outage(error)
        return _refuse(503, "unavailable", "The database did not answer: deliver the event again.")
    if outcome.state == WebhookEvent.State.FAILED:
        return _refuse(500, "not_applied", "The event is stored but could not be applied: deliver it again.")
    return Answer(200, {"event": outcome.event_id, "state": outcome.state})


def _refuse_time(error: signatures.SignatureOfAnotherTime) -> Answer:
    logger.warning("Webhooks are refused as signed at another time. %s", error)
    if error.age > 0:
        return _refuse(400, "signature_too_old", str(error))
    return _refuse(400, "signature_too_new", str(error))


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
    return Answer(status, {"error": {"code": code, "message": message}})


_NOT_POST = Answer(
    405, {"error": {"code": "method_not_allowed", "message": "This address takes POST alone."}}
)
_BROKEN = Answer(
    500,
    {
        "error": {
            "code": "internal_error",
            "message": "Something broke. It is logged; deliver the event again.",
        }
    },
)
