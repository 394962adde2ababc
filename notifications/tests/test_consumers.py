import asyncio
import json

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator

from notifications import metrics
from notifications.consumers import NotificationConsumer
from notifications.routing import websocket_urlpatterns
from notifications.tests.conftest import PATIENCE, Client, held_by, layer_in_use, until
from notifications.tests.test_protocol import GUIDE_ERROR

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])

SUCCESS = (
    '{"type":"registration_success",'
    '"message":"Successfully registered for payment notifications","userId":"user_123"}'
)
IMPATIENT = NotificationConsumer.as_asgi(registration_seconds=1)


@pytest.mark.parametrize("path", ["/basic/ws", "/basic/ws/", "/basic/ws?v=1"])
async def test_the_guides_registration_is_confirmed_word_for_word(connect, path):
    client = await connect(path)
    await client.send_to('{"type": "register", "userId": "user_123"}')
    assert await client.read_text() == SUCCESS


@pytest.mark.parametrize("path", ["/", "/basic", "/basic/ws/x", "/basic/wss", "/basic/ws\n", "/ws", "/\n"])
async def test_any_other_path_is_refused(path):
    client = Client(URLRouter(websocket_urlpatterns), "/")
    client.scope["path"] = path
    connected, _ = await client.connect()
    assert not connected
    await client.wait()


async def test_any_user_id_can_register_and_is_notified(connect, notify_user):
    client = await connect()
    for user_id in ("a@b.com", "auth0|1", "😀", "user 1", "x" * 128, "%00", "ü"):
        assert (await client.register(user_id))["userId"] == user_id
        await notify_user(user_id, frame={"for": user_id})
        assert await client.read() == {"for": user_id}


async def test_whatever_is_no_valid_message_gets_the_guides_error_and_the_connection_stays(connect):
    client = await connect()
    for message in (
        {"text": "hello"},
        {"text": ""},
        {"text": "[]"},
        {"text": '{"type":"register"}'},
        {"text": '{"type":"register","userId":""}'},
        {"text": "x" * 1024 * 1024},
        {"text": None, "bytes": b'{"type":"register","userId":"user_123"}'},
        {"bytes": b"\xff\x00"},
        {"text": None, "bytes": b""},
        {},
    ):
        await client.send_input({"type": "websocket.receive"} | message)
        assert await client.read_text() == GUIDE_ERROR
    await client.send_to('{"type": "register", "userId": "user_123"}')
    assert await client.read_text() == SUCCESS


async def test_an_invalid_message_does_not_end_a_registration(connect, notify_user):
    client = await connect()
    await client.register()
    await client.send_to("hello")
    assert await client.read_text() == GUIDE_ERROR
    await notify_user()
    assert await client.read() == {"type": "news"}


async def test_a_ping_is_answered_before_and_after_registration(connect):
    client = await connect()
    for _ in range(2):
        await client.send_to('{"type":"ping"}')
        assert await client.read_text() == '{"type":"pong"}'
        await client.register()


async def test_who_does_not_register_in_time_is_closed(connect):
    client = await connect(application=IMPATIENT)
    await client.send_to('{"type":"ping"}')
    assert await client.read() == {"type": "pong"}
    assert await client.read_close() == 4408


async def test_a_database_that_fails_is_reported_and_the_connection_stays(
    connect, notify_user, without_table
):
    take_table, bring_table_back = without_table
    client = await connect()
    await client.register()
    await take_table()
    answer = await client.register("somebody else")
    assert list(answer) == ["type", "message", "code"]
    assert (answer["type"], answer["code"]) == ("error", "unavailable")
    await bring_table_back()
    await notify_user()
    assert await client.is_silent()  # it left the old feed and has no new one
    assert (await client.register("somebody else"))["type"] == "registration_success"
    await notify_user("somebody else")
    assert await client.read() == {"type": "news"}


async def test_who_lost_a_registration_has_to_register_in_time_again(connect, without_table):
    take_table, _ = without_table
    client = await connect(application=IMPATIENT)
    await client.register()
    await take_table()
    assert (await client.register())["code"] == "unavailable"
    assert await client.read_close() == 4408


async def test_without_a_token_nobody_registers_where_tokens_are_wanted(connect, settings):
    settings.NOTIFICATIONS_AUTH = "token"
    client = await connect()
    answer = await client.register()
    assert list(answer) == ["type", "message", "code"]
    assert (answer["type"], answer["code"]) == ("error", "unauthorized")
    assert await client.read_close() == 4401


def connections():
    return metrics.CONNECTIONS.collect()[0].samples[0].value


def layer_is_empty():
    held = held_by(layer_in_use())
    return not held.groups and not held.channels


@pytest.mark.parametrize("end", ["disconnect", "crash"])
@pytest.mark.usefixtures("no_lingering")
async def test_however_a_connection_ends_nothing_of_it_stays(connect, notify_user, end):
    before = connections()
    client = await connect()
    await client.register()
    await client.register("somebody else")
    await notify_user("somebody else")
    assert await client.read() == {"type": "news"}
    assert connections() == before + 1
    assert not layer_is_empty()
    if end == "disconnect":
        await client.disconnect(timeout=PATIENCE)
    else:
        client.future.cancel()
        await asyncio.wait({client.future})
    await until(layer_is_empty)
    assert connections() == before


class Server:
    """What a server is to the consumer, with a `send` of the test's own."""

    def __init__(self, send, *, application=None):
        self._inbox = asyncio.Queue()
        application = application or NotificationConsumer.as_asgi()
        self.serving = asyncio.create_task(application({"type": "websocket"}, self._inbox.get, send))

    async def says(self, type_, **fields):
        await self._inbox.put({"type": f"websocket.{type_}"} | fields)

    async def connects_and_registers(self, **fields):
        await self.says("connect")
        registration = {"type": "register", "userId": "user_123"} | fields
        await self.says("receive", text=json.dumps(registration))

    async def disconnects(self):
        await self.says("disconnect", code=1006)
        await asyncio.wait_for(self.serving, PATIENCE)


@pytest.mark.usefixtures("no_lingering")
async def test_a_client_that_has_gone_does_no_harm(notify_user):
    """Each server says so in its own way: here, by an error of every send."""
    sent = []

    async def send(message):
        sent.append(message)
        if len(sent) > 1:
            raise OSError("The client has gone.")

    server = Server(send)
    await server.connects_and_registers()
    await until(lambda: len(sent) == 2)
    await notify_user()
    await server.says("receive", text='{"type":"ping"}')
    await server.disconnects()
    assert len(sent) == 2
    await until(layer_is_empty)


@pytest.mark.usefixtures("no_lingering")
async def test_a_client_that_takes_nothing_more_leaves_nothing_behind_when_it_ends(notify_user):
    sent = []

    async def send(message):
        sent.append(message)
        if len(sent) > 2:
            await asyncio.Event().wait()

    server = Server(send)
    await server.connects_and_registers()
    await until(lambda: len(sent) == 2)
    await notify_user()
    await until(lambda: len(sent) == 3)
    await notify_user()
    await server.disconnects()
    await until(layer_is_empty)


async def test_who_registered_in_time_stays_though_it_takes_what_it_missed_slowly(notify_user):
    sent = []

    async def send(message):
        sent.append(message["type"])
        if len(sent) > 2:
            await asyncio.Event().wait()

    await notify_user()
    server = Server(send, application=IMPATIENT)
    await server.connects_and_registers(lastSeq=0)
    await until(lambda: len(sent) == 3)
    await asyncio.wait({server.serving}, timeout=1.5)
    assert sent == ["websocket.accept", "websocket.send", "websocket.send"]
    server.serving.cancel()
    await asyncio.wait({server.serving})


async def test_an_event_that_no_server_sends_is_logged_and_ends_nothing(connect, caplog):
    client = await connect()
    await client.send_input({"type": "websocket.surprise"})
    await client.send_to('{"type":"ping"}')
    assert await client.read() == {"type": "pong"}
    assert "could not be handled" in caplog.text


@pytest.mark.usefixtures("no_lingering")
async def test_a_hundred_connections_come_and_go(connect, notify_user):
    clients = [await connect() for _ in range(100)]
    await asyncio.gather(*(client.register(f"user {n % 10}") for n, client in enumerate(clients)))
    for n in range(10):
        await notify_user(f"user {n}", frame={"n": n})
    frames = await asyncio.gather(*(client.read() for client in clients))
    assert frames == [{"n": n % 10} for n in range(100)]
    await asyncio.gather(*(client.disconnect(timeout=PATIENCE) for client in clients))
    await until(layer_is_empty)


async def test_channels_own_communicator_drives_the_consumer(notify_user):
    communicator = WebsocketCommunicator(NotificationConsumer.as_asgi(), "/basic/ws")
    assert await communicator.connect(timeout=PATIENCE) == (True, None)
    await communicator.send_json_to({"type": "register", "userId": "user_123"})
    assert await communicator.receive_from(timeout=PATIENCE) == SUCCESS
    await notify_user(frame={"n": 1})
    assert await communicator.receive_json_from(timeout=PATIENCE) == {"n": 1}
    await communicator.disconnect(timeout=PATIENCE)
