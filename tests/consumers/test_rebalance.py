"""Partitions come and go: work in flight is committed in time or thrown away, and nothing is lost either way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consumers.errors import DefinitionsMoved, IngestError, LedgerUnavailable
from consumers.pace import SECOND_US
from consumers.ports import Partition, Position
from tests.consumers.gates import Gate, turns
from tests.consumers.worlds import EAGER, TOPIC, World, event, packed, recount

FIRST, SECOND = Partition(TOPIC, 0), Partition(TOPIC, 1)
GOOD = packed(event())
PATIENT = replace(EAGER, flush_after_us=SECOND_US // 2, flush_records=100)


def spans(world: World) -> list[tuple[int, int]]:
    return [(entry.read_from, entry.next_offset) for entry in world.ledger.entries]


async def test_what_was_read_of_a_partition_is_committed_before_it_is_given_up() -> None:
    """The others of the worker are not disturbed."""
    world = World(2, PATIENT)
    world.send(GOOD, 0)
    world.send(GOOD, 1)
    worker, _ = world.worker()
    await turns(worker, 2)

    await worker.revoked([FIRST])

    assert [(entry.partition, entry.next_offset) for entry in world.ledger.entries] == [(FIRST, 1)]
    assert worker.partitions == {SECOND}
    world.clock.now_us += SECOND_US
    await turns(worker, 2)
    assert len(world.ledger.entries) == 2


async def test_a_partition_with_nothing_to_commit_is_just_given_up() -> None:
    """Nor does one that was never ours disturb."""
    world = World(1)
    worker, _ = world.worker()
    await turns(worker, 2)

    await worker.revoked([FIRST, Partition(TOPIC, 9)])

    assert spans(world) == []
    assert worker.partitions == frozenset()


async def test_a_partition_given_up_before_it_was_placed_has_nothing_to_commit() -> None:
    """Rebalances follow each other."""
    world = World(1)
    worker, _ = world.worker()
    await worker.assigned([FIRST])

    await worker.revoked([FIRST])

    assert spans(world) == []


async def test_a_commit_in_flight_is_waited_for_and_followed_by_the_rest() -> None:
    """In the order of the offsets."""
    world, gate = World(1, replace(EAGER, flush_after_us=SECOND_US, flush_records=1)), Gate(held="committing")
    worker, _ = world.worker(steps=gate)
    world.send(GOOD)
    await turns(worker, 3)
    assert "committing" in gate.seen
    world.send(GOOD)
    await turns(worker, 1)
    assert worker._readings[FIRST].position == 2

    leaving = asyncio.create_task(worker.revoked([FIRST]))
    await asyncio.sleep(0)
    gate.opened.set()
    await leaving

    assert spans(world) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), DefinitionsMoved("moved")])
async def test_what_follows_a_commit_that_failed_is_thrown_away(error: IngestError) -> None:
    """As the first entry of a partition it would be taken, and what the failed one held would never be read."""
    world, gate = World(1, replace(EAGER, flush_after_us=SECOND_US, flush_records=1)), Gate(held="committing")
    worker, _ = world.worker(steps=gate)
    world.send(GOOD)
    await turns(worker, 3)
    assert "committing" in gate.seen
    world.send(GOOD)
    await turns(worker, 1)
    assert worker._readings[FIRST].position == 2
    world.ledger.faults.queue.append(error)

    leaving = asyncio.create_task(worker.revoked([FIRST]))
    await asyncio.sleep(0)
    gate.opened.set()
    await leaving

    assert spans(world) == []
    heir, _ = world.worker("heir")
    world.broker.leave(worker._log)  # type: ignore[arg-type]
    await world.settled([heir])
    assert world.ledger.counts() == recount([GOOD, GOOD])


async def test_a_commit_that_the_loop_settles_meanwhile_is_waited_for_all_the_same() -> None:
    """The group's callbacks run beside the loop, which may begin the next commit of what stays."""
    world = World(2, replace(EAGER, flush_after_us=SECOND_US, flush_records=1))
    gate = Gate(held="committing")
    worker, _ = world.worker(steps=gate)
    world.send(GOOD)
    await turns(worker, 3)
    world.send(GOOD)
    world.send(GOOD, 1)
    await turns(worker, 1)
    leaving = asyncio.create_task(worker.revoked([FIRST]))
    await asyncio.sleep(0)
    assert worker._commit is not None

    gate.opened.set()
    await worker._commit
    await turns(worker, 3)
    await leaving

    assert sorted((each.partition.number, each.read_from, each.next_offset) for each in world.ledger.entries) == [
        (0, 0, 1),
        (0, 1, 2),
        (1, 0, 1),
    ]


async def test_giving_up_is_bounded_when_the_ledger_hangs() -> None:
    """The group waits for nobody; the work is thrown away."""
    world, gate = World(1, replace(PATIENT, release_within_us=10_000)), Gate(held="committing")
    world.send(GOOD)
    worker, _ = world.worker(steps=gate)
    await turns(worker, 2)

    async with asyncio.timeout(10):
        await worker.revoked([FIRST])

    assert worker.partitions == frozenset()
    assert spans(world) == []


async def test_nothing_more_is_taken_of_a_partition_that_is_being_given_up() -> None:
    """It would neither be committed by us nor be ours to commit."""
    world, gate = World(1, PATIENT), Gate(held="committing")
    world.send(GOOD)
    worker, _ = world.worker(steps=gate)
    await turns(worker, 2)
    reading = worker._readings[FIRST]
    leaving = asyncio.create_task(worker.revoked([FIRST]))
    await asyncio.sleep(0)
    world.send(GOOD)

    await turns(worker, 2)

    assert reading.position == 1
    gate.opened.set()
    await leaving
    assert spans(world) == [(0, 1)]


async def test_a_partition_that_comes_back_while_it_is_given_up_stays() -> None:
    """The newer assignment counts."""
    world, gate = World(1, PATIENT), Gate(held="committing")
    world.send(GOOD)
    worker, _ = world.worker(steps=gate)
    await turns(worker, 2)
    leaving = asyncio.create_task(worker.revoked([FIRST]))
    await asyncio.sleep(0)

    await worker.assigned([FIRST])
    gate.opened.set()
    await leaving

    assert worker.partitions == {FIRST}


async def test_a_partition_given_up_while_its_position_is_asked_is_not_placed() -> None:
    """Its answer is nobody's."""
    world = World(2)
    worker, log = world.worker()
    positions = world.ledger.positions
    sought: list[Partition] = []

    async def asked(partitions: Any) -> Any:
        await worker.revoked([FIRST])
        return await positions(partitions)

    async def seek(partition: Partition, offset: int) -> None:
        sought.append(partition)

    world.ledger.positions = asked  # type: ignore[method-assign]
    log.seek = seek  # type: ignore[method-assign]
    await worker.assigned([FIRST, SECOND])
    await turns(worker, 1)

    assert sought == [SECOND]


async def test_a_partition_begins_where_the_ledger_stands_or_at_the_logs_beginning() -> None:
    """Kafka's own offsets are never asked."""
    world = World(2)
    for number in (0, 1):
        for _ in range(5):
            world.send(GOOD, number)
    world.broker.drop_before(SECOND, 2)
    world.ledger._positions[FIRST] = Position(0, 3)
    worker, _ = world.worker()

    await world.settled([worker])

    firsts = {entry.partition: entry.read_from for entry in reversed(world.ledger.entries)}
    assert firsts == {FIRST: 3, SECOND: 2}


async def test_another_worker_that_moved_the_offset_costs_that_partition_only() -> None:
    """Its work is thrown away, and reading goes on where the ledger stands."""
    world = World(2, PATIENT)
    world.send(GOOD, 0)
    world.send(GOOD, 1)
    worker, _ = world.worker()
    await turns(worker, 2)
    world.send(GOOD, 0)
    world.ledger._positions[FIRST] = Position(0, 2)
    world.clock.now_us += SECOND_US

    await turns(worker, 3)

    assert [(entry.partition, entry.next_offset) for entry in world.ledger.entries] == [(SECOND, 1)]
    assert worker._readings[FIRST].position == 2
    assert world.broker.hints == {SECOND: 1}


async def test_what_follows_a_commit_that_was_lost_is_thrown_away_with_it() -> None:
    """So much is waiting that the loop waits for the commit; then there is nothing left to commit."""
    world = World(1, replace(PATIENT, flush_records=1, fetch_records=2))
    gate = Gate(held="committing")
    worker, _ = world.worker(steps=gate)
    for _ in range(4):
        world.send(GOOD)
    await turns(worker, 3)
    assert worker._readings[FIRST].pending_records == 2
    world.ledger._positions[FIRST] = Position(0, 3)
    loop = asyncio.create_task(turns(worker, 1))
    await asyncio.sleep(0)

    gate.opened.set()
    await loop

    assert spans(world) == []
    await world.settled([worker])
    assert spans(world) == [(3, 4)]


async def test_a_span_from_elsewhere_is_not_counted() -> None:
    """The consumer is put back to where we are."""
    world = World(1, PATIENT)
    for _ in range(3):
        world.send(GOOD)
    worker, log = world.worker()
    await turns(worker, 2)
    await log.seek(FIRST, 1)

    await turns(worker, 2)
    world.clock.now_us += SECOND_US
    await turns(worker, 2)

    assert spans(world) == [(0, 3)]
    assert world.ledger.counts() == recount([GOOD] * 3)
