"""Stripe's form encoding: `line_items[0][price_data][currency]=usd` is a hash in an array in a hash.

Source: https://docs.stripe.com/api (requests are form-encoded), stripe-python's `_encode.py`, and for
`line_items[][quantity]=1`, which older clients and many examples send, the rule of Rack, Stripe's own web server
interface: https://github.com/rack/rack/blob/main/lib/rack/query_parser.rb.
"""

import re
from itertools import pairwise
from urllib.parse import parse_qsl

from stripe_sandbox.errors import ApiError

MAX_PARAMETERS = 1000
MAX_DEPTH = 10
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_ITEM = ""
"""The part of a name with empty brackets: an array's next item."""

Form = dict[str, "str | list[str | Form] | Form"]
"""Decoded parameters: strings, in arrays (`a[]=1`) or hashes (`a[b]=1`; also `a[0]=1`, which may mean an array)."""


def decode(encoded: bytes) -> Form:
    """Return the parameters of a query string or a form body, all as text; raise ApiError."""
    try:
        pairs = parse_qsl(
            encoded.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise ApiError("Invalid request: the parameters are not UTF-8.") from None
    except ValueError:
        raise ApiError(f"Invalid request: more than {MAX_PARAMETERS} parameters.") from None
    form: Form = {}
    for name, value in pairs:
        # PostgreSQL takes no NUL, neither in text nor in JSON.
        if "\x00" in name + value:
            raise ApiError("Invalid request: the parameters contain a null byte.")
        if not _put(form, _parts(name), value):
            raise ApiError(
                f"Invalid request: {name[:100]!r} is given both as a value and as a container of values."
            )
    return form


def _parts(name: str) -> list[str]:
    """Return the name's parts: `a[b][][c]` is a, b, an item, c."""
    matched = _NAME.fullmatch(name)
    parts = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])] if matched else []
    if not matched or any(_ITEM == one == other for one, other in pairwise(parts)):
        raise ApiError(f"Invalid request: the parameter name {name[:100]!r} is malformed.")
    if len(parts) > MAX_DEPTH:
        raise ApiError(f"Invalid request: parameters nest more than {MAX_DEPTH} deep.")
    return parts


def _put(form: Form, parts: list[str], value: str) -> bool:
    """Put a value in its place; return False if a value of another kind is there."""
    name, *rest = parts
    if not rest:
        fits = isinstance(form.get(name, ""), str)
        form[name] = value if fits else form[name]
        return fits
    if rest[0] == _ITEM:
        items = form.setdefault(name, [])
        return isinstance(items, list) and _put_item(items, rest[1:], value)
    inner = form.setdefault(name, {})
    return isinstance(inner, dict) and _put(inner, rest, value)


def _put_item(items: "list[str | Form]", parts: list[str], value: str) -> bool:
    """Put a value into an array's last hash, or into a new one if that has a value of the name already."""
    last = items[-1] if items else None
    if not parts:
        items.append(value)
        return not isinstance(last, dict)
    if isinstance(last, str):
        return False
    if last is None or _has(last, parts):
        last = {}
        items.append(last)
    return _put(last, parts, value)


def _has(form: Form, parts: list[str]) -> bool:
    name, *rest = parts
    inner = form.get(name)
    if inner is None or not rest:
        return inner is not None
    return isinstance(inner, dict) and _has(inner, rest)
