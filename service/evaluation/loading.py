"""A shard from the database: from its checkpoint and what came after, or from the truth alone.

The truth is the slots and the small state beside them. A checkpoint only saves time: what comes out of it must have the
same small state as was committed, or it is not used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from evaluators.engine import CorruptSnapshot, ShardEngine
from evaluators.slots import SlotCounts, concatenated
from evaluators.watermark import Watermark
from service.evaluation.shard import Shard, unpacked_checkpoint, unpacked_state
from service.storage import evaluation, incidents, points, slots
from service.storage.database import reaching, take_time
from service.storage.evaluation import ShardRow
from service.storage.leases import Lease
from service.storage.specs import Specs, SpecsStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds of a shard; `after` are the pages behind the checkpoint."""

    row: ShardRow
    checkpoint: tuple[int, bytes] | None
    after: SlotCounts
    holds_back: bool


class Loader:
    """Brings shards up, and keeps their specs those in force."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._specs = SpecsStore(database)

    async def refresh(self, shard: Shard, revision: int, series: Collection[int]) -> bool:
        """Define anew where other definitions are in force at the tick, or a series is new.

        False: the shard must be loaded again, because it did not keep what the new definitions need. Raises
        DependencyAway.
        """
        if not shard.outdated(revision, series):
            return True
        at_us = shard.engine.evaluated_until_us
        found = await self._specs.load(shard.lease.shard, at_us)
        if not shard.shape.holds(found):
            return False
        await asyncio.to_thread(shard.define, found, at_us)
        return True

    async def begin(self, shard: Shard) -> None:
        """Where the first tick is about to be: define what is in force there. Raises DependencyAway."""
        if (at_us := shard.begins_us) is not None:
            found = await self._specs.load(shard.lease.shard, at_us)
            await asyncio.to_thread(shard.define, found, at_us)

    async def load(self, lease: Lease, clock_us: int) -> Shard:
        """The shard as its last commit left it, with the specs of then defined. Raises DependencyAway."""
        with reaching():
            async with self._database.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
                await take_time(connection)
                shard = await self._load(connection, lease)
                await connection.rollback()
        shard.checkpointed_us = clock_us
        return shard

    async def _load(self, connection: AsyncConnection, lease: Lease) -> Shard:
        stored = await _stored(connection, lease.shard)
        _, slot_us = await evaluation.revision(connection)
        at_us = stored.row.evaluated_until_us
        found = await self._specs.read(connection, lease.shard, at_us)
        state, watermark = _small_state(stored.row)
        pending = SlotCounts.empty()
        if state is None:
            engine = ShardEngine(slot_us)
            engine.define(found.specs)
        else:
            engine = await asyncio.to_thread(_from_checkpoint, stored, state, watermark, found, lease.shard)
            if engine is None:
                engine, pending = await _from_truth(connection, state, found, lease.shard, slot_us)
        shard = Shard(lease, engine, stored.row, watermark, slot_us)
        shard.defined(found, at_us)
        await asyncio.to_thread(shard.measuring.restore, await points.read(connection, lease.shard))
        shard.note_first(pending)
        shard.holds_back = stored.holds_back
        return shard


async def _stored(connection: AsyncConnection, shard: int) -> Stored:
    row = await evaluation.shard_row(connection, shard)
    checkpoint = await evaluation.checkpoint(connection, shard)
    if checkpoint is not None and checkpoint[0] > row.tick_seq:
        checkpoint = None
    after = SlotCounts.empty()
    if checkpoint is not None:
        after = await slots.pages_after(connection, shard, checkpoint[0])
    return Stored(row, checkpoint, after, await incidents.holds_back(connection, shard))


def _small_state(row: ShardRow) -> tuple[bytes | None, Watermark]:
    """The engine's small state and the watermark; of a shard that never ticked, None and none."""
    if row.open_state is None:
        return None, Watermark()
    return unpacked_state(row.open_state)


def _from_checkpoint(
    stored: Stored, state: bytes, watermark: Watermark, found: Specs, shard: int
) -> ShardEngine | None:
    """The engine of the checkpoint, caught up without effects; None where there is none that comes out as committed."""
    if stored.checkpoint is None:
        return None
    try:
        shape, snapshot = unpacked_checkpoint(stored.checkpoint[1])
        engine = ShardEngine.restore(snapshot)
    except (CorruptSnapshot, msgspec.DecodeError) as error:
        _log.warning(
            "A checkpoint cannot be read; the shard is rebuilt from its slots.",
            action="checkpoint_unreadable",
            shard=shard,
            cause=type(error).__name__,
        )
        return None
    if not shape.holds(found):
        return None
    engine.define(found.specs)
    engine.fold(stored.after)
    if stored.row.evaluated_until_us is not None:
        engine.advance(stored.row.evaluated_until_us, lateness_us=0, hold_resolves=watermark.hold_resolves)
    if engine.open_state() != state:
        _log.info(
            "A checkpoint does not lead to what was committed; the shard is rebuilt from its slots.",
            action="checkpoint_left",
            shard=shard,
        )
        return None
    return engine


async def _from_truth(
    connection: AsyncConnection, state: bytes, found: Specs, shard: int, slot_us: int
) -> tuple[ShardEngine, SlotCounts]:
    """The engine of the small state and the slots that its sums reach back to; and these where it has not ticked yet.

    Raises CorruptSnapshot, CorruptSlots.
    """
    engine = ShardEngine.rebuilt(slot_us, state, found.specs, SlotCounts.empty())
    from_us = engine.needs_from_us
    parts = slots.shard_parts(
        connection,
        shard,
        None if from_us is None else from_us // slot_us,
        quarters_before=engine.needs.minutes_us // slot_us,
    )
    pending: list[SlotCounts] = []
    async for counts in parts:
        await asyncio.to_thread(engine.load, counts)
        if engine.evaluated_until_us is None:
            pending.append(counts)
    return engine, concatenated(pending)
