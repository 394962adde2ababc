"""What a customer, a bank and Stripe's own staff do, at the sandbox's pages and in its API."""

from django.conf import settings

from tests.support.server import eventually


def stripe(server, method, path, **data):
    """Call Stripe's API; return its answer."""
    where = {"params": data} if method == "GET" else {"data": data}
    headers = {"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"}
    answer = server.http.request(method, f"/v1/{path}", headers=headers, **where)
    assert answer.status_code == 200, answer.text
    return answer.json()


def choose(server, payment, outcome):
    """Submit the hosted page's form; return the response."""
    return server.http.post(payment["paymentUrl"], data={"outcome": outcome})


def payment_intent(server, payment):
    return stripe(server, "GET", f"checkout/sessions/{payment['stripeSessionId']}")["payment_intent"]


def control(server, action, **fields):
    """Submit a form of the control page, as a browser does."""
    # Django takes the form only with the token of the page's cookie, as from a browser.
    if "csrftoken" not in server.http.cookies:
        server.http.get("/sandbox/")
    token = server.http.cookies["csrftoken"]
    form = {"csrfmiddlewaretoken": token, "action": action} | fields
    answer = server.http.post("/sandbox/", data=form, follow_redirects=True)
    assert 'class="note good"' in answer.text, answer.text


def settle(server, payment, outcome):
    """Let a delayed payment end."""
    control(server, "settle", session=payment["stripeSessionId"], outcome=outcome)


def settle_refunds(server, payment):
    """Let the bank take the refunds that are pending."""
    refunds = stripe(server, "GET", "refunds", payment_intent=payment_intent(server, payment))["data"]
    for refund in refunds:
        if refund["status"] == "pending":
            control(server, "settle_refund", refund=refund["id"])


def open_dispute(server, payment):
    control(server, "open_dispute", payment_intent=payment_intent(server, payment))


def close_dispute(server, payment, outcome):
    disputes = stripe(server, "GET", "disputes", payment_intent=payment_intent(server, payment))["data"]
    control(server, "close_dispute", dispute=disputes[0]["id"], outcome=outcome)


def wait_until_delivered(server):
    """Return once nothing is on its way to the webhook any more."""
    pending = "SELECT 1 FROM sandbox_delivery WHERE state = 'pending' LIMIT 1"
    eventually(lambda: not server.database.execute(pending), seconds=45)  # one may be tried again
