"""What support and finance see and do in the admin, and what is on record of it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import backend, sandbox, staff
from tests.support.server import eventually
from tests.support.services import STACK

PASSWORD = "a-password-of-enough-length"
MAKE = f"""
from django.contrib.auth.models import Group, User
for name, group in (("sue", "support"), ("fin", "finance"), ("flo", "finance")):
    User.objects.create_user(name, password={PASSWORD!r}, is_staff=True).groups.add(Group.objects.get(name=group))
"""
MESSAGES = """
    SELECT change_message FROM django_admin_log JOIN auth_user ON auth_user.id = user_id
    WHERE username = %s AND object_id = %s ORDER BY django_admin_log.id
"""
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


@pytest.fixture(scope="module")
def house(serve):
    """A server where refunds above 10.00 USD need a second person."""
    server = serve(REFUND_APPROVAL_ABOVE="usd=1000,jpy=900")
    for command in (("staff_roles",), ("staff_roles",), ("shell", "-c", MAKE)):
        done = server.run(*command)
        assert done.returncode == 0, done.stderr
    return server


@pytest.fixture(scope="module")
def browsers(house):
    """A browser of each member of staff, logged in."""
    found = {}
    for name in ("sue", "fin", "flo"):
        found[name] = staff.browser(house)
        assert staff.log_in(found[name], name, PASSWORD).url.path == "/admin/"
    yield found
    for browser in found.values():
        browser.close()


@pytest.fixture
def paid(house, user_id):
    return pay(house, user_id, description="To the clinic")


def pay(house, user_id, **order):
    """Return a payment that was paid."""
    payment = backend.ask(house, user_id, **order)
    sandbox.choose(house, payment, "pay")
    eventually(lambda: backend.read(house, payment)["status"] == "succeeded")
    sandbox.wait_until_delivered(house)
    return payment


def page_of(payment):
    return f"/admin/payments/payment/{payment['id']}/change/"


def act(browser, url, **fields):
    """Fill in a page's form; return the page after it."""
    page = browser.get(url)
    if page.status_code != 200:
        return page
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page.text))
    return browser.post(url, data=hidden | fields, headers={"Referer": f"{browser.base_url}"})


def refund(browser, payment, amount=""):
    return act(browser, f"/admin/payments/payment/{payment['id']}/refund/", amount=amount)


def on_record(house, name, payment):
    """Return what the log of the staff says that somebody did with a payment."""
    return [text for (text,) in house.database.execute(MESSAGES, name, payment["id"])]


def test_support_sees_the_payment_and_its_user_and_nothing_more_of_the_customer(browsers, paid):
    shown = browsers["sue"].get(page_of(paid)).text
    full = browsers["fin"].get(page_of(paid)).text

    assert paid["userId"] in shown
    assert "succeeded" in shown
    for private in ("4242", "receipt", "To the clinic"):
        assert private in full, private
        assert private not in shown, private
    for hidden in ("payments/webhookevent", "notifications/notification", "auth/user", "access/apikey"):
        assert browsers["sue"].get(f"/admin/{hidden}/").status_code == 403


@pytest.mark.parametrize("action", ["refund", "cancel", "fetch"])
def test_support_does_nothing_with_money(house, browsers, paid, action):
    url = f"/admin/payments/payment/{paid['id']}/{action}/"

    assert browsers["sue"].get(url).status_code == 403
    assert act(browsers["sue"], url).status_code == 403
    assert f"/{action}/" not in browsers["sue"].get(page_of(paid)).text
    assert backend.read(house, paid)["status"] == "succeeded"


@pytest.mark.parametrize("amount", ["4.00", "4,00", "1e2", "-400"])
def test_a_sum_that_is_not_written_in_minor_units_refunds_nothing(house, browsers, paid, amount):
    page = refund(browsers["fin"], paid, amount)

    assert "Write minor units, without a point: 500 is 5.00 USD" in page.text
    assert backend.read(house, paid)["status"] == "succeeded"


def test_finance_refunds_a_small_sum_alone_and_that_is_on_record(house, browsers, paid):
    page = refund(browsers["fin"], paid, "400")

    assert "Refunded 4.00 USD: re_" in page.text
    assert backend.read(house, paid)["status"] == "partially_refunded"
    assert on_record(house, "fin", paid) == ["Asked for a refund of 4.00 USD."]


def test_a_form_that_is_sent_twice_is_one_refund(house, browsers, paid):
    url, browser = f"/admin/payments/payment/{paid['id']}/refund/", browsers["fin"]
    page = browser.get(url).text
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page)) | {"amount": "100"}
    for _ in range(2):
        assert browser.post(url, data=form).status_code == 200

    refunds = sandbox.stripe(house, "GET", "refunds", payment_intent=sandbox.payment_intent(house, paid))
    assert [made["amount"] for made in refunds["data"]] == [100]


def test_a_large_refund_waits_for_another_person(house, browsers, paid):
    assert "waits for another person" in refund(browsers["fin"], paid).text
    assert backend.read(house, paid)["status"] == "succeeded"
    [approve] = re.findall(
        r'href="(/admin/payments/payment/refunds/\d+/approve/)"', browsers["flo"].get(page_of(paid)).text
    )

    assert "cannot approve it" in act(browsers["fin"], approve).text
    assert act(browsers["sue"], approve).status_code == 403
    assert backend.read(house, paid)["status"] == "succeeded"
    for _ in range(2):
        assert "is approved and made" in act(browsers["flo"], approve).text

    assert backend.read(house, paid)["status"] == "refunded"
    assert approve not in browsers["flo"].get(page_of(paid)).text
    assert on_record(house, "flo", paid)[0] == "Asked to approve a refund of 12.50 USD."
    assert on_record(house, "fin", paid)[0] == "Asked for a refund of all that is left."
    assert "That failed: NotApprovable." in on_record(house, "fin", paid)


def test_small_refunds_that_are_a_large_one_together_wait_too(browsers, paid):
    assert "Refunded 9.00 USD" in refund(browsers["fin"], paid, "900").text
    assert "waits for another person" in refund(browsers["fin"], paid, "200").text


def test_small_refunds_at_one_moment_are_a_large_one_together(house, browsers, paid):
    with ThreadPoolExecutor() as pool, house.database.locked("payments_refundrequest"):
        asked = [pool.submit(refund, browsers[name], paid, "600") for name in ("fin", "flo")]
        if STACK == "services":  # both have come as far as they get
            eventually(lambda: house.database.execute(WAITING) == [(2,)])
    said = [page.result().text for page in asked]

    assert sum("Refunded 6.00 USD" in text for text in said) == 1
    assert sum("waits for another person" in text for text in said) == 1


@pytest.mark.parametrize(("asked", "waits"), [("jpy 900", False), ("jpy 901", True), ("eur 1", True)])
def test_each_currency_has_a_sum_of_its_own_and_where_none_is_named_each_refund_waits(
    house, browsers, user_id, asked, waits
):
    currency, amount = asked.split()
    payment = pay(house, user_id, currency=currency)
    page = refund(browsers["fin"], payment, amount).text

    assert ("waits for another person" in page) is waits
    assert (backend.read(house, payment)["status"] == "succeeded") is waits


def test_a_refused_refund_is_not_made(house, browsers, paid):
    refund(browsers["fin"], paid)
    [refuse] = re.findall(
        r'href="(/admin/payments/payment/refunds/\d+/refuse/)"', browsers["flo"].get(page_of(paid)).text
    )

    assert "is refused" in act(browsers["flo"], refuse).text
    assert "decided already" in act(browsers["flo"], refuse.replace("refuse", "approve")).text
    assert backend.read(house, paid)["status"] == "succeeded"


def test_finance_cancels_and_asks_stripe_and_that_is_on_record(house, browsers, user_id):
    payment = backend.ask(house, user_id)
    for action in ("fetch", "cancel"):
        page = act(browsers["fin"], f"/admin/payments/payment/{payment['id']}/{action}/")
        assert page.url.path == page_of(payment)

    assert backend.read(house, payment)["status"] == "canceled"
    assert on_record(house, "fin", payment) == ["Asked Stripe.", "Asked to cancel."]


def test_what_cannot_be_refunded_is_said_and_on_record(house, browsers, user_id):
    payment = backend.ask(house, user_id)

    assert "only a paid payment can be refunded" in refund(browsers["fin"], payment).text
    assert on_record(house, "fin", payment)[-1] == "That failed: NotRefundable."
