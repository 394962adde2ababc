"""Which connections get a user's notifications."""

from tests.support import backend, sandbox
from tests.support.client import connected
from tests.support.frames import link, registered, status, story


def test_every_connection_of_a_user_gets_every_notification(server, connect, user_id):
    clients = [connect(server) for _ in range(5)]
    for client in clients:
        assert client.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")

    for client in clients:
        assert client.receive_until(status(payment, "succeeded")) == story(payment)


def test_a_user_gets_nothing_of_another(server, rider):
    backend.ask(server, f"{rider.user_id}-2")

    assert rider.receive_all() == []


def test_a_client_that_never_registers_gets_nothing(server, connect, rider):
    stranger = connect(server)

    payment = backend.ask(server, rider.user_id)

    assert rider.receive() == link(payment)
    assert stranger.receive_until_pong() == []


def test_registering_as_another_user_leaves_the_first(server, rider):
    first, second = rider.user_id, f"{rider.user_id}-2"

    assert rider.register(second) == registered(second)

    backend.ask(server, first)
    payment = backend.ask(server, second)
    assert rider.receive_all() == [link(payment)]


def test_registering_twice_as_one_user_tells_everything_once(server, rider, user_id):
    assert rider.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "pay")

    assert rider.receive_all() == story(payment, "succeeded")


def test_a_client_that_comes_back_gets_what_it_missed_and_what_happens_from_then_on(server, connect, user_id):
    with connected(server) as earlier:
        earlier.register(user_id)
    missed = backend.ask(server, user_id)
    client = connect(server)

    assert client.register(user_id) == registered(user_id)

    payment = backend.ask(server, user_id)
    assert [client.receive(), client.receive()] == [link(missed), link(payment)]
