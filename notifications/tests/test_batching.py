"""What gathers is done together."""

import asyncio

from notifications.batching import Batcher
from notifications.tests.conftest import until


class Work:
    """Notes its batches; it may be held up, and fail."""

    def __init__(self):
        self.batches = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, batch):
        self.batches.append(batch)
        await self.go_on.wait()
        if "bad" in batch:
            raise KeyError("bad")


async def test_what_comes_during_a_batch_makes_the_next():
    work = Work()
    batcher = Batcher(work, size=3, room=10)
    work.go_on.clear()
    batcher.put(1)
    await until(lambda: work.batches == [[1]])
    for n in range(2, 7):
        assert batcher.put(n) == 0
    work.go_on.set()
    await until(lambda: work.batches == [[1], [2, 3, 4], [5, 6]])


async def test_what_finds_no_room_is_dropped_and_counted():
    work = Work()
    work.go_on.clear()
    batcher = Batcher(work, size=10, room=2)
    assert batcher.put(1, 2, 3, 4) == 2
    await until(lambda: work.batches == [[1, 2]])
    assert batcher.put(5) == 0
    work.go_on.set()
    await until(lambda: work.batches == [[1, 2], [5]])


async def test_its_task_ends_when_nothing_waits_and_begins_again():
    work = Work()
    batcher = Batcher(work, size=10, room=10)
    for n in range(3):
        batcher.put(n)
        await until(batcher._task.done)
    assert work.batches == [[0], [1], [2]]


async def test_a_batch_that_fails_is_logged_and_takes_nothing_from_the_next(caplog):
    work = Work()
    batcher = Batcher(work, size=1, room=10)
    batcher.put("bad", "good")
    await until(lambda: work.batches == [["bad"], ["good"]])
    assert "A batch of work failed." in caplog.text
