"""Characters and numbers that no database takes, in signed events: none is lost for a field that nobody reads."""

import json

import pytest
from django.urls import reverse

from payments.models import Payment, WebhookEvent
from payments.tests import stripe_events as stripe
from payments.webhooks import bodies, envelope

ODD = {
    "half an emoji": r'"Ann \ud83d"',
    "the other half": r'"\uDE95 Ann"',
    "halves in the wrong order": r'"\ude95\ud83d"',
    "half an emoji before a whole one": r'"\ud83d\ud83d\ude95"',
    "half an emoji as the name of a field": r'{"\ud83d": 1}',
    "an escaped NUL": r'"Ann\u0000e"',
    "an escaped NUL as the name of a field": r'{"\u0000": 1}',
    "1e400": "1e400",
    "-1e400": "-1e400",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "400 digits": "9" * 400,
    "2 to the 64th": str(2**64),
    "a name that comes twice": '1, "odd": 2, "odd": 3',
    "nested 120 deep": "[" * 120 + "]" * 120,
    "all of them": r'["\ud83d\u0000", NaN, 1e400, ' + "9" * 400 + "]",
}


def with_odd(event, odd):
    """Return the event's body with something in fields that nobody reads: one that is removed, one that is kept."""
    text = json.dumps(event | {"odd": "?", "param": "?"})
    return text.replace('"?"', odd).encode()


@pytest.mark.django_db(transaction=True)
def test_an_event_is_applied_whatever_stands_in_a_field_that_nobody_reads(
    make_payment, sign, post, admin_client
):
    for what, odd in ODD.items():
        payment = make_payment()
        body = with_odd(stripe.paid(payment)[0], odd)
        response = post(body, sign(body))
        assert (response.status_code, response.json().get("state")) == (200, "applied"), what
        assert Payment.objects.get(pk=payment.pk).status == "succeeded", what
        row = WebhookEvent.objects.get(payment=payment)
        assert json.loads(row.body)["type"] == row.type, what
        assert (
            admin_client.get(reverse("admin:payments_webhookevent_change", args=[row.pk])).status_code == 200
        )
        assert post(body, sign(body)).json()["state"] == "applied", what
        assert WebhookEvent.objects.get(payment=payment).deliveries == 2, what


@pytest.mark.parametrize("odd", [r"\ud83d", r"\u0000"])
@pytest.mark.parametrize("field", ["id", "type"])
def test_an_event_whose_own_id_or_type_holds_what_is_no_character_is_refused(field, odd):
    event = {
        "object": "event",
        "id": "e",
        "type": "t",
        "created": 1,
        "livemode": False,
        "data": {"object": {}},
    }
    body = json.dumps(event | {field: "?"}).replace('"?"', f'"evt_{odd}"').encode()
    with pytest.raises(envelope.MalformedEvent, match=field):
        envelope.read(body)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d\ude95", "🚕"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\u0000", r"\u0000"),
        (r"\\\u0000", "\\\ufffd"),
        (r"\ud83d\\ude95", "\ufffd\\ude95"),
        (r"\ud83d\u0000\ude95", "\ufffd" * 3),
        (r"Zo\u00eb \n \ud83d", "Zoë \n \ufffd"),
    ],
)
def test_only_what_is_no_character_is_replaced(escaped, text):
    assert bodies.parse(rb'["\ud83d", "' + escaped.encode() + b'"]') == ["\ufffd", text]
    assert bodies.parse(rb'["\u0000", "' + escaped.encode() + b'"]') == ["\ufffd", text]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**300, 2**63])
def test_a_whole_number_of_any_size_is_read_and_written_exactly(value):
    body = json.dumps({"amount": value})
    assert bodies.parse(body.encode()) == {"amount": value}
    assert json.loads(bodies.serialize({"amount": value, "odd": float("inf")})) == {
        "amount": value,
        "odd": None,
    }


@pytest.mark.parametrize(
    "body", [b"", b"{", rb'{"a": "\ud83d"', b"[" * 100_000, b"\xef\xbb\xbf{}", b'"\xff"', b"1" * 5000]
)
def test_what_is_no_json_says_where(body):
    with pytest.raises(ValueError, match="at line 1 column"):
        bodies.parse(body)
