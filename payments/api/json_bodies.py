"""JSON that every reader takes for the same."""

import json
from typing import Any


def read_json(body: bytes) -> Any:
    """Return what a body says. It is UTF-8, and names no key of an object twice: parsers differ in which one counts.

    Raises ValueError (RFC 8259, sections 4 and 8.1).
    """
    return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("send each key once")
    return content
