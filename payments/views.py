"""Views of the webhook, and of the pages that Checkout sends a customer back to."""

import logging
import re
from urllib.parse import quote

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from database.errors import describe
from payments.models import Payment
from payments.reconciliation import on_demand
from payments.status import Status
from payments.webhooks import endpoint

logger = logging.getLogger(__name__)

_SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,200}")
_WORDS = {
    Status.PROCESSING: "processing",
    Status.SUCCEEDED: "paid",
    Status.DISPUTED: "paid",
    Status.PARTIALLY_REFUNDED: "paid",
    Status.REFUNDED: "returned",
    Status.CHARGED_BACK: "returned",
    Status.EXPIRED: "over",
    Status.CANCELED: "over",
}
"""The page's text for a customer who comes back, by status. Of any other status, it is not known yet."""


@csrf_exempt
async def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Take an event where no ASGI server asks `webhooks.endpoint` first: `reverse()`, the test client, WSGI."""
    body = request.body

    async def read() -> bytes:
        return body

    signature = request.headers.get("Stripe-Signature", "")
    answer = await endpoint.answer(method=str(request.method), signature=signature, read=read)
    return JsonResponse(answer.content, status=answer.status, headers=answer.headers)


@never_cache
@require_safe
def checkout_success(request: HttpRequest) -> HttpResponse:
    """Show a customer who comes back from Checkout how the payment stands.

    Check it at Stripe if Stripe may have finished it, so that the customer need not wait for an event.
    """
    payment = _returned(request)
    ride = f"?rideId={quote(payment.ride_id, safe='')}" if payment else ""
    return render(
        request, "checkout/success.html", {"outcome": _outcome(payment), "app": _app_link("success", ride)}
    )


@require_safe
def checkout_cancel(request: HttpRequest) -> HttpResponse:
    """Show a customer who left Checkout that nothing was paid, and that the link still works."""
    return render(request, "checkout/cancel.html", {"app": _app_link("cancel")})


def _outcome(payment: Payment | None) -> str:
    """Return the page's outcome. While the ride is held, a failed attempt is not final: another may have paid."""
    if payment is None:
        return "unknown"
    if payment.status == Status.FAILED and payment.ride_claim is None:
        return "failed"
    return _WORDS.get(Status(payment.status), "unknown")


def _returned(request: HttpRequest) -> Payment | None:
    """Return the payment whose session the URL names, if there is one."""
    session_id = request.GET.get("session_id", "")
    # Anybody can open the page: what cannot be a session costs no query.
    if not _SESSION_ID.fullmatch(session_id):
        return None
    try:
        payment = Payment.objects.filter(session_id=session_id).first()
        return on_demand.for_customer(payment) if payment and _is_looked_at(request) else payment
    # The customer may have paid: a page that does not know the outcome is better than an error.
    except OperationalError as error:
        logger.warning("The database did not answer for a customer who came back: %s", describe(error))
        return None


def _is_looked_at(request: HttpRequest) -> bool:
    """Return whether a customer is looking at the page; a browser may prefetch it.

    Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Purpose. Older browsers send other names.
    """
    purposes = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return request.method == "GET" and not any(re.search("prefetch|preview", each) for each in purposes)


def _app_link(page: str, query: str = "") -> str:
    """Return the URL that opens the rider's app. It carries no secret and no Checkout link."""
    return f"{settings.APP_SCHEME}://checkout/{page}{query}" if settings.APP_SCHEME else ""
