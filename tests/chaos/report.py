"""Report a run: a line while it lasts, and tables at its end, for a terminal or as Markdown."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome, Run

WRONG_SHOWN = 20


@dataclass
class Sheet:
    title: str
    header: Sequence[str]
    rows: list[Sequence[str]]


def progress(run: Run) -> str:
    """Return what goes on at this moment."""
    received = sum(len(client.record.receipts) for client in run.clients)
    connected = sum(client.is_registered for client in run.clients)
    return (
        f"{time.time() - run.began:6.1f} s  {len(run.stream.made)} payments, {received} notifications, "
        f"{connected} connected  [bold]{run.faults.current}[/bold]"
    )


def sheets(outcome: Outcome) -> Iterator[Sheet]:
    """Return the tables of a run."""
    yield _deliveries(outcome)
    yield _recoveries(outcome)
    yield _states(outcome)


def _deliveries(outcome: Outcome) -> Sheet:
    one, two = outcome.verdict.resumable, outcome.verdict.plain
    lines = [
        ("clients", one.clients, two.clients),
        ("sent", one.sent, two.sent),
        ("delivered", one.delivered, two.delivered),
        ("replaced by a newer one of the payment", "", two.replaced),
        ("**lost**", one.lost, two.lost),
        ("duplicates shown", one.repeated, two.repeated),
        ("of these needless", one.needless, two.needless),
        ("**out of order**", one.out_of_order, two.out_of_order),
        ("reconnects", one.reconnects, two.reconnects),
    ]
    return Sheet(
        "Notifications", ("", "resumable", "plain"), [[str(cell) for cell in line] for line in lines]
    )


def _recoveries(outcome: Outcome) -> Sheet:
    rows = [
        (kind, str(found.faults), str(found.hit), "" if found.slowest is None else f"{found.slowest:.1f} s")
        for kind, found in sorted(outcome.recoveries.items())
    ]
    return Sheet("Faults", ("fault", "times", "notifications hit", "slowest recovery"), rows)


def _states(outcome: Outcome) -> Sheet:
    model = Counter(planned.scenario.final for planned in outcome.plan.payments)
    found = outcome.verdict.states
    rows = [(state, str(model[state]), str(found[state])) for state in sorted(model | found)]
    return Sheet("Payments by final state", ("state", "model", "service"), rows)


def remarks(outcome: Outcome) -> Iterator[str]:
    """Return what else there is to say, in sentences."""
    plan, verdict = outcome.plan, outcome.verdict
    yield (
        f"{verdict.notifications} notifications of {len(plan.payments)} payments in {plan.seconds:g} seconds, seed {plan.seed}; "
        f"all settled {outcome.settled:.0f} seconds later."
    )
    yield f"{outcome.dropped} of {outcome.published} published messages were dropped on the way to Valkey."
    failures = ", ".join(f"{what} {count}" for what, count in sorted(outcome.failures.items())) or "none"
    yield f"{outcome.requests} requests of the backend and of Stripe; answered badly and repeated: {failures}."


def conclusion(outcome: Outcome) -> str:
    verdict = outcome.verdict
    if verdict.holds:
        return "Nothing is lost."
    return (
        f"FAILED: lost {verdict.lost}, out of order {verdict.out_of_order}, "
        f"{len(verdict.wrong)} things wrong, {verdict.notifications} notifications."
    )


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables, then what is wrong, then the conclusion."""
    for sheet in sheets(outcome):
        table = Table(title=sheet.title, title_justify="left")
        for number, name in enumerate(sheet.header):
            table.add_column(name, justify="right" if number else "left")
        for row in sheet.rows:
            table.add_row(*(cell.replace("**", "") for cell in row))
        console.print(table)
    for remark in remarks(outcome):
        console.print(remark, highlight=False)
    for sentence in outcome.verdict.wrong[:WRONG_SHOWN]:
        console.print(f"- {sentence}", style="red", markup=False, highlight=False)
    if len(outcome.verdict.wrong) > WRONG_SHOWN:
        console.print(f"- and {len(outcome.verdict.wrong) - WRONG_SHOWN} more.", style="red")
    console.print(conclusion(outcome), style="bold green" if outcome.verdict.holds else "bold red")


def markdown(outcome: Outcome, title: str) -> str:
    """Return the same as a section of a page."""
    parts = [f"### {title}", *remarks(outcome)]
    for sheet in sheets(outcome):
        lines = [sheet.header, ["---", *["---:"] * (len(sheet.header) - 1)], *sheet.rows]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join([*parts, conclusion(outcome)]) + "\n"
