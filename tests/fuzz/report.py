"""What came of all campaigns, as a table."""

from dataclasses import dataclass

from rich.table import Table

GROWTH_MAX = 64
"""MiB that the process may have more after any campaign than after the warm-up.

It is the bound of all bodies that a process holds: what was once given to it, the allocator may keep.
"""
LOG_BYTES_MAX = 100
"""For each hostile input, on average."""
HEADINGS = (
    "campaign",
    "inputs",
    "5xx",
    "refused 502, 503",
    "crashes",
    "tracebacks",
    "MiB before",
    "after",
    "log bytes an input",
)


@dataclass
class Row:
    """What one campaign did in all its rounds."""

    name: str
    inputs: int
    server_errors: int
    refused: int
    crashes: int
    tracebacks: int
    before: float
    after: float
    log_bytes: int
    faults: list
    notes: dict

    @classmethod
    def of(cls, campaign, rounds):
        """Return the sum of rounds; the memory before is that after the warm-up."""
        name = campaign.name
        tallies = [each.tally for each in rounds]
        stored = [f"{name}: rows were stored: {each.stored}" for each in rounds if each.stored]
        return cls(
            name=name,
            inputs=sum(tally.inputs for tally in tallies),
            server_errors=sum(tally.server_errors for tally in tallies),
            refused=sum(
                tally.answers[code] for tally in tallies for code in ("busy", "full", "stripe_refused")
            ),
            crashes=sum(each.crashes for each in rounds),
            tracebacks=sum(each.tracebacks for each in rounds),
            before=rounds[min(campaign.warm_up, len(rounds) - 1)].before,
            after=rounds[-1].after,
            log_bytes=sum(each.log_bytes for each in rounds),
            faults=[fault for each in rounds for fault in each.faults] + stored,
            notes={key: max(tally.notes.get(key, 0) for tally in tallies) for key in tallies[0].notes},
        )

    @property
    def cells(self):
        """The line of the table."""
        whole = (self.inputs, self.server_errors, self.refused, self.crashes, self.tracebacks)
        parts = (self.before, self.after, self.log_bytes / max(self.inputs, 1))
        return [self.name, *(f"{number:,}" for number in whole), *(f"{number:.1f}" for number in parts)]


def table(rows):
    """Return the table for a terminal."""
    drawn = Table(*HEADINGS)
    for row in rows:
        drawn.add_row(*row.cells)
    return drawn


def markdown(rows):
    """Return the table in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def say_notes(rows, console):
    """Print what else was measured, the most of all rounds."""
    for row in rows:
        for name, number in row.notes.items():
            console.print(f"{row.name}: {name}: {number:.0f}", highlight=False)


def is_harmless(rows):
    """Return whether nothing of what must not be has been."""
    harms = [row for row in rows if row.faults or row.server_errors or row.crashes or row.tracebacks]
    grown = max(row.after for row in rows) - rows[0].before
    return not harms and grown < GROWTH_MAX and all(_is_brief(row) for row in rows)


def _is_brief(row):
    return row.log_bytes / max(row.inputs, 1) < LOG_BYTES_MAX
