"""The service under attack: a production server without a proxy, and what is seen of it from outside."""

import uuid
from contextlib import contextmanager

from django.apps import apps

from stripe_sandbox import keys as sandbox_keys
from tests.support import backend, frames, keys, sandbox, webhook
from tests.support.client import connected
from tests.support.database import empty_database
from tests.support.production import API_KEY, PRODUCTION, SECRET_KEY, TOKEN_SECRET
from tests.support.server import Server

SETTINGS = {name: value for name, value in PRODUCTION.items() if not name.startswith("STRIPE_")} | {
    "STRIPE_SANDBOX": "1",
    "TRUSTED_PROXIES": "127.0.0.1,::1",
    "API_DOCS": "1",
    "LIMITS": "connections-per-address=100000,registrations-per-address=1000000,failures-per-address=1000000,"
    "replays-per-user=1000000,calls-per-key=1000000,calls-per-user=1000000",
}
"""Those of a production, with the sandbox in Stripe's place, addresses that attackers choose, the API's description, and
limits that let their input through."""

KEY = {"Authorization": f"Bearer {API_KEY}"}
_STRIPE_KEY = sandbox_keys.derived("sk_test_", secret_key=SECRET_KEY)
_SIGNING_SECRET = sandbox_keys.derived("whsec_", secret_key=SECRET_KEY)


@contextmanager
def attacked(folder):
    """A target with a database of its own; `folder` holds its log."""
    with empty_database(folder) as database:
        server = Server(folder=folder, database=database, **SETTINGS)
        try:
            # A production does not migrate by itself.
            migrated = server.run("migrate")
            assert migrated.returncode == 0, migrated.stderr
            server.start()
            yield Target(server)
        finally:
            server.close()


class Target:
    """A server with SETTINGS."""

    def __init__(self, server):
        self.server = server
        self._pid = server.pid

    @property
    def port(self):
        return self.server.port

    @property
    def http(self):
        return self.server.http

    def token(self, user_id, **claims):
        """Return a user's token."""
        header = keys.token(user_id, secret=TOKEN_SECRET, **claims)
        return header["Authorization"].removeprefix("Bearer ")

    def ask(self, user_id):
        """Ask for a payment; return it."""
        answer = self.http.post("/api/payments", json=backend.order(user_id), headers=KEY)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def read(self, payment):
        answer = self.http.get(f"/api/payments/{payment['id']}", headers=KEY)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self, payment):
        """Return what Stripe sent of a payment, oldest first."""
        stripe_key = {"Authorization": f"Bearer {_STRIPE_KEY}"}
        listed = self.http.get("/v1/events", params={"limit": 100}, headers=stripe_key).json()["data"]
        return [event for event in reversed(listed) if payment["id"] in str(event)]

    def deliver(self, body):
        """Deliver an event, rightly signed; return the response."""
        signature = webhook.signed(body, secret=_SIGNING_SECRET)
        return self.http.post("/webhooks/stripe/", content=body, headers=signature)

    def journey(self):
        """Go the way of the client guide, from the registration to the money: all is answered as ever."""
        user_id = f"user-{uuid.uuid4().hex}"
        with connected(self.server) as client:
            registered = client.register(user_id, token=self.token(user_id))
            assert registered == frames.registered(user_id)
            payment = self.ask(user_id)
            assert client.receive() == frames.link(payment)
            assert sandbox.choose(self.server, payment, "pay").status_code == 303
            assert client.receive() == frames.status(payment, "succeeded")
        assert self.read(payment)["status"] == "succeeded"
        sandbox.wait_until_delivered(self.server)

    def is_the_same_process(self):
        """Return whether the process that was started still serves."""
        return self.server.is_serving() and self.server.pid == self._pid

    def rows(self):
        """Return how many rows each table has."""
        tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True)]
        counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)
        return dict(self.server.database.execute(counts))
