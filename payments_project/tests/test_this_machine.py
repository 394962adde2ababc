import pytest

from payments_project.middleware.this_machine import ThisMachineAlone


async def served(_, __, send):
    await send("served")


@pytest.mark.parametrize(
    ("client", "is_served"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.9.10", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (None, True),
        (("", 0), True),
        (("192.168.1.5", 1), False),
        (("::ffff:192.168.1.5", 1), False),
        (("fe80::1%eth0", 1), False),
    ],
)
async def test_this_machine_is_served_and_no_other(client, is_served):
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await ThisMachineAlone(served)({"type": "http", "client": client, "headers": []}, receive, send)

    assert (sent == ["served"]) == is_served
    assert is_served or sent[0]["status"] == 403
