"""A topic that was made anew with fewer partitions."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from tests.service.evaluation.world import P0, P1, START, S, World, settle, traffic


async def test_what_a_topic_no_longer_has_is_not_waited_for_and_said_once(database: AsyncEngine) -> None:
    """Its rows stay; the tick goes on with what is there."""
    world = World(database)
    await world.define()
    evaluation = world.evaluation()
    world.clock_us = START + 60 * S
    await world.ingest(traffic(0, 60))
    await world.ingest(traffic(0, 60), partition=P1)
    await world.report(P0, P1)
    await settle(evaluation)
    with capture_logs() as logs:
        for minute in range(1, 9):
            world.clock_us = START + (minute + 1) * 60 * S
            await world.ingest(traffic(minute * 60, minute * 60 + 60))
            await world.report(P0)
            await settle(evaluation)
    told = [entry["partitions"] for entry in logs if entry.get("action") == "partitions_gone"]
    rows = await world.rows("SELECT DISTINCT evaluated_until_us FROM shards WHERE evaluated_until_us IS NOT NULL")
    assert told == [["events/1"]]
    assert {row.evaluated_until_us for row in rows} == {START + 530 * S}
