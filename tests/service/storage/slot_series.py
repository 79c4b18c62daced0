"""Series that slots can be counted in, and counts for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.slots import SlotCounts


async def admit(engine: AsyncEngine, ids: Sequence[int], *, shard: int, elsewhere: int) -> None:
    """Series of one indicator in `shard`; that of the id `elsewhere` is another indicator's, in shard 0."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO indicators (id, agreement, objective, fingerprint, group_by, group_bound, shard)"
                " VALUES (1, 'a', 'o', 'f', '{g}', 10, :shard), (2, 'b', 'o', 'f', '{g}', 10, 0)"
            ),
            {"shard": shard},
        )
        await connection.execute(
            text(
                "INSERT INTO series (id, indicator_id, labels, label_key)"
                " SELECT id, CASE WHEN id = :elsewhere THEN 2 ELSE 1 END, '{}', id::text"
                " FROM unnest(CAST(:ids AS bigint[])) AS id"
            ),
            {"ids": list(ids), "elsewhere": elsewhere},
        )


def counted(*rows: tuple[int, int, int], after: int = 0) -> SlotCounts:
    """Rows of (series, slot after `after`, total)."""
    ids, slot, total = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return SlotCounts(ids, slot + after, total - total // 3, total, total * 0, total // 7)
