import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks.growth.plans import explain
from notifications import feed, installation
from notifications.delivery import history
from notifications.delivery.states import FeedState
from notifications.feed import OutsideTransactionError
from notifications.models import Feed, Notification
from notifications.protocol import InvalidUserIdError
from tests.support.plans import on_postgresql, plan_of, session_with

pytestmark = pytest.mark.django_db


def notify(user_id="user_123", frame=None):
    return feed.notify(
        user_id=user_id, frame=frame or {"type": "news"}, collapse_key="payment:1", expires_at=None
    )


def notify_and_commit(**kwargs):
    with transaction.atomic():
        return notify(**kwargs)


def feed_state():
    return history.read_states(user_ids=["user_123"])["user_123"]


def numbers(user_id="user_123"):
    return [
        seq
        for seq, _ in history.read_after(
            user_id=user_id, seq=0, limit=10_000, epoch=installation.read().epoch
        )
    ]


def test_a_users_notifications_are_numbered_from_one_and_others_are_not_counted():
    assert notify_and_commit() == 1
    assert notify_and_commit(user_id="somebody else") == 1
    assert notify_and_commit() == 2
    assert numbers() == [1, 2]


def test_several_notifications_fit_in_one_transaction():
    with transaction.atomic():
        assert [notify(), notify(user_id="b"), notify()] == [1, 1, 2]
    assert numbers() == [1, 2]


def test_a_notification_is_kept_as_it_goes_over_the_socket():
    expires_at = datetime(2026, 11, 24, 8, tzinfo=UTC)
    with transaction.atomic():
        feed.notify(
            user_id="user_123",
            frame={"type": "payment_url", "rideId": "ride ü", "n": 1, "a": None},
            collapse_key="payment:7",
            expires_at=expires_at,
        )
    notification = Notification.objects.get()
    assert notification.frame == r'{"type":"payment_url","rideId":"ride \u00fc","n":1,"a":null}'
    assert notification.collapse_key == "payment:7"
    assert notification.expires_at == expires_at


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
def test_outside_a_transaction_it_is_refused_and_nothing_is_written():
    with pytest.raises(OutsideTransactionError, match=r"transaction\.atomic"):
        notify()
    assert not Feed.objects.exists()


def test_a_rollback_leaves_no_gap():
    notify_and_commit()
    with transaction.atomic():
        assert notify() == 2
        transaction.set_rollback(True)
    with transaction.atomic():
        with transaction.atomic():
            assert notify() == 2
            transaction.set_rollback(True)
        assert notify() == 2
    assert numbers() == [1, 2]


@pytest.mark.django_db(transaction=True, available_apps=["notifications"])
def test_writers_at_the_same_time_leave_no_gap_and_commit_in_the_order_of_numbers():
    """A reader that sees a number has seen all before it: else a cursor would pass one that commits later."""
    writers = 6
    ready = threading.Barrier(writers)

    def write(writer):
        ready.wait(timeout=30)
        try:
            for round_ in range(8):
                with transaction.atomic():
                    notify()
                    transaction.set_rollback((writer + round_) % 4 == 0)
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as threads:
        running = [threads.submit(write, writer) for writer in range(writers)]
        while not all(writing.done() for writing in running):
            seen = numbers()
            assert seen == list(range(1, len(seen) + 1))
        for writing in running:
            writing.result()
    assert numbers() == list(range(1, 37))
    assert Feed.objects.get().last_seq == 36


@pytest.mark.parametrize("user_id", ["", "x" * 129, "a\0b", "\ud800"])
def test_a_bad_user_id_is_refused(user_id):
    with pytest.raises(InvalidUserIdError, match="A user id has"), transaction.atomic():
        notify(user_id=user_id)
    assert not Feed.objects.exists()


@pytest.mark.parametrize("user_id", ["x" * 128, "😀" * 128, "auth0|1", "a@b.com", " "])
def test_any_other_user_id_has_a_feed(user_id):
    assert notify_and_commit(user_id=user_id) == 1
    assert numbers(user_id) == [1]


@pytest.mark.parametrize("frame", [{"amount": object()}, {"amount": float("nan")}, {}])
def test_a_frame_with_no_json_form_is_refused(frame):
    with pytest.raises((TypeError, ValueError)), transaction.atomic():
        feed.notify(user_id="u", frame=frame, collapse_key="", expires_at=None)
    assert not Feed.objects.exists()


def test_a_feed_is_read_in_pages_from_any_number():
    for n in range(5):
        notify_and_commit(frame={"n": n + 1})
    notify_and_commit(user_id="somebody else")
    epoch = installation.read().epoch
    two = [(2, '{"n":2}'), (3, '{"n":3}')]
    assert history.read_after(user_id="user_123", seq=1, limit=2, epoch=epoch) == two
    assert history.read_after(user_id="user_123", seq=5, limit=2, epoch=epoch) == []
    assert history.read_after(user_id="nobody", seq=0, limit=2, epoch=epoch) == []


def test_of_another_epoch_nothing_is_read_and_no_redelivery_is_counted():
    old = installation.read().epoch
    notify_and_commit(frame={"n": 1})
    installation.renew()
    with pytest.raises(history.EpochEndedError):
        history.read_after(user_id="user_123", seq=0, limit=2, epoch=old)
    with pytest.raises(history.EpochEndedError):
        history.redeliver(user_id="user_123", after=0, up_to=1, limit=2, epoch=old)
    assert Notification.objects.get().redeliveries == 0


def test_a_position_is_the_newest_number_and_the_oldest_that_is_kept():
    assert feed_state()[:3] == (0, None, 0)
    for _ in range(4):
        notify_and_commit()
    assert feed_state()[:3] == (4, 1, 0)
    Notification.objects.filter(seq__lte=2).delete()
    assert feed_state()[:3] == (4, 3, 0)
    Notification.objects.all().delete()
    assert feed_state()[:3] == (4, None, 0)


def test_states_of_many_are_read_at_once(django_assert_num_queries):
    for user_id in ("a", "b", "b"):
        notify_and_commit(user_id=user_id)
    installation.read()
    with django_assert_num_queries(2):  # the epoch, and the states
        states = history.read_states(user_ids=["a", "b", "c"])
    found = {user_id: state[:3] for user_id, state in states.items()}
    assert found == {"a": (1, 1, 0), "b": (2, 1, 0), "c": (0, None, 0)}


@pytest.mark.parametrize(
    ("numbers", "seq", "kept"),
    [
        ((0, None, 0), 0, True),
        ((0, None, 0), 1, False),
        ((4, 1, 0), 0, True),
        ((4, 1, 0), 4, True),
        ((4, 1, 0), 5, False),
        ((4, 3, 0), 2, True),
        ((4, 3, 0), 1, False),
        ((4, None, 0), 4, True),
        ((4, None, 0), 3, False),
        ((4, None, 0), 0, False),
    ],
)
def test_a_gap_is_kept_when_its_first_notification_is(numbers, seq, kept):
    assert FeedState(*numbers, "1", is_first_epoch=True).is_kept_after(seq) is kept


def test_the_newest_connection_claims_a_feed_and_changes_nothing_else_of_it():
    history.set_latest_connection(user_id="user_123", connection_id="a")
    [state] = history.read_rows(user_ids=["user_123"]).values()
    assert (state.newest, state.latest_connection) == (0, "a")
    notify_and_commit()
    history.set_latest_connection(user_id="user_123", connection_id="b")
    notify_and_commit(user_id="other")
    states = history.read_rows(user_ids=["user_123", "other", "nobody"])
    assert {user_id: (state.newest, state.latest_connection) for user_id, state in states.items()} == {
        "user_123": (1, "b"),
        "other": (1, ""),
        "nobody": (0, ""),
    }


def test_a_comparison_reads_what_a_registration_reads_but_for_the_oldest_number():
    Feed.objects.create(user_id="user_123", last_seq=3, confirmed_seq=2, disconnects=1, latest_connection="a")
    users = ["user_123", "nobody"]
    assert history.read_rows(user_ids=users) == history.read_states(user_ids=users)


@on_postgresql
def test_what_is_redelivered_is_found_by_reading_a_long_feed_once():
    row = Feed.objects.create(user_id="user_123", last_seq=600)
    keys = [(seq, f"payment:{seq % 200}") for seq in range(1, 601)]
    Notification.objects.bulk_create(
        Notification(feed=row, seq=seq, frame="{}", collapse_key=key) for seq, key in keys
    )
    epoch = installation.read().epoch
    with CaptureQueriesContext(connection) as queries:
        redelivered = history.redeliver(user_id="user_123", after=0, up_to=600, limit=100, epoch=epoch)
    assert [seq for seq, _ in redelivered] == list(range(401, 501))
    with session_with("enable_seqscan", "off"):  # the best plan for the feeds, of which there is one
        assert explain(queries.captured_queries[0]["sql"]).faults == ()


@on_postgresql
def test_a_page_of_a_long_feed_reads_no_more_than_the_page():
    for n in range(20):
        notify_and_commit(frame={"n": n})
    epoch = installation.read().epoch
    with CaptureQueriesContext(connection) as queries:
        history.read_after(user_id="user_123", seq=5, limit=2, epoch=epoch)
    plan = plan_of(queries, without=("seqscan", "bitmapscan"))
    assert "one_notification_a_number" in plan
    assert "Sort" not in plan
