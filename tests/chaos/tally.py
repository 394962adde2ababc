"""What became of all that clients of one kind had to get."""

from dataclasses import dataclass


@dataclass
class Tally:
    """Counts over all clients of a kind.

    `sent` counts a notification for each resumable client of its user, and once for all plain clients of it. A plain
    client shows the newest of a payment: what was `replaced` came while no plain client of the user was there, and
    a later one of the same payment was shown. `repeated` was shown twice; `needless` of these for no reason.
    """

    clients: int = 0
    sent: int = 0
    delivered: int = 0
    replaced: int = 0
    lost: int = 0
    repeated: int = 0
    needless: int = 0
    out_of_order: int = 0
    reconnects: int = 0
