"""What ingest tells of itself: to the observer for metrics, and to the ledger for the watermark."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from consumers.errors import LedgerUnavailable
from consumers.pace import SECOND_US
from consumers.ports import Observer, Partition
from consumers.worker import Step, Steps
from tests.consumers.gates import turns
from tests.consumers.worlds import EAGER, START_US, TOPIC, World, event, packed

FIRST, SECOND = Partition(TOPIC, 0), Partition(TOPIC, 1)
GOOD = packed(event(2_000_000))


@dataclass
class Told(Observer):
    """Everything that an observer is told."""

    results: Counter[str] = field(default_factory=Counter[str])
    codes: Counter[str] = field(default_factory=Counter[str])
    commits: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    partitions: dict[Partition, tuple[int | None, int | None]] = field(default_factory=dict)
    gone: list[Partition] = field(default_factory=list[Partition])
    gaps: list[tuple[Partition, int]] = field(default_factory=list[tuple[Partition, int]])
    begun: list[Partition] = field(default_factory=list[Partition])

    def records(self, topic: str, result: str, count: int) -> None:
        assert topic == TOPIC
        assert count > 0
        self.results[result] += count

    def dead_letters(self, code: str, count: int) -> None:
        self.codes[code] += count

    def committed(self, duration_us: int, entries: int) -> None:
        self.commits.append((duration_us, entries))

    def gap(self, partition: Partition, missing: int) -> None:
        self.gaps.append((partition, missing))

    def epoch_begun(self, partition: Partition) -> None:
        self.begun.append(partition)

    def partition(self, partition: Partition, lag: int | None, watermark_us: int | None) -> None:
        self.partitions[partition] = (lag, watermark_us)

    def released(self, partition: Partition) -> None:
        self.gone.append(partition)


def ticking(world: World) -> Steps:
    """Every step takes a second of the clock."""

    async def step(_: Step) -> None:
        world.clock.now_us += SECOND_US

    return step


async def test_every_record_has_one_result() -> None:
    """Counted, unmatched, skipped or dead; dead ones by their code too."""
    world, told = World(1), Told()
    strange = packed(event(metric="logins"))
    for value in (GOOD, GOOD, strange, None, b"{", b"", b"{"):
        world.send(value)
    worker, _ = world.worker(observer=told)

    await world.settled([worker])
    await turns(worker, 1)

    assert told.results == {"counted": 2, "unmatched": 1, "skipped": 1, "dead": 3}
    assert told.codes == {"not_json": 2, "empty": 1}


async def test_a_commit_is_told_with_how_long_it_took_and_how_many_entries_it_had() -> None:
    """By the clock that we are given, without the dead letters before it."""
    world, told = World(2), Told()
    commit = world.ledger.commit

    async def slow(*arguments: object) -> object:
        world.clock.now_us += 7_000
        return await commit(*arguments)  # type: ignore[arg-type]

    world.ledger.commit = slow  # type: ignore[method-assign, assignment]
    world.send(GOOD, 0)
    world.send(GOOD, 1)
    worker, _ = world.worker(observer=told)

    await turns(worker, 4)

    assert told.commits == [(7_000, 2)]


async def test_lag_and_watermark_of_each_partition_are_told_each_second() -> None:
    """None until they are known; the lag counts what is not read yet."""
    world, told = World(2, replace(EAGER, fetch_records=1, report_every_us=SECOND_US, flush_records=1)), Told()
    for _ in range(5):
        world.send(GOOD)
    worker, _ = world.worker(observer=told)
    await turns(worker, 1)
    world.clock.now_us += SECOND_US
    await turns(worker, 1)
    assert told.partitions == {FIRST: (None, None), SECOND: (None, None)}

    await turns(worker, 2)
    world.clock.now_us += SECOND_US - 1
    await turns(worker, 1)
    assert told.partitions == {FIRST: (None, None), SECOND: (None, None)}
    world.clock.now_us += 1
    await turns(worker, 1)

    assert told.partitions == {FIRST: (1, START_US + 2_000_000), SECOND: (None, None)}
    await turns(worker, 2)
    world.clock.now_us += SECOND_US
    await turns(worker, 1)
    assert told.partitions == {FIRST: (0, START_US + 2_000_000), SECOND: (0, None)}


async def test_a_partition_that_is_given_up_is_told() -> None:
    """Its lag is somebody else's to tell."""
    world, told = World(2), Told()
    worker, _ = world.worker(observer=told)
    await turns(worker, 2)

    await worker.revoked([SECOND])

    assert told.gone == [SECOND]


async def test_the_ledger_is_told_what_is_committed_and_where_the_end_was_seen() -> None:
    """The position is the committed one, however far the reading is."""
    world = World(1, replace(EAGER, flush_after_us=SECOND_US, flush_records=100))
    world.send(GOOD)
    worker, _ = world.worker("somebody")
    await turns(worker, 2)
    read_us = world.clock.now_us
    world.clock.now_us += 10

    await turns(worker, 1)

    status = world.ledger.statuses[FIRST]
    assert (status.epoch, status.position, status.worker, status.clock_us) == (0, 0, "somebody", read_us + 10)
    assert (status.end_position, status.end_seen_us, status.high_watermark) == (1, read_us, 1)
    assert status.last_record_us == read_us

    for _ in range(2):
        world.clock.now_us += SECOND_US
        await turns(worker, 3)
    assert world.ledger.statuses[FIRST].position == 1


async def test_one_report_is_under_way_at_a_time() -> None:
    """A ledger that is slow is not asked for more."""
    world, hanging = World(1), asyncio.Event()
    begun = 0

    async def report(_: object) -> None:
        nonlocal begun
        begun += 1
        await hanging.wait()

    world.ledger.report = report  # type: ignore[method-assign]
    worker, _ = world.worker()
    for _ in range(5):
        world.clock.now_us += SECOND_US
        await turns(worker, 1)
    assert begun == 1

    hanging.set()
    await asyncio.sleep(0)
    await turns(worker, 2)
    assert begun == 2


async def test_a_report_that_fails_holds_nothing_up(said: list[MutableMapping[str, Any]]) -> None:
    """The next one is a second away; that the ledger is away is said."""
    world = World(1)
    world.send(GOOD)

    async def report(_: object) -> None:
        raise LedgerUnavailable("away")

    world.ledger.report = report  # type: ignore[method-assign]
    worker, _ = world.worker()
    await world.settled([worker])
    world.clock.now_us += SECOND_US
    await turns(worker, 3)

    assert len(world.ledger.entries) == 1
    assert "dependency_away" in {line["action"] for line in said}


async def test_a_report_that_fails_otherwise_stops_the_worker() -> None:
    """It is no passing trouble."""
    world = World(1)

    async def report(_: object) -> None:
        raise ZeroDivisionError

    world.ledger.report = report  # type: ignore[method-assign]
    worker, _ = world.worker(steps=ticking(world))

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10):
            await worker.run()


async def test_a_report_under_way_at_the_end_is_let_go() -> None:
    """Nothing of the worker goes on after it."""
    world, cancelled = World(1), asyncio.Event()

    async def report(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    world.ledger.report = report  # type: ignore[method-assign]
    worker, _ = world.worker(steps=ticking(world))
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while worker._reports._task is None:
            await asyncio.sleep(0)

        await worker.stop()
        await running

    assert cancelled.is_set()


async def test_a_report_that_had_failed_at_the_end_is_not_left_unseen() -> None:
    """An exception that nobody looks at is a warning at the worst moment."""
    world = World(1)
    failed = asyncio.Event()

    async def report(_: object) -> None:
        failed.set()
        raise LedgerUnavailable("away")

    world.ledger.report = report  # type: ignore[method-assign]
    worker, _ = world.worker()
    await turns(worker, 1)
    world.clock.now_us += SECOND_US
    await turns(worker, 1)
    assert failed.is_set()
    worker._stopping.set()

    await worker.run()

    assert worker._reports._task is not None
    assert worker._reports._task.done()


async def test_what_was_never_read_is_told_with_its_number() -> None:
    """A gap by its records, a log made anew by its name."""
    world, told = World(1), Told()
    for _ in range(5):
        world.send(GOOD)
    world.broker.drop_before(FIRST, 3)
    await world.ledger.begin_epoch(FIRST, 0, 0)
    worker, _ = world.worker(observer=told)
    await world.settled([worker])
    assert (told.gaps, told.begun) == ([(FIRST, 3)], [])
    world.broker.create(TOPIC, 1)
    world.send(GOOD)
    await world.settled([worker])
    assert (told.gaps, told.begun) == ([(FIRST, 3)], [FIRST])
