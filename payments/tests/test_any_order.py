"""The promise of the status: every order, repetition and split of the same events ends alike."""

import functools
import json
import re
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications.models import Notification
from payments.merging import merge
from payments.models import StatusChange, WebhookEvent
from payments.status import Status, attention, derive
from payments.stripe import events
from payments.tests import recorded
from payments.tests.stories import STORIES
from payments.webhooks import apply, envelope
from payments.webhooks.scrubbing import scrub

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
        envelope.store(envelope.read(json.dumps(event).encode()))
    apply.apply([event["id"] for event in batch])


@pytest.mark.parametrize("story", STORIES)
@given(data=st.data())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_order_and_repetition_of_events_ends_alike(story, make_payment, data):
    make, expected = STORIES[story]
    payment = make_payment()
    for batch in data.draw(deliveries(make(payment))):
        deliver_batch(batch)

    payment.refresh_from_db()
    assert payment.status == expected
    assert not WebhookEvent.objects.filter(payment=payment).exclude(state="applied").exists()
    frames = [json.loads(n.frame) for n in Notification.objects.filter(feed__user_id=payment.user_id)]
    if frames or expected != Status.PENDING:
        assert frames[0]["status"] == expected  # the newest comes first
    announced = StatusChange.objects.filter(payment=payment, seq__isnull=False)
    assert [frame["status"] for frame in reversed(frames)] == [change.after for change in announced]


def recorded_of_one_payment():
    """Return what was recorded of all versions, as if it had been one session with one payment intent."""
    names = [name for name in recorded.NAMES if events.is_handled(recorded.event(name)["type"])]
    sent = [
        json.loads(re.sub(r'"(pi|cs)_(live_|test_)?20\d\d[a-z]B?"', r'"\1_one"', recorded.text(n)))
        for n in names
    ]
    return [event for event in sent if event["api_version"] != "2019-12-03"]  # which cannot be read


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_recorded_shape_adds_what_it_says_in_any_order(make_payment, data):
    sent = recorded_of_one_payment()
    suffix = uuid.uuid4().hex
    text = json.dumps(sent).replace("0b0f8a52-6c8b-4b7e-9d0e-3f5a1f2c7d11", str(uuid.UUID(suffix)))
    sent = json.loads(re.sub(r'"((?:evt|pi|cs|re|du|ch|issfr|prv|txn)_\w+)"', rf'"\1_{suffix}"', text))
    session_id = next(e["data"]["object"]["id"] for e in sent if e["type"] == "checkout.session.expired")
    payment = make_payment(id=uuid.UUID(suffix), session_id=session_id)
    for batch in data.draw(deliveries(sent)):
        deliver_batch(batch)

    payment.refresh_from_db()
    said = functools.reduce(merge, (events.facts(scrub(event)) for event in sent), {"asked": "1250 usd"})
    assert payment.facts == said
    assert (payment.status, payment.attention) == (derive(said), " ".join(attention(said)))
    assert set(WebhookEvent.objects.filter(payment=payment).values_list("state", flat=True)) == {"applied"}


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
