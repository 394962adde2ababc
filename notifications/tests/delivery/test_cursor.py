"""The cursor, without an event loop and without a database: in any order of events, each once, in order, none left out."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from notifications.delivery import cursor as cursors
from notifications.delivery.cursor import Cursor, Doubt, Place
from notifications.delivery.states import FeedState

EPOCH = "epoch"


def state(newest, *, confirmed=0, oldest=1, epoch=EPOCH, latest=""):
    """Return the state of a feed, in the epoch that is the first."""
    kept = oldest if newest else None
    return FeedState(newest, kept, confirmed, epoch, is_first_epoch=True, latest_connection=latest)


def text(seq):
    return f"notification {seq}"


class Delivery(RuleBasedStateMachine):
    """A feed, wakes that are lost, doubled and late, reads that fail, and a pump that is interrupted anywhere.

    The client is plain or resumes. With `latest`, its connection is the newest until another claims the feed.
    """

    def __init__(self):
        super().__init__()
        self.newest = 0
        self.latest = ""
        self.connections = 0
        self.sent = []
        self.start = 0
        self.page = self.rows = None
        self.is_replaced = False
        self._sizes = cursors.PAGE_SIZE, cursors.PENDING_MAX
        cursors.PAGE_SIZE, cursors.PENDING_MAX = 3, 4

    def teardown(self):
        try:
            self.everything_arrives_once_the_database_works()
        finally:
            cursors.PAGE_SIZE, cursors.PENDING_MAX = self._sizes

    @initialize(newest=st.integers(0, 8), data=st.data(), is_plain=st.booleans(), is_exclusive=st.booleans())
    def a_client_registers(self, newest, data, is_plain, is_exclusive):
        self.newest = newest
        self.is_plain, self.is_exclusive = is_plain, is_exclusive
        self.start = self.confirmed = data.draw(st.integers(0, newest))
        self.connect(after=None if is_plain else self.start)

    def connect(self, *, after):
        """Register a connection, which goes on after this number if there is one."""
        self.connections += 1
        self.own = f"own {self.connections}" if self.is_exclusive else None
        place = None if after is None else Place(after, EPOCH)
        self.cursor = Cursor(after=place, is_plain=self.is_plain, connection_id=self.own)
        self.page = self.rows = None
        self.is_replaced = False

    @precondition(lambda self: not self.cursor.is_placed)
    @rule()
    def it_is_given_its_place(self):
        now = state(self.newest, confirmed=self.confirmed, latest=self.latest)
        self.latest = self.own or self.latest
        self.cursor.place(now)

    @precondition(lambda self: self.is_exclusive)
    @rule()
    def a_newer_connection_claims_the_feed(self):
        self.latest = "another"

    @rule(count=st.integers(1, 5))
    def notifications_are_committed(self, count):
        self.newest += count

    @precondition(lambda self: self.newest)
    @rule(data=st.data(), times=st.integers(1, 2))
    def a_wake_comes(self, data, times):
        seq = data.draw(st.integers(max(1, self.newest - 6), self.newest))
        for _ in range(times):
            self.cursor.wake(seq, text(seq))

    @precondition(lambda self: self.cursor.is_placed and not self.is_replaced)
    @rule()
    def the_reconciler_compares(self):
        now = state(self.newest, latest=self.latest)
        self.is_replaced = self.cursor.compare(now, sent=self.cursor.seq)
        assert self.is_replaced is (self.is_exclusive and self.latest != self.own)
        if not self.is_replaced:
            self.cursor.learn(self.newest)

    @precondition(lambda self: self.page is None and self.cursor.is_behind() and not self.is_replaced)
    @rule()
    def the_pump_begins_its_next_step(self):
        if frame := self.cursor.next_frame():
            self.send(frame)
        else:
            self.page, self.rows = self.cursor.next_page(), None

    @precondition(lambda self: self.page is not None and self.rows is None)
    @rule()
    def the_database_reads(self):
        end = self.page.up_to if self.page.is_redelivery else self.newest
        numbers = range(self.page.after + 1, end + 1)[: cursors.PAGE_SIZE]
        self.found, self.rows = len(numbers), list(numbers)

    @precondition(lambda self: self.page is not None and self.rows is None)
    @rule()
    def the_read_fails(self):
        self.page = None

    @precondition(lambda self: self.rows and not self.is_replaced)
    @rule()
    def a_notification_of_the_page_is_sent(self):
        seq = self.rows.pop(0)
        self.send(cursors.Frame(seq, text(seq), self.page.path))

    @precondition(lambda self: self.rows == [])
    @rule()
    def the_page_ends(self):
        self.cursor.end_page(self.page, found=self.found)
        self.page = self.rows = None

    @precondition(lambda self: self.cursor.is_placed and self.page is None and self.is_plain)
    @rule()
    def a_plain_client_registers_again_on_its_connection(self):
        if not self.cursor.is_redelivering and not self.is_replaced:
            self.connect(after=self.cursor.seq)
            self.confirmed = 0

    @precondition(lambda self: not self.is_plain)
    @rule()
    def a_resuming_client_registers_again(self):
        """In the middle of a page, or before it has its place, too."""
        self.connect(after=self.start + len(self.sent))

    @precondition(lambda self: self.is_plain)
    @rule()
    def a_plain_client_connects_anew(self):
        """It is sent again what is not confirmed."""
        self.connect(after=None)
        self.start, self.sent = self.confirmed, []

    def send(self, frame):
        self.sent.append((frame.seq, frame.text))
        self.cursor.sent(frame)

    @invariant()
    def each_was_sent_once_in_order_and_none_left_out(self):
        assert self.sent == [
            (seq, text(seq)) for seq in range(self.start + 1, self.start + 1 + len(self.sent))
        ]

    @invariant()
    def a_database_that_loses_nothing_is_not_doubted(self):
        assert not hasattr(self, "cursor") or self.cursor.doubt is None

    @invariant()
    def what_waits_is_bounded(self):
        assert not hasattr(self, "cursor") or len(self.cursor._pending) <= cursors.PENDING_MAX

    def everything_arrives_once_the_database_works(self):
        if not hasattr(self, "cursor"):
            return
        if self.is_replaced:
            if self.is_plain:
                self.a_plain_client_connects_anew()
            else:
                self.a_resuming_client_registers_again()
        if not self.cursor.is_placed:
            self.it_is_given_its_place()
        self.cursor.learn(self.newest)
        while self.page or self.cursor.is_behind():
            if self.page is None:
                self.the_pump_begins_its_next_step()
            elif self.rows is None:
                self.the_database_reads()
            elif self.rows:
                self.a_notification_of_the_page_is_sent()
            else:
                self.the_page_ends()
        assert [seq for seq, _ in self.sent] == list(range(self.start + 1, self.newest + 1))


Delivery.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase


# Its place


@pytest.mark.parametrize(
    ("last_seq", "epoch", "resumed", "seq"),
    [
        (3, EPOCH, True, 3),
        (7, EPOCH, True, 7),
        (8, EPOCH, False, 7),
        (1, EPOCH, False, 7),
        (3, "another", False, 7),
    ],
)
def test_a_client_resumes_where_everything_after_its_number_is_kept(last_seq, epoch, resumed, seq):
    cursor = Cursor(after=Place(last_seq, epoch), is_plain=False)
    assert cursor.place(state(7, oldest=3)) is resumed
    assert cursor.seq == seq
    assert not cursor.is_redelivering


def test_a_plain_client_is_first_sent_again_what_is_not_confirmed_and_then_what_is_new():
    cursor = Cursor()
    cursor.place(state(7, confirmed=5))
    cursor.wake(8, text(8))
    page = cursor.next_page()
    assert (page.after, page.up_to, page.is_redelivery) == (5, 7, True)
    assert cursor.next_frame() is None
    cursor.sent(cursors.Frame(6, text(6), page.path))
    cursor.end_page(page, found=1)
    assert cursor.next_frame() == (8, text(8), "wake")


def test_where_all_is_confirmed_nothing_is_sent_again():
    cursor = Cursor()
    cursor.place(state(7, confirmed=7))
    assert not cursor.is_behind()


def test_what_was_sent_in_another_epoch_does_not_count():
    cursor = Cursor(after=Place(6, "another"))
    cursor.place(state(7, confirmed=2))
    assert cursor.seq == 7
    assert cursor.next_page().after == 2


# What the database has lost


def placed(newest=0, **fields):
    cursor = Cursor(**fields)
    cursor.place(state(newest, confirmed=newest))
    return cursor


def send_next(cursor):
    frame = cursor.next_frame()
    cursor.sent(frame)
    return frame


def test_another_notification_under_a_number_that_was_sent_is_a_doubt_before_all_else():
    cursor = placed()
    for seq in (1, 2):
        cursor.wake(seq, text(seq))
        send_next(cursor)
    cursor.wake(1, "another")
    cursor.wake(3, text(3))
    assert cursor.next_doubt() == Doubt(1, "another")
    assert cursor.next_doubt() is None


def test_of_two_notifications_under_a_number_that_waits_neither_is_believed():
    cursor = placed()
    cursor.wake(1, text(1))
    cursor.wake(1, "another")
    assert cursor.doubt == Doubt(1, "another")
    assert cursor.next_frame() is None
    assert cursor.is_behind()


def test_a_wake_that_says_another_thing_than_the_feed_is_a_doubt():
    cursor = placed()
    cursor.learn(2)
    page = cursor.next_page()
    cursor.wake(1, "another")
    cursor.sent(cursors.Frame(1, text(1), page.path))
    assert cursor.doubt == Doubt(1, text(1))


def test_only_the_numbers_that_were_sent_last_are_remembered():
    cursor = placed()
    for seq in range(1, cursors.REMEMBERED + 2):
        cursor.wake(seq, text(seq))
        send_next(cursor)
    cursor.wake(1, "another")
    assert cursor.doubt is None


def test_a_row_that_ends_before_what_was_sent_is_a_doubt():
    cursor = placed(5)
    assert cursor.compare(state(4), sent=5) is False
    assert cursor.doubt == Doubt(5)


def test_a_row_that_was_read_before_the_last_was_sent_is_none():
    cursor = placed(4)
    cursor.wake(5, text(5))
    send_next(cursor)
    cursor.compare(state(4), sent=4)
    assert cursor.doubt is None


def test_a_page_that_lacks_what_the_row_has_given_passes_it():
    cursor = placed()
    cursor.learn(5)
    page = cursor.next_page()
    cursor.learn(6)  # committed during the read
    cursor.end_page(page, found=0)
    assert cursor.seq == 5
    assert cursor.is_behind()


def test_a_wake_of_what_the_feed_does_not_have_moves_nothing():
    cursor = placed()
    cursor.wake(1_000_000, "lost")
    cursor.end_page(cursor.next_page(), found=0)
    assert (cursor.seq, cursor.is_behind()) == (0, False)
    cursor.wake(1, text(1))
    assert send_next(cursor).seq == 1


# The newest connection alone


@pytest.mark.parametrize(
    ("own", "latest", "is_replaced", "doubt"),
    [
        (None, "", False, None),
        (None, "b", False, None),
        ("a", "a", False, None),
        ("a", "b", True, None),
        ("a", "", False, Doubt(0, must_end=True)),
    ],
)
def test_a_newer_connection_replaces_one_that_is_exclusive(own, latest, is_replaced, doubt):
    cursor = placed(connection_id=own)
    assert cursor.compare(state(0, latest=latest), sent=0) is is_replaced
    assert cursor.doubt == doubt


def test_a_row_that_has_lost_numbers_says_nothing_of_a_newer_connection():
    cursor = placed(5, connection_id="a")
    assert cursor.compare(state(4, latest="b"), sent=5) is False
    assert cursor.doubt == Doubt(5)


def test_a_gap_of_several_pages_is_read_whole_though_only_a_wake_tells_of_it():
    cursor, sent = placed(), []
    cursor.wake(2 * cursors.PAGE_SIZE + 1, "the newest")
    while cursor.is_behind():
        page = cursor.next_page()
        numbers = range(page.after + 1, 2 * cursors.PAGE_SIZE + 2)[: cursors.PAGE_SIZE]
        for seq in numbers:
            cursor.sent(cursors.Frame(seq, text(seq), page.path))
        cursor.end_page(page, found=len(numbers))
        sent.append((page.path, len(numbers)))
    assert sent == [("gap", cursors.PAGE_SIZE), ("gap", cursors.PAGE_SIZE), ("gap", 1)]
