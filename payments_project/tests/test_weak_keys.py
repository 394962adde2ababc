"""Keys that nobody drew are weak however long they are; drawn ones never are, whatever their form."""

import base64
import secrets
import string
import uuid

import pytest
from django.core.management.utils import get_random_secret_key

from payments_project.checks.secrets import API_KEY_NEW_BYTES_MIN, NEW_BYTES_MIN
from payments_project.checks.weak_keys import is_weak


@pytest.mark.parametrize(
    "key",
    [
        "correct horse battery staple",
        "correct horse battery staple correct horse battery staple",
        "correcthorsebatterystaplecorrecthorsebatterystaple",
        "Correct-Horse-Battery-Staple-Correct-Horse-Battery-Staple-2026",
        "the quick brown fox jumps over the lazy dog and runs away",
        "to be or not to be that is the question whether tis nobler",
        "Four score and seven years ago our fathers brought forth!",
        "ThisIsTheKeyOfOurPaymentServiceDoNotTellAnyone12345",
        "company_name_service_payment_secret_key_please_rotate_me",
        "ILoveMyDogAndMyCatAndMyHouseAndMyCarAndMyWife2026",
        "clave secreta del servicio de pagos de nuestra empresa 24",
        "rainbow unicorn mountain river ocean forest",
        "hunter2 hunter2 hunter2 hunter2 hunter2 hunter2 hunter2",
        "Summer2026!Summer2026!Winter2026!Winter2026!Spring2026!",
    ],
)
def test_words_are_weak_however_they_are_written(key):
    assert is_weak(key, at_least=API_KEY_NEW_BYTES_MIN)
    assert is_weak(key, at_least=NEW_BYTES_MIN)


def drawn_from(alphabet, length):
    return lambda: "".join(secrets.choice(alphabet) for _ in range(length))


LETTERS_AND_DIGITS = string.ascii_letters + string.digits
# Each in the shortest length that its setting takes, or as its maker makes it.
API_KEYS = {
    "digits": drawn_from(string.digits, 20),
    "hex": lambda: secrets.token_hex(10),
    "lower case": drawn_from(string.ascii_lowercase, 20),
    "base64url": lambda: secrets.token_urlsafe(15),
    "uuid": lambda: str(uuid.uuid4()),
    "signing secret": drawn_from(LETTERS_AND_DIGITS, 32),
    "named": lambda: f"payments-backend-production-{secrets.token_hex(16)}",
}
SECRET_KEYS = {
    "hex": lambda: secrets.token_hex(25),
    "hex, capitals": lambda: secrets.token_hex(32).upper(),
    "hex, long": lambda: secrets.token_hex(64),
    "base64": lambda: base64.b64encode(secrets.token_bytes(38)).decode(),
    "base64url": lambda: secrets.token_urlsafe(40),
    "base32": lambda: base64.b32encode(secrets.token_bytes(35)).decode(),
    "two uuids": lambda: f"{uuid.uuid4()}{uuid.uuid4()}",
    "digits": drawn_from(string.digits, 50),
    "lower case": drawn_from(string.ascii_lowercase, 50),
    "letters": drawn_from(string.ascii_letters, 50),
    "all that is printed": drawn_from(LETTERS_AND_DIGITS + string.punctuation, 50),
    "bytes as text": lambda: secrets.token_bytes(50).decode("latin1"),
    "django": get_random_secret_key,
}


@pytest.mark.parametrize(
    ("draw", "at_least"),
    [
        *(
            pytest.param(draw, API_KEY_NEW_BYTES_MIN, id=f"API key: {form}")
            for form, draw in API_KEYS.items()
        ),
        *(pytest.param(draw, NEW_BYTES_MIN, id=f"secret: {form}") for form, draw in SECRET_KEYS.items()),
    ],
)
def test_no_drawn_key_is_weak(draw, at_least):
    assert [key for key in (draw() for _ in range(100)) if is_weak(key, at_least=at_least)] == []


@pytest.mark.parametrize(
    ("key", "at_least"),
    [
        ("payments-backend-production-0-EE_69_uYoQwAW7EORvgeIUMj-cipyc", API_KEY_NEW_BYTES_MIN),
        ("payment-service-production-msODKTa_RodqcUrRR5E8yyTeMAlvBina7GybKWpyYsE", NEW_BYTES_MIN),
        ("payments_production_E6SMICKIV5V3HZXFARAEW32JINA5BSFTBWIWAXA3BA2O6S2AOROQX27E", NEW_BYTES_MIN),
    ],
)
def test_a_drawn_key_that_is_full_of_letters_may_stand_behind_a_name(key, at_least):
    assert not is_weak(key, at_least=at_least)
