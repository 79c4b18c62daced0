"""The ingest loop, driven by hand: its steps, when it commits, and how it starts and ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consumers.errors import LedgerUnavailable, LogUnavailable
from consumers.pace import SECOND_US
from consumers.ports import Partition
from consumers.worker import Step
from tests.consumers.gates import Gate, Killed, turns
from tests.consumers.worlds import EAGER, TOPIC, World, definitions, event, packed, recount

FIRST = Partition(TOPIC, 0)
GOOD = packed(event())
PATIENT = replace(EAGER, flush_after_us=SECOND_US // 2, flush_records=3, flush_letter_bytes=1_000)
STEPS: tuple[Step, ...] = ("fetched", "decoded", "dead_letters_sent", "committing", "committed", "hinted")


def spans(world: World) -> list[tuple[int, int]]:
    return [(entry.read_from, entry.next_offset) for entry in world.ledger.entries]


# ------------------------------------------------------------------------------------------------------------- steps


async def test_a_batch_goes_through_every_step_in_order() -> None:
    """Dead letters are safe before the offset moves on, and the hint comes last."""
    world, gate = World(1), Gate()
    world.send(GOOD)
    world.send(b"{")
    worker, _ = world.worker(steps=gate)

    await world.settled([worker])
    await turns(worker, 1)

    assert gate.seen[:3] == ["fetched", "fetched", "decoded"]  # the first one brought the partitions
    assert [step for step in gate.seen if step in STEPS[2:]] == list(STEPS[2:])
    assert world.broker.hints == {FIRST: 2}


@pytest.mark.parametrize("step", STEPS)
async def test_whoever_comes_after_a_death_at_any_step_counts_everything_once(step: Step) -> None:
    """Letters of work that is done again come again; counts do not."""
    world = World(1)
    sent = [GOOD, b"{", GOOD]
    for value in sent:
        world.send(value)
    worker, log = world.worker(steps=Gate(deadly=step))
    with pytest.raises(Killed):
        await turns(worker, 10)
    world.broker.leave(log)

    heir, _ = world.worker("heir")
    await world.settled([heir])

    assert world.ledger.counts() == recount(sent)
    assert world.chains()
    assert {letter.record.offset for letter in world.letters.sent} == {1}


async def test_the_first_commit_is_told_once() -> None:
    """Wiring freezes the garbage collector there."""
    world, told = World(1), []
    world.send(GOOD)
    worker, _ = world.worker()
    worker._warmed = lambda: told.append(len(world.ledger.entries))
    await world.settled([worker])
    world.send(GOOD)
    await world.settled([worker])

    assert told == [1]


# ------------------------------------------------------------------------------------------------------------ flushes


async def test_a_commit_waits_until_the_oldest_record_has_waited_long_enough() -> None:
    """The price of a transaction is paid twice a second, not per batch."""
    world = World(1, PATIENT)
    worker, _ = world.worker()
    world.send(GOOD)
    await turns(worker, 5)
    world.clock.now_us += PATIENT.flush_after_us - 1
    world.send(GOOD)
    await turns(worker, 5)
    assert spans(world) == []

    world.clock.now_us += 1
    await turns(worker, 2)

    assert spans(world) == [(0, 2)]


@pytest.mark.parametrize(
    ("values", "flushes"), [([GOOD] * 2, False), ([GOOD] * 3, True), ([b"{"], False), ([b"{" * 1_000], True)]
)
async def test_a_commit_comes_earlier_when_much_is_waiting(values: list[bytes], flushes: bool) -> None:
    """Many records, or dead letters that take memory."""
    world = World(1, PATIENT)
    worker, _ = world.worker()
    for value in values:
        world.send(value)

    await turns(worker, 3)

    assert bool(spans(world)) == flushes


async def test_reading_goes_on_while_a_commit_is_in_flight_but_not_without_end() -> None:
    """Twice as many as a flush takes; then the loop waits for the commit."""
    world, gate = World(1, replace(PATIENT, fetch_records=1)), Gate(held="committing")
    worker, _ = world.worker(steps=gate)
    for _ in range(20):
        world.send(GOOD)
    await turns(worker, 3)
    assert worker._commit is None
    reader = asyncio.create_task(turns(worker, 20))
    for _ in range(200):
        await asyncio.sleep(0)

    assert not reader.done()
    assert world.broker.bounds(FIRST) == (0, 20)
    assert worker._readings[FIRST].position == 3 + 2 * PATIENT.flush_records
    gate.opened.set()
    await reader
    assert spans(world)[:2] == [(0, 3), (3, 9)]


async def test_a_fetch_waits_no_longer_than_the_next_commit_can() -> None:
    """A page may not wait for traffic."""
    world = World(1, replace(PATIENT, fetch_timeout_us=400_000))
    worker, log = world.worker()
    asked: list[int] = []
    fetch = log.fetch

    async def spied(timeout_us: int, max_records: int) -> Any:
        asked.append(timeout_us)
        return await fetch(0, max_records)

    log.fetch = spied  # type: ignore[method-assign]
    await turns(worker, 1)
    world.send(GOOD)
    await turns(worker, 1)
    for wait_us in (0, 300_000, 100_000):
        world.clock.now_us += wait_us
        await turns(worker, 1)

    assert asked == [400_000, 400_000, 400_000, 200_000, 100_000]


async def test_offsets_without_records_are_committed_too() -> None:
    """Entries chain, whether anything was counted or not."""
    world = World(1)
    world.send(GOOD)
    world.broker.pass_offsets(FIRST, 4)
    worker, _ = world.worker()

    await world.settled([worker])
    world.broker.pass_offsets(FIRST, 2)
    await world.settled([worker])

    assert spans(world) == [(0, 5), (5, 7)]
    assert world.ledger.entries[1].records == 0


# -------------------------------------------------------------------------------------------------------- definitions


async def test_a_hint_of_new_definitions_that_are_the_old_ones_costs_no_work() -> None:
    """Several processes hint at the same change."""
    world = World(1, PATIENT)
    worker, _ = world.worker()
    world.send(GOOD)
    await turns(worker, 1)

    worker.definitions_changed()
    await turns(worker, 1)

    assert worker._readings[FIRST].position == 1


async def test_what_was_matched_by_older_definitions_is_read_again() -> None:
    """Everything counts by the rules in force when it is committed."""
    world = World(1, PATIENT)
    worker, _ = world.worker()
    world.send(GOOD)
    await turns(worker, 1)
    newer = definitions(2, definitions().rules[:1])
    world.definitions.current, world.ledger.revision = newer, 2

    worker.definitions_changed()
    world.clock.now_us += SECOND_US
    await turns(worker, 5)
    world.clock.now_us += SECOND_US
    await turns(worker, 3)

    assert world.ledger.counts() == recount([GOOD], newer.rules)


async def test_a_commit_that_definitions_have_overtaken_loads_them() -> None:
    """Nobody hinted."""
    world = World(1)
    world.send(GOOD)
    worker, _ = world.worker()
    await turns(worker, 1)
    world.definitions.current, world.ledger.revision = definitions(2), 2

    await world.settled([worker])

    assert world.ledger.counts() == recount([GOOD])
    assert spans(world) == [(0, 1)]


async def test_definitions_that_are_away_are_asked_for_again() -> None:
    """Nothing is read before they are there."""
    world, gate = World(1), Gate()
    world.send(GOOD)
    world.definitions.faults.queue.extend([LedgerUnavailable("away")] * 2)
    worker, _ = world.worker(steps=gate)

    await turns(worker, 2)
    assert gate.seen == []

    await world.settled([worker])
    assert spans(world) == [(0, 1)]


# -------------------------------------------------------------------------------------------------- beginning and end


async def test_a_worker_that_is_stopped_commits_what_it_has_and_leaves() -> None:
    """Nobody has to read it again."""
    world = World(2, PATIENT)
    world.send(GOOD)
    gate = Gate()
    worker, log = world.worker(steps=gate)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while "decoded" not in gate.seen:
            await asyncio.sleep(0)
    assert worker.partitions == {FIRST, Partition(TOPIC, 1)}

    await worker.stop()

    assert running.done()
    assert spans(world) == [(0, 1)]
    assert worker.partitions == frozenset()
    assert not world.broker.is_member(log)


async def test_a_worker_that_never_ran_is_stopped_at_once() -> None:
    """Start-up may fail before it."""
    worker, _ = World(1).worker()

    await worker.stop()
    await worker.run()

    assert worker.partitions == frozenset()


async def test_a_worker_that_is_stopped_while_the_ledger_is_away_does_not_wait_for_it() -> None:
    """Its work is read again by whoever is next."""
    world = World(1, replace(EAGER, first_retry_us=600 * SECOND_US, last_retry_us=600 * SECOND_US))
    world.send(GOOD)
    world.ledger.faults.queue.extend([LedgerUnavailable("away")] * 50)
    worker, _ = world.worker()
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while len(world.ledger.faults.queue) == 50:
            await asyncio.sleep(0)

        await worker.stop()
        await running

    assert spans(world) == []


@pytest.mark.parametrize("held", [None, "committing"])
async def test_an_error_that_is_not_ingests_own_ends_the_worker_loudly(held: Step | None) -> None:
    """And the group, so that somebody else may try; a commit in flight is not waited for."""
    world = World(1)
    world.send(GOOD)
    gate = Gate(held=held)
    worker, log = world.worker(steps=gate)

    async def broken() -> None:
        raise ZeroDivisionError

    if held is None:
        world.definitions.load = broken  # type: ignore[method-assign, assignment]
    else:

        async def breaks(*_: object) -> Any:
            if "committing" in gate.seen:
                raise ZeroDivisionError
            return await type(log).fetch(log, 0, 10)

        log.fetch = breaks  # type: ignore[method-assign]

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10):
            await worker.run()

    assert not world.broker.is_member(log)
    await worker.stop()
    assert spans(world) == []


async def test_an_unexpected_error_of_a_commit_is_raised() -> None:
    """It is not swallowed with the task that it happened in."""
    world = World(1)
    world.send(GOOD)
    worker, _ = world.worker()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    world.ledger.commit = broken  # type: ignore[method-assign, assignment]

    with pytest.raises(ZeroDivisionError):
        await worker.run()


async def test_a_log_that_cannot_be_joined_is_tried_again() -> None:
    """The brokers may start after us."""
    world = World(1)
    world.send(GOOD)
    worker, log = world.worker()
    log.faults.queue.append(LogUnavailable("away"))

    await world.settled([worker])

    assert spans(world) == [(0, 1)]
