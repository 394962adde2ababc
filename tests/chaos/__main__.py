"""`python -m tests.chaos`: one run, its tables, and exit code 0 if nothing was lost, else 1."""

import argparse
import asyncio
import logging
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import django
from rich.console import Console


def main() -> int:
    """Run with the options of the command line; return the exit code."""
    options = parse()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    prepare_environment(folder)
    from tests.chaos.session import hold  # the settings come first

    console = Console()
    console.print(f"Seed {options.seed}; logs in {folder}", highlight=False)
    try:
        holds = asyncio.run(hold(options=options, folder=folder, console=console))
    except KeyboardInterrupt:
        return 130
    if holds:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    console.print(f"The logs are kept in {folder}", highlight=False)
    return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=120, help="how long things fail; default %(default)s"
    )
    parser.add_argument("--seed", type=int, help="the same seed makes the same plan; default a random one")
    parser.add_argument("--clients", type=int, default=200, help="how many of each kind; default %(default)s")
    parser.add_argument(
        "--reconciler", choices=["on", "off"], default="on", help="off proves that a run can fail"
    )
    parser.add_argument("--markdown", type=Path, help="add the tables to this file")
    options = parser.parse_args()
    if options.seconds < 20 or options.clients < 5:
        parser.error("Give 20 seconds or more, and 5 clients or more.")
    if options.seed is None:
        options.seed = secrets.randbelow(10_000)
    return options


def prepare_environment(folder: Path) -> None:
    """Set what Django's settings read here and in the cluster: nothing of the developer's own gets in."""
    os.environ |= {
        "XDG_RUNTIME_DIR": str(folder),  # PostgreSQL's package warns where there is none
        "ENV_FILE": "",
        "DEBUG": "1",
        "SECRET_KEY": secrets.token_hex(32),
        "DJANGO_SETTINGS_MODULE": "payments_project.settings",
        "REDIS_URL": "",
        # All clients come from one address.
        "LIMITS": "connections-per-address=100000,registrations-per-address=1000000,replays-per-user=100000",
    }
    for name in ("STRIPE_SECRET_KEY", "STRIPE_SANDBOX", "DATABASE_URL", "API_KEYS"):
        os.environ.pop(name, None)
    django.setup()
    logging.disable()


if __name__ == "__main__":
    sys.exit(main())
