"""Reads the ledger once for all shards of a process, and gives each what is its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.ports import PartitionStatus
from evaluators.points import Points
from evaluators.slots import Int64s, SlotCounts
from service.evaluation.shard import Shard
from service.storage import entries, evaluation
from service.storage.database import reaching
from service.storage.entries import EpochName, LedgerBroken, LedgerEntry


@dataclass(frozen=True, slots=True)
class Entries:
    """What follows one set of cursors. `owners` are, for each entry, the shard of each row of its counts, and of its points."""

    entries: Sequence[LedgerEntry] = ()
    owners: Sequence[tuple[Int64s, Int64s]] = ()

    def of(self, shard: int) -> Iterator[tuple[LedgerEntry, SlotCounts, Points]]:
        """Every entry with the shard's counts and points of it."""
        for entry, (counted, pointed) in zip(self.entries, self.owners, strict=True):
            mine, points = counted == shard, pointed == shard
            yield (
                entry,
                entry.counts if bool(mine.all()) else entry.counts.take(mine),
                entry.points if bool(points.all()) else entry.points.take(points),
            )

    def series_of(self, shard: int) -> set[int]:
        """The shard's series that were counted in."""
        found: set[int] = set()
        for entry, (counted, pointed) in zip(self.entries, self.owners, strict=True):
            found.update(np.unique(entry.counts.series[counted == shard]).tolist())
            found.update(np.unique(entry.points.series[pointed == shard]).tolist())
        return found


@dataclass(frozen=True, slots=True)
class Read:
    """What one read brought, by shard.

    `statuses` and `ends` (of each epoch, as committed) were read before the entries: a cursor that has passed these has
    everything that those speak of.
    """

    revision: int
    statuses: Sequence[PartitionStatus]
    ends: Mapping[EpochName, int]
    by_shard: Mapping[int, Entries]

    @property
    def entries(self) -> int:
        """How many; more may wait while there are any."""
        return max((len(found.entries) for found in self.by_shard.values()), default=0)


class Reader:
    """Knows which shard a series belongs to, which never changes."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._ids: Int64s = np.zeros(0, dtype=np.int64)
        self._owners: Int64s = np.zeros(0, dtype=np.int64)

    async def read(self, shards: Sequence[Shard]) -> Read:
        """What follows the cursors of each shard, bounded. Raises DependencyAway, LedgerBroken, CorruptSlots.

        Shards that stand together, as all do but one that was just taken over, are read for together.
        """
        by_shard: dict[int, Entries] = {}
        with reaching():
            async with self._database.begin() as connection:
                revision, _ = await evaluation.revision(connection)
                statuses = await entries.statuses(connection)
                ends = await entries.ends(connection)
                for offsets, together in _standing_together(shards):
                    found = await entries.entries_after(connection, offsets)
                    owners = [
                        (
                            await self._owners_of(connection, entry.counts.series),
                            await self._owners_of(connection, entry.points.series),
                        )
                        for entry in found
                    ]
                    by_shard.update(dict.fromkeys(together, Entries(found, owners)))
        return Read(revision, statuses, ends, by_shard)

    async def _owners_of(self, connection: AsyncConnection, series: Int64s) -> Int64s:
        """The shard of each series. A series without a row cannot be in the ledger: raises LedgerBroken."""
        places, known = self._places(series)
        if not bool(known.all()):
            await self._learn(connection, np.unique(series[~known]))
            places, known = self._places(series)
        if not bool(known.all()):
            raise LedgerBroken("the ledger counts in a series that does not exist")
        return self._owners[places]

    def _places(self, series: Int64s) -> tuple[Int64s, NDArray[np.bool_]]:
        if not len(self._ids):
            return np.zeros(len(series), dtype=np.int64), np.zeros(len(series), dtype=bool)
        places = np.minimum(np.searchsorted(self._ids, series), len(self._ids) - 1)
        return places, self._ids[places] == series

    async def _learn(self, connection: AsyncConnection, unknown: Int64s) -> None:
        learned = await evaluation.series_shards(connection, unknown.tolist())
        ids = np.concatenate((self._ids, np.array(list(learned), dtype=np.int64)))
        owners = np.concatenate((self._owners, np.array(list(learned.values()), dtype=np.int64)))
        order = np.argsort(ids)
        self._ids, self._owners = ids[order], owners[order]


def _standing_together(shards: Sequence[Shard]) -> list[tuple[dict[EpochName, int], list[int]]]:
    """The distinct sets of cursors, each with its shards."""
    distinct: list[tuple[dict[EpochName, int], list[int]]] = []
    for shard in shards:
        offsets = shard.offsets()
        for known, together in distinct:
            if known == offsets:
                together.append(shard.lease.shard)
                break
        else:
            distinct.append((offsets, [shard.lease.shard]))
    return distinct
