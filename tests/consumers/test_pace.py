"""How ingest behaves while something is away: polling stops, retries back off, and it is said once."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.errors import LedgerUnavailable, LogUnavailable
from consumers.pace import Away, Pace
from tests.consumers.gates import Gate, turns
from tests.consumers.worlds import World, event, packed, recount

GOOD = packed(event())
ERROR = LedgerUnavailable("refused")


def test_what_is_away_is_said_once_and_once_when_it_is_back(said: list[MutableMapping[str, Any]]) -> None:
    """However often it was tried."""
    away = Away("ledger", Pace())

    for _ in range(3):
        away.failed(ERROR)
    for _ in range(3):
        away.answered()
    away.failed(ERROR)

    assert [line["action"] for line in said] == ["dependency_away", "dependency_back", "dependency_away"]
    assert said[0]["dependency"] == "ledger"
    assert said[0]["error"] == "refused"
    assert said[1]["attempts"] == 3


@pytest.mark.parametrize(("attempts", "wait_us"), [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000)])
def test_the_wait_doubles_up_to_its_bound(attempts: int, wait_us: int) -> None:
    """From the first failure on."""
    away = Away("log", Pace(first_retry_us=100, last_retry_us=1_000))
    for _ in range(attempts):
        away.failed(ERROR)

    assert away.retry_us(0.0) == wait_us


def test_an_answer_begins_the_waits_anew() -> None:
    """The next trouble is another one."""
    away = Away("log", Pace(first_retry_us=100, last_retry_us=1_000))
    for _ in range(5):
        away.failed(ERROR)
    away.answered()
    away.failed(ERROR)

    assert away.retry_us(0.0) == 100


@given(attempts=st.integers(0, 100), jitter=st.floats(0, 1, exclude_max=True))
def test_the_wait_is_spread_over_its_upper_half(attempts: int, jitter: float) -> None:
    """Workers that lost the same database do not come back in step; nor does one hammer."""
    away = Away("log", Pace(first_retry_us=100, last_retry_us=1_000))
    away._attempts = attempts
    full = away.retry_us(0.0)

    assert full / 2 <= away.retry_us(jitter) <= full <= 1_000


async def test_polling_stops_while_the_ledger_is_away_and_goes_on_when_it_is_back() -> None:
    """What cannot be committed need not be read; nothing piles up, and nothing is lost."""
    world, gate = World(1), Gate()
    worker, _ = world.worker(steps=gate)
    world.send(GOOD)
    await world.settled([worker])
    await turns(worker, 2)
    world.ledger.faults.queue.extend([ERROR] * 20)
    world.send(GOOD)
    await turns(worker, 5)
    gate.seen.clear()

    world.send(GOOD)
    await turns(worker, 10)
    assert gate.seen == []
    assert worker._readings[next(iter(worker.partitions))].pending_records == 0

    world.ledger.faults.queue.clear()
    await world.settled([worker])
    assert world.ledger.counts() == recount([GOOD] * 3)


async def test_a_commit_whose_answer_was_lost_is_looked_up() -> None:
    """It had been written: nothing of it counts twice."""
    world = World(1)
    worker, _ = world.worker()
    world.ledger.lost_answers.queue.append(ERROR)
    world.send(GOOD)
    world.send(b"{")

    await world.settled([worker])
    world.send(GOOD)
    await world.settled([worker])

    assert world.ledger.counts() == recount([GOOD] * 2)
    assert world.chains()


async def test_dead_letters_that_cannot_be_sent_hold_the_offset() -> None:
    """They are safe before it moves on."""
    world = World(1)
    worker, _ = world.worker()
    world.letters.faults.queue.extend([LogUnavailable("away")] * 2)
    world.send(b"{")
    await turns(worker, 4)
    assert world.ledger.entries == []

    await world.settled([worker])

    assert len(world.letters.sent) == 1
    assert world.ledger.entries[0].dead == 1


async def test_a_wait_ends_when_the_worker_is_stopped() -> None:
    """Not after ten minutes."""
    minutes = 600_000_000
    world = World(1, replace(Pace(), first_retry_us=minutes, last_retry_us=minutes))
    worker, log = world.worker()
    log.faults.queue.extend([LogUnavailable("away")] * 9)
    running = asyncio.create_task(worker.run())

    async with asyncio.timeout(10):
        while len(log.faults.queue) == 9:
            await asyncio.sleep(0)
        await worker.stop()
        await running

    assert len(log.faults.queue) == 8
