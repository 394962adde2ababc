"""A user is forgotten on request: no row of any table names the user any more, and the money's record stays."""

import hashlib

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support import backend, sandbox, staff
from tests.support.server import eventually


def secret_of(user_id):
    """Return what opens the app, which the address of a payment's end bears."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:20]


@pytest.fixture
def user_id(user_id):
    """A user whom the pattern of no other id fits."""
    return f"{user_id}@example.com"


def forget(server, user_id):
    forgotten = server.run("forget_user", user_id)
    assert (forgotten.returncode, forgotten.stderr) == (0, "")
    assert user_id not in forgotten.stdout
    return forgotten.stdout


def asked(server, user_id):
    """Ask for a payment with all that says something of a user."""
    return backend.ask(
        server,
        user_id,
        description=f"Ride of {user_id}",
        successUrl=f"https://shop.example/paid?login={secret_of(user_id)}&user={user_id}",
        cancelUrl=f"https://shop.example/back?login={secret_of(user_id)}",
    )


def test_nothing_names_a_user_who_was_forgotten_and_the_money_stays(server, connect, user_id):
    client = connect(server)
    client.register(user_id)
    paid, still_open = asked(server, user_id), asked(server, user_id)
    sandbox.choose(server, paid, "pay")
    eventually(lambda: backend.read(server, paid)["status"] == "succeeded")
    sandbox.wait_until_delivered(server)
    before = server.database.everything()
    assert user_id in before
    assert secret_of(user_id) in before
    assert still_open["paymentUrl"] in before

    client.receive_until_pong()
    report = forget(server, user_id)

    assert "Forgot the user in 2 payments" in report
    assert "did not close" not in report
    assert sandbox.choose(server, still_open, "pay").status_code == 409
    assert backend.read(server, still_open)["status"] == "canceled"
    # With Redis the client gets the cancel before the end; without, no wake comes from the command's process.
    with pytest.raises(ConnectionClosed) as closed:
        client.receive_until("the end")
    assert closed.value.rcvd.code == 4401
    after = server.database.everything()
    assert user_id not in after
    assert secret_of(user_id) not in after
    assert paid["paymentUrl"] not in after
    assert still_open["paymentUrl"] not in after
    now = backend.read(server, paid)
    same = ("id", "rideId", "amount", "currency", "status", "createdAt")
    assert {name: now[name] for name in same} == {name: paid[name] for name in same} | {"status": "succeeded"}
    assert now["userId"].startswith("forgotten-")
    assert now["userId"] in report

    backend.refund(server, paid)
    sandbox.wait_until_delivered(server)

    assert backend.read(server, paid)["status"] == "refunded"
    late = server.database.everything()
    assert user_id not in late
    assert secret_of(user_id) not in late
    again = forget(server, user_id)
    assert again.startswith("Forgot the user in 0 payments, 0 webhook events")
    replay = server.run("replay_webhooks", "--user", now["userId"])
    assert replay.stdout.endswith("; 0 statuses changed.\n"), replay.stdout
    of_ride = "SELECT CAST(facts AS text) FROM payments_payment WHERE ride_id = %s"
    [(facts,)] = server.database.execute(of_ride, paid["rideId"])
    assert "4242" not in facts
    assert "receipt/" not in facts


def test_what_is_being_paid_goes_on_and_names_nobody(server, user_id):
    payment = asked(server, user_id)
    sandbox.choose(server, payment, "delayed")
    eventually(lambda: backend.read(server, payment)["status"] == "processing")
    sandbox.wait_until_delivered(server)

    assert "Payments that Stripe did not close: 1." in forget(server, user_id)
    sandbox.settle(server, payment, "succeeded")
    eventually(lambda: backend.read(server, payment)["status"] == "succeeded")
    sandbox.wait_until_delivered(server)

    late = server.database.everything()
    assert user_id not in late
    assert secret_of(user_id) not in late


def test_while_stripe_does_not_close_a_link_nothing_is_forgotten(server, user_id):
    payment = asked(server, user_id)
    away = server.run("forget_user", user_id, HOST="127.0.0.1", PORT="1")

    assert (away.returncode, away.stdout) == (1, "")
    assert "Nothing was forgotten yet" in away.stderr
    assert user_id not in away.stderr
    assert backend.read(server, payment)["userId"] == user_id
    forget(server, user_id)
    assert user_id not in server.database.everything()


def test_a_login_of_the_user_is_spoken_of(server, user_id):
    staff.make_user(server, user_id, "a-password-of-enough-length")

    assert "A login of this name is left" in forget(server, user_id)


def test_a_user_who_comes_back_is_a_new_one_and_is_forgotten_again(server, user_id):
    asked(server, user_id)
    first = forget(server, user_id)
    asked(server, user_id)

    second = forget(server, user_id)

    assert "in 1 payments" in first
    assert "in 1 payments" in second
    assert user_id not in server.database.everything()


def test_another_user_is_not_forgotten_with_one(server, user_id):
    other = asked(server, f"{user_id}.example")
    forget(server, user_id)

    assert backend.read(server, other)["userId"] == f"{user_id}.example"


@pytest.mark.parametrize("wrong", ["", "x" * 129, "forgotten-" + "0" * 32])
def test_what_is_no_user_id_is_refused(server, wrong):
    refused = server.run("forget_user", wrong)

    assert refused.returncode == 2
    assert "argument USER" in refused.stderr
