"""Replaying stored events in another process: running clients hear what was wrong, and nothing else."""

import json
import os

import pytest

from tests.support import backend, sandbox
from tests.support.frames import status, story

REDIS_URLS = {"without Redis": ""}
if os.environ["REDIS_URL"]:
    REDIS_URLS["with Redis"] = os.environ["REDIS_URL"]


@pytest.fixture
def paid(server, rider):
    """A payment that is paid, as its rider knows."""
    payment = backend.ask(server, rider.user_id)
    sandbox.choose(server, payment, "pay")
    assert rider.receive_all() == story(payment, "succeeded")
    return payment


@pytest.fixture
def forgotten(server, paid):
    """A payment that is paid, though the database says otherwise until the end of the test."""
    read = "SELECT CAST(facts AS text) FROM payments_payment WHERE ride_id = %s"
    write = "UPDATE payments_payment SET status = %s, facts = %s WHERE ride_id = %s"
    [(facts,)] = server.database.execute(read, paid["rideId"])
    server.database.execute(write, "pending", json.dumps({"asked": "1250 usd"}), paid["rideId"])
    assert backend.read(server, paid)["status"] == "pending"
    yield paid
    server.database.execute(write, "succeeded", facts, paid["rideId"])


@pytest.mark.parametrize("redis", REDIS_URLS)
def test_a_replay_mends_a_wrong_status_and_running_clients_hear_it(server, rider, forgotten, redis):
    replay = server.run("replay_webhooks", "--ride", forgotten["rideId"], REDIS_URL=REDIS_URLS[redis])

    assert (replay.returncode, replay.stderr) == (0, "")
    assert f"payment {forgotten['id']}, ride {forgotten['rideId']}: pending → succeeded" in replay.stdout
    assert replay.stdout.endswith("; 1 statuses changed.\n")
    assert rider.receive(seconds=5) == status(forgotten, "succeeded")
    assert backend.read(server, forgotten)["status"] == "succeeded"
    assert rider.receive_all() == []


def test_a_dry_run_shows_what_would_change_and_changes_nothing(server, rider, forgotten):
    replay = server.run("replay_webhooks", "--user", rider.user_id, "--dry-run")

    assert (replay.returncode, replay.stderr) == (0, "")
    assert replay.stdout.endswith("; 1 statuses would change.\n")
    assert backend.read(server, forgotten)["status"] == "pending"
    assert rider.receive_all() == []


def test_replaying_everything_changes_nothing_and_notifies_nobody(server, rider, paid):
    count = "SELECT count(*) FROM notifications_notification"
    before = server.database.execute(count)

    replay = server.run("replay_webhooks", "--all")

    assert (replay.returncode, replay.stderr) == (0, "")
    assert replay.stdout.endswith("; 0 statuses changed.\n")
    assert server.database.execute(count) == before
    assert rider.receive_all() == []
