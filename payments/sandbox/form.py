"""Stripe's form encoding: `line_items[0][price_data][currency]=usd` is a hash in an array in a hash.

Source: https://docs.stripe.com/api (requests are form-encoded), stripe-python's `_encode.py`.
"""

import re
from urllib.parse import parse_qsl

from .errors import ApiError

MAX_PARAMETERS = 1000
MAX_DEPTH = 10
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)(\[\])?")

Form = dict[str, "str | list[str] | Form"]
"""What was sent: strings, in arrays (`a[]=1`) or hashes (`a[b]=1`, and `a[0]=1`, which may mean an array)."""


def decode(encoded: bytes) -> Form:
    """Return the parameters of a query string or a form body, all still text; raise ApiError."""
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
        if "\x00" in name + value:
            raise ApiError("Invalid request: the parameters contain a null byte.")
        _put(form, name, value)
    return form


def _put(form: Form, name: str, value: str) -> None:
    matched = _NAME.fullmatch(name)
    if not matched:
        raise ApiError(f"Invalid request: the parameter name {name[:100]!r} is malformed.")
    *parents, last = [matched[1], *re.findall(r"\[([^\[\]]+)\]", matched[2])]
    if len(parents) >= MAX_DEPTH:
        raise ApiError(f"Invalid request: parameters nest more than {MAX_DEPTH} deep.")
    for parent in parents:
        inner = form.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise _conflict(name)
        form = inner
    if matched[3]:
        items = form.setdefault(last, [])
        if not isinstance(items, list):
            raise _conflict(name)
        items.append(value)
    elif isinstance(form.get(last, ""), str):
        form[last] = value
    else:
        raise _conflict(name)


def _conflict(name: str) -> ApiError:
    return ApiError(f"Invalid request: {name[:100]!r} is given both as a value and as a container of values.")
