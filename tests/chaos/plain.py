"""What plain clients were shown: the newest of each payment, again where it may not have arrived, nothing earlier."""

from collections import defaultdict
from dataclasses import dataclass

from tests.chaos.records import ClientRecord, Notification, Receipt, by_subject, key, says
from tests.chaos.tally import Tally

CROSSING_SECONDS = 1.0
"""What was sent so shortly before a client's close may have crossed it: it is rightly sent again."""
SLACK_SECONDS = 3.0
"""How long it may take until what is confirmed is written down."""


def judge_user(tabs: list[ClientRecord], feed: list[Notification], tally: Tally, wrong: list[str]) -> None:
    """A notification is lost that no plain client of its user saw, nor a later one of the same payment."""
    shown: dict[str, float] = {}
    for receipt in (receipt for tab in tabs for receipt in tab.receipts):
        shown[key(receipt.frame)] = max(receipt.at, shown.get(key(receipt.frame), 0))
    for notifications in by_subject(feed).values():
        is_replaced = False
        for notification in reversed(notifications):
            tally.sent += 1
            if shown.get(key(notification.frame), 0) >= notification.at:
                tally.delivered += 1
                is_replaced = True
            elif is_replaced:
                tally.replaced += 1
            else:
                tally.lost += 1
                name = tabs[0].user_id
                wrong.append(f"{name} never saw number {notification.seq}: {says(notification.frame)}.")


@dataclass(frozen=True)
class Reasons:
    """Why one plain client may rightly be sent something again."""

    client: ClientRecord
    disturbed: list[tuple[float, float]]
    window: float

    def explain(self, before: Receipt, again: Receipt) -> bool:
        """Return whether the service could not know that it had arrived.

        It knows that of a connection that lived on, or was closed cleanly, unless a fault came between.
        """
        connection = self.client.connections[before.connection]
        if before.connection == again.connection or connection.ended is None:
            return False
        if any(
            since < again.at and until > before.at for since, until in self.disturbed + self.client.stalled
        ):
            return True
        lived_on = connection.ended - before.at
        return lived_on <= (CROSSING_SECONDS if connection.clean else self.window + SLACK_SECONDS)


def judge_order(client: ClientRecord, feed: list[Notification], tally: Tally, reasons: Reasons) -> None:
    subjects = by_subject(feed)
    subject_of = {key(n.frame): n.subject for n in feed}
    receipts: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in client.receipts:
        receipts[subject_of.get(key(receipt.frame), "")].append(receipt)
    receipts.pop("", None)
    for subject, shown in receipts.items():
        _judge_order_of_payment(shown, subjects[subject], tally, reasons)


def _judge_order_of_payment(
    receipts: list[Receipt], notifications: list[Notification], tally: Tally, reasons: Reasons
) -> None:
    """Find for each frame the notification that it can have been: the same text, made before, and not an earlier one.

    One payment can have the same status twice, as when a dispute is won.
    """
    current, shown = 0, None
    for receipt in receipts:
        possible = [n.seq for n in notifications if n.frame == receipt.frame and n.at <= receipt.at]
        later = [seq for seq in possible if seq > current]
        if later and not (current in possible and shown and shown.connection != receipt.connection):
            current = min(later)
        elif current in possible and shown:
            if not later:
                tally.repeated += 1
                tally.needless += not reasons.explain(shown, receipt)
        else:
            tally.out_of_order += 1
            continue
        shown = receipt
