"""Strict JSON: only bodies that every reader understands alike."""

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser


class StrictParser(Parser):
    """Reads UTF-8 alone, and each key once: of a repeated key, readers differ in which value counts (RFC 8259)."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body's JSON, or raise ValueError."""
        # RFC 8259, section 8.1, lets a parser ignore a byte order mark, which some clients put first.
        return json.loads(request.body.decode("utf-8-sig"), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("send each key once")
    return content
