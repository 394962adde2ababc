"""Requests that no operation gets to see."""

from urllib.parse import unquote

import pytest
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("payments.sandbox.tests.urls")]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer sk_test_wrong", "Basic sk_test_wrong", "Basic %%%", "Digest x", "Bearer ü"],
)
def test_whoever_has_not_the_key_is_refused(header):
    answer = Client().get("/v1/events", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/"),
        ("GET", "/v1/customers"),
        ("DELETE", "/v1/events"),
        ("POST", "/v1/events/"),
        ("PUT", "/v1/a/b"),
        ("GET", "/v1/events/evt%00"),
        ("POST", f"/v1/checkout/sessions/{'x' * 200}/expire"),
    ],
)
def test_an_unknown_address_is_a_404_in_stripes_shape(settings, method, path):
    headers = {"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}", "Idempotency-Key": "k"}
    answer = Client().generic(method, path, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    said = f"Unrecognized request URL ({method}: {unquote(path)})"
    assert answer.json()["error"]["message"].startswith(said)
