"""Incidents on a real PostgreSQL: what the evaluator writes, what people read and add."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.incidents import Incident
from service.storage import incidents
from service.storage.incidents import NewEvent, Recorded, State, Told
from service.storage.pages import outbox_rows

S = 1_000_000
T0 = 1_795_448_410 * S
BASE = Incident(
    id="inc_a",
    series_id=7,
    agreement="gold",
    objective="availability",
    service=None,
    labels=(("region", "eu"),),
    severity="ticket",
    started_us=T0,
    detected_us=T0 + 70 * S,
    resolved_us=None,
    reason="burning 3.1x over 1d",
    condition={"long": "1d", "short": "2h", "factor": 3.0, "view": "contractual"},
    burn_rates={"1h": 14.9, "5m": None},
    budget_remaining=0.298,
    exhausted_us=None,
    runbook=None,
    notify=("oncall", "audit"),
)


async def put(
    database: AsyncEngine,
    incident: Incident,
    state: State = "open",
    announced: str | None = None,
    shard: int = 1,
    *,
    owed: int | None = None,
) -> None:
    """As a tick does."""
    async with database.begin() as connection:
        await incidents.record(connection, shard, [Recorded(incident, state, announced, owed)])
        told = await incidents.told(connection, shard, {incident.id}, held=False)
        line = NewEvent(incident.id, told[incident.id].last_seq + 1, "opened", T0, {"severity": incident.severity})
        await incidents.add_events(connection, [line])


async def outbox(database: AsyncEngine) -> list[Any]:
    async with database.begin() as connection:
        return list(await connection.execute(text("SELECT * FROM outbox ORDER BY id")))


async def test_an_incident_comes_back_as_it_was_recorded(database: AsyncEngine) -> None:
    """Every field, through the database's types."""
    whole = replace(
        BASE, service="shop", exhausted_us=T0 + S, runbook="https://r", partial=True, resolved_us=T0 + 9 * S
    )
    for incident in (BASE, replace(whole, id="inc_b")):
        await put(database, incident)
        async with database.begin() as connection:
            story = await incidents.one(connection, incident.id)
        assert story is not None
        assert (story.record.incident, story.record.state, story.record.shard) == (incident, "open", 1)
        assert [(line.seq, line.type, line.at_us, line.author) for line in story.timeline] == [(1, "opened", T0, None)]


async def test_recording_again_replaces_what_was_found_and_keeps_what_people_did(database: AsyncEngine) -> None:
    """A tick must not undo an acknowledgement."""
    await put(database, BASE, announced="ticket")
    async with database.begin() as connection:
        await incidents.acknowledge(connection, "inc_a", by="ada", clock_us=T0, public_url="http://u")
    await put(database, replace(BASE, severity="page", resolved_us=T0 + S), "resolved", "page")
    async with database.begin() as connection:
        story = await incidents.one(connection, "inc_a")
    assert story is not None
    record = story.record
    assert (record.incident.severity, record.state, record.announced) == ("page", "resolved", "page")
    assert record.acknowledged_by == "ada"
    assert [line.seq for line in story.timeline] == [1, 2, 3]


async def test_there_is_nothing_to_say_about_an_unknown_incident(database: AsyncEngine) -> None:
    """None, and no line of a timeline without an incident."""
    async with database.begin() as connection:
        assert await incidents.one(connection, "inc_x") is None
        assert await incidents.note(connection, "inc_x", by="ada", words="hm") is None
        assert await incidents.acknowledge(connection, "inc_x", by="ada", clock_us=T0, public_url="http://u") is None


async def test_an_acknowledgement_tells_the_targets_once_and_keeps_the_first_name(database: AsyncEngine) -> None:
    """Two people press the button; the receiver hears of one."""
    await put(database, BASE, announced="ticket")
    for name in ("ada", "bob"):
        async with database.begin() as connection:
            done = await incidents.acknowledge(connection, "inc_a", by=name, clock_us=T0, public_url="http://u")
        assert done is not None
        assert done.acknowledged_by == "ada"
        assert done.acknowledged_at is not None
    rows = await outbox(database)
    assert [(row.type, row.idempotency_key) for row in rows] == [
        ("incident.acknowledged", "inc_a.2.oncall"),
        ("incident.acknowledged", "inc_a.2.audit"),
    ]
    assert rows[0].payload["data"]["acknowledged_by"] == "ada"


async def test_an_acknowledgement_of_an_incident_that_nobody_was_told_of_tells_nobody(database: AsyncEngine) -> None:
    """Its page is still held back."""
    await put(database, BASE)
    async with database.begin() as connection:
        await incidents.acknowledge(connection, "inc_a", by="ada", clock_us=T0, public_url="http://u")
    assert await outbox(database) == []


async def test_a_note_is_a_line_of_the_timeline(database: AsyncEngine) -> None:
    """Cut at a length that a page can show."""
    await put(database, BASE)
    async with database.begin() as connection:
        line = await incidents.note(connection, "inc_a", by="ada", words="x" * (incidents.LONGEST_NOTE + 1))
    assert line is not None
    assert (line.seq, line.type, line.author, line.at_us) == (2, "note", "ada", None)
    assert len(line.detail["text"]) == incidents.LONGEST_NOTE


async def test_lists_are_newest_first_and_go_on_behind_a_key(database: AsyncEngine) -> None:
    """Two of one time are told apart by name."""
    for number, (name, detected) in enumerate({"c": 1, "a": 2, "b": 2, "d": 3}.items()):
        await put(database, replace(BASE, id=name, detected_us=T0 + detected, series_id=number))
    async with database.begin() as connection:
        first = await incidents.listed(connection, limit=2)
        last = first[-1].incident
        rest = await incidents.listed(connection, after=(last.detected_us, last.id))
    assert [one.incident.id for one in (*first, *rest)] == ["d", "a", "b", "c"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": "open"}, ["b", "a"]),
        ({"state": "resolved"}, ["c"]),
        ({"agreement": "silver"}, ["b"]),
        ({"objective": "latency"}, ["c"]),
        ({"series_id": 8}, ["b"]),
        ({"agreement": "silver", "state": "resolved"}, []),
    ],
)
async def test_lists_are_filtered(database: AsyncEngine, wanted: dict[str, Any], found: list[str]) -> None:
    """Filters narrow each other."""
    await put(database, replace(BASE, id="a"))
    await put(database, replace(BASE, id="b", agreement="silver", series_id=8, detected_us=T0 + 100 * S))
    await put(database, replace(BASE, id="c", objective="latency", resolved_us=T0 + S), "resolved")
    async with database.begin() as connection:
        assert [one.incident.id for one in await incidents.listed(connection, **wanted)] == found


async def test_what_is_held_back_is_told_of_its_own_shard_only(database: AsyncEngine) -> None:
    """Each shard pages for itself."""
    await put(database, replace(BASE, id="held"), owed=1)
    await put(database, replace(BASE, id="raised"), announced="ticket", owed=1)
    await put(database, replace(BASE, id="told"), announced="ticket")
    await put(database, replace(BASE, id="over"), "resolved")
    await put(database, replace(BASE, id="other"), shard=2, owed=1)
    async with database.begin() as connection:
        assert await incidents.told(connection, 1, {"over"}, held=True) == {
            "held": Told("open", None, 1, owed=1),
            "raised": Told("open", "ticket", 1, owed=1),
            "over": Told("resolved", None, 1),
        }
        assert await incidents.told(connection, 1, set(), held=False) == {}
        assert await incidents.holds_back(connection, 1)
        assert not await incidents.holds_back(connection, 3)


async def test_a_tick_that_waits_for_a_note_adds_its_line_behind_it(database: AsyncEngine) -> None:
    """Somebody writes while the evaluator wants the incident's row: both lines are there, in order."""
    await put(database, BASE)

    async def tick() -> None:
        async with database.begin() as connection:
            told = await incidents.told(connection, 1, {"inc_a"}, held=False)
            line = NewEvent("inc_a", told["inc_a"].last_seq + 1, "resolved", T0 + S, {})
            await incidents.add_events(connection, [line])

    async with database.begin() as writing:
        await incidents.note(writing, "inc_a", by="ada", words="on it")
        ticking = asyncio.create_task(tick())
        await waiting_for_a_lock(database)
    await ticking

    async with database.begin() as connection:
        story = await incidents.one(connection, "inc_a")
    assert story is not None
    assert [(line.seq, line.type) for line in story.timeline] == [(1, "opened"), (2, "note"), (3, "resolved")]


async def waiting_for_a_lock(database: AsyncEngine) -> None:
    """Until a session of this database waits for one."""
    statement = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    async with asyncio.timeout(5):
        while True:
            async with database.begin() as connection:
                if (await connection.execute(statement)).first() is not None:
                    return


async def test_a_notification_is_never_written_twice(database: AsyncEngine) -> None:
    """The key is unique: the second transaction fails as a whole."""
    rows = outbox_rows("incident.opened", BASE, 1, clock_us=T0, public_url="http://u")
    async with database.begin() as connection:
        await incidents.send(connection, rows)
    with pytest.raises(Exception, match="uq_outbox"):
        async with database.begin() as connection:
            await incidents.send(connection, rows)
    assert len(await outbox(database)) == 2
