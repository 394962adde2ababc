"""Where Stripe delivers its events."""

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments import gateway, intake, webhooks
from payments.metrics import REFUSED
from payments.models import WebhookEvent


@csrf_exempt  # the signature is the proof
@require_POST
def stripe_webhook(request: HttpRequest) -> JsonResponse:
    """Answer 200 once an event is stored and applied, 400 or 413 to what is not Stripe's, 5xx to be sent it again."""
    try:
        return _answer(
            webhooks.receive(body=request.body, signature=request.headers.get("Stripe-Signature", ""))
        )
    except RequestDataTooBig:
        return _refuse(413, "too_large", "Send an event of at most 1 MiB.")
    except UnreadablePostError:
        return _refuse(400, "unreadable", "The body ended early: send it again.")
    except gateway.InvalidSignature as error:
        return _refuse(400, "invalid_signature", str(error))
    except intake.MalformedEvent as error:
        return _refuse(400, "malformed_event", str(error))
    except OperationalError:
        return _refuse(503, "unavailable", "The database did not answer: deliver the event again.")


def _answer(outcome: webhooks.Outcome) -> JsonResponse:
    if outcome.state == WebhookEvent.State.FAILED:
        return _refuse(500, "not_applied", "The event is stored but could not be applied: deliver it again.")
    return JsonResponse({"event": outcome.event_id, "state": outcome.state})


def _refuse(status: int, code: str, message: str) -> JsonResponse:
    REFUSED.labels(reason=code).inc()
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
