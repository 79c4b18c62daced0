"""What the evaluator reads: entries of the ledger behind its cursors, and what workers saw of each partition last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.ports import Partition, PartitionStatus
from evaluators.points import Points
from evaluators.slots import SlotCounts

READ_ROWS = 200  # entries of one partition and read
READ_BYTES = 8 << 20  # packed bytes of all partitions and read; each gives one entry at least

_STATUSES = text("SELECT * FROM partition_status ORDER BY topic, partition")
_ENDS = text("SELECT topic, partition, epoch, next_offset FROM partition_offsets")

# `partition_offsets` names every epoch of every partition, so new ones are found without a look at the ledger itself.
# The bound on `first_offset` is one expression, so that the index begins there; an OR would read the epoch from its start.
_ENTRIES = text(
    """
    WITH cursors AS (
        SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]),
                             CAST(:offsets AS bigint[])) AS cursor (topic, partition, epoch, next_offset)
    ), behind AS (
        SELECT topic, partition, epoch, cursors.next_offset
        FROM partition_offsets AS kept LEFT JOIN cursors USING (topic, partition, epoch)
        WHERE cursors.next_offset IS NULL OR kept.next_offset > cursors.next_offset
    ), found AS (
        SELECT entry.*, sum(octet_length(entry.counts) + coalesce(octet_length(entry.points), 0)) OVER (
                   PARTITION BY entry.topic, entry.partition, entry.epoch ORDER BY entry.first_offset
               ) - octet_length(entry.counts) - coalesce(octet_length(entry.points), 0) AS before
        FROM behind CROSS JOIN LATERAL (
            SELECT * FROM ledger
            WHERE ledger.topic = behind.topic AND ledger.partition = behind.partition AND ledger.epoch = behind.epoch
              AND ledger.first_offset >= coalesce(behind.next_offset, 0)
            ORDER BY ledger.first_offset LIMIT :rows
        ) AS entry
    )
    SELECT * FROM found WHERE before = 0 OR before < :bytes / (SELECT count(*) FROM behind)
    ORDER BY topic, partition, epoch, first_offset
    """
)


class EpochName(NamedTuple):
    """One epoch of one partition: what entries chain in, and what a cursor belongs to."""

    topic: str
    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One entry as the evaluator reads it; its cursor afterwards is `next_offset` of `name`."""

    name: EpochName
    first_offset: int
    next_offset: int
    counts: SlotCounts
    records: int
    samples: int
    dead: int
    max_event_us: int | None
    clock_us: int
    gap: bool
    points: Points = field(default_factory=Points.empty)


class LedgerBroken(Exception):
    """Entries do not chain: something between a cursor and the next entry is missing. Never passed over."""


async def statuses(connection: AsyncConnection) -> Sequence[PartitionStatus]:
    """What workers saw of each partition last."""
    return [
        PartitionStatus(
            partition=Partition(row.topic, row.partition),
            epoch=row.epoch,
            position=row.position,
            end_position=row.end_position,
            end_seen_us=row.end_seen_us,
            high_watermark=row.high_watermark,
            last_record_us=row.last_record_us,
            clock_us=row.clock_us,
            worker=row.worker,
        )
        for row in await connection.execute(_STATUSES)
    ]


async def ends(connection: AsyncConnection) -> Mapping[EpochName, int]:
    """How far each epoch of each partition is committed; epochs that were forgotten are absent."""
    return {EpochName(row.topic, row.partition, row.epoch): row.next_offset for row in await connection.execute(_ENDS)}


async def entries_after(
    connection: AsyncConnection, cursors: Mapping[EpochName, int], *, rows: int = READ_ROWS, bytes_: int = READ_BYTES
) -> Sequence[LedgerEntry]:
    """What follows the cursors, in chain order within each epoch of each partition, bounded per call.

    Epochs and partitions without a cursor are read from their first entry. Raises LedgerBroken, CorruptSlots.
    """
    names = list(cursors)
    found = await connection.execute(
        _ENTRIES,
        {
            "topics": [name.topic for name in names],
            "partitions": [name.partition for name in names],
            "epochs": [name.epoch for name in names],
            "offsets": [cursors[name] for name in names],
            "rows": rows,
            "bytes": bytes_,
        },
    )
    entries = [_entry(row) for row in found]
    expected = dict(cursors)
    for entry in entries:
        wanted = expected.get(entry.name, entry.first_offset)
        if entry.first_offset != wanted:
            raise LedgerBroken(
                f"the ledger of {entry.name.topic}/{entry.name.partition} (epoch {entry.name.epoch}) goes on at "
                f"offset {entry.first_offset}, not at {wanted}"
            )
        expected[entry.name] = entry.next_offset
    return entries


def _entry(row: Any) -> LedgerEntry:
    return LedgerEntry(
        name=EpochName(row.topic, row.partition, row.epoch),
        first_offset=row.first_offset,
        next_offset=row.next_offset,
        counts=SlotCounts.unpack(row.counts),
        records=row.records,
        samples=row.samples,
        dead=row.dead,
        max_event_us=row.max_event_us,
        clock_us=row.clock_us,
        gap=row.gap,
        points=Points.empty() if row.points is None else Points.unpack(row.points),
    )
