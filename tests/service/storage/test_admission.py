"""Admission of many groups at once, on a real PostgreSQL; what it does with a few is tested with the ledger."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import SeriesKey
from service.storage.admission import Admission

MANY = 20_000


async def rows(engine: AsyncEngine, statement: str) -> list[tuple[int, ...]]:
    async with engine.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


def groups(indicator: int, first: int) -> list[SeriesKey]:
    return [SeriesKey(indicator, (f"tenant-{number}",)) for number in range(first, first + MANY)]


async def test_thousands_of_new_groups_are_admitted_in_one_transaction(engine: AsyncEngine) -> None:
    """Within seconds, and far within the time after which the server cuts it for idling; beyond the bound as well."""
    ((indicator,),) = await rows(
        engine,
        "INSERT INTO indicators (agreement, objective, fingerprint, group_by, group_bound, shard)"
        f" VALUES ('a', 'o', 'f', ARRAY['tenant'], {MANY}, 0) RETURNING id",
    )
    admission = Admission()
    found: dict[SeriesKey, int] = {}
    async with asyncio.timeout(8):
        for first in (0, MANY - 5_000):
            async with engine.begin() as connection:
                resolved, learned = await admission.resolve(connection, groups(indicator, first), 0)
            admission.keep(learned)
            found |= resolved

    assert await rows(engine, "SELECT count(*), count(*) FILTER (WHERE is_other) FROM series") == [(MANY + 1, 1)]
    ((other,),) = await rows(engine, "SELECT id FROM series WHERE is_other")
    assert [key for key, row in found.items() if row == other] == groups(indicator, MANY)[: MANY - 5_000]
