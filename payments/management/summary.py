"""Count the results of `manage.py fetch_webhooks`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from payments.reconciliation import missing_events
from payments.reconciliation.each import End


@dataclass
class Summary:
    """Events by id with their final state; payments and refunds counted by result."""

    listed: int | None = None
    missing: int = 0
    fetched: dict[str, str] = field(default_factory=dict)
    stored_before: dict[str, str] = field(default_factory=dict)
    old_failures: set[str] = field(default_factory=set)
    unmatched: int = 0
    payments: Counter[End] = field(default_factory=Counter)
    refunds: Counter[End] = field(default_factory=Counter)
    compared: Counter[End] | None = None

    def add(self, step: missing_events.Step) -> None:
        """Count a step of a fetch. An event can come twice: first parked, then applied by a later one."""
        self.listed = (self.listed or 0) + step.listed
        self.missing += step.missing
        self.fetched |= {outcome.event_id: outcome.state for outcome in step.outcomes}
        for outcome in step.stored_before:
            known = self.fetched if outcome.event_id in self.fetched else self.stored_before
            known[outcome.event_id] = outcome.state

    def failures(self) -> int:
        """Return how many events, payments and refunds failed, without events that an earlier run reported."""
        ends = self.payments + self.refunds + (self.compared or Counter())
        events = {**self.stored_before, **self.fetched}
        return sum(events[key] == "failed" for key in events.keys() - self.old_failures) + ends[End.FAILED]

    def sentence(self, *, dry_run: bool) -> str:
        """Return one sentence."""
        counts = "; ".join(self._parts()) or "nothing was asked for"
        return f"{'Dry run, nothing was written: ' if dry_run else ''}{counts}."

    def _parts(self) -> Iterator[str]:
        if self.listed is not None:
            states = f" ({_list(self.fetched)})" if self.fetched else ""
            yield f"{_number(self.listed, 'event')} asked for, {self.missing} missing{states}"
        if self.stored_before:
            number = _number(len(self.stored_before), "stored event")
            yield f"{number} tried again ({_list(self.stored_before)})"
        if old := [key for key in self.old_failures if self.stored_before.get(key) == "failed"]:
            yield f"{_number(len(old), 'event')} failed before, and still do{'es' if len(old) == 1 else ''}"
        if self.unmatched:
            yield f"{_number(self.unmatched, 'event')} waited in vain for a payment"
        yield from _finished(self.payments, "unfinished payment")
        yield from _finished(self.refunds, "unfinished refund")
        if self.compared is not None:
            number = _number(self.compared.total(), "payment")
            yield f"{number} checked, {self.compared[End.CHANGED]} changed"


def _finished(ends: Counter[End], what: str) -> Iterator[str]:
    for end, text in ((End.COMPLETED, "completed"), (End.GIVEN_UP, "given up")):
        if ends[end]:
            yield f"{_number(ends[end], what)} {text}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _list(events: Mapping[str, str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(Counter(events.values()).items()))
