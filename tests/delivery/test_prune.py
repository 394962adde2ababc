"""Removing what is old, with the command, beside a running server: clients resume, go on, and miss nothing."""

import pytest

from tests.support import backend, sandbox
from tests.support.frames import numbered, registered, resumed, status, story

LONG_AGO = "2020-01-01 00:00:00"
FAR_OFF = "2100-01-01 00:00:00"
OF_RIDE = "payment_id IN (SELECT id FROM payments_payment WHERE ride_id = %s)"


@pytest.fixture
def missed(server, user_id):
    """A payment with the three frames that nobody was there to hear. What is left of it does not stay old."""
    payment = backend.ask(server, user_id)
    sandbox.choose(server, payment, "decline")
    sandbox.choose(server, payment, "pay")
    sandbox.wait_until_delivered(server)
    yield payment
    date_notifications(server, user_id, up_to=3, at=FAR_OFF)
    date_events(server, payment, at=FAR_OFF)


def date_notifications(server, user_id, *, up_to, at=LONG_AGO, columns=("created_at", "expires_at")):
    """Give a user's first notifications another time."""
    for column in columns:
        server.database.execute(
            f"UPDATE notifications_notification SET {column} = %s WHERE seq <= %s"
            " AND feed_id = (SELECT id FROM notifications_feed WHERE user_id = %s)",
            *(at, up_to, user_id),
        )


def date_events(server, payment, *, at=LONG_AGO):
    """Give a payment's events another time."""
    server.database.execute(
        f"UPDATE payments_webhookevent SET received_at = %s WHERE {OF_RIDE}", at, payment["rideId"]
    )


def prune(server, *arguments):
    """Run the command; return its one line."""
    done = server.run("prune", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_client_below_what_is_kept_does_not_resume_and_one_at_the_edge_does(
    server, connect, user_id, missed
):
    date_notifications(server, user_id, up_to=2)
    assert prune(server, "--dry-run") == "Would remove 0 webhook events and 2 notifications.\n"
    assert prune(server) == "Removed 0 webhook events and 2 notifications.\n"

    below, edge = connect(server), connect(server)
    assert below.register(user_id, lastSeq=1) == resumed(user_id, newest=3, resumed=False)
    assert below.receive_until_pong() == []
    assert edge.register(user_id, lastSeq=2) == resumed(user_id, newest=3)
    assert edge.receive_until_pong() == numbered(story(missed, "failed", "succeeded"))[2:]

    payment = backend.ask(server, user_id)
    for client in (below, edge):
        assert client.receive() == story(payment)[0] | {"seq": 4}


def test_connected_clients_go_on_after_all_they_had_is_gone(server, connect, user_id, missed):
    plain, counting = connect(server), connect(server)
    plain.register(user_id)
    assert plain.receive() == status(missed, "succeeded")
    counting.register(user_id, lastSeq=3)
    date_notifications(server, user_id, up_to=3)
    assert prune(server) == "Removed 0 webhook events and 3 notifications.\n"

    payment = backend.ask(server, user_id)

    assert plain.receive() == story(payment)[0]
    assert counting.receive() == story(payment)[0] | {"seq": 4}


def test_what_a_plain_client_has_still_to_be_sent_is_kept(server, connect, user_id, missed):
    date_notifications(server, user_id, up_to=3, columns=["created_at"])
    assert prune(server) == "Removed 0 webhook events and 0 notifications.\n"

    client = connect(server)
    assert client.register(user_id) == registered(user_id)
    assert client.receive() == status(missed, "succeeded")


def test_old_events_go_and_the_payment_keeps_its_status_and_history(server, missed):
    mine = f"FROM payments_webhookevent WHERE {OF_RIDE}"
    [(number, failed)] = server.database.execute(f"SELECT count(*), min(id) {mine}", missed["rideId"])
    date_events(server, missed)
    server.database.execute("UPDATE payments_webhookevent SET state = 'failed' WHERE id = %s", failed)

    assert prune(server) == f"Removed {number - 1} webhook events and 0 notifications.\n"

    assert server.database.execute(f"SELECT id {mine}", missed["rideId"]) == [(failed,)]
    assert backend.read(server, missed)["status"] == "succeeded"
    replay = server.run("replay_webhooks", "--ride", missed["rideId"])
    assert (replay.returncode, replay.stderr) == (0, "")
    assert replay.stdout == "1 events (1 applied); 0 statuses changed.\n"
    changes = server.database.execute(
        f"SELECT pruned_event_id, pruned_event_type FROM payments_statuschange WHERE event_id IS NULL AND {OF_RIDE}",
        missed["rideId"],
    )
    assert changes
    assert all(event_id.startswith("evt_") and "." in type_ for event_id, type_ in changes)


def test_wrong_usage_and_a_database_that_fails_have_exit_codes_of_their_own(server):
    refused = server.run("prune", "--events-days", "29")
    assert refused.returncode == 2
    assert "send 30 to 36500" in refused.stderr

    failed = server.run("prune", DATABASE_URL="sqlite:////nowhere/at/all/db.sqlite3")
    assert failed.returncode == 1
    assert failed.stderr.startswith("CommandError: The database failed (OperationalError (")
    assert "Traceback" not in failed.stderr
