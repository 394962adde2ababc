import pytest

from payments.status import Status, derive


def test_nothing_known_is_pending():
    assert derive({"asked": "1250 usd"}) == Status.PENDING


@pytest.mark.django_db
def test_db():
    from notifications.models import Feed
    Feed.objects.create(user_id="u")
