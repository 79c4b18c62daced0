"""Which shards this process evaluates: its fair share, renewed each second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage import leases
from service.storage.database import reaching

RENEW_EVERY_S = 1.0

MOMENT_S = 0.02
"""After a lease's end, so that the round finds it over."""

_log = structlog.get_logger(__name__)


def fair_share(owner: str, owners: Sequence[str], shards: int) -> int:
    """How many shards `owner` may hold: shards / owners, rounded up for the first by name, down for the others.

    Never more than shards / owners rounded up, and all shares together are all shards.
    """
    names = sorted({*owners, owner})
    share, left_over = divmod(shards, len(names))
    return share + (names.index(owner) < left_over)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a round changed: shards gained with their epochs, and shards lost; one lost and taken anew is in both."""

    gained: Mapping[int, int] = field(default_factory=dict[int, int])
    lost: frozenset[int] = frozenset()


class Leases:
    """The shards that this process holds, by shard: epoch."""

    def __init__(self, database: AsyncEngine, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._held: dict[int, int] = {}
        self._again_s = RENEW_EVERY_S

    @property
    def again_s(self) -> float:
        """In how many seconds the next round is due: to renew, or as soon as a shard of a silent owner is free."""
        return self._again_s

    @property
    def held(self) -> Mapping[int, int]:
        """As of the last round; only the fence in a transaction is certain."""
        return self._held

    def lease(self, shard: int) -> leases.Lease:
        """The lease of a shard that is held."""
        return leases.Lease(shard, self._owner, self._held[shard])

    def drop(self, shard: int) -> None:
        """A fence said that the shard is no longer ours."""
        self._held.pop(shard, None)

    async def round(self) -> Moved:
        """Renew, notice what was lost, give up what is too much, take what is free. Raises DependencyAway."""
        before = dict(self._held)
        with reaching():
            async with self._database.begin() as connection:
                rows = await leases.renew(connection, self._owner, before)
                kept = {
                    shard: epoch for shard, epoch in before.items() if rows.shards.get(shard) == (self._owner, epoch)
                }
                share = fair_share(self._owner, rows.owners, len(rows.shards))
                surplus = {shard: kept[shard] for shard in sorted(kept)[share:]}
                if surplus:
                    await leases.release(connection, self._owner, surplus)
                wanted = share - len(kept)
                gained = await leases.take(connection, self._owner, wanted) if wanted > 0 else {}
        self._held = {shard: epoch for shard, epoch in kept.items() if shard not in surplus} | gained
        self._again_s = self._due_s(rows)
        moved = Moved(gained, frozenset(shard for shard, epoch in before.items() if self._held.get(shard) != epoch))
        self._tell(moved, set(surplus))
        return moved

    def _due_s(self, rows: leases.LeaseRows) -> float:
        ends = [left_s + MOMENT_S for shard, left_s in rows.free_in_s.items() if shard not in self._held and left_s > 0]
        return min([RENEW_EVERY_S, *ends])

    async def release(self) -> None:
        """Give everything up, for others to go on at once. Raises DependencyAway."""
        held, self._held = self._held, {}
        with reaching():
            async with self._database.begin() as connection:
                await leases.release(connection, self._owner, held)
                await leases.leave(connection, self._owner)

    def _tell(self, moved: Moved, surplus: set[int]) -> None:
        if moved.gained:
            _log.info("Shards taken.", action="shards_taken", shards=sorted(moved.gained), held=len(self._held))
        if surplus:
            _log.info("Shards given up for others.", action="shards_given_up", shards=sorted(surplus))
        if lost := sorted(moved.lost - surplus):
            _log.warning("Shards lost to others.", action="shards_lost", shards=lost)
