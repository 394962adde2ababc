import pytest


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/static/nope.css", "/static/", "/static/%00", "/static/../manage.py"])
def test_a_file_that_is_not_there_is_not_found(client, settings, debug, path):
    settings.DEBUG = debug

    assert client.get(path).status_code == 404


@pytest.mark.parametrize("debug", [True, False])
def test_a_file_that_is_there_is_served(client, settings, debug):
    settings.DEBUG = debug

    response = client.get("/static/icon.svg")

    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
