"""Events that are rightly signed and hostile: odd sums, types, ids, depths, shapes."""

import copy
import json
import uuid

from hypothesis import strategies as st

from tests.fuzz.drawn import SCALARS, TEXT, VALUES, for_each
from tests.support import sandbox

SUMS = {
    "amount",
    "amount_captured",
    "amount_received",
    "amount_refunded",
    "amount_subtotal",
    "amount_total",
    "balance",
    "captured",
    "currency",
}
"""What is paid and given back, as Stripe names it."""


def run(target, tally, *, seed, inputs):
    """Deliver events that were changed; none is the service's fault, and none makes a payment of another sum."""
    paid = target.ask("webhooks-of-fuzz")
    sandbox.choose(target.server, paid, "pay")
    sandbox.wait_until_delivered(target.server)
    templates = [event | {"request": None} for event in target.events(paid)]
    assert len(templates) > 2, "a payment that was paid has events"
    named, unpaid = target.ask("webhooks-of-fuzz"), target.ask("webhooks-of-fuzz")

    @for_each(_bodies(templates, named), seed=seed, inputs=inputs)
    def send(body):
        _deliver(target, tally, body)

    @for_each(_hostile_sums(templates, paid, unpaid), seed=seed, inputs=max(1, inputs // 4))
    def underpay(body):
        _deliver(target, tally, body)
        assert target.read(unpaid)["status"] != "succeeded", f"paid by {body!r}"[:2000]

    for payment in (paid, named, unpaid):
        target.read(payment)


def _deliver(target, tally, body):
    tally.inputs += 1
    answer = target.deliver(body)
    tally.answered(answer.status_code, answer.json().get("error", {}).get("code", ""), body)
    assert answer.status_code in {200, 400, 413}, f"{answer.status_code} to {body!r}"[:2000]


def _bodies(templates, payment):
    """Return bodies: an event of Stripe's with something changed, or what is no event at all."""
    changed = st.sampled_from(templates).flatmap(lambda event: _changed(event, payment))
    written = st.one_of(changed, VALUES).map(lambda value: json.dumps(value).encode())
    cut = st.builds(lambda body, share: body[: int(len(body) * share)], written, st.floats(0, 1))
    deep = st.integers(1, 3000).map(lambda n: b'{"object":"event","data":' * n)
    return st.one_of(written, written, written, cut, deep, st.binary(max_size=200))


@st.composite
def _changed(draw, event, payment):
    event = copy.deepcopy(event)
    event["id"] = draw(st.just(f"evt_{draw(st.integers(0, 2**40))}") | VALUES)
    if draw(st.booleans()):
        event = json.loads(json.dumps(event).replace(_payment_of(event), payment["id"]))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(event)))
        _change(event, place, draw(st.one_of(VALUES, st.just(_GONE), SCALARS)))
    if draw(st.integers(0, 4)) == 0:
        event["type"] = draw(TEXT)
    return event


_GONE = object()


def _places(value, path=()):
    """Return the paths to all that is in a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for name, part in inside:
        found += _places(part, (*path, name))
    return found


def _change(value, path, new):
    for name in path[:-1]:
        value = value[name] if isinstance(value, (dict, list)) and _has(value, name) else {}
    if not isinstance(value, (dict, list)) or not _has(value, path[-1]):
        return  # a change before has taken it away
    if new is _GONE:
        del value[path[-1]]
    else:
        value[path[-1]] = new


def _has(value, name):
    return name in value if isinstance(value, dict) else isinstance(name, int) and name < len(value)


def _payment_of(event):
    return (event["data"]["object"].get("metadata") or {}).get("payment_id", str(uuid.UUID(int=0)))


@st.composite
def _hostile_sums(draw, templates, paid, payment):
    """Return an event that says that `payment` was paid, with another sum than was asked for."""
    event = draw(st.sampled_from(templates))
    text = json.dumps(event | {"id": f"evt_{draw(st.integers(0, 2**60))}"})
    for mine, others in (("id", "id"), ("stripeSessionId", "stripeSessionId"), ("rideId", "rideId")):
        text = text.replace(paid[others], payment[mine])
    # Intents of its own: those of the first payment belong to that one for good.
    event = json.loads(text.replace("pi_", "pi_of_"))
    wrong = SCALARS.filter(lambda value: value != payment["amount"] and value != payment["currency"])
    for place in _places(event):
        if place[-1] in SUMS:
            _change(event, place, draw(wrong))
    return json.dumps(event).encode()
