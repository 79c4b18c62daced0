"""GET /incidents, /incidents/{id}, /alerts; POST /incidents/{id}/ack and /notes."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.access import requires
from service.api.incidents.models import IncidentDetail, IncidentItem, NewNote, StateFilter
from service.api.listing import DEFAULT_LIMIT, Cursor, Limit, Page, cursor_of, key_of
from service.api.problems import Problem, not_found
from service.api.session import Deps, Transaction
from service.api.tokens import Principal, Role
from service.storage import incidents as store

router = APIRouter(tags=["incidents"])

OnCall = Annotated[Principal, Depends(requires(Role.ONCALL))]
_WAKE: Final = text("SELECT pg_notify('upheld_standings', '')")


@router.get("/incidents", summary="Incidents, newest first")
async def list_incidents(
    connection: Transaction,
    deps: Deps,
    state: StateFilter | None = None,
    agreement: str | None = None,
    objective: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[IncidentItem]:
    """In the order of their detection. Withdrawn ones are those that late data took back."""
    return await _listed(
        connection, deps.public_url, limit, cursor, state=state, agreement=agreement, objective=objective
    )


@router.get("/alerts", summary="Incidents that are open")
async def list_alerts(
    connection: Transaction,
    deps: Deps,
    agreement: str | None = None,
    objective: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[IncidentItem]:
    """The same as `/incidents?state=open`."""
    return await _listed(
        connection, deps.public_url, limit, cursor, state="open", agreement=agreement, objective=objective
    )


@router.get("/incidents/{incident_id}", summary="One incident with its timeline")
async def get_incident(connection: Transaction, deps: Deps, incident_id: str) -> IncidentDetail:
    """Steps found in the data carry event time; what people did carries their name."""
    return await _told(connection, deps.public_url, incident_id)


@router.post("/incidents/{incident_id}/ack", summary="Say that you take care of it")
async def acknowledge(connection: Transaction, deps: Deps, incident_id: str, who: OnCall) -> IncidentDetail:
    """Needs the role `oncall`. Again changes nothing: the first who said so stays. Targets that were paged are told."""
    found = await store.acknowledge(
        connection, incident_id, by=who.name, clock_us=deps.clock(), public_url=deps.public_url
    )
    if found is None:
        raise not_found(f"incident {incident_id!r}")
    await connection.execute(_WAKE)
    return await _told(connection, deps.public_url, incident_id)


@router.post("/incidents/{incident_id}/notes", status_code=201, summary="Write a note into the timeline")
async def write_note(
    connection: Transaction, deps: Deps, incident_id: str, note: NewNote, who: OnCall
) -> IncidentDetail:
    """Needs the role `oncall`."""
    if await store.note(connection, incident_id, by=who.name, words=note.text) is None:
        raise not_found(f"incident {incident_id!r}")
    return await _told(connection, deps.public_url, incident_id)


async def _told(connection: AsyncConnection, public_url: str, incident_id: str) -> IncidentDetail:
    story = await store.one(connection, incident_id)
    if story is None:
        raise not_found(f"incident {incident_id!r}")
    return IncidentDetail.told(story, public_url)


async def _listed(
    connection: AsyncConnection, public_url: str, limit: int, cursor: str | None, **wanted: str | None
) -> Page[IncidentItem]:
    after = key_of(cursor, store.After) if cursor else None
    if after is not None and not -(1 << 63) <= after[0] < 1 << 63:
        raise Problem(422, "The cursor is of no list of ours.")
    found = await store.listed(connection, after=after, limit=limit + 1, **wanted)  # pyright: ignore[reportArgumentType] - the route's type is the state's
    items = [IncidentItem.of(one, public_url) for one in found[:limit]]
    last = found[limit - 1].incident if len(found) > limit else None
    return Page[IncidentItem](items=items, next=cursor_of((last.detected_us, last.id)) if last else None)
