"""Connections whose permission ends, and those that renew it."""

import threading
import time

import jwt
import pytest
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from notifications import disconnect
from notifications.auth import logins
from notifications.delivery import hub as hubs
from notifications.delivery import permission, reconciler
from notifications.routing import websocket_urlpatterns
from notifications.tests.conftest import PATIENCE, Client, until
from notifications.tests.issuer import Issuer

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a secret of the ride backend's, long enough"
EXPIRED = {"type": "error", "message": "The token has expired.", "code": "unauthorized"}
LOGGED_OUT = {"type": "error", "message": "The login has ended.", "code": "unauthorized"}


@pytest.fixture
def tokens(settings):
    """Return a function that signs tokens, where tokens are wanted."""
    settings.NOTIFICATIONS_AUTH, settings.NOTIFICATIONS_TOKEN_SECRET = "token", SECRET

    def sign(seconds=60.0, sub="user_123"):
        return jwt.encode({"sub": sub, "exp": time.time() + seconds}, SECRET, algorithm="HS256")

    return sign


def is_registered(answer):
    return answer["type"] == "registration_success"


async def test_a_connection_ends_with_its_token(connect, tokens, notify_user):
    client = await connect()
    assert is_registered(await client.register(token=tokens(1)))
    await notify_user()
    assert await client.read() == {"type": "news"}
    assert await client.read() == EXPIRED
    assert await client.read_close() == 4401


async def test_a_token_that_is_taken_after_its_end_since_clocks_differ_ends_with_the_leeway(
    connect, tokens, monkeypatch
):
    monkeypatch.setattr(permission, "LEEWAY_SECONDS", 11)
    client = await connect()
    assert is_registered(await client.register(token=tokens(-10)))
    assert await client.is_silent()
    assert await client.read() == EXPIRED


async def test_a_fresh_token_on_the_same_connection_keeps_it_and_loses_nothing(connect, tokens, notify_user):
    client = await connect()
    assert is_registered(await client.register(token=tokens(1)))
    assert is_registered(await client.register(token=tokens(60)))
    assert await client.receive_nothing(timeout=1.3)
    await notify_user()
    assert await client.read() == {"type": "news"}


async def test_a_bad_token_ends_a_connection_that_was_registered(connect, tokens):
    client = await connect()
    assert is_registered(await client.register(token=tokens()))
    assert (await client.register(token=tokens(sub="somebody else")))["code"] == "unauthorized"
    assert await client.read_close() == 4401


async def test_an_expired_token_of_the_handshake_is_not_taken_again(connect, tokens):
    client = Client(URLRouter(websocket_urlpatterns), "/basic/ws")
    client.scope["subprotocols"] = ["notifications", f"bearer.{tokens(1)}"]
    assert await client.connect(timeout=PATIENCE) == (True, "notifications")
    assert is_registered(await client.register())
    assert await client.read() == EXPIRED
    assert await client.read_close() == 4401


async def test_a_connection_that_ends_leaves_no_timer_and_no_watch(connect, tokens):
    client = await connect()
    await client.register(token=tokens(60))
    watch = hubs.current().logins
    await client.disconnect(timeout=PATIENCE)
    assert not watch._watched


async def test_while_keys_are_fetched_everything_else_goes_on(connect, settings):
    issuer = Issuer()
    may_answer = threading.Event()
    issuer.answer = lambda: may_answer.wait(PATIENCE) and issuer.jwks()
    settings.NOTIFICATIONS_AUTH, settings.NOTIFICATIONS_TOKEN_ALGORITHM = "token", "RS256"
    settings.NOTIFICATIONS_TOKEN_JWKS_URL = issuer.url
    waiting, other = await connect(), await connect()
    await waiting.send_json_to({"type": "register", "userId": "user_123", "token": issuer.token()})
    await until(lambda: issuer.asked)
    assert await other.is_silent()
    may_answer.set()
    assert is_registered(await waiting.read())
    issuer.close()


@pytest.fixture
def log_in(settings):
    """Return a function that connects as a browser in which a user is logged in."""
    settings.NOTIFICATIONS_AUTH = "session"

    @database_sync_to_async
    def session(name):
        user, _ = get_user_model().objects.get_or_create(username=name)
        browser = Browser()
        browser.force_login(user)
        return browser

    async def connect(name="user_123", *, origin=settings.CSRF_TRUSTED_ORIGINS[0]):
        browser = await session(name)
        client = Client(URLRouter(websocket_urlpatterns), "/basic/ws")
        cookie = f"sessionid={browser.cookies['sessionid'].value}"
        client.scope["headers"] = [(b"cookie", cookie.encode()), (b"origin", origin.encode())]
        return browser, client

    return connect


async def test_a_logged_in_user_registers_as_itself_alone(log_in):
    _, client = await log_in()
    assert await client.connect(timeout=PATIENCE) == (True, None)
    assert is_registered(await client.register("user_123"))
    answer = await client.register("somebody else")
    assert (answer["code"], answer["message"]) == ("unauthorized", "The login is of another user.")
    assert await client.read_close() == 4401


async def test_without_a_login_nobody_registers(log_in, settings):
    for cookie in (b"", b"sessionid=", b"sessionid=" + b"a1" * 16, b"sessionid=\0"):
        client = Client(URLRouter(websocket_urlpatterns), "/basic/ws")
        client.scope["headers"] = [
            (b"cookie", cookie),
            (b"origin", settings.CSRF_TRUSTED_ORIGINS[0].encode()),
        ]
        assert await client.connect(timeout=PATIENCE) == (True, None)
        assert (await client.register())["message"] == "A login is needed. Log in, then connect again."
        assert await client.read_close() == 4401


async def test_a_page_of_another_origin_cannot_ride_on_the_login(log_in):
    _, client = await log_in(origin="https://evil.example")
    connected, _ = await client.connect(timeout=PATIENCE)
    assert not connected
    await client.wait()


@pytest.mark.parametrize("how", ["logout", "deactivation"])
async def test_a_login_that_ends_takes_its_connection_and_no_other(log_in, monkeypatch, how):
    monkeypatch.setattr(permission, "INTERVAL_SECONDS", 0.2)
    browser, client = await log_in()
    _, other = await log_in("somebody else")
    for each, name in ((client, "user_123"), (other, "somebody else")):
        await each.connect(timeout=PATIENCE)
        assert is_registered(await each.register(name))
    if how == "logout":
        await database_sync_to_async(browser.logout)()
    else:
        await get_user_model().objects.filter(username="user_123").aupdate(is_active=False)
    assert await client.read() == LOGGED_OUT
    assert await client.read_close() == 4401
    assert await other.is_silent()
    for each in (client, other):
        await each.disconnect(timeout=PATIENCE)
    assert not hubs.current().logins._watched
    assert hubs.current().logins._task is None


async def test_logins_that_cannot_be_read_end_nothing_and_are_read_again(log_in, monkeypatch):
    monkeypatch.setattr(permission, "INTERVAL_SECONDS", 0.05)
    browser, client = await log_in()
    await client.connect(timeout=PATIENCE)
    assert is_registered(await client.register())
    failures, read = [], logins.read

    def fail(keys):
        failures.append(keys)
        raise permission.DatabaseError

    monkeypatch.setattr(logins, "read", fail)
    await until(lambda: len(failures) > 1)
    assert await client.is_silent()
    monkeypatch.setattr(logins, "read", read)
    await database_sync_to_async(browser.logout)()
    assert await client.read() == LOGGED_OUT


async def test_a_disconnect_closes_every_connection_of_the_user_and_no_other(connect):
    clients = [await connect() for _ in range(3)]
    for client in clients:
        await client.register()
    other = await connect()
    await other.register("somebody else")
    await database_sync_to_async(disconnect.disconnect)(user_id="user_123")
    for client in clients:
        assert await client.read_close() == 4401
    assert await other.is_silent()


async def test_a_disconnect_does_not_wait_for_the_next_comparison(connect, monkeypatch):
    monkeypatch.setattr(reconciler, "INTERVAL_SECONDS", 600.0)
    client = await connect()
    await client.register()
    await database_sync_to_async(disconnect.disconnect)(user_id="user_123")
    assert await client.read_close() == 4401


async def test_who_registers_after_a_disconnect_stays(connect, notify_user):
    await database_sync_to_async(disconnect.disconnect)(user_id="user_123")
    client = await connect()
    await client.register()
    await until(lambda: hubs.current().reconciler._tasks)
    await notify_user()
    assert await client.read() == {"type": "news"}
    assert await client.is_silent()
    await database_sync_to_async(disconnect.disconnect)(user_id="user_123")
    assert await client.read_close() == 4401
