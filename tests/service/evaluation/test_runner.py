"""The shard loop on a real PostgreSQL with the real engine: what it commits, and what it makes of trouble."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.slots import SlotCounts
from service.errors import DependencyAway
from service.evaluation.commit import Step
from service.storage import slots
from service.storage.database import create_engine
from service.storage.entries import LedgerBroken
from service.storage.standings import Standings, StandingsStore
from tests.service.evaluation.world import (
    AGREEMENTS,
    P0,
    P1,
    SLOT_US,
    START,
    Counted,
    S,
    World,
    minute_by_minute,
    settle,
    traffic,
)

OUTAGE = {range(10 * 60, 14 * 60): 40}
"""40 of 100 samples fail from minute 10 to 14: eight times the budget of 5 %."""

UNDISTURBED: dict[str, Any] = {}
"""What one process makes of 25 minutes with this outage: the same in any database, so it is told once for all tests."""


@pytest.fixture
async def world(database: AsyncEngine) -> World:
    """Two agreements in force, nothing read yet."""
    world = World(database)
    await world.define()
    return world


async def shown(database: AsyncEngine) -> Standings:
    async with database.begin() as connection:
        return await StandingsStore().current(connection)


async def test_an_outage_opens_pages_and_resolves_one_incident(world: World) -> None:
    """The whole story: opened in event time, told once, resolved, told once."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(25), OUTAGE)

    told = [(row.type, row.severity) for row in await world.rows("SELECT type, severity FROM outbox ORDER BY id")]
    (incident,) = await world.rows("SELECT * FROM incidents")
    assert told[0][0] == "incident.opened"
    assert [type_ for type_, _ in told].count("incident.opened") == 1
    assert told[-1][0] == "incident.resolved"
    assert (incident.state, incident.agreement, incident.announced) == ("resolved", "gold", "page")
    assert START + 600 * S <= incident.started_us < incident.detected_us < START + 13 * 60 * S
    assert incident.resolved_us > START + 14 * 60 * S
    assert await world.slots() == expected(traffic(0, 25 * 60, OUTAGE), await series_of(world, "gold"))


async def series_of(world: World, agreement: str) -> int:
    rows = await world.rows(
        "SELECT s.id FROM series s JOIN indicators i ON i.id = s.indicator_id WHERE i.agreement = :a", a=agreement
    )
    return int(rows[0].id)


def expected(counted: list[Counted], series: int) -> SlotCounts:
    """What the store must hold."""
    rows = [(series, (START + one.at_s * S) // SLOT_US, one.total - one.bad, one.total, 0, 0) for one in counted]
    return SlotCounts.from_columns(np.array(rows, dtype=np.int64).T)


async def test_standings_say_where_an_objective_is(world: World) -> None:
    """As of the tick, not of the clock."""
    await minute_by_minute(world, world.evaluation(), range(5), {range(120, 180): 3})
    (gold,) = [row for row in (await shown(world.database)).all() if row.identity.agreement == "gold"]
    assert (gold.contractual.good, gold.contractual.total) == (2900 - 18, 2900)
    assert (gold.as_of_us, gold.data.value) == (START + 290 * S, "live")


async def test_a_group_admitted_by_ingest_is_evaluated_at_once(world: World) -> None:
    """Its spec is read before its counts are folded."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(2))
    world.clock_us += 60 * S
    await world.ingest(traffic(120, 180) + traffic(120, 180, agreement="silver", labels=("eu",)))
    await world.report()
    await settle(evaluation)
    rows = {
        (row.identity.agreement, row.identity.group.get("region")): row for row in (await shown(world.database)).all()
    }
    assert rows["silver", "eu"].experienced.total == 500


async def test_a_look_that_finds_nothing_writes_nothing_until_standings_grow_old(world: World) -> None:
    """An idle system must not wear the disk; what is shown must not look dead."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(2))
    (before,) = await world.rows("SELECT sum(tick_seq) AS ticks FROM shards")
    await settle(evaluation)
    (same,) = await world.rows("SELECT sum(tick_seq) AS ticks FROM shards")
    world.clock_us += 11 * S
    await settle(evaluation)
    (after,) = await world.rows("SELECT sum(tick_seq) AS ticks FROM shards")
    assert (same.ticks, after.ticks) == (before.ticks, before.ticks + 4)


async def test_a_dead_ingest_worker_makes_everything_blind_with_its_cause(world: World) -> None:
    """The numbers stay, the data state does not."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(2))
    world.clock_us += 75 * S
    await settle(evaluation)
    standings = await shown(world.database)
    assert standings.blind == ("no ingest worker has reported for 1 min 15 s",)
    assert {row.data.value for row in standings.all()} == {"blind"}


async def test_an_idle_topic_lets_silence_be_noticed(world: World) -> None:
    """The watermark follows the clock at which the end of the log was seen."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(2))
    world.clock_us += 400 * S
    await world.report(idle=True)
    await settle(evaluation)
    (gold,) = [row for row in (await shown(world.database)).all() if row.identity.agreement == "gold"]
    assert (gold.data.value, gold.as_of_us) == ("silent", (world.clock_us - 5 * S) // SLOT_US * SLOT_US)


async def test_a_partition_that_lags_holds_the_tick(world: World) -> None:
    """What it will bring must count in the slots that are not evaluated yet; what came ahead is stored."""
    evaluation = world.evaluation()
    world.clock_us = START + 300 * S
    await world.ingest(traffic(0, 300))
    await world.ingest(traffic(0, 100), partition=P1)
    await world.report(P0, P1)
    await settle(evaluation)
    rows = await world.rows("SELECT DISTINCT evaluated_until_us FROM shards WHERE evaluated_until_us IS NOT NULL")
    assert {row.evaluated_until_us for row in rows} == {START + 90 * S}
    assert int((await world.slots()).total.sum()) == 4000


async def test_late_data_withdraws_an_incident_and_takes_the_page_back(world: World) -> None:
    """Failures came first, the successes of the same time an hour later by another partition."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(12), {range(600, 720): 90})
    (before,) = await world.rows("SELECT * FROM incidents")
    assert before.state == "open"
    world.clock_us += 60 * S
    await world.ingest([Counted(at, 5000) for at in range(600, 720, 10)] + traffic(720, 780))
    await world.report()
    await settle(evaluation)
    after = await world.rows("SELECT state FROM incidents WHERE id = :id", id=before.id)
    told = [
        row.type
        for row in await world.rows("SELECT type FROM outbox WHERE incident_id = :id ORDER BY id", id=before.id)
    ]
    restated = await world.rows("SELECT agreement, objective, cause FROM restatements")
    assert [row.state for row in after] == ["withdrawn"]
    assert (told[0], told[-1]) == ("incident.opened", "incident.withdrawn")
    assert ("gold", "availability", "late_data") in [tuple(row) for row in restated]


async def test_late_samples_that_change_no_verdict_are_written_with_the_next_tick(world: World) -> None:
    """A trickle of them must not write all that is shown twice a second; none is lost, and all are told of."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(3))
    (before,) = await world.rows("SELECT sum(tick_seq) AS ticks FROM shards")
    for _ in range(8):
        world.clock_us += S // 2
        await world.ingest([Counted(60, 10)], until_s=179)
        await world.report()
        await settle(evaluation)
    (meanwhile,) = await world.rows("SELECT sum(tick_seq) AS ticks FROM shards")
    told_before = evaluation._telemetry.late_samples._value.get()
    world.clock_us = START + 240 * S
    await world.ingest(traffic(180, 240))
    await world.report()
    await settle(evaluation)
    assert meanwhile.ticks == before.ticks
    assert evaluation._telemetry.late_samples._value.get() - told_before == 80
    assert int((await world.slots()).total.sum()) == 4 * 600 + 80


async def test_a_catch_up_pages_only_for_what_is_still_open_near_the_clock(world: World) -> None:
    """A day of history with an outage in it, then one that goes on now."""
    evaluation = world.evaluation()
    world.clock_us = START + 12 * 3600 * S
    await world.ingest(traffic(0, 4 * 3600, OUTAGE), until_s=4 * 3600)
    await world.report()
    await settle(evaluation)
    assert len(await world.rows("SELECT id FROM incidents WHERE state = 'resolved'")) >= 1
    assert await world.rows("SELECT id FROM outbox") == []

    now_s = 12 * 3600
    await world.ingest(traffic(4 * 3600, now_s - 7200, {range(now_s - 7500, now_s): 60}), until_s=now_s - 7200)
    await world.report()
    await settle(evaluation)
    (held,) = await world.rows("SELECT * FROM incidents WHERE state = 'open'")
    assert (held.announced, await world.rows("SELECT id FROM outbox")) == (None, [])

    await world.ingest(traffic(now_s - 7200, now_s, {range(now_s - 7500, now_s): 60}), until_s=now_s)
    await world.report()
    await settle(evaluation)
    told = await world.rows("SELECT incident_id, type FROM outbox ORDER BY id")
    assert [tuple(row) for row in told] == [(held.id, "incident.opened")]


async def test_the_same_ledger_in_a_fresh_database_gives_the_same_incidents(
    world: World, postgres_server: Any, migrated_template: str
) -> None:
    """Minute by minute or all at once: event time alone decides."""
    await minute_by_minute(world, world.evaluation(), range(25), OUTAGE)
    live = await world.outcome()
    url = postgres_server.create_database("replayed", migrated_template)
    engine = create_engine(url)
    other = World(engine, clock_us=START + 25 * 60 * S)
    await other.define()
    await other.ingest(traffic(0, 25 * 60, OUTAGE))
    await other.report()
    await settle(other.evaluation())
    replayed = await other.outcome()
    await engine.dispose()
    postgres_server.drop_database("replayed")
    assert [without(row) for row in replayed["incidents"]] == [without(row) for row in live["incidents"]]
    for part in ("events", "verdicts", "slots", "shards"):
        assert replayed[part] == live[part]


def without(incident: dict[str, Any]) -> dict[str, Any]:
    """Without what was told to whom, which depends on the clock."""
    return {name: value for name, value in incident.items() if name != "announced"}


async def test_another_process_goes_on_where_the_last_one_stopped(world: World) -> None:
    """From the truth alone: no checkpoint was written."""
    await minute_by_minute(world, world.evaluation(), range(12), OUTAGE)
    await world.lapse()
    await minute_by_minute(world, world.evaluation(), range(12, 25), OUTAGE)
    rows = await world.rows("SELECT type FROM outbox ORDER BY id")
    assert [row.type for row in rows].count("incident.opened") == 1
    assert rows[-1].type == "incident.resolved"


@pytest.mark.parametrize("damage", ["", "UPDATE checkpoints SET state = 'nonsense'", "DELETE FROM checkpoints"])
async def test_a_restart_from_a_checkpoint_equals_one_from_the_truth(world: World, damage: str) -> None:
    """Whole, damaged or missing: a checkpoint changes nothing but time."""
    first = world.evaluation(checkpoint_every_us=300 * S)
    await minute_by_minute(world, first, range(13), OUTAGE)
    assert await world.rows("SELECT shard FROM checkpoints")
    if damage:
        await world.rows(damage)
    await world.lapse()
    await minute_by_minute(world, world.evaluation(), range(13, 25), OUTAGE)
    assert await world.outcome() == await undisturbed(world)


async def undisturbed(world: World) -> dict[str, Any]:
    """The same story told to one process."""
    if not UNDISTURBED:
        await world.forget()
        await minute_by_minute(world, world.evaluation(), range(25), OUTAGE)
        UNDISTURBED.update(await world.outcome())
    return UNDISTURBED


async def test_pages_that_one_call_leaves_are_gathered_before_the_next_checkpoint(world: World) -> None:
    """A shard with many series makes more of them between two checkpoints than one short transaction can gather."""
    first = world.evaluation(checkpoint_every_us=300 * S)
    await minute_by_minute(world, first, range(1))
    await world.rows(
        "INSERT INTO slot_pages (shard, bucket, tick_seq, counts, rows)"
        " SELECT 0, bucket, 1, :counts, :rows FROM generate_series(1000, 1023) AS bucket",
        counts=expected(traffic(0, 60), 512_000).pack(),
        rows=slots.GATHER_ROWS // 4,
    )
    left: list[int] = []
    for minute in range(1, 12):
        await minute_by_minute(world, first, range(minute, minute + 1))
        left.append(len(await world.rows("SELECT bucket FROM slot_pages WHERE bucket >= 1000")))

    assert len(await world.rows("SELECT shard FROM checkpoints")) == 4
    assert left[:4] == [24] * 4
    assert left[4:] == [16, 8, 0, 0, 0, 0, 0]


async def test_a_frozen_process_changes_nothing_when_it_comes_back(world: World) -> None:
    """It stands before its commit while another one takes its shards over."""
    frozen, thaw = asyncio.Event(), asyncio.Event()
    after: list[Step] = []

    async def freeze(step: Step) -> None:
        if thaw.is_set():
            after.append(step)
        if step == "advanced" and world.clock_us == START + 12 * 60 * S:
            frozen.set()
            await thaw.wait()

    first = world.evaluation(freeze)
    task = asyncio.create_task(minute_by_minute(world, first, range(12), OUTAGE))
    await asyncio.wait_for(frozen.wait(), 20)
    await world.lapse()
    second = world.evaluation()
    await settle(second)
    taken = await world.outcome()
    thaw.set()
    await asyncio.wait_for(task, 20)
    assert await world.outcome() == taken
    assert "fenced" not in after
    assert len(first._leases.held) < len(second._leases.held) == 4


async def test_two_processes_share_the_shards_and_tell_the_same_story(world: World) -> None:
    """Each evaluates its own; together nothing is missing and nothing is told twice."""
    first, second = world.evaluation(), world.evaluation()
    for each in (first, second, first, second):
        await each._leases.round()
    assert (len(first._leases.held), len(second._leases.held)) == (2, 2)
    for minute in range(25):
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(traffic(minute * 60, minute * 60 + 60, OUTAGE))
        await world.report()
        await asyncio.gather(settle(first), settle(second))
    assert await world.outcome() == await undisturbed(world)


async def test_a_hole_in_the_ledger_stops_the_part_loudly(world: World) -> None:
    """Going on would lose counts without a word."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(2))
    await world.ingest(traffic(120, 180))
    await world.rows("DELETE FROM ledger WHERE first_offset = (SELECT max(first_offset) FROM ledger)")
    await world.ingest(traffic(180, 240))
    with pytest.raises(LedgerBroken):
        await settle(evaluation)


async def test_the_part_runs_until_it_is_stopped_and_gives_its_shards_back(world: World) -> None:
    """As the supervisor sees it."""
    committed = asyncio.Event()

    async def watch(step: Step) -> None:
        if step == "committed":
            committed.set()

    evaluation = world.evaluation(watch)
    world.clock_us = START + 60 * S
    await world.ingest(traffic(0, 60))
    await world.report()
    task = asyncio.create_task(evaluation.run())
    await asyncio.wait_for(committed.wait(), 20)
    evaluation.stop()
    await asyncio.wait_for(task, 10)
    assert {row.owner for row in await world.rows("SELECT owner FROM shards")} == {None}


async def test_a_failure_nobody_expected_ends_the_part_with_it(world: World) -> None:
    """The supervisor hears of it; the shards are free for others."""

    async def fail(step: Step) -> None:
        if step == "fenced":
            raise ZeroDivisionError

    evaluation = world.evaluation(fail)
    await world.report()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(evaluation.run(), 20)
    assert {row.owner for row in await world.rows("SELECT owner FROM shards")} == {None}


async def test_a_database_that_comes_later_is_waited_for(postgres_server: Any, migrated_template: str) -> None:
    """Started first, it goes on by itself."""
    url = postgres_server.create_database("later", migrated_template)
    postgres_server.drop_database("later")
    engine = create_engine(url)
    world = World(engine)
    committed = asyncio.Event()

    async def watch(step: Step) -> None:
        if step == "committed":
            committed.set()

    evaluation = world.evaluation(watch)
    task = asyncio.create_task(evaluation.run())
    await asyncio.sleep(0)
    postgres_server.create_database("later", migrated_template)
    await asyncio.wait_for(committed.wait(), 20)
    evaluation.stop()
    await asyncio.wait_for(task, 10)
    await engine.dispose()
    postgres_server.drop_database("later")


async def test_a_version_in_force_later_is_evaluated_from_there_on(world: World) -> None:
    """A catch-up over the change stops at it, whatever was read beyond."""
    await world.define(AGREEMENTS.replace("target: 0.95", "target: 0.81"), from_us=START + 605 * S)
    seen: list[tuple[int, int]] = []

    async def watch(step: Step) -> None:
        if step == "committed":
            rows = (await shown(world.database)).all()
            seen.extend((row.as_of_us, row.identity.version) for row in rows if row.identity.agreement == "gold")

    world.clock_us = START + 25 * 60 * S
    await world.ingest(traffic(0, 25 * 60, OUTAGE))
    await world.report()
    await settle(world.evaluation(watch))
    assert sorted(set(seen)) == [(START + 610 * S, 1), (START + 1490 * S, 2)]
    assert await world.rows("SELECT id FROM incidents") == []


async def test_a_longer_period_has_the_slots_that_were_counted_before(world: World) -> None:
    """The engine kept too few of them, the store has all."""
    await world.define(AGREEMENTS.replace("rolling: 1d", "rolling: 1h"))
    evaluation = world.evaluation()
    world.clock_us = START + 7 * 86400 * S
    await world.ingest(traffic(0, 6 * 86400, step_s=600), until_s=6 * 86400)
    await world.report()
    await settle(evaluation)
    await world.define(AGREEMENTS.replace("rolling: 1d", "rolling: 6d"), from_us=START + 6 * 86400 * S)
    await world.ingest(traffic(6 * 86400, 6 * 86400 + 60), until_s=6 * 86400 + 60)
    await world.report()
    await settle(evaluation)
    (gold,) = [row for row in (await shown(world.database)).all() if row.identity.agreement == "gold"]
    assert (gold.identity.version, gold.period_end_us) == (3, START + (6 * 86400 + 50) * S)
    assert gold.experienced.total == int(
        sum(one.total for one in traffic(0, 6 * 86400, step_s=600) if START + one.at_s * S >= gold.period_start_us)
        + 500
    )


async def test_an_objective_that_is_dropped_takes_its_incident_along(world: World) -> None:
    """Nobody will look at it again: those who were woken are told."""
    evaluation = world.evaluation()
    await minute_by_minute(world, evaluation, range(13), OUTAGE)
    assert await world.rows("SELECT id FROM incidents WHERE state = 'open'")
    await world.define(AGREEMENTS.replace("name: availability", "name: other-one"), from_us=world.clock_us)
    await minute_by_minute(world, evaluation, range(13, 15))
    assert not await world.rows("SELECT id FROM incidents WHERE state = 'open'")
    assert (await world.rows("SELECT type FROM outbox ORDER BY id DESC LIMIT 1"))[0].type == "incident.resolved"


@pytest.mark.parametrize("step", ["entries_read", "fenced", "outbox_written", "committing", "committed"])
async def test_a_database_that_cuts_connections_costs_time_only(world: World, step: Step) -> None:
    """Whether the commit went through is not known: the database is asked."""
    left = 2

    async def cut(reached: Step) -> None:
        nonlocal left
        if reached == step and left and world.clock_us >= START + 12 * 60 * S:
            left -= 1
            await world.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    evaluation = world.evaluation(cut)
    for minute in range(25):
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(traffic(minute * 60, minute * 60 + 60, OUTAGE))
        await world.report()
        for _ in range(10):
            try:
                await settle(evaluation)
                break
            except DependencyAway:
                continue
    assert left == 0
    assert await world.outcome() == await undisturbed(world)


async def test_a_part_that_is_cancelled_in_the_middle_of_a_tick_leaves_nothing_half_done(world: World) -> None:
    """The supervisor's patience ends: the transaction is rolled back, the shards are free."""
    reached = asyncio.Event()

    async def hang(step: Step) -> None:
        if step == "committing":
            reached.set()
            await asyncio.Event().wait()

    world.clock_us = START + 60 * S
    await world.ingest(traffic(0, 60))
    await world.report()
    task = asyncio.create_task(world.evaluation(hang).run())
    await asyncio.wait_for(reached.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    rows = await world.rows("SELECT owner, tick_seq FROM shards")
    assert {(row.owner, row.tick_seq) for row in rows} == {(None, 0)}
    assert len(await world.slots()) == 0


async def test_a_running_part_evaluates_what_comes(world: World) -> None:
    """Woken by a notice, round after round, until it is told to stop."""
    committed = asyncio.Event()

    async def watch(step: Step) -> None:
        if step == "committed":
            committed.set()

    evaluation = world.evaluation(watch)
    task = asyncio.create_task(evaluation.run())
    for minute in range(2):
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(traffic(minute * 60, minute * 60 + 60))
        await world.report()
        evaluation.wake()
        async with asyncio.timeout(20):
            while True:
                committed.clear()
                if len(await world.slots()) == 6 * (minute + 1):
                    break
                await committed.wait()
    evaluation.stop()
    await asyncio.wait_for(task, 10)
