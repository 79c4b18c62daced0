"""Expiry as a process that evaluates runs it: beside its rounds, by one process of all."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.errors import DependencyAway
from tests.service.evaluation.world import START, S, World, traffic


@pytest.fixture
async def world(database: AsyncEngine) -> World:
    """Two agreements in force, nothing read yet."""
    world = World(database)
    await world.define()
    return world


async def test_a_running_part_lets_old_entries_expire_that_it_has_folded(world: World) -> None:
    """Eight days later only what came since is in the ledger; what was counted stays."""
    world.clock_us = START + 60 * S
    await world.ingest(traffic(0, 60))
    world.clock_us += 8 * 86400 * S
    await world.ingest(traffic(8 * 86400, 8 * 86400 + 60))
    await world.report()
    evaluation = world.evaluation(expire_every_s=0.01)
    task = asyncio.create_task(evaluation.run())
    async with asyncio.timeout(20):
        while len(await world.rows("SELECT first_offset FROM ledger")) > 1:
            pass
    evaluation.stop()
    await asyncio.wait_for(task, 10)
    assert [row.first_offset for row in await world.rows("SELECT first_offset FROM ledger")] == [6]
    assert int((await world.slots()).total.sum()) == 1200


async def test_the_ledger_is_kept_as_long_as_the_setting_says(world: World) -> None:
    """An hour and a minute, here."""
    evaluation = world.evaluation(keep_entries_us=3600 * S)
    for at_s in (0, 60):
        world.clock_us = START + (at_s + 60) * S
        await world.ingest(traffic(at_s, at_s + 60))
    await world.report()
    await evaluation._leases.round()
    await evaluation.round()
    world.clock_us = START + 60 * S + 3600 * S
    assert not await evaluation.expire()
    world.clock_us += 1
    assert await evaluation.expire()
    assert [row.first_offset for row in await world.rows("SELECT first_offset FROM ledger")] == [6]


async def test_one_process_of_all_lets_things_expire(world: World) -> None:
    """Whoever holds the first shard; the others leave it to that one."""
    first, second = world.evaluation(), world.evaluation()
    for each in (first, second, first, second):
        await each._leases.round()
    await world.ingest([])
    (holder, other) = (first, second) if 0 in first._leases.held else (second, first)
    for each in (holder, other):
        await each.round()
    world.clock_us += 8 * 86400 * S

    assert not await other.expire()
    assert await holder.expire()
    assert not await holder.expire()


async def test_a_database_that_is_away_is_asked_again_to_let_things_expire(world: World) -> None:
    """The rounds wait for it and tell; this must not end the part."""
    tries = 0
    again = asyncio.Event()

    async def away() -> bool:
        nonlocal tries
        tries += 1
        if tries == 2:
            again.set()
        raise DependencyAway("away")

    evaluation = world.evaluation(expire_every_s=0.0)
    evaluation.expire = away  # type: ignore[method-assign]
    task = asyncio.create_task(evaluation.run())
    await asyncio.wait_for(again.wait(), 20)
    evaluation.stop()
    await asyncio.wait_for(task, 10)
