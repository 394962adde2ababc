"""The walls between the apps are rules, not lists: a module that is new is behind them, too."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

PACKAGES = ("access", "database", "notifications", "payments", "payments_project", "stripe_sandbox")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the service in which a test may build through a wall."""
    folder = tmp_path_factory.mktemp("walls")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken(copy):
    """Return the names of the contracts that do not hold."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = {"PYTHONPATH": ".", "COLUMNS": "200"}
    ran = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, env=environment)
    assert re.search(r"Contracts: \d+ kept, \d+ broken", ran.stdout), ran.stdout + ran.stderr
    return re.findall(r"^(.+) BROKEN", ran.stdout, re.MULTILINE)


@pytest.fixture
def build(copy):
    """Add lines to modules of the copy, or add modules to it, for the time of a test."""
    before = {}

    def build(**lines):
        for name, line in lines.items():
            module = copy / f"{name.replace('__', '/')}.py"
            before[module] = module.read_text() if module.exists() else None
            module.write_text(f"{before[module] or ''}\n{line}\n")

    yield build
    for module, text in before.items():
        if text is None:
            module.unlink()
        else:
            module.write_text(text)


ONE_WAY = "Dependencies point one way"
DOOR = "Payments uses nothing of notifications but"
NOTIFICATION = "A notification goes one way"
DELIVERY = "Within delivery, the hub knows"
NO_IO = "The cursor, the receipts and the protocol do no I/O"
PAYMENT = "A payment goes one way"
STRIPE_ROOM = "Within payments/stripe"
SANDBOX = "The sandbox is the other side of the wire"
LIBRARY = "Only the gateway with its transport"


@pytest.mark.parametrize(
    ("lines", "wall"),
    [
        (
            {"payments__webhooks__retention": "import notifications.new", "notifications__new": ""},
            DOOR,
        ),
        ({"stripe_sandbox__ids": "from payments import metrics"}, SANDBOX),
        ({"stripe_sandbox__ids": "import notifications.new", "notifications__new": ""}, SANDBOX),
        ({"payments__record": "from stripe_sandbox import ids"}, ONE_WAY),
        ({"notifications__feed": "import stripe"}, LIBRARY),
        ({"payments__webhooks__new": "import stripe"}, LIBRARY),
        ({"notifications__new": ""}, NOTIFICATION),
        ({"notifications__models": "from notifications.delivery import hub"}, NOTIFICATION),
        (
            {
                "notifications__delivery__cursor": "from notifications.delivery import new",
                "notifications__delivery__new": "import asyncio\nimport django.db",
            },
            NO_IO,
        ),
        ({"notifications__delivery__new": ""}, DELIVERY),
        ({"notifications__delivery__cursor": "from notifications.delivery import history"}, DELIVERY),
        ({"notifications__delivery__cursor": "from django.db import connection"}, NO_IO),
        ({"notifications__delivery__receipts": "import asyncio"}, NO_IO),
        (
            {
                "notifications__protocol": "from notifications import new",
                "notifications__new": "import redis",
            },
            NO_IO,
        ),
        ({"payments__record": "from payments.webhooks import apply"}, PAYMENT),
        ({"payments__stripe__states": "from payments.api import schemas"}, PAYMENT),
        ({"payments__new": ""}, PAYMENT),
        ({"payments__stripe__states": "from payments.stripe import values"}, STRIPE_ROOM),
        ({"payments__stripe__new": ""}, STRIPE_ROOM),
    ],
)
def test_an_import_through_a_wall_and_a_module_without_a_place_are_refused(build, copy, lines, wall):
    build(**lines)
    assert any(name.startswith(wall) for name in broken(copy))


def test_an_import_through_a_door_is_not_refused(build, copy):
    build(payments__webhooks__retention="from notifications.feed import notify")
    assert broken(copy) == []


@pytest.mark.parametrize("module", ["delivery.cursor", "delivery.receipts", "delivery.states", "protocol"])
def test_what_does_no_io_is_imported_without_settings(module):
    """A test of it needs no Django, no event loop and no database."""
    imported = f"import sys, notifications.{module}; assert not {{'django', 'channels', 'asyncio'}} & set(sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", imported], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
