import httpx
import pytest

from payments_project.middleware.static_files import StaticFiles


async def elsewhere(scope, receive, send):
    """Answer 418: what a request gets that is not for a file."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(params=[True, False], ids=["debug", "production"])
def get(request, settings):
    """Return a function that asks for a path."""
    settings.DEBUG = request.param
    transport = httpx.ASGITransport(StaticFiles(elsewhere))

    async def ask(path, method="GET"):
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    return ask


@pytest.mark.parametrize(
    "path",
    [
        "/static/nope.css",
        "/static/",
        "/static/%00",
        "/static/..%2f..%2fmanage.py",
        "/static/clients/../../manage.py",
    ],
)
async def test_a_file_that_is_not_there_is_not_found(get, path):
    assert (await get(path)).status_code in {
        404,
        418,
    }  # httpx may take the dots out: then it is not for a file


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/clients/payment-notifications.js", "text/javascript"),
        ("/static/admin/css/base.css", "text/css"),
        ("/static/unfold/css/styles.css", "text/css"),
    ],
)
async def test_a_file_of_the_project_and_of_each_app_is_served(get, path, kind):
    response = await get(path)

    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, kind)
    assert response.content


async def test_what_is_not_for_a_file_goes_on(get):
    assert (await get("/staticness")).status_code == 418
