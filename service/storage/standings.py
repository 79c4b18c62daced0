"""What serve shows: the standings of all shards as of their last committed ticks, decoded once a tick.

A process that evaluates no longer must not leave numbers frozen at `met`: a shard whose row is older than STALE_AFTER
is shown blind, by the database's clock, whatever its last row said.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators import durations, standing_rows
from evaluators.standings import (
    DATA_STATES,
    BlockHead,
    DataState,
    SeriesIdentity,
    Standing,
    StandingTable,
    unpack_identities,
)

STALE_AFTER_US: Final = 60 * durations.SECOND
_BLIND: Final = DATA_STATES.index(DataState.BLIND)

_HEADS = text(
    """
    SELECT shard, tick_seq, identities_hash,
           (extract(epoch FROM clock_timestamp() - written_at) * 1000000)::bigint AS age_us
    FROM standings ORDER BY shard
    """
)
_BODIES = text(
    """
    SELECT shard, tick_seq, identities_hash, columns,
           CASE WHEN identities_hash = ANY(CAST(:known AS text[])) THEN NULL ELSE identities END AS identities
    FROM standings WHERE shard = ANY(CAST(:shards AS integer[]))
    """
)

SortKey = tuple[str, str, tuple[tuple[str, str], ...]]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardStanding:
    """One shard's table; `stale` while its evaluator has not committed for too long."""

    shard: int
    tick_seq: int
    identities_hash: str
    table: StandingTable
    stale: bool = False


class Order:
    """All series in the order of (agreement, objective, group), whatever shard and block they live in.

    Rows are positions in this order. Built anew only when identities change.
    """

    def __init__(self, shards: Sequence[ShardStanding]) -> None:
        identities = [identity for shard in shards for block in shard.table.blocks for identity in block.identities]
        by_name = sorted(range(len(identities)), key=lambda place: _sort_key(identities[place]))
        self.places: Rows = np.array(by_name, dtype=np.int64)
        self.identities = tuple(identities[place] for place in by_name)
        self.keys = [_sort_key(identity) for identity in self.identities]
        self.services = np.array([identity.service or "" for identity in self.identities], dtype=object)
        self.targets = np.array([identity.target for identity in self.identities], dtype=np.float64)
        self.agreements = [key[0] for key in self.keys]

    def of(self, agreement: str, objective: str | None = None) -> range:
        """Rows of an agreement, or of one objective of it."""
        if objective is None:
            return range(bisect_left(self.agreements, agreement), bisect_right(self.agreements, agreement))
        after = (agreement, objective + "\0")
        return range(bisect_left(self.keys, (agreement, objective)), bisect_left(self.keys, after))

    def after(self, key: SortKey) -> int:
        """The first row behind `key`, whether or not that is still there."""
        return bisect_right(self.keys, key)


class Standings:
    """All shards at one moment. Values come by row of `order`; columns are arrays in the same order."""

    def __init__(self, shards: Sequence[ShardStanding], order: Order | None = None) -> None:
        self.shards = tuple(shards)
        self.order = order or Order(self.shards)
        self._parts = [(shard.table, block) for shard in self.shards for block in shard.table.blocks]
        self._starts = np.cumsum([0, *(len(block) for _, block in self._parts)])
        self._columns: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.order.keys)

    @property
    def version(self) -> tuple[tuple[int, int, str, bool], ...]:
        """Equal for equal content, in every process."""
        return tuple((one.shard, one.tick_seq, one.identities_hash, one.stale) for one in self.shards)

    def column(self, name: str) -> NDArray[Any]:
        """One of `BLOCK_COLUMNS` over all rows."""
        if name not in self._columns:
            parts = [block.columns[name] for _, block in self._parts]
            self._columns[name] = np.concatenate(parts)[self.order.places] if parts else np.zeros(0)
        return self._columns[name]

    def burn(self, view: int, window: str) -> NDArray[np.float64]:
        """Burn rates over all rows; NaN where nothing was counted or the series has no such window."""
        parts = [
            block.burn[view, block.windows.index(window)] if window in block.windows else np.full(len(block), np.nan)
            for _, block in self._parts
        ]
        return np.concatenate(parts)[self.order.places] if parts else np.zeros(0)

    @cached_property
    def as_of_us(self) -> NDArray[np.int64]:
        """The tick that each row is of."""
        parts = [np.full(len(block), table.as_of_us, dtype=np.int64) for table, block in self._parts]
        return np.concatenate(parts)[self.order.places] if parts else np.zeros(0, dtype=np.int64)

    @cached_property
    def latest_us(self) -> int | None:
        """The newest tick of all; None before the first."""
        return max((shard.table.as_of_us for shard in self.shards), default=None)

    @property
    def blind(self) -> tuple[str, ...]:
        """Why we cannot see, each cause once."""
        return tuple(dict.fromkeys(shard.table.blind for shard in self.shards if shard.table.blind))

    @cached_property
    def contractual_remaining(self) -> NDArray[np.float64]:
        """Share of the contractual budget left; NaN where nothing was counted."""
        spent = self.column("contractual_total") - self.column("contractual_good")
        return remaining(spent, self.column("allowed"), self.column("contractual_total"))

    @cached_property
    def experienced_remaining(self) -> NDArray[np.float64]:
        """The same as customers lived it."""
        spent = self.column("total") - self.column("good")
        return remaining(spent, self.column("experienced_allowed"), self.column("total"))

    def rows(self, chosen: Sequence[int] | Rows) -> list[Standing]:
        """The chosen rows as values, in the order asked for."""
        places = self.order.places[np.asarray(chosen, dtype=np.int64)]
        parts: Rows = np.searchsorted(self._starts, places, side="right") - 1
        within: Rows = places - self._starts[parts]
        return [self._value(int(part), int(place)) for part, place in zip(parts, within, strict=True)]

    def _value(self, part: int, place: int) -> Standing:
        table, block = self._parts[part]
        return standing_rows.row(block, place, table.as_of_us, table.blind)

    def all(self) -> list[Standing]:
        """Every row as a value."""
        return self.rows(range(len(self)))

    def turned_blind(self, cause: str) -> Standings:
        """The same numbers, none of which can be trusted to be current."""
        shards = [replace(one, table=_blinded(one.table, one.table.blind or cause), stale=True) for one in self.shards]
        return Standings(shards, self.order)


def remaining(spent: NDArray[Any], allowed: NDArray[Any], total: NDArray[Any]) -> NDArray[np.float64]:
    """1 - spent / allowed; NaN where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((total > 0) & (allowed > 0), 1.0 - spent / allowed, np.nan)


class StandingsStore:
    """Reads the standings; keeps what it decoded, so that a request costs one small query between ticks."""

    def __init__(self) -> None:
        self._heads: dict[str, list[BlockHead]] = {}
        self._read: dict[int, ShardStanding] = {}
        self._last = Standings(())
        self._decoding = asyncio.Lock()

    @property
    def last(self) -> Standings:
        """As read last; for who must answer while the database is away."""
        return self._last

    async def current(self, connection: AsyncConnection) -> Standings:
        """The standings as committed now."""
        heads = (await connection.execute(_HEADS)).all()
        async with self._decoding:
            moved = [head.shard for head in heads if not self._knows(head.shard, head.tick_seq, head.identities_hash)]
            if moved:
                await self._decode(connection, moved)
            shards = [_shown(self._read[head.shard], head.age_us) for head in heads if head.shard in self._read]
            return self._assembled(shards)

    def _knows(self, shard: int, tick_seq: int, identities_hash: str) -> bool:
        read = self._read.get(shard)
        return read is not None and (read.tick_seq, read.identities_hash) == (tick_seq, identities_hash)

    async def _decode(self, connection: AsyncConnection, shards: list[int]) -> None:
        rows = (await connection.execute(_BODIES, {"known": list(self._heads), "shards": shards})).all()
        for row in rows:
            if row.identities is not None:
                self._heads[row.identities_hash] = unpack_identities(row.identities)
            table = StandingTable.unpack_columns(self._heads[row.identities_hash], row.columns)
            self._read[row.shard] = ShardStanding(row.shard, row.tick_seq, row.identities_hash, table)
        in_use = {one.identities_hash for one in self._read.values()}
        self._heads = {known: heads for known, heads in self._heads.items() if known in in_use}

    def _assembled(self, shards: list[ShardStanding]) -> Standings:
        version = tuple((one.shard, one.tick_seq, one.identities_hash, one.stale) for one in shards)
        if version != self._last.version:
            same = [(one.shard, one.identities_hash) for one in shards]
            kept = same == [(one.shard, one.identities_hash) for one in self._last.shards]
            self._last = Standings(shards, self._last.order if kept else None)
        return self._last


def _shown(read: ShardStanding, age_us: int) -> ShardStanding:
    if age_us <= STALE_AFTER_US:
        return read
    return replace(read, table=_blinded(read.table, "no evaluation was committed for over 60 s"), stale=True)


def _blinded(table: StandingTable, cause: str) -> StandingTable:
    blocks = tuple(
        replace(block, columns=_with_data(block.columns, np.full(len(block), _BLIND, dtype=np.int8)))
        for block in table.blocks
    )
    return replace(table, blocks=blocks, blind=cause)


def _with_data(columns: Mapping[str, NDArray[Any]], data: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
    return {**columns, "data": data}


def _sort_key(identity: SeriesIdentity) -> SortKey:
    return (identity.agreement, identity.objective, identity.labels)
