"""Run Python in a process whose clock is wrong: `python -m tests.support.skewed SECONDS manage.py serve`.

Wrong is the time of day, wherever the service and its libraries ask for it. Intervals are measured right.
"""

import datetime as dt
import runpy
import sys
import time

skew = float(sys.argv[1])
right_time = time.time


class Datetime(dt.datetime):
    """The class of libraries that ask it for the time."""

    @classmethod
    def now(cls, tz=None):
        return dt.datetime.fromtimestamp(time.time(), tz)


def main():
    time.time = lambda: right_time() + skew

    # Imported after the change: what copies `time.time` as it is imported has to copy the wrong one.
    import jwt.api_jwt
    from django.utils import timezone

    jwt.api_jwt.datetime = Datetime
    timezone.now = lambda: dt.datetime.fromtimestamp(time.time(), dt.UTC)
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")


main()
