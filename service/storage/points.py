"""What a shard measures from, as its ticks left it: one row a tick, gathered into one with each checkpoint.

Every function works within the transaction of its caller; one that writes expects `leases.fence` before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_READ = text("SELECT kept FROM point_pages WHERE shard = :shard ORDER BY tick_seq")
_APPEND = text("INSERT INTO point_pages (shard, tick_seq, kept) VALUES (:shard, :tick_seq, :kept)")
_FORGET = text("DELETE FROM point_pages WHERE shard = :shard")


async def read(connection: AsyncConnection, shard: int) -> Sequence[bytes]:
    """All rows of a shard."""
    return list((await connection.execute(_READ, {"shard": shard})).scalars())


async def append(connection: AsyncConnection, shard: int, tick_seq: int, kept: bytes) -> None:
    """The row of a tick."""
    await connection.execute(_APPEND, {"shard": shard, "tick_seq": tick_seq, "kept": kept})


async def gather(connection: AsyncConnection, shard: int, tick_seq: int, kept: bytes | None) -> None:
    """One row in place of all; none where nothing is kept."""
    await connection.execute(_FORGET, {"shard": shard})
    if kept is not None:
        await append(connection, shard, tick_seq, kept)
