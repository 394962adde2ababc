"""Migrations run while the version before serves: what would stop it is refused, and it goes on writing."""

import uuid
from itertools import count

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from notifications.models import Feed, Notification
from payments.models import Payment, RefundRequest, StatusChange
from tests.support.lint_migrations import lint

pytestmark = pytest.mark.django_db

_numbers = count(1)
FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])
    ]
"""
NEXT = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("sandbox", "0001_initial")]
    operations = [{operation}]
"""


@pytest.fixture
def is_safe(tmp_path, monkeypatch, settings):
    """Return a function that tells whether the linter takes an operation on a table that exists."""

    def check(operation, *, atomic=True):
        name = f"migrations_under_test_{next(_numbers)}"
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "0001_initial.py").write_text(FIRST)
        (package / "0002_next.py").write_text(NEXT.format(operation=operation, atomic=atomic))
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {"sandbox": name}
        return lint(app="sandbox")

    return check


@pytest.mark.parametrize(
    "operation",
    [
        'migrations.AddField("thing", "size", models.IntegerField(default=0))',
        'migrations.RemoveField("thing", "name")',
        'migrations.RenameField("thing", "name", "title")',
        'migrations.AlterField("thing", "name", models.IntegerField())',
        'migrations.AddIndex("thing", models.Index(fields=["name"], name="thing_by_name"))',
        'migrations.DeleteModel("thing")',
    ],
)
def test_a_migration_that_locks_or_breaks_what_is_running_is_refused(is_safe, operation, capsys):
    assert not is_safe(operation)
    assert "(sandbox, 0002_next)... ERR" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)  # an index is built concurrently outside a transaction only
def test_a_migration_that_neither_locks_nor_breaks_anything_is_taken(is_safe):
    assert is_safe('migrations.AddField("thing", "size", models.IntegerField(db_default=0))')
    index = 'models.Index(fields=["name"], name="thing_by_name")'
    assert is_safe(f'AddIndexConcurrently("thing", {index})', atomic=False)


@pytest.fixture
def models_before():
    """Return a function that gives an app's models as the version had them that ended with a migration."""
    loader = MigrationLoader(connection)
    return lambda app, migration: loader.project_state((app, migration)).apps


def test_the_version_before_confirmed_delivery_goes_on_writing(models_before):
    before = models_before("notifications", "0001_initial")
    feed = before.get_model("notifications", "Feed").objects.create(user_id="user_123", last_seq=1)
    notification = before.get_model("notifications", "Notification").objects.create(
        feed=feed, seq=1, frame="{}", collapse_key="payment:1"
    )
    assert Feed.objects.get(pk=feed.pk).confirmed_seq == 0
    assert Notification.objects.get(pk=notification.pk).offers == 0


def test_the_version_before_events_were_fetched_goes_on_writing(models_before):
    before = models_before("payments", "0002_kept_names_of_pruned_events")
    payment = before.get_model("payments", "Payment").objects.create(
        id=uuid.uuid4(), ride_id="ride_123", user_id="user_123", amount=1250, currency="usd"
    )
    request = before.get_model("payments", "RefundRequest").objects.create(
        payment=payment, amount=1, whole=False
    )
    assert RefundRequest.objects.get(pk=request.pk).given_up_at is None
    assert Payment.objects.get(pk=payment.pk).checked_at is None


def test_the_version_before_refunds_were_frozen_goes_on_writing(models_before):
    before = models_before("payments", "0007_events_by_type")
    payment = before.get_model("payments", "Payment").objects.create(
        id=uuid.uuid4(), ride_id="ride_123", user_id="user_123", amount=1250, currency="usd"
    )
    requests = before.get_model("payments", "RefundRequest").objects
    asked = requests.create(payment=payment, amount=1, whole=False, handed_out=False)
    known = RefundRequest.objects.get(pk=asked.pk)
    assert (known.payment_intent_id, known.stripe_params) == ("", None)
    RefundRequest.objects.create(payment_id=payment.pk, amount=1, whole=False, idempotency_key="key-1")
    assert requests.get(idempotency_key="key-1").handed_out


def test_the_version_before_events_were_pruned_goes_on_writing(models_before):
    before = models_before("payments", "0001_initial")
    payment = before.get_model("payments", "Payment").objects.create(
        id=uuid.uuid4(), ride_id="ride_123", user_id="user_123", amount=1250, currency="usd"
    )
    change = before.get_model("payments", "StatusChange").objects.create(
        payment=payment, before="pending", after="succeeded", cause="event"
    )
    assert StatusChange.objects.get(pk=change.pk).pruned_event_id == ""
