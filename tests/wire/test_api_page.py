"""What the API page offers works as it is."""

from html import unescape

import pytest

from payments.api.examples import _ANY_REQUEST, _CONFLICTS, _ERRORS
from tests.support import backend


@pytest.fixture
def paths(server):
    return server.http.get("/api/openapi.json").json()["paths"]


def examples(paths):
    """Yield status and code of the example of each error, by operation."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= "4":
                    example = response["content"]["application/json"]["example"]["error"]
                    yield f"{method} {path}", status, example["code"]


def test_the_example_of_a_request_is_a_payment_that_is_made(server, paths, user_id):
    example = paths["/api/payments"]["post"]["requestBody"]["content"]["application/json"]["example"]

    payment = backend.ask(server, user_id, **example | {"userId": user_id, "rideId": user_id})

    assert (payment["status"], payment["amount"]) == ("pending", example["amount"])


def test_each_error_has_an_example_of_its_own(server, paths):
    shown = list(examples(paths))

    assert {status for _, status, _ in shown} == _ERRORS.keys() | set(map(str, _ANY_REQUEST))
    for operation in {operation for operation, _, _ in shown}:
        described = {status for each, status, _ in shown if each == operation}
        assert set(map(str, _ANY_REQUEST)) <= described
    assert dict.fromkeys(code for _, status, code in shown if status == "409").keys() == {
        "ride_has_payment",
        *(error["code"] for error in _CONFLICTS.values()),
    }
    by_operation = {}
    for operation, _, code in shown:
        by_operation.setdefault(operation, []).append(code)
    assert all(len(codes) == len(set(codes)) for codes in by_operation.values())


def test_the_page_has_a_key_with_debug_alone(server, client, settings):
    settings.DEBUG = False

    assert '"developmentKey": ""' in unescape(client.get("/api/docs").content.decode())
    assert '"developmentKey": "dev-key"' in unescape(server.http.get("/api/docs").text)
