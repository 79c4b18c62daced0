"""Incidents as stored: what the fold found, what people did about it, and what was told to whom.

The evaluator writes within its tick's transaction; people acknowledge and write notes in transactions of their own.
Whoever adds an event locks the incident's row first, so that `seq` counts without holes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Text, bindparam, cast, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators.incidents import Incident
from service.storage.pages import OutboxRow, outbox_rows
from service.storage.tables import incident_events, incidents, outbox

State = Literal["open", "resolved", "withdrawn"]
LONGEST_NOTE: Final = 10_000

_INCIDENT_COLUMNS: Final = tuple(
    column for column in incidents.c if column.name not in {"recorded_at", "acknowledged_by", "acknowledged_at"}
)
_RECORD: Final = text(
    f"""
    INSERT INTO incidents ({", ".join(column.name for column in _INCIDENT_COLUMNS)})
    SELECT {", ".join("r." + column.name for column in _INCIDENT_COLUMNS)}
    FROM jsonb_populate_recordset(NULL::incidents, CAST(:rows AS jsonb)) AS r
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{c.name} = excluded.{c.name}" for c in _INCIDENT_COLUMNS[1:])}
    """  # noqa: S608 - column names of our own table
)


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident with what people did about it. `announced` is the severity last told to its targets, if any."""

    incident: Incident
    shard: int
    state: State
    announced: str | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One step of an incident. `at_us` is event time, None for what people did; `author` is who did it."""

    seq: int
    type: str
    at_us: int | None
    recorded_at: datetime
    author: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IncidentStory:
    """An incident and its timeline, oldest first."""

    record: StoredIncident
    timeline: tuple[TimelineEntry, ...]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A line to add to a timeline."""

    incident_id: str
    seq: int
    type: str
    at_us: int | None
    detail: Mapping[str, Any]
    author: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is stored of an incident: its state, its last event, and the severity that its targets were told last.

    `announced` None: they know nothing of it, or were told that it is over and it has begun anew while pages are held.
    `owed`: the event of its opening or growing graver while pages were held, which they are told of once pages are due.
    """

    state: State
    announced: str | None
    last_seq: int
    owed: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An incident as it is to be stored."""

    incident: Incident
    state: State
    announced: str | None
    owed: int | None = None


After = tuple[int, str]
"""Key of a list's last item: (detected_us, id)."""


async def listed(
    connection: AsyncConnection,
    *,
    state: State | None = None,
    agreement: str | None = None,
    objective: str | None = None,
    series_id: int | None = None,
    after: After | None = None,
    limit: int = 100,
) -> list[StoredIncident]:
    """Newest first by detection; `after` is the key of the last item that the caller has."""
    query = select(incidents).order_by(incidents.c.detected_us.desc(), incidents.c.id).limit(limit)
    wanted = {"state": state, "agreement": agreement, "objective": objective, "series_id": series_id}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(incidents.c[name] == value)
    if after is not None:
        detected_us, name = after
        behind = (incidents.c.detected_us == detected_us) & (incidents.c.id > name)
        query = query.where(or_(incidents.c.detected_us < detected_us, behind))
    return [_stored(row) for row in await connection.execute(query)]


async def one(connection: AsyncConnection, incident_id: str) -> IncidentStory | None:
    """An incident with its timeline; None: there is none of this name."""
    row = (await connection.execute(select(incidents).where(incidents.c.id == incident_id))).one_or_none()
    if row is None:
        return None
    events = incident_events
    lines = await connection.execute(select(events).where(events.c.incident_id == incident_id).order_by(events.c.seq))
    timeline = tuple(
        TimelineEntry(line.seq, line.type, line.at_us, line.recorded_at, line.author, line.detail) for line in lines
    )
    return IncidentStory(_stored(row), timeline)


async def acknowledge(
    connection: AsyncConnection, incident_id: str, *, by: str, clock_us: int, public_url: str
) -> StoredIncident | None:
    """Note who takes care, and tell the targets that know of it. A second acknowledgement keeps the first.

    None: there is no such incident. The caller commits.
    """
    row = (
        await connection.execute(select(incidents).where(incidents.c.id == incident_id).with_for_update())
    ).one_or_none()
    if row is None:
        return None
    if row.acknowledged_by is not None:
        return _stored(row)
    changed = (
        await connection.execute(
            update(incidents)
            .where(incidents.c.id == incident_id)
            .values(acknowledged_by=by, acknowledged_at=func.clock_timestamp())
            .returning(incidents)
        )
    ).one()
    stored = _stored(changed)
    seq = await _add_line(connection, incident_id, "acknowledged", by, {})
    if stored.announced is not None:
        rows = outbox_rows(
            "incident.acknowledged",
            stored.incident,
            seq,
            clock_us=clock_us,
            public_url=public_url,
            acknowledged_by=by,
        )
        await send(connection, rows)
    return stored


async def note(connection: AsyncConnection, incident_id: str, *, by: str, words: str) -> TimelineEntry | None:
    """Add what somebody wrote to the timeline, cut at LONGEST_NOTE. None: no such incident. The caller commits."""
    found = await connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id).with_for_update())
    if found.one_or_none() is None:
        return None
    seq = await _add_line(connection, incident_id, "note", by, {"text": words[:LONGEST_NOTE]})
    story = await one(connection, incident_id)
    assert story is not None
    return next(line for line in story.timeline if line.seq == seq)


async def told(connection: AsyncConnection, shard: int, changed: Collection[str], *, held: bool) -> dict[str, Told]:
    """What is stored of `changed` incidents, and with `held` of the shard's open ones whose targets are owed a page.

    Locks their rows until the transaction ends.
    """
    chosen = incidents.c.id == func.any(cast(bindparam("ids"), ARRAY(Text)))
    if held:
        owed = (incidents.c.state == "open") & incidents.c.owed.is_not(None)
        chosen |= owed & (incidents.c.shard == shard)
    query = (
        select(incidents.c.id, incidents.c.state, incidents.c.announced, incidents.c.owed)
        .where(chosen)
        .order_by(incidents.c.id)
        .with_for_update()
    )
    rows = (await connection.execute(query, {"ids": list(changed)})).all()
    last_seqs = await _last_seqs(connection, [row.id for row in rows])
    return {row.id: Told(row.state, row.announced, last_seqs.get(row.id, 0), row.owed) for row in rows}


async def _last_seqs(connection: AsyncConnection, locked: Collection[str]) -> dict[str, int]:
    """The last event of each incident whose row the caller holds the lock on.

    A statement of its own: one that waits for the lock sees the timeline as it was before the wait.
    """
    if not locked:
        return {}
    events = incident_events.c
    chosen = events.incident_id == func.any(cast(bindparam("ids"), ARRAY(Text)))
    query = select(events.incident_id, func.max(events.seq).label("seq")).where(chosen).group_by(events.incident_id)
    return {row.incident_id: row.seq for row in await connection.execute(query, {"ids": list(locked)})}


async def holds_back(connection: AsyncConnection, shard: int) -> bool:
    """Whether the shard has open incidents whose targets are owed a page."""
    owed = incidents.c.owed.is_not(None)
    query = select(incidents.c.id).where(incidents.c.shard == shard, incidents.c.state == "open", owed)
    return (await connection.execute(query.limit(1))).first() is not None


async def record(connection: AsyncConnection, shard: int, found: Sequence[Recorded]) -> None:
    """Insert or replace incidents; what people did about them stays."""
    if found:
        rows = [_row(one_found, shard) for one_found in found]
        await connection.execute(_RECORD, {"rows": msgspec.json.encode(rows).decode()})


async def add_events(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Add lines to timelines."""
    if events:
        await connection.execute(insert(incident_events), [_line(event) for event in events])


async def send(connection: AsyncConnection, rows: Sequence[OutboxRow]) -> None:
    """Put notifications into the outbox and wake delivery at commit."""
    if rows:
        await connection.execute(
            insert(outbox),
            [
                {
                    "idempotency_key": row.idempotency_key,
                    "incident_id": row.incident_id,
                    "type": row.type,
                    "severity": row.severity,
                    "target": row.target,
                    "payload": dict(row.payload),
                }
                for row in rows
            ],
        )
        await connection.execute(text("SELECT pg_notify('upheld_outbox', '')"))


async def _add_line(
    connection: AsyncConnection, incident_id: str, type_: str, by: str, detail: Mapping[str, Any]
) -> int:
    """The caller holds the lock on the incident."""
    query = select(func.coalesce(func.max(incident_events.c.seq), 0))
    last: int = (await connection.execute(query.where(incident_events.c.incident_id == incident_id))).scalar_one()
    await add_events(connection, [NewEvent(incident_id, last + 1, type_, None, detail, by)])
    return last + 1


def _line(event: NewEvent) -> dict[str, Any]:
    return {
        "incident_id": event.incident_id,
        "seq": event.seq,
        "type": event.type,
        "at_us": event.at_us,
        "author": event.author,
        "detail": dict(event.detail),
    }


def _row(found: Recorded, shard: int) -> dict[str, Any]:
    incident = found.incident
    return {
        "id": incident.id,
        "shard": shard,
        "series_id": incident.series_id,
        "agreement": incident.agreement,
        "objective": incident.objective,
        "service": incident.service,
        "labels": dict(incident.labels),
        "severity": incident.severity,
        "state": found.state,
        "started_us": incident.started_us,
        "detected_us": incident.detected_us,
        "resolved_us": incident.resolved_us,
        "reason": incident.reason,
        "condition": dict(incident.condition),
        "burn_rates": dict(incident.burn_rates),
        "budget_remaining": incident.budget_remaining,
        "exhausted_us": incident.exhausted_us,
        "runbook": incident.runbook,
        "partial": incident.partial,
        "notify": list(incident.notify),
        "announced": found.announced,
        "owed": found.owed,
    }


def _stored(row: Row[Any]) -> StoredIncident:
    incident = Incident(
        id=row.id,
        series_id=row.series_id,
        agreement=row.agreement,
        objective=row.objective,
        service=row.service,
        labels=tuple(row.labels.items()),
        severity=row.severity,
        started_us=row.started_us,
        detected_us=row.detected_us,
        resolved_us=row.resolved_us,
        reason=row.reason,
        condition=row.condition,
        burn_rates=row.burn_rates,
        budget_remaining=row.budget_remaining,
        exhausted_us=row.exhausted_us,
        runbook=row.runbook,
        partial=row.partial,
        notify=tuple(row.notify),
    )
    return StoredIncident(
        incident, row.shard, row.state, row.announced, row.acknowledged_by, row.acknowledged_at, row.recorded_at
    )
