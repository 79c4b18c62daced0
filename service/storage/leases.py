"""Leases of shards: rows with an owner, an epoch and an expiry by the database's clock.

Whoever takes a shard over raises its epoch. A transaction that acts for a shard first updates the shard's row where
owner and epoch are its own; a process that was frozen and comes back finds no such row and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

LEASE_S: Final = 2.0
"""A lease lapses when two renewals in a row were missed."""

GRACE_S: Final = 3.0
"""A lapsed lease is left to its owner for this long: moving a shard costs a reload."""

_FORGET_OWNER_S: Final = 60.0

_PRESENT = text(
    """
    INSERT INTO shard_owners (owner, expires_at)
    VALUES (:owner, clock_timestamp() + make_interval(secs => :present_s))
    ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at
    """
)
_RENEW = text(
    """
    UPDATE shards SET expires_at = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE id IN (SELECT id FROM shards WHERE owner = :owner AND id = ANY(CAST(:ids AS integer[]))
                 ORDER BY id FOR UPDATE SKIP LOCKED)
    """
)
_OWNERS = text("SELECT owner FROM shard_owners WHERE expires_at > clock_timestamp() ORDER BY owner")
_FORGET = text("DELETE FROM shard_owners WHERE expires_at < clock_timestamp() - make_interval(secs => :seconds)")
_ROWS = text(
    """
    SELECT id, owner, epoch,
        extract(epoch FROM expires_at - clock_timestamp())::float8 + :grace_s AS free_in_s
    FROM shards ORDER BY id
    """
)
_TAKE = text(
    """
    UPDATE shards SET owner = :owner, epoch = epoch + 1,
        expires_at = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE id IN (
        SELECT id FROM shards
        WHERE owner IS NULL OR expires_at IS NULL
           OR expires_at < clock_timestamp() - make_interval(secs => :grace_s)
        ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id, epoch
    """
)
_RELEASE = text(
    """
    UPDATE shards SET owner = NULL, expires_at = NULL
    FROM unnest(CAST(:ids AS integer[]), CAST(:epochs AS bigint[])) AS mine (id, epoch)
    WHERE shards.id = mine.id AND shards.epoch = mine.epoch AND shards.owner = :owner
    """
)
_LEAVE = text("DELETE FROM shard_owners WHERE owner = :owner")
_FENCE = text(
    """
    UPDATE shards SET expires_at = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE id = :id AND owner = :owner AND epoch = :epoch
    """
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A shard is ours while its row says so."""

    shard: int
    owner: str
    epoch: int


class LeaseLost(Exception):
    """The shard has another owner by now; nothing of this transaction may stay."""


@dataclass(frozen=True, slots=True)
class LeaseRows:
    """All shards (id -> owner, epoch), the owners alive in the order of their names, and in how many seconds each
    shard that has an owner may be taken from it, if nobody renews it until then.
    """

    shards: Mapping[int, tuple[str | None, int]]
    owners: tuple[str, ...]
    free_in_s: Mapping[int, float]


async def renew(connection: AsyncConnection, owner: str, held: Collection[int]) -> LeaseRows:
    """Say that `owner` lives, renew what it holds, and read how things stand.

    A row that is locked is skipped: a transaction is acting for it, and that renews it too.
    """
    await connection.execute(_PRESENT, {"owner": owner, "present_s": LEASE_S + GRACE_S})
    await connection.execute(_FORGET, {"seconds": _FORGET_OWNER_S})
    if held:
        await connection.execute(_RENEW, {"owner": owner, "ids": sorted(held), "lease_s": LEASE_S})
    owners = (await connection.execute(_OWNERS)).scalars().all()
    rows = (await connection.execute(_ROWS, {"grace_s": GRACE_S})).all()
    free_in_s = {row.id: row.free_in_s for row in rows if row.free_in_s is not None}
    return LeaseRows({row.id: (row.owner, row.epoch) for row in rows}, tuple(owners), free_in_s)


async def take(connection: AsyncConnection, owner: str, most: int) -> dict[int, int]:
    """Up to `most` shards that nobody holds: id -> the new epoch."""
    rows = await connection.execute(_TAKE, {"owner": owner, "most": most, "lease_s": LEASE_S, "grace_s": GRACE_S})
    return {row.id: row.epoch for row in rows}


async def release(connection: AsyncConnection, owner: str, held: Mapping[int, int]) -> None:
    """Give shards (id -> epoch) up, for others to take at once."""
    await connection.execute(_RELEASE, {"owner": owner, "ids": list(held), "epochs": list(held.values())})


async def leave(connection: AsyncConnection, owner: str) -> None:
    """The owner is gone and counts no longer."""
    await connection.execute(_LEAVE, {"owner": owner})


async def fence(connection: AsyncConnection, lease: Lease) -> None:
    """First statement of a transaction that acts for a shard: locks its row. Raises LeaseLost."""
    values = {"id": lease.shard, "owner": lease.owner, "epoch": lease.epoch, "lease_s": LEASE_S}
    if (await connection.execute(_FENCE, values)).rowcount != 1:
        raise LeaseLost
