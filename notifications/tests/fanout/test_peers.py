"""Processes that use one channel layer, and whether each hears the others. Rounds are made by hand here."""

import pytest
from channels.db import database_sync_to_async
from django.db import connection

from notifications import metrics
from notifications.fanout import peers
from notifications.fanout.peers import UNHEARD_ROUNDS, UNHEARD_ROUNDS_MAX, Peers
from notifications.models import Listener
from notifications.tests.conftest import held_by, layer_in_use, redis_layer, total

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


class Process:
    """A process with its peers. What it says gets to `hearers`."""

    def __init__(self, name, layers, *, patience=UNHEARD_ROUNDS):
        self.peers = Peers()
        self.peers._name, self.peers._patience = name, patience
        self.group = self.peers.begin()
        self.hearers = []
        self._layers = layers

    async def makes_a_round(self):
        layer = layer_in_use()
        channel = await layer.new_channel()
        await layer.group_add(self.group, channel)
        self.peers.start_round(layer)
        await self.peers._task
        await layer.group_discard(self.group, channel)
        while not held_by(layer).channels[channel].empty():
            message = await layer.receive(channel)
            for hearer in self.hearers:
                hearer.peers.hear(message)


@pytest.fixture
def a_and_b(valkey, settings):
    settings.CHANNEL_LAYERS = redis_layer(valkey.port)
    return Process("a", settings), Process("b", settings)


async def test_who_hear_each_other_stay_as_they_are(a_and_b):
    a, b = a_and_b
    a.hearers, b.hearers = [a, b], [a, b]
    for _ in range(3 * UNHEARD_ROUNDS):
        await a.makes_a_round()
        await b.makes_a_round()
    assert not a.peers.is_split
    assert not b.peers.is_split


async def test_who_do_not_hear_each_other_notice_it_in_a_few_rounds(a_and_b):
    a, b = a_and_b
    splits = total(metrics.SPLIT)
    await b.makes_a_round()
    for _ in range(UNHEARD_ROUNDS):
        assert not a.peers.is_split
        await a.makes_a_round()
        await b.makes_a_round()
    assert a.peers.is_split
    assert b.peers.is_split
    assert total(metrics.SPLIT) == splits + 2


async def test_who_has_opened_its_line_anew_is_heard_as_before(a_and_b):
    a, b = a_and_b
    a.hearers, b.hearers = [b], [a]
    for _ in range(2 * UNHEARD_ROUNDS):
        await a.makes_a_round()
        await b.makes_a_round()
    b.peers.begin()
    for _ in range(2 * UNHEARD_ROUNDS):
        await b.makes_a_round()
        await a.makes_a_round()
    assert not a.peers.is_split
    assert not b.peers.is_split


async def test_a_process_that_nobody_hears_is_notified(a_and_b):
    """It publishes to a replica of the Redis that the others are on, and hears what comes from there."""
    a, b = a_and_b
    b.hearers = [a]
    for _ in range(UNHEARD_ROUNDS + 1):
        await a.makes_a_round()
        await b.makes_a_round()
    assert b.peers.is_split
    assert a.peers.is_split


async def test_who_dies_or_stands_still_is_missed_by_nobody(a_and_b, monkeypatch):
    a, b = a_and_b
    a.hearers, b.hearers = [b], [a]
    await b.makes_a_round()
    for _ in range(UNHEARD_ROUNDS - 1):
        await a.makes_a_round()
    await age("b", seconds=peers.LISTED_SECONDS)
    for _ in range(2 * UNHEARD_ROUNDS):
        await a.makes_a_round()
    assert not a.peers.is_split
    await b.makes_a_round()  # it goes on
    await a.makes_a_round()
    assert not a.peers.is_split


@database_sync_to_async
def age(name, *, seconds):
    """Let so much time pass for what a process wrote down."""
    interval = f"- interval '{seconds} seconds'"
    then = (
        f"seen_at {interval}"
        if connection.vendor == "postgresql"
        else f"datetime(seen_at, '-{seconds} seconds')"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE notifications_listener SET seen_at = {then} WHERE name = %s", [name])


async def test_where_connecting_anew_does_not_help_it_is_tried_less_and_less_often(a_and_b, settings):
    patience, tries = UNHEARD_ROUNDS, []
    for _ in range(8):
        process = Process("a", settings, patience=patience)
        process.peers._judge({"b"})
        rounds = 1
        while not process.peers._judge({"b"}):
            rounds += 1
        process.peers._split()
        tries.append(rounds + 1)
        patience = process.peers._patience
    assert tries == [3, 6, 12, 24, 48, 96, 150, 150]
    assert tries[-1] == UNHEARD_ROUNDS_MAX


async def test_once_all_are_heard_it_is_tried_soon_again(a_and_b, settings):
    a, b = Process("a", settings, patience=UNHEARD_ROUNDS_MAX), Process("b", settings)
    a.hearers, b.hearers = [b], [a]
    await b.makes_a_round()
    await a.makes_a_round()
    assert a.peers._patience == UNHEARD_ROUNDS


async def test_what_was_said_before_and_is_played_again_is_no_sign_of_life(a_and_b):
    a, b = a_and_b
    b.hearers = [a]
    await b.makes_a_round()
    old = {"type": "listener.hello", "name": "b", "round": 1}
    b.hearers = []
    for _ in range(UNHEARD_ROUNDS + 1):
        await b.makes_a_round()
        a.peers.hear(old)
        await a.makes_a_round()
    assert a.peers.is_split


async def test_of_processes_that_ended_long_ago_nothing_is_kept(a_and_b):
    a, b = a_and_b
    await b.makes_a_round()
    await age("b", seconds=2 * 3600)
    await a.makes_a_round()
    names = database_sync_to_async(lambda: list(Listener.objects.values_list("name", flat=True)))
    assert await names() == ["a"]


def complaint(of, number):
    return {"type": "listener.unheard", "group": "listener.test", "name": "b", "round": number, "names": of}


def test_a_complaint_that_comes_again_changes_nothing():
    """Whoever can write to Redis can send what was said there once more."""
    peers = Peers()
    peers._name = "a"
    before = total(metrics.SPLIT)
    for _ in range(5):
        peers.begin()
        peers.hear(complaint("a", 7))
    assert total(metrics.SPLIT) - before == 1
    peers.hear(complaint("a", 8))
    assert total(metrics.SPLIT) - before == 2
