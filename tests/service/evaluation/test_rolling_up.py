"""Slots are rolled up beside the ticks; what is told, by whom after whatever death, does not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators import rollup
from evaluators.durations import DAY, MINUTE
from evaluators.slots import SlotCounts
from service.evaluation.runner import Evaluation
from service.evaluation.shard import Shard
from service.storage import slots
from service.storage.definitions import shard_of
from service.storage.leases import LeaseLost
from service.storage.standings import StandingsStore
from tests.service.evaluation.world import AGREEMENTS, SLOT_US, START, Counted, S, World, settle, traffic

DAYS = 5
GOLD = shard_of("gold", 4)
BAD = {range(3 * 86400 + 40000, 3 * 86400 + 41500): 30, range(86400, 87000): 90}
LONG = AGREEMENTS.replace("period: {rolling: 1d}", "period: {rolling: 30d}")


class Killed(BaseException):
    """As SIGKILL: nothing after it runs, and nobody expects it."""


@pytest.fixture
async def world(database: AsyncEngine) -> World:
    """Promises of 30 days and of a day, in force, nothing read yet."""
    world = World(database)
    await world.define(LONG)
    return world


async def day_by_day(world: World, evaluation: Evaluation, days: range = range(DAYS)) -> None:
    """Each day's samples, some of them a day and more late, come in three parts; pages are gathered in between."""
    for third in range(days.start * 3, days.stop * 3):
        from_s = third * 28800
        world.clock_us = START + (from_s + 28800) * S
        counted = traffic(from_s, from_s + 28800, BAD, step_s=170)
        counted += traffic(from_s, from_s + 28800, BAD, step_s=900, agreement="silver", labels=("eu",))
        late = [Counted(from_s - 130_000 + 10 * third, 7, 2)] if third > 5 else []
        await world.ingest(counted + late, until_s=from_s + 28799)
        await world.report()
        await settle(evaluation)
        async with world.database.begin() as connection:
            for shard in range(4):
                await slots.compact(connection, shard, pages=1)


def minutely(counts: SlotCounts) -> list[list[int]]:
    """At the resolution that is left of it."""
    return rollup.rolled(counts, MINUTE, SLOT_US).columns.tolist()


async def told(world: World) -> dict[str, Any]:
    """All that evaluation is for, and the numbers that it shows."""
    outcome = await world.outcome()
    outcome["slots"] = minutely(await world.slots())
    async with world.database.begin() as connection:
        found = await StandingsStore().current(connection)
    outcome["standings"] = sorted(repr(row) for row in found.rows(range(len(found))))
    return outcome


async def days_of(world: World) -> list[tuple[int, int]]:
    """The days that are rolled up, of each series."""
    found = await world.rows("SELECT series_id, day FROM slot_days ORDER BY series_id, day")
    return [(row.series_id, row.day - START // DAY) for row in found]


async def chunk_days(world: World) -> set[int]:
    """The days that are still there by slot."""
    found = await world.rows("SELECT DISTINCT chunk / 24 AS day FROM slot_chunks")
    return {row.day - START // DAY for row in found}


@contextmanager
def dying_at(database: AsyncEngine, statement: int) -> Iterator[list[str]]:
    """The process dies as it is about to send its n-th statement, or its commit; gives what was sent."""
    sent: list[str] = []

    def send(what: str) -> None:
        sent.append(what)
        if len(sent) == statement:
            raise Killed

    def execute(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        send(text)

    def commit(_connection: Any) -> None:
        send("COMMIT")

    event.listen(database.sync_engine, "before_cursor_execute", execute)
    event.listen(database.sync_engine, "commit", commit)
    try:
        yield sent
    finally:
        event.remove(database.sync_engine, "before_cursor_execute", execute)
        event.remove(database.sync_engine, "commit", commit)


async def test_a_shard_rolls_up_what_its_tick_has_left_behind(world: World) -> None:
    """Whole days older than two; every count is still there."""
    await day_by_day(world, world.evaluation(checkpoint_every_us=0))

    rolled_up = {day for _, day in await days_of(world)}
    assert rolled_up == {0, 1, 2}
    assert min(await chunk_days(world)) <= 3
    total = sum(100 for _ in range(0, DAYS * 86400, 28800) for _ in range(0, 28800, 170))
    assert int((await world.slots()).total.sum()) > total


async def test_what_is_told_does_not_depend_on_roll_ups_checkpoints_and_restarts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late data for days that were rolled up, included."""
    for part in range(DAYS):  # each day another process: from the checkpoint, and from the truth alone
        if part % 2:
            await world.rows("DELETE FROM checkpoints")
        await world.lapse()
        await day_by_day(world, world.evaluation(checkpoint_every_us=0), range(part, part + 1))
    with_roll_ups = await told(world)
    assert len(await days_of(world)) >= 5
    await world.forget()

    async def nothing(*_: Any, **__: Any) -> int:
        return 0

    monkeypatch.setattr("service.storage.rollup.roll_up", nothing)
    await day_by_day(world, world.evaluation(checkpoint_every_us=10**15))
    assert not await days_of(world)

    assert with_roll_ups == await told(world)
    assert with_roll_ups["incidents"]


async def test_a_death_at_any_statement_of_a_roll_up_loses_and_doubles_nothing(world: World) -> None:
    """A step is one transaction; whoever comes after does it again."""
    await day_by_day(world, evaluation := world.evaluation(checkpoint_every_us=10**15))
    before = minutely(await world.slots())
    shard = evaluation._shards[GOLD]
    statement, died = 0, 0
    while True:
        statement += 1
        with dying_at(world.database, statement) as sent:
            try:
                await evaluation._committer.roll_up(shard)
            except Killed:
                died += 1
        if len(sent) < statement:
            break
        assert await days_of(world) == []
        assert minutely(await world.slots()) == before
    assert died == statement - 1 >= 7
    assert len(await days_of(world)) == 1
    while await evaluation._committer.roll_up(shard):
        pass
    assert minutely(await world.slots()) == before


async def test_whoever_lost_the_shard_rolls_nothing_up(world: World) -> None:
    """It was frozen while another one took the shard over."""
    await day_by_day(world, evaluation := world.evaluation(checkpoint_every_us=10**15))
    shard: Shard = evaluation._shards[GOLD]
    await world.rows("UPDATE shards SET epoch = epoch + 1")

    with pytest.raises(LeaseLost):
        await evaluation._committer.roll_up(shard)

    assert await days_of(world) == []


async def test_a_shard_that_never_ticked_has_nothing_to_roll_up(world: World) -> None:
    """There is no age without a tick."""
    evaluation = world.evaluation()
    await settle(evaluation)

    assert not await evaluation._committer.roll_up(evaluation._shards[GOLD])
