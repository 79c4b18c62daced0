"""A log that started again: the shard reads the old epoch to its end before the new one moves event time."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.entries import READ_ROWS
from service.storage.ledger import PostgresLedger
from tests.service.evaluation.world import P0, SLOT_US, START, S, World, settle, traffic

UNREAD = READ_ROWS + 10
"""Entries of one slot each: more than one read brings."""

DAY_US = 86400 * S


@pytest.fixture
async def world(database: AsyncEngine) -> World:
    """More entries of epoch 0 than one read brings; then the log is made anew, and epoch 1 begins."""
    world = World(database)
    await world.define()
    world.clock_us = START + (UNREAD + 60) * SLOT_US
    for slot in range(UNREAD):
        await world.ingest(traffic(slot * 10, slot * 10 + 10))
    await PostgresLedger(database).begin_epoch(P0, 1, 0)
    world.positions.clear()
    return world


async def test_entries_of_the_old_epoch_that_wait_are_not_late(world: World) -> None:
    """The new epoch is ahead of them in event time, and is read beside them."""
    await world.ingest(traffic(UNREAD * 10 + 60, UNREAD * 10 + 120), epoch=1)
    await world.report(epoch=1)
    evaluation = world.evaluation()

    await settle(evaluation)

    assert evaluation._telemetry.late_samples._value.get() == 0
    assert int((await world.slots()).total.sum()) == 100 * (UNREAD + 6)
    rows = await world.rows("SELECT DISTINCT evaluated_until_us FROM shards")
    assert [row.evaluated_until_us for row in rows] == [START + (UNREAD * 10 + 110) * S]


async def test_an_idle_new_epoch_waits_for_the_old_one_too(world: World) -> None:
    """Nothing has come in it yet: its end is the clock, which is far ahead of what waits."""
    await world.report(idle=True, epoch=1)
    evaluation = world.evaluation()

    await settle(evaluation)

    assert evaluation._telemetry.late_samples._value.get() == 0
    rows = await world.rows("SELECT DISTINCT watermark_us FROM shards")
    assert [row.watermark_us for row in rows] == [world.clock_us]


async def test_an_epoch_that_has_expired_is_forgotten_by_who_has_read_it_and_by_who_comes_after(world: World) -> None:
    """Both have the same cursors, so that they are read for together, and nothing is counted again."""
    await world.ingest(traffic(UNREAD * 10, UNREAD * 10 + 60), epoch=1)
    await world.report(epoch=1)
    first = world.evaluation()
    await settle(first)
    counted = await world.slots()
    world.clock_us += 8 * DAY_US
    while await first.expire():
        pass
    await settle(first)
    stayed = [shard.offsets() for shard in first._shards.values()]

    await world.lapse()
    second = world.evaluation()
    await settle(second)

    assert [shard.offsets() for shard in second._shards.values()] == stayed
    assert {name.epoch for offsets in stayed for name in offsets} == {1}
    assert await world.slots() == counted
