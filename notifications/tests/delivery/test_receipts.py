"""What must have arrived at a plain client, whatever it was sent when."""

from hypothesis import given
from hypothesis import strategies as st

from notifications.delivery.receipts import TICK_SECONDS, WATCHED_MAX, DeliveryTracker, UptimeClock

STEPS = st.lists(st.tuples(st.sampled_from(["send", "look"]), st.integers(0, 30)), max_size=200)
WINDOW = 45


@given(STEPS)
def test_all_that_is_confirmed_has_outlived_the_window_and_goes_on_rising(steps):
    tracker, now, sent, confirmed = DeliveryTracker(round_trip=0), 0, {}, 0
    for what, seconds in steps:
        now += seconds
        if what == "send":
            sent[len(sent) + 1] = now
            tracker.sent(len(sent), at=now)
        elif (seq := tracker.outlived(now=now, window=WINDOW)) is not None:
            assert seq > confirmed
            assert sent[seq] <= now - WINDOW
            confirmed = seq
    tracker.outlived(now=now + WINDOW, window=WINDOW)
    assert tracker.outlived(now=now + 2 * WINDOW, window=WINDOW) is None


@given(st.integers(1, 3 * WATCHED_MAX), st.integers(0, 30))
def test_in_the_end_everything_is_confirmed_however_many_were_sent(count, seconds):
    tracker = DeliveryTracker(round_trip=0)
    for seq in range(1, count + 1):
        tracker.sent(seq, at=seq * seconds)
    assert tracker.outlived(now=count * seconds + WINDOW, window=WINDOW) == count


@given(st.floats(0, 100), st.floats(0, 10))
def test_a_clean_close_confirms_what_it_cannot_have_crossed(round_trip, before):
    tracker = DeliveryTracker(round_trip=round_trip)
    tracker.sent(1, at=0)
    confirmed = tracker.closed(now=before)
    assert confirmed == (1 if before >= min(max(2 * round_trip, 0.3), 1.0) else None)


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_time_in_which_the_process_stood_still_does_not_count(pauses):
    clock = UptimeClock()
    for elapsed in pauses:
        before = clock.now
        clock.tick(elapsed)
        assert before <= clock.now <= before + min(elapsed, 2 * TICK_SECONDS) + 1e-9
