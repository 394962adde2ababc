"""The demo page with the real service behind it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import backend

PHONE = {"width": 390, "height": 844}


class Demo:
    """The demo page as a person uses it."""

    def __init__(self, page, server, *, user_id):
        self.page = page
        self.user_id = user_id
        page.goto(server)
        self.sign_in(user_id)

    def sign_in(self, user_id):
        self.page.get_by_label("User id").fill(user_id)
        self.page.get_by_role("button", name="Register").click()
        self.expect_connection("Connected")

    def expect_connection(self, text):
        expect(self.page.locator("#connection")).to_have_text(text)

    def ask(self, *, amount="1250", currency="USD"):
        """Ask for a payment in the backend's form; return the ride."""
        ride = self.page.get_by_label("Ride", exact=True).input_value()
        self.page.get_by_label("Amount").fill(amount)
        self.page.get_by_label("Currency").select_option(currency)
        self.page.get_by_role("button", name="Ask for a payment").click()
        return ride

    def act(self, button):
        self.page.get_by_role("button", name=button, exact=True).click()

    def card(self, ride):
        return self.page.locator(".ride").filter(has_text=ride)

    def expect_badge(self, ride, text):
        expect(self.card(ride).locator(".badge")).to_have_text(text)

    def expect_time_line(self, ride, *labels):
        expect(self.card(ride).locator(".time-line li")).to_have_text(
            [re.compile(f"^{label}") for label in labels]
        )

    def expect_outcome(self, text):
        expect(self.page.locator("#outcome")).to_contain_text(text)

    def open_checkout(self, ride):
        """Follow the link on the phone; return the page it opens."""
        with self.page.expect_popup() as popup:
            self.card(ride).get_by_role("link", name="Pay").click()
        return popup.value


@pytest.fixture
def demo(page, server, request):
    return Demo(page, server, user_id=f"{request.node.name}@example.com")


def pay(checkout, button="Pay $12.50"):
    checkout.get_by_role("button", name=button).click()
    expect(checkout.get_by_role("heading", name="Thank you")).to_be_visible()


def test_from_the_request_to_the_paid_ride(demo):
    ride = demo.ask()
    demo.expect_outcome("It is pending")
    demo.expect_badge(ride, "Waiting for payment")

    checkout = demo.open_checkout(ride)
    expect(checkout.get_by_text("Test mode")).to_be_visible()
    expect(checkout.get_by_text(f"Ride {ride}")).to_be_visible()
    pay(checkout)

    demo.expect_badge(ride, "Paid")
    demo.expect_time_line(ride, "Payment link received", "Paid")
    expect(demo.card(ride).get_by_role("link", name="Pay")).to_be_hidden()
    expect(demo.page.locator("#news")).to_have_text(f"{ride}: Paid")


def test_a_phone_that_was_away_is_sent_what_it_missed_once_and_in_order(demo, server):
    first = demo.ask()
    demo.expect_badge(first, "Waiting for payment")
    demo.act("Disconnect")
    demo.expect_connection("Offline")

    pay(demo.open_checkout(first))
    second = backend.create_payment(server, user_id=demo.user_id)
    backend.choose(second, "decline")
    backend.choose(second, "pay")
    demo.expect_badge(first, "Waiting for payment")
    demo.act("Reconnect")

    demo.expect_connection("Connected")
    demo.expect_time_line(first, "Payment link received", "Paid")
    demo.expect_time_line(second["rideId"], "Payment link received", "Payment failed", "Paid")


def test_a_page_that_is_loaded_again_is_sent_everything_again(demo):
    ride = demo.ask()
    demo.expect_badge(ride, "Waiting for payment")

    demo.page.reload()

    demo.expect_connection("Connected")
    demo.expect_time_line(ride, "Payment link received")
    pay(demo.open_checkout(ride))
    demo.expect_badge(ride, "Paid")


def test_what_is_sent_again_shows_no_time_and_what_is_new_does(demo):
    ride = demo.ask()
    lines = demo.card(ride).locator(".time-line li")
    expect(lines).to_have_text([re.compile(r"received\d+:\d\d")])

    demo.page.reload()

    expect(lines).to_have_text(["Payment link receivedearlier"])
    pay(demo.open_checkout(ride))
    expect(lines).to_have_text(["Payment link receivedearlier", re.compile(r"Paid\d+:\d\d")])


def test_a_declined_card_can_be_followed_by_a_good_one(demo):
    ride = demo.ask()
    checkout = demo.open_checkout(ride)

    checkout.get_by_role("button", name="Try a card that is declined").click()
    expect(checkout.get_by_role("alert")).to_contain_text("Your card was declined")
    demo.expect_badge(ride, "Payment failed")
    pay(checkout)

    demo.expect_badge(ride, "Paid")
    demo.expect_time_line(ride, "Payment link received", "Payment failed", "Paid")


@pytest.mark.parametrize(
    ("button", "badge"), [("The bank confirms", "Paid"), ("The bank rejects", "Payment failed")]
)
def test_a_bank_debit_is_decided_later(demo, button, badge):
    ride = demo.ask()
    checkout = demo.open_checkout(ride)
    hosted = checkout.url

    pay(checkout, "Pay later, by bank debit")
    demo.expect_badge(ride, "Bank is confirming")
    checkout.goto(hosted)
    checkout.get_by_role("button", name=button).click()

    demo.expect_badge(ride, badge)
    demo.expect_time_line(ride, "Payment link received", "Bank is confirming", badge)
    expect(demo.card(ride).locator(".pay")).to_be_hidden()  # the link takes no second try


def test_a_ride_whose_bank_debit_bounced_can_be_asked_for_again(demo, server):
    first = backend.create_payment(server, user_id=demo.user_id)
    backend.choose(first, "delayed")
    demo.expect_badge(first["rideId"], "Bank is confirming")
    backend.choose(first, "delayed_failed")
    demo.expect_badge(first["rideId"], "Payment failed")

    second = backend.create_payment(server, user_id=demo.user_id, ride_id=first["rideId"])

    demo.expect_badge(first["rideId"], "Waiting for payment")
    expect(demo.card(first["rideId"]).locator(".pay")).to_have_attribute("href", second["paymentUrl"])
    expect(demo.card(first["rideId"]).locator(".pay")).to_be_visible()


def test_giving_up_leaves_the_link_as_it_was(demo):
    ride = demo.ask()
    checkout = demo.open_checkout(ride)

    checkout.get_by_role("button", name="Cancel and go back").click()
    expect(checkout.get_by_role("heading", name="Nothing was paid")).to_be_visible()

    pay(demo.open_checkout(ride))
    demo.expect_badge(ride, "Paid")


def test_the_backend_cancels(demo):
    ride = demo.ask()
    demo.expect_badge(ride, "Waiting for payment")

    demo.act("Cancel it")

    demo.expect_outcome("its link can no longer be paid")
    demo.expect_badge(ride, "Canceled")


def test_the_backend_refunds_in_parts(demo):
    ride = demo.ask(amount="500", currency="JPY")
    pay(demo.open_checkout(ride), "Pay ¥500")
    demo.expect_badge(ride, "Paid")

    demo.page.get_by_label("Refund").fill("200")
    demo.act("Refund")
    demo.expect_outcome("Refund of ¥200")
    demo.expect_badge(ride, "Partly refunded")
    demo.act("Refund")

    demo.expect_outcome("Refund of ¥300")
    demo.expect_badge(ride, "Refunded")


def test_the_call_is_shown_as_it_was_made(demo, server):
    ride = demo.ask()

    expect(demo.page.locator("#answer-status")).to_have_text("HTTP 201")
    expect(demo.page.locator("#request")).to_contain_text(f"curl -X POST '{server}/api/payments'")
    expect(demo.page.locator("#request")).to_contain_text("Authorization: Bearer dev-key")
    expect(demo.page.locator("#answer")).to_contain_text(f'"rideId": "{ride}"')
    expect(demo.page.locator("#frames")).to_contain_text(re.compile(r'"type": ?"payment_url"'))


def test_a_page_that_is_opened_misses_no_file(page, server):
    """Nothing that it loads is missing, and what is missing is no failure of the server."""
    answers = []
    page.on("response", lambda response: answers.append((response.status, response.url)))
    page.goto(server, wait_until="networkidle")

    assert [answer for answer in answers if answer[0] >= 400] == []
    assert page.goto(f"{server}/static/nope.css").status == 404


def test_a_refused_request_says_why(demo):
    ride = demo.ask()
    demo.expect_outcome("It is pending")

    demo.page.get_by_label("Ride", exact=True).fill(ride)
    demo.page.get_by_role("button", name="Ask for a payment").click()

    expect(demo.page.locator("#answer-status")).to_have_text("HTTP 409")
    demo.expect_outcome(ride)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("500", "JPY", "¥500"), ("1250", "EUR", "€12.50"), ("12500", "BHD", "BHD 12.500"), ("", "USD", "…")],
)
def test_the_amount_is_shown_with_the_decimals_of_its_currency(demo, amount, currency, text):
    demo.page.get_by_label("Amount").fill(amount)
    demo.page.get_by_label("Currency").select_option(currency)

    shown = demo.page.locator("#shown-amount").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert shown == text


def test_another_user_sees_nothing_of_it(demo, server):
    ride = demo.ask()
    demo.expect_badge(ride, "Waiting for payment")

    demo.sign_in("somebody|else 🚕")
    other = backend.create_payment(server, user_id="somebody|else 🚕")

    demo.expect_badge(other["rideId"], "Waiting for payment")
    expect(demo.card(ride)).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/sandbox/", "/checkout/success", "/checkout/cancel", "checkout"])
def test_nothing_is_wider_than_a_phone(demo, server, path):
    demo.page.set_viewport_size(PHONE)
    ride = demo.ask(amount="99999990", currency="BHD" if path == "/" else "USD")
    demo.expect_badge(ride, "Waiting for payment")
    if path == "checkout":
        path = demo.card(ride).get_by_role("link", name="Pay").get_attribute("href").removeprefix(server)
    if path != "/":
        demo.page.goto(server + path)

    assert demo.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("path", ["/", "/sandbox/", "/checkout/success", "/checkout/cancel"])
def test_a_page_needs_nothing_but_the_services_own_files(page, server, path):
    """A policy that allows no inline script or style, and nothing from elsewhere, stops nothing."""
    policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    said = []

    def with_policy(route):
        answer = route.fetch()
        route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy})

    page.on("console", lambda message: said.append(message.text))
    page.route(server + path, with_policy)
    page.goto(server + path, wait_until="networkidle")

    assert [message for message in said if "Content Security Policy" in message] == []
