"""What each API key, and each user's own token, may do, over HTTP."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from access.api_keys.scopes import Scope
from payments.api.endpoints import api
from tests.support import backend, frames, keys, sandbox

ENDPOINTS = {
    "POST /api/payments": (Scope.PAYMENTS_WRITE, 201),
    "GET /api/payments": (Scope.PAYMENTS_READ, 200),
    "GET /api/payments/{payment_id}": (Scope.PAYMENTS_READ, 200),
    "POST /api/payments/{payment_id}/cancel": (Scope.PAYMENTS_WRITE, 200),
    "POST /api/payments/{payment_id}/refund": (Scope.REFUNDS_WRITE, 409),
    "GET /api/users/{user_id}/notifications": (Scope.LINKS_READ, 200),
    "POST /api/users/{user_id}/token": (Scope.TOKENS_MINT, 200),
    "POST /api/users/{user_id}/disconnect": (Scope.TOKENS_MINT, 204),
    "GET /metrics": (Scope.METRICS_READ, 200),
}
"""The scope of each, and the status of an answer to who has it: an unpaid payment has nothing to refund."""


@pytest.fixture(scope="module")
def guarded(serve):
    """A server that knows the secret of users' tokens, and writes all it can into its log."""
    return serve(NOTIFICATIONS_TOKEN_SECRET=keys.TOKEN_SECRET, LOG_LEVEL="DEBUG")


def call(server, endpoint, headers, user_id="nobody"):
    method, _, path = endpoint.partition(" ")
    if "{payment_id}" in path:
        path = path.format(payment_id=backend.ask(server, user_id)["id"])
    path = path.format(user_id=user_id)
    body = backend.order(user_id) if path == "/api/payments" else {}
    headers = headers | {"Idempotency-Key": uuid.uuid4().hex}
    return server.http.request(method, path, headers=headers, json=body if method == "POST" else None)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_asks_for_its_scope_and_for_no_other(guarded, endpoint):
    scope, status = ENDPOINTS[endpoint]
    _, with_it = keys.grant(guarded, scope)
    name, without = keys.grant(guarded, *(set(Scope) - {scope}))

    assert call(guarded, endpoint, with_it).status_code == status
    refused = call(guarded, endpoint, without)
    assert refused.status_code == 403
    if endpoint == "GET /metrics":
        assert refused.text == "missing_scope: send a key with the scope metrics:read.\n"
    else:
        error = refused.json()["error"]
        assert (error["code"], error["scope"]) == ("missing_scope", scope)
        assert name in error["message"]


def test_no_endpoint_is_left_out_of_the_table_and_each_says_its_scope():
    described = {
        f"{method.upper()} {path}": operation["description"]
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    }
    assert described.keys() | {"GET /metrics"} == ENDPOINTS.keys()
    for endpoint, text in described.items():
        assert f"Scope: `{ENDPOINTS[endpoint][0].value}`" in text


def test_only_a_key_with_the_scope_sees_links_but_a_caller_that_asks_for_a_payment_gets_its_link(
    guarded, user_id
):
    _, blind = keys.grant(guarded, "payments:write", "payments:read")
    _, seeing = keys.grant(guarded, "payments:read", "links:read")
    order, key = backend.order(user_id), {"Idempotency-Key": "1"}
    asked = guarded.http.post("/api/payments", json=order, headers=blind | key)
    again = guarded.http.post("/api/payments", json=order, headers=blind | key)
    payment = asked.json()

    assert payment["paymentUrl"] == again.json()["paymentUrl"] is not None
    for headers, link in ((blind, None), (seeing, payment["paymentUrl"])):
        one = guarded.http.get(f"/api/payments/{payment['id']}", headers=headers)
        page = guarded.http.get(f"/api/payments?userId={user_id}", headers=headers)
        assert one.json() == payment | {"paymentUrl": link}
        assert [each["paymentUrl"] for each in page.json()["payments"]] == [link]
        for answer in (asked, again, one, page):
            assert answer.headers["Cache-Control"] == "no-store"


def test_a_key_is_rotated_with_an_overlap_by_command(guarded):
    def works(text):
        headers = {"Authorization": f"Bearer {text}"}
        return guarded.http.get("/api/payments?limit=1", headers=headers).status_code == 200

    name = f"key-{uuid.uuid4().hex}"
    old = guarded.run("api_key", "create", name, "--scope", "payments:read,payments:write").stdout.strip()
    assert works(old)
    new = guarded.run("api_key", "rotate", name).stdout.strip()
    assert works(old)
    assert works(new)
    order, key = backend.order("nobody"), {"Idempotency-Key": "1"}
    made = [
        guarded.http.post("/api/payments", json=order, headers=key | {"Authorization": f"Bearer {text}"})
        for text in (old, new)
    ]
    assert made[0].json() == made[1].json(), "a request is the same one with either key"
    revoked = guarded.run("api_key", "revoke", old.rpartition("_")[0])
    assert revoked.returncode == 0, revoked.stderr
    assert not works(old)
    assert works(new)
    assert old not in guarded.log + guarded.out
    assert new not in guarded.log + guarded.out


def test_a_key_ends_at_its_time_and_a_revoked_one_with_the_next_request(guarded):
    name, headers = keys.grant(guarded, "payments:read")

    def status():
        return guarded.http.get("/api/payments?limit=1", headers=headers).status_code

    end = datetime.now(UTC) + timedelta(seconds=1)
    change = "UPDATE access_apikey SET {} WHERE name = %s"
    guarded.database.execute(change.format("expires_at = %s"), str(end), name)
    while datetime.now(UTC) < end - timedelta(seconds=0.2):
        assert status() == 200
        time.sleep(0.02)
    while datetime.now(UTC) < end:
        time.sleep(0.02)
    assert status() == 401
    guarded.database.execute(change.format("expires_at = NULL"), name)
    assert status() == 200
    guarded.database.execute(change.format("revoked_at = %s"), str(datetime.now(UTC)), name)
    assert status() == 401


def test_unknown_and_revoked_keys_get_the_same_answer(guarded):
    name, headers = keys.grant(guarded, "payments:read")
    guarded.database.execute(
        "UPDATE access_apikey SET revoked_at = %s WHERE name = %s", str(datetime.now(UTC)), name
    )
    revoked = headers["Authorization"]
    unknown = revoked[:-1] + ("a" if revoked[-1] != "a" else "b")
    answers = [
        guarded.http.get("/api/payments", headers={"Authorization": each})
        for each in (revoked, unknown, "Bearer x", "Bearer a.b.c", "")
    ]

    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


def test_two_keys_with_one_idempotency_key_at_once_get_a_payment_each(guarded, user_id):
    callers = [keys.grant(guarded, "payments:write")[1] for _ in range(2)]
    orders = [backend.order(user_id) for _ in callers]
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def ask(number):
        answer = guarded.http.post(
            "/api/payments", json=orders[number % 2], headers=callers[number % 2] | key
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask, range(8)))
    assert len(set(ids)) == 2
    assert set(ids[::2]) == {ids[0]}


def test_another_keys_payment_is_not_handed_over_for_the_same_request(guarded, user_id):
    (_, one), (_, other) = (keys.grant(guarded, "payments:write") for _ in range(2))
    order, key = backend.order(user_id), {"Idempotency-Key": "1"}
    first = guarded.http.post("/api/payments", json=order, headers=one | key)
    second = guarded.http.post("/api/payments", json=order, headers=other | key)

    assert first.status_code == 201
    assert (second.status_code, second.json()["error"]["code"]) == (409, "ride_has_payment")
    assert first.json()["paymentUrl"] not in second.text


def test_the_key_s_name_stands_on_what_it_caused_also_when_it_is_gone(guarded, user_id):
    made_by, maker = keys.grant(guarded, "payments:write", "payments:read")
    paid_back_by, payer = keys.grant(guarded, "refunds:write")

    def ask():
        return guarded.http.post("/api/payments", json=backend.order(user_id), headers=maker).json()

    def changes(payment, after):
        return guarded.database.execute(
            "SELECT api_key FROM payments_statuschange WHERE after = %s AND payment_id = %s",
            after,
            payment["id"] if "postgresql" in guarded.database.url else payment["id"].replace("-", ""),
        )

    canceled, paid = ask(), ask()
    assert canceled["createdBy"] == made_by
    guarded.http.post(f"/api/payments/{canceled['id']}/cancel", headers=maker)
    sandbox.choose(guarded, paid, "pay")
    sandbox.wait_until_delivered(guarded)
    path, body = f"/api/payments/{paid['id']}/refund", {"amount": 100}
    refunds = [
        guarded.http.post(path, json=body, headers=headers | {"Idempotency-Key": "1"})
        for headers in (payer, keys.grant(guarded, "refunds:write", name=f"{paid_back_by}-2")[1])
    ]
    assert [refund.json()["createdBy"] for refund in refunds] == [paid_back_by, f"{paid_back_by}-2"]
    assert refunds[0].json()["id"] != refunds[1].json()["id"], "each key has idempotency keys of its own"
    sandbox.wait_until_delivered(guarded)
    guarded.database.execute("DELETE FROM access_apikey WHERE name IN (%s, %s)", made_by, paid_back_by)

    assert changes(canceled, "canceled") == [(made_by,)]
    assert changes(paid, "succeeded") == [("",)]
    assert changes(paid, "partially_refunded") == [(paid_back_by,)]
    assert backend.read(guarded, paid)["createdBy"] == made_by


def test_a_user_reads_the_own_payments_and_no_others(guarded, user_id):
    mine, others = backend.ask(guarded, user_id), backend.ask(guarded, f"{user_id}-2")
    me = keys.token(user_id)

    page = guarded.http.get("/api/payments", headers=me)
    assert page.json()["payments"] == [mine | {"createdBy": None}]
    assert page.headers["Cache-Control"] == "no-store"
    assert (
        guarded.http.get(f"/api/payments/{mine['id']}", headers=me).json()["paymentUrl"] == mine["paymentUrl"]
    )
    hidden = guarded.http.get(f"/api/payments/{others['id']}", headers=me)
    missing = guarded.http.get(f"/api/payments/{uuid.uuid4()}", headers=me)
    assert hidden.status_code == missing.status_code == 404
    assert hidden.content == missing.content
    for asked, status in ((user_id, 200), (f"{user_id}-2", 403), (f"{user_id}-3", 403)):
        answer = guarded.http.get("/api/payments", params={"userId": asked}, headers=me)
        assert answer.status_code == status


def test_a_users_token_does_nothing_but_read(guarded, user_id):
    payment = backend.ask(guarded, user_id)
    for path in (
        "/api/payments",
        f"/api/payments/{payment['id']}/cancel",
        f"/api/payments/{payment['id']}/refund",
    ):
        answer = guarded.http.post(path, json=backend.order(user_id), headers=keys.token(user_id))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")
    assert guarded.http.get("/metrics", headers=keys.token(user_id)).status_code == 401
    assert backend.read(guarded, payment)["status"] == "pending"


@pytest.mark.parametrize(
    "forged",
    [
        {"secret": "another-secret-of-some-length-0123456789"},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"sub": ""},
        {"sub": "nul\0"},
        {"sub": "half\ud800"},
        {"sub": "a" * 129},
    ],
    ids=str,
)
def test_a_token_that_proves_no_user_lets_nobody_in(guarded, forged):
    headers = keys.token("somebody", **forged)
    assert guarded.http.get("/api/payments", headers=headers).status_code == 401


def test_a_user_reads_the_own_notifications_page_by_page(guarded, connect, user_id):
    user_id = f"{user_id} / ü?\n."
    path = f"/api/users/{quote(user_id, safe='')}/notifications"
    payments = [backend.ask(guarded, user_id) for _ in range(3)]
    me = keys.token(user_id)

    first = guarded.http.get(path, params={"limit": 2}, headers=me)
    page = first.json()
    assert first.headers["Cache-Control"] == "no-store"
    assert page["notifications"] == [
        frames.link(each) | {"seq": seq} for seq, each in enumerate(payments[:2], 1)
    ]
    assert (page["userId"], page["lastSeq"], page["nextAfter"]) == (user_id, 3, 2)
    last = guarded.http.get(path, params={"after": 2}, headers=me).json()
    assert [each["seq"] for each in last["notifications"]] == [3]
    assert last["nextAfter"] is None
    client = connect(guarded)
    resumed = client.register(user_id, lastSeq=page["lastSeq"], epoch=page["epoch"])
    assert resumed == frames.resumed(user_id, newest=3)


def test_nobody_reads_the_notifications_of_others(guarded, user_id):
    backend.ask(guarded, user_id)
    for asked in (user_id, f"{user_id}-without-any"):
        answer = guarded.http.get(f"/api/users/{asked}/notifications", headers=keys.token(f"{user_id}-2"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "other_user")
    for wrong in ({"limit": 101}, {"limit": 0}, {"after": -1}, {"after": "x"}):
        answer = guarded.http.get(f"/api/users/{user_id}/notifications", params=wrong, headers=backend.KEY)
        assert answer.status_code == 422


def test_a_production_has_no_api_page_unless_it_is_switched_on(guarded):
    for switched, found in (("0", False), ("1", True)):
        ran = guarded.run(
            "shell",
            "--no-imports",
            "--command",
            "from django.test import Client; c = Client(headers={'host': 'localhost'});"
            "print([c.get(p).status_code for p in ('/api/docs', '/api/openapi.json', '/')])",
            API_DOCS=switched,
            DEBUG="0",
            SECRET_KEY="a secret key for tests that is longer than fifty characters",
            API_KEYS="",
            STRIPE_SANDBOX="1",
        )
        assert ran.stdout.strip() == ("[200, 200, 200]" if found else "[404, 404, 200]"), ran.stderr
