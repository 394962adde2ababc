"""Clients that do not read, do not answer or do not wait cost no memory, and nobody else any time."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.support import backend, frames, webhook
from tests.support.client import connected
from tests.support.proxy import Proxy
from tests.support.server import eventually

FRAMES, FRAME_BYTES = 3000, 16_000
"""More than the system's own buffers take: 48 MB."""

_INSERT = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
    INSERT INTO notifications_notification (feed_id, seq, frame, collapse_key, created_at)
    SELECT id, n, %s, 'none', '2026-01-01 00:00:00+00:00' FROM notifications_feed, numbers WHERE user_id = %s
"""


@pytest.fixture(scope="module")
def hurried(serve):
    """A server that pings every second."""
    return serve(WEBSOCKET_PING_SECONDS="1")


def metric(server, name):
    text = server.http.get("/metrics", headers=backend.KEY).text
    found = re.search(rf"^{re.escape(name)} ([\d.e+]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def dropped(server):
    return metric(server, 'notifications_closed_total{code="4413"}')


def write_much(server, user_id):
    """Give the user's feed more than a client can be sent that does not read."""
    frame = '{"type":"news","text":"' + "x" * FRAME_BYTES + '"}'
    server.database.execute(
        "INSERT INTO notifications_feed (user_id, last_seq, latest_connection) VALUES (%s, 0, '')", user_id
    )
    server.database.execute(_INSERT, FRAMES, frame, user_id)
    server.database.execute("UPDATE notifications_feed SET last_seq = %s WHERE user_id = %s", FRAMES, user_id)


def read_to_the_end(client):
    """Return how many frames there were, and the close code."""
    read = 0
    while True:
        try:
            code = client.close_code()
        except AssertionError:
            read += 1
        else:
            return read, code


def test_a_client_that_does_not_read_is_notified_and_dropped(hurried, user_id):
    write_much(hurried, user_id)
    before = dropped(hurried)
    with connected(hurried) as client:
        client.register(user_id, lastSeq=0)
        eventually(lambda: dropped(hurried) == before + 1, seconds=30)
        read, code = read_to_the_end(client)

    assert read < FRAMES
    assert code == 4413


def test_while_some_do_not_read_memory_is_bounded_and_the_others_are_served(hurried, connect, user_id):
    write_much(hurried, user_id)
    reader = connect(hurried)
    reader.register(f"{user_id} reads")
    before, at_start = dropped(hurried), hurried.memory()
    stalled = [connect(hurried) for _ in range(5)]
    for client in stalled:
        client.register(user_id, lastSeq=0)
    most, slowest = 0.0, 0.0
    while dropped(hurried) < before + 5:
        asked = time.monotonic()
        payment = backend.ask(hurried, reader.user_id)
        assert reader.receive() == frames.link(payment)
        slowest = max(slowest, time.monotonic() - asked)
        most = max(most, hurried.memory())

    for client in stalled:
        read_to_the_end(client)
    assert most - at_start < 5 * 8  # MiB: less than the 48 MB that wait for each
    assert slowest < 5


def test_a_client_that_vanishes_is_gone_within_the_ping_window_also_while_much_waits_for_it(hurried, user_id):
    write_much(hurried, user_id)
    open_before = metric(hurried, "notifications_connections")
    with (
        Proxy(hurried.port) as network,
        connected(hurried, through=network) as quiet,
        connected(hurried, through=network) as busy,
    ):
        quiet.register(f"{user_id} is quiet")
        network.black_hole()
        busy.send({"type": "register", "userId": user_id, "lastSeq": 0})
        eventually(lambda: metric(hurried, "notifications_connections") == open_before)
        network.cut()


def test_a_client_that_speaks_but_does_not_listen_is_gone_too(hurried, user_id):
    write_much(hurried, user_id)
    open_before = metric(hurried, "notifications_connections")
    with connected(hurried) as client:
        client.register(user_id, lastSeq=0)
        with suppress(ConnectionClosed):
            while metric(hurried, "notifications_connections") > open_before:
                client.send({"type": "ping"})
        eventually(lambda: metric(hurried, "notifications_connections") == open_before)


def test_a_client_that_does_not_wait_for_answers_is_read_no_further(server, connect, user_id):
    client = connect(server)
    for n in range(300):
        client.send({"type": "register", "userId": f"{user_id} {n}"})
    assert [client.receive()["userId"] for _ in range(300)] == [f"{user_id} {n}" for n in range(300)]


def open_websocket(sock):
    """Make a connection a WebSocket, of which nobody reads; return the protocol, which makes frames."""
    protocol = ClientProtocol(parse_uri("ws://localhost/basic/ws"))
    protocol.send_request(protocol.connect())
    sock.sendall(b"".join(protocol.data_to_send()))
    while protocol.state is not State.OPEN:
        protocol.receive_data(sock.recv(65536))
    return protocol


def send_pings(sock, protocol, number):
    for _ in range(number):
        protocol.send_ping(b"x" * 125)
    sock.sendall(b"".join(protocol.data_to_send()))


def test_a_client_that_asks_for_pongs_and_reads_none_is_cut_off(server):
    """Long before the 20 seconds that a client has that does not read: what it asks for itself is bounded."""
    at_start, asked = server.memory(), 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        protocol = open_websocket(sock)
        with suppress(ConnectionResetError, BrokenPipeError):
            while asked < 400:  # 50 MB
                send_pings(sock, protocol, 1000)
                asked += 1
    assert asked < 400
    assert server.memory() - at_start < 8


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal",
        b"POST /webhooks/stripe/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345",
    ],
)
def test_who_begins_a_request_and_does_not_end_it_is_cut_off(impatient, beginning):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=10) as sock:
        sock.sendall(beginning)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass


def test_who_waits_for_an_answer_or_is_upgraded_is_not_cut_off(impatient, user_id):
    with connected(impatient) as client, ThreadPoolExecutor(1) as pool:
        client.register(user_id)
        with impatient.database.locked("payments_webhookevent"):
            answer = pool.submit(webhook.deliver, impatient, webhook.event())
            threading.Event().wait(2)
            assert not answer.done()
        assert answer.result().status_code == 200
        assert client.receive_until_pong() == []
