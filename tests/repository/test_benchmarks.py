"""What the benchmarks count and conclude. Nothing is measured here."""

import asyncio
import json
import math

import pytest

from benchmarks.figures import GOALS, Runs
from benchmarks.load.http import Connection, Pool
from benchmarks.load.loops import closed_loop, open_loop
from benchmarks.load.requests import webhook
from benchmarks.load.riders import Riders
from benchmarks.load.tally import Tally, spread
from benchmarks.load.websocket import Client, masked
from benchmarks.plots import draw
from benchmarks.report import grids
from benchmarks.rides import number_in, ride
from benchmarks.trivial import Trivial
from payments.webhooks import signatures

SECRET = "whsec_benchmark0123456789"
KIND = b'"succeeded"'


def frame(number):
    return b'{"type": "payment_status_update", "rideId": "ride-%d", "status": "succeeded"}' % number


def tally(count=3, *, first=0, each=1):
    return Tally(first=first, count=count, kind=KIND, each=each)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written = []
        self.is_closed = False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.is_closed = True


class Listener:
    def __init__(self):
        self.texts = []

    def opened(self, client):
        self.texts.append(b"opened")

    def received(self, client, text):
        self.texts.append(text)

    def closed(self, client):
        self.texts.append(b"closed")


def test_a_frame_that_never_came_is_lost_and_one_that_came_again_is_twice():
    counts = tally()
    for index in range(3):
        counts.begin(index, due=0.0)
        counts.answer(index, 200)
    counts.frame(frame(0), user=0, users=3)
    counts.frame(frame(1), user=1, users=3)
    counts.frame(frame(1), user=1, users=3)
    summary = counts.summary()
    assert (summary["lost"], summary["duplicates"], summary["misdirected"]) == (1, 1, 0)


def test_a_frame_that_reaches_another_user_is_not_delivered():
    counts = tally()
    counts.begin(0, due=0.0)
    counts.answer(0, 200)
    counts.frame(frame(0), user=2, users=3)
    summary = counts.summary()
    assert (summary["lost"], summary["misdirected"]) == (1, 1)


def test_a_frame_is_there_when_each_connection_of_its_user_has_it():
    counts = tally(each=2)
    counts.begin(0, due=0.0)
    counts.answer(0, 200)
    counts.frame(frame(0), user=0, users=3)
    assert not counts.is_complete()
    counts.frame(frame(0), user=0, users=3)
    assert counts.is_complete()


def test_what_was_refused_is_not_answered_and_its_frame_is_not_lost():
    counts = tally()
    counts.begin(0, due=0.0)
    counts.answer(0, 500)
    counts.begin(1, due=0.0)
    counts.answer(1, 0)
    summary = counts.summary()
    assert (summary["answered"], summary["lost"]) == (0, 0)
    assert summary["statuses"] == {"500": 1, "refused or lost": 1}


def test_a_percentile_among_what_never_came_is_unknown():
    assert spread([0.001] * 99 + [math.inf])["p99"] == 1.0
    assert spread([0.001] * 98 + [math.inf] * 2)["p99"] is None
    assert spread([])["p50"] is None


@pytest.mark.parametrize("text", [frame(42), frame(42).replace(b": ", b":")])
def test_a_frame_names_its_ride_however_it_is_spaced(text):
    assert number_in(text) == 42
    assert number_in(b'{"type":"pong"}') == -1


def test_a_webhook_is_signed_as_the_service_expects_it(settings):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    head, body = webhook(ride(7, users=5), secret=SECRET, port=9090).split(b"\r\n\r\n", 1)
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    signatures.verify(body=body, signature=signatures.read(fields["Stripe-Signature"]))
    assert int(fields["Content-Length"]) == len(body)
    assert json.loads(body)["data"]["object"]["client_reference_id"] == str(ride(7, users=5).payment_id)


def test_a_client_reads_frames_wherever_the_network_cuts_them():
    stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"\x81\x02hi" + b"\x81\x7e\x00\x80" + b"x" * 128
    for cut in range(len(stream)):
        listener = Listener()
        client = Client(user=0, listener=listener)
        client.connection_made(Wire())
        client.data_received(stream[:cut])
        client.data_received(stream[cut:])
        assert listener.texts == [b"opened", b"hi", b"x" * 128]


def test_a_client_answers_a_ping_with_what_was_in_it():
    client, wire = Client(user=0, listener=Listener()), Wire()
    client.connection_made(wire)
    client.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x89\x02hi")
    pong = wire.written[-1]
    key = pong[2:6]
    assert (pong[0], pong[1]) == (0x8A, 0x82)
    assert bytes(byte ^ key[index] for index, byte in enumerate(pong[6:])) == b"hi"


def test_a_masked_frame_of_any_length_is_as_long_as_its_head_says():
    assert len(masked(b"x" * 125)) == 2 + 4 + 125
    assert len(masked(b"x" * 126)) == 4 + 4 + 126


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_an_answer_is_done_once_all_of_it_is_there(answer):
    for cut in range(len(answer)):
        statuses = []
        connection = Connection(lambda _: None)
        connection.connection_made(Wire())
        connection.request(b"GET / HTTP/1.1\r\n\r\n", lambda status, _, to=statuses: to.append(status))
        connection.data_received(answer[:cut])
        assert statuses == []
        connection.data_received(answer[cut:])
        assert statuses == [200]


def test_a_connection_that_breaks_leaves_its_request_unanswered():
    statuses = []
    connection = Connection(lambda _: None)
    connection.connection_made(Wire())
    connection.request(b"GET / HTTP/1.1\r\n\r\n", lambda status, _: statuses.append(status))
    connection.connection_lost(None)
    assert statuses == [0]


@pytest.fixture
async def port():
    """A server that does next to nothing."""
    Trivial.users = {}
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("loop", "pace"),
    [(open_loop, {"rate": 2000, "seconds": 10}), (closed_loop, {"in_flight": 4, "seconds": 0.3})],
)
async def test_all_that_is_sent_is_answered_and_told_once(port, loop, pace):
    riders = Riders(host="127.0.0.1", port=port, token_secret="")
    connected = await riders.connect(count=5, seconds=10)
    assert (connected["registered"], connected["failed"]) == (5, 0)
    pool = Pool(host="127.0.0.1", port=port)
    await pool.open(4)
    requests = [webhook(ride(number, users=5), secret=SECRET, port=port) for number in range(10, 50)]
    riders.tally = tally(40, first=10)
    result = await loop(pool=pool, tally=riders.tally, requests=requests, grace=10, **pace)
    pool.close()
    await riders.disconnect()
    assert (result["sent"], result["answered"], result["lost"], result["duplicates"]) == (40, 40, 0, 0)
    assert riders.registered == set()


def load(*, p99, held=True, per_second=100.0):
    counts = dict.fromkeys(("lost", "duplicates", "misdirected", "unanswered"), 0)
    times = {"p50": 1.0, "p90": 2.0, "p99": p99, "max": 9.0}
    return counts | {
        "sent": 10,
        "answered": 10,
        "cpu_ms": 1.0,
        "held": held,
        "frame_ms": times,
        "answer_ms": times,
        "late_ms": times,
        "per_second": per_second,
        "generator_share": 0.1,
    }


def turn(subject, *, per_second, p99):
    paced = {"100": load(p99=5.0), "400": load(p99=p99, held=p99 is not None)}
    memory = {"0": 0, "200": 1000, "1000": 9000}
    figures = {
        "connections": {"idle_kib": 10.0, "cpu_ms": 1.0, "memory_kib": memory},
        "paced": paced,
        "throughput": load(p99=5.0, per_second=per_second),
    }
    return {"subject": subject, "figures": figures}


@pytest.fixture
def runs():
    turns = [
        *(turn("service", per_second=rate, p99=5.0) for rate in (1500, 1300, 1200)),
        *(turn("node", per_second=1000, p99=p99) for p99 in (12.0, 11.0, 90.0)),
        *(turn("channels", per_second=100, p99=None) for _ in range(3)),
    ]
    check = {"closed": load(p99=1.0), "paced": load(p99=1.0), "rate": 1600}
    return Runs(runs=[{"made": "today", "self_check": check, "turns": turns}])


def test_medians_ratios_and_goals_follow_from_the_repetitions(runs):
    assert runs.median("service", "throughput") == 1300
    assert runs.ratio("throughput", to="node") == 1.3
    throughput, latency, *_ = (runs.judge(goal) for goal in GOALS)
    assert throughput == (True, 1300, 1250)
    assert latency == (True, 5.0, 6.0)


def test_who_cannot_hold_a_rate_has_no_latency_and_no_ratio(runs):
    assert math.isinf(runs.median("channels", "p99_400"))
    assert runs.ratio("p99_400", to="channels") is None


def test_a_goal_without_its_peer_is_not_judged(runs):
    cpu = next(goal for goal in GOALS if goal.metric == "cpu")
    assert runs.judge(cpu) is None


def test_the_tables_and_the_plots_need_no_more_than_the_raw_figures(runs, tmp_path):
    again = Runs(runs=json.loads(json.dumps(runs.runs)))
    medians = grids(again)[0].markdown()
    assert "| Webhooks/s, 24 in flight | 1,300 (1,200 to 1,500) | 1,000 (1,000 to 1,000) |" in medians
    assert "cannot" in medians
    assert [path.name for path in draw(again, folder=tmp_path)] == [
        "latency.svg",
        "throughput.svg",
        "memory.svg",
    ]
