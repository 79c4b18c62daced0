"""The ledger on PostgreSQL, beyond what every ledger does: groups, reading back, races, outages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.errors import DefinitionsMoved, LedgerUnavailable
from consumers.ports import Entry, Partition, PartitionStatus, Position, SeriesKey
from evaluators.slots import SlotCounts, concatenated
from service.storage import admission, entries
from service.storage.database import connect, create_engine, is_away
from service.storage.entries import EpochName, LedgerBroken, entries_after
from service.storage.ledger import PostgresLedger
from tests.examples import examples

FIRST = Partition("events", 0)
SECOND = Partition("events", 1)
NAME = EpochName("events", 0, 0)
CLOCK_US = 1_700_000_000_000_000


async def run(engine: AsyncEngine, statement: str, **values: Any) -> list[Any]:
    """The rows of one statement in a transaction of its own."""
    async with engine.begin() as connection:
        result = await connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


async def indicator(engine: AsyncEngine, *, group_by: Sequence[str] = ("region",), bound: int = 1000) -> int:
    """A new indicator's id."""
    rows = await run(
        engine,
        "INSERT INTO indicators (agreement, objective, fingerprint, group_by, group_bound, shard)"
        " SELECT 'a', 'o', count(*)::text, :group_by, :bound, 0 FROM indicators RETURNING id",
        group_by=list(group_by),
        bound=bound,
    )
    return int(rows[0].id)


def entry(
    read_from: int,
    rows: Sequence[tuple[SeriesKey, int, int]],
    *,
    partition: Partition = FIRST,
    epoch: int = 0,
    span: int = 10,
) -> Entry:
    """Rows are (key, slot, total); every tenth sample is bad."""
    keys = tuple(dict.fromkeys(key for key, _, _ in rows))
    total = np.array([count for _, _, count in rows], dtype=np.int64)
    return Entry(
        partition=partition,
        epoch=epoch,
        read_from=read_from,
        next_offset=read_from + span,
        keys=keys,
        key=np.array([keys.index(key) for key, _, _ in rows], dtype=np.int64),
        slot=np.array([slot for _, slot, _ in rows], dtype=np.int64),
        good=total - total // 10,
        total=total,
        excluded_good=total * 0,
        excluded_total=total // 20,
        records=span,
        samples=int(total.sum()),
        dead=0,
        max_event_us=CLOCK_US,
        clock_us=CLOCK_US,
    )


async def series(engine: AsyncEngine) -> dict[str, tuple[int, dict[str, str], bool]]:
    """Every row of series by its key."""
    rows = await run(engine, "SELECT label_key, id, labels, is_other FROM series")
    return {row.label_key: (row.id, row.labels, row.is_other) for row in rows}


async def counted(ledger: PostgresLedger) -> SlotCounts:
    """The sum of all that the ledger holds."""
    return concatenated([each.counts for each in await ledger.entries_after({})]).merged()


async def test_a_group_gets_its_row_when_it_is_first_counted(engine: AsyncEngine) -> None:
    """And keeps it, across entries and workers."""
    owner = await indicator(engine)
    key = SeriesKey(owner, ("eu",))
    ledger = PostgresLedger(engine)

    await ledger.commit([entry(0, [(key, 5, 3)])], 0)
    await ledger.commit([entry(10, [(key, 5, 4)])], 0)
    await PostgresLedger(engine).commit([entry(20, [(key, 6, 1)])], 0)

    rows = await series(engine)
    assert {name: row[1:] for name, row in rows.items()} == {'["eu"]': ({"region": "eu"}, False)}
    assert (await counted(ledger)).columns[:4].tolist() == [[rows['["eu"]'][0]] * 2, [5, 6], [7, 1], [7, 1]]


async def test_groups_beyond_the_bound_count_in_one_other_group(engine: AsyncEngine) -> None:
    """Admitted ones stay; nothing is lost; the rest is visible under its own name."""
    owner = await indicator(engine, bound=2)
    keys = [SeriesKey(owner, (name,)) for name in ("a", "b", "c", "d")]
    ledger = PostgresLedger(engine)

    await ledger.commit([entry(0, [(key, 1, 10) for key in keys])], 0)
    await ledger.commit([entry(10, [(key, 1, 1) for key in reversed(keys)])], 0)

    rows = await series(engine)
    assert rows.keys() == {'["a"]', '["b"]', "other"}
    assert rows["other"][1:] == ({"region": "other"}, True)
    totals = dict(zip(*(await counted(ledger)).columns[[0, 3]].tolist(), strict=True))
    assert totals == {rows['["a"]'][0]: 11, rows['["b"]'][0]: 11, rows["other"][0]: 22}


async def test_a_raised_bound_admits_groups_from_then_on(engine: AsyncEngine) -> None:
    """What is remembered is dropped with the definitions' revision."""
    owner = await indicator(engine, bound=1)
    ledger = PostgresLedger(engine)
    await ledger.commit([entry(0, [(SeriesKey(owner, (name,)), 1, 1) for name in "ab"])], 0)

    await run(engine, "UPDATE indicators SET group_bound = 2")
    await run(engine, "UPDATE installation SET revision = 1")
    await ledger.commit([entry(10, [(SeriesKey(owner, ("b",)), 1, 1)])], 1)

    assert (await series(engine)).keys() == {'["a"]', '["b"]', "other"}


async def test_two_workers_that_admit_at_once_stay_within_the_bound(engine: AsyncEngine) -> None:
    """The indicator's row lock puts them in a row."""
    owner = await indicator(engine, bound=10)

    async def work(number: int) -> None:
        keys = [SeriesKey(owner, (f"{number}-{group}",)) for group in range(8)]
        lost = await PostgresLedger(engine).commit(
            [entry(0, [(key, 1, 1) for key in keys], partition=Partition("events", number))], 0
        )
        assert not lost

    await asyncio.gather(*(work(number) for number in range(4)))

    rows = await series(engine)
    assert len(rows) == 11
    assert (await counted(PostgresLedger(engine))).total.sum() == 32


async def test_groups_of_a_lost_partition_are_not_admitted(engine: AsyncEngine) -> None:
    """A loser writes nothing at all."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)
    await ledger.commit([entry(0, [])], 0)

    assert await ledger.commit([entry(5, [(SeriesKey(owner, ("zombie",)), 1, 1)])], 0) == {FIRST}
    assert await series(engine) == {}


async def test_a_group_named_like_the_rest_counts_in_the_rest(engine: AsyncEngine) -> None:
    """Two series of one name could not be told apart."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)

    await ledger.commit([entry(0, [(SeriesKey(owner, ("other",)), 1, 1), (SeriesKey(owner, ("eu",)), 1, 1)])], 0)

    assert {name: row[2] for name, row in (await series(engine)).items()} == {"other": True, '["eu"]': False}


async def test_an_ungrouped_indicator_has_one_row(engine: AsyncEngine) -> None:
    """Its labels are empty, and no bound holds it back."""
    owner = await indicator(engine, group_by=(), bound=0)

    await PostgresLedger(engine).commit([entry(0, [(SeriesKey(owner, ()), 1, 1)])], 0)

    assert {name: row[1:] for name, row in (await series(engine)).items()} == {"[]": ({}, False)}


@examples(200)
@given(st.lists(st.text(max_size=1200), min_size=2, max_size=2, unique=True))
def test_label_values_that_differ_have_keys_and_names_that_differ(values: list[str]) -> None:
    """Whatever is cut or replaced, two groups stay two; and Postgres can hold each."""
    for name in (lambda value: admission.label_key([value]), admission.shown):
        first, second = (name(value) for value in values)
        assert first != second
        assert "\x00" not in first
        assert len(first.encode()) < 2000


@pytest.mark.parametrize(
    "value", ["\x00", "a\x00b", "\ud800", "x" * 100_000, "\U0001f600" * 500, "", "'; --", "\\u0000"]
)
async def test_any_label_value_can_be_counted(engine: AsyncEngine, value: str) -> None:
    """What an emitter puts into a label neither stops a worker nor costs a neighbour its row."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)

    lost = await ledger.commit([entry(0, [(SeriesKey(owner, (value,)), 1, 2), (SeriesKey(owner, ("eu",)), 1, 3)])], 0)

    assert not lost
    assert sorted((await counted(ledger)).total.tolist()) == [2, 3]


async def test_a_chain_with_a_hole_is_lost_whole(engine: AsyncEngine) -> None:
    """Nothing is counted around something that is missing; a neighbour is."""
    ledger = PostgresLedger(engine)

    assert await ledger.commit([entry(0, []), entry(11, []), entry(0, [], partition=SECOND)], 0) == {FIRST}

    assert await ledger.positions([FIRST, SECOND]) == {SECOND: Position(0, 10)}


async def test_keys_of_another_database_stop_the_worker(engine: AsyncEngine) -> None:
    """Nothing is written, and it is no passing error."""
    ledger = PostgresLedger(engine)

    with pytest.raises(admission.UnknownIndicator, match="4711"):
        await ledger.commit([entry(0, [(SeriesKey(4711, ()), 1, 1)])], 0)

    assert await ledger.positions([FIRST]) == {}


async def test_what_was_learned_in_a_failed_commit_is_forgotten(engine: AsyncEngine) -> None:
    """A row that was rolled back has no id to remember."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)
    known, unknown = SeriesKey(owner, ("eu",)), SeriesKey(4711, ())
    with pytest.raises(admission.UnknownIndicator):
        await ledger.commit([entry(0, [(known, 1, 1), (unknown, 1, 1)])], 0)

    await ledger.commit([entry(0, [(known, 1, 1)])], 0)

    assert (await counted(ledger)).series.tolist() == [(await series(engine))['["eu"]'][0]]


async def test_entries_are_read_after_cursors_in_chain_order(engine: AsyncEngine) -> None:
    """A partition without a cursor, or with a new epoch, is found too."""
    ledger = PostgresLedger(engine)
    for start in (0, 10, 20):
        await ledger.commit([entry(start, [])], 0)
    await ledger.commit([entry(7, [], partition=SECOND)], 0)
    await ledger.begin_epoch(SECOND, 1, 0)
    await ledger.commit([entry(0, [], partition=SECOND, epoch=1)], 0)

    read = await ledger.entries_after({NAME: 10})

    assert [(each.name, each.first_offset, each.next_offset) for each in read] == [
        (NAME, 10, 20),
        (NAME, 20, 30),
        (EpochName("events", 1, 0), 7, 17),
        (EpochName("events", 1, 1), 0, 10),
    ]
    assert await ledger.entries_after({each.name: each.next_offset for each in read}) == []


async def test_an_epoch_begun_without_entries_reads_as_nothing(engine: AsyncEngine) -> None:
    """There is nothing to fold yet."""
    ledger = PostgresLedger(engine)
    await ledger.begin_epoch(FIRST, 0, 5)

    assert await ledger.entries_after({}) == []


async def test_a_read_is_bounded_in_rows_per_partition(engine: AsyncEngine) -> None:
    """So that a catch-up goes in steps, and no partition starves another."""
    ledger = PostgresLedger(engine)
    for start in range(0, 50, 10):
        await ledger.commit([entry(start, []), entry(start, [], partition=SECOND)], 0)

    read = await ledger.entries_after({}, rows=2)

    assert [(each.name.partition, each.first_offset) for each in read] == [(0, 0), (0, 10), (1, 0), (1, 10)]


@pytest.mark.parametrize(("bytes_", "found"), [(1, 1), (10_000_000, 5)])
async def test_a_read_is_bounded_in_bytes_but_always_goes_on(engine: AsyncEngine, bytes_: int, found: int) -> None:
    """One entry larger than the bound is still read."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)
    for start in range(0, 50, 10):
        await ledger.commit([entry(start, [(SeriesKey(owner, ("eu",)), slot, slot) for slot in range(100)])], 0)

    assert len(await ledger.entries_after({}, bytes_=bytes_)) == found


@pytest.mark.parametrize("cursor", [0, 5])
async def test_a_hole_after_a_cursor_is_never_passed_over(engine: AsyncEngine, cursor: int) -> None:
    """Missing entries stop the evaluator instead of missing in its numbers."""
    ledger = PostgresLedger(engine)
    for start in (0, 10, 20):
        await ledger.commit([entry(start, [])], 0)
    await run(engine, "DELETE FROM ledger WHERE first_offset = 0")

    with pytest.raises(LedgerBroken, match=f"offset 10, not at {cursor}"):
        await ledger.entries_after({NAME: cursor})


async def test_a_hole_between_entries_is_never_passed_over(engine: AsyncEngine) -> None:
    """The chain is checked throughout."""
    ledger = PostgresLedger(engine)
    for start in (0, 10, 20):
        await ledger.commit([entry(start, [])], 0)
    await run(engine, "DELETE FROM ledger WHERE first_offset = 10")

    with pytest.raises(LedgerBroken, match="offset 20, not at 10"):
        await ledger.entries_after({})


async def test_of_two_commits_of_one_span_one_wins(engine: AsyncEngine) -> None:
    """Whoever they are: the first ever, or later ones."""
    for start in (0, 10):
        ledgers = [PostgresLedger(engine) for _ in range(5)]
        lost = await asyncio.gather(*(ledger.commit([entry(start, [])], 0) for ledger in ledgers))
        assert sorted(map(len, lost)) == [0, 1, 1, 1, 1]


async def test_definitions_cannot_change_while_a_commit_holds_their_revision(engine: AsyncEngine, session: Any) -> None:
    """A commit waits for an `apply` that runs, and then sees the new revision."""
    async with session.transaction():
        await session.execute("SELECT revision FROM installation FOR UPDATE")
        await session.execute("UPDATE installation SET revision = revision + 1")
        commit = asyncio.create_task(PostgresLedger(engine).commit([entry(0, [])], 0))
        await waiting_for_a_lock(engine)
        assert not commit.done()
    with pytest.raises(DefinitionsMoved):
        await commit


async def test_a_worker_whose_session_is_cut_in_the_middle_writes_nothing(engine: AsyncEngine, session: Any) -> None:
    """Its outcome is unknown to it; the database knows."""
    owner = await indicator(engine)
    ledger = PostgresLedger(engine)
    transaction = session.transaction()
    await transaction.start()
    await session.execute("SELECT FROM indicators FOR UPDATE")
    commit = asyncio.create_task(ledger.commit([entry(0, [(SeriesKey(owner, ("eu",)), 1, 1)])], 0))

    for pid in await waiting_for_a_lock(engine):
        await session.execute("SELECT pg_terminate_backend($1)", pid)

    with pytest.raises(LedgerUnavailable):
        await commit
    await transaction.rollback()
    assert await ledger.positions([FIRST]) == {}
    assert await ledger.commit([entry(0, [(SeriesKey(owner, ("eu",)), 1, 1)])], 0) == frozenset()


async def test_a_frozen_worker_loses_its_session_and_then_its_span(database_url: str, engine: AsyncEngine) -> None:
    """Its locks end with the server's time-out; when it thaws, another has gone on."""
    frozen = await connect(database_url, idle_in_transaction_session_timeout="50ms")
    await PostgresLedger(engine).commit([entry(0, [])], 0)
    await frozen.execute("BEGIN; UPDATE partition_offsets SET next_offset = 99")

    assert await PostgresLedger(engine).commit([entry(10, [])], 0) == frozenset()  # waits until the server lets go

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as thawed:
        await frozen.execute("COMMIT")
    assert is_away(thawed.value)
    frozen.terminate()
    assert (await PostgresLedger(engine).positions([FIRST]))[FIRST].offset == 20


async def waiting_for_a_lock(engine: AsyncEngine) -> list[int]:
    """Process ids of the sessions of this database that wait for a lock, as soon as there is one."""
    statement = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(5):
        while True:
            found = await run(engine, statement)
            if found:
                return [row.pid for row in found]


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    """Every call tells its worker to try again."""
    engine = create_engine("postgresql://upheld:secret@127.0.0.1:1/none")
    ledger = PostgresLedger(engine)
    status = PartitionStatus(FIRST, 0, 0, None, None, None, None, CLOCK_US, "worker")

    for call in (
        lambda: ledger.commit([entry(0, [])], 0),
        lambda: ledger.positions([FIRST]),
        lambda: ledger.begin_epoch(FIRST, 0, 0),
        lambda: ledger.report([status]),
        lambda: ledger.entries_after({}),
        ledger.statuses,
    ):
        with pytest.raises(LedgerUnavailable) as caught:
            await call()
        assert "secret" not in str(caught.value)
    await engine.dispose()


async def test_a_status_is_never_replaced_by_an_older_position(engine: AsyncEngine) -> None:
    """A worker that comes back from a freeze does not speak over its successor."""
    ledger = PostgresLedger(engine)

    def status(epoch: int, position: int, worker: str) -> PartitionStatus:
        return PartitionStatus(FIRST, epoch, position, position, CLOCK_US, position, None, CLOCK_US, worker)

    await ledger.report([status(0, 10, "old"), status(0, 20, "new")])
    await ledger.report([status(0, 15, "old")])
    assert await ledger.statuses() == [status(0, 20, "new")]

    await ledger.report([status(1, 0, "newer")])
    await ledger.report([status(0, 99, "new")])
    assert await ledger.statuses() == [status(1, 0, "newer")]


async def test_a_commit_wakes_whoever_listens(engine: AsyncEngine, session: Any) -> None:
    """The evaluator need not wait for its next poll."""
    heard = asyncio.Event()

    def notified(*_: object) -> None:
        heard.set()

    await session.add_listener("upheld_ledger", notified)

    await PostgresLedger(engine).commit([entry(0, [])], 0)

    await asyncio.wait_for(heard.wait(), 5)
    await session.remove_listener("upheld_ledger", notified)


async def test_a_snapshot_of_a_transaction_reads_a_whole_chain(engine: AsyncEngine) -> None:
    """Reading within a caller's transaction works too."""
    await PostgresLedger(engine).commit([entry(0, []), entry(10, [])], 0)

    async with engine.begin() as connection:
        assert len(await entries_after(connection, {})) == 2


async def test_a_read_costs_what_is_new_and_not_what_was_read_before(engine: AsyncEngine) -> None:
    """Each look touches the entries behind the cursors alone, however long the epoch has grown."""
    await run(
        engine,
        "INSERT INTO ledger (topic, partition, epoch, first_offset, next_offset, counts, records, samples, dead, clock_us)"
        " SELECT 'events', p, 0, n * 10, n * 10 + 10, '', 10, 10, 0, n FROM generate_series(0, 1) p, generate_series(0, 4999) n",
    )
    await run(
        engine, "INSERT INTO partition_offsets (topic, partition, epoch, next_offset) VALUES ('events', 0, 0, 50000)"
    )
    await run(
        engine, "INSERT INTO partition_offsets (topic, partition, epoch, next_offset) VALUES ('events', 1, 0, 50000)"
    )
    await run(engine, "ANALYZE ledger")
    cursors = {"topics": ["events"] * 2, "partitions": [0, 1], "epochs": [0, 0], "offsets": [49_970, 49_990]}

    (plan,) = await run(
        engine,
        f"EXPLAIN (ANALYZE, FORMAT JSON) {entries._ENTRIES.text}",
        rows=entries.READ_ROWS,
        bytes=entries.READ_BYTES,
        **cursors,
    )

    assert touched(plan[0][0]["Plan"]) == 3 + 1


def touched(node: dict[str, Any]) -> int:
    """How many rows of the ledger the plan looked at, those that it then left out too."""
    own = 0
    if node.get("Relation Name") == "ledger":
        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        own = round(looked_at * node["Actual Loops"])
    return own + sum(touched(child) for child in node.get("Plans", []))
