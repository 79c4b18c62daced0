"""Slots as stored: pages by time, as ticks write them, chunks by series, as histories read them, and days of old ones.

The truth is the sum of all at any moment, in one snapshot: rows add up, so late data is simply one more row. A tick
writes a page for each bucket of series that it counted in; what is dense already (a catch-up) goes to chunks at once.
A chunk is CHUNK_SLOTS slots of one series (one hour of 10 s slots): small enough to be written again when late data
comes. Pages are gathered bucket by bucket, so each chunk is written about twice. What becomes of old chunks: see rollup.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators.slots import Int64s, SlotCounts, concatenated, starts_of

CHUNK_SLOTS: Final = 360
BUCKET_SERIES: Final = 512
"""Series of one page: what has to be unpacked to read one of them, and what is gathered in one go."""

RIPE_PAGES: Final = 180
RIPE_ROWS: Final = 50_000
"""A bucket is gathered once it has so many pages, or rows."""
GATHER_ROWS: Final = 200_000
"""About what one call gathers: some hundred milliseconds. It ends after the bucket with which that is reached."""
DENSE_ROWS: Final = 20_000
DENSE_IN_CHUNK: Final = 16
"""So many rows at once, so many of each chunk: cheaper to put in place than to gather later."""

STEPS_S: Final = "60, 900"
"""The steps of days, for statements."""
LOAD_ROWS: Final = 500_000
"""Slots of a shard that are in memory at once while it is loaded: some 50 MB."""
LOAD_PARTS: Final = 100

# The checkpoint of a shard is caught up with the pages behind it, so those stay pages until the next checkpoint.
_RIPE = text(
    """
    SELECT bucket, count(*) AS pages, sum(rows) AS rows FROM slot_pages
    WHERE shard = :shard AND tick_seq <= coalesce(
        (SELECT tick_seq FROM checkpoints WHERE shard = :shard), 9223372036854775807)
    GROUP BY bucket HAVING count(*) >= :pages OR sum(rows) >= :rows
    ORDER BY sum(rows) DESC
    """
)
_TAKE_PAGES = text(
    """
    DELETE FROM slot_pages
    WHERE shard = :shard AND bucket = :bucket AND tick_seq <= coalesce(
        (SELECT tick_seq FROM checkpoints WHERE shard = :shard), 9223372036854775807)
    RETURNING counts
    """
)
_APPEND = text(
    """
    INSERT INTO slot_pages (shard, bucket, tick_seq, counts, rows)
    SELECT :shard, page.bucket, :tick_seq, page.counts, page.rows
    FROM unnest(CAST(:buckets AS bigint[]), CAST(:counts AS bytea[]), CAST(:rows AS integer[]))
        AS page (bucket, counts, rows)
    """
)
_FORGET_CHECKPOINT = text("DELETE FROM checkpoints WHERE shard = :shard")
_LOCK_CHUNKS = text(
    """
    SELECT counts FROM slot_chunks
    JOIN unnest(CAST(:series AS bigint[]), CAST(:chunks AS integer[])) AS wanted (series_id, chunk)
      USING (series_id, chunk)
    ORDER BY series_id, chunk FOR UPDATE OF slot_chunks
    """
)
_PUT_CHUNKS = text(
    """
    INSERT INTO slot_chunks (series_id, chunk, counts)
    SELECT * FROM unnest(CAST(:series AS bigint[]), CAST(:chunks AS integer[]), CAST(:counts AS bytea[]))
    ON CONFLICT (series_id, chunk) DO UPDATE SET counts = excluded.counts
    """
)
_PAGES_OF = """
    SELECT counts FROM slot_pages WHERE (shard, bucket) IN (
        SELECT indicators.shard, series.id / :bucket_series
        FROM series JOIN indicators ON indicators.id = series.indicator_id
        WHERE series.id = ANY(CAST(:series AS bigint[])))
    """
_DAY_OF = "(SELECT floor(CAST({} AS float8) * slot_us / 86400000000)::integer FROM installation)"
_READ = text(
    f"""
    SELECT counts FROM slot_chunks
    WHERE series_id = ANY(CAST(:series AS bigint[])) AND chunk BETWEEN :first AND :last
    UNION ALL
    SELECT counts FROM slot_days WHERE series_id = ANY(CAST(:series AS bigint[])) AND step_s IN ({STEPS_S})
      AND day BETWEEN {_DAY_OF.format(":from_slot")} AND {_DAY_OF.format(":last_slot")}
    UNION ALL {_PAGES_OF}
    """  # noqa: S608 - the text above
)
# `until_slot`: where the part ends, so that what was not read of its kind lies behind it.
_FIRST = text(
    f"""
    (SELECT counts, (chunk + 1) * CAST(:chunk_slots AS bigint) AS until_slot FROM slot_chunks
     WHERE series_id = :id ORDER BY chunk LIMIT :parts)
    UNION ALL
    SELECT first.counts, (first.day + 1) * (SELECT 86400000000 / slot_us FROM installation)
    FROM unnest(ARRAY[{STEPS_S}]) AS step (step_s) CROSS JOIN LATERAL (
        SELECT counts, day FROM slot_days WHERE series_id = :id AND slot_days.step_s = step.step_s
        ORDER BY day LIMIT :parts) AS first
    UNION ALL SELECT pages.counts, NULL FROM ({_PAGES_OF}) AS pages
    """  # noqa: S608
)
_READ_SHARD = text(
    f"""
    SELECT counts FROM slot_pages WHERE shard = :shard
    UNION ALL
    SELECT slot_chunks.counts FROM slot_chunks
    JOIN series ON series.id = slot_chunks.series_id JOIN indicators ON indicators.id = series.indicator_id
    WHERE indicators.shard = :shard AND slot_chunks.chunk >= :first
    UNION ALL
    SELECT CASE WHEN day < {_DAY_OF.format(":quarters_before")} THEN coalesce(quarters, counts) ELSE counts END
    FROM slot_days JOIN series ON series.id = slot_days.series_id JOIN indicators ON indicators.id = series.indicator_id
    WHERE indicators.shard = :shard AND slot_days.step_s IN ({STEPS_S})
      AND slot_days.day >= coalesce({_DAY_OF.format(":from_slot")}, -2147483648)
    """  # noqa: S608
)
_PAGES_AFTER = text("SELECT counts FROM slot_pages WHERE shard = :shard AND tick_seq > :tick_seq")

_LEAST_CHUNK: Final = -(2**31)


async def append_page(connection: AsyncConnection, shard: int, tick_seq: int, counts: SlotCounts) -> None:
    """Add what a tick counted. A tick appends once.

    Where the counts are dense, the shard's checkpoint is forgotten: what went to chunks is not behind it.
    """
    merged = counts.merged()
    if not len(merged):
        return
    if _dense(merged):
        await _put(connection, merged)
        await connection.execute(_FORGET_CHECKPOINT, {"shard": shard})
        return
    buckets = merged.series // BUCKET_SERIES
    starts = starts_of(buckets)
    await connection.execute(
        _APPEND,
        {
            "shard": shard,
            "tick_seq": tick_seq,
            "buckets": buckets[starts].tolist(),
            "counts": merged.pack_parts(starts),
            "rows": np.diff(starts, append=len(merged)).tolist(),
        },
    )


async def compact(
    connection: AsyncConnection,
    shard: int,
    *,
    pages: int = RIPE_PAGES,
    rows: int = RIPE_ROWS,
    most_rows: int = GATHER_ROWS,
) -> int:
    """Gather ripe pages into chunks and return how many rows they had: bounded, so call it now and then.

    A bucket is ripe with so many `pages` or `rows`. Pages behind the shard's checkpoint stay.
    """
    moved = 0
    for bucket in (await connection.execute(_RIPE, {"shard": shard, "pages": pages, "rows": rows})).all():
        if moved and moved + bucket.rows > most_rows:
            break
        taken = await connection.execute(_TAKE_PAGES, {"shard": shard, "bucket": bucket.bucket})
        await _put(connection, unpacked(taken).merged())
        moved += bucket.rows
    return moved


async def read(connection: AsyncConnection, series: Sequence[int], from_slot: int, to_slot: int) -> SlotCounts:
    """The series' slots in [from_slot, to_slot), merged. Raises CorruptSlots."""
    if not series or to_slot <= from_slot:
        return SlotCounts.empty()
    found = await connection.execute(
        _READ,
        {
            "series": list(series),
            "first": from_slot // CHUNK_SLOTS,
            "last": (to_slot - 1) // CHUNK_SLOTS,
            "from_slot": from_slot,
            "last_slot": to_slot - 1,
            "bucket_series": BUCKET_SERIES,
        },
    )
    counts = unpacked(found)
    within = (counts.slot >= from_slot) & (counts.slot < to_slot)
    wanted = np.array(sorted(series), dtype=np.int64)
    return counts.take(within & np.isin(counts.series, wanted)).merged()


async def first_sampled(connection: AsyncConnection, series: int) -> int | None:
    """The first slot in which the series counted a sample; None before that."""
    first: int | None = None
    for parts in (1, None):  # in the first part of each kind there may be rows of no samples alone
        values = {"id": series, "series": [series], "bucket_series": BUCKET_SERIES}
        rows = (await connection.execute(_FIRST, {**values, "chunk_slots": CHUNK_SLOTS, "parts": parts})).all()
        counts = unpacked(rows)
        sampled = counts.slot[(counts.series == series) & (counts.total != 0)]
        first = int(sampled.min()) if len(sampled) else None
        ends = [row.until_slot for row in rows if row.until_slot is not None]
        if not ends or (first is not None and first < min(ends)):
            break
    return first


async def load_shard(connection: AsyncConnection, shard: int, from_slot: int | None = None) -> SlotCounts:
    """All slots of a shard's series from `from_slot` on, merged; None: from the first. Raises CorruptSlots."""
    return concatenated([part async for part in shard_parts(connection, shard, from_slot)]).merged()


async def shard_parts(
    connection: AsyncConnection, shard: int, from_slot: int | None = None, *, quarters_before: int | None = None
) -> AsyncGenerator[SlotCounts]:
    """The same in parts of about LOAD_ROWS that add up to it, in no order, so that a long history fits into memory.

    What is rolled up of days before the slot `quarters_before` comes by quarters of an hour.
    """
    first = _LEAST_CHUNK if from_slot is None else from_slot // CHUNK_SLOTS
    values = {"shard": shard, "first": first, "from_slot": from_slot, "quarters_before": quarters_before}
    parts: list[SlotCounts] = []
    found = await connection.stream(_READ_SHARD, values)
    async for rows in found.partitions(LOAD_PARTS):
        counts = unpacked(rows)
        parts.append(counts if from_slot is None else counts.take(counts.slot >= from_slot))
        if sum(map(len, parts)) >= LOAD_ROWS:
            yield concatenated(parts)
            parts = []
    if parts:
        yield concatenated(parts)


async def pages_after(connection: AsyncConnection, shard: int, tick_seq: int) -> SlotCounts:
    """What the ticks after `tick_seq` counted, merged: with a checkpoint of that tick it is everything."""
    return unpacked(await connection.execute(_PAGES_AFTER, {"shard": shard, "tick_seq": tick_seq})).merged()


def _dense(merged: SlotCounts) -> bool:
    if len(merged) < DENSE_ROWS:
        return False
    return len(merged) >= DENSE_IN_CHUNK * len(starts_of(merged.series, merged.slot // CHUNK_SLOTS))


async def _put(connection: AsyncConnection, counts: SlotCounts) -> None:
    """Add merged counts to the chunks that they lie in."""
    starts = _chunks(counts)
    before = unpacked(await connection.execute(_LOCK_CHUNKS, _keys(counts, starts)))
    sums = concatenated([before, counts]).merged() if len(before) else counts
    starts = _chunks(sums)
    await connection.execute(_PUT_CHUNKS, {**_keys(sums, starts), "counts": sums.pack_parts(starts)})


def _chunks(merged: SlotCounts) -> Int64s:
    """Where each chunk begins, by series, then time."""
    return starts_of(merged.series, merged.slot // CHUNK_SLOTS)


def _keys(counts: SlotCounts, starts: Int64s) -> dict[str, list[int]]:
    return {"series": counts.series[starts].tolist(), "chunks": (counts.slot[starts] // CHUNK_SLOTS).tolist()}


def unpacked(rows: Iterable[Any]) -> SlotCounts:
    """All rows of many small parts, not merged. Raises CorruptSlots."""
    return SlotCounts.unpack_parts([row.counts for row in rows])
