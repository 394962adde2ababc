"""What a socket makes of whatever a client sends. All of it is the same on every server."""

import json
import uuid
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import backend
from tests.support.client import connected
from tests.support.frames import INVALID, link, registered

LARGEST = 16 * 1024

INVALID_MESSAGES = {
    "nothing": "",
    "no JSON": "register me",
    "half of a JSON object": '{"type": "register", "userId": "u"',
    "two JSON objects": '{"type": "ping"}{"type": "ping"}',
    "a list": [{"type": "register", "userId": "u"}],
    "a number": 1,
    "a text": '"register"',
    "null": None,
    "NaN": "NaN",
    "an empty object": {},
    "brackets without end": "[" * LARGEST,
    "no user id": {"type": "register"},
    "no type": {"userId": "u"},
    "another type": {"type": "unregister", "userId": "u"},
    "another case": {"type": "Register", "userId": "u"},
    "another key": {"type": "register", "userid": "u"},
    "the key of the code": {"type": "register", "user_id": "u"},
    "a type that is a number": {"type": 1, "userId": "u"},
    "a type that is a list": {"type": ["register"], "userId": "u"},
    "a user id that is a number": {"type": "register", "userId": 1},
    "a user id that is null": {"type": "register", "userId": None},
    "a user id that is an object": {"type": "register", "userId": {"id": "u"}},
    "an empty user id": {"type": "register", "userId": ""},
    "a user id of 129 characters": {"type": "register", "userId": "u" * 129},
    "a user id of 129 emojis": {"type": "register", "userId": "🚕" * 129},
    "half of a surrogate pair": '{"type": "register", "userId": "\\ud800"}',
    "a NUL character": {"type": "register", "userId": "u\0"},
    "a lastSeq that is a text": {"type": "register", "userId": "u", "lastSeq": "1"},
    "a lastSeq that is true": {"type": "register", "userId": "u", "lastSeq": True},
    "a lastSeq that is null": {"type": "register", "userId": "u", "lastSeq": None},
    "a lastSeq that is no whole number": {"type": "register", "userId": "u", "lastSeq": 1.5},
    "a lastSeq below zero": {"type": "register", "userId": "u", "lastSeq": -1},
    "a lastSeq beyond all numbers": {"type": "register", "userId": "u", "lastSeq": 10**30},
    "a token that is a number": {"type": "register", "userId": "u", "token": 1},
    "bytes": b"\x00\xff",
    "a registration in bytes": b'{"type": "register", "userId": "u"}',
    "no bytes": b"",
}


@pytest.mark.parametrize("offered", [None, ["v1"], ["bearer", "a.b-c_d"], ["graphql-ws", "v2", "v1"]])
def test_the_first_subprotocol_that_a_client_offers_is_selected(server, connect, user_id, offered):
    """Browsers fail a connection of which none is, though a server may select none (RFC 6455, section 4.2.2)."""
    client = connect(server, subprotocols=offered)
    assert client.subprotocol == (offered[0] if offered else None)
    assert client.register(user_id) == registered(user_id)


@pytest.mark.parametrize("message", INVALID_MESSAGES.values(), ids=INVALID_MESSAGES.keys())
def test_an_invalid_message_gets_the_guides_error_and_the_socket_lives_on(server, connect, user_id, message):
    client = connect(server)

    client.send(message)

    assert client.receive() == INVALID
    assert client.register(user_id) == registered(user_id)


def test_frames_are_the_guides_to_the_letter(server, connect):
    client = connect(server)
    client.send("?")
    error = client.receive_text()
    client.send({"type": "register", "userId": "your_user_id_here"})
    success = client.receive_text()

    assert error == json.dumps(INVALID, separators=(",", ":"))
    assert success == json.dumps(registered("your_user_id_here"), separators=(",", ":"))


def test_a_rider_who_errs_stays_registered(server, connect, user_id):
    client = connect(server)
    client.register(user_id)

    client.send("oops")

    assert client.receive() == INVALID
    payment = backend.ask(server, user_id)
    assert client.receive() == link(payment)


@pytest.mark.parametrize(
    "form",
    [
        "{}@b.com",
        "auth0|{}",
        "🚕{}",
        "Ünïcødé {}",
        "../{}",
        "'; DROP TABLE feed; -- {}",
        "{}\n",
        " {}",
        "{:_<128}",
    ],
)
def test_any_text_can_be_a_user_id(server, connect, form):
    user_id = form.format(uuid.uuid4().hex)
    client = connect(server)

    assert client.register(user_id) == registered(user_id)


@pytest.mark.parametrize("form", ["{}@b.com", "auth0|{}", "🚕{}", "{:_<128}", "{} {{}}"])
def test_odd_user_ids_get_their_links(server, connect, form):
    user_id = form.format(uuid.uuid4().hex)
    client = connect(server)
    client.register(user_id)

    payment = backend.ask(server, user_id)

    assert client.receive() == link(payment)


def test_a_ping_is_answered_before_and_after_registration(server, connect, user_id):
    client = connect(server)

    client.send({"type": "ping"})
    assert client.receive() == {"type": "pong"}
    client.register(user_id)
    client.send({"type": "ping"})
    assert client.receive() == {"type": "pong"}
    assert client.ping_protocol()


def test_a_message_of_16_kib_is_read(server, connect, user_id):
    client = connect(server)
    registration = json.dumps({"type": "register", "userId": user_id})

    client.send(registration.ljust(LARGEST))

    assert client.receive() == registered(user_id)


@pytest.mark.parametrize("size", [LARGEST + 1, 1024 * 1024], ids=["one byte too much", "a megabyte"])
@pytest.mark.parametrize("kind", [str, bytes])
def test_a_message_over_16_kib_closes_the_connection_with_1009(server, connect, user_id, size, kind):
    client = connect(server)

    with suppress(ConnectionClosed):  # the server may not wait for the rest of it
        client.send("x" * size if kind is str else b"x" * size)

    assert client.close_code() == 1009
    assert connect(server).register(user_id) == registered(user_id)


def test_another_path_is_refused_without_a_traceback(server):
    for path in ("/", "/basic", "/basic/ws/more", "/basic/wss", "/admin/"):
        with pytest.raises(InvalidStatus) as refusal, connected(server, path):
            pass
        assert refusal.value.response.status_code == 403

    assert "Traceback" not in server.log


def test_the_path_may_end_with_a_slash(server, user_id):
    with connected(server, "/basic/ws/") as client:
        assert client.register(user_id) == registered(user_id)
