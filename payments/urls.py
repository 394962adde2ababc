"""URLs of the webhook, and of the pages that Checkout sends a customer back to."""

from django.urls import path

from payments import views

urlpatterns = [
    path("webhooks/stripe/", views.stripe_webhook, name="stripe-webhook"),
    path("webhooks/stripe", views.stripe_webhook),
    path("checkout/success", views.checkout_success, name="checkout-success"),
    path("checkout/cancel", views.checkout_cancel, name="checkout-cancel"),
]
