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


@pytest.mark.parametrize(
    ("at", "line", "wall"),
    [
        (
            "payments/webhooks/retention.py",
            "from notifications import new_room",
            "Payments uses nothing of notifications but",
        ),
        ("payments/webhooks/retention.py", "from notifications.feed import notify", ""),
        (
            "stripe_sandbox/ids.py",
            "from payments import metrics",
            "The sandbox is the other side of the wire",
        ),
        (
            "stripe_sandbox/ids.py",
            "from notifications import new_room",
            "The sandbox is the other side of the wire",
        ),
        ("payments/record.py", "from stripe_sandbox import ids", "Dependencies point one way"),
        ("notifications/feed.py", "import stripe", "Only the gateway with its transport"),
        ("payments/webhooks/new_room.py", "import stripe", "Only the gateway with its transport"),
    ],
)
def test_an_import_through_a_wall_is_refused_and_one_through_a_door_is_not(copy, at, line, wall):
    new_room = copy / "notifications/new_room.py"
    new_room.touch()
    module = copy / at
    text = module.read_text() if module.exists() else None
    module.write_text(f"{text or ''}\n{line}\n")
    try:
        names = broken(copy)
    finally:
        if text is None:
            module.unlink()
        else:
            module.write_text(text)

    assert bool(names) is bool(wall)
    assert not wall or any(name.startswith(wall) for name in names)


@pytest.mark.parametrize("module", ["delivery.cursor", "delivery.receipts", "delivery.states", "protocol"])
def test_what_does_no_io_is_imported_without_settings(module):
    """A test of it needs no Django, no event loop and no database."""
    imported = f"import sys, notifications.{module}; assert not {{'django', 'channels', 'asyncio'}} & set(sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", imported], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
