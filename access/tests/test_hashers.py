import threading

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connections, transaction

from access.staff import hashers
from tests.support.server import eventually

PASSWORD = "a-password-of-enough-length"


@pytest.fixture
def all_turns_taken():
    for _ in range(hashers.AT_ONCE):
        hashers._turns.acquire()
    left = [hashers._turns.release] * hashers.AT_ONCE

    def give_back():
        while left:
            left.pop()()

    yield give_back
    give_back()


@pytest.mark.django_db(transaction=True)
def test_a_login_that_waits_for_its_turn_holds_no_connection(all_turns_taken):
    User.objects.create(
        username="clerk", password=f"argon2{'$'}argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
    )
    used, answers = [], []

    def log_in():
        user = User.objects.get(username="clerk")
        used.append((connections["default"], connections["default"].connection is not None))
        answers.append(user.check_password(PASSWORD))

    thread = threading.Thread(target=log_in)
    thread.start()
    eventually(lambda: used and used[0][0].connection is None)
    assert answers == []
    assert used[0][1]

    all_turns_taken()
    thread.join()
    assert answers == [False]


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_the_connection_stays():
    with transaction.atomic():
        User.objects.create(username="clerk", password=make_password(PASSWORD))
        User.objects.create(username="another", password=make_password(PASSWORD))
    assert User.objects.count() == 2


@pytest.mark.django_db
def test_passwords_are_hashed_with_argon2_and_older_ones_become_so():
    assert make_password(PASSWORD).startswith("argon2$argon2id$v=19$m=65536,t=2,p=1$")
    older = PBKDF2PasswordHasher().encode(PASSWORD, "salt" * 6, 1000)
    user = User.objects.create(username="clerk", password=older)

    assert not user.check_password("another")
    assert user.check_password(PASSWORD)

    user.refresh_from_db()
    assert user.password.startswith("argon2$")


@pytest.mark.parametrize(
    "password", ["short-one", "startfinding", "482910573926", "clerk-of-the-shop", "admin"]
)
def test_a_password_that_is_easily_guessed_is_refused(password):
    with pytest.raises(ValidationError):
        validate_password(password, User(username="clerk-of-the-shop"))
    validate_password(PASSWORD, User(username="clerk-of-the-shop"))
