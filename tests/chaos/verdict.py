"""Holds what the clients saw against the feeds, and the feeds against the model. Nothing here runs a thing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.plain import Reasons, judge_order, judge_user
from tests.chaos.records import ClientRecord, FaultRecord, Made, Notification, Truth, key, says
from tests.chaos.tally import Tally


@dataclass
class Verdict:
    """`wrong` says in sentences what else is not as it should be."""

    notifications: int = 0
    resumable: Tally = field(default_factory=Tally)
    plain: Tally = field(default_factory=Tally)
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.resumable.lost + self.plain.lost

    @property
    def out_of_order(self) -> int:
        return self.resumable.out_of_order + self.plain.out_of_order

    @property
    def holds(self) -> bool:
        return self.notifications > 0 and not (self.lost or self.out_of_order or self.wrong)


def judge(
    *,
    truth: Truth,
    clients: Iterable[ClientRecord],
    made: Sequence[Made],
    faults: Sequence[FaultRecord],
    window: float,
) -> Verdict:
    """Return what has to be said of a run; `window` is the ping window in seconds."""
    disturbed = [(fault.began, fault.ended) for fault in faults]
    verdict = Verdict(notifications=sum(map(len, truth.notifications.values())))
    _judge_feeds(truth, verdict)
    _judge_payments(truth, made, verdict)
    tabs: dict[str, list[ClientRecord]] = defaultdict(list)
    for client in clients:
        tally = verdict.resumable if client.resumes else verdict.plain
        tally.clients += 1
        tally.reconnects += max(0, len(client.connections) - 1)
        feed = truth.notifications.get(client.user_id, [])
        _judge_frames(client, feed, verdict)
        if client.resumes:
            _judge_resumable(client, feed, verdict)
        else:
            tabs[client.user_id].append(client)
            judge_order(client, feed, tally, Reasons(client, disturbed, window))
    for user_id, records in tabs.items():
        judge_user(records, truth.notifications.get(user_id, []), verdict.plain, verdict.wrong)
    return verdict


def _judge_feeds(truth: Truth, verdict: Verdict) -> None:
    for user_id, feed in truth.notifications.items():
        numbers = [notification.seq for notification in feed]
        if numbers != list(range(1, len(feed) + 1)):
            verdict.wrong.append(f"The feed of {user_id} has gaps: {numbers}.")
        latest: dict[str, Notification] = {}
        for notification in feed:
            before = latest.get(notification.subject)
            if before is None and notification.frame["type"] != "payment_url":
                verdict.wrong.append(f"{user_id} was not sent a link first: {says(notification.frame)}.")
            if before and before.frame["status"] == notification.frame["status"]:
                verdict.wrong.append(f"{user_id} was sent the same twice: {says(notification.frame)}.")
            latest[notification.subject] = notification


def _judge_payments(truth: Truth, made: Sequence[Made], verdict: Verdict) -> None:
    last = {n.subject: n.frame["status"] for feed in truth.notifications.values() for n in feed}
    for payment in made:
        status = truth.statuses.get(payment.payment_id)
        sent = last.get(f"payment:{payment.payment_id}")
        verdict.states[status or "missing"] += 1
        which = f"Payment {payment.payment_id} of {payment.user_id} ({payment.scenario})"
        if status != payment.final:
            verdict.wrong.append(f"{which} is {status}, not {payment.final}.")
        if sent != payment.final:
            verdict.wrong.append(f"{which} was last sent as {sent}, not {payment.final}.")
    for payment_id in truth.statuses.keys() - {payment.payment_id for payment in made}:
        verdict.wrong.append(f"Nobody asked for payment {payment_id}.")


def _judge_frames(client: ClientRecord, feed: list[Notification], verdict: Verdict) -> None:
    if client.refused:
        verdict.wrong.append(f"{client.name} was not resumed, {client.refused} times.")
    stored = {key(notification.frame) for notification in feed}
    for receipt in client.receipts:
        if key(receipt.frame) not in stored:
            verdict.wrong.append(f"{client.name} got what is not in its feed: {says(receipt.frame)}.")


def _judge_resumable(client: ClientRecord, feed: list[Notification], verdict: Verdict) -> None:
    tally = verdict.resumable
    frames = {notification.seq: notification.frame for notification in feed}
    handled: set[int] = set()
    for receipt in client.receipts:
        seq = receipt.seq or 0
        if frames.get(seq) != receipt.frame:
            verdict.wrong.append(f"{client.name} got a wrong frame as number {seq}: {says(receipt.frame)}.")
        if seq in handled:
            tally.repeated += 1
            tally.needless += 1
        elif seq != max(handled, default=0) + 1:
            tally.out_of_order += 1
        handled.add(seq)
    lost = frames.keys() - handled
    tally.sent += len(frames)
    tally.delivered += len(frames.keys() & handled)
    tally.lost += len(lost)
    verdict.wrong += [f"{client.name} never got number {seq}: {says(frames[seq])}." for seq in sorted(lost)]
