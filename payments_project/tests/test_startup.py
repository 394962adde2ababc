import pytest

from access import keys
from access.scopes import Scope
from payments_project.serving import startup


@pytest.mark.django_db(transaction=True)
def test_a_service_without_any_key_says_how_to_make_one(settings, caplog):
    def said():
        caplog.clear()
        startup.prepare_database(may_migrate=False)
        return "api_key create" in caplog.text

    settings.API_KEYS = []
    assert said()
    key, _ = keys.create(name="backend", scopes=[Scope.PAYMENTS_READ])
    assert not said()
    keys.revoke(key)
    assert said()
    settings.API_KEYS = ["a-key-of-the-setting-0123"]
    assert not said()
