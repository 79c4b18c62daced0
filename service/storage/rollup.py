"""Old slots become coarser: chunks turn into days of minutes, and days of minutes into days of quarters of an hour.

A step moves whole days of some series, in the transaction of its caller: what it takes it adds, rolled up, to what is
there. So nothing is ever counted twice or lost, and late data that comes for a day rolled up long ago goes the same way:
from its page to a chunk, and with a later step into the day. Pages are left alone, so checkpoints are too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators import rollup
from evaluators.calendars import COARSE_STEP
from evaluators.durations import DAY, MINUTE, SECOND
from evaluators.slots import SlotCounts, concatenated, starts_of
from service.storage.slots import CHUNK_SLOTS, unpacked

STEP_DAYS: Final = 16
"""Days of series that one step moves: with slots of 10 s some 140,000 rows, less than a tenth of a second."""

# The oldest day of each series that has one; by series, so that what was done is passed over by one look into an index.
_OLDEST_CHUNKS = text(
    """
    SELECT series.id AS series_id, oldest.day FROM series JOIN indicators ON indicators.id = series.indicator_id
    CROSS JOIN LATERAL (
        SELECT floor(chunk / CAST(:chunks AS float8))::integer AS day FROM slot_chunks
        WHERE slot_chunks.series_id = series.id AND chunk < CAST(:before AS bigint) * :chunks ORDER BY chunk LIMIT 1
    ) AS oldest
    WHERE indicators.shard = :shard ORDER BY series.id LIMIT :most
    """
)
_TAKE_CHUNKS = text(
    """
    DELETE FROM slot_chunks USING unnest(CAST(:series AS bigint[]), CAST(:days AS bigint[])) AS taken (id, day)
    WHERE slot_chunks.series_id = taken.id
      AND chunk >= taken.day * :chunks AND chunk < (taken.day + 1) * :chunks
    RETURNING counts
    """
)
_OLDEST_MINUTES = text(
    """
    SELECT series.id AS series_id, oldest.day FROM series JOIN indicators ON indicators.id = series.indicator_id
    CROSS JOIN LATERAL (
        SELECT day FROM slot_days
        WHERE slot_days.series_id = series.id AND step_s = 60 AND day < :before ORDER BY day LIMIT 1
    ) AS oldest
    WHERE indicators.shard = :shard ORDER BY series.id LIMIT :most
    """
)
_TAKE_MINUTES = text(
    """
    DELETE FROM slot_days USING unnest(CAST(:series AS bigint[]), CAST(:days AS integer[])) AS taken (id, day)
    WHERE slot_days.series_id = taken.id AND step_s = 60 AND slot_days.day = taken.day
    RETURNING counts
    """
)
_KNOWN = text(
    """
    SELECT counts FROM slot_days
    JOIN unnest(CAST(:series AS bigint[]), CAST(:days AS integer[])) AS wanted (series_id, day) USING (series_id, day)
    WHERE step_s = :step_s ORDER BY series_id, day FOR UPDATE OF slot_days
    """
)
_PUT = text(
    """
    INSERT INTO slot_days (series_id, step_s, day, counts, quarters)
    SELECT put.series_id, :step_s, put.day, put.counts, put.quarters
    FROM unnest(CAST(:series AS bigint[]), CAST(:days AS integer[]), CAST(:counts AS bytea[]), CAST(:quarters AS bytea[]))
        AS put (series_id, day, counts, quarters)
    ON CONFLICT (series_id, step_s, day) DO UPDATE SET counts = excluded.counts, quarters = excluded.quarters
    """
)
_VERSION_EDGES = text(
    "SELECT DISTINCT in_force_from_us FROM documents WHERE kind = 'Agreement' AND in_force_from_us % 900000000 <> 0"
)


async def roll_up(
    connection: AsyncConnection,
    shard: int,
    tick_us: int,
    slot_us: int,
    *,
    edges_us: Sequence[int] = (),
    most: int = STEP_DAYS,
) -> int:
    """A step of what the shard's tick leaves behind; how many days of series it moved, 0 once there is nothing to move.

    `edges_us`: times that sums are taken up to although no step ends there, beside those at which versions of
    agreements come into force. Raises CorruptSlots.
    """
    chunks = DAY // (CHUNK_SLOTS * slot_us)
    values = {
        "shard": shard,
        "before": rollup.minutes_before_us(tick_us, slot_us) // DAY,
        "chunks": chunks,
        "most": most,
    }
    found = (await connection.execute(_OLDEST_CHUNKS, values)).all()
    if found:
        return await _move(connection, found, _TAKE_CHUNKS, {"chunks": chunks}, MINUTE, slot_us, edges_us)
    values = {"shard": shard, "before": rollup.quarters_before_us(tick_us) // DAY, "most": most}
    found = (await connection.execute(_OLDEST_MINUTES, values)).all()
    if found:
        return await _move(connection, found, _TAKE_MINUTES, {}, COARSE_STEP, slot_us, edges_us)
    return 0


async def _move(
    connection: AsyncConnection,
    found: Sequence[Any],
    take: TextClause,
    values: dict[str, int],
    step_us: int,
    slot_us: int,
    edges_us: Sequence[int],
) -> int:
    days = {"series": [row.series_id for row in found], "days": [row.day for row in found]}
    step = {"step_s": step_us // SECOND}
    versions = await connection.execute(_VERSION_EDGES)
    edges = {*versions.scalars(), *(edge for edge in edges_us if edge % COARSE_STEP)}
    taken = unpacked(await connection.execute(take, {**days, **values}))
    known = unpacked(await connection.execute(_KNOWN, {**days, **step}))
    sums = rollup.rolled(concatenated([known, taken]).merged(), step_us, slot_us, edges)
    day = sums.slot * slot_us // DAY
    starts = starts_of(sums.series, day)
    counts = sums.pack_parts(starts)
    put: dict[str, Any] = {"series": sums.series[starts].tolist(), "days": day[starts].tolist(), "counts": counts}
    put["quarters"] = _quarters(sums, slot_us, edges) if step_us == MINUTE else [None] * len(counts)
    await connection.execute(_PUT, {**put, **step})
    return len(found)


def _quarters(minutes: SlotCounts, slot_us: int, edges_us: Iterable[int]) -> list[bytes]:
    """By day, in the order of the days of minutes."""
    quarters = rollup.rolled(minutes, COARSE_STEP, slot_us, edges_us)
    return quarters.pack_parts(starts_of(quarters.series, quarters.slot * slot_us // DAY))
