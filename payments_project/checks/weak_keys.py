"""Recognise keys that can be guessed however long they are: repeated, counted up, words, or left from an example."""

import re
import zlib
from collections import Counter
from functools import cache
from itertools import pairwise
from math import log2

from django.contrib.auth.password_validation import CommonPasswordValidator

PLACEHOLDERS = re.compile(
    "changeme|changethis|defaultkey|djangoinsecure|donotshare|example|forproduction|insecure|letmein|mysecret|notasecret|"
    "passwor[dt]|placeholder|productionkey|replaceme|replacethis|secretsecret|supersecret|topsecret|yourapikey|yourkey|"
    "yoursecret|yoursigningsecret|yourtoken|yourwebhooksecret|qwerty"
)
"""Words of keys that nobody drew, in lower case and without what stands between letters."""
WORDS_BITS = 16
"""Keys of words have as many and more. Of drawn ones one in 65,536 might, and of 56,000 none had more than 11."""
_ORDER = 4
"""A letter is guessed by this many letters less one."""
_WORD = re.compile("[a-z]{2,}", re.IGNORECASE)
_LETTERS = re.compile("[a-z]+")
_SIGN = re.compile("[^a-z0-9]", re.IGNORECASE)


def is_weak(key: str, *, at_least: int) -> bool:
    """Return whether a key holds a placeholder's word, or less that is new than `at_least` bytes.

    What is new is what deflate cannot write as a repetition. It finds no pattern in drawn characters: 20 drawn digits
    have 15 bytes or more, 32 have 24. A repeated word has its own letters and a few bytes more. Of a sequence, such as
    abcdef, the steps from each character to the next one repeat. Words are not new either, if a key is made of them.
    """
    letters = re.sub(r"[^a-z]", "", key.lower())
    if PLACEHOLDERS.search(letters) or _new_bytes(key) < at_least:
        return True
    # A drawn key may stand behind a name, as in payments-backend-production-9e6f….
    if _likeness(key) < WORDS_BITS or _new_bytes(_WORD.sub("", key)) >= at_least:
        return False
    # One in base64 has letters in a row: it is an end that is rather drawn than chosen.
    ends = [key[sign.end() :] for sign in _SIGN.finditer(key)]
    return not any(_new_bytes(end) >= at_least and _likeness(end) < 0 for end in ends)


def _likeness(key: str) -> float:
    """Return how many bits shorter the key's letters are if they are guessed as people choose them than if drawn.

    A ratio of likelihoods: whatever alphabet keys are drawn from, one in 2^n has n bits or more, at most.
    """
    words = _LETTERS.findall(key.lower())
    letters = {*"".join(words)}
    return sum(
        log2(len(letters) * _chance(word[max(0, place + 1 - _ORDER) : place], letter, letters))
        for word in words
        for place, letter in enumerate(word)
    )


def _chance(before: str, letter: str, letters: set[str]) -> float:
    """Return the chance, from 0 to 1, that people choose this one of the letters behind those before it."""
    drawn = 1 / len(letters)
    shorter = _chance(before[1:], letter, letters) if before else drawn
    counts = _chosen()
    known = sum(counts[before + each] for each in letters)
    # As if four more had been seen. A fifth is left to letters that nobody would guess, as in abbreviations.
    return 0.8 * (counts[before + letter] + 4 * shorter) / (known + 4) + 0.2 * drawn


@cache
def _chosen() -> Counter[str]:
    """Return how often people choose each run of letters, by Django's list of 20,000 common passwords."""
    text = " ".join(_LETTERS.findall(" ".join(CommonPasswordValidator().passwords)))
    return Counter(
        text[start : start + size] for size in range(1, _ORDER + 1) for start in range(len(text) - size + 1)
    )


def _new_bytes(key: str) -> int:
    data = key.encode()
    steps = bytes((after - before) % 256 for before, after in pairwise(data))
    return min(_deflated(data), _deflated(steps))


def _deflated(data: bytes) -> int:
    # Less the frame that zlib puts around any data.
    return len(zlib.compress(data, 9)) - len(zlib.compress(b"", 9))
