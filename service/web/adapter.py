"""Where the pages meet the stores: their ports on Postgres, by the same rules as the API's calls."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from evaluators import calendars, policies
from evaluators.agreements import Agreement, Objective
from evaluators.standings import Standing
from service.api.access import LOCAL, Access
from service.api.ports import ApiDependencies
from service.api.problems import Problem
from service.api.tokens import Principal, Role
from service.storage import blind_spans, incidents
from service.storage.database import reaching
from service.storage.definitions import DefinitionsStore
from service.storage.documents import StoredDocument
from service.storage.history import HistoryStore, UnknownSeries
from service.storage.standings import Standings, StandingsStore
from service.web.ports import (
    Acknowledged,
    AppliedAgreement,
    Caller,
    HistoryPoint,
    IncidentList,
    IncidentRecord,
    IncidentState,
    IncidentStory,
    Promise,
    Refused,
    StandingsNow,
    TimelineEntry,
    Unknown,
    Unseen,
)

MANY_ROWS: Final = 500
"""More are turned into values on a thread, so that the event loop goes on."""
_SLOT: Final = text("SELECT slot_us FROM installation")
_WAKE: Final = text("SELECT pg_notify('upheld_standings', '')")


class StoredPageData:
    """Implements `service.web.ports.PageData`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._standings = StandingsStore()
        self._definitions = DefinitionsStore(engine)
        self._history = HistoryStore(engine)
        self._rows: tuple[object, list[Standing]] = ((), [])

    async def standings(self) -> StandingsNow:
        async with self._reading() as connection:
            found = await self._standings.current(connection)
        return StandingsNow(await self._values(found), found.latest_us, "; ".join(found.blind) or None)

    async def agreements(self) -> Sequence[AppliedAgreement]:
        found = (_applied(stored) for stored in await self._definitions.agreements())
        return [applied for applied in found if applied is not None]

    async def promise(self, agreement: str, objective: str) -> Promise | None:
        applied = next((one for one in await self.agreements() if one.agreement.name == agreement), None)
        found = _objective(applied.agreement, objective) if applied else None
        if applied is None or found is None:
            return None
        known = await self._definitions.policies()
        async with self._reading() as connection:
            slot_us: int = (await connection.execute(_SLOT)).scalar_one()
        period_us = calendars.nominal_length(found.period)
        policy, _ = policies.resolve(found, known, period_us, slot_us=slot_us, notify=applied.agreement.notify)
        return Promise(applied, found, policy.conditions, policy.minimum)

    async def history(self, series_id: int, from_us: int, to_us: int, step_us: int) -> Sequence[HistoryPoint]:
        try:
            found = await self._history.load(series_id, from_us, to_us, step_us)
        except UnknownSeries:  # its agreement is gone; what is left of it still has a page
            return []
        counts = found.contractual
        columns = (
            found.time_us.tolist(),
            counts.good.tolist(),
            counts.total.tolist(),
            counts.budget_remaining.tolist(),
        )
        return [
            HistoryPoint(time_us, good, total, None if math.isnan(left) else left)
            for time_us, good, total, left in zip(*columns, strict=True)
        ]

    async def unseen(self, from_us: int, to_us: int) -> Sequence[Unseen]:
        async with self._reading() as connection:
            found = await blind_spans.between(connection, from_us, to_us)
        return [Unseen(span.from_us, span.until_us, span.words) for span in found]

    async def incidents(
        self,
        *,
        state: IncidentState | None = None,
        agreement: str | None = None,
        objective: str | None = None,
        series_id: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> IncidentList:
        async with self._reading() as connection:
            found = await incidents.listed(
                connection,
                state=state,
                agreement=agreement,
                objective=objective,
                series_id=series_id,
                after=_after(cursor),
                limit=limit + 1,
            )
        last = found[limit - 1].incident if len(found) > limit else None
        return IncidentList(
            [_record(one) for one in found[:limit]], _cursor(last.detected_us, last.id) if last else None
        )

    async def incident(self, incident_id: str) -> IncidentStory | None:
        async with self._reading() as connection:
            story = await incidents.one(connection, incident_id)
        if story is None:
            return None
        return IncidentStory(_record(story.record), [_line(entry) for entry in story.timeline])

    async def _values(self, found: Standings) -> list[Standing]:
        """All rows as values; worked out once a tick."""
        known, rows = self._rows
        if known != found.version:
            rows = await asyncio.to_thread(found.all) if len(found) > MANY_ROWS else found.all()
            self._rows = (found.version, rows)
        return rows

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[AsyncConnection]:
        with reaching():
            async with self._engine.begin() as connection:
                yield connection


class StoredAcknowledger:
    """Implements `service.web.ports.Acknowledger` by the rules of the API's call."""

    def __init__(self, dependencies: ApiDependencies, access: Access) -> None:
        self._dependencies = dependencies
        self._access = access

    @property
    def asks_for_token(self) -> bool:
        return self._access.tokens is not None

    async def acknowledge(self, incident_id: str, caller: Caller) -> Acknowledged | Refused | Unknown:
        try:
            who = self._who(caller)
        except Problem as problem:
            return Refused(str(problem.detail), needs_token=self.asks_for_token)
        with reaching():
            async with self._dependencies.engine.begin() as connection:
                done = await incidents.acknowledge(
                    connection,
                    incident_id,
                    by=who.name,
                    clock_us=self._dependencies.clock(),
                    public_url=self._dependencies.public_url,
                )
                if done is None:
                    return Unknown()
                await connection.execute(_WAKE)
        return Acknowledged(done.acknowledged_by or who.name)

    def _who(self, caller: Caller) -> Principal:
        """Raises Problem."""
        tokens = self._access.tokens
        if tokens is None:
            return self._access.writer(caller.connection, Role.ONCALL)
        return self._access.holder(tokens, caller.token, Role.ONCALL)


def _applied(stored: StoredDocument) -> AppliedAgreement | None:
    document = stored.document
    return (
        AppliedAgreement(document, stored.version, stored.in_force_from_us) if isinstance(document, Agreement) else None
    )


def _objective(agreement: Agreement, name: str) -> Objective | None:
    return next((one for one in agreement.objectives if one.name == name), None)


def _record(stored: incidents.StoredIncident) -> IncidentRecord:
    at = stored.acknowledged_at
    return IncidentRecord(
        stored.incident, stored.state, _named(stored.acknowledged_by), None if at is None else _us(at)
    )


def _line(entry: incidents.TimelineEntry) -> TimelineEntry:
    at_us = entry.at_us if entry.at_us is not None else _us(entry.recorded_at)
    return TimelineEntry(entry.type, at_us, _named(entry.author), _words(entry.detail))


def _named(author: str | None) -> str | None:
    """Who writes without a token has no name."""
    return "somebody on this machine" if author == LOCAL.name else author


def _words(detail: Mapping[str, Any]) -> str | None:
    """What a step says for itself: a note's text, or the reason."""
    said = detail.get("text") or detail.get("reason")
    return str(said) if said else None


def _us(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _cursor(detected_us: int, incident_id: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((detected_us, incident_id))).decode().rstrip("=")


def _after(cursor: str | None) -> incidents.After | None:
    """The key in a cursor; one that is none of ours starts at the beginning."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.urlsafe_b64decode(padded.encode("ascii")), type=tuple[int, str])
    except (binascii.Error, ValueError, RecursionError):
        return None
    return key if -(1 << 63) <= key[0] < 1 << 63 and "\0" not in key[1] else None
