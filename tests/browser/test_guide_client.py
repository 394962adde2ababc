"""The client guide's JavaScript, unchanged but for the port and the user, in a page."""

import threading
import uuid
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser import backend
from tests.browser.conftest import ROOT

GUIDE_CLIENT = (ROOT / "tests/browser/guide_client.js").read_text()


@pytest.fixture
def user_id():
    """A user that no other test has: a client of the guide is sent again what it has not confirmed."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def ride_app(tmp_path, server, user_id):
    """The address of a page that runs the guide's client: another origin than the service's, as apps have."""
    script = GUIDE_CLIENT.replace("localhost:9090", server.removeprefix("http://"))
    script = script.replace("user_123", user_id)
    (tmp_path / "client.js").write_text(script)
    (tmp_path / "index.html").write_text('<!doctype html><script src="client.js"></script>')
    handler = partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}/"
        files.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


OFFERING = """([url, offered]) => new Promise((resolve) => {
  const ws = new WebSocket(url, offered);
  ws.onopen = () => ws.send(JSON.stringify({ type: 'register', userId: 'user_of_an_offer' }));
  ws.onmessage = (event) => { resolve(JSON.parse(event.data).type); ws.close(); };
  ws.onclose = (event) => resolve(`closed with ${event.code}`);
})"""


@pytest.mark.parametrize("offered", [[], ["v1"], ["bearer", "a.token"]])
def test_a_browser_that_offers_subprotocols_gets_its_connection(page, server, ride_app, offered):
    page.goto(ride_app)
    url = f"{server.replace('http', 'ws', 1)}/basic/ws"
    assert page.evaluate(OFFERING, [url, offered]) == "registration_success"


def test_the_guides_client_opens_the_link_and_hears_of_the_payment(page, server, ride_app, user_id):
    console = []
    page.on("console", lambda message: console.append(message.text))
    with page.expect_console_message(lambda message: message.text.startswith("Successfully registered")):
        page.goto(ride_app)

    with page.expect_popup() as popup:
        payment = backend.create_payment(server, user_id=user_id)
    checkout = popup.value

    expect(checkout).to_have_url(payment["paymentUrl"])
    with page.expect_console_message(lambda message: message.text == "Payment status updated: succeeded"):
        checkout.get_by_role("button", name="Pay $12.50").click()

    assert f"Payment URL received: {payment['paymentUrl']}" in console
    assert [line for line in console if line.startswith("Payment status updated")] == [
        "Payment status updated: succeeded"
    ]
    assert not [line for line in console if "rror" in line]
