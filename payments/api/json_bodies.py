"""Strict JSON: only bodies that every reader understands alike."""

import json
from typing import Any


def read_json(body: bytes) -> Any:
    """Return the value of a body in UTF-8. Of a repeated key, parsers differ in which value counts.

    Raises ValueError for other encodings and repeated keys (RFC 8259, sections 4 and 8.1).
    """
    return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("send each key once")
    return content
