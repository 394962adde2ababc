"""Tables of a payment's page."""

from dataclasses import dataclass

from django.utils.safestring import SafeString

Cell = str | SafeString
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. The page leaves it out if it has no rows."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
