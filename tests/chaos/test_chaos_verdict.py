"""What the chaos run would say of clients that lost, repeated or mixed up something: it has to be caught."""

import pytest

from tests.chaos.logs import unexpected_exceptions
from tests.chaos.model import SCENARIOS
from tests.chaos.plan import FAULTS, make_plan
from tests.chaos.records import ClientRecord, Connection, FaultRecord, Made, Notification, Receipt, Truth
from tests.chaos.recovery import recoveries
from tests.chaos.verdict import judge

WINDOW = 10.0
STATUSES = ("pending", "succeeded", "disputed", "succeeded", "refunded")
"""What the one payment of these tests went through, a notification each, made at 100, 200, …"""


def frame(status):
    kind = "payment_url" if status == "pending" else "payment_status_update"
    return {"type": kind, "rideId": "ride", "status": status}


def feed(*statuses):
    return [
        Notification("user", seq, "payment:1", frame(status), seq * 100.0)
        for seq, status in enumerate(statuses, 1)
    ]


TRUTH = Truth({"user": feed(*STATUSES)}, {"1": "refunded"})
MADE = [Made("1", "user", "refunded", "refunded")]


FAULT = [FaultRecord("a fault", 550.0, 560.0)]


def client(*shown, resumes, connections=()):
    """A client that was shown these numbers of the feed, each 10 ms after it was made, or (number, at, connection)."""
    receipts = []
    for each in shown:
        seq, at, connection = each if isinstance(each, tuple) else (each, each * 100.01, 0)
        receipts.append(Receipt(at, connection, frame(STATUSES[seq - 1]), seq if resumes else None))
    return ClientRecord("client", "user", resumes, receipts, list(connections) or [Connection(0)])


def resumable(*shown):
    verdict = judge(
        truth=TRUTH, clients=[client(*shown, resumes=True)], made=MADE, faults=FAULT, window=WINDOW
    )
    return verdict, verdict.resumable


def plain(*shown, connections=()):
    one = client(*shown, resumes=False, connections=connections)
    verdict = judge(truth=TRUTH, clients=[one], made=MADE, faults=FAULT, window=WINDOW)
    return verdict, verdict.plain


def test_all_in_order_is_good():
    for verdict, tally in (resumable(1, 2, 3, 4, 5), plain(1, 2, 3, 4, 5)):
        assert verdict.holds, verdict.wrong
        assert (tally.sent, tally.delivered) == (5, 5)


def test_a_number_that_a_resumable_client_never_got_is_lost():
    for shown in ((1, 2, 4, 5), (1, 2, 3, 4), (2, 3, 4, 5), ()):
        verdict, tally = resumable(*shown)
        assert not verdict.holds
        assert tally.lost == 5 - len(shown)
        assert any("never got number" in sentence for sentence in verdict.wrong)


def test_numbers_that_are_mixed_up_are_out_of_order():
    verdict, tally = resumable(1, 3, 2, 4, 5)
    assert not verdict.holds
    assert (tally.lost, tally.out_of_order) == (0, 2)


def test_a_number_that_comes_twice_is_a_duplicate_but_no_loss():
    verdict, tally = resumable(1, 2, 2, 3, 4, 5)
    assert verdict.holds
    assert (tally.repeated, tally.needless) == (1, 1)


def test_the_end_of_a_payment_that_no_plain_client_saw_is_lost():
    verdict, tally = plain(1, 2)
    assert not verdict.holds
    assert (tally.delivered, tally.replaced, tally.lost) == (2, 0, 3)
    assert "user never saw number 5: payment_status_update ride refunded." in verdict.wrong


def test_the_same_words_from_before_do_not_count_for_what_came_later():
    truth = Truth({"user": feed(*STATUSES[:4])}, {"1": "succeeded"})
    made = [Made("1", "user", "dispute won", "succeeded")]

    stale = judge(
        truth=truth, clients=[client(1, 2, 3, resumes=False)], made=made, faults=FAULT, window=WINDOW
    )
    fresh = judge(
        truth=truth, clients=[client(1, 2, 4, resumes=False)], made=made, faults=FAULT, window=WINDOW
    )

    assert (stale.plain.lost, fresh.plain.lost, fresh.plain.replaced) == (1, 0, 1)
    assert fresh.holds


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        (("pending", "succeeded", "succeeded"), "user was sent the same twice"),
        (("succeeded",), "user was not sent a link first"),
    ],
)
def test_a_feed_that_says_the_same_twice_or_begins_without_a_link_is_wrong(statuses, sentence):
    truth = Truth({"user": feed(*statuses)}, {"1": "succeeded"})
    verdict = judge(
        truth=truth,
        clients=[],
        made=[Made("1", "user", "paid", "succeeded")],
        faults=FAULT,
        window=WINDOW,
    )
    assert not verdict.holds
    assert [sentence in wrong for wrong in verdict.wrong] == [True]


def test_a_plain_client_may_be_shown_the_newest_alone():
    verdict, tally = plain(5)
    assert verdict.holds
    assert (tally.delivered, tally.replaced, tally.lost) == (1, 4, 0)


def test_what_one_tab_saw_the_user_saw():
    tabs = [client(1, 2, resumes=False), client(3, 4, 5, resumes=False)]
    assert judge(truth=TRUTH, clients=tabs, made=MADE, faults=FAULT, window=WINDOW).holds
    assert not judge(truth=TRUTH, clients=tabs[:1], made=MADE, faults=FAULT, window=WINDOW).holds


def test_a_plain_client_that_is_shown_something_earlier_is_out_of_order():
    verdict, tally = plain(1, 2, 5, (3, 501, 0))
    assert not verdict.holds
    assert (tally.out_of_order, tally.lost) == (1, 0)
    assert plain(1, 2, 3, (2, 350, 0), 5)[1].out_of_order == 1


@pytest.mark.parametrize(
    ("ended", "clean", "again", "needless"),
    [
        (505.0, False, 531, 0),
        (520.0, False, 531, 1),
        (520.0, False, 555, 0),
        (500.6, True, 531, 0),
        (505.0, True, 531, 1),
        (505.0, True, 570, 0),
    ],
    ids=[
        "broke off soon",
        "lived on",
        "a fault came",
        "closed at once",
        "closed later",
        "closed, a fault came",
    ],
)
def test_a_duplicate_after_a_reconnect_may_be_needed(ended, clean, again, needless):
    connections = [Connection(0, ended, clean), Connection(again)]
    verdict, tally = plain(1, 2, 3, 4, 5, (5, again, 1), connections=connections)
    assert verdict.holds
    assert (tally.repeated, tally.needless, tally.reconnects) == (1, needless, 1)


def test_a_duplicate_is_needed_after_the_client_stalled():
    one = client(
        1, 2, 3, 4, 5, (5, 531, 1), resumes=False, connections=[Connection(0, 520.0), Connection(530)]
    )
    one.stalled.append((501.0, 519.0))
    verdict = judge(truth=TRUTH, clients=[one], made=MADE, faults=[], window=WINDOW)
    assert (verdict.plain.repeated, verdict.plain.needless) == (1, 0)


def test_a_duplicate_on_one_connection_is_needless():
    _, tally = plain(1, 2, 3, 4, 5, (5, 501, 0))
    assert (tally.repeated, tally.needless, tally.out_of_order) == (1, 1, 0)


def test_a_frame_that_is_not_in_the_feed_is_wrong():
    stranger = client(1, 2, 3, 4, 5, resumes=False)
    stranger.receipts.append(Receipt(600, 0, frame("failed")))
    verdict = judge(truth=TRUTH, clients=[stranger], made=MADE, faults=FAULT, window=WINDOW)
    assert verdict.wrong == ["client got what is not in its feed: payment_status_update ride failed."]


def test_a_number_with_the_words_of_another_is_wrong():
    mixed = client(1, 2, 3, 4, resumes=True)
    mixed.receipts.append(Receipt(500, 0, frame("succeeded"), 5))
    verdict = judge(truth=TRUTH, clients=[mixed], made=MADE, faults=FAULT, window=WINDOW)
    assert verdict.wrong == ["client got a wrong frame as number 5: payment_status_update ride succeeded."]


def test_a_client_that_was_not_resumed_is_wrong():
    refused = client(1, 2, 3, 4, 5, resumes=True)
    refused.refused = 1
    assert judge(truth=TRUTH, clients=[refused], made=MADE, faults=FAULT, window=WINDOW).wrong


def test_a_feed_with_a_gap_is_wrong():
    truth = Truth({"user": [n for n in feed(*STATUSES) if n.seq != 2]}, {"1": "refunded"})
    verdict = judge(truth=truth, clients=[], made=MADE, faults=FAULT, window=WINDOW)
    assert verdict.wrong == ["The feed of user has gaps: [1, 3, 4, 5]."]


@pytest.mark.parametrize(
    ("final", "statuses", "said"),
    [
        ("succeeded", {"1": "refunded"}, "is refunded, not succeeded"),
        ("succeeded", {"1": "succeeded"}, "was last sent as refunded, not succeeded"),
        ("refunded", {}, "is None, not refunded"),
        ("refunded", {"1": "refunded", "2": "paid"}, "Nobody asked for payment 2"),
    ],
)
def test_a_payment_that_does_not_end_as_the_model_says_is_wrong(final, statuses, said):
    truth = Truth(TRUTH.notifications, statuses)
    verdict = judge(
        truth=truth, clients=[], made=[Made("1", "user", "a name", final)], faults=[], window=WINDOW
    )
    assert any(said in sentence for sentence in verdict.wrong)
    assert not verdict.holds


def test_a_run_in_which_nothing_happened_does_not_hold():
    assert not judge(truth=Truth({}, {}), clients=[], made=[], faults=[], window=WINDOW).holds


def slowest(*clients, began=450.0, ended=510.0):
    faults = [FaultRecord("a fault", began, ended)]
    return recoveries(faults=faults, truth=TRUTH, clients=clients)["a fault"]


def test_a_recovery_lasts_from_the_end_of_the_fault_until_the_client_has_it():
    one = client((5, 512.5, 0), resumes=True)
    other = client((5, 511.0, 0), resumes=False)
    assert (slowest(one, other).slowest, slowest(one, other).hit) == (2.5, 2)
    assert slowest(one, ended=498.0).slowest == 12.5


def test_a_recovery_leaves_out_the_time_that_a_client_was_away():
    for absence in ("away", "stalled"):
        one = client((5, 540.0, 0), resumes=True)
        getattr(one, absence).append((505.0, 539.0))
        assert slowest(one).slowest == 1.0


def test_of_two_tabs_the_faster_counts():
    assert slowest(client((5, 540.0, 0), resumes=False), client((5, 511.0, 0), resumes=False)).slowest == 1.0


def test_what_was_not_hit_has_no_recovery():
    assert slowest(client(1, 2, 3, resumes=True)).slowest is None


def test_the_same_seed_makes_the_same_plan():
    first, again, other = (make_plan(seed=seed, seconds=120, clients=20, rate=4) for seed in (7, 7, 8))
    assert first == again
    assert other.faults != first.faults
    assert other.payments != first.payments
    assert [each.habit for each in other.clients] != [each.habit for each in first.clients]


@pytest.mark.parametrize("seconds", [20, 120])
def test_every_fault_comes_once_and_ends_in_time(seconds):
    plan = make_plan(seed=1, seconds=seconds, clients=20, rate=4)
    assert {fault.kind for fault in plan.faults} == set(FAULTS)
    ends = [fault.at + fault.hold for fault in plan.faults]
    assert all(fault.at >= end for fault, end in zip(plan.faults[1:], ends, strict=False))
    assert ends[-1] < seconds


def test_every_scenario_and_habit_comes_in_a_whole_run():
    plan = make_plan(seed=1, seconds=120, clients=200, rate=4)
    assert {payment.scenario for payment in plan.payments} == set(SCENARIOS)
    assert len({each.habit for each in plan.clients}) == 6
    assert len(plan.clients) == 400
    assert len({each.user_id for each in plan.clients}) == 360


LOG = """\
2026-11-24 22:34:31,603 ERROR django.request: Internal Server Error: /webhooks/stripe/
Traceback (most recent call last):
  File "a.py", line 1, in b
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 2, in b
    raise
psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly
\tThis probably means the server terminated abnormally

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "a.py", line 3, in b
django.db.utils.OperationalError: consuming input failed: server closed the connection unexpectedly
\tThis probably means the server terminated abnormally
2026-11-24 22:34:32,000 WARNING a: b
"""


def test_a_database_that_fails_explains_its_tracebacks():
    assert unexpected_exceptions(LOG) == []
    assert unexpected_exceptions("") == []


def test_other_tracebacks_are_reported():
    other = "Traceback (most recent call last):\n  File\nValueError: no\n"
    group = "  + Exception Group Traceback (most recent call last):\n  |   File\n"
    assert unexpected_exceptions(LOG + other + LOG + other) == ["ValueError: no"] * 2
    assert unexpected_exceptions(LOG + group + LOG) == ["an exception group"]
