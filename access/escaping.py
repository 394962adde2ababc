"""Show text of strangers in logs and terminals without doing what its characters say."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls (C0 and C1), separators of lines and paragraphs, overrides of direction, and halves of surrogate pairs."""


def escape(text: str) -> str:
    r"""Return the text with each unsafe character as Python writes it, such as \x1b. It stays one readable line."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
