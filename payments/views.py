"""The pages a person sees outside the admin: the demo, and where Checkout sends a customer back to."""

import logging
import re
from urllib.parse import quote

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from payments.models import Payment
from payments.reconciliation import on_demand
from payments.status import Status
from payments.stripe.currencies import decimals

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
"""What the page says to a customer who comes back; of any other status, that it is not known yet."""
DEMO_CURRENCIES = ("usd", "eur", "gbp", "chf", "inr", "jpy", "krw", "bhd")


@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """Show a rider's phone beside a backend that asks for payments; without DEBUG, only what the service is.

    The backend's half runs in the browser and needs an API key: the page holds one in development, never elsewhere.
    """
    context = {"sandbox": settings.STRIPE_SANDBOX, "demo": settings.DEBUG, "here": "demo"}
    if not settings.DEBUG:
        return render(request, "welcome.html", context)
    context |= {
        "api_key": settings.API_KEYS[0],
        "token_needed": settings.NOTIFICATIONS_AUTH == "token",
        "currencies": [(code.upper(), decimals(code)) for code in DEMO_CURRENCIES],
    }
    return render(request, "demo.html", context)


@never_cache
@require_safe
def checkout_success(request: HttpRequest) -> HttpResponse:
    """Say to a customer who comes back from Checkout how the payment is, as far as it is known.

    Stripe is asked about a payment that it may have finished, so that a lost event keeps nobody waiting.
    """
    payment = _returned(request)
    ride = f"?rideId={quote(payment.ride_id, safe='')}" if payment else ""
    return render(
        request, "checkout/success.html", {"outcome": _outcome(payment), "app": _app_link("success", ride)}
    )


@require_safe
def checkout_cancel(request: HttpRequest) -> HttpResponse:
    """Tell the customer that nothing was paid, and that the link still works."""
    return render(request, "checkout/cancel.html", {"app": _app_link("cancel")})


def _outcome(payment: Payment | None) -> str:
    """Return what the page says. An attempt that failed is no end while its ride is held: another may have paid."""
    if payment is None:
        return "unknown"
    if payment.status == Status.FAILED and payment.ride_claim is None:
        return "failed"
    return _WORDS.get(Status(payment.status), "unknown")


def _returned(request: HttpRequest) -> Payment | None:
    """Return the payment of the session that the address names, if there is one."""
    session_id = request.GET.get("session_id", "")
    if not _SESSION_ID.fullmatch(session_id):
        return None
    try:
        payment = Payment.objects.filter(session_id=session_id).first()
        return on_demand.for_customer(payment) if payment and _is_looked_at(request) else payment
    except OperationalError as error:
        logger.warning("A customer came back while the database did not answer: %s", type(error).__name__)
        return None


def _is_looked_at(request: HttpRequest) -> bool:
    """Tell whether a customer reads the page now, and no browser fetches it for later.

    Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Purpose. Older browsers say it otherwise.
    """
    purposes = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return request.method == "GET" and not any(re.search("prefetch|preview", each) for each in purposes)


def _app_link(page: str, query: str = "") -> str:
    """Return the address that opens the rider's app. It holds nothing that opens anything else."""
    return f"{settings.APP_SCHEME}://checkout/{page}{query}" if settings.APP_SCHEME else ""


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 a view's signature
    """Send a browser to the icon: where no page was read that names it, it asks for this address."""
    return HttpResponseRedirect(static("icon.svg"))


urlpatterns = [
    path("", demo, name="demo"),
    path("checkout/success", checkout_success, name="checkout-success"),
    path("checkout/cancel", checkout_cancel, name="checkout-cancel"),
    path("favicon.ico", favicon),
]
