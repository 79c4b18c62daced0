"""What is measured from points, on a real PostgreSQL: over checkpoints, restarts and processes that take over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import Entry, SeriesKey
from evaluators.points import Kind, Points, tagged
from service.storage.ledger import PostgresLedger
from tests.service.evaluation.world import AGREEMENTS, P0, SLOT_US, START, S, World, settle

AGREEMENT = (
    AGREEMENTS.split("---\napiVersion: upheld/v1\nkind: Agreement\nmetadata: {name: silver}")[0]
    .replace(
        "{ratio: {bad: 'requests{status=~\"5..\"}', total: 'requests{service=\"checkout\"}'}}",
        "{uptime: {state: probe, staleAfter: 5m}}",
    )
    .replace(
        "target: 0.95",
        "target: 0.95\n      budgetingMethod: Timeslices\n      timeSliceTarget: 0.9\n      timeSliceWindow: 1m",
    )
)
AGREEMENT = AGREEMENT.replace("severity: ticket}\n---", "severity: ticket}\n  minimum: {events: 1, failures: 1}\n---")
MINUTES = 30
DOWN = range(11, 14)


@pytest.fixture
async def world(database: AsyncEngine) -> World:
    """One agreement on time that was up, by the minute."""
    world = World(database)
    await world.define(AGREEMENT)
    return world


async def told(world: World, minute: int, *, late: bool = False) -> None:
    """One state a minute; every fifth comes ten minutes late."""
    minutes = [minute, *([minute - 10] if late else [])]
    tag = tagged(Kind.STATE)
    rows = [(0, 7, tag, START + each * 60 * S, int(each not in DOWN), 0) for each in minutes if each >= 0]
    nothing = np.zeros(0, dtype=np.int64)
    read_from = world.positions.get(P0, 0)
    world.positions[P0] = read_from + 1
    world.clock_us = START + (minute + 1) * 60 * S
    entry = Entry(
        partition=P0,
        epoch=0,
        read_from=read_from,
        next_offset=read_from + 1,
        keys=(SeriesKey(world.indicators["gold"], ()),),
        key=nothing,
        slot=nothing,
        good=nothing,
        total=nothing,
        excluded_good=nothing,
        excluded_total=nothing,
        records=1,
        samples=len(rows),
        dead=0,
        max_event_us=START + minute * 60 * S + 59 * S,
        clock_us=world.clock_us,
        points=Points.from_rows(rows),
    )
    if minute % 5 == 3 and not late:
        entry = replace(entry, points=Points.empty(), keys=())
    assert not await PostgresLedger(world.database).commit([entry], world.revision)
    await world.report()


async def story(world: World, *, processes: int, checkpoint_every_us: int, damage: str = "") -> None:
    """Each process does its part and is gone."""
    each = MINUTES // processes
    for process in range(processes):
        evaluation = world.evaluation(checkpoint_every_us=checkpoint_every_us)
        for minute in range(process * each, (process + 1) * each):
            await told(world, minute, late=minute % 5 == 3)
            await settle(evaluation)
        await world.lapse()
        if damage:
            await world.rows(damage)


@pytest.mark.parametrize("damage", ["", "DELETE FROM checkpoints"])
async def test_restarts_and_checkpoints_change_nothing_of_what_is_measured(world: World, damage: str) -> None:
    """From the checkpoint with its gathered points, and from the truth alone."""
    await story(world, processes=1, checkpoint_every_us=10**15)
    alone = await world.outcome()
    assert len(await world.rows("SELECT shard FROM point_pages")) > 1
    await world.forget()

    await story(world, processes=3, checkpoint_every_us=0, damage=damage)

    assert await world.outcome() == alone
    assert len(await world.rows("SELECT shard FROM point_pages")) == 1
    (series, slot, good, total, *_) = (await world.slots()).columns
    assert (int(good.sum()), int(total.sum())) == (len(total) - len(DOWN), len(total))
    assert len(set(series.tolist())) == 1
    assert (np.diff(slot) == 60 * S // SLOT_US).all()


async def test_an_incident_opens_while_it_is_down(world: World) -> None:
    """By the same policies as of counts."""
    await story(world, processes=1, checkpoint_every_us=10**15)

    (incident,) = await world.rows("SELECT state, severity FROM incidents")
    assert (incident.state, incident.severity) == ("resolved", "page")
