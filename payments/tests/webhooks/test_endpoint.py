"""The webhook's address in Django's own URLs, for what does not go through the ASGI application."""

import pytest
from django.urls import resolve, reverse

from payments.models import Payment
from payments.tests import stripe_events as stripe

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_address_is_one_of_djangos(client):
    assert reverse("stripe-webhook") == "/webhooks/stripe/"
    assert resolve("/webhooks/stripe").func == resolve("/webhooks/stripe/").func


def test_a_signed_event_is_applied(client, make_payment, sign):
    payment = make_payment()
    body = stripe.bodies(stripe.paid(payment))[0]

    answer = client.post(
        reverse("stripe-webhook"),
        body,
        content_type="application/json",
        headers={"Stripe-Signature": sign(body)},
    )

    assert (answer.status_code, answer.json()["state"]) == (200, "applied")
    assert Payment.objects.get(pk=payment.pk).status == "succeeded"


def test_what_nobody_signed_is_refused(client):
    answer = client.post(reverse("stripe-webhook"), b"{}", content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsigned")


def test_another_method_is_refused(client):
    answer = client.get(reverse("stripe-webhook"))

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
