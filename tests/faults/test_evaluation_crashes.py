"""Evaluation dies at each named step; who comes after tells the same story, and pages once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.evaluation.commit import Step
from service.evaluation.runner import Evaluation
from service.storage.database import create_engine
from tests.service.evaluation.world import START, S, World, settle, traffic

OUTAGE = {range(4 * 60, 7 * 60): 40}
MINUTES = 12
CHECKPOINTS = 120 * S

UNDISTURBED: dict[str, Any] = {}
"""The outcome where nobody dies: the same in any database, so that it is told once and not for each death."""


class Killed(BaseException):
    """As SIGKILL: nothing after it runs, and nobody expects it."""


class Reaper:
    """Kills at the n-th time that a step is reached after the outage began."""

    def __init__(self, world: World, step: Step, times: int) -> None:
        self._world = world
        self._step = step
        self.left = times

    async def __call__(self, step: Step) -> None:
        if step == self._step and self._world.clock_us > START + 300 * S:
            self.left -= 1
            if self.left == 0:
                raise Killed


async def told(world: World, evaluation: Evaluation) -> None:
    """The story, by processes that may die; a dead one is followed by another."""
    for minute in range(MINUTES):
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(traffic(minute * 60, minute * 60 + 60, OUTAGE))
        await world.report()
        try:
            await settle(evaluation)
        except Killed:
            await world.lapse()
            evaluation = world.evaluation(checkpoint_every_us=CHECKPOINTS)
            await settle(evaluation)


async def undisturbed(world: World) -> dict[str, Any]:
    """The outcome of the same story without a death."""
    if not UNDISTURBED:
        await world.forget()
        await told(world, world.evaluation(checkpoint_every_us=CHECKPOINTS))
        UNDISTURBED.update(await world.outcome())
    return UNDISTURBED


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database of this test's own."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("step", get_args(Step))
async def test_a_death_at_any_step_changes_nothing_of_the_outcome(
    database: AsyncEngine, step: Step, times: int
) -> None:
    """The same slots, incidents, verdicts and notifications, and exactly one opened page."""
    world = World(database)
    await world.define()
    reaper = Reaper(world, step, times)
    await told(world, world.evaluation(reaper, checkpoint_every_us=CHECKPOINTS))
    assert reaper.left == 0
    outcome = await world.outcome()

    assert outcome == await undisturbed(world)
    opened = [row for row in outcome["outbox"] if row[1] == "incident.opened"]
    assert len(opened) == 1
