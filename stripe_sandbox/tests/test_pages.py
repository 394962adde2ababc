"""The hosted payment page and the control page, as a browser without JavaScript meets them."""

import re
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from stripe_sandbox.api import faults
from stripe_sandbox.events import behaviour
from stripe_sandbox.models import Charge, Delivery, Dispute, Refund, Review, Session
from stripe_sandbox.pages.display import format_money

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser():
    """A browser, with the checks against forged forms that a test client leaves out."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def new_session(client, settings):
    def create(**changes):
        params = {
            "mode": "payment",
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": "1250",
            "line_items[0][price_data][product_data][name]": "Ride to <Oz>",
            "success_url": "https://ride.example/paid?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://ride.example/back",
        } | changes
        response = client.post(
            "/v1/checkout/sessions",
            urlencode({name: value for name, value in params.items() if value is not None}),
            headers={"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"},
            content_type="application/x-www-form-urlencoded",
        )
        assert response.status_code == 200, response.content
        return Session.objects.get(stripe_id=response.json()["id"])

    return create


def page_of(session):
    return f"/sandbox/pay/{session.stripe_id}"


def outcomes_on(response):
    return re.findall(r'name="outcome" value="(\w+)"', response.content.decode())


def post(browser, session, outcome, **fields):
    return browser.post(page_of(session), {"outcome": outcome, **fields})


# The hosted page


def test_the_page_shows_what_is_paid_for_and_that_it_is_a_test(browser, new_session):
    response = browser.get(page_of(new_session()))

    page = response.content.decode()
    assert response.status_code == 200
    assert "$12.50" in page
    assert "Ride to &lt;Oz&gt;" in page
    assert "Test mode" in page
    assert outcomes_on(response) == ["pay", "delayed", "decline", "cancel"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "ride_id", "shown"),
    [
        ("To the airport", "<7>", "Ride &lt;7&gt;"),
        ("The 17th trip", "7", "Ride 7"),
        ("Ride 7", "7", None),
        ("To the airport (ride_7)", "ride_7", None),
        ("To the airport", None, None),
    ],
)
def test_the_ride_is_named_unless_the_item_names_it(browser, new_session, name, ride_id, shown):
    item = "line_items[0][price_data][product_data][name]"
    session = new_session(**{item: name, "metadata[ride_id]": ride_id})

    page = browser.get(page_of(session)).content.decode()

    assert name in page
    assert re.findall(r'class="ride">(.*?)<', page) == ([shown] if shown else [])


def test_yen_have_no_decimals(browser, new_session):
    session = new_session(
        **{
            "line_items[0][price_data][currency]": "jpy",
            "line_items[0][price_data][unit_amount]": "500",
        }
    )

    assert "¥500" in browser.get(page_of(session)).content.decode()


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "usd", "$12.50"),
        (5, "eur", "€0.05"),
        (500, "jpy", "¥500"),
        (123456, "krw", "₩123,456"),
        (12500, "bhd", "BHD 12.500"),
        (100, "isk", "ISK 1.00"),
        (99_999_999, "chf", "CHF 999,999.99"),
    ],
)
def test_money_has_the_decimals_of_its_currency(amount, currency, text):
    assert format_money(amount, currency) == text


def test_paying_sends_the_customer_to_the_success_page(browser, new_session):
    session = new_session()

    response = post(browser, session, "pay")

    assert response.status_code == 303
    assert response["Location"] == f"https://ride.example/paid?session={session.stripe_id}"
    session.refresh_from_db()
    assert (session.status, session.payment_status) == ("complete", "paid")


def test_a_declined_customer_stays_on_the_page_and_can_pay(browser, new_session):
    session = new_session()

    declined = post(browser, session, "decline")

    assert declined.status_code == 200
    assert "Your card was declined" in declined.content.decode()
    assert "pay" in outcomes_on(declined)
    assert "Your card was declined" in browser.get(page_of(session)).content.decode()
    assert post(browser, session, "pay").status_code == 303
    assert "$12.50 is paid" in browser.get(page_of(session)).content.decode()


def test_a_customer_chooses_a_card_and_gets_a_receipt(browser, new_session):
    session = new_session()

    post(browser, session, "pay", card="google_pay")

    charge = Charge.objects.get()
    assert charge.card["wallet"] == "google_pay"
    receipt = browser.get(urlsplit(charge.receipt_url).path)
    assert receipt.status_code == 200
    assert "Mastercard •••• 4444" in receipt.content.decode()


def test_a_receipt_needs_its_whole_address_and_a_payment(browser, new_session):
    session = new_session()
    post(browser, session, "decline")
    declined = Charge.objects.get()
    post(browser, session, "pay")
    paid = Charge.objects.exclude(pk=declined.pk).get()

    paths = [urlsplit(declined.receipt_url).path, urlsplit(paid.receipt_url).path[:-1]]
    paths.append(f"/sandbox/receipt/{paid.stripe_id}")

    assert [browser.get(path).status_code for path in paths] == [404, 404, 404]


def test_a_customer_chooses_why_the_card_is_declined(browser, new_session):
    page = post(browser, new_session(), "decline", decline_code="insufficient_funds").content.decode()

    assert "Your card has insufficient funds. Nothing was charged" in page
    assert Charge.objects.get().failure["decline_code"] == "insufficient_funds"


@pytest.mark.parametrize(
    ("outcome", "field", "known"), [("pay", "card", "visa"), ("decline", "decline_code", "lost_card")]
)
def test_an_unknown_card_or_reason_is_refused_with_a_list_of_the_known(
    browser, new_session, outcome, field, known
):
    response = post(browser, new_session(), outcome, **{field: "gold"})

    assert response.status_code == 400
    assert f"<code>{known}</code>" in response.content.decode()
    assert not Charge.objects.exists()


@pytest.mark.parametrize(
    ("outcome", "says", "payment_status"),
    [("delayed_succeeded", "$12.50 is paid", "paid"), ("delayed_failed", "The bank rejected", "unpaid")],
)
def test_a_delayed_payment_waits_for_the_bank(browser, new_session, outcome, says, payment_status):
    session = new_session()

    left = post(browser, session, "delayed")
    waiting = browser.get(page_of(session))
    settled = post(browser, session, outcome)

    assert left.status_code == 303
    assert outcomes_on(waiting) == ["delayed_succeeded", "delayed_failed"]
    assert says in settled.content.decode()
    assert outcomes_on(settled) == []
    session.refresh_from_db()
    assert session.payment_status == payment_status


def test_giving_up_leaves_the_session_open(browser, new_session):
    session = new_session()

    response = post(browser, session, "cancel")

    assert response.status_code == 303
    assert response["Location"] == "https://ride.example/back"
    session.refresh_from_db()
    assert session.status == "open"


def test_without_a_cancel_url_there_is_no_way_back(browser, new_session):
    session = new_session(cancel_url=None)

    assert "cancel" not in outcomes_on(browser.get(page_of(session)))
    assert post(browser, session, "cancel").status_code == 400


def test_an_expired_session_says_so(browser, new_session):
    session = new_session()
    Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    response = browser.get(page_of(session))

    assert "This link has expired" in response.content.decode()
    assert outcomes_on(response) == []


@pytest.mark.parametrize("outcome", ["pay", "decline", "delayed", "delayed_succeeded", "delayed_failed"])
def test_what_is_no_longer_possible_is_refused_and_changes_nothing(browser, new_session, outcome):
    session = new_session()
    post(browser, session, "pay")

    response = post(browser, session, outcome)

    assert response.status_code == 409
    assert 'role="alert"' in response.content.decode()
    assert "$12.50 is paid" in response.content.decode()


@pytest.mark.parametrize("outcome", ["", "PAY", "steal"])
def test_an_unknown_outcome_is_refused_with_a_list_of_the_known(browser, new_session, outcome):
    response = post(browser, new_session(), outcome)

    assert response.status_code == 400
    assert "<code>pay</code>" in response.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_session_is_not_found(browser, settings, method):
    settings.DEBUG = True

    response = getattr(browser, method)("/sandbox/pay/cs_test_nobody")

    assert response.status_code == 404
    assert "This page does not exist" in response.content.decode()


def test_no_other_method_is_taken(browser, new_session):
    assert browser.put(page_of(new_session())).status_code == 405


# The control page


@pytest.fixture
def act(client, settings):
    """Post an action to the control page; return the page that follows."""
    settings.DEBUG = True

    def post(action, **fields):
        response = client.post("/sandbox/", {"action": action, **fields}, follow=True)
        assert response.redirect_chain == [("/sandbox/", 303)]
        return response.content.decode()

    return post


@pytest.fixture
def paid(browser, new_session):
    session = new_session()
    post(browser, session, "pay")
    session.refresh_from_db()
    return session


def test_while_developing_the_control_page_is_open(client, settings, new_session):
    settings.DEBUG = True
    session = new_session()

    page = client.get("/sandbox/").content.decode()

    assert f"/sandbox/pay/{session.stripe_id}" in page
    assert "$12.50" in page


def test_the_control_page_names_rides_that_their_items_do_not(client, settings, new_session):
    settings.DEBUG = True
    new_session(**{"metadata[ride_id]": "ride_7"})

    assert "Ride to &lt;Oz&gt;, Ride ride_7" in client.get("/sandbox/").content.decode()


DROP = {"action": "set_mode", "mode": "drop"}


def test_elsewhere_it_is_for_staff_with_the_permission(client, settings, new_session):
    settings.DEBUG = False
    users = get_user_model().objects
    new_session()
    rider = users.create(username="rider")
    rider.user_permissions.add(
        Permission.objects.get(codename="change_session", content_type__app_label="sandbox")
    )
    look, act = (lambda: client.get("/sandbox/")), (lambda: client.post("/sandbox/", DROP))

    client.force_login(rider)
    for_riders = [look(), act()]
    client.force_login(users.create(username="clerk", is_staff=True))
    for_clerks = [look(), act()]
    rider.is_staff = True
    rider.save()
    client.force_login(rider)

    assert [response.status_code for response in for_riders] == [302, 302]
    assert [response.status_code for response in for_clerks] == [403, 403]
    assert behaviour.get_mode() == behaviour.Mode.NORMAL
    assert (look().status_code, act().status_code) == (200, 303)


def test_a_forged_form_does_nothing(browser, settings):
    settings.DEBUG = True

    response = browser.post("/sandbox/", {"action": "set_mode", "mode": "drop"})

    assert response.status_code == 403
    assert behaviour.get_mode() == behaviour.Mode.NORMAL


def test_a_session_can_be_expired(act, new_session):
    session = new_session()

    page = act("expire", session=session.stripe_id)

    session.refresh_from_db()
    assert session.status == "expired"
    assert "The session has expired." in page


@pytest.mark.parametrize(("outcome", "payment_status"), [("succeeded", "paid"), ("failed", "unpaid")])
def test_a_delayed_payment_can_be_settled(act, browser, new_session, outcome, payment_status):
    session = new_session()
    post(browser, session, "delayed")

    act("settle", session=session.stripe_id, outcome=outcome)

    session.refresh_from_db()
    assert session.payment_status == payment_status


def test_a_payment_can_be_refunded_in_parts_and_a_refund_can_fail(act, paid):
    intent = paid.payment_intent.stripe_id

    first = act("refund", payment_intent=intent, amount="250")
    rest = act("refund", payment_intent=intent, amount="")
    refund = Refund.objects.get(amount=250)
    failed = act("fail_refund", refund=refund.stripe_id)

    assert "$2.50 went back." in first
    assert "$10.00 went back." in rest
    assert 'value="refund"' not in rest
    refund.refresh_from_db()
    assert refund.status == "failed"
    assert 'value="refund"' in failed


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_dispute_is_opened_and_decided(act, paid, outcome):
    opened = act("open_dispute", payment_intent=paid.payment_intent.stripe_id)
    dispute = Dispute.objects.get()
    act("close_dispute", dispute=dispute.stripe_id, outcome=outcome)

    assert dispute.stripe_id in opened
    dispute.refresh_from_db()
    assert dispute.status == outcome


def test_a_part_is_disputed_for_a_reason_and_the_rest_refunded(act, paid):
    intent = paid.payment_intent.stripe_id

    opened = act("open_dispute", payment_intent=intent, amount="500", reason="duplicate")
    rest = act("refund", payment_intent=intent, fraudulent="on")

    assert "The customer disputes $5.00: chargeback." in opened
    assert "Dispute of $5.00" in opened
    assert "$7.50 went back." in rest
    assert Dispute.objects.get().reason == "duplicate"
    assert Refund.objects.get().reason == "fraudulent"


def test_an_inquiry_becomes_a_dispute_or_is_closed(act, paid):
    intent = paid.payment_intent.stripe_id
    for _ in range(2):
        act("open_dispute", payment_intent=intent, amount="500", case_type="inquiry")
    first, second = Dispute.objects.order_by("pk")

    assert "The inquiry has become a dispute" in act("escalate", dispute=first.stripe_id)
    assert "The dispute is warning closed." in act("close_dispute", dispute=second.stripe_id, outcome="lost")


@pytest.mark.parametrize("case_type", ["resolution", "block"])
def test_a_prevented_dispute_is_shown_as_such(act, paid, case_type):
    page = act("open_dispute", payment_intent=paid.payment_intent.stripe_id, case_type=case_type)

    assert f"by {case_type}" in page
    assert 'value="close_dispute"' not in page


def test_fraud_is_suspected_and_reviewed(act, paid):
    intent = paid.payment_intent.stripe_id

    warned = act("warn", payment_intent=intent, fraud_type="misc")
    opened = act("open_review", payment_intent=intent)
    closed = act("close_review", review=Review.objects.get().stripe_id, reason="approved")

    assert "The issuer warns of fraud." in warned
    assert 'value="close_review"' in opened
    assert "The review is closed: approved." in closed


def test_the_bank_takes_a_refund_that_is_pending(act, browser, new_session):
    session = new_session()
    post(browser, session, "delayed")
    post(browser, session, "delayed_succeeded")
    session.refresh_from_db()

    asked = act("refund", payment_intent=session.payment_intent.stripe_id)
    act("settle_refund", refund=Refund.objects.get().stripe_id)

    assert "is on its way to the bank" in asked
    assert Refund.objects.get().status == "succeeded"


@pytest.mark.parametrize("fault", faults.Fault.values)
def test_how_the_next_calls_fail_is_chosen_and_shown(act, fault):
    page = act("set_fault", fault=fault, calls="3", delay="20")

    assert faults.get() == faults.Planned(
        fault=fault or faults.Fault.NONE,
        calls=3 if fault else 0,
        delay=20 if fault else 15,
    )
    assert f'<option value="{fault}" selected>' in page


def test_each_call_uses_up_one_of_those_that_fail(client, settings):
    faults.plan(fault="rate_limited", calls=2)
    headers = {"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"}

    refused = [client.get("/v1/events").status_code]  # without a key it does not count
    refused += [client.get("/v1/events", headers=headers).status_code for _ in range(3)]

    assert refused == [401, 429, 429, 200]


def test_a_connection_that_is_not_found_is_not_said_to_be_cut(client, settings):
    faults.plan(fault="cut")

    answer = client.get("/v1/events", headers={"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"})

    assert answer.status_code == 500
    assert "is there a proxy in between" in answer.json()["error"]["message"]


def test_what_the_engine_refuses_is_said(act, paid):
    page = act("expire", session=paid.stripe_id)

    assert 'class="note bad"' in page


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("expire", {"session": "cs_test_nobody"}),
        ("expire", {}),
        ("settle", {"session": "cs_test_nobody", "outcome": "succeeded"}),
        ("settle", {"session": "cs_test_nobody", "outcome": "perhaps"}),
        ("refund", {"payment_intent": "pi_nobody"}),
        ("refund", {"payment_intent": "pi_nobody", "amount": "ten"}),
        ("fail_refund", {"refund": "re_nobody"}),
        ("open_dispute", {"payment_intent": "pi_nobody"}),
        ("close_dispute", {"dispute": "du_nobody", "outcome": "won"}),
        ("send_again", {"delivery": "0"}),
        ("send_again", {"delivery": "x"}),
        ("drop", {"delivery": "0"}),
        ("drop", {"delivery": "9" * 30}),
        ("set_mode", {"mode": "chaos"}),
        ("set_fault", {"fault": "chaos", "calls": "1", "delay": "1"}),
        ("set_fault", {"fault": "cut", "calls": "101", "delay": "1"}),
        ("set_fault", {"fault": "slow", "calls": "1", "delay": "121"}),
        ("set_fault", {"calls": "1", "delay": "1"}),
        ("open_dispute", {"payment_intent": "pi_nobody", "case_type": "quarrel"}),
        ("open_dispute", {"payment_intent": "pi_nobody", "reason": "spite"}),
        ("escalate", {"dispute": "du_nobody"}),
        ("settle_refund", {"refund": "re_nobody"}),
        ("warn", {"payment_intent": "pi_nobody", "fraud_type": "misc"}),
        ("warn", {"payment_intent": "pi_nobody", "fraud_type": "spite"}),
        ("open_review", {"payment_intent": "pi_nobody"}),
        ("close_review", {"review": "prv_nobody", "reason": "approved"}),
        ("close_review", {"review": "prv_nobody", "reason": "boredom"}),
    ],
)
def test_a_form_that_names_nothing_does_nothing(act, action, fields):
    assert "Nothing was done" in act(action, **fields)


@pytest.mark.parametrize("amount", ["0", "-1", "1251", "9" * 30])
def test_a_refund_of_a_wrong_amount_is_refused(act, paid, amount):
    act("refund", payment_intent=paid.payment_intent.stripe_id, amount=amount)

    assert not Refund.objects.exists()


def test_an_unknown_action_is_a_bad_request(client, settings):
    settings.DEBUG = True

    assert client.post("/sandbox/", {"action": "explode"}).status_code == 400


def test_a_delivery_can_be_sent_again_and_dropped(act, paid):
    delivery = Delivery.objects.first()

    again = act("send_again", delivery=delivery.pk)
    newest = Delivery.objects.first()
    act("drop", delivery=newest.pk)

    assert f"{delivery.event.type} is sent again." in again
    assert newest.event == delivery.event
    newest.refresh_from_db()
    assert newest.state == "dropped"


@pytest.mark.parametrize("mode", behaviour.Mode.values)
def test_the_misbehaviour_is_chosen_and_shown(act, mode):
    page = act("set_mode", mode=mode)

    assert behaviour.get_mode() == mode
    assert f'<option value="{mode}" selected>' in page


def test_the_control_page_is_bounded_in_rows_and_in_queries(
    client, settings, new_session, browser, django_assert_max_num_queries
):
    settings.DEBUG = True
    for _ in range(52):
        post(browser, new_session(), "pay")

    with django_assert_max_num_queries(12):
        page = client.get("/sandbox/").content.decode()

    assert page.count('value="open_dispute"') == 50
    assert page.count('value="send_again"') == 50
