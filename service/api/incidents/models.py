"""An incident as it goes over the wire: the page's `data`, and what people did."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluators.incidents import Severity
from service.api.times import moment, rfc3339_or_none
from service.storage.incidents import LONGEST_NOTE, IncidentStory, State, StoredIncident, TimelineEntry
from service.storage.pages import page_data

CORE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "inc_o5gh3c7zkq2yd4vb",
    "severity": "page",
    "agreement": "checkout-gold",
    "objective": "availability",
    "service": "checkout",
    "group": {"region": "eu"},
    "started_at": "2026-11-23T15:40:10Z",
    "detected_at": "2026-11-23T15:41:20Z",
    "resolved_at": None,
    "reason": "burning 14.9x over 1h and 16.2x over 5m (contractual); budget gone in 14 h 30 min at this rate",
    "condition": {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"},
    "burn_rates": {"1h": 14.9, "5m": 16.2},
    "budget_remaining": 0.298,
    "exhausted_at": "2026-11-24T06:10:00Z",
    "runbook": "https://runbooks.example.com/checkout",
    "url": "https://upheld.example.com/incidents/inc_o5gh3c7zkq2yd4vb",
}
ITEM_EXAMPLE: Final[dict[str, Any]] = CORE_EXAMPLE | {
    "state": "open",
    "partial": False,
    "acknowledged_by": "alice",
    "acknowledged_at": "2026-11-23T15:43:02Z",
}
TIMELINE_EXAMPLE: Final[list[dict[str, Any]]] = [
    {
        "seq": 1,
        "type": "opened",
        "at": "2026-11-23T15:41:20Z",
        "recorded_at": "2026-11-23T15:41:27Z",
        "author": None,
        "detail": {"severity": "page"},
    },
    {
        "seq": 2,
        "type": "acknowledged",
        "at": None,
        "recorded_at": "2026-11-23T15:43:02Z",
        "author": "alice",
        "detail": {},
    },
]


DETAIL_EXAMPLE: Final[dict[str, Any]] = ITEM_EXAMPLE | {"timeline": TIMELINE_EXAMPLE}


class IncidentCore(BaseModel):
    """What a webhook receives as `data`."""

    model_config = ConfigDict(json_schema_extra={"examples": [CORE_EXAMPLE]})

    id: str
    severity: Severity
    agreement: str
    objective: str
    service: str | None
    group: dict[str, str]
    started_at: str = Field(description="Start of the first bad slot that mattered, event time.")
    detected_at: str = Field(description="When a condition held first, event time.")
    resolved_at: str | None
    reason: str
    condition: dict[str, Any]
    burn_rates: dict[str, float | None]
    budget_remaining: float | None
    exhausted_at: str | None
    runbook: str | None
    url: str


class IncidentItem(IncidentCore):
    """An incident in a list."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    state: State
    partial: bool = Field(description="A part of the input could not be seen when it was detected.")
    acknowledged_by: str | None
    acknowledged_at: str | None

    @classmethod
    def of(cls, stored: StoredIncident, public_url: str) -> IncidentItem:
        """The item of a stored incident."""
        return cls.model_validate(fields(stored, public_url))


class TimelineItem(BaseModel):
    """One step: found in the data (`at`, event time), or done by somebody (`author`)."""

    seq: int
    type: str = Field(description="opened, escalated, acknowledged, resolved, withdrawn, amended or note.")
    at: str | None
    recorded_at: str
    author: str | None
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> TimelineItem:
        """The item of a stored step."""
        return cls(
            seq=entry.seq,
            type=entry.type,
            at=rfc3339_or_none(entry.at_us),
            recorded_at=moment(entry.recorded_at),
            author=entry.author,
            detail=_readable(entry.detail),
        )


class IncidentDetail(IncidentItem):
    """An incident with its timeline, oldest step first."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL_EXAMPLE]})

    timeline: list[TimelineItem]

    @classmethod
    def told(cls, story: IncidentStory, public_url: str) -> IncidentDetail:
        """The incident of a story."""
        timeline = [TimelineItem.of(entry).model_dump() for entry in story.timeline]
        return cls.model_validate({**fields(story.record, public_url), "timeline": timeline})


class IncidentEvent(BaseModel):
    """A step in an incident's life, in the shape of a page."""

    type: str = Field(examples=["incident.opened"])
    timestamp: str
    data: IncidentItem


class NewNote(BaseModel):
    """What somebody wants to say about an incident."""

    model_config = ConfigDict(
        extra="forbid",
        str_strip_whitespace=True,
        json_schema_extra={"examples": [{"text": "Rolled back release 4211; errors are falling."}]},
    )

    text: str = Field(min_length=1, max_length=LONGEST_NOTE, pattern=r"^[^\x00]*$")


def fields(stored: StoredIncident, public_url: str) -> dict[str, Any]:
    """The fields of an item: the page's `data` first, as every receiver has it."""
    return {
        **page_data(stored.incident, public_url),
        "state": stored.state,
        "partial": stored.incident.partial,
        "acknowledged_by": stored.acknowledged_by,
        "acknowledged_at": None if stored.acknowledged_at is None else moment(stored.acknowledged_at),
    }


StateFilter = Literal["open", "resolved", "withdrawn"]


def _readable(detail: Any) -> dict[str, Any]:
    """Times within a step's detail as text, under the names that times have elsewhere."""
    return {
        (key.removesuffix("_us") + "_at" if key.endswith("_us") else key): (
            rfc3339_or_none(value) if key.endswith("_us") else value
        )
        for key, value in dict(detail).items()
    }
