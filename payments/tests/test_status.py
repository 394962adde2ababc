import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import events
from payments.facts import ATTEMPT_STATES, DISPUTE_STATES, REFUND_STATES, merge
from payments.models import Payment
from payments.status import Status, derive, holds_ride, is_open

from .stories import STORIES

ASKED = "1250 usd"
TIME = st.integers(0, 9)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "asked": st.just(ASKED),
        "paid": st.dictionaries(st.sampled_from([ASKED, "1 usd", "1250 eur"]), TIME),
        "completed_unpaid": TIME,
        "async_failed": TIME,
        "expired": TIME,
        "cancel_requested": TIME,
        "canceled": TIME,
        "attempts": st.dictionaries(st.sampled_from(["ch_1", "ch_2"]), st.sampled_from(ATTEMPT_STATES)),
        "refunds": st.dictionaries(
            st.sampled_from(["re_1", "re_2"]),
            st.fixed_dictionaries(
                {"amount": st.integers(1, 1250), "status": st.sampled_from([*REFUND_STATES, "new_state"])}
            ),
        ),
        "refunded_at_least": st.integers(0, 1250),
        "disputes": st.dictionaries(
            st.sampled_from(["du_1", "du_2"]), st.sampled_from([*DISPUTE_STATES, "new_state"])
        ),
    },
)


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
    tell, expected = STORIES[story]
    told = tell(payment) * 2
    random.Random(seed).shuffle(told)
    facts = {"asked": ASKED}
    for event in told:
        facts = merge(facts, events.facts(event))
    assert derive(facts) == expected


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, Status.PENDING),
        ({"completed_unpaid": 1}, Status.PROCESSING),
        ({"attempts": {"ch_1": "processing"}}, Status.PROCESSING),
        ({"attempts": {"ch_1": "failed"}}, Status.FAILED),
        ({"attempts": {"ch_1": "failed"}, "completed_unpaid": 1}, Status.FAILED),
        ({"attempts": {"ch_1": "failed", "ch_2": "processing"}}, Status.PROCESSING),
        ({"attempts": {"ch_1": "processing"}, "async_failed": 1}, Status.FAILED),
        ({"expired": 1, "attempts": {"ch_1": "failed"}}, Status.EXPIRED),
        ({"expired": 1, "cancel_requested": 1}, Status.CANCELED),
        ({"cancel_requested": 1}, Status.PENDING),
        ({"canceled": 1, "expired": 1}, Status.CANCELED),
        ({"paid": {ASKED: 1}, "expired": 1, "canceled": 1}, Status.SUCCEEDED),
        ({"paid": {"1249 usd": 1}}, Status.PENDING),
        ({"paid": {"1249 usd": 1, ASKED: 2}}, Status.SUCCEEDED),
        ({"paid": {ASKED: 1}, "refunded_at_least": 1}, Status.PARTIALLY_REFUNDED),
        ({"paid": {ASKED: 1}, "refunded_at_least": 1250}, Status.REFUNDED),
        ({"disputes": {"du_1": "warning_needs_response"}, "paid": {ASKED: 1}}, Status.SUCCEEDED),
        ({"disputes": {"du_1": "needs_response"}, "refunded_at_least": 1250}, Status.DISPUTED),
        ({"disputes": {"du_1": "under_review", "du_2": "lost"}}, Status.CHARGED_BACK),
        ({"disputes": {"du_1": "warning_closed"}, "paid": {ASKED: 1}}, Status.SUCCEEDED),
        ({"disputes": {"du_1": "prevented"}, "paid": {ASKED: 1}}, Status.SUCCEEDED),
    ],
)
def test_the_first_status_that_holds_wins(facts, status):
    assert derive({"asked": ASKED, **facts}) == status


def test_a_failed_refund_is_not_counted_though_its_charge_counted_it():
    facts = {
        "asked": ASKED,
        "paid": {ASKED: 1},
        "refunded_at_least": 1250,
        "refunds": {"re_2": {"amount": 750, "status": "failed"}},
    }
    assert derive(facts) == Status.PARTIALLY_REFUNDED


def test_a_declined_card_leaves_the_payment_open_and_a_bounced_debit_does_not():
    declined = {"asked": ASKED, "attempts": {"ch_1": "failed"}}
    assert is_open(declined)
    assert holds_ride(declined)
    assert not is_open(declined | {"async_failed": 1})
    assert not holds_ride(declined | {"async_failed": 1})


def test_another_sum_than_asked_pays_nothing_but_holds_the_ride_until_it_is_given_back():
    facts = {"asked": ASKED, "paid": {"1000 usd": 1}}
    assert derive(facts) == Status.PENDING
    assert not is_open(facts)
    assert holds_ride(facts)
    given_back = facts | {"refunds": {"re_1": {"amount": 1000, "status": "succeeded"}}}
    assert derive(given_back) == Status.REFUNDED
    assert not holds_ride(given_back)


@pytest.mark.parametrize("facts", [{"paid": {ASKED: 1}}, {"completed_unpaid": 1}])
def test_a_paid_or_processing_payment_is_not_open_but_holds_its_ride(facts):
    assert not is_open({"asked": ASKED, **facts})
    assert holds_ride({"asked": ASKED, **facts})
