"""The API page: a request is sent at the first click."""


def test_the_first_click_asks_for_a_payment(page, server):
    page.goto(f"{server}/api/docs")
    page.get_by_text("Ask for a payment").click()
    page.get_by_role("button", name="Execute").click()

    answer = page.locator(".live-responses-table .response").first
    answer.get_by_text('"paymentUrl"').wait_for()
    assert answer.inner_text().startswith("201")
