"""Tables, for a terminal and for a page."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

WIDTH = 140


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table, whoever prints it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def rich(self) -> Table:
        table = Table(title=self.title, title_justify="left", caption=self.note, caption_justify="left")
        for index, name in enumerate(self.head):
            table.add_column(name, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        lines = [self.head, ["---"] + ["---:"] * (len(self.head) - 1), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{table}\n" + (f"\n{self.note}\n" if self.note else "")


def console_for_tables() -> Console:
    """Return a console on which the tables fit, also where no terminal says how wide it is."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)
