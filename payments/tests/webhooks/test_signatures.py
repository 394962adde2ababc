"""The forms in which Stripe's signature arrives, and which of them is whose."""

import time

import pytest

from payments.webhooks import signatures
from payments.webhooks.signatures import (
    TOLERANCE_SECONDS,
    InvalidSignature,
    SignatureOfAnotherTime,
    UnreadableSignature,
    Unsigned,
)

BODY = '{"name": "Zoë 🚕"}'.encode()
OTHER = "0" * 64


def take(header, body=BODY):
    signatures.verify(body=body, signature=signatures.read(header))


@pytest.mark.parametrize(
    "form",
    [
        "t={t},v1={v}",
        "t={t},v1={v},v0={other}",
        "t={t},v0={other},v1={v}",
        "v1={v},t={t}",
        "t={t},v1={other},v1={v}",
        "t={t},v1={v},v1={other}",
        "t={t}, v1={v}, v0={other}",
        " t={t} ,\tv1={v} ",
        "t={t},v1={v},x",
        "t={t},v1={v},",
        "t={t},t=1,v1={v}",
        "t={t},v1=ä,v1={v}",
    ],
)
def test_a_good_signature_is_taken_in_every_form_that_http_and_stripe_give_it(sign, form):
    t, v = (part.partition("=")[2] for part in sign(BODY).split(","))
    take(form.format(t=t, v=v, other=OTHER))


@pytest.mark.parametrize(
    "form",
    [
        ",",
        "?",
        "t={t}",
        "v1={v}",
        "t={t},v0={v}",
        "t={t},v1=",
        "t={t};v1={v}",
        "t=1,t={t},v1=",
        "t=-{t},v1={v}",
        "t=+{t},v1={v}",
        "t= {t},v1={v}",
        "t={t}.0,v1={v}",
        "t=٣,v1={v}",
        "t=" + "9" * 5000 + ",v1={v}",
        "T={t},V1={v}",
        "t = {t}, v1 = {v}",
        "t={t},v1 ={v}",
        "t={t},v1= {v}",
        "t={t},v1={v}0",
        "t={t},v1=" + "A" * 64,
    ],
)
def test_what_is_no_signature_is_called_unreadable(sign, form):
    t, v = (part.partition("=")[2] for part in sign(BODY).split(","))
    with pytest.raises(UnreadableSignature) as refusal:
        signatures.read(form.format(t=t, v=v, other=OTHER))
    assert refusal.value.code == "unreadable_signature"


def test_what_is_no_signature_of_the_body_is_called_invalid(sign):
    t = sign(BODY).partition(",")[0]
    with pytest.raises(InvalidSignature) as refusal:
        take(f"{t},v1={OTHER}")
    assert refusal.value.code == "invalid_signature"


@pytest.mark.parametrize("header", ["", " "])
def test_what_has_no_signature_is_called_unsigned(header):
    with pytest.raises(Unsigned) as refusal:
        signatures.read(header)
    assert refusal.value.code == "unsigned"


def test_bytes_are_signed_as_they_are(sign):
    take(sign(b"\xff\x00"), b"\xff\x00")
    with pytest.raises(InvalidSignature):
        take(sign(BODY), BODY + b"\n")


@pytest.mark.parametrize(
    ("direction", "when"),
    [
        (-1, r"40\d seconds ago"),
        (1, r"(400|39\d) seconds from now"),
    ],
)
def test_a_signature_of_another_time_is_distinguished_and_says_which(sign, direction, when):
    now = int(time.time())
    take(sign(BODY, at=now + direction * (TOLERANCE_SECONDS - 20)))
    with pytest.raises(SignatureOfAnotherTime, match=rf"signed {when}.*300: check the clock"):
        signatures.read(sign(BODY, at=now + direction * 400))


def test_the_furthest_time_that_a_header_can_hold_is_refused():
    with pytest.raises(SignatureOfAnotherTime, match="seconds from now"):
        signatures.read(f"t={'9' * 15},v1={OTHER}")


def test_a_secret_is_asked_for_a_signature_of_its_own(sign, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_old", "whsec_new"]
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        take(sign(BODY, secret=secret))
    settings.STRIPE_WEBHOOK_SECRETS = ["", "whsec_new"]
    with pytest.raises(InvalidSignature):
        take(sign(BODY, secret="whsec_old"))
