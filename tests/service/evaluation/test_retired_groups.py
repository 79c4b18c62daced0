"""Groups that retire, in the store."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.standings import StandingsStore
from tests.service.evaluation.world import START, S, World, settle, traffic

DAY_S = 86_400


async def test_a_retired_group_leaves_what_is_shown_and_comes_back_as_the_same_series(database: AsyncEngine) -> None:
    """Between definitions too: what is shown follows the table, not only what is defined."""
    world = World(database)
    await world.define()
    evaluation = world.evaluation()

    async def regions(minute: int, *seen: str) -> dict[str, int]:
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(
            [
                one
                for region in seen
                for one in traffic(minute * 60, minute * 60 + 60, agreement="silver", labels=(region,))
            ]
        )
        await world.report()
        await settle(evaluation)
        async with database.begin() as connection:
            shown = (await StandingsStore().current(connection)).all()
        return {dict(row.identity.labels)["region"]: row.identity.series_id for row in shown if row.identity.labels}

    first = await regions(0, "north", "south")
    later = await regions(DAY_S // 60 + 2, "north")
    back = await regions(DAY_S // 60 + 4, "north", "south")
    assert (set(first), set(later), back) == ({"north", "south"}, {"north"}, first)
