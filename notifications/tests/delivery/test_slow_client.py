"""What comes for a client that takes its time is bounded, and not lost."""

import asyncio

import pytest

from notifications.delivery.cursor import PENDING_MAX
from notifications.tests.conftest import held_by, layer_in_use, until
from notifications.tests.test_consumers import Server


def has_unread():
    """Return whether the layer holds messages."""
    return any(not queue.empty() for queue in held_by(layer_in_use()).channels.values())


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
async def test_a_client_that_takes_nothing_piles_up_nothing_and_then_gets_all_in_order(notify_user):
    sent, may_go_on = [], asyncio.Event()

    async def send(message):
        sent.append(message.get("text"))
        if len(sent) > 2:
            await may_go_on.wait()

    server = Server(send)
    await server.connects_and_registers()
    await until(lambda: len(sent) == 2)
    total = PENDING_MAX * 2 + 10
    for n in range(total):
        await notify_user(frame={"n": n})
    await until(lambda: not has_unread())
    may_go_on.set()
    await until(lambda: len(sent) == total + 2)
    assert sent[2:] == [f'{{"n":{n}}}' for n in range(total)]
    await server.disconnects()
