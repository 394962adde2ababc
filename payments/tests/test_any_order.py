"""The promise of the status: every order, repetition and split of the same events ends alike."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications.models import Notification
from payments import intake, webhooks
from payments.models import StatusChange, WebhookEvent
from payments.status import Status

from .stories import STORIES

pytestmark = pytest.mark.django_db(transaction=True)


@st.composite
def deliveries(draw, events):
    """Permute the events, repeat some, and split them into batches as deliveries and replays would."""
    repeated = events + draw(st.lists(st.sampled_from(events), max_size=4))
    shuffled = draw(st.permutations(repeated))
    batches, rest = [], list(shuffled)
    while rest:
        size = draw(st.integers(1, len(rest)))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def deliver_batch(batch):
    """Store and apply a batch in one transaction, as the single webhook does with its list of one."""
    for event in batch:
        intake.store(intake.read(json.dumps(event).encode()))
    webhooks.apply([event["id"] for event in batch])


@pytest.mark.parametrize("story", STORIES)
@given(data=st.data())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_order_and_repetition_of_events_ends_alike(story, make_payment, data):
    tell, expected = STORIES[story]
    payment = make_payment()
    for batch in data.draw(deliveries(tell(payment))):
        deliver_batch(batch)

    payment.refresh_from_db()
    assert payment.status == expected
    assert not WebhookEvent.objects.filter(payment=payment).exclude(state="applied").exists()
    told = [json.loads(n.frame) for n in Notification.objects.filter(feed__user_id=payment.user_id)]
    if told or expected != Status.PENDING:
        assert told[0]["status"] == expected  # the newest comes first
    announced = StatusChange.objects.filter(payment=payment, seq__isnull=False)
    assert [t["status"] for t in reversed(told)] == [change.after for change in announced]


@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_of_many_payments_in_one_batch_end_as_they_would_alone(make_payment, data):
    names = data.draw(st.lists(st.sampled_from(sorted(STORIES)), min_size=2, max_size=4))
    payments = [make_payment() for _ in names]
    events = [
        event for payment, name in zip(payments, names, strict=True) for event in STORIES[name][0](payment)
    ]
    deliver_batch(data.draw(st.permutations(events)))
    for payment, name in zip(payments, names, strict=True):
        payment.refresh_from_db()
        assert (name, payment.status) == (name, STORIES[name][1])
