"""What is removed of a user in payments, their events and the staff's log."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry

from payments.forgetting import forget, forget_in_log
from payments.forgotten import is_pseudonym, pseudonym
from payments.models import Payment
from payments.status import Status

pytestmark = pytest.mark.django_db


def test_a_pseudonym_is_keyed_and_the_same_each_time(settings):
    first = pseudonym("user_123")

    assert is_pseudonym(first)
    assert first == pseudonym("user_123") != pseudonym("user_124")
    settings.SECRET_KEY = "another-key" * 6
    assert pseudonym("user_123") != first


def test_a_payment_that_never_got_a_link_is_given_up(make_payment):
    payment = make_payment(user_id="user_123", session_id=None)

    assert [count for count, _ in forget(user_id="user_123")] == [1]

    payment.refresh_from_db()
    assert payment.status == Status.CANCELED
    assert payment.ride_claim is None
    assert is_pseudonym(payment.user_id)


def test_keys_of_requests_lose_the_user_id_where_it_stands_as_a_word(make_payment):
    named = make_payment(user_id="7", idempotency_key="order-7-1700000007", ride_id="a")
    plain = make_payment(user_id="7", idempotency_key="9c7f", ride_id="b")

    list(forget(user_id="7"))

    named.refresh_from_db()
    plain.refresh_from_db()
    assert named.idempotency_key == f"order-{pseudonym('7')}-1700000007"
    assert plain.idempotency_key == "9c7f"


def test_many_payments_are_forgotten_in_batches(make_payment, monkeypatch):
    monkeypatch.setattr("payments.forgetting.AT_ONCE", 2)
    for number in range(5):
        make_payment(user_id="user_123", ride_id=f"ride_{number}")

    assert [count for count, _ in forget(user_id="user_123")] == [2, 2, 1]
    assert not Payment.objects.filter(user_id="user_123").exists()


def test_the_log_of_the_staff_loses_the_user_id(admin_user):
    texts = ("Refunded a ride of user_123.", "Refunded a ride of user_1234.")
    for text in texts:
        LogEntry.objects.create(
            user=admin_user, action_flag=CHANGE, object_repr="user_123", change_message=text
        )

    assert forget_in_log(user_id="user_123") == 2

    messages = LogEntry.objects.order_by("pk").values_list("object_repr", "change_message")
    assert list(messages) == [
        (pseudonym("user_123"), f"Refunded a ride of {pseudonym('user_123')}."),
        (pseudonym("user_123"), texts[1]),
    ]
