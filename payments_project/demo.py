"""Show the first page, and lead to the icon."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from payments.stripe.currencies import decimals

CURRENCIES = ("usd", "eur", "gbp", "chf", "inr", "jpy", "krw", "bhd")


@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """Show a rider's phone beside a backend that creates payments. Without DEBUG show a plain welcome page.

    The backend's half runs in the browser and needs an API key: the page holds one in development only.
    """
    context = {"sandbox": settings.STRIPE_SANDBOX, "demo": settings.DEBUG, "here": "demo"}
    if not settings.DEBUG:
        return render(request, "welcome.html", context)
    context |= {
        "api_key": settings.API_KEYS[0],
        "token_needed": settings.NOTIFICATIONS_AUTH == "token",
        "currencies": [(code.upper(), decimals(code)) for code in CURRENCIES],
    }
    return render(request, "demo.html", context)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 a view's signature
    """Redirect to the icon. Browsers ask for this address on their own."""
    return HttpResponseRedirect(static("icon.svg"))
