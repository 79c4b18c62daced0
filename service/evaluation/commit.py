"""The one transaction of a tick: slots, cursors, verdicts, incidents, notifications, standings and the shard's row.

Either all of it is there afterwards, or nothing; and nothing unless the shard is still ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from evaluators.engine import Advance, Restatement, SeriesSpec
from service.evaluation.pages import Announcer, Paging
from service.evaluation.shard import Shard, Tick
from service.storage import evaluation, incidents, points, rollup, slots
from service.storage.database import reaching
from service.storage.evaluation import NewRestatement
from service.storage.leases import fence

Step = Literal[
    "entries_read",
    "folded",
    "advanced",
    "fenced",
    "slots_written",
    "verdicts_written",
    "incidents_written",
    "outbox_written",
    "standings_written",
    "committing",
    "committed",
    "checkpointed",
]
Steps = Callable[[Step], Awaitable[None]]


async def no_steps(_step: Step) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Committer:
    """Writes ticks. `page_max_lag_us`: how far the watermark may be behind the clock for pages to go out."""

    database: AsyncEngine
    page_max_lag_us: int
    public_url: str
    steps: Steps = field(default=no_steps)

    async def commit(self, shard: Shard, tick: Tick) -> None:
        """Write what the shard has done since its last commit.

        Raises LeaseLost (nothing written) and DependencyAway (unknown whether written); after either, or any other
        error, the shard must be thrown away.
        """
        row, counts, table = shard.row(), shard.unsaved(), shard.standings()
        done = tick.advance or Advance(0)
        with reaching():
            async with self.database.begin() as connection:
                await fence(connection, shard.lease)
                await self.steps("fenced")
                if len(counts):
                    await slots.append_page(connection, shard.lease.shard, row.tick_seq, counts)
                kept = shard.measuring.unsaved()
                if kept is not None:
                    await points.append(connection, shard.lease.shard, row.tick_seq, kept)
                await self.steps("slots_written")
                await _save_verdicts(connection, done, shard.specs)
                await self.steps("verdicts_written")
                holds_back = await self._tell(connection, shard, tick, done)
                if table is not None:
                    await evaluation.save_standings(connection, shard.lease.shard, row.tick_seq, table)
                await self.steps("standings_written")
                await evaluation.save_shard(connection, shard.lease.shard, row)
                await self.steps("committing")
        await self.steps("committed")
        shard.committed(tick.clock_us, holds_back=holds_back)

    async def _tell(self, connection: AsyncConnection, shard: Shard, tick: Tick, done: Advance) -> bool:
        """Incidents, their timelines, and the notifications that are due. Returns whether pages are still held."""
        behind_us = tick.clock_us - (shard.watermark.overall_us or 0)
        due = behind_us <= self.page_max_lag_us
        changed = {change.incident.id for change in done.incidents}
        told: Mapping[str, incidents.Told] = {}
        if changed or (due and shard.holds_back):
            told = await incidents.told(connection, shard.lease.shard, changed, held=due and shard.holds_back)
        announcer = Announcer(due=due, clock_us=tick.clock_us, public_url=self.public_url)
        paging: Paging = announcer.record(done.incidents, told, done.open_incidents)
        await incidents.record(connection, shard.lease.shard, paging.incidents)
        await incidents.add_events(connection, paging.events)
        await self.steps("incidents_written")
        await incidents.send(connection, paging.outbox)
        await self.steps("outbox_written")
        return paging.held or (shard.holds_back and not due)

    async def checkpoint(self, shard: Shard, state: bytes, kept: bytes | None) -> None:
        """Keep `state`, and `kept` in place of all rows of points, both taken right after a commit. Raises like `commit`."""
        with reaching():
            async with self.database.begin() as connection:
                await fence(connection, shard.lease)
                await evaluation.save_checkpoint(connection, shard.lease.shard, shard.tick_seq, state)
                await points.gather(connection, shard.lease.shard, shard.tick_seq, kept)
        await self.steps("checkpointed")

    async def gather(self, shard: Shard) -> bool:
        """Gather some of the slots up to the checkpoint; False where nothing was ripe. Raises like `commit`."""
        with reaching():
            async with self.database.begin() as connection:
                await fence(connection, shard.lease)
                return await slots.compact(connection, shard.lease.shard) > 0

    async def roll_up(self, shard: Shard) -> bool:
        """Make some of the oldest slots coarser; False where none is old enough. Raises like `commit`."""
        tick_us, slot_us = shard.engine.evaluated_until_us, shard.engine.slot_us
        if tick_us is None:
            return False
        edges = sorted(shard.engine.edges_us)
        with reaching():
            async with self.database.begin() as connection:
                await fence(connection, shard.lease)
                return await rollup.roll_up(connection, shard.lease.shard, tick_us, slot_us, edges_us=edges) > 0


_NO_SPEC: Final = ("", "")


async def _save_verdicts(connection: AsyncConnection, done: Advance, specs: Mapping[int, SeriesSpec]) -> None:
    restated = {found.series_id: found.from_us for found in done.restated}
    await evaluation.save_verdicts(connection, done.verdicts, restated)
    await evaluation.save_restatements(connection, [_restatement(found, specs) for found in done.restated])


def _restatement(found: Restatement, specs: Mapping[int, SeriesSpec]) -> NewRestatement:
    spec = specs.get(found.series_id)
    agreement, objective = (spec.identity.agreement, spec.identity.objective) if spec else _NO_SPEC
    return NewRestatement(found.series_id, agreement, objective, found.from_us, found.old, found.new)
