"""URLs of the webhook, and of the pages that Checkout sends a customer back to."""

from django.urls import path

from payments import views
from payments.webhooks.endpoint import PATHS

urlpatterns = [
    *(path(at.removeprefix("/"), views.stripe_webhook, name="stripe-webhook") for at in PATHS),
    path("checkout/success", views.checkout_success, name="checkout-success"),
    path("checkout/cancel", views.checkout_cancel, name="checkout-cancel"),
]
