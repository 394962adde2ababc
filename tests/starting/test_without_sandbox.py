"""A service that asks Stripe itself has nothing of the sandbox: no table, no address, no module."""

import json

from tests.support.server import run

STRIPE = {
    "STRIPE_SANDBOX": "0",
    "STRIPE_SECRET_KEY": "sk_test_12345678",
    "STRIPE_WEBHOOK_SECRETS": "whsec_Vt6qLz3NcX8wRb5KpY1mJd9H",
}
CODE = """
import json, sys
from django.test import Client
from payments_project.asgi import application
from django.db import connection
from django.core.management import call_command

call_command("migrate", verbosity=0)
client = Client(headers={"host": "localhost"})
print(json.dumps({
    "tables": [name for name in connection.introspection.table_names() if "sandbox" in name],
    "modules": [name for name in sys.modules if name.startswith("stripe_sandbox.") and name != "stripe_sandbox.keys"],
    "statuses": [client.get(path).status_code for path in ("/v1/events", "/v2/core/events", "/sandbox/")],
}))
"""


def test_without_the_sandbox_there_is_nothing_of_it(tmp_path):
    ran = run("-W", "ignore", "-c", CODE, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3", **STRIPE)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"tables": [], "modules": [], "statuses": [404, 404, 404]}
