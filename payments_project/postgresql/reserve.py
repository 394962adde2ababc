"""Keep connections for webhooks, sockets and health checks: requests that wait for a lock hold one each, for seconds."""

import threading

CONNECTIONS = 20
"""Of a process."""
KEPT = 6
"""Of them, for threads that have not called `leave_kept`."""

_others = threading.BoundedSemaphore(CONNECTIONS - KEPT)
_thread = threading.local()


def leave_kept() -> None:
    """Let this thread use only the connections that are not kept."""
    _thread.leaves_kept = True


class Place:
    """The place of one thread's connection."""

    def __init__(self) -> None:
        self._is_taken = False

    def take(self, *, seconds: float) -> bool:
        """Take a place, where this thread needs one. Wait so long; return False if there is none."""
        if not self._is_taken and getattr(_thread, "leaves_kept", False):
            self._is_taken = _others.acquire(timeout=seconds)
            return self._is_taken
        return True

    def give_back(self) -> None:
        """Give the place to others, if there is one."""
        if self._is_taken:
            self._is_taken = False
            _others.release()
