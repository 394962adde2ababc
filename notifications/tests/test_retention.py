"""Old notifications go from the beginning of a feed, and no client is the worse for it."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import feed, installation, retention
from notifications.delivery import history
from notifications.models import Feed, Notification

pytestmark = pytest.mark.django_db(transaction=True)


def fill(*, number, user_id="user_123", days=40, **fields):
    """Give a user notifications that were made so many days ago, and expired a week later; return the last's number."""
    made = timezone.now() - timedelta(days=days)
    with transaction.atomic():
        for _ in range(number):
            seq = feed.notify(
                user_id=user_id, frame={"type": "news"}, collapse_key="payment:1", expires_at=None
            )
            change(
                seq, user_id=user_id, **{"created_at": made, "expires_at": made + timedelta(days=7)} | fields
            )
    return seq


def change(seq, *, user_id="user_123", **fields):
    Notification.objects.filter(feed__user_id=user_id, seq=seq).update(**fields)


def confirm(seq, *, user_id="user_123"):
    Feed.objects.filter(user_id=user_id).update(confirmed_seq=seq)


def kept(user_id="user_123"):
    return [
        seq
        for seq, _ in history.read_after(
            user_id=user_id, seq=0, limit=100_000, epoch=installation.read().epoch
        )
    ]


def prune(*, days=30, **how):
    return sum(retention.prune(days=days, **how))


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(retention, "BATCH_SIZE", 3)


def test_what_is_older_than_asked_for_goes_and_the_rest_stays(db):
    fill(number=3, days=31)
    fill(number=2, days=29)
    assert prune() == 3
    assert kept() == [4, 5]
    assert prune() == 0


def test_a_dry_run_counts_and_removes_nothing(small_batches):
    fill(number=8)
    fill(number=2, days=0)
    assert prune(dry_run=True) == 8
    assert kept() == list(range(1, 11))


def test_numbers_go_on_where_they_were(db):
    fill(number=3)
    prune()
    assert history.read_states(user_ids=["user_123"])["user_123"][:3] == (3, None, 0)
    assert fill(number=1) == 4


def test_what_a_plain_client_may_still_be_sent_is_kept_with_all_that_follows(db):
    fill(number=5)
    change(3, expires_at=timezone.now() + timedelta(days=1))
    confirm(2)
    assert prune() == 2
    assert kept() == [3, 4, 5]
    confirm(3)
    assert prune() == 3


def test_what_never_expires_is_kept_until_it_is_confirmed(db):
    fill(number=2, expires_at=None)
    assert prune() == 0
    confirm(1)
    assert prune() == 1
    assert kept() == [2]


def test_a_clock_that_was_ahead_makes_no_hole(db):
    fill(number=4)
    change(2, created_at=timezone.now())
    assert prune() == 1
    assert kept() == [2, 3, 4]


def test_feeds_do_not_keep_each_others_notifications(small_batches):
    for _ in range(4):
        fill(number=1)
        fill(number=1, user_id="somebody else")
    confirm(0)
    change(1, expires_at=None)
    assert prune() == 4
    assert (kept(), kept("somebody else")) == ([1, 2, 3, 4], [])


def test_a_feed_that_has_to_stay_does_not_keep_what_came_later(small_batches):
    fill(number=7, expires_at=None)
    fill(number=4, user_id="somebody else")
    assert prune() == 4
    assert (len(kept()), kept("somebody else")) == (7, [])


def test_after_each_batch_a_feed_has_no_hole(small_batches):
    fill(number=5)
    fill(number=5, user_id="somebody else")
    fill(number=5)
    batches = []
    for removed in retention.prune(days=30):
        batches.append(removed)
        for user_id, newest in (("user_123", 10), ("somebody else", 5)):
            numbers = kept(user_id)
            assert numbers == list(range(newest - len(numbers) + 1, newest + 1))
    assert batches == [3, 3, 3, 3, 3]


def test_a_long_feed_goes_in_transactions_of_a_bounded_size(db):
    Feed.objects.create(user_id="user_123", last_seq=2500)
    made = timezone.now() - timedelta(days=40)
    rows = [
        Notification(feed=Feed.objects.get(), seq=n, frame="{}", collapse_key="", expires_at=made)
        for n in range(1, 2501)
    ]
    Notification.objects.bulk_create(rows)
    Notification.objects.update(created_at=made)
    with CaptureQueriesContext(connection) as queries:
        assert list(retention.prune(days=30)) == [1000, 1000, 500]
    deletions = [query for query in queries if query["sql"].startswith("DELETE")]
    assert len(deletions) == 3
    assert len(queries) <= 4 + 3 * 6


def test_what_is_new_is_not_even_read(small_batches):
    fill(number=3)
    fill(number=9, days=0)
    with CaptureQueriesContext(connection) as queries:
        prune(dry_run=True)
    reads = [query for query in queries if "ORDER BY" in query["sql"] and "LIMIT 3" in query["sql"]]
    assert len(reads) == 2


def test_two_at_the_same_time_remove_each_notification_once(small_batches):
    for n in range(20):
        fill(number=3, user_id=f"user-{n}")
    ready = threading.Barrier(2)

    def run():
        try:
            ready.wait(timeout=10)
            return prune()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(lambda _: run(), range(2))) == 60
    assert not Notification.objects.exists()


def test_one_waits_for_what_another_is_removing_rather_than_pass_it_by(db):
    """The other may fail, and then what was passed by would stand before a hole."""
    fill(number=4)

    def run():
        try:
            return prune()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            Notification.objects.filter(seq=1).delete()
            removed = thread.submit(run)
            wait({removed}, timeout=0.3)
            transaction.set_rollback(True)
        assert removed.result(timeout=30) == 4
    assert kept() == []


@pytest.mark.parametrize("days", [6, 0, -1])
def test_fewer_days_than_a_status_is_news_are_refused(db, days):
    with pytest.raises(ValueError, match="7 days at least"):
        prune(days=days)


@database_sync_to_async
def tell_and_prune():
    """Commit three notifications and the removal of the first two at once: no connection can have read them."""
    with transaction.atomic():
        fill(number=3)
        change(3, created_at=timezone.now())
        assert prune() == 2


async def test_a_live_connection_that_is_behind_what_was_removed_goes_on(
    connect, notify_user, settings, unreachable_layer
):
    settings.CHANNEL_LAYERS = unreachable_layer
    counting, plain = await connect(), await connect()
    assert (await counting.register(lastSeq=0))["resumed"]
    await plain.register()
    await tell_and_prune()
    assert await counting.read() == {"type": "news", "seq": 3}
    assert await plain.read() == {"type": "news"}
    await notify_user()
    assert await counting.read() == {"type": "news", "seq": 4}
    assert await plain.read() == {"type": "news"}
    assert await plain.is_silent()


async def test_a_client_below_what_is_kept_does_not_resume_and_one_at_the_edge_does(connect):
    await tell_and_prune()
    for last_seq, resumed in ((0, False), (1, False), (2, True), (3, True), (4, False)):
        client = await connect()
        answer = await client.register(lastSeq=last_seq)
        assert (last_seq, answer["resumed"], answer["lastSeq"]) == (last_seq, resumed, 3)


async def test_of_a_feed_that_is_all_gone_only_its_newest_number_resumes(connect):
    await database_sync_to_async(lambda: (fill(number=3), prune()))()
    for last_seq, resumed in ((0, False), (2, False), (3, True)):
        client = await connect()
        assert (await client.register(lastSeq=last_seq))["resumed"] is resumed
