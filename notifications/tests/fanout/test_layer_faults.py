"""A fault in code on the way to the channel layer: no outage explains it, so it is logged whole."""

import asyncio
import logging

import pytest
from channels.layers import InMemoryChannelLayer

from notifications.delivery import hub
from notifications.fanout import breaker, seal
from notifications.fanout.breaker import ChannelLayerAwayError, bounded
from notifications.fanout.listen import Listener
from notifications.tests.conftest import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


class Faulty(InMemoryChannelLayer):
    """A layer with a mistake in it."""

    async def group_send(self, group, message):
        raise KeyError(group)


@pytest.fixture
def faulty(settings):
    settings.CHANNEL_LAYERS = {"notifications": {"BACKEND": f"{__name__}.Faulty"}}


def faults(caplog):
    return [record for record in caplog.records if record.levelno == logging.ERROR]


async def test_a_fault_is_logged_with_its_traceback_and_the_reconciler_delivers(
    faulty, connect, notify_user, caplog
):
    client = await connect()
    await client.register()

    for n in range(3):
        await notify_user(frame={"n": n})
        assert await client.read() == {"n": n}

    (fault,) = faults(caplog)  # once a minute
    assert fault.exc_info[0] is KeyError
    assert "The channel layer fails" not in caplog.text


async def test_after_a_fault_the_layer_is_tried_again_at_once(faulty):
    tried = breaker.current()
    for error in (KeyError, ValueError):
        with pytest.raises(ChannelLayerAwayError):
            async with bounded(tried):
                raise error
    async with bounded(tried):
        pass


async def test_a_member_that_breaks_takes_nothing_from_the_others(connect, notify_user, caplog, monkeypatch):
    clients = [await connect() for _ in range(3)]
    for client in clients:
        await client.register()
    (members,) = hub.current()._groups.values()

    def break_down(*_):
        raise KeyError("a member")

    monkeypatch.setattr(next(iter(members)), "wake", break_down)
    for n in range(3):
        await notify_user(frame={"n": n})
    for client in clients:
        assert [await client.read() for _ in range(3)] == [{"n": n} for n in range(3)]
    assert faults(caplog)[0].exc_info[0] is KeyError


async def test_a_listener_lives_through_whatever_its_messages_do(caplog):
    heard = asyncio.Event()

    def deliver(message):
        if "frame" not in message:
            heard.set()
        raise KeyError("frame")

    listener = Listener(deliver)
    await listener.join("group")
    async with asyncio.timeout(PATIENCE):
        while not heard.is_set():
            await breaker.current().group_send(
                "group", seal.sealed({"type": "news", "group": "group", "frame": ""})
            )
            await breaker.current().group_send("group", seal.sealed({"type": "news", "group": "group"}))
            await asyncio.sleep(0.05)
    await listener.leave("group")
    assert faults(caplog)[0].exc_info[0] is KeyError
