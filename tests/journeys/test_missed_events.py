"""What Stripe could not deliver, and what a crash cut short, comes all the same: by a command in another process."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import backend, sandbox
from tests.support.frames import link, status, story

REDIS_URLS = {"without Redis": ""}
if os.environ["REDIS_URL"]:
    REDIS_URLS["with Redis"] = os.environ["REDIS_URL"]


@pytest.fixture
def paid(server, rider, deliver):
    """A payment that is paid, of which nothing arrived."""
    payment = backend.ask(server, rider.user_id)
    deliver("drop")
    sandbox.choose(server, payment, "pay")
    deliver("normal")
    assert rider.receive_all() == story(payment)
    return payment


def run(server, *arguments, **changes):
    """Run the command; return what it wrote."""
    command = server.run("fetch_webhooks", *arguments, **changes)
    assert (command.returncode, command.stderr) == (0, "")
    return command.stdout


@pytest.mark.parametrize("redis", REDIS_URLS)
def test_events_that_were_dropped_are_fetched_and_running_clients_hear_of_them(server, rider, paid, redis):
    output = run(server, "--since", "1h", REDIS_URL=REDIS_URLS[redis])

    assert f"payment {paid['id']}, ride {paid['rideId']}: pending → succeeded (evt_" in output
    assert rider.receive(seconds=5) == status(paid, "succeeded")
    assert backend.read(server, paid)["status"] == "succeeded"
    assert "0 missing." in run(server, "--since", "1h")
    assert rider.receive_all() == []


def test_without_its_events_a_payment_is_as_stripe_has_it(server, rider, paid):
    output = run(server, "--payment", paid["id"])

    assert f"ride {paid['rideId']}: pending → succeeded (as Stripe has it)" in output
    assert rider.receive(seconds=5) == status(paid, "succeeded")
    assert paid["rideId"] not in run(server, "--since", "1h")
    assert rider.receive_all() == []


def test_a_dry_run_says_what_is_missing_and_changes_nothing(server, rider, paid):
    output = run(server, "--dry-run")

    assert f"ride {paid['rideId']}: pending → succeeded" in output
    assert "Dry run, nothing was written: " in output
    assert backend.read(server, paid)["status"] == "pending"
    assert rider.receive_all() == []


def test_a_payment_that_a_crash_left_without_its_link_gets_it(server, connect, user_id):
    payment = backend.ask(server, user_id)
    server.database.execute(
        "UPDATE payments_payment SET session_id = NULL, payment_url = %s, link_seq = NULL, created_at = %s"
        " WHERE ride_id = %s",
        "",
        f"{datetime.now(tz=UTC) - timedelta(minutes=2):%Y-%m-%d %H:%M:%S}+00",
        payment["rideId"],
    )
    client = connect(server)
    client.register(user_id, lastSeq=1)

    output = run(server, "--ride", payment["rideId"])

    assert f"ride {payment['rideId']}: completed, its link is handed over" in output
    assert client.receive(seconds=5) == link(payment) | {"seq": 2}
    assert backend.read(server, payment)["stripeSessionId"] == payment["stripeSessionId"]


def test_without_options_it_looks_for_everything(server, paid):
    output = run(server)

    assert f"ride {paid['rideId']}: pending → succeeded (evt_" in output
    assert " checked, " in output.splitlines()[-1]
