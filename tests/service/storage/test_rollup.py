"""Slots that were rolled up have the sums that windows promise; whatever happened in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators import rollup
from evaluators.calendars import COARSE_STEP
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.slots import CorruptSlots, SlotCounts, concatenated
from service.storage import slots
from service.storage.rollup import roll_up
from tests.examples import examples
from tests.service.storage import slot_series
from tests.service.storage.slot_series import admit

SHARD = 2
SLOT = 10 * SECOND
BEGIN = 20_000 * DAY  # in 2024
FIRST = BEGIN // SLOT
DAYS_KEPT = rollup.SLOTS_KEPT_US // DAY
MONTHS = rollup.MINUTES_KEPT_US // DAY
IDS = [1, 2, 601]
OTHER = 1500


@pytest.fixture
async def series(engine: AsyncEngine) -> list[int]:
    """Series of SHARD in two buckets, and one of another shard."""
    await admit(engine, [*IDS, OTHER], shard=SHARD, elsewhere=OTHER)
    return IDS


def counted(*rows: tuple[int, int, int]) -> SlotCounts:
    """Rows of (series, slots after BEGIN, total)."""
    return slot_series.counted(*rows, after=FIRST)


async def kept(engine: AsyncEngine) -> list[tuple[str, int, int]]:
    """What kind of parts there are, of which step, and how many."""
    async with engine.begin() as connection:
        found = await connection.execute(
            text(
                "SELECT 'page' AS kind, 10 AS step, count(*) FROM slot_pages UNION ALL"
                " SELECT 'chunk', 10, count(*) FROM slot_chunks UNION ALL"
                " SELECT 'day', step_s, count(*) FROM slot_days GROUP BY step_s ORDER BY step"
            )
        )
        return [tuple(row) for row in found if row.count]


async def gathered(connection: Any, *pages: SlotCounts) -> None:
    """Ticks wrote these, and they lie in chunks."""
    for tick_seq, page in enumerate(pages, start=1):
        await slots.append_page(connection, SHARD, tick_seq, page)
    while await slots.compact(connection, SHARD, pages=1):
        pass


async def all_rolled_up(connection: Any, tick_us: int, **more: Any) -> list[int]:
    """Steps until nothing is left; what each moved."""
    moved: list[int] = []
    while step := await roll_up(connection, SHARD, tick_us, SLOT, **more):
        moved.append(step)
    return moved


WHEN = st.one_of(  # slots: dense around a day's edge and in its first minutes, and anywhere in some days
    st.integers(-20, 20), st.integers(8630, 8650), st.integers(0, 5 * 8640), st.sampled_from([89, 90, 91, 8640 * 3])
)
ROWS = st.lists(st.tuples(st.sampled_from(IDS), WHEN, st.integers(0, 1000)), min_size=1, max_size=25)
DAYS_ON = st.sampled_from([0, 1, 2, 3, 4, 6, MONTHS, MONTHS + 2, MONTHS + 9])
OPERATIONS = st.lists(
    st.one_of(ROWS, st.just("gather"), st.just("checkpoint"), st.tuples(st.just("roll"), DAYS_ON, st.integers(1, 4))),
    min_size=2,
    max_size=14,
)
EDGES = st.lists(st.integers(-30, 8700), max_size=3).map(lambda found: [BEGIN + slot * SLOT for slot in found])


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, edges=EDGES, data=st.data())
async def test_whatever_was_rolled_up_when_every_promised_sum_is_the_recount(
    engine: AsyncEngine, series: list[int], operations: list[Any], edges: list[int], data: st.DataObject
) -> None:
    """Rows come in time or long after their day was rolled up; checkpoints and their pages are left alone."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE slot_pages, slot_chunks, slot_days, checkpoints"))
    written: list[SlotCounts] = []
    after: list[SlotCounts] = []
    checkpointed, day = None, 0
    for tick_seq, operation in enumerate(operations, start=1):
        async with engine.begin() as connection:
            if operation == "gather":
                await slots.compact(connection, SHARD, pages=1)
            elif operation == "checkpoint":
                await connection.execute(
                    text(
                        "INSERT INTO checkpoints (shard, tick_seq, state) VALUES (:shard, :seq, '')"
                        " ON CONFLICT (shard) DO UPDATE SET tick_seq = excluded.tick_seq"
                    ),
                    {"shard": SHARD, "seq": tick_seq},
                )
                checkpointed, after = tick_seq, []
            elif operation[0] == "roll":
                day = max(day, operation[1])
                await roll_up(connection, SHARD, BEGIN + day * DAY, SLOT, edges_us=edges, most=operation[2])
            else:
                written.append(counted(*operation))
                after.append(written[-1])
                await slots.append_page(connection, SHARD, tick_seq, written[-1])
    everything = concatenated(written).merged()
    step = rollup.finest_step(BEGIN - DAY, BEGIN + day * DAY, SLOT)
    bounds = st.sampled_from(edges or [BEGIN]) | st.integers(-200, 600).map(lambda n: BEGIN + n * step)
    from_us, until_us = sorted((data.draw(bounds), data.draw(bounds)))
    async with engine.begin() as connection:
        loaded = await slots.load_shard(connection, SHARD)
        found = await slots.read(connection, series, from_us // SLOT, until_us // SLOT)
        firsts = [await slots.first_sampled(connection, each) for each in series]
        parts = [part async for part in slots.shard_parts(connection, SHARD, quarters_before=from_us // SLOT)]
        if checkpointed is not None:
            assert await slots.pages_after(connection, SHARD, checkpointed) == concatenated(after).merged()
    assert rollup.rolled(loaded, step, SLOT, edges) == rollup.rolled(everything, step, SLOT, edges)
    coarse = concatenated(parts).merged()
    assert rollup.rolled(coarse, COARSE_STEP, SLOT, edges) == rollup.rolled(everything, COARSE_STEP, SLOT, edges)
    recent = [counts.take(counts.slot * SLOT >= from_us // DAY * DAY) for counts in (coarse, everything)]
    assert rollup.rolled(recent[0], step, SLOT, edges) == rollup.rolled(recent[1], step, SLOT, edges)
    within = everything.take((everything.slot * SLOT >= from_us) & (everything.slot * SLOT < until_us))
    for each in series:
        sums = [part.columns[2:, part.series == each].sum(axis=1).tolist() for part in (found, within)]
        assert sums[0] == sums[1]
        seen = everything.slot[(everything.series == each) & (everything.total > 0)]
        assert firsts[series.index(each)] == (seen.min() if len(seen) else None)


async def test_a_whole_day_old_enough_becomes_minutes_and_the_rest_stays(
    engine: AsyncEngine, series: list[int]
) -> None:
    """One row a series and day; the days that windows on slots reach back to are left as they are."""
    day = [(each, slot, 5) for each in (1, 2) for slot in range(0, 2 * 8640, 5)]
    tick_us = BEGIN + DAYS_KEPT * DAY + 30 * HOUR
    async with engine.begin() as connection:
        await gathered(connection, counted(*day))
        assert await roll_up(connection, SHARD, BEGIN + DAYS_KEPT * DAY + DAY - 1, SLOT) == 0
        assert await all_rolled_up(connection, tick_us) == [2]
        rows = await slots.load_shard(connection, SHARD)

    assert await kept(engine) == [("chunk", 10, 48), ("day", 60, 2)]
    old = rows.slot < FIRST + 8640
    assert int(old.sum()) == 2 * 1440
    assert int(rows.total.sum()) == 5 * len(day)
    assert rows.take(~old) == counted(*(row for row in day if row[1] >= 8640))


async def test_a_day_of_minutes_is_read_by_quarters_where_that_is_enough(
    engine: AsyncEngine, series: list[int]
) -> None:
    """A start sums a fifteenth of a long history; late data is in both."""
    async with engine.begin() as connection:
        await gathered(connection, counted(*((1, slot, 5) for slot in range(2 * 8640))))
        await all_rolled_up(connection, BEGIN + 9 * DAY)
        await gathered(connection, counted((1, 95, 7)))
        await all_rolled_up(connection, BEGIN + 9 * DAY)
        parts = slots.shard_parts(connection, SHARD, quarters_before=FIRST + 8640 + 100)
        rows = concatenated([part async for part in parts]).merged()

    assert len(rows) == 96 + 1440
    assert rows.total.tolist()[:3] == [450, 457, 450]


async def test_after_thirteen_months_minutes_become_quarters_of_an_hour(engine: AsyncEngine, series: list[int]) -> None:
    """Late data for such a day goes there by way of minutes."""
    async with engine.begin() as connection:
        await gathered(connection, counted(*((1, slot, 5) for slot in range(8640))))
        await all_rolled_up(connection, BEGIN + MONTHS * DAY)
        assert await kept_in(connection) == [(60, 1)]
        await all_rolled_up(connection, BEGIN + (MONTHS + 1) * DAY)
        assert await kept_in(connection) == [(900, 1)]
        await gathered(connection, counted((1, 95, 7), (1, 96, 7)))
        assert await all_rolled_up(connection, BEGIN + (MONTHS + 1) * DAY) == [1, 1]
        assert await kept_in(connection) == [(900, 1)]
        rows = await slots.load_shard(connection, SHARD)

    assert len(rows) == 96
    assert rows.total.tolist() == [450, 464, *[450] * 94]
    assert rows == rollup.rolled(rows, COARSE_STEP, SLOT)


async def kept_in(connection: Any) -> list[tuple[int, int]]:
    found = await connection.execute(text("SELECT step_s, count(*) FROM slot_days GROUP BY step_s"))
    return [tuple(row) for row in found]


async def test_a_step_moves_no_more_than_it_may_and_other_shards_are_left_alone(
    engine: AsyncEngine, series: list[int]
) -> None:
    """The transaction around it must stay short."""
    async with engine.begin() as connection:
        await gathered(connection, counted(*((each, day * 8640, 1) for each in IDS for day in range(3))))
        await slots.append_page(connection, 0, 1, counted((OTHER, 0, 1)))
        await slots.compact(connection, 0, pages=1)

        assert await all_rolled_up(connection, BEGIN + 9 * DAY, most=2) == [2, 2, 2, 1, 1, 1]

        assert await slots.load_shard(connection, 0) == counted((OTHER, 0, 1))
    assert await kept(engine) == [("chunk", 10, 1), ("day", 60, 9)]


async def test_versions_that_come_into_force_within_a_minute_keep_their_own_counts(
    engine: AsyncEngine, series: list[int]
) -> None:
    """The budget sums what each target allowed."""
    at_us = BEGIN + 3 * SLOT
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO documents (kind, name, version, source, spec, in_force_from_us, applied_by)"
                " VALUES ('Agreement', 'a', 1, '', '{}', :at, 'x'), ('AlertPolicy', 'p', 1, '', '{}', :other, 'x')"
            ),
            {"at": at_us, "other": BEGIN + SLOT},
        )
        await gathered(connection, counted(*((1, slot, 1) for slot in range(12))))
        await all_rolled_up(connection, BEGIN + 9 * DAY)

        rows = await slots.load_shard(connection, SHARD)

    assert [row.tolist() for row in (rows.slot - FIRST, rows.total)] == [[0, 3, 6], [3, 3, 6]]


async def test_what_cannot_be_read_is_neither_moved_nor_lost(engine: AsyncEngine, series: list[int]) -> None:
    """The step fails as a whole."""
    async with engine.begin() as connection:
        await gathered(connection, counted((1, 0, 1)))
        await connection.execute(text("UPDATE slot_chunks SET counts = 'U1damaged'"))

    with pytest.raises(CorruptSlots):
        async with engine.begin() as connection:
            await roll_up(connection, SHARD, BEGIN + 9 * DAY, SLOT)

    assert await kept(engine) == [("chunk", 10, 1)]


async def test_times_before_1970_have_days_like_others(engine: AsyncEngine, series: list[int]) -> None:
    """Division rounds down on both sides of zero."""
    rows = counted((1, -FIRST - 1, 3), (1, -FIRST - 8640, 4), (1, -FIRST, 5))
    async with engine.begin() as connection:
        await gathered(connection, rows)
        assert await all_rolled_up(connection, 9 * DAY) == [1, 1]

        assert await slots.read(connection, [1], -8640, 0) == counted((1, -FIRST - 8640, 4), (1, -FIRST - 1, 3))
        assert await slots.read(connection, [1], 0, MINUTE // SLOT) == counted((1, -FIRST, 5))
    assert await kept(engine) == [("day", 60, 2)]
