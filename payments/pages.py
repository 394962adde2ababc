"""The pages a person sees outside the admin: the demo, and where Checkout sends a customer back to."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import path
from django.views.decorators.http import require_safe

from payments.currencies import decimals

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


@require_safe
def checkout_success(request: HttpRequest) -> HttpResponse:
    """Thank the customer. Whether money moved is Stripe's to say, and the app's to show."""
    return render(request, "checkout/success.html")


@require_safe
def checkout_cancel(request: HttpRequest) -> HttpResponse:
    """Tell the customer that nothing was paid, and that the link still works."""
    return render(request, "checkout/cancel.html")


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
