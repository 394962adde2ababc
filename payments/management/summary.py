"""What a run of `manage.py fetch_webhooks` found, counted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from payments.reconciliation import missing_events
from payments.reconciliation.each import End


@dataclass
class Tally:
    """Events by their id with the state they ended in; payments and refunds counted by what came of them."""

    asked: int | None = None
    missing: int = 0
    fetched: dict[str, str] = field(default_factory=dict)
    stored_before: dict[str, str] = field(default_factory=dict)
    old_failures: set[str] = field(default_factory=set)
    given_up: int = 0
    unfinished: Counter[End] = field(default_factory=Counter)
    refunds: Counter[End] = field(default_factory=Counter)
    compared: Counter[End] | None = None

    def add(self, step: missing_events.Step) -> None:
        """Count a step of a fetch. An event can come twice: parked, and applied by what came after it."""
        self.asked = (self.asked or 0) + step.asked
        self.missing += step.missing
        self.given_up += step.given_up
        self.old_failures |= step.old_failures
        self.fetched |= {outcome.event_id: outcome.state for outcome in step.outcomes}
        for outcome in step.stored_before:
            known = self.fetched if outcome.event_id in self.fetched else self.stored_before
            known[outcome.event_id] = outcome.state

    def failures(self) -> int:
        """Return how many events, payments and refunds failed, without the events of which an earlier run said so."""
        ends = self.unfinished + self.refunds + (self.compared or Counter())
        events = {**self.stored_before, **self.fetched}
        return sum(events[key] == "failed" for key in events.keys() - self.old_failures) + ends[End.FAILED]

    def summary(self, *, dry_run: bool) -> str:
        """Return one sentence."""
        told = "; ".join(self._parts()) or "nothing was asked for"
        return f"{'Dry run, nothing was written: ' if dry_run else ''}{told}."

    def _parts(self) -> Iterator[str]:
        if self.asked is not None:
            states = f" ({_list(self.fetched)})" if self.fetched else ""
            yield f"{_number(self.asked, 'event')} asked for, {self.missing} missing{states}"
        if self.stored_before:
            number = _number(len(self.stored_before), "stored event")
            yield f"{number} tried again ({_list(self.stored_before)})"
        if old := [key for key in self.old_failures if self.stored_before.get(key) == "failed"]:
            yield f"{_number(len(old), 'event')} failed before, and still do{'es' if len(old) == 1 else ''}"
        if self.given_up:
            yield f"{_number(self.given_up, 'event')} waited in vain for a payment"
        yield from _finished(self.unfinished, "unfinished payment")
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
