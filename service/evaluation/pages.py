"""Which incident changes page whom. Pure: what is stored and what changed go in; events and outbox rows come out.

The decision looks at an incident before and after a commit, not at each step between: what opened and resolved within
one commit (or while a catch-up held pages back) pages nobody, and a raise between the two ends pages once. A raise is
whatever the fold calls escalated: a graver severity, a promise that is now broken, an outage that comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evaluators.incidents import Incident, IncidentChange
from service.storage.incidents import NewEvent, Recorded, State, Told
from service.storage.pages import OutboxRow, PageType, outbox_rows

_RANK: Final = {"ticket": 0, "page": 1}


@dataclass(frozen=True, slots=True)
class Paging:
    """What a commit writes about incidents. `held`: pages of open incidents are still held back."""

    incidents: tuple[Recorded, ...] = ()
    events: tuple[NewEvent, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    held: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Announcer:
    """The rule for one commit. `due`: the watermark is near enough to the clock for pages."""

    due: bool
    clock_us: int
    public_url: str

    def record(
        self, changes: Sequence[IncidentChange], stored: Mapping[str, Told], open_incidents: Iterable[Incident]
    ) -> Paging:
        """`stored` holds every incident that changed or that is open and owed a page, where it is stored at all;
        `open_incidents` are those open after the changes.
        """
        events, last_seq = _events(changes, stored)
        after: dict[str, tuple[Incident, State]] = {
            change.incident.id: (change.incident, _state_after(change)) for change in changes
        }
        for incident in open_incidents:
            if incident.id in stored and stored[incident.id].owed is not None:
                after.setdefault(incident.id, (incident, "open"))
        escalated = {change.incident.id for change in changes if change.kind == "escalated"}
        recorded: list[Recorded] = []
        outbox: list[OutboxRow] = []
        for incident, state in after.values():
            before = stored.get(incident.id)
            type_, announced, owed = self.decide(before, incident.severity, state, escalated=incident.id in escalated)
            # A line that was not told of has an unused key; the last line may be an acknowledgement, which was told.
            line = last_seq.get(incident.id) or (before.owed if before else None) or 0
            recorded.append(Recorded(incident, state, announced, line if owed else None))
            if type_ is not None:
                outbox += self._rows(type_, incident, line)
        held = any(record.owed is not None for record in recorded)
        return Paging(tuple(recorded), events, tuple(outbox), held)

    def decide(
        self, before: Told | None, severity: str, state: State, *, escalated: bool
    ) -> tuple[PageType | None, str | None, bool]:
        """What to tell the targets of an incident that is now in `state`; what they have then been told last; and
        whether they are owed a page that is held back. Every rise ends at a page: one that is a ticket was taken back.
        """
        announced = before.announced if before else None
        if announced is None or before is None:
            return self._when_due("incident.opened", severity, None) if state == "open" else (None, None, False)
        if state == "open" and before.state != "open":
            return self._when_due("incident.opened", severity, None)
        if state == "open":
            rises = escalated or before.owed is not None
            raised = _RANK[severity] > _RANK[announced] or (rises and severity == "page")
            return self._when_due("incident.escalated", severity, announced) if raised else (None, announced, False)
        if state == "resolved" and before.state == "withdrawn":
            return None, None, False  # it came back and went between two commits: for the targets it stays withdrawn
        if state == before.state:
            return None, announced, False
        return ("incident.resolved" if state == "resolved" else "incident.withdrawn"), announced, False

    def _when_due(self, type_: PageType, severity: str, known: str | None) -> tuple[PageType | None, str | None, bool]:
        return (type_, severity, False) if self.due else (None, known, True)

    def _rows(self, type_: PageType, incident: Incident, seq: int) -> tuple[OutboxRow, ...]:
        return outbox_rows(type_, incident, seq, clock_us=self.clock_us, public_url=self.public_url)


def _events(
    changes: Sequence[IncidentChange], stored: Mapping[str, Told]
) -> tuple[tuple[NewEvent, ...], dict[str, int]]:
    """A line per change, numbered on from what is stored; and the last number of each incident that changed."""
    last_seq: dict[str, int] = {}
    events: list[NewEvent] = []
    for change in changes:
        name = change.incident.id
        before = stored.get(name)
        last_seq[name] = last_seq.get(name, before.last_seq if before else 0) + 1
        events.append(NewEvent(name, last_seq[name], change.kind, change.at_us, _detail(change.incident)))
    return tuple(events), last_seq


def _detail(incident: Incident) -> dict[str, Any]:
    return {
        "severity": incident.severity,
        "reason": incident.reason,
        "started_us": incident.started_us,
        "resolved_us": incident.resolved_us,
        "partial": incident.partial,
    }


def _state_after(change: IncidentChange) -> State:
    if change.kind == "withdrawn":
        return "withdrawn"
    return "open" if change.incident.resolved_us is None else "resolved"
