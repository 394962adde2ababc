"""The ride's backend, over the HTTP API."""

import uuid

from prometheus_client.parser import text_string_to_metric_families

KEY = {"Authorization": "Bearer dev-key"}


def post(server, path, body, **headers):
    return server.http.post(path, json=body, headers=KEY | headers)


def order(user_id, **changes):
    """Return a request for a payment of a new ride."""
    ride_id = f"ride-{uuid.uuid4().hex}"
    return {"rideId": ride_id, "userId": user_id, "amount": 1250, "currency": "usd"} | changes


def ask(server, user_id, **changes):
    """Ask for a payment; return it."""
    answer = post(server, "/api/payments", order(user_id, **changes))
    assert answer.status_code == 201, answer.text
    return answer.json()


def read(server, payment):
    answer = server.http.get(f"/api/payments/{payment['id']}", headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def cancel(server, payment):
    answer = post(server, f"/api/payments/{payment['id']}/cancel", {})
    assert answer.status_code == 200, answer.text


def refund(server, payment, amount=None):
    """Refund a part, or all that is left."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    answer = post(server, f"/api/payments/{payment['id']}/refund", {"amount": amount}, **key)
    assert answer.status_code == 201, answer.text


def counted(server, name, **labels):
    """Return what a server has counted under a metric, summed over all labels that are not given."""
    text = server.http.get("/metrics", headers=KEY).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
    )
