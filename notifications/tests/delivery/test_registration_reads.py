"""What is read for many that register together, and what comes of a read that fails or takes its time."""

import asyncio
import threading

import pytest
from django.db import OperationalError

from notifications.delivery import history, hub, registration_reads
from notifications.tests.conftest import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


def reader():
    """Return the one of this event loop."""
    return hub.current().reads


@pytest.fixture
def reads(monkeypatch):
    """Return the user ids of each read. A read of user `slow` waits until `reads.go_on` is set."""

    class Reads(list):
        go_on = threading.Event()

    noted, read = Reads(), history.read_states

    def read_and_note(*, user_ids):
        noted.append(sorted(user_ids))
        if "slow" in user_ids:
            noted.go_on.wait(PATIENCE)
        return read(user_ids=user_ids)

    monkeypatch.setattr(history, "read_states", read_and_note)
    return noted


def read_all(*user_ids):
    return [asyncio.create_task(read_numbers(user_id)) for user_id in user_ids]


async def read_numbers(user_id, after=None):
    joined = asyncio.create_task(asyncio.sleep(0))
    return (await reader().read_state(user_id=user_id, after=after or joined))[:3]


async def test_those_that_come_together_are_read_together(reads, notify_user):
    await notify_user("a")
    answers = await asyncio.gather(*read_all("a", "b", "a"))
    assert answers == [(1, 1, 0), (0, None, 0), (1, 1, 0)]
    assert reads == [["a", "b"]]


async def test_who_comes_during_a_read_is_not_served_from_it(reads, notify_user, monkeypatch):
    monkeypatch.setattr(registration_reads, "PATIENCE_SECONDS", PATIENCE)
    early = read_all("slow")
    await until(lambda: reads)
    await notify_user("a")
    late = read_all("a", "slow")
    await asyncio.sleep(0)
    assert reads == [["slow"]]
    reads.go_on.set()
    assert await asyncio.gather(*early, *late) == [(0, None, 0), (1, 1, 0), (0, None, 0)]
    assert reads == [["slow"], ["a", "slow"]]


async def test_a_read_that_takes_its_time_holds_up_others_only_for_a_while(reads, monkeypatch):
    monkeypatch.setattr(registration_reads, "PATIENCE_SECONDS", 0.01)
    slow = read_all("slow")
    await until(lambda: reads)
    assert await asyncio.gather(*read_all("a")) == [(0, None, 0)]
    reads.go_on.set()
    assert await asyncio.gather(*slow) == [(0, None, 0)]


async def test_in_a_storm_clients_that_come_after_a_read_gather_for_the_next(reads, monkeypatch):
    monkeypatch.setattr(registration_reads, "GATHER_SECONDS", 0.5)
    await asyncio.gather(*read_all("a"))
    await asyncio.gather(*(later(turns) for turns in range(3)))
    assert reads == [["a"], ["0", "1", "2"]]


async def later(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    return await read_numbers(str(turns))


async def test_a_feed_is_read_once_its_group_is_joined(reads):
    may_join = asyncio.Event()
    joined = asyncio.create_task(may_join.wait())
    asked = asyncio.create_task(read_numbers("a", after=joined))
    await asyncio.sleep(0.1)
    assert reads == []
    may_join.set()
    assert await asked == (0, None, 0)


async def test_a_feed_is_read_without_the_layer_after_a_while(reads, monkeypatch):
    monkeypatch.setattr(registration_reads, "TIMEOUT_SECONDS", 0.01)
    never = asyncio.create_task(asyncio.sleep(PATIENCE))
    assert await read_numbers("a", after=never) == (0, None, 0)
    assert not never.done()
    never.cancel()


async def test_no_read_is_larger_than_a_batch(reads, monkeypatch):
    monkeypatch.setattr(registration_reads, "QUERY_SIZE", 2)
    await asyncio.gather(*read_all("a", "b", "c"))
    assert reads == [["a", "b"], ["c"]]


async def test_everybody_hears_of_a_read_that_fails_and_the_next_is_tried(monkeypatch):
    def fail(*, user_ids):
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(history, "read_states", fail)
        errors = await asyncio.gather(*read_all("a", "b"), return_exceptions=True)
    assert [type(error) for error in errors] == [OperationalError, OperationalError]
    assert await asyncio.gather(*read_all("a")) == [(0, None, 0)]


async def test_who_has_gone_is_not_read_for(reads, monkeypatch):
    gone, stays = read_all("a", "b")
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == (0, None, 0)
    assert reads == [["b"]]
