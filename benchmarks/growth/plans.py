"""How PostgreSQL does a statement: which indexes serve it, and what it reads that it does not need."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from benchmarks.growth.data import BIG_TABLES

ROWS_MAX = 10_000
"""More rows than that are not read, sorted or thrown away for one answer, unless the answer is made of more."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What EXPLAIN (ANALYZE, BUFFERS) says of one statement."""

    statement: str
    milliseconds: float
    """To carry it out, without planning."""
    lines: tuple[str, ...]
    indexes: tuple[str, ...]
    faults: tuple[str, ...]
    of_big_table: bool


def explain(statement: str, *, rows_max: int = ROWS_MAX) -> Plan | None:
    """Carry a statement out once more, undo it, and return how; None for one that has no plan worth it.

    An INSERT would meet its own row. It has no plan to speak of.
    """
    if not statement.startswith(("SELECT", "UPDATE", "DELETE", "(SELECT")):
        return None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement)
        (found,) = cursor.fetchone()[0]
        # EXPLAIN ANALYZE carries the statement out, an UPDATE too.
        transaction.set_rollback(True)
    nodes = list(_walk(found["Plan"]))
    return Plan(
        statement=statement,
        milliseconds=found["Execution Time"],
        lines=tuple("  " * depth + _describe(node) for depth, node in nodes),
        indexes=tuple(dict.fromkeys(node["Index Name"] for _, node in nodes if "Index Name" in node)),
        faults=tuple(fault for _, node in nodes for fault in _faults(node, rows_max)),
        of_big_table=any(node.get("Relation Name") in BIG_TABLES for _, node in nodes),
    )


def _walk(node: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a node and all below it; those that were never begun are left out."""
    if node["Actual Loops"] == 0:
        return
    yield depth, node
    for child in node.get("Plans", ()):
        yield from _walk(child, depth + 1)


def _describe(node: dict[str, Any]) -> str:
    """Return one line: what the node does, with which index, on how many rows and pages."""
    said = node["Node Type"]
    if node.get("Scan Direction") == "Backward":
        said += " Backward"
    if "Index Name" in node:
        said += f" using {node['Index Name']}"
    if "Relation Name" in node:
        said += f" on {node['Relation Name']}"
    said += f": {_rows(node):.0f} rows"
    if removed := _removed(node):
        said += f", {removed:.0f} removed"
    if (loops := node["Actual Loops"]) > 1:
        said += f", {loops} times"
    pages = node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0)
    return f"{said}, {pages} pages"


def _faults(node: dict[str, Any], rows_max: int) -> Iterator[str]:
    """Yield what grows with the table and not with the answer."""
    kind = node["Node Type"]
    if kind.endswith("Seq Scan") and node["Relation Name"] in BIG_TABLES:
        yield f"{kind} on {node['Relation Name']}"
    elif _rows(node) + _removed(node) > rows_max:
        yield _describe(node)


def _rows(node: dict[str, Any]) -> float:
    return float(node["Actual Rows"] * node["Actual Loops"])


def _removed(node: dict[str, Any]) -> float:
    """Return how many rows were read and thrown away."""
    names = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
    return float(sum(node.get(name, 0) for name in names) * node["Actual Loops"])
