"""The pages that Checkout leads back to: on a phone they open the rider's app by themselves."""

import pytest
from playwright.sync_api import expect

NOTE_NAVIGATIONS = "navigation.addEventListener('navigate', (event) => leaves(event.destination.url));"


@pytest.fixture
def visit(browser, server):
    """Return a function that opens a page on a device; it returns the page, and a list of where it leads by itself."""
    contexts = []

    def open_page(path, *, touch):
        context = browser.new_context(has_touch=touch, is_mobile=touch)
        contexts.append(context)
        page, left = context.new_page(), []
        page.expose_function("leaves", lambda url: left.append(url))  # noqa: PLW0108 no method of a list
        page.add_init_script(NOTE_NAVIGATIONS)
        page.goto(server + path)
        return page, left

    yield open_page
    for context in contexts:
        context.close()


def _wait_until(page, is_so):
    for _ in range(100):
        if is_so():
            return
        page.wait_for_timeout(50)
    pytest.fail("It has not come to that.")


@pytest.mark.parametrize("kind", ["success", "cancel"])
def test_a_phone_opens_the_app_once_and_not_when_the_page_is_read_again(visit, kind):
    page, left = visit(f"/checkout/{kind}", touch=True)
    button = page.get_by_role("link", name="Back to the app")
    expect(button).to_have_attribute("href", f"rides://checkout/{kind}")
    _wait_until(page, lambda: left == [f"rides://checkout/{kind}"])
    left.clear()

    page.reload()

    expect(button).to_be_visible()
    assert [url for url in left if url.startswith("rides:")] == []


def test_a_desktop_offers_the_app_and_stays(visit):
    page, left = visit("/checkout/success", touch=False)
    expect(page.get_by_role("link", name="Back to the app")).to_be_visible()
    page.wait_for_function("document.readyState === 'complete'")
    assert left == []
