"""The pages' ports on made-up data."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evaluators import durations
from evaluators.agreements import (
    CalendarPeriod,
    Minimum,
)
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.standings import DataState, SeriesIdentity, Standing
from service.errors import DependencyAway
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
from tests.service.web.catalogue import (
    CONDITIONS,
    HOSTILE,
    HOSTILE_REASON,
    NOW,
    TOKEN,
    Shape,
    catalogue,
    incidents_of,
    standing_of,
)

__all__ = ["HOSTILE", "HOSTILE_REASON", "NOW", "TOKEN", "MadeUpData", "MadeUpInbox", "MadeUpPage", "inbox_of"]


@dataclass
class MadeUpData:
    """Implements `service.web.ports.PageData` and `Acknowledger`; `away` makes every read fail."""

    token: str | None = None
    away: bool = False
    blind: str | None = None
    empty: bool = False
    not_seen: list[Unseen] = field(default_factory=list)
    applied: list[AppliedAgreement] = field(default_factory=list)
    rows: list[Standing] = field(default_factory=list)
    records: list[IncidentRecord] = field(default_factory=list)
    shapes: dict[int, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        series = 0
        if self.empty:
            return
        for agreement, shapes in catalogue():
            self.applied.append(AppliedAgreement(agreement, 3, NOW - 40 * DAY))
            for objective, groups in zip(agreement.objectives, shapes, strict=True):
                kind = "calendar" if isinstance(objective.period, CalendarPeriod) else "rolling"
                period = (NOW - 22 * DAY, NOW + 8 * DAY) if kind == "calendar" else (NOW - 30 * DAY, NOW)
                for shape in groups:
                    series += 1
                    identity = SeriesIdentity(
                        series,
                        agreement.name,
                        objective.name,
                        objective.service,
                        shape.labels,
                        3,
                        objective.target,
                        kind,
                        objective.runbook,
                    )
                    self.shapes[series] = shape
                    self.rows.append(standing_of(identity, shape, period))
        self.records = incidents_of(self.rows)

    @property
    def asks_for_token(self) -> bool:
        return self.token is not None

    async def standings(self) -> StandingsNow:
        self._check()
        return StandingsNow(self.rows, NOW if self.rows else None, self.blind)

    async def agreements(self) -> Sequence[AppliedAgreement]:
        self._check()
        return self.applied

    async def promise(self, agreement: str, objective: str) -> Promise | None:
        self._check()
        for applied in self.applied:
            for one in applied.agreement.objectives:
                if (applied.agreement.name, one.name) == (agreement, objective):
                    return Promise(applied, one, CONDITIONS, Minimum())
        return None

    async def unseen(self, from_us: int, to_us: int) -> Sequence[Unseen]:
        self._check()
        return [span for span in self.not_seen if span.to_us > from_us and (span.from_us or 0) < to_us]

    async def history(self, series_id: int, from_us: int, to_us: int, step_us: int) -> Sequence[HistoryPoint]:
        self._check()
        row = next(row for row in self.rows if row.identity.series_id == series_id)
        shape, budget = self.shapes[series_id], 1 - row.identity.target
        spans = [
            (one.incident.started_us, one.incident.resolved_us or NOW)
            for one in self.records
            if one.incident.series_id == series_id
        ]
        chance = random.Random(series_id * 7919 + step_us)
        points: list[HistoryPoint] = []
        for us in range(from_us, min(to_us, NOW), step_us):
            if shape.data is DataState.SILENT and us > NOW - 2 * HOUR:
                points.append(HistoryPoint(us, 0, 0, shape.left))
                continue
            daily = 1 + 0.6 * math.sin((us % DAY) / DAY * 2 * math.pi - 2)
            total = round(shape.rate * step_us / SECOND * daily * chance.uniform(0.9, 1.1))
            hurt = sum(max(0, min(end, us + step_us) - max(start, us)) for start, end in spans) / step_us
            bad = min(total, round(total * (budget * 0.35 * chance.uniform(0.2, 1.6) + hurt * budget * 40)))
            age = (NOW - us) / (30 * DAY)
            left = (
                None
                if shape.left is None
                else min(1.0, shape.left + age * (0.95 - shape.left) + 0.02 * math.sin(us / DAY * 2e6))
            )
            for start, _ in spans:
                if left is not None and us < start:
                    left = min(1.0, left + 0.06)
            points.append(HistoryPoint(us, total - bad, total, left))
        return points

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
        self._check()
        found = [
            one
            for one in self.records
            if (state is None or one.state == state)
            and (agreement is None or one.incident.agreement == agreement)
            and (objective is None or one.incident.objective == objective)
            and (series_id is None or one.incident.series_id == series_id)
        ]
        start = int(cursor) if cursor and cursor.isdecimal() else 0
        after = start + limit
        return IncidentList(found[start:after], str(after) if after < len(found) else None)

    async def incident(self, incident_id: str) -> IncidentStory | None:
        self._check()
        for record in self.records:
            if record.incident.id == incident_id:
                return IncidentStory(record, _timeline(record))
        return None

    async def acknowledge(self, incident_id: str, caller: Caller) -> Acknowledged | Refused | Unknown:
        if self.token is not None and caller.token != self.token:
            return Refused("This token may not acknowledge; it needs the role oncall.", needs_token=True)
        for place, record in enumerate(self.records):
            if record.incident.id == incident_id:
                name = record.acknowledged_by or "mira"
                self.records[place] = replace(
                    record, acknowledged_by=name, acknowledged_us=record.acknowledged_us or NOW
                )
                return Acknowledged(name)
        return Unknown()

    def _check(self) -> None:
        if self.away:
            raise DependencyAway("the database at 10.0.0.7 does not answer")


def _timeline(record: IncidentRecord) -> list[TimelineEntry]:
    incident = record.incident
    entries = [TimelineEntry("opened", incident.detected_us, None, incident.reason)]
    if record.acknowledged_by:
        entries.append(TimelineEntry("acknowledged", record.acknowledged_us or NOW, record.acknowledged_by))
    if incident.severity == "page":
        entries.append(TimelineEntry("escalated", incident.detected_us + 3 * MINUTE, None, "from ticket to page"))
    if incident.resolved_us is not None:
        entries.append(TimelineEntry("note", incident.resolved_us - MINUTE, "mira", f"rolled back {HOSTILE}"))
        entries.append(TimelineEntry("withdrawn" if record.state == "withdrawn" else "resolved", incident.resolved_us))
    return sorted(entries, key=lambda entry: entry.at_us)


@dataclass(frozen=True)
class MadeUpPage:
    """Implements `service.web.ports.ReceivedPage`."""

    id: str
    received_us: int
    verified: bool
    type: str
    data: dict[str, object]
    deliveries: int = 1


@dataclass
class MadeUpInbox:
    """Implements `service.web.ports.PageInbox`."""

    pages: list[MadeUpPage] = field(default_factory=list)

    def received(self) -> list[MadeUpPage]:
        return self.pages


def inbox_of(data: MadeUpData) -> MadeUpInbox:
    """Pages of the first incidents, and one that is no page of ours."""
    pages = [
        MadeUpPage(
            f"{one.incident.id}.1.oncall",
            one.incident.detected_us + 1_400_000,
            True,  # noqa: FBT003
            "incident.opened" if one.state == "open" else "incident.resolved",
            {
                "id": one.incident.id,
                "severity": one.incident.severity,
                "agreement": one.incident.agreement,
                "objective": one.incident.objective,
                "group": dict(one.incident.labels),
                "reason": one.incident.reason,
            },
            2 if place == 1 else 1,
        )
        for place, one in enumerate(data.records[:6])
    ]
    return MadeUpInbox(
        [
            *pages,
            MadeUpPage(
                "x", NOW - durations.HOUR, verified=True, type="None", data={"group": ["odd"], "severity": HOSTILE}
            ),
        ]
    )
