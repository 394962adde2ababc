"""What comes for a client that takes its time is bounded, and not lost."""

import asyncio

import pytest

from notifications.delivery.inbox import WAITING_MAX, Inbox
from notifications.tests.conftest import held_by, layer_in_use, until
from notifications.tests.test_consumers import Server


async def test_messages_are_handled_one_after_the_other():
    handled, running = [], 0

    async def handle(message):
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        handled.append(message["n"])

    inbox = Inbox(handle)
    for n in range(10):
        inbox.put({"n": n})
        if n % 3 == 0:
            await asyncio.sleep(0)
    await until(lambda: handled == list(range(10)))


async def test_of_more_than_can_wait_the_newest_is_kept():
    handled, may_go_on = [], asyncio.Event()

    async def handle(message):
        await may_go_on.wait()
        handled.append(message["n"])

    inbox = Inbox(handle)
    inbox.put({"n": 0})
    await asyncio.sleep(0)
    for n in range(1, 1001):
        inbox.put({"n": n})
    may_go_on.set()
    await until(lambda: handled and handled[-1] == 1000)
    assert handled == [*range(WAITING_MAX), 1000]


async def test_a_closed_inbox_handles_nothing_more():
    handled = []

    async def handle(message):
        handled.append(message)
        await asyncio.Event().wait()

    inbox = Inbox(handle)
    inbox.put({"n": 1})
    inbox.put({"n": 2})
    await asyncio.sleep(0)
    inbox.close()
    await asyncio.sleep(0)
    assert handled == [{"n": 1}]


def has_unread():
    """Return whether the layer holds messages."""
    return any(not queue.empty() for queue in held_by(layer_in_use()).channels.values())


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
async def test_a_client_that_takes_nothing_piles_up_nothing_and_then_gets_all_in_order(tell):
    sent, may_go_on = [], asyncio.Event()

    async def send(message):
        sent.append(message.get("text"))
        if len(sent) > 2:
            await may_go_on.wait()

    server = Server(send)
    await server.connects_and_registers()
    await until(lambda: len(sent) == 2)
    total = WAITING_MAX * 2 + 10
    for n in range(total):
        await tell(frame={"n": n})
    await until(lambda: not has_unread())
    may_go_on.set()
    await until(lambda: len(sent) == total + 2)
    assert sent[2:] == [f'{{"n":{n}}}' for n in range(total)]
    await server.disconnects()
