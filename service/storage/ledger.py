"""The append-only record of what was counted, and the offsets that go with it. Implements `consumers.ports.Ledger`.

Postgres owns the offsets: an entry is written in the transaction that advances its partition's offset by
compare-and-set, so a worker that lost its partition, or comes back from a freeze, changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.errors import DefinitionsMoved, LedgerUnavailable
from consumers.ports import Entry, Partition, PartitionStatus, Position, SeriesKey
from evaluators.slots import SlotCounts
from service.storage import blind_spans
from service.storage import entries as stored
from service.storage.admission import Admission
from service.storage.database import cause, is_away
from service.storage.entries import READ_BYTES, READ_ROWS, EpochName, LedgerEntry

CHANNEL = "upheld_ledger"

_POSITIONS = text(
    """
    SELECT DISTINCT ON (topic, partition) topic, partition, epoch, next_offset, last_record_crc, last_record_time_us
    FROM partition_offsets
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS integer[])) AS asked (topic, partition)
      USING (topic, partition)
    ORDER BY topic, partition, epoch DESC
    """
)
_BEGIN_EPOCH = text(
    """
    INSERT INTO partition_offsets (topic, partition, epoch, next_offset)
    SELECT :topic, :partition, :epoch, :offset
    WHERE NOT EXISTS (SELECT FROM partition_offsets
                      WHERE topic = :topic AND partition = :partition AND epoch > :epoch)
    ON CONFLICT DO NOTHING
    """
)
_REVISION = text("SELECT revision FROM installation FOR SHARE")

# One statement for all partitions. A span of an epoch that is over loses; the first span of a partition begins it.
_ADVANCE = text(
    """
    WITH spans AS (
        SELECT * FROM unnest(
            CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]),
            CAST(:read_froms AS bigint[]), CAST(:next_offsets AS bigint[]), CAST(:crcs AS bigint[]),
            CAST(:record_times AS bigint[]), CAST(:event_times AS bigint[])
        ) AS span (topic, partition, epoch, read_from, next_offset, crc, record_time_us, event_us)
    ), advanced AS (
        UPDATE partition_offsets AS kept
        SET next_offset = span.next_offset,
            last_record_crc = coalesce(span.crc, kept.last_record_crc),
            last_record_time_us = coalesce(span.record_time_us, kept.last_record_time_us),
            max_event_us = greatest(span.event_us, kept.max_event_us)
        FROM spans AS span
        WHERE kept.topic = span.topic AND kept.partition = span.partition AND kept.epoch = span.epoch
          AND kept.next_offset = span.read_from
          AND NOT EXISTS (SELECT FROM partition_offsets AS later WHERE later.topic = span.topic
                          AND later.partition = span.partition AND later.epoch > span.epoch)
        RETURNING kept.topic, kept.partition
    ), begun AS (
        INSERT INTO partition_offsets
            (topic, partition, epoch, next_offset, last_record_crc, last_record_time_us, max_event_us)
        SELECT topic, partition, epoch, next_offset, crc, record_time_us, event_us FROM spans AS span
        WHERE NOT EXISTS (SELECT FROM partition_offsets AS kept
                          WHERE kept.topic = span.topic AND kept.partition = span.partition)
        ON CONFLICT DO NOTHING
        RETURNING topic, partition
    )
    SELECT topic, partition FROM advanced UNION ALL SELECT topic, partition FROM begun
    """
)
_APPEND = text(
    """
    WITH written AS (
        INSERT INTO ledger (topic, partition, epoch, first_offset, next_offset, counts, records, samples, dead,
                            max_event_us, clock_us, gap, points)
        SELECT * FROM unnest(
            CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]),
            CAST(:read_froms AS bigint[]), CAST(:next_offsets AS bigint[]), CAST(:counts AS bytea[]),
            CAST(:records AS integer[]), CAST(:samples AS integer[]), CAST(:dead AS integer[]),
            CAST(:event_times AS bigint[]), CAST(:clocks AS bigint[]), CAST(:gaps AS boolean[]),
            CAST(:points AS bytea[]))
    )
    SELECT pg_notify('upheld_ledger', '')
    """
)
_REPORT = text(
    """
    INSERT INTO partition_status AS kept (topic, partition, epoch, position, end_position, end_seen_us, high_watermark,
                                          last_record_us, clock_us, worker)
    SELECT * FROM unnest(
        CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:epochs AS integer[]),
        CAST(:positions AS bigint[]), CAST(:ends AS bigint[]), CAST(:seen AS bigint[]), CAST(:highs AS bigint[]),
        CAST(:last_records AS bigint[]), CAST(:clocks AS bigint[]), CAST(:workers AS text[]))
    ON CONFLICT (topic, partition) DO UPDATE SET
        epoch = excluded.epoch, position = excluded.position, end_position = excluded.end_position,
        end_seen_us = excluded.end_seen_us, high_watermark = excluded.high_watermark,
        last_record_us = excluded.last_record_us, clock_us = excluded.clock_us, worker = excluded.worker
    WHERE (excluded.epoch, excluded.position) >= (kept.epoch, kept.position)
    """
)


class PostgresLedger:
    """The ledger of one worker. One call at a time for `commit`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._admission = Admission()

    async def positions(self, partitions: Collection[Partition]) -> Mapping[Partition, Position]:
        """Where each partition goes on; one never read is absent. Raises LedgerUnavailable."""
        asked = {"topics": [each.topic for each in partitions], "partitions": [each.number for each in partitions]}
        with _unavailable("the positions could not be read"):
            async with self._engine.begin() as connection:
                rows = await connection.execute(_POSITIONS, asked)
                return {
                    Partition(row.topic, row.partition): Position(
                        row.epoch, row.next_offset, row.last_record_crc, row.last_record_time_us
                    )
                    for row in rows
                }

    async def begin_epoch(self, partition: Partition, epoch: int, offset: int) -> None:
        """The partition's log started again. Idempotent; an epoch that is over is not begun. Raises LedgerUnavailable."""
        with _unavailable("whether the epoch was begun is unknown"):
            async with self._engine.begin() as connection:
                await connection.execute(
                    _BEGIN_EPOCH,
                    {"topic": partition.topic, "partition": partition.number, "epoch": epoch, "offset": offset},
                )

    async def commit(self, entries: Sequence[Entry], revision: int) -> frozenset[Partition]:
        """All entries in one transaction; returns the partitions that were lost, of which nothing was written.

        Several entries of one partition advance it as one span and must chain. Raises DefinitionsMoved,
        LedgerUnavailable, UnknownIndicator (a bug: keys of another database).
        """
        if not entries:
            return frozenset()
        chains, lost = _chains(entries)
        try:
            with _unavailable("whether the entries were written is unknown"):
                async with self._engine.begin() as connection:
                    won = await self._advance(connection, chains, revision)
                    kept = [entry for chain in won for entry in chain]
                    keys = dict.fromkeys(key for entry in kept for key in entry.keys)
                    rows, learned = await self._admission.resolve(connection, keys, revision)
                    if kept:
                        await connection.execute(_APPEND, _columns(kept, rows))
                    await blind_spans.record(connection, kept)
        except BaseException:
            self._admission.forget()
            raise
        self._admission.keep(learned)
        return lost | {entry.partition for entry in entries} - {entry.partition for entry in kept}

    async def report(self, statuses: Sequence[PartitionStatus]) -> None:
        """Replace what is known of these partitions, but never by an older position. Raises LedgerUnavailable."""
        if not statuses:
            return
        newest = list({status.partition: status for status in statuses}.values())
        with _unavailable("the status of the partitions could not be written"):
            async with self._engine.begin() as connection:
                await connection.execute(_REPORT, _status_columns(newest))

    async def statuses(self) -> Sequence[PartitionStatus]:
        """What workers saw of each partition last. Raises LedgerUnavailable."""
        with _unavailable("the status of the partitions could not be read"):
            async with self._engine.begin() as connection:
                return await stored.statuses(connection)

    async def entries_after(
        self, cursors: Mapping[EpochName, int], *, rows: int = READ_ROWS, bytes_: int = READ_BYTES
    ) -> Sequence[LedgerEntry]:
        """As `entries_after` on a connection of its own. Raises LedgerUnavailable besides."""
        with _unavailable("the ledger could not be read"):
            async with self._engine.begin() as connection:
                return await stored.entries_after(connection, cursors, rows=rows, bytes_=bytes_)

    async def _advance(
        self, connection: AsyncConnection, chains: Sequence[Sequence[Entry]], revision: int
    ) -> Sequence[Sequence[Entry]]:
        """The chains whose partition stood where they were read from, and stands after them now."""
        if (await connection.execute(_REVISION)).scalar_one() != revision:
            raise DefinitionsMoved("the definitions have moved on since the entries were matched")
        spans = [_span(chain) for chain in chains]
        advanced = await connection.execute(_ADVANCE, {name: [span[name] for span in spans] for name in _SPAN})
        won = {Partition(row.topic, row.partition) for row in advanced}
        return [chain for chain in chains if chain[0].partition in won]


_SPAN = ("topics", "partitions", "epochs", "read_froms", "next_offsets", "crcs", "record_times", "event_times")


def _chains(entries: Sequence[Entry]) -> tuple[list[list[Entry]], frozenset[Partition]]:
    """Entries by partition, sorted by name, and the partitions whose entries do not chain."""
    by_partition: dict[Partition, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.partition, entry.epoch, entry.read_from)):
        by_partition.setdefault(entry.partition, []).append(entry)
    broken = frozenset(
        partition
        for partition, chain in by_partition.items()
        if any(
            (one.epoch, one.next_offset) != (other.epoch, other.read_from) for one, other in itertools.pairwise(chain)
        )
    )
    return [chain for partition, chain in by_partition.items() if partition not in broken], broken


def _span(chain: Sequence[Entry]) -> dict[str, Any]:
    """A chain as one step of its partition's offset."""
    first, last = chain[0], chain[-1]
    recorded = [entry for entry in chain if entry.last_record_crc is not None]
    return {
        "topics": first.partition.topic,
        "partitions": first.partition.number,
        "epochs": first.epoch,
        "read_froms": first.read_from,
        "next_offsets": last.next_offset,
        "crcs": recorded[-1].last_record_crc if recorded else None,
        "record_times": recorded[-1].last_record_time_us if recorded else None,
        "event_times": max((entry.max_event_us for entry in chain if entry.max_event_us is not None), default=None),
    }


def _columns(entries: Sequence[Entry], rows: Mapping[SeriesKey, int]) -> dict[str, list[Any]]:
    return {
        "topics": [entry.partition.topic for entry in entries],
        "partitions": [entry.partition.number for entry in entries],
        "epochs": [entry.epoch for entry in entries],
        "read_froms": [entry.read_from for entry in entries],
        "next_offsets": [entry.next_offset for entry in entries],
        "counts": [_counts(entry, rows).pack() for entry in entries],
        "records": [entry.records for entry in entries],
        "samples": [entry.samples for entry in entries],
        "dead": [entry.dead for entry in entries],
        "event_times": [entry.max_event_us for entry in entries],
        "clocks": [entry.clock_us for entry in entries],
        "gaps": [entry.gap for entry in entries],
        "points": [_points(entry, rows) for entry in entries],
    }


def _counts(entry: Entry, rows: Mapping[SeriesKey, int]) -> SlotCounts:
    """Rows by series: keys beyond the bound fall together in `other`."""
    series = np.array([rows[key] for key in entry.keys], dtype=np.int64)
    return SlotCounts(
        series[entry.key], entry.slot, entry.good, entry.total, entry.excluded_good, entry.excluded_total
    ).merged()


def _points(entry: Entry, rows: Mapping[SeriesKey, int]) -> bytes | None:
    if not len(entry.points):
        return None
    series = np.array([rows[key] for key in entry.keys], dtype=np.int64)[entry.points.series]
    return replace(entry.points, series=series).pack()


def _status_columns(statuses: Sequence[PartitionStatus]) -> dict[str, list[Any]]:
    return {
        "topics": [status.partition.topic for status in statuses],
        "partitions": [status.partition.number for status in statuses],
        "epochs": [status.epoch for status in statuses],
        "positions": [status.position for status in statuses],
        "ends": [status.end_position for status in statuses],
        "seen": [status.end_seen_us for status in statuses],
        "highs": [status.high_watermark for status in statuses],
        "last_records": [status.last_record_us for status in statuses],
        "clocks": [status.clock_us for status in statuses],
        "workers": [status.worker for status in statuses],
    }


@contextmanager
def _unavailable(what: str) -> Generator[None]:
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise LedgerUnavailable(f"{what}: {cause(error)}") from error
        raise
