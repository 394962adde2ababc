"""Lists and their pages. Source: https://docs.stripe.com/api/pagination."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import QuerySet

from stripe_sandbox.errors import ApiError, no_such
from stripe_sandbox.models import Kept
from stripe_sandbox.validation import Tree, check_integer

LIMIT, MAX_LIMIT = 10, 100
PAGING: Tree = {"limit": None, "starting_after": None, "ending_before": None, "expand": None}
_CREATED = {"gt": ("gte", 1), "gte": ("gte", 0), "lt": ("lt", 0), "lte": ("lt", 1)}
"""Stripe compares whole seconds: later than second 5 means at or after the start of second 6."""
_LAST_SECOND = 253_402_300_000

Row = TypeVar("Row", bound=Kept)


def page(
    rows: QuerySet[Row],
    params: dict[str, Any],
    *,
    kind: str,
    url: str,
    render: Callable[[Row], dict[str, Any]],
) -> dict[str, Any]:
    """Return a page of rows, newest first, by the parameters; raise ApiError."""
    limit = _limit(params)
    if after := params.get("starting_after"):
        rows = rows.filter(pk__lt=_number(rows.model, after, kind, "starting_after"))
    if before := params.get("ending_before"):
        rows = rows.filter(pk__gt=_number(rows.model, before, kind, "ending_before"))
    # One row more than is shown says whether there are others.
    found = list(rows.order_by("pk" if before else "-pk")[: limit + 1])
    shown = found[:limit]
    if before:
        shown.reverse()
    return as_list([render(row) for row in shown], has_more=len(found) > limit, url=url)


def page_of_items(
    items: list[dict[str, Any]], params: dict[str, Any], *, kind: str, url: str
) -> dict[str, Any]:
    """Return a page of items, in their order, by the parameters; raise ApiError."""
    limit = _limit(params)
    places = {item["id"]: place for place, item in enumerate(items)}
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in places:
            raise no_such(kind, params[name], param=name)
    if before := params.get("ending_before"):
        rest = items[: places[before]]
        return as_list(rest[-limit:], has_more=len(rest) > limit, url=url)
    rest = items[places[params["starting_after"]] + 1 :] if "starting_after" in params else items
    return as_list(rest[:limit], has_more=len(rest) > limit, url=url)


def as_list(data: list[dict[str, Any]], *, has_more: bool, url: str) -> dict[str, Any]:
    """Return Stripe's list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def created(rows: QuerySet[Row], asked: int | dict[str, int] | None) -> QuerySet[Row]:
    """Return the rows created in a second, or in a range of seconds (gt, gte, lt, lte). None: all rows."""
    if asked is None:
        return rows
    bounds = asked if isinstance(asked, dict) else {"gte": asked, "lte": asked}
    for name, value in bounds.items():
        check_integer(value, f"created[{name}]", least=0, most=_LAST_SECOND)
        lookup, added = _CREATED[name]
        rows = rows.filter(**{f"created_at__{lookup}": datetime.fromtimestamp(value + added, tz=UTC)})
    return rows


def _limit(params: dict[str, Any]) -> int:
    limit: int = params.get("limit", LIMIT)
    check_integer(limit, "limit", least=1, most=MAX_LIMIT)
    if "starting_after" in params and "ending_before" in params:
        raise ApiError(
            "You may only specify one of these parameters: starting_after, ending_before.",
            code="parameters_exclusive",
            param="ending_before",
        )
    return limit


def _number(model: type[Row], stripe_id: str, kind: str, param: str) -> int:
    pk: int | None = QuerySet(model).filter(stripe_id=stripe_id).values_list("pk", flat=True).first()
    if pk is None:
        raise no_such(kind, stripe_id, param=param)
    return pk
