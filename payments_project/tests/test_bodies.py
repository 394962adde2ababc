"""Bodies are counted as they arrive, whatever the server."""

import asyncio
import json

import pytest

from payments_project.middleware import bodies
from payments_project.middleware.bodies import Bodies

KIB = 1024


async def read_all(scope, receive, send):
    """Answer with how much came; say nothing to a client that is gone."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


class Client:
    """Sends a request in parts, and keeps what comes back."""

    def __init__(self, application, **fields):
        self._parts, self._answer = asyncio.Queue(), []
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        scope = {"type": "http", "headers": headers}
        self.task = asyncio.create_task(application(scope, self._parts.get, self._keep))

    async def _keep(self, message):
        self._answer.append(message)

    async def send(self, size, *, more=True):
        self._parts.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": more})
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def answer(self):
        """Return the status, and the code of a refusal or the body, once the request has ended."""
        self._parts.put_nowait({"type": "http.disconnect"})
        await self.task
        body = b"".join(message.get("body", b"") for message in self._answer)
        status = self._answer[0]["status"] if self._answer else None
        return status, json.loads(body)["error"]["code"] if status != 200 and body else body


@pytest.fixture(autouse=True)
def small(settings, monkeypatch):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * KIB
    monkeypatch.setattr(bodies, "SUM_MAX_BYTES", 20 * KIB)


@pytest.fixture
def application():
    return Bodies(read_all)


async def test_a_body_of_the_largest_size_is_passed_on(application):
    client = Client(application, content_length=str(10 * KIB))
    await client.send(9 * KIB)
    await client.send(KIB, more=False)
    assert await client.answer() == (200, b"10240")


async def test_a_body_that_says_that_it_is_too_large_is_not_read(application):
    client = Client(application, content_length=str(10 * KIB + 1))
    assert await client.answer() == (413, "too_large")


@pytest.mark.parametrize("parts", [[10 * KIB + 1], [5 * KIB, 5 * KIB, 1], [1] * 3 + [10 * KIB]])
@pytest.mark.parametrize("is_ended", [True, False])
async def test_a_body_is_too_large_once_so_much_has_come(application, parts, is_ended):
    client = Client(application)
    for size in parts[:-1]:
        await client.send(size)
    await client.send(parts[-1], more=not is_ended)
    assert await client.answer() == (413, "too_large")


async def test_the_request_that_began_first_and_has_not_ended_gives_way_to_a_later_one(application):
    slow = [Client(application) for _ in range(3)]
    for client in slow:
        await client.send(6 * KIB)
    quick = Client(application)
    await quick.send(4 * KIB, more=False)
    assert await quick.answer() == (200, b"4096")

    await slow[1].send(KIB, more=False)
    assert await slow[0].answer() == (503, "busy")
    assert await slow[1].answer() == (200, b"7168")


async def test_what_gave_way_and_what_has_ended_leaves_its_room_to_others(application):
    for _ in range(10):
        slow = [Client(application) for _ in range(5)]
        for client in slow:
            await client.send(9 * KIB)
        for client in slow:
            await client.answer()
    clients = [Client(application) for _ in range(2)]
    for client in clients:
        await client.send(10 * KIB, more=False)
    assert [await client.answer() for client in clients] == [(200, b"10240")] * 2


async def test_where_nobody_is_left_to_give_way_the_newest_is_refused(application):
    held = asyncio.Event()

    async def hold(scope, receive, send):
        await receive()
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    holding = Bodies(hold)
    first = [Client(holding) for _ in range(2)]
    for client in first:
        await client.send(10 * KIB, more=False)
    late = Client(holding)
    await late.send(KIB, more=False)
    held.set()
    assert await late.answer() == (503, "busy")
    assert [(await client.answer())[0] for client in first] == [200, 200]


async def test_an_answer_that_has_begun_is_not_followed_by_a_refusal():
    async def answer_early(scope, receive, send):
        await send({"type": "http.response.start", "status": 202, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b""})

    client = Client(Bodies(answer_early))
    await client.send(11 * KIB)
    assert (await client.answer())[0] == 202
