"""The state of a feed, as the database has it. No I/O: notifications/delivery/history.py reads it."""

from typing import NamedTuple


class FeedState(NamedTuple):
    """A feed's newest number, the oldest number that is kept, and the number up to which clients have confirmed.

    `oldest` is None if nothing is kept, or if it was not read (see `history.read_rows`).
    `epoch` is the epoch of the numbers; `is_first_epoch`: there was none before it. A user without a feed is at 0.
    `disconnects`: how often all connections of the user were closed by request.
    `latest_connection`: the one that registered last with NOTIFICATIONS_CONNECTIONS=latest; empty: none did.
    """

    newest: int
    oldest: int | None
    confirmed: int
    epoch: str
    is_first_epoch: bool
    disconnects: int = 0
    latest_connection: str = ""

    def can_resume(self, seq: int, *, epoch: str | None) -> bool:
        """Return whether a client that has got this number can be sent everything after it.

        `epoch` is the epoch of the number. None: the client did not send one, so the number may be of any epoch. Only
        0, for a client that has got nothing, means the same in every epoch.
        """
        is_of_this = self.is_first_epoch if epoch is None else epoch == self.epoch
        return (seq == 0 or is_of_this) and self.is_kept_after(seq)

    def is_kept_after(self, seq: int) -> bool:
        """Return whether everything after this number is still stored."""
        if seq >= self.newest:
            return seq == self.newest  # a higher number was given before the database lost it
        return self.oldest is not None and self.oldest <= seq + 1
