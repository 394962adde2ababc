"""Bound the connections by the open files of the process, and reserve some files for the service's own work."""

import functools
import sys
from contextlib import suppress

RESERVED = 256
"""Files for databases, Redis, Stripe and logs; half of all if they are few."""
UNLIMITED = 65_536

if sys.platform == "win32":

    def raise_limit() -> None:
        """Do nothing: Windows has no such limit."""

    def _limit() -> int:
        return UNLIMITED

else:
    import resource

    def raise_limit() -> None:
        """Raise the limit of open files to the hard limit: many systems grant 1,024 by default."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
        with suppress(ValueError, OSError):  # macOS reports no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def _limit() -> int:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return UNLIMITED if soft == resource.RLIM_INFINITY else soft


@functools.cache
def connections_max() -> int:
    """Return how many connections may be open at once."""
    limit = _limit()
    return limit - min(RESERVED, limit // 2)
