"""A backend sends a user away, from whatever process."""

import pytest

from tests.support import backend
from tests.support.frames import link, registered


@pytest.mark.parametrize("redis", [{}, {"REDIS_URL": ""}], ids=["with Redis", "by the comparison alone"])
def test_a_disconnect_closes_the_users_connections_on_every_worker(server, serve, connect, user_id, redis):
    second = serve(beside=server, **redis)
    clients = [connect(each) for each in (server, second, second)]
    for client in clients:
        client.register(user_id)
    other = connect(second)
    other.register(f"{user_id}-2")

    answer = backend.post(server, f"/api/users/{user_id}/disconnect", {})

    assert (answer.status_code, answer.content) == (204, b"")
    assert [client.close_code() for client in clients] == [4401] * 3
    payment = backend.ask(second, f"{user_id}-2")
    assert other.receive() == link(payment)
    again = connect(second)
    assert again.register(user_id) == registered(user_id)
    assert again.receive_until_pong() == []


def test_a_disconnect_says_the_same_of_users_that_nobody_knows(server, user_id):
    answers = [
        server.http.post(f"/api/users/{user}/disconnect", headers=backend.KEY)
        for user in (user_id, user_id, "nobody%2Fat%0Aall")
    ]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 3
