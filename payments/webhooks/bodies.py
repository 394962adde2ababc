"""Read the JSON that Stripe signed, and write it so that every database takes it.

A signed event must not be lost for a field that is never read, such as a name with half an emoji in it.
"""

import re
from typing import Any

import orjson
from pydantic_core import from_json, to_json

_NUL = rb"\u0000"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""A pair of surrogates; or, as the group, what is no character; or any other escape, so that none begins inside one."""


def parse(body: bytes) -> Any:
    """Return what JSON says.

    NUL, which PostgreSQL stores neither in text nor in JSON, and surrogates without their other half become U+FFFD.
    Numbers may be of any size, and NaN. Of a name that comes twice in an object the last counts. Raises ValueError,
    which says where, for what is no JSON or nested more than 200 deep.
    """
    if _NUL in body:
        body = _mend(body)
    try:
        return from_json(body)
    except ValueError:
        if (mended := _mend(body)) == body:
            raise
    return from_json(mended)


def serialize(value: Any) -> str:
    """Return what was parsed as JSON. What is no finite number is written as null."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number of more than 64 bits
        return to_json(value, inf_nan_mode="null").decode()


def _mend(body: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], body)
