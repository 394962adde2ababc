import hmac
import json
import os
from functools import partial
from typing import Any

import requests
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST
from pydantic import ValidationError

from benchmarks.peers.orders import NewPayment, PaymentOut
from benchmarks.peers.stripe import SESSIONS, is_signed, session_request

from .consumers import group_of
from .models import Event, Notification, Payment

AUTHORIZATION = f"Bearer {os.environ['API_KEY']}".encode()
stripe = requests.Session()
stripe.trust_env = False


def healthz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 a view's signature
    return HttpResponse("ok")


@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    if not is_signed(body=request.body, header=request.headers.get("Stripe-Signature", "")):
        return HttpResponse("The signature does not match.", status=400)
    event = json.loads(request.body)
    content = {"type": event["type"], "body": request.body.decode()}
    with transaction.atomic():
        _, is_new = Event.objects.get_or_create(id=event["id"], defaults=content)
        if is_new and event["type"] == "checkout.session.completed":
            _succeed(event["data"]["object"]["client_reference_id"])
    return HttpResponse()


def _succeed(payment_id: str) -> None:
    payment = Payment.objects.select_for_update().filter(pk=payment_id).first()
    if payment is None:
        return
    payment.status = "succeeded"
    payment.save(update_fields=["status", "updated_at"])
    _notify(
        payment,
        {
            "type": "payment_status_update",
            "rideId": payment.ride_id,
            "status": payment.status,
            "stripeSessionId": payment.session_id,
        },
    )


def _notify(payment: Payment, content: dict[str, Any]) -> None:
    """Write a frame for the payment's user, and push it once that is committed."""
    frame = json.dumps(content)
    Notification.objects.create(user_id=payment.user_id, frame=frame)
    send = async_to_sync(get_channel_layer().group_send)
    transaction.on_commit(partial(send, group_of(payment.user_id), {"type": "push", "frame": frame}))


@require_POST
def create_payment(request: HttpRequest) -> HttpResponse:
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), AUTHORIZATION):
        return HttpResponse("Send the API key.", status=401)
    try:
        order = NewPayment.model_validate_json(request.body)
    except ValidationError as error:
        return HttpResponse(error.json(), status=422, content_type="application/json")
    payment = Payment.objects.create(
        ride_id=order.ride_id, user_id=order.user_id, amount=order.amount, currency=order.currency.lower()
    )
    _ask_stripe(payment, order)
    return HttpResponse(_shown(payment).model_dump_json(), status=201, content_type="application/json")


def _ask_stripe(payment: Payment, order: NewPayment) -> None:
    response = stripe.post(SESSIONS, **session_request(payment.id, order), timeout=20)
    response.raise_for_status()
    session = response.json()
    payment.session_id, payment.url = session["id"], session["url"]
    content = {
        "type": "payment_url",
        "rideId": payment.ride_id,
        "paymentUrl": payment.url,
        "status": payment.status,
    }
    with transaction.atomic():
        payment.save(update_fields=["session_id", "url", "updated_at"])
        _notify(payment, content)


def _shown(payment: Payment) -> PaymentOut:
    return PaymentOut(
        id=payment.id,
        ride_id=payment.ride_id,
        user_id=payment.user_id,
        amount=payment.amount,
        currency=payment.currency,
        status=payment.status,
        payment_url=payment.url or "",
        stripe_session_id=payment.session_id or "",
        created_at=payment.created_at,
    )
