"""Refuse what an operation does not know: a misspelt filter would list every user's payments."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, get_type_hints

from django.http import HttpRequest
from ninja.errors import ValidationError
from ninja.params.models import Query
from pydantic.fields import FieldInfo

from payments.api.json_bodies import StrictParser

NAMED_MAX = 20
"""Unknown names that an answer has."""


def refuse_unknown(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let an operation answer 422 to parameters that it does not know, and to a body if it takes none.

    Ninja would ignore both. `view` is the operation's function; its parameters say what it takes. A body has a schema
    of its own, which refuses unknown fields.
    """
    names = _query_names(view)
    has_body = "body" in signature(view).parameters

    @wraps(view)
    def checked(request: HttpRequest, **values: Any) -> Any:
        problems = _parameters(request, names)
        if not has_body and request.method != "GET":  # content of GET means nothing (RFC 9110, section 9.3.1)
            problems += _fields(request)
        if problems:
            raise ValidationError(problems[:NAMED_MAX])
        return view(request, **values)

    return checked


def _query_names(view: Callable[..., Any]) -> list[str]:
    hints = get_type_hints(view, include_extras=True)
    found = {
        name: field
        for name, hint in hints.items()
        for field in getattr(hint, "__metadata__", ())
        if isinstance(field, Query) and isinstance(field, FieldInfo)
    }
    return [field.alias or name for name, field in found.items()]


def _parameters(request: HttpRequest, names: list[str]) -> list[dict[str, Any]]:
    """Return a problem for each parameter of the address that is unknown, or comes several times."""
    cure = f"send each of {', '.join(names)} once, or not, and no other parameter" if names else "send none"
    return [
        {"loc": ("query", name), "msg": cure}
        for name, values in request.GET.lists()
        if name not in names or len(values) > 1
    ]


def _fields(request: HttpRequest) -> list[dict[str, Any]]:
    """Return a problem for each field of a body that has to be empty, or `{}`."""
    cure = "send no body, or `{}`"
    if not request.body:
        return []
    try:
        content = StrictParser().parse_body(request)
    # Python's parser raises RecursionError for what is nested too deep.
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return [{"loc": ("body",), "msg": cure}]
    return [{"loc": ("body", name), "msg": cure} for name in content]
