"""The text of an API key: pns_<id>_<secret>.

The prefix and the fixed lengths let secret scanners find a key in code and logs, by SHAPE. The id is public: the admin
and the command show it. The secret is kept by nobody but the caller.
"""

import hashlib
import re
import secrets
import string
from typing import NamedTuple

PREFIX = "pns_"
SHAPE = r"pns_([0-9a-f]{16})_([0-9A-Za-z]{43})"
_ALPHABET = string.digits + string.ascii_letters
_SECRET_LENGTH = 43
"""43 random characters out of 62 have 256 bits."""


class KeyText(NamedTuple):
    """The two parts of a key."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        """Return the whole key, to be shown once."""
        return f"{PREFIX}{self.key_id}_{self.secret}"


def make() -> KeyText:
    """Return a new key."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return KeyText(secrets.token_hex(8), secret)


def parse(text: str) -> KeyText | None:
    """Return the parts of a key; None if the text has another shape."""
    match = re.fullmatch(SHAPE, text)
    return KeyText(*match.groups()) if match else None


def digest(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256, in hexadecimal.

    Slow hashes such as Argon2 protect passwords, which people choose and attackers guess. Nobody guesses 256 random
    bits, and each request would pay for the hash. NIST SP 800-63B-3, section 5.1.2.2, asks for one below 112 bits.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
