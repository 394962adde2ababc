"""manage.py, with a reconciler that compares nothing: what the channel layer loses stays lost.

The chaos run serves with it to prove that it can fail.
"""

import os
import sys

import django
from django.core.management import execute_from_command_line


async def compare_nothing(*_):
    """Stand in for the comparison of connections with feeds."""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_project.settings")
    django.setup()
    from notifications.delivery import reconciler

    reconciler.Reconciler.compare = compare_nothing
    execute_from_command_line(sys.argv)
