"""Hash passwords: few at a time, and without a database connection meanwhile."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher
from django.db import connections

AT_ONCE = 2 if (os.cpu_count() or 1) > 2 else 1  # noqa: PLR2004 a core has to stay free for all else
"""Passwords that a process hashes at once. Each takes a core for a while."""
_turns = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for a turn, with the connections of this thread given back, but for those in a transaction."""
    # Forty logins once held all connections of the pool while they waited and hashed (docs/decisions/0046). To close
    # one within a transaction would end the transaction.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    with _turns:
        yield


class Argon2(Argon2PasswordHasher):
    """Argon2id on one core, with more memory and passes than OWASP's least (19 MiB, 2 passes, 1 lane).

    Django's default of 8 lanes would take every core of a small machine at once.
    https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    """

    time_cost = 2
    memory_cost = 64 * 1024
    """KiB."""
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """Return the hash of a new password."""
        with _turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Return whether a password is the one of a hash."""
        with _turn():
            return super().verify(password, encoded)


class PBKDF2(PBKDF2PasswordHasher):
    """Django's default, for passwords that were set with it. The next login hashes them with Argon2."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash of a password. `verify` calls this too."""
        with _turn():
            return super().encode(password, salt, iterations)
