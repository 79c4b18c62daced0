"""What the pages need to know: read models of standings, promises, history and incidents, and one action.

All times are int microseconds since the epoch. Every method may raise `service.errors.DependencyAway`, which becomes a
calm page that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from starlette.requests import HTTPConnection

from evaluators.agreements import Agreement, Condition, Minimum, Objective
from evaluators.incidents import Incident
from evaluators.standings import Standing

IncidentState = Literal["open", "resolved", "withdrawn"]


@dataclass(frozen=True, slots=True)
class StandingsNow:
    """Every objective and group at the last tick. `as_of_us` None: nothing was ever evaluated.

    `blind` says in words why we cannot see, while we cannot.
    """

    rows: Sequence[Standing]
    as_of_us: int | None
    blind: str | None = None


@dataclass(frozen=True, slots=True)
class AppliedAgreement:
    """The newest version of an agreement."""

    agreement: Agreement
    version: int
    in_force_from_us: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One objective with what surrounds it: its agreement, and the alert conditions in force."""

    applied: AppliedAgreement
    objective: Objective
    conditions: tuple[Condition, ...]
    minimum: Minimum


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One step. Counts are contractual and of this step alone; the budget is that of the period ending with it."""

    time_us: int
    good: int
    total: int
    budget_remaining: float | None


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """An incident as stored, with what people did about it."""

    incident: Incident
    state: IncidentState
    acknowledged_by: str | None = None
    acknowledged_us: int | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of an incident's story. `at_us` is event time for what the fold found, clock for what people did."""

    type: str
    at_us: int
    author: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentStory:
    """One incident with its timeline, oldest first."""

    record: IncidentRecord
    timeline: Sequence[TimelineEntry]


@dataclass(frozen=True, slots=True)
class IncidentList:
    """One page of incidents, newest first. `next` is a cursor, None at the end."""

    items: Sequence[IncidentRecord]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """Time of which some records were gone before they were read, and which. `from_us` None: from the beginning."""

    from_us: int | None
    to_us: int
    words: str


class PageData(Protocol):
    """Everything that the pages read."""

    async def standings(self) -> StandingsNow: ...

    async def agreements(self) -> Sequence[AppliedAgreement]:
        """The newest version of each agreement, by name."""
        ...

    async def promise(self, agreement: str, objective: str) -> Promise | None: ...

    async def history(self, series_id: int, from_us: int, to_us: int, step_us: int) -> Sequence[HistoryPoint]:
        """Steps that cover [from, to), in order, those without samples too. `from_us` is a multiple of `step_us`."""
        ...

    async def unseen(self, from_us: int, to_us: int) -> Sequence[Unseen]:
        """What ingest never read of [from, to)."""
        ...

    async def incidents(
        self,
        *,
        state: IncidentState | None = None,
        agreement: str | None = None,
        objective: str | None = None,
        series_id: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> IncidentList: ...

    async def incident(self, incident_id: str) -> IncidentStory | None: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a change: the token typed into the form, if any, and the connection that it came by."""

    token: str | None
    connection: HTTPConnection


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """It is noted; repeated acknowledgements keep the first."""

    by: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not allowed, with the reason in words. `needs_token`: another token may be."""

    reason: str
    needs_token: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such incident."""


class Acknowledger(Protocol):
    """The one thing that a page changes; the same rules as the API's call."""

    @property
    def asks_for_token(self) -> bool:
        """Whether tokens are configured, so that the form has a field for one."""
        ...

    async def acknowledge(self, incident_id: str, caller: Caller) -> Acknowledged | Refused | Unknown: ...


class ReceivedPage(Protocol):
    """One notification that the demo's webhook receiver took."""

    @property
    def id(self) -> str: ...
    @property
    def received_us(self) -> int: ...
    @property
    def verified(self) -> bool: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def deliveries(self) -> int: ...


class PageInbox(Protocol):
    """The demo's webhook receiver, as far as it is shown."""

    def received(self) -> Sequence[ReceivedPage]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Pages:
    """What the routes work with; `inbox` None: there is none, and no page for it."""

    data: PageData
    acknowledger: Acknowledger
    clock: Callable[[], int]
    inbox: PageInbox | None = None
    version: str = field(default="")
