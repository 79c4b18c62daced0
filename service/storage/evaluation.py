"""What a tick leaves behind, beside slots and incidents: the shard's row, cursors, verdicts, standings, checkpoints.

Every function here works within the transaction of its caller; one that writes expects `leases.fence` before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators.incidents import VerdictChange
from service.storage.entries import EpochName

NOTICE: Final = "upheld_standings"

_SHARD = text("SELECT tick_seq, evaluated_until_us, watermark_us, open_state FROM shards WHERE id = :shard")
_CURSORS = text(
    "SELECT topic, partition, epoch, next_offset, time_us, clock_us FROM shard_cursors WHERE shard = :shard"
)
_SAVE_SHARD = text(
    """
    UPDATE shards SET tick_seq = :tick_seq, evaluated_until_us = :evaluated_until_us, watermark_us = :watermark_us,
        open_state = :open_state, ticked_at = clock_timestamp()
    WHERE id = :shard
    """
)
_SAVE_CURSORS = text(
    """
    INSERT INTO shard_cursors (shard, topic, partition, epoch, next_offset, time_us, clock_us)
    SELECT :shard, * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]),
                                 CAST(:offsets AS bigint[]), CAST(:times AS bigint[]), CAST(:clocks AS bigint[]))
    ON CONFLICT (shard, topic, partition, epoch) DO UPDATE
    SET next_offset = excluded.next_offset, time_us = excluded.time_us, clock_us = excluded.clock_us
    """
)
_FORGET_VERDICTS = text(
    """
    DELETE FROM verdict_changes
    USING unnest(CAST(:series AS bigint[]), CAST(:froms AS bigint[])) AS restated (series_id, from_us)
    WHERE verdict_changes.series_id = restated.series_id AND verdict_changes.at_us > restated.from_us
    """
)
_SAVE_VERDICTS = text(
    """
    INSERT INTO verdict_changes (series_id, at_us, verdict, data, reason)
    SELECT * FROM unnest(CAST(:series AS bigint[]), CAST(:ats AS bigint[]), CAST(:verdicts AS text[]),
                         CAST(:datas AS text[]), CAST(:reasons AS text[]))
    ON CONFLICT (series_id, at_us) DO UPDATE
    SET verdict = excluded.verdict, data = excluded.data, reason = excluded.reason
    """
)
_SAVE_RESTATEMENTS = text(
    """
    INSERT INTO restatements (series_id, agreement, objective, from_us, cause, old, new, author)
    SELECT * FROM unnest(CAST(:series AS bigint[]), CAST(:agreements AS text[]), CAST(:objectives AS text[]),
                         CAST(:froms AS bigint[]), CAST(:causes AS text[]), CAST(:olds AS jsonb[]),
                         CAST(:news AS jsonb[]), CAST(:authors AS text[]))
    """
)
_STANDINGS_WHOLE = text(
    """
    INSERT INTO standings (shard, tick_seq, identities, identities_hash, columns, as_of_us, written_at)
    VALUES (:shard, :tick_seq, :identities, :hash, :columns, :as_of_us, clock_timestamp())
    ON CONFLICT (shard) DO UPDATE SET tick_seq = excluded.tick_seq, identities = excluded.identities,
        identities_hash = excluded.identities_hash, columns = excluded.columns, as_of_us = excluded.as_of_us,
        written_at = excluded.written_at
    """
)
_STANDINGS_COLUMNS = text(
    """
    UPDATE standings SET tick_seq = :tick_seq, columns = :columns, as_of_us = :as_of_us, written_at = clock_timestamp()
    WHERE shard = :shard AND identities_hash = :hash
    """
)
_CHECKPOINT = text("SELECT tick_seq, state FROM checkpoints WHERE shard = :shard")
_SAVE_CHECKPOINT = text(
    """
    INSERT INTO checkpoints (shard, tick_seq, state, written_at) VALUES (:shard, :tick_seq, :state, clock_timestamp())
    ON CONFLICT (shard) DO UPDATE
    SET tick_seq = excluded.tick_seq, state = excluded.state, written_at = excluded.written_at
    """
)
_SERIES_SHARDS = text(
    """
    SELECT series.id, indicators.shard FROM series JOIN indicators ON indicators.id = series.indicator_id
    WHERE series.id = ANY(CAST(:ids AS bigint[]))
    """
)
_REVISION = text("SELECT revision, slot_us FROM installation")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a shard has read one epoch of a partition. `time_us` is the greatest event time so far, each entry's
    capped at the clock of its reading; `clock_us` the clock of the newest entry.
    """

    next_offset: int
    time_us: int | None
    clock_us: int | None


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A shard as its last tick left it."""

    tick_seq: int
    evaluated_until_us: int | None
    watermark_us: int | None
    open_state: bytes | None
    cursors: Mapping[EpochName, Cursor] = field(default_factory=dict[EpochName, Cursor])


@dataclass(frozen=True, slots=True)
class NewRestatement:
    """What late data changed of a series."""

    series_id: int
    agreement: str
    objective: str
    from_us: int
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    cause: str = "late_data"
    author: str = "upheld"


@dataclass(frozen=True, slots=True)
class NewStandings:
    """A shard's table, packed."""

    identities: bytes
    identities_hash: str
    columns: bytes
    as_of_us: int


async def shard_row(connection: AsyncConnection, shard: int) -> ShardRow:
    """The shard as its last tick left it."""
    row = (await connection.execute(_SHARD, {"shard": shard})).one()
    cursors = {
        EpochName(found.topic, found.partition, found.epoch): Cursor(found.next_offset, found.time_us, found.clock_us)
        for found in await connection.execute(_CURSORS, {"shard": shard})
    }
    return ShardRow(row.tick_seq, row.evaluated_until_us, row.watermark_us, row.open_state, cursors)


async def save_shard(connection: AsyncConnection, shard: int, row: ShardRow) -> None:
    """Replace the shard's row, and the cursors that `row` names."""
    await connection.execute(
        _SAVE_SHARD,
        {
            "shard": shard,
            "tick_seq": row.tick_seq,
            "evaluated_until_us": row.evaluated_until_us,
            "watermark_us": row.watermark_us,
            "open_state": row.open_state,
        },
    )
    if row.cursors:
        await connection.execute(
            _SAVE_CURSORS,
            {
                "shard": shard,
                "topics": [name.topic for name in row.cursors],
                "partitions": [name.partition for name in row.cursors],
                "epochs": [name.epoch for name in row.cursors],
                "offsets": [cursor.next_offset for cursor in row.cursors.values()],
                "times": [cursor.time_us for cursor in row.cursors.values()],
                "clocks": [cursor.clock_us for cursor in row.cursors.values()],
            },
        )


async def save_verdicts(
    connection: AsyncConnection, changes: Sequence[VerdictChange], restated: Mapping[int, int]
) -> None:
    """Add verdict changes. Of a restated series (id -> from_us) they replace what was recorded after `from_us`."""
    if restated:
        values = {"series": list(restated), "froms": list(restated.values())}
        await connection.execute(_FORGET_VERDICTS, values)
    newest = {(change.series_id, change.at_us): change for change in changes}
    if newest:
        await connection.execute(
            _SAVE_VERDICTS,
            {
                "series": [change.series_id for change in newest.values()],
                "ats": [change.at_us for change in newest.values()],
                "verdicts": [change.verdict for change in newest.values()],
                "datas": [change.data for change in newest.values()],
                "reasons": [change.reason for change in newest.values()],
            },
        )


async def save_restatements(connection: AsyncConnection, found: Sequence[NewRestatement]) -> None:
    """Append restatements."""
    if found:
        await connection.execute(
            _SAVE_RESTATEMENTS,
            {
                "series": [one.series_id for one in found],
                "agreements": [one.agreement for one in found],
                "objectives": [one.objective for one in found],
                "froms": [one.from_us for one in found],
                "causes": [one.cause for one in found],
                "olds": [msgspec.json.encode(one.old).decode() for one in found],
                "news": [msgspec.json.encode(one.new).decode() for one in found],
                "authors": [one.author for one in found],
            },
        )


async def save_standings(connection: AsyncConnection, shard: int, tick_seq: int, table: NewStandings) -> None:
    """Replace what serve shows of the shard; the large part only where it changed. Wakes who serves at commit."""
    values: dict[str, Any] = {
        "shard": shard,
        "tick_seq": tick_seq,
        "hash": table.identities_hash,
        "columns": table.columns,
        "as_of_us": table.as_of_us,
    }
    if (await connection.execute(_STANDINGS_COLUMNS, values)).rowcount != 1:
        await connection.execute(_STANDINGS_WHOLE, values | {"identities": table.identities})
    await connection.execute(text("SELECT pg_notify(:channel, :shard)"), {"channel": NOTICE, "shard": str(shard)})


async def checkpoint(connection: AsyncConnection, shard: int) -> tuple[int, bytes] | None:
    """The tick and the state of the shard's checkpoint, if it has one."""
    row = (await connection.execute(_CHECKPOINT, {"shard": shard})).one_or_none()
    return None if row is None else (row.tick_seq, row.state)


async def save_checkpoint(connection: AsyncConnection, shard: int, tick_seq: int, state: bytes) -> None:
    """Replace the shard's checkpoint."""
    await connection.execute(_SAVE_CHECKPOINT, {"shard": shard, "tick_seq": tick_seq, "state": state})


async def series_shards(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, int]:
    """Which shard each of these series belongs to."""
    rows = await connection.execute(_SERIES_SHARDS, {"ids": list(ids)})
    return {row.id: row.shard for row in rows}


async def revision(connection: AsyncConnection) -> tuple[int, int]:
    """The definitions' revision, and the slot length in microseconds."""
    row = (await connection.execute(_REVISION)).one()
    return row.revision, row.slot_us
