"""Slots as pages and chunks: whatever has been gathered, reading gives the sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.slots import CorruptSlots, SlotCounts, concatenated
from service.storage import slots
from tests.examples import examples
from tests.service.storage.slot_series import admit, counted

SHARD = 2
NOW = 176_400_000  # a slot in 2025


@pytest.fixture
async def series(engine: AsyncEngine) -> list[int]:
    """Series of SHARD in three buckets, and one of another shard at the end."""
    ids = [1, 2, 600, 601, 1100, 1500]
    await admit(engine, ids, shard=SHARD, elsewhere=1500)
    return ids


def dense(series: Sequence[int], first: int, count: int) -> SlotCounts:
    """A total in each of `count` slots of each series."""
    ids = np.repeat(np.array(series, dtype=np.int64), count)
    slot = np.tile(np.arange(first, first + count), len(series))
    total = slot % 97 + ids % 13
    return SlotCounts(ids, slot, total, total, total * 0, total * 0)


async def stored(engine: AsyncEngine) -> tuple[int, int]:
    """How many pages and chunks there are."""
    async with engine.begin() as connection:
        found = await connection.execute(
            text("SELECT (SELECT count(*) FROM slot_pages), (SELECT count(*) FROM slot_chunks)")
        )
        pages, chunks = found.one()
        return pages, chunks


ROWS = st.lists(
    st.tuples(st.sampled_from([1, 2, 600, 601, 1100]), st.integers(NOW - 800, NOW + 10), st.integers(0, 1000)),
    max_size=30,
)
STEPS = st.lists(st.one_of(ROWS, st.just("gather"), st.just("checkpoint")), max_size=12)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, window=st.tuples(st.integers(NOW - 900, NOW + 20), st.integers(0, 900)))
async def test_in_whatever_order_pages_are_written_and_gathered_reading_gives_their_sum(
    engine: AsyncEngine, series: list[int], steps: list[object], window: tuple[int, int]
) -> None:
    """Late rows too: they are only more rows."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE slot_pages, slot_chunks, checkpoints"))
    written: list[SlotCounts] = []
    after: list[SlotCounts] = []
    for tick_seq, step in enumerate(steps, start=1):
        async with engine.begin() as connection:
            if step == "gather":
                await slots.compact(connection, SHARD, pages=1)
            elif step == "checkpoint":
                await connection.execute(
                    text(
                        "INSERT INTO checkpoints (shard, tick_seq, state) VALUES (:shard, :seq, '')"
                        " ON CONFLICT (shard) DO UPDATE SET tick_seq = excluded.tick_seq"
                    ),
                    {"shard": SHARD, "seq": tick_seq},
                )
                checkpointed, after = tick_seq, []
            else:
                written.append(counted(*step))  # type: ignore[misc]
                after.append(written[-1])
                await slots.append_page(connection, SHARD, tick_seq, written[-1])
    everything = concatenated(written).merged()
    from_slot, to_slot = window[0], window[0] + window[1]
    async with engine.begin() as connection:
        assert await slots.load_shard(connection, SHARD) == everything
        assert await slots.load_shard(connection, SHARD, from_slot) == everything.take(everything.slot >= from_slot)
        within = (everything.slot >= from_slot) & (everything.slot < to_slot) & (everything.series != 600)
        assert await slots.read(connection, [1, 2, 601, 1100], from_slot, to_slot) == everything.take(within)
        if "checkpoint" in steps:
            assert await slots.pages_after(connection, SHARD, checkpointed) == concatenated(after).merged()


async def test_ripe_pages_are_gathered_into_chunks(engine: AsyncEngine, series: list[int]) -> None:
    """A page of a bucket alone is not worth it; many are."""
    async with engine.begin() as connection:
        for tick_seq in range(5):
            rows = [(1, NOW + tick_seq, 10), (601, NOW + tick_seq, 20)] if tick_seq else [(1, NOW, 10)]
            await slots.append_page(connection, SHARD, tick_seq, counted(*rows))
        assert await slots.compact(connection, SHARD, pages=6) == 0
        assert await slots.compact(connection, SHARD, pages=5) == 5

    assert await stored(engine) == (4, 1)


async def test_a_call_gathers_no_more_than_it_may_but_always_something(engine: AsyncEngine, series: list[int]) -> None:
    """The transaction around it must stay short."""
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, dense([1, 2, 600, 1100], NOW, 50))

        moved = [await slots.compact(connection, SHARD, pages=1, most_rows=70) for _ in range(4)]

    assert moved == [100, 50, 50, 0]


async def test_pages_behind_the_checkpoint_stay(engine: AsyncEngine, series: list[int]) -> None:
    """A restart folds them on top of it."""
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, counted((1, NOW, 10)))
        await connection.execute(
            text("INSERT INTO checkpoints (shard, tick_seq, state) VALUES (:shard, 1, '')"), {"shard": SHARD}
        )
        await slots.append_page(connection, SHARD, 2, counted((1, NOW + 1, 20)))

        assert await slots.compact(connection, SHARD, pages=1) == 1

        assert await slots.pages_after(connection, SHARD, 1) == counted((1, NOW + 1, 20))


async def test_what_is_dense_goes_to_chunks_at_once_and_the_checkpoint_is_forgotten(
    engine: AsyncEngine, series: list[int]
) -> None:
    """A catch-up leaves no pile of pages; the next restart reads the chunks."""
    history = dense([1, 2], NOW - 12_000, 12_000)
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, counted((1, NOW - 5, 7)))
        await connection.execute(
            text("INSERT INTO checkpoints (shard, tick_seq, state) VALUES (:shard, 1, '')"), {"shard": SHARD}
        )
        await slots.append_page(connection, SHARD, 2, history)

        assert await slots.load_shard(connection, SHARD) == concatenated([history, counted((1, NOW - 5, 7))])
        assert (await connection.execute(text("SELECT count(*) FROM checkpoints"))).scalar_one() == 0

    pages, chunks = await stored(engine)
    assert pages == 1
    assert chunks == 2 * -(-12_000 // slots.CHUNK_SLOTS)


async def test_a_shard_loads_its_own_series_alone(engine: AsyncEngine, series: list[int]) -> None:
    """Chunks carry no shard; their series does."""
    async with engine.begin() as connection:
        await slots.append_page(connection, 0, 1, counted((1500, NOW, 1)))
        await slots.append_page(connection, SHARD, 1, counted((1, NOW, 2)))
        for pages in (99, 1):
            await slots.compact(connection, 0, pages=pages)
            await slots.compact(connection, SHARD, pages=pages)

            assert await slots.load_shard(connection, SHARD) == counted((1, NOW, 2))
            assert await slots.load_shard(connection, 0) == counted((1500, NOW, 1))


async def test_nothing_asked_is_nothing_read(engine: AsyncEngine, series: list[int]) -> None:
    """No series, no time, no rows."""
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, SlotCounts.empty())
        await slots.append_page(connection, SHARD, 1, counted((1, NOW, 2)))

        assert not len(await slots.read(connection, [], 0, NOW + 1))
        assert not len(await slots.read(connection, [1], NOW, NOW))
        assert not len(await slots.read(connection, [2], 0, NOW + 1))
        assert not len(await slots.load_shard(connection, 1))


async def test_times_before_1970_are_slots_like_others(engine: AsyncEngine, series: list[int]) -> None:
    """Division rounds down on both sides of zero."""
    rows = counted((1, -1, 3), (1, -361, 4), (1, 0, 5))
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, rows)
        await slots.compact(connection, SHARD, pages=1)

        assert await slots.read(connection, [1], -360, 0) == counted((1, -1, 3))
        assert await slots.load_shard(connection, SHARD) == rows


async def test_a_damaged_row_is_an_error_not_a_number(engine: AsyncEngine, series: list[int]) -> None:
    """Nobody sums around it."""
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, counted((1, NOW, 2)))
        await connection.execute(text("UPDATE slot_pages SET counts = 'U1damaged'"))

        with pytest.raises(CorruptSlots):
            await slots.read(connection, [1], 0, NOW + 1)
