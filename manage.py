#!/usr/bin/env python
"""Django's command line for this project."""

import os
import signal
import sys
from types import FrameType

if os.getpid() == 1:
    # The kernel drops signals without a handler for PID 1. So a container could not be ended while it starts.
    def end(number: int, _: FrameType | None) -> None:
        """Exit as a process does that the signal kills."""
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run a command. Exit 1 with a line for each wrong setting.

    What it writes, such as an SQLite database and its log, is for this user alone: links and logins are in it.
    """
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
