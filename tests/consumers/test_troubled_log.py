"""A log that is not as we left it: gone before it was read, made anew, or ending before our position."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumers.errors import LedgerUnavailable, LogUnavailable, PositionOutOfRange
from consumers.ports import Partition, Position
from consumers.reading import Reading
from tests.consumers.gates import turns
from tests.consumers.worlds import EAGER, START_US, TOPIC, World, event, packed

FIRST, SECOND = Partition(TOPIC, 0), Partition(TOPIC, 1)
GOOD, OTHER = packed(event()), packed(event(1_000_000))


async def read_so_far(world: World, count: int) -> None:
    """Records that a worker has read and committed; then it is gone."""
    for _ in range(count):
        world.send(GOOD)
    worker, log = world.worker("before")
    await world.settled([worker])
    await turns(worker, 1)
    await log.stop()


def story(world: World) -> list[tuple[int, int, int, bool]]:
    """(epoch, read_from, next_offset, gap) of every entry."""
    return [(each.epoch, each.read_from, each.next_offset, each.gap) for each in world.ledger.entries]


async def test_records_that_are_gone_before_they_were_read_are_a_gap() -> None:
    """Recorded as an entry of its own, without counts; reading goes on behind it."""
    world = World(1)
    await read_so_far(world, 2)
    for _ in range(5):
        world.send(GOOD)
    world.broker.drop_before(FIRST, 4)
    worker, _ = world.worker()

    await world.settled([worker])

    assert story(world) == [(0, 0, 2, False), (0, 2, 4, True), (0, 4, 7, False)]
    before, gone, after = world.ledger.entries
    assert (before.seen_again_us, gone.seen_again_us, after.seen_again_us) == (None, None, START_US)
    assert world.ledger.entries[1].records == 0
    assert len(world.ledger.entries[1].slot) == 0
    assert world.chains()


async def test_a_gap_under_way_follows_what_was_read_before_it() -> None:
    """What is read counts before the story takes a turn."""
    world = World(1, replace(EAGER, flush_after_us=10_000_000, flush_records=100, fetch_records=2))
    for _ in range(6):
        world.send(GOOD)
    worker, _ = world.worker()
    await turns(worker, 2)
    world.broker.drop_before(FIRST, 5)

    await turns(worker, 3)
    world.clock.now_us += 10_000_000
    await turns(worker, 2)

    assert story(world) == [(0, 0, 2, False), (0, 2, 5, True), (0, 5, 6, False)]


async def test_a_shorter_log_is_another_log() -> None:
    """Made anew with the same name: a new epoch begins at its beginning."""
    world = World(1)
    await read_so_far(world, 5)
    world.broker.create(TOPIC, 1)
    world.send(OTHER)
    worker, _ = world.worker()

    await world.settled([worker])

    assert story(world) == [(0, 0, 5, False), (1, 0, 1, False)]


@pytest.mark.parametrize("count", [5, 9])
async def test_another_record_where_our_last_one_was_is_another_log(count: int) -> None:
    """Although it holds our position; noticed at assignment, by the fingerprint."""
    world = World(1)
    await read_so_far(world, 5)
    world.broker.create(TOPIC, 1)
    for _ in range(count):
        world.send(OTHER)
    worker, _ = world.worker()

    await turns(worker, 6)

    assert story(world)[1:] == [(1, 0, count, False)]


async def test_the_same_record_at_another_time_is_another_log() -> None:
    """Emitters of health checks send the same bytes for ever."""
    world = World(1)
    await read_so_far(world, 1)
    world.broker.create(TOPIC, 1)
    world.broker.append(FIRST, GOOD, timestamp_us=START_US + 1)
    worker, _ = world.worker()

    await turns(worker, 6)

    assert story(world)[1:] == [(1, 0, 1, False)]


async def test_the_log_that_we_know_goes_on_without_counting_its_last_record_again() -> None:
    """It is read for its fingerprint only, with or without more behind it."""
    world = World(1)
    await read_so_far(world, 5)
    worker, _ = world.worker()
    await turns(worker, 2)
    world.send(GOOD)

    await world.settled([worker])

    assert story(world) == [(0, 0, 5, False), (0, 5, 6, False)]
    assert sum(entry.records for entry in world.ledger.entries) == 6


async def test_a_log_made_anew_while_it_is_read_shows_itself_although_it_has_our_position() -> None:
    """What was read of the old one counts; the new one is read from its beginning."""
    world = World(2, replace(EAGER, flush_after_us=10**12, flush_records=10**6))
    for partition in (0, 1):
        for _ in range(5):
            world.send(GOOD, partition)
    worker, log = world.worker()
    await turns(worker, 3)
    world.broker.create(TOPIC, 1)
    log.broken_off([FIRST, SECOND])
    for _ in range(9):
        world.send(OTHER)
    world.send(GOOD, 1)

    await turns(worker, 5)
    world.clock.now_us += 10**12 + 1
    await turns(worker, 2)

    assert [each for each in story(world) if each[0]] == [(1, 0, 9, False)]
    assert {(each.partition, each.epoch): each.next_offset for each in world.ledger.entries} == {
        (FIRST, 0): 5,
        (FIRST, 1): 9,
        (SECOND, 0): 6,
    }
    assert world.chains()


async def test_fetching_that_broke_off_and_goes_on_in_the_same_log_costs_nothing() -> None:
    """The last record is read once more, and does not count again; without one there is nothing to compare."""
    world = World(2)
    worker, log = world.worker()
    for _ in range(3):
        world.send(GOOD)
    await world.settled([worker])
    log.faults.queue.append(LogUnavailable("away"))
    await turns(worker, 1)
    world.send(GOOD)
    world.send(GOOD, 1)

    await world.settled([worker])

    assert {each.partition: each.next_offset for each in world.ledger.entries} == {FIRST: 4, SECOND: 1}
    assert sum(entry.records for entry in world.ledger.entries) == 5
    assert world.chains()


async def test_a_last_record_that_is_gone_by_compaction_is_no_other_log() -> None:
    """There is nothing to compare with."""
    world = World(1)
    await read_so_far(world, 5)
    world.send(GOOD)
    world.broker.drop_before(FIRST, 5)
    worker, _ = world.worker()

    await world.settled([worker])

    assert story(world)[1:] == [(0, 5, 6, False)]


async def test_a_log_that_ends_before_our_position_for_long_was_made_anew() -> None:
    """Not at once: after a failover its end may step back for a moment."""
    world = World(1, replace(EAGER, flush_after_us=10**12, flush_records=10**6))
    for _ in range(5):
        world.send(GOOD)
    worker, _ = world.worker()
    await turns(worker, 2)
    world.broker.create(TOPIC, 1)
    world.broker.read = lambda partition, offset, most: ([], offset, 0)  # type: ignore[method-assign]

    await turns(worker, 2)
    world.clock.now_us += EAGER.short_us
    await turns(worker, 2)
    assert story(world) == []
    world.clock.now_us += 1
    await turns(worker, 1)
    del world.broker.read  # type: ignore[method-assign]
    await turns(worker, 1)

    assert story(world) == [(0, 0, 5, False)]
    assert (await world.ledger.positions([FIRST]))[FIRST] == Position(1, 0)


async def test_a_log_whose_end_comes_back_is_the_same() -> None:
    """The failover is over."""
    world = World(1)
    reading = Reading(FIRST)
    assert reading.short_for_us(7) == 0
    for _ in range(3):
        world.send(GOOD)
    worker, _ = world.worker()
    await world.settled([worker])
    world.broker.read = lambda partition, offset, most: ([], offset, 1)  # type: ignore[method-assign]
    await turns(worker, 2)
    assert worker._readings[FIRST].short_for_us(world.clock.now_us + 5) == 5
    del world.broker.read  # type: ignore[method-assign]

    await turns(worker, 1)

    assert worker._readings[FIRST].short_for_us(world.clock.now_us + 5) == 0


async def test_a_false_alarm_changes_nothing() -> None:
    """The log said that it does not hold our position, and when it is looked at, it does."""
    world = World(1)
    await read_so_far(world, 2)
    worker, log = world.worker()
    log.faults.queue.extend([None, None, PositionOutOfRange([FIRST])])
    await turns(worker, 3)
    world.send(GOOD)

    await world.settled([worker])

    assert story(world) == [(0, 0, 2, False), (0, 2, 3, False)]


async def test_a_doubt_about_a_partition_that_is_no_longer_ours_is_its_new_owners() -> None:
    """Its bounds are not even asked for: its topic may be gone, and every other partition would wait for it."""
    world = World(2)
    worker, log = world.worker()
    await turns(worker, 2)
    asked: list[list[Partition]] = []
    bounds = log.bounds

    async def spied(partitions: list[Partition]) -> object:
        asked.append(list(partitions))
        return await bounds(partitions)

    log.bounds = spied  # type: ignore[method-assign, assignment]
    log.faults.queue.append(PositionOutOfRange([FIRST, SECOND]))
    await turns(worker, 1)
    assert asked == []
    await worker.revoked([FIRST])

    await turns(worker, 1)

    assert asked == [[SECOND]]
    assert worker._doubtful == {}


async def test_a_doubt_stays_while_the_log_or_the_ledger_is_away() -> None:
    """It is looked at as soon as it can be."""
    world = World(1)
    await read_so_far(world, 5)
    world.broker.create(TOPIC, 1)
    world.send(OTHER)
    worker, log = world.worker()
    bounds, away = log.bounds, [LogUnavailable("away")] * 2

    async def failing(partitions: list[Partition]) -> object:
        if away:
            raise away.pop()
        world.ledger.faults.queue.append(LedgerUnavailable("away"))
        log.bounds = bounds  # type: ignore[method-assign]
        return await bounds(partitions)

    log.bounds = failing  # type: ignore[method-assign, assignment]

    await world.settled([worker])

    assert story(world)[1:] == [(1, 0, 1, False)]
