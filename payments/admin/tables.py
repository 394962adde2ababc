"""What the tables of a payment's page are made of."""

from dataclasses import dataclass

from django.utils.safestring import SafeString

Cell = str | SafeString
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the page, which is left out where it has no rows."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
