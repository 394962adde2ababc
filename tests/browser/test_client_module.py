"""The client module against a socket that the test plays, in a browser whose clock the test turns."""

import json
import math

import pytest

from tests.browser.conftest import ROOT

APP = "http://app.test/"
SOCKET = "ws://service.test/basic/ws"
MODULE = (ROOT / "clients/js/payment-notifications.js").read_text()
START = """async (options) => {
  const { PaymentNotifications } = await import("/payment-notifications.js");
  const names = ["status", "payment_url", "payment_status_update", "reset", "error"];
  window.dispatched = [];
  window.client = new PaymentNotifications({ ...options, storage: window[options.storage] });
  for (const name of names) client.addEventListener(name, ({ detail }) => dispatched.push([name, detail]));
}"""


class Service:
    """The server's end of the page's sockets."""

    def __init__(self, page):
        self.page = page
        self.sockets = []
        self.frames = []
        page.route_web_socket(SOCKET, self._accept)

    def _accept(self, socket):
        self.sockets.append(socket)
        socket.on_message(lambda text: self.frames.append(json.loads(text)))

    def send(self, **frame):
        self.sockets[-1].send(json.dumps(frame))

    def until(self, condition):
        """Let the browser work until the condition holds: the page's clock stands still meanwhile."""
        for _ in range(400):
            if condition():
                return
            self.page.evaluate(
                "() => new Promise((done) => { const c = new MessageChannel(); "
                "c.port1.onmessage = done; c.port2.postMessage(0); })"
            )
        pytest.fail(f"It did not happen. Frames: {self.frames}; dispatched: {self.dispatched()}")

    def until_registering(self, *, times=1):
        self.until(lambda: sum(frame["type"] == "register" for frame in self.frames) == times)

    def accept_registration(self, *, last_seq=0, resumed=True, epoch="e-1", times=1):
        self.until_registering(times=times)
        answer = {"lastSeq": last_seq, "resumed": resumed, "epoch": epoch}
        self.send(type="registration_success", message="…", userId="ada", **answer)
        self.until(lambda: self.status() == "registered")

    def dispatched(self, name=None):
        dispatched = self.page.evaluate("window.dispatched")
        return [detail for event, detail in dispatched if event == name] if name else dispatched

    def status(self):
        return self.page.evaluate("client.status")

    def last_seq(self):
        return self.page.evaluate("client.lastSeq")

    def pass_time(self, milliseconds):
        self.page.clock.run_for(math.ceil(milliseconds))


@pytest.fixture
def service(page):
    page.clock.install(time=0)
    page.route(f"{APP}**", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
    page.route(
        f"{APP}payment-notifications.js",
        lambda route: route.fulfill(content_type="text/javascript", body=MODULE),
    )
    page.goto(APP)
    page.clock.pause_at(60_000)
    return Service(page)


def start(service, **options):
    service.page.evaluate(START, {"url": SOCKET, "userId": "ada", **options})


def test_a_new_client_registers_from_the_beginning(service):
    start(service, token="secret")

    service.accept_registration()

    assert service.frames == [{"type": "register", "userId": "ada", "token": "secret", "lastSeq": 0}]
    assert service.dispatched("status")[-1] == {"status": "registered"}


TOKENS = """async (options) => {
  window.asked = 0;
  const token = async () => {
    asked += 1;
    if (window.refusal === "throw") throw new Error("away");
    return window.refusal ? null : `token-${asked}`;
  };
  return (%s)({ ...options, token });
}"""


def test_a_function_gets_a_fresh_token_when_the_one_before_has_expired(service):
    service.page.evaluate(TOKENS % START, {"url": SOCKET, "userId": "ada"})
    service.accept_registration()

    service.sockets[-1].close(code=4401)
    service.until(lambda: service.status() == "disconnected")
    service.pass_time(1_000)
    service.accept_registration(times=2)

    assert [frame["token"] for frame in service.frames] == ["token-1", "token-2"]


def test_a_fresh_token_that_is_refused_is_the_end(service):
    service.page.evaluate(TOKENS % START, {"url": SOCKET, "userId": "ada"})
    service.until_registering()

    service.sockets[-1].close(code=4401)
    service.until(lambda: service.status() == "closed")
    assert service.dispatched("status")[-1] == {"status": "closed", "code": 4401}


def test_a_function_without_a_token_ends_it_and_one_that_fails_is_asked_again(service):
    service.page.evaluate("window.refusal = 'throw'")
    service.page.evaluate(TOKENS % START, {"url": SOCKET, "userId": "ada"})
    service.until(lambda: service.status() == "disconnected")
    assert service.dispatched("error") == [
        {"type": "error", "message": "No token: Error: away", "code": "token"}
    ]

    service.page.evaluate("window.refusal = 'null'")
    service.pass_time(1_000)
    service.until(lambda: service.status() == "closed")
    assert service.frames == []


def test_notifications_are_dispatched_by_their_type_and_counted(service):
    start(service)
    service.accept_registration()

    service.send(type="payment_url", rideId="r", paymentUrl="https://pay.test/1", status="pending", seq=1)
    service.send(type="payment_status_update", rideId="r", status="succeeded", stripeSessionId="cs", seq=2)

    service.until(lambda: service.last_seq() == 2)
    assert [link["paymentUrl"] for link in service.dispatched("payment_url")] == ["https://pay.test/1"]
    assert [update["status"] for update in service.dispatched("payment_status_update")] == ["succeeded"]


def test_a_number_that_came_before_is_not_dispatched_again(service):
    start(service)
    service.accept_registration()

    for seq in (1, 2, 2, 1, 3):
        service.send(type="payment_status_update", rideId="r", status="failed", stripeSessionId="cs", seq=seq)

    service.until(lambda: service.last_seq() == 3)
    assert [update["seq"] for update in service.dispatched("payment_status_update")] == [1, 2, 3]


def test_a_refusal_is_dispatched_as_an_error(service):
    start(service)
    service.until_registering()

    service.send(type="error", message="Too many.", code="rate_limited")

    service.until(lambda: service.dispatched("error"))
    assert service.dispatched("error") == [{"type": "error", "message": "Too many.", "code": "rate_limited"}]


def test_after_a_loss_it_comes_back_and_asks_for_what_it_missed(service):
    start(service)
    service.accept_registration()
    service.send(type="payment_url", rideId="r", paymentUrl="https://pay.test/1", status="pending", seq=7)
    service.until(lambda: service.last_seq() == 7)

    service.sockets[-1].close(code=4412)
    service.until(lambda: service.status() == "disconnected")
    loss = service.dispatched("status")[-1]
    service.pass_time(1_000)
    service.accept_registration(last_seq=7, times=2)

    assert loss["code"] == 4412
    assert 0 <= loss["retryIn"] <= 1_000
    assert service.frames[-1] == {"type": "register", "userId": "ada", "lastSeq": 7, "epoch": "e-1"}
    assert service.dispatched("reset") == []


def test_the_wait_between_tries_doubles_up_to_thirty_seconds(service):
    service.page.evaluate("Math.random = () => 0.999")
    start(service)
    waits = []
    for number in range(1, 8):
        service.until_registering(times=number)
        service.sockets[-1].close(code=4429)
        service.until(lambda: service.status() == "disconnected")
        waits.append(service.dispatched("status")[-1]["retryIn"])
        service.pass_time(waits[-1] + 1)

    assert waits == pytest.approx([wait * 0.999 for wait in (1e3, 2e3, 4e3, 8e3, 16e3, 30e3, 30e3)])


def test_after_a_limit_it_waits_as_long_as_the_service_says(service):
    start(service)
    service.until_registering()
    service.send(type="error", message="Too many registrations.", code="rate_limited", retryAfter=17)
    service.until(lambda: service.dispatched("error"))
    service.sockets[-1].close(code=4429)
    service.until(lambda: service.status() == "disconnected")

    assert 17_000 <= service.dispatched("status")[-1]["retryIn"] <= 18_000
    service.pass_time(16_900)
    assert len(service.sockets) == 1
    service.pass_time(1_200)
    service.accept_registration(times=2)


def test_a_connection_that_proved_itself_makes_the_next_wait_short_again(service):
    service.page.evaluate("Math.random = () => 0.999")
    start(service)
    service.until_registering()
    service.sockets[-1].close(code=4429)
    service.until(lambda: service.status() == "disconnected")
    service.pass_time(1_000)
    service.accept_registration(times=2)

    service.pass_time(20_000)
    service.until(lambda: service.frames[-1] == {"type": "ping"})
    service.send(type="pong")
    service.send(type="payment_status_update", rideId="r", status="failed", stripeSessionId="cs", seq=1)
    service.until(lambda: service.last_seq() == 1)
    service.sockets[-1].close(code=4412)
    service.until(lambda: service.status() == "disconnected")

    assert service.dispatched("status")[-1]["retryIn"] < 1_000


def test_a_connection_that_answers_no_ping_is_replaced(service):
    start(service)
    service.accept_registration()

    service.pass_time(20_000)
    service.until(lambda: service.frames[-1] == {"type": "ping"})
    service.pass_time(9_999)
    still = service.status()
    service.pass_time(1)

    assert still == "registered"
    assert service.status() == "disconnected"
    service.pass_time(1_000)
    service.until_registering(times=2)


def test_a_service_that_never_answers_the_registration_is_left(service):
    start(service)
    service.until_registering()

    service.pass_time(10_000)

    assert service.status() == "disconnected"


@pytest.mark.parametrize("code", [4401, 4409])
def test_some_close_codes_are_final(service, code):
    start(service)
    service.until_registering()

    service.sockets[-1].close(code=code)
    service.until(lambda: service.status() == "closed")
    service.pass_time(120_000)

    assert service.dispatched("status")[-1] == {"status": "closed", "code": code}
    assert len(service.sockets) == 1


def test_when_too_much_was_missed_the_app_is_asked_to_fetch_and_the_count_goes_on(service):
    start(service)
    service.accept_registration(last_seq=40, resumed=False)

    service.send(type="payment_status_update", rideId="r", status="failed", stripeSessionId="cs", seq=41)

    service.until(lambda: service.last_seq() == 41)
    assert service.dispatched("reset") == [{"lastSeq": 40}]


def test_a_storage_carries_the_number_over_to_the_next_page(service):
    start(service, storage="localStorage")
    service.accept_registration()
    service.send(type="payment_url", rideId="r", paymentUrl="https://pay.test/1", status="pending", seq=5)
    service.until(lambda: service.last_seq() == 5)

    service.page.reload()
    start(service, storage="localStorage")
    service.until_registering(times=2)

    assert (service.frames[-1]["lastSeq"], service.frames[-1]["epoch"]) == (5, "e-1")


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("7", {"lastSeq": 7}),  # as versions before have it
        ('{"seq": 7, "epoch": "e-1"}', {"lastSeq": 7, "epoch": "e-1"}),
        ('{"seq": -7, "epoch": 7}', {"lastSeq": 0}),
        ("null", {"lastSeq": 0}),
        ("nonsense", {"lastSeq": 0}),
    ],
)
def test_whatever_was_stored_it_registers(service, stored, asked):
    key = f"payment-notifications:{SOCKET}:ada"
    service.page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, stored])
    start(service, storage="localStorage")
    service.until_registering()

    assert service.frames == [{"type": "register", "userId": "ada"} | asked]


def test_when_numbers_are_given_again_it_counts_in_the_new_epoch(service):
    start(service)
    service.accept_registration()
    service.send(type="payment_url", rideId="r", paymentUrl="https://pay.test/1", status="pending", seq=7)
    service.until(lambda: service.last_seq() == 7)

    service.sockets[-1].close(code=4412)
    service.until(lambda: service.status() == "disconnected")
    service.pass_time(1_000)
    service.accept_registration(last_seq=5, resumed=False, epoch="e-2", times=2)
    service.send(type="payment_status_update", rideId="r", status="failed", stripeSessionId="cs", seq=6)
    service.until(lambda: service.last_seq() == 6)
    service.sockets[-1].close(code=4412)
    service.until(lambda: service.status() == "disconnected")
    service.pass_time(1_000)
    service.until_registering(times=3)

    assert service.dispatched("reset") == [{"lastSeq": 5}]
    assert [update["seq"] for update in service.dispatched("payment_status_update")] == [6]
    assert service.frames[-1] == {"type": "register", "userId": "ada", "lastSeq": 6, "epoch": "e-2"}


def test_when_the_network_is_back_it_does_not_wait(service):
    start(service)
    service.until_registering()
    service.sockets[-1].close(code=4412)
    service.until(lambda: service.status() == "disconnected")

    service.page.evaluate("window.dispatchEvent(new Event('online'))")

    service.until_registering(times=2)


def test_when_the_network_changed_the_connection_is_tried_at_once(service):
    start(service)
    service.accept_registration()

    service.page.evaluate("window.dispatchEvent(new Event('online'))")

    service.until(lambda: service.frames[-1] == {"type": "ping"})


def test_closing_is_for_good(service):
    start(service)
    service.accept_registration()

    service.page.evaluate("client.close()")
    service.page.evaluate("window.dispatchEvent(new Event('online'))")
    service.pass_time(120_000)

    assert service.dispatched("status")[-1] == {"status": "closed", "code": 1000}
    assert len(service.sockets) == 1
