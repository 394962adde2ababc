"""Open files, of which each connection is one: some are kept for the service's own work, whoever else comes."""

import functools
import sys
from contextlib import suppress

RESERVED = 256
"""For databases, Redis, Stripe and files; half of all where they are few."""
UNLIMITED = 65_536

if sys.platform == "win32":

    def raise_limit() -> None:
        """Windows has no such limit."""

    def _limit() -> int:
        return UNLIMITED

else:
    import resource

    def raise_limit() -> None:
        """Let the process open as many files as it may: by default many systems grant it 1,024."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
        with suppress(ValueError, OSError):  # macOS says that there is no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def _limit() -> int:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return UNLIMITED if soft == resource.RLIM_INFINITY else soft


@functools.cache
def connections_max() -> int:
    """Return how many connections may be open at once."""
    limit = _limit()
    return limit - min(RESERVED, limit // 2)
