"""What the benchmarks count and conclude. No benchmark runs here."""

import asyncio
import json
import math
import re
import subprocess
import sys
import time

import pytest

from benchmarks import recorded
from benchmarks.costs import each
from benchmarks.figures import Runs
from benchmarks.load.http import Connection, Pool
from benchmarks.load.loops import closed_loop, open_loop
from benchmarks.load.requests import webhook
from benchmarks.load.riders import Riders
from benchmarks.load.tally import Tally, spread
from benchmarks.load.websocket import Client, masked
from benchmarks.metrics import GOALS, MACHINE, metric_of
from benchmarks.plots import draw
from benchmarks.processes import cpu_seconds
from benchmarks.quick import conclude, multiples
from benchmarks.rides import number_in, ride
from benchmarks.services import answering
from benchmarks.tables import grids
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
async def test_all_that_is_sent_is_answered_and_delivered_once(port, loop, pace):
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


def load(*, p99, held=True, per_second=100.0, parts=(1.0, 0.5, 0.1)):
    counts = dict.fromkeys(("lost", "duplicates", "misdirected", "unanswered"), 0)
    times = {"p50": 1.0, "p90": 2.0, "p99": p99, "max": 9.0}
    return (
        counts
        | costs(*parts)
        | {
            "sent": 10,
            "answered": 10,
            "held": held,
            "frame_ms": times,
            "answer_ms": times,
            "late_ms": times,
            "per_second": per_second,
            "generator_share": 0.1,
        }
    )


def costs(workers, postgresql, valkey):
    used = {"cpu_seconds": workers, "postgresql_seconds": postgresql, "valkey_seconds": valkey}
    return each(used | {"wal_bytes": 2_000_000}, count=1000)


def turn(subject, *, per_second, p99, parts=(1.0, 0.5, 0.1)):
    paced = {
        "100": load(p99=5.0, parts=parts),
        "400": load(p99=p99, held=p99 is not None, parts=parts),
    }
    memory = {"0": 0, "200": 1000, "1000": 9000}
    figures = {
        "connections": {"idle_kib": 10.0, "memory_kib": memory} | costs(*parts),
        "paced": paced,
        "throughput": load(p99=5.0, per_second=per_second),
        "payments": load(p99=5.0, per_second=per_second),
        "slow_payments": load(p99=p99, per_second=per_second),
    }
    return {"subject": subject, "figures": figures}


@pytest.fixture
def runs():
    turns = [
        *(turn("service", per_second=rate, p99=5.0) for rate in (1500, 1300, 1200)),
        *(turn("node", per_second=1000, p99=p99) for p99 in (12.0, 11.0, 90.0)),
        *(turn("channels", per_second=100, p99=None) for _ in range(3)),
    ]
    return Runs(runs=[run(turns)])


def run(turns):
    check = {"closed": load(p99=1.0), "paced": load(p99=1.0), "rate": 1600}
    return {"made": "today", "self_check": check, "turns": turns}


def without_the_databases(runs):
    """Return the same figures as older runs have them: with the CPU of the workers alone, and no slow Stripe."""
    text = json.dumps(runs.runs)
    added = r'"(postgresql_ms|valkey_ms|machine_ms|wal_each)": [0-9.e-]+, '
    again = Runs(runs=json.loads(re.sub(added, "", text)))
    for turn in again.runs[0]["turns"]:
        del turn["figures"]["slow_payments"]
    return again


def goal(metric):
    return next(goal for goal in GOALS if goal.metric == metric)


def test_the_cost_of_one_is_the_sum_of_the_workers_postgresql_and_valkey():
    cost = each(
        {"cpu_seconds": 2.0, "postgresql_seconds": 1.0, "valkey_seconds": 0.5, "wal_bytes": 6000}, count=1000
    )
    assert cost == {
        "cpu_ms": 2.0,
        "postgresql_ms": 1.0,
        "valkey_ms": 0.5,
        "machine_ms": 3.5,
        "wal_each": 6.0,
    }


def test_medians_ratios_and_goals_follow_from_the_repetitions(runs):
    assert runs.median("service", "throughput") == 1300
    assert runs.ratio("throughput", to="node") == 1.3
    assert runs.judge(goal("throughput")) == (True, 1300, 1250)
    assert runs.judge(goal("p99_400")) == (True, 5.0, 6.0)


def test_the_service_is_held_to_the_cpu_of_the_whole_machine():
    turns = [
        turn("service", per_second=1, p99=1.0, parts=(1.0, 0.9, 0.2)),
        turn("fastapi", per_second=1, p99=1.0, parts=(1.5, 0.4, 0.1)),
    ]
    for name in ("100", "400", "register"):
        holds, ours, bound = Runs(runs=[run(turns)]).judge(goal(metric_of(name, MACHINE)))
        assert (holds, round(ours, 6), round(bound, 6)) == (False, 2.1, 2.0)


def test_who_cannot_hold_a_rate_has_no_latency_no_cpu_and_no_ratio(runs):
    assert math.isinf(runs.median("channels", "p99_400"))
    assert math.isinf(runs.median("channels", metric_of("400", MACHINE)))
    assert math.isinf(runs.median("channels", "slow_payments_p99"))
    assert runs.ratio("p99_400", to="channels") is None


def test_a_goal_without_its_peer_is_not_judged(runs):
    assert runs.judge(goal(metric_of("100", MACHINE))) is None


def test_a_service_that_cannot_misses_a_goal_whatever_its_peers_can_do():
    turns = [turn(subject, per_second=1, p99=None) for subject in ("service", "node")]
    assert runs_of(turns).judge(goal("p99_400")) == (False, math.inf, math.inf)


def runs_of(turns):
    return Runs(runs=[run(turns)])


def test_a_frame_that_the_service_lost_misses_a_goal(runs):
    assert "| Nothing lost | 0 | 0 | yes |" in table(runs, "Goals")
    runs.runs[0]["turns"][0]["figures"]["slow_payments"]["lost"] = 2
    assert "| Nothing lost | 2 | 0 | NO |" in table(runs, "Goals")


def table(runs, title):
    return next(grid.markdown() for grid in grids(runs) if grid.title.startswith(title))


def test_the_tables_and_the_plots_need_no_more_than_the_raw_figures(runs, tmp_path):
    again = Runs(runs=json.loads(json.dumps(runs.runs)))
    medians = table(again, "Medians")
    assert "| Webhooks/s, 24 in flight | 1,300 (1,200 to 1,500) | 1,000 (1,000 to 1,000) |" in medians
    assert "cannot" in medians
    parts = "1.00 + 0.50 + 0.10"
    assert f"| CPU per webhook at 400/s (ms) | {parts} | {parts} | cannot |" in table(again, "Whose CPU")
    assert [path.name for path in draw(again, folder=tmp_path)] == [
        "cpu.svg",
        "latency.svg",
        "throughput.svg",
        "memory.svg",
    ]


def test_older_runs_that_counted_the_workers_alone_are_shown_with_blanks(runs, tmp_path):
    older = without_the_databases(runs)
    assert "| CPU per webhook at 100/s, whole machine (ms) |  |  |  |" in table(older, "Medians")
    assert "| Webhooks/s, 24 in flight | 1,300 (" in table(older, "Medians")
    assert older.median("channels", metric_of("400", MACHINE)) is None
    assert [grid.title for grid in grids(older) if "CPU" in grid.title or "WAL" in grid.title] == []
    assert [path.name for path in draw(older, folder=tmp_path)] == [
        "latency.svg",
        "throughput.svg",
        "memory.svg",
    ]


def test_the_cpu_of_one_subject_that_was_not_measured_leaves_the_others_bars(tmp_path, runs):
    mixed = Runs(
        runs=[*runs.runs, *without_the_databases(runs_of([turn("fastapi", per_second=1, p99=1.0)])).runs]
    )
    text = draw(mixed, folder=tmp_path)[0].read_text()
    assert text.count("not measured") >= 2
    assert "1.60" in text


def quick(*, webhook, push=0.002, payment=1.5):
    """Return raw figures of three things that cost so many yardsticks."""
    multiples = {"webhook": webhook, "push": push, "new payment": payment}
    sticks = [7.0, 8.0, 40.0]
    return {
        name: {"cpu_ms": [multiple], "postgresql_ms": [multiple], "valkey_ms": [0.0], "yardstick": sticks}
        | {
            "machine_ms": [
                multiple * stick * noise for stick, noise in zip(sticks, (1, 1.5, 0.5), strict=True)
            ]
        }
        for name, multiple in multiples.items()
    }


RECORDED = {"webhook": 0.6, "push": 0.002, "new payment": 1.5}


def test_a_cost_is_a_multiple_of_the_yardstick_of_the_same_moment():
    assert multiples(quick(webhook=0.6)) == pytest.approx(RECORDED)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"webhook": 0.75}, "A webhook costs 25% more than recorded: 0.75 yardsticks, not 0.6."),
        ({"push": 0.003}, "A push costs 50% more than recorded: 0.003 yardsticks, not 0.002."),
        ({"new payment": 3.0}, "A new payment costs 100% more than recorded: 3 yardsticks, not 1.5."),
    ],
)
def test_what_costs_a_quarter_more_than_recorded_is_named_with_how_to_record_anew(changed, said):
    first, *_, last = recorded.faults(RECORDED | changed, recorded=RECORDED)
    assert first == said
    assert "`python -m benchmarks.quick --record`" in last


def test_what_costs_less_or_a_little_more_than_recorded_is_let_pass():
    assert recorded.faults({"webhook": 0.74, "push": 0.001, "new payment": 1.8}, recorded=RECORDED) == []


def test_what_nothing_is_recorded_of_is_a_fault_and_not_let_pass():
    first, *_ = recorded.faults({"webhook": 0.6}, recorded={})
    assert first == "A webhook costs 0.6 yardsticks, and nothing is recorded to compare it with."


def test_what_is_recorded_is_what_later_runs_are_held_to(tmp_path):
    path = tmp_path / "recorded.json"
    assert recorded.read(path) == {}
    recorded.write({"webhook": 0.5987654}, path=path)
    assert recorded.read(path) == {"webhook": 0.5988}


def test_a_multiple_is_recorded_of_each_thing_that_is_measured():
    assert recorded.read().keys() == multiples(quick(webhook=0.6)).keys()


@pytest.mark.parametrize(("webhook", "record", "code"), [(0.7, False, 0), (0.8, False, 1), (0.8, True, 0)])
def test_the_command_exits_with_1_where_a_cost_rose_unless_it_is_recorded(
    tmp_path, capsys, webhook, record, code
):
    path = tmp_path / "recorded.json"
    recorded.write(RECORDED, path=path)
    assert conclude(quick(webhook=webhook), record=record, path=path) == code
    said = capsys.readouterr()
    assert ("A webhook costs 33% more than recorded" in said.err) is bool(code)
    assert "new payment" in said.out
    assert recorded.read(path)["webhook"] == (0.8 if record else 0.6)


async def test_stripe_takes_as_long_as_it_was_asked_to_and_no_longer_afterwards():
    with answering("benchmarks.stripe") as stripe_port:
        pool = Pool(host="127.0.0.1", port=stripe_port)
        await pool.open(1)
        assert await seconds_of(pool, b"PUT /delay/150") < 0.15
        assert await seconds_of(pool, b"POST /v1/checkout/sessions") >= 0.149
        assert await seconds_of(pool, b"PUT /delay/0") < 0.15
        assert await seconds_of(pool, b"POST /v1/checkout/sessions") < 0.15
        pool.close()


async def seconds_of(pool, line):
    """Return how long an answer takes: the least of three, since a busy machine adds to each."""
    took = []
    for _ in range(3):
        answered, began = asyncio.get_running_loop().create_future(), time.perf_counter()
        pool.send(
            line + b" HTTP/1.1\r\nHost: stripe\r\n\r\n", lambda status, _, to=answered: to.set_result(status)
        )
        assert await asyncio.wait_for(answered, 10) == 200
        took.append(time.perf_counter() - began)
    return min(took)


WORK = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_the_cpu_of_a_process_counts_its_children_that_run_and_those_that_ended():
    wait = "input()\n"
    script = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {WORK!r}], check=True)
running = subprocess.Popen([sys.executable, "-c", {WORK + wait!r}], stdin=subprocess.PIPE)
{WORK}
{wait}
running.communicate(b"\\n")
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while cpu_seconds(process.pid) < 0.85 and time.monotonic() < deadline:
            time.sleep(0.02)
        used = cpu_seconds(process.pid)
        process.communicate("\n")
    assert 0.85 <= used < 3
    assert cpu_seconds(process.pid) == 0
