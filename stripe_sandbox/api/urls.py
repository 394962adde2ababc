"""Stripe's paths under /v1/. `search` is never an id."""

from django.urls import path, re_path

from stripe_sandbox.api import endpoints
from stripe_sandbox.api.views import serve

urlpatterns = [
    path("<path:kind>/search", serve()),
    path("checkout/sessions", serve(GET=endpoints.list_sessions, POST=endpoints.create_session)),
    path("checkout/sessions/<stripe_id>", serve(GET=endpoints.retrieve_session)),
    path("checkout/sessions/<stripe_id>/line_items", serve(GET=endpoints.list_line_items)),
    path("checkout/sessions/<stripe_id>/expire", serve(POST=endpoints.expire_session)),
    path("payment_intents", serve(GET=endpoints.list_payment_intents)),
    path("payment_intents/<stripe_id>", serve(GET=endpoints.retrieve_payment_intent)),
    path("payment_intents/<stripe_id>/cancel", serve(POST=endpoints.cancel_payment_intent)),
    path("charges", serve(GET=endpoints.list_charges)),
    path("charges/<stripe_id>", serve(GET=endpoints.retrieve_charge)),
    path("refunds", serve(GET=endpoints.list_refunds, POST=endpoints.create_refund)),
    path("refunds/<stripe_id>", serve(GET=endpoints.retrieve_refund)),
    path("disputes", serve(GET=endpoints.list_disputes)),
    path("disputes/<stripe_id>", serve(GET=endpoints.retrieve_dispute)),
    path("disputes/<stripe_id>/close", serve(POST=endpoints.close_dispute)),
    path("radar/early_fraud_warnings", serve(GET=endpoints.list_early_fraud_warnings)),
    path("radar/early_fraud_warnings/<stripe_id>", serve(GET=endpoints.retrieve_early_fraud_warning)),
    path("reviews", serve(GET=endpoints.list_reviews)),
    path("reviews/<stripe_id>", serve(GET=endpoints.retrieve_review)),
    path("reviews/<stripe_id>/approve", serve(POST=endpoints.approve_review)),
    path("events", serve(GET=endpoints.list_events)),
    path("events/<stripe_id>", serve(GET=endpoints.retrieve_event)),
    re_path(r"", serve()),
]
