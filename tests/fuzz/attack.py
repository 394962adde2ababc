"""Run a campaign against a target, and measure what it did."""

from collections import Counter
from dataclasses import dataclass, field

REFUSALS = {"busy", "full", "stripe_refused", "version_not_supported", "coding_not_supported"}
"""Described answers with a status from 500 on: too much at once, what Stripe refuses, and what is no HTTP/1.1."""

OF_THE_SERVICE = ("notifications_listener",)
"""Tables in which processes write that they live."""


@dataclass
class Tally:
    """What a campaign sends, and what comes of it."""

    inputs: int = 0
    answers: Counter = field(default_factory=Counter)
    """By status, or by the code of another answer."""
    server_errors: int = 0
    notes: dict = field(default_factory=dict)
    """What else was measured: its name and number."""

    def answered(self, status, code, sent):
        """Count the answer to an input. Raises AssertionError where the server says that it is its own fault."""
        self.answers[code if code in REFUSALS else status] += 1
        if status >= 500 and code not in REFUSALS:
            self.server_errors += 1
            raise AssertionError(f"{status} {code} to {sent!r}"[:2000])


@dataclass
class Measured:
    """What a campaign did."""

    tally: Tally
    faults: list
    """What must not be, in words."""
    crashes: int
    tracebacks: int
    before: float
    """The memory of the process, in MiB."""
    after: float
    log_bytes: int
    stored: dict
    """How many rows each table has gained, of those that it must not touch."""

    @property
    def growth(self):
        return self.after - self.before

    @property
    def log_bytes_an_input(self):
        return self.log_bytes / max(self.tally.inputs, 1)


def attack(target, campaign, *, seed, inputs):
    """Run one round of a campaign; return what it did. The same seed sends the same."""
    rows, log, before = target.rows(), target.server.log, target.server.memory()
    tally, faults = Tally(), []
    try:
        campaign.run(target, tally, seed=seed, inputs=inputs)
    except Exception as error:  # noqa: BLE001 whatever it is, it is reported and the next round begins
        faults.append(f"{campaign.name}, seed {seed}: " + " ".join(_said(error))[:3000])
    is_alive = target.is_the_same_process()
    written = target.server.log[len(log) :]
    gained = {table: count - rows[table] for table, count in target.rows().items() if count != rows[table]}
    return Measured(
        tally=tally,
        faults=faults,
        crashes=0 if is_alive else 1,
        tracebacks=written.count("Traceback"),
        before=before,
        after=target.server.memory() if is_alive else 0,
        log_bytes=len(written),
        stored={
            table: more
            for table, more in gained.items()
            if not table.startswith(campaign.stores + OF_THE_SERVICE)
        },
    )


def _said(error):
    """Yield what an error says, and what those within it say."""
    yield f"{type(error).__name__}: {error}"
    for inner in getattr(error, "exceptions", ()):
        yield from _said(inner)
