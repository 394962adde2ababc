"""Requests that no operation gets to see."""

from urllib.parse import unquote

import pytest
from django.db import OperationalError
from django.test import Client

from stripe_sandbox.api import faults
from stripe_sandbox.api.parameters import API_VERSION

pytestmark = [pytest.mark.django_db, pytest.mark.urls("stripe_sandbox.tests.urls")]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer sk_test_wrong", "Basic sk_test_wrong", "Basic %%%", "Digest x", "Bearer ü"],
)
def test_whoever_has_not_the_key_is_refused(header):
    answer = Client().get("/v1/events", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.fixture
def ask(settings):
    """Ask for the events with these headers."""

    def get(key=settings.STRIPE_SECRET_KEY, path="/v1/events", **headers):
        return Client().get(path, headers={"Authorization": f"Bearer {key}"} | headers)

    return get


@pytest.mark.parametrize("key", ["sk_test_x", "rk_test_4eC39HqLyjWDarjtT1zdp7dc"])
def test_while_developing_any_test_key_will_do(ask, settings, key):
    assert ask(key).status_code == 401
    settings.DEBUG = True
    assert ask(key).status_code == 200


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x", "pk_test_x", "sk_test_", "sk_test_x y", "x"])
def test_another_key_never_will_do(ask, settings, key):
    settings.DEBUG = True
    assert ask(key).status_code == 401
    assert key not in ask(key).json()["error"]["message"] or len(key) < 12


@pytest.mark.parametrize("version", ["garbage", "2030-01-01.foo", "2019-05-16", "2026-10-28"])
def test_another_version_is_refused(ask, version):
    answer = ask(**{"Stripe-Version": version})
    assert answer.status_code == 400
    assert API_VERSION in answer.json()["error"]["message"]
    assert ask(**{"Stripe-Version": API_VERSION}).status_code == 200


@pytest.mark.parametrize("header", ["Stripe-Account", "Stripe-Context"])
def test_another_account_is_refused(ask, header):
    answer = ask(**{header: "acct_123"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_invalid")
    assert "acct_123" in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["payment_intents", "charges", "customers"])
def test_search_is_said_not_to_be_supported(ask, kind):
    answer = ask(path=f"/v1/{kind}/search?query=status:'succeeded'")
    assert answer.status_code == 404
    assert "does not support search" in answer.json()["error"]["message"]


def test_version_2_of_the_api_is_said_not_to_be_supported_in_json(ask):
    answer = ask(path="/v2/core/events")
    assert answer.status_code == 404
    assert "does not support version 2" in answer.json()["error"]["message"]


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


def test_while_its_database_is_away_a_call_fails_without_a_traceback_in_the_log(ask, monkeypatch, caplog):
    def away():
        raise OperationalError("connection failed")

    monkeypatch.setattr(faults, "take", away)

    assert ask().status_code == 500
    assert [
        (record.levelname, record.exc_info) for record in caplog.records if "sandbox" in record.message
    ] == [("WARNING", None)]
