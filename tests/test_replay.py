"""Replaying stored events in another process: running clients hear what was wrong, and nothing else."""

import json
import os

import pytest

from tests import backend, sandbox
from tests.frames import status, story


@pytest.fixture
def paid(daphne, connect, user_id):
    """A payment that is paid, and a client that knows."""
    client = connect(daphne)
    client.register(user_id)
    payment = backend.ask(daphne, user_id)
    sandbox.choose(daphne, payment, "pay")
    sandbox.wait_until_delivered(daphne)
    told = story(payment, "succeeded")
    assert [client.receive() for _ in told] == told
    return payment, client


def forget_that_it_was_paid(server, payment):
    server.database.execute(
        "UPDATE payments_payment SET status = 'pending', facts = %s WHERE ride_id = %s",
        json.dumps({"asked": "1250 usd"}),
        payment["rideId"],
    )
    assert backend.read(server, payment)["status"] == "pending"


@pytest.mark.parametrize(
    "redis_url", [pytest.param(url, id=url and "with Redis" or "without") for url in {os.environ["REDIS_URL"], ""}]
)
def test_a_replay_mends_a_wrong_status_and_running_clients_hear_it(daphne, paid, user_id, heard, redis_url):
    payment, client = paid
    forget_that_it_was_paid(daphne, payment)

    replay = daphne.run("replay_webhooks", "--ride", payment["rideId"], REDIS_URL=redis_url)

    assert (replay.returncode, replay.stderr) == (0, "")
    assert f"payment {payment['id']}, ride {payment['rideId']}: pending → succeeded" in replay.stdout
    assert replay.stdout.endswith("1 statuses changed.\n")
    assert client.receive(seconds=5) == status(payment, "succeeded")
    assert backend.read(daphne, payment)["status"] == "succeeded"
    assert heard(daphne, client, user_id) == []


def test_a_dry_run_shows_what_would_change_and_changes_nothing(daphne, paid, user_id, heard):
    payment, client = paid
    forget_that_it_was_paid(daphne, payment)

    replay = daphne.run("replay_webhooks", "--user", user_id, "--dry-run")

    assert replay.stdout.endswith("1 statuses would change.\n")
    assert backend.read(daphne, payment)["status"] == "pending"
    assert heard(daphne, client, user_id) == []


def test_replaying_everything_changes_nothing_and_notifies_nobody(daphne, paid, user_id, heard):
    payment, client = paid
    count = "SELECT count(*) FROM notifications_notification"
    before = daphne.database.execute(count)

    replay = daphne.run("replay_webhooks", "--all")

    assert (replay.returncode, replay.stderr) == (0, "")
    assert replay.stdout.endswith("0 statuses changed.\n")
    assert daphne.database.execute(count) == before
    assert heard(daphne, client, user_id) == []
