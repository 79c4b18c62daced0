"""What ingest never saw: spans of a log that were gone before they were read, and the time that they take up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.ports import Entry
from evaluators.slots import Int64s

# The offset row knows the greatest event time before the gap; the gap itself has none.
_RECORD = text(
    """
    INSERT INTO blind_spans (topic, partition, epoch, first_offset, next_offset, from_us, until_us)
    SELECT :topic, :partition, :epoch, :first_offset, :next_offset, kept.max_event_us,
           greatest(CAST(:clock_us AS bigint), kept.max_event_us)
    FROM partition_offsets AS kept
    WHERE kept.topic = :topic AND kept.partition = :partition AND kept.epoch = :epoch
    ON CONFLICT DO NOTHING
    """
)
_SEEN_AGAIN = text(
    """
    UPDATE blind_spans SET until_us = greatest(least(until_us, CAST(:seen_again_us AS bigint)), from_us)
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset = :first_offset
    """
)
_BETWEEN = text(
    """
    SELECT topic, partition, next_offset - first_offset AS records, from_us, until_us FROM blind_spans
    WHERE until_us > :from_us AND coalesce(from_us, until_us - 1) < :until_us
    ORDER BY until_us, topic, partition LIMIT :most
    """
)
MOST = 1_000


@dataclass(frozen=True, slots=True)
class BlindSpan:
    """Time in [from_us, until_us) of which `records` records were never read. `from_us` None: nothing was read before."""

    topic: str
    partition: int
    records: int
    from_us: int | None
    until_us: int

    def touches(self, from_us: Int64s, until_us: Int64s) -> NDArray[np.bool_]:
        """Whether it has a moment in common with each of [from_us, until_us)."""
        first_us = self.until_us - 1 if self.from_us is None else self.from_us
        return (self.until_us > from_us) & (first_us < until_us)

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.records} records of {self.topic}/{self.partition} were gone before they were read"


async def record(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """In the transaction that writes the entries: gaps among them, and where sight came back. Most have neither."""
    for entry in entries:
        if entry.gap:
            gone = {"next_offset": entry.next_offset, "clock_us": entry.clock_us}
            await connection.execute(_RECORD, _name(entry) | gone)
        elif entry.seen_again_us is not None:
            await connection.execute(_SEEN_AGAIN, _name(entry) | {"seen_again_us": entry.seen_again_us})


def _name(entry: Entry) -> dict[str, Any]:
    return {
        "topic": entry.partition.topic,
        "partition": entry.partition.number,
        "epoch": entry.epoch,
        "first_offset": entry.read_from,
    }


async def between(connection: AsyncConnection, from_us: int, until_us: int) -> list[BlindSpan]:
    """Spans that have a moment in common with [from_us, until_us), at most MOST."""
    rows = await connection.execute(_BETWEEN, {"from_us": from_us, "until_us": until_us, "most": MOST})
    return [BlindSpan(row.topic, row.partition, row.records, row.from_us, row.until_us) for row in rows]
