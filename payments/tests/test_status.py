import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.balances import balances
from payments.merging import ATTEMPTS_KEPT, OBJECTS_KEPT, merge
from payments.models import Payment
from payments.status import Attention, Status, attention, derive, holds_ride, is_open
from payments.stripe import events
from payments.stripe.states import DISPUTE_STAGES, REFUND_STAGES
from payments.tests.stories import STORIES

ASKED = "1250 usd"
PAID = {"paid": {"pi_1": {ASKED: 1}}}
AWAITED = {"completed_unpaid": {"pi_1": 1}}
TIME = st.integers(0, 9)
INTENTS = st.sampled_from(["", "pi_1", "pi_2"])
CHARGES = st.dictionaries(
    st.sampled_from(["", *(f"ch_{n}" for n in range(30))]), TIME, max_size=ATTEMPTS_KEPT
)
MOVEMENT = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([-1250, 1250, -500]),
        "fee": st.just(1500),
        "currency": st.sampled_from(["usd", "eur"]),
        "at": TIME,
    }
)
DISPUTE = st.fixed_dictionaries(
    {
        "at": TIME,
        "intent": INTENTS,
        "amount": st.integers(0, 2000),
        "currency": st.sampled_from(["usd", "jpy", ""]),
        "status": st.sampled_from([*DISPUTE_STAGES, "new_state"]),
        "reason": st.sampled_from(["general", "fraudulent"]),
        "due_by": TIME,
        "case_type": st.sampled_from(["", "block", "resolution", "new_type"]),
        "moved": st.integers(0, 3),
        "movements": st.dictionaries(st.sampled_from(["txn_1", "txn_2"]), MOVEMENT),
    }
)
REFUND = st.fixed_dictionaries(
    {
        "at": TIME,
        "amount": st.integers(1, 1250),
        "status": st.sampled_from([*REFUND_STAGES, "new_state"]),
        "intent": INTENTS,
    }
)
SNAPSHOT = st.fixed_dictionaries({"at": TIME, "actionable": st.booleans(), "open": st.booleans()})
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "asked": st.just(ASKED),
        "paid": st.dictionaries(
            INTENTS, st.dictionaries(st.sampled_from([ASKED, "1 usd", "1250 eur"]), TIME, min_size=1)
        ),
        "nothing_due": TIME,
        "completed_unpaid": st.dictionaries(INTENTS, TIME, min_size=1),
        "async_failed": TIME,
        "expired": TIME,
        "cancel_requested": TIME,
        "canceled": TIME,
        "canceled_intents": st.dictionaries(INTENTS, TIME),
        "expired_intents": st.dictionaries(INTENTS, TIME),
        "attempted": st.dictionaries(INTENTS, TIME),
        "rewritten": TIME,
        "recovered": st.dictionaries(
            st.sampled_from(["cs_2", "cs_3"]),
            st.dictionaries(st.sampled_from(["completed_unpaid", "async_failed", "expired"]), TIME),
        ),
        "processing": CHARGES,
        "failed": CHARGES,
        "action_required": TIME,
        "failure": SNAPSHOT,
        "refunds": st.dictionaries(st.sampled_from(["re_1", "re_2"]), REFUND),
        "refunded_at_least": st.dictionaries(INTENTS, st.integers(0, 1250)),
        "disputes": st.dictionaries(st.sampled_from(["du_1", "du_2"]), DISPUTE),
        "charges": st.dictionaries(st.sampled_from([f"ch_{n}" for n in range(15)]), SNAPSHOT),
        "warnings": st.dictionaries(
            st.sampled_from([f"issfr_{n}" for n in range(15)]), SNAPSHOT, max_size=OBJECTS_KEPT
        ),
        "reviews": st.dictionaries(st.sampled_from(["prv_1", "prv_2"]), SNAPSHOT),
        "foreign_session": TIME,
        "unknown": st.dictionaries(st.sampled_from(["dispute.status=new"]), TIME),
    },
)


def dispute(status, *moves, amount=1250, currency="usd", of="usd", case_type="", intent="pi_1", at=1):
    """Return a dispute, its balance transactions in the order in which they came."""
    return {
        "at": at,
        "intent": intent,
        "amount": amount,
        "currency": currency,
        "status": status,
        "reason": "general",
        "due_by": 0,
        "case_type": case_type,
        "moved": len(moves),
        "movements": {
            f"txn_{n}": {"amount": moved, "fee": 1500, "currency": of, "at": n}
            for n, moved in enumerate(moves)
        },
    }


def refund(amount, status="succeeded", intent="pi_1", at=1):
    return {"at": at, "amount": amount, "status": status, "intent": intent}


@given(FACTS, FACTS, FACTS)
def test_merging_facts_is_commutative_associative_and_idempotent(a, b, c):
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(merge(a, b), b) == merge(a, b)


@given(FACTS)
def test_every_set_of_facts_has_a_status(facts):
    assert derive(facts | {"asked": ASKED}) in Status


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_facts_does_not_matter(story, seed):
    payment = Payment(ride_id="ride", user_id="user", amount=1250, currency="usd", session_id="cs_1")
    make, expected = STORIES[story]
    sent = make(payment) * 2
    random.Random(seed).shuffle(sent)
    facts = {"asked": ASKED}
    for event in sent:
        facts = merge(facts, events.facts(event))
    assert derive(facts) == expected


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, Status.PENDING),
        ({"completed_unpaid": {"pi_1": 1}}, Status.PROCESSING),
        ({"processing": {"ch_1": 1}}, Status.PROCESSING),
        ({"failed": {"ch_1": 1}}, Status.FAILED),
        ({"failed": {"ch_1": 1}, "action_required": 1}, Status.PENDING),
        ({"failed": {"ch_1": 2}, "action_required": 1}, Status.FAILED),
        ({"failed": {"ch_1": 2}, "completed_unpaid": {"pi_1": 1}}, Status.PROCESSING),
        ({"failed": {"ch_1": 2}, "processing": {"ch_2": 1}}, Status.PROCESSING),
        ({"failed": {"ch_1": 1}, "processing": {"ch_1": 2}}, Status.FAILED),
        ({"failed": {"": 1}, "processing": {"": 1}}, Status.PROCESSING),
        ({"failed": {"": 2}, "processing": {"": 1}}, Status.FAILED),
        ({"processing": {"ch_1": 1}, "async_failed": 1}, Status.FAILED),
        ({"expired": 1, "failed": {"ch_1": 1}}, Status.EXPIRED),
        ({"expired": 1, "cancel_requested": 1}, Status.CANCELED),
        ({"expired": 1, "recovered": {"cs_2": {"completed_unpaid": 2}}}, Status.PROCESSING),
        ({"expired": 1, "recovered": {"cs_2": {"completed_unpaid": 2, "async_failed": 3}}}, Status.EXPIRED),
        ({"cancel_requested": 1}, Status.PENDING),
        ({"canceled": 1, "expired": 1}, Status.CANCELED),
        ({"canceled_intents": {"pi_1": 1}}, Status.CANCELED),
        ({"expired_intents": {"pi_1": 1}}, Status.EXPIRED),
        ({"expired_intents": {"pi_1": 1}, "cancel_requested": 1}, Status.CANCELED),
        ({"canceled_intents": {"pi_1": 1}, "attempted": {"pi_1": 2}}, Status.CANCELED),
        ({"canceled_intents": {"pi_2": 1}, "attempted": {"pi_1": 2}}, Status.PENDING),
        ({"canceled_intents": {"pi_2": 1}, **AWAITED}, Status.PROCESSING),
        ({"canceled_intents": {"pi_1": 1}, **AWAITED}, Status.CANCELED),
        ({"expired": 1, **AWAITED}, Status.PROCESSING),
        ({**PAID, "expired": 1, "canceled": 1}, Status.SUCCEEDED),
        ({"nothing_due": 1}, Status.SUCCEEDED),
        ({"paid": {"pi_1": {"1249 usd": 1}}}, Status.PENDING),
        ({"paid": {"pi_1": {"1249 usd": 1, ASKED: 2}}}, Status.SUCCEEDED),
        ({**PAID, "refunded_at_least": {"pi_1": 1}}, Status.PARTIALLY_REFUNDED),
        ({**PAID, "refunded_at_least": {"pi_1": 1250}}, Status.REFUNDED),
        ({"refunded_at_least": {"pi_1": 1250}}, Status.REFUNDED),
    ],
)
def test_the_first_status_that_holds_wins(facts, status):
    assert derive({"asked": ASKED, **facts}) == status


@pytest.mark.parametrize(
    ("disputes", "status"),
    [
        ([dispute("warning_needs_response")], Status.SUCCEEDED),
        ([dispute("warning_closed")], Status.SUCCEEDED),
        ([dispute("needs_response")], Status.DISPUTED),
        ([dispute("needs_response", -1250)], Status.DISPUTED),
        ([dispute("appeal_needs_response", -1250)], Status.DISPUTED),
        ([dispute("a_state_of_tomorrow")], Status.DISPUTED),
        ([dispute("lost")], Status.CHARGED_BACK),
        ([dispute("lost", amount=500)], Status.PARTIALLY_REFUNDED),
        ([dispute("lost", -500, amount=500)], Status.PARTIALLY_REFUNDED),
        ([dispute("lost", amount=500), dispute("lost", amount=750)], Status.CHARGED_BACK),
        ([dispute("lost", amount=79200, currency="jpy")], Status.CHARGED_BACK),
        ([dispute("lost", -1250, 1250)], Status.SUCCEEDED),
        ([dispute("won", -1250, 1250)], Status.SUCCEEDED),
        ([dispute("won")], Status.SUCCEEDED),
        ([dispute("won", -1250)], Status.DISPUTED),
        ([dispute("won", -1250, 750)], Status.PARTIALLY_REFUNDED),
        ([dispute("won", -9200, 9150, of="eur")], Status.SUCCEEDED),
        ([dispute("won", -4600, -4600, 9150, of="eur")], Status.SUCCEEDED),
        ([dispute("won", -9200, of="eur")], Status.DISPUTED),
        ([dispute("lost", -9200, of="eur")], Status.CHARGED_BACK),
        ([dispute("lost", -9200, 9150, -9300, of="eur")], Status.CHARGED_BACK),
        ([dispute("prevented", case_type="block")], Status.SUCCEEDED),
        ([dispute("prevented", case_type="resolution")], Status.CHARGED_BACK),
        ([dispute("prevented", case_type="resolution", amount=500)], Status.PARTIALLY_REFUNDED),
        ([dispute("prevented", case_type="of_tomorrow")], Status.DISPUTED),
        ([dispute("under_review"), dispute("lost", amount=500)], Status.DISPUTED),
    ],
)
def test_a_dispute_takes_what_its_sums_say_and_its_state_where_there_are_none(disputes, status):
    facts = {"asked": ASKED, **PAID, "disputes": {f"du_{n}": d for n, d in enumerate(disputes)}}
    assert derive(facts) == status
    assert holds_ride(facts) == (status != Status.CHARGED_BACK)


@pytest.mark.parametrize(
    ("earlier", "later", "status"),
    [
        ("lost", "appeal_needs_response", Status.DISPUTED),
        ("appeal_under_review", "lost", Status.CHARGED_BACK),
        ("won", "a_state_of_tomorrow", Status.DISPUTED),
        ("a_state_of_tomorrow", "won", Status.SUCCEEDED),
    ],
)
def test_the_later_snapshot_of_a_dispute_counts(earlier, later, status):
    facts = {"asked": ASKED, **PAID}
    one, other = ({"disputes": {"du_1": dispute(s, at=at)}} for s, at in ((earlier, 1), (later, 2)))
    assert derive(merge(merge(facts, one), other)) == derive(merge(merge(facts, other), one)) == status


def test_a_state_that_nobody_knows_outranks_what_was_said_in_the_same_second():
    won, unknown = ({"disputes": {"du_1": dispute(status)}} for status in ("won", "a_state_of_tomorrow"))
    assert derive({"asked": ASKED, **PAID, **merge(won, unknown)}) == Status.DISPUTED
    failed, resent = ({"refunds": {"re_1": refund(1250, status)}} for status in ("failed", "sent_again"))
    assert balances({"asked": ASKED, **PAID, **merge(failed, resent)})["pi_1"].left == 0


def test_what_a_charge_alone_says_was_refunded_shows_but_frees_no_ride():
    facts = {"asked": ASKED, **PAID, "refunded_at_least": {"pi_1": 1250}}
    assert derive(facts) == Status.REFUNDED
    assert holds_ride(facts)
    assert holds_ride(facts | {"refunds": {"re_1": refund(1250, "pending")}})
    assert not holds_ride(facts | {"refunds": {"re_1": refund(1250)}})


def test_a_dispute_that_is_lost_won_and_lost_again_is_read_off_its_balance_transactions():
    lost, won, again = (
        {"asked": ASKED, **PAID, "disputes": {"du_1": dispute(status, *moves)}}
        for status, moves in (("lost", [-1250]), ("won", [-1250, 1250]), ("lost", [-1250, 1250, -1250]))
    )
    assert derive(merge(merge(again, lost), won)) == Status.CHARGED_BACK
    assert derive(merge(won, lost)) == Status.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", Status.REFUNDED),
        ("pending", Status.SUCCEEDED),
        ("requires_action", Status.SUCCEEDED),
        ("a_state_of_tomorrow", Status.SUCCEEDED),
        ("failed", Status.SUCCEEDED),
        ("canceled", Status.SUCCEEDED),
    ],
)
def test_a_refund_gives_the_money_back_when_it_has_succeeded(status, expected):
    facts = {
        "asked": ASKED,
        **PAID,
        "refunded_at_least": {"pi_1": 1250},
        "refunds": {"re_1": refund(1250, status)},
    }
    assert derive(facts) == expected
    assert holds_ride(facts) == (expected == Status.SUCCEEDED)


@pytest.mark.parametrize(
    ("status", "left"),
    [("pending", 750), ("requires_action", 750), ("a_state_of_tomorrow", 750), ("failed", 1250)],
)
def test_what_may_still_be_given_back_is_not_given_back_twice(status, left):
    facts = {"asked": ASKED, **PAID, "refunds": {"re_1": refund(500, status)}}
    assert balances(facts)["pi_1"].left == left


def test_a_failed_refund_is_not_counted_though_its_charge_counted_it():
    facts = {
        "asked": ASKED,
        **PAID,
        "refunded_at_least": {"pi_1": 1250},
        "refunds": {"re_2": refund(750, "failed")},
    }
    assert derive(facts) == Status.PARTIALLY_REFUNDED


def test_a_payment_that_was_paid_twice_and_given_back_once_is_paid():
    facts = {"asked": ASKED, "paid": {"pi_1": {ASKED: 1}, "pi_2": {ASKED: 2}}}
    assert attention(facts) == [Attention.PAID_TWICE]
    given_back = facts | {"refunds": {"re_1": refund(1250, intent="pi_2")}}
    assert derive(given_back) == Status.SUCCEEDED
    assert attention(given_back) == []
    assert {intent: book.left for intent, book in balances(given_back).items()} == {"pi_1": 1250, "pi_2": 0}
    both = given_back | {"refunds": {"re_1": refund(1250), "re_2": refund(1250, intent="pi_2")}}
    assert derive(both) == Status.REFUNDED
    assert not holds_ride(both)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"paid": {"": {ASKED: 1}}, "refunds": {"re_1": refund(1250)}}, Status.REFUNDED),
        ({"paid": {"": {ASKED: 1}}, "refunds": {"re_1": refund(500)}}, Status.PARTIALLY_REFUNDED),
        ({"paid": {"": {ASKED: 1}}, "refunded_at_least": {"pi_1": 1250}}, Status.REFUNDED),
        ({"paid": {"": {ASKED: 1}}, "disputes": {"du_1": dispute("lost")}}, Status.CHARGED_BACK),
        (PAID | {"refunded_at_least": {"": 1250}}, Status.REFUNDED),
        (PAID | {"refunded_at_least": {"": 500, "pi_1": 500}}, Status.PARTIALLY_REFUNDED),
        (PAID | {"refunds": {"re_1": refund(1250, intent="")}}, Status.REFUNDED),
        (PAID | {"disputes": {"du_1": dispute("needs_response", intent="")}}, Status.DISPUTED),
    ],
)
def test_what_names_no_intent_is_of_the_only_one_that_is_known(facts, status):
    facts = facts | {"asked": ASKED}
    assert derive(facts) == status
    assert [*balances(facts)] == ["pi_1"]


def test_another_sum_that_came_without_an_intent_is_flagged_once_the_intent_is_known():
    facts = {"asked": ASKED, "paid": {"": {"1000 usd": 1}}, "refunds": {"re_1": refund(500)}}
    assert attention(facts) == [Attention.OTHER_SUM]
    assert balances(facts)["pi_1"].left == 500


def test_a_declined_card_leaves_the_payment_open_and_a_bounced_debit_does_not():
    declined = {"asked": ASKED, "failed": {"ch_1": 1}}
    assert is_open(declined)
    assert holds_ride(declined)
    assert not is_open(declined | {"async_failed": 1})
    assert not holds_ride(declined | {"async_failed": 1})


def test_another_sum_than_asked_pays_nothing_but_holds_the_ride_until_it_is_given_back():
    facts = {"asked": ASKED, "paid": {"pi_1": {"1000 usd": 1}}}
    assert derive(facts) == Status.PENDING
    assert attention(facts) == [Attention.OTHER_SUM]
    assert not is_open(facts)
    assert holds_ride(facts)
    given_back = facts | {"refunds": {"re_1": refund(1000)}}
    assert derive(given_back) == Status.REFUNDED
    assert attention(given_back) == []
    assert not holds_ride(given_back)


@pytest.mark.parametrize(
    "facts",
    [PAID, AWAITED, {**AWAITED, "failed": {"ch_1": 1}}, {"nothing_due": 1}],
)
def test_a_paid_or_processing_payment_is_not_open_but_holds_its_ride(facts):
    assert not is_open({"asked": ASKED, **facts})
    assert holds_ride({"asked": ASKED, **facts})


@given(FACTS)
def test_only_facts_that_are_final_give_up_a_ride(facts):
    facts = facts | {"asked": ASKED}
    if not holds_ride(facts):
        money_went_back = derive(facts) in {Status.REFUNDED, Status.CHARGED_BACK}
        ends = {"async_failed", "expired", "canceled", "canceled_intents", "expired_intents"}
        assert money_went_back or ends & facts.keys()


@given(FACTS)
def test_never_more_can_be_refunded_than_is_here(facts):
    for book in balances(facts | {"asked": ASKED}).values():
        assert 0 <= book.left <= book.here <= book.kept <= book.paid


def test_a_link_to_a_receipt_is_not_lost_to_a_replay_of_an_event_that_was_stored_without_it():
    delivered = {"at": 1, "brand": "visa", "receipt_url": "https://pay.stripe.example/receipts/1"}
    stored = delivered | {"at": 2, "receipt_url": ""}
    for a, b in ((delivered, stored), (stored, delivered)):
        merged = merge({"charges": {"ch_1": a}}, {"charges": {"ch_1": b}})
        assert merged["charges"]["ch_1"] == delivered | {"at": 2}


def test_attempts_are_kept_up_to_a_bound_and_the_last_one_decides():
    facts = {"asked": ASKED}
    for n in range(500):
        facts = merge(facts, {"failed": {f"ch_{n}": n}})
    assert len(facts["failed"]) == ATTEMPTS_KEPT
    assert derive(facts) == Status.FAILED
    assert derive(merge(facts, {"processing": {"ch_3": 3}})) == Status.FAILED
    assert derive(merge(facts, {"processing": {"ch_500": 500}})) == Status.PROCESSING
