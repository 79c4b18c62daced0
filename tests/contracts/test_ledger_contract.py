"""What every Ledger does, whether it lies in memory or in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

from consumers.errors import DefinitionsMoved
from consumers.memory import MemoryLedger
from consumers.ports import Entry, Ledger, Partition, PartitionStatus, Position, SeriesKey
from service.storage.database import create_engine
from service.storage.ledger import PostgresLedger

FIRST = Partition("events", 0)
SECOND = Partition("events", 1)
REVISION = 0
INDICATOR = 1
CLOCK_US = 1_700_000_000_000_000


@pytest.fixture
async def postgres_ledger(database_url: str) -> AsyncIterator[Ledger]:
    """The production ledger on a database of its own."""
    engine = create_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO indicators (agreement, objective, fingerprint, group_by, group_bound, shard)"
                " VALUES ('a', 'o', 'f', '{region}', 1000, 0)"
            )
        )
    yield PostgresLedger(engine)
    await engine.dispose()


@pytest.fixture
async def memory_ledger() -> Ledger:
    """The one that tests and tools use."""
    return MemoryLedger(revision=REVISION)


@pytest.fixture(
    params=[
        pytest.param("postgres_ledger", marks=pytest.mark.servers),
        pytest.param("memory_ledger"),
    ]
)
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A ledger without entries at revision 0."""
    made: Ledger = request.getfixturevalue(request.param)
    return made


def entry(
    read_from: int, next_offset: int, partition: Partition = FIRST, *, epoch: int = 0, **changes: object
) -> Entry:
    """One row counted in the span."""
    one = np.ones(1, dtype=np.int64)
    made = Entry(
        partition=partition,
        epoch=epoch,
        read_from=read_from,
        next_offset=next_offset,
        keys=(SeriesKey(INDICATOR, ("eu",)),),
        key=one * 0,
        slot=one * 170_000_000,
        good=one,
        total=one,
        excluded_good=one * 0,
        excluded_total=one * 0,
        records=next_offset - read_from,
        samples=next_offset - read_from,
        dead=0,
        max_event_us=CLOCK_US,
        clock_us=CLOCK_US,
        last_record_crc=next_offset * 7,
        last_record_time_us=CLOCK_US + next_offset,
    )
    return replace(made, **changes)


def status(position: int, *, epoch: int = 0, partition: Partition = FIRST) -> PartitionStatus:
    """A worker that has read everything."""
    return PartitionStatus(partition, epoch, position, position, CLOCK_US, position, CLOCK_US, CLOCK_US, "worker")


async def position(ledger: Ledger, partition: Partition = FIRST) -> tuple[int, int] | None:
    """Epoch and offset of one partition."""
    found = (await ledger.positions([partition])).get(partition)
    return None if found is None else (found.epoch, found.offset)


async def test_a_partition_never_read_has_no_position(ledger: Ledger) -> None:
    """Its reader decides where to begin."""
    assert await ledger.positions([FIRST, SECOND]) == {}


async def test_asking_for_no_partition_gives_none(ledger: Ledger) -> None:
    """A worker without an assignment may ask."""
    await ledger.commit([entry(0, 10)], REVISION)

    assert await ledger.positions([]) == {}


async def test_the_first_entry_begins_a_partition_wherever_it_was_read_from(ledger: Ledger) -> None:
    """A log whose beginning is gone starts at a later offset."""
    assert await ledger.commit([entry(500, 510)], REVISION) == frozenset()

    assert await position(ledger) == (0, 510)


async def test_a_position_carries_the_fingerprint_of_its_last_record(ledger: Ledger) -> None:
    """By it a log that was made anew is noticed."""
    await ledger.commit([entry(0, 10, last_record_crc=77, last_record_time_us=88)], REVISION)

    assert await ledger.positions([FIRST]) == {FIRST: Position(0, 10, 77, 88)}


async def test_an_entry_without_records_keeps_the_fingerprint(ledger: Ledger) -> None:
    """Control records and gaps move the position only."""
    await ledger.commit([entry(0, 10, last_record_crc=77, last_record_time_us=88)], REVISION)
    await ledger.commit([entry(10, 12, last_record_crc=None, last_record_time_us=None, records=0)], REVISION)

    assert await ledger.positions([FIRST]) == {FIRST: Position(0, 12, 77, 88)}


async def test_entries_that_follow_each_other_all_count(ledger: Ledger) -> None:
    """The ordinary course of a worker."""
    for start in range(0, 50, 10):
        assert await ledger.commit([entry(start, start + 10)], REVISION) == frozenset()

    assert await position(ledger) == (0, 50)


@pytest.mark.parametrize("read_from", [0, 5, 15])
async def test_an_entry_read_from_elsewhere_is_lost_and_changes_nothing(ledger: Ledger, read_from: int) -> None:
    """A worker that lost its partition, or comes back from a freeze."""
    await ledger.commit([entry(0, 10)], REVISION)

    assert await ledger.commit([entry(read_from, 99)], REVISION) == {FIRST}
    assert await position(ledger) == (0, 10)


async def test_a_lost_partition_costs_its_neighbours_nothing(ledger: Ledger) -> None:
    """The others of the same transaction are written."""
    await ledger.commit([entry(0, 10)], REVISION)

    lost = await ledger.commit([entry(5, 20), entry(0, 30, SECOND)], REVISION)

    assert lost == {FIRST}
    assert await position(ledger, SECOND) == (0, 30)


async def test_an_entry_written_twice_is_lost_the_second_time(ledger: Ledger) -> None:
    """A commit whose outcome was unknown may be repeated blindly, to no harm."""
    await ledger.commit([entry(0, 10)], REVISION)

    assert await ledger.commit([entry(0, 10)], REVISION) == {FIRST}


async def test_committing_nothing_is_nothing(ledger: Ledger) -> None:
    """An idle flush."""
    assert await ledger.commit([], REVISION) == frozenset()


async def test_an_entry_in_which_nothing_matched_still_moves_the_position(ledger: Ledger) -> None:
    """Entries chain without holes."""
    nothing = np.zeros(0, dtype=np.int64)
    columns = dict.fromkeys(("key", "slot", "good", "total", "excluded_good", "excluded_total"), nothing)

    assert await ledger.commit([entry(0, 10, keys=(), max_event_us=None, **columns)], REVISION) == frozenset()
    assert await position(ledger) == (0, 10)


@pytest.mark.parametrize("revision", [REVISION + 1, REVISION - 1])
async def test_entries_matched_by_other_definitions_are_refused_whole(ledger: Ledger, revision: int) -> None:
    """Nothing is written; the worker loads the definitions and reads again."""
    with pytest.raises(DefinitionsMoved):
        await ledger.commit([entry(0, 10), entry(0, 10, SECOND)], revision)

    assert await ledger.positions([FIRST, SECOND]) == {}


async def test_a_new_epoch_goes_on_at_its_own_offset(ledger: Ledger) -> None:
    """The log was deleted and made anew."""
    await ledger.commit([entry(0, 10)], REVISION)

    await ledger.begin_epoch(FIRST, 1, 0)

    assert await position(ledger) == (1, 0)
    assert await ledger.commit([entry(0, 4, epoch=1)], REVISION) == frozenset()
    assert await position(ledger) == (1, 4)


async def test_a_new_epoch_has_no_fingerprint(ledger: Ledger) -> None:
    """The old log's last record is in no new log."""
    await ledger.commit([entry(0, 10)], REVISION)

    await ledger.begin_epoch(FIRST, 1, 3)

    assert await ledger.positions([FIRST]) == {FIRST: Position(1, 3)}


async def test_beginning_an_epoch_again_does_not_set_it_back(ledger: Ledger) -> None:
    """Two workers may notice the same new log."""
    await ledger.begin_epoch(FIRST, 1, 0)
    await ledger.commit([entry(0, 4, epoch=1)], REVISION)

    await ledger.begin_epoch(FIRST, 1, 0)

    assert await position(ledger) == (1, 4)


async def test_an_epoch_that_is_over_takes_no_entry_and_is_not_begun(ledger: Ledger) -> None:
    """A worker that still reads the old log changes nothing."""
    await ledger.commit([entry(0, 10)], REVISION)
    await ledger.begin_epoch(FIRST, 2, 0)

    assert await ledger.commit([entry(10, 20)], REVISION) == {FIRST}
    await ledger.begin_epoch(FIRST, 1, 7)
    assert await position(ledger) == (2, 0)


async def test_an_epoch_that_nobody_began_takes_no_entry(ledger: Ledger) -> None:
    """A new epoch begins loudly or not at all."""
    await ledger.commit([entry(0, 10)], REVISION)

    assert await ledger.commit([entry(0, 5, epoch=1)], REVISION) == {FIRST}


async def test_statuses_are_taken_and_replaced(ledger: Ledger) -> None:
    """A worker reports each second."""
    await ledger.report([status(0), status(0, partition=SECOND)])
    await ledger.report([status(10)])
    await ledger.report([])


async def test_a_chain_of_entries_in_one_commit_is_one_step(ledger: Ledger) -> None:
    """A gap and what follows it may be written together."""
    chain = [entry(0, 10), entry(10, 40, gap=True, records=0), entry(40, 45)]

    assert await ledger.commit(chain, REVISION) == frozenset()
    assert await position(ledger) == (0, 45)
