#!/usr/bin/env python
"""Django's command line for this project."""

import gc
import os
import signal
import sys
from types import FrameType


def end(number: int, _: FrameType | None) -> None:
    """Exit as a process does that the signal kills."""
    os._exit(128 + number)


if os.getpid() == 1:
    # The kernel drops signals without a handler for PID 1. So a container could not be ended while it starts.
    signal.signal(signal.SIGTERM, end)
IS_INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if IS_INTERRUPTIBLE:  # Ctrl-C while Django is imported would be a traceback
    signal.signal(signal.SIGINT, end)

# Of the million objects that the start makes nearly all stay. Looking for garbage among them took a fifth of its time.
gc.set_threshold(100_000)

from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402


def main() -> None:
    """Run a command. Exit 1 with a line for each wrong setting.

    What it writes, such as an SQLite database and its log, is for this user alone: links and logins are in it.
    """
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
    try:
        if IS_INTERRUPTIBLE:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
