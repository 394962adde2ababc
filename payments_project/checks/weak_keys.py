"""Recognise keys that can be guessed however long they are: repeated, counted up, or left from an example."""

import re
import zlib
from itertools import pairwise

PLACEHOLDERS = re.compile(
    "changeme|changethis|defaultkey|djangoinsecure|donotshare|example|forproduction|insecure|letmein|mysecret|notasecret|"
    "passwor[dt]|placeholder|productionkey|replaceme|replacethis|secretsecret|supersecret|topsecret|yourapikey|yourkey|"
    "yoursecret|yoursigningsecret|yourtoken|yourwebhooksecret|qwerty"
)
"""Words of keys that nobody drew, in lower case and without what stands between letters."""


def is_weak(key: str, *, at_least: int) -> bool:
    """Return whether a key holds a placeholder's word, or less that is new than `at_least` bytes.

    What is new is what deflate cannot write as a repetition. It finds no pattern in drawn characters: 20 drawn digits
    have 15 bytes or more, 32 have 24. A repeated word has its own letters and a few bytes more. Of a sequence, such as
    abcdef, the steps from each character to the next one repeat.
    """
    letters = re.sub(r"[^a-z]", "", key.lower())
    return bool(PLACEHOLDERS.search(letters)) or _new_bytes(key) < at_least


def _new_bytes(key: str) -> int:
    data = key.encode()
    steps = bytes((after - before) % 256 for before, after in pairwise(data))
    return min(_deflated(data), _deflated(steps))


def _deflated(data: bytes) -> int:
    # Less the frame that zlib puts around any data.
    return len(zlib.compress(data, 9)) - len(zlib.compress(b"", 9))
