"""The page as receivers get it, and its row in the outbox. Pure: INTERFACES fixes names and order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evaluators import durations
from evaluators.incidents import Incident
from evaluators.moments import rfc3339

PageType = Literal[
    "incident.opened", "incident.escalated", "incident.acknowledged", "incident.resolved", "incident.withdrawn"
]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One notification to one target."""

    idempotency_key: str
    incident_id: str
    type: PageType
    severity: str
    target: str
    payload: Mapping[str, Any]


def finite(number: float | None) -> float | None:
    """JSON knows neither NaN nor infinities."""
    return number if number is not None and math.isfinite(number) else None


def page_data(incident: Incident, public_url: str) -> dict[str, Any]:
    """`data` of a page, and the core of an incident on the API."""
    return {
        "id": incident.id,
        "severity": incident.severity,
        "agreement": incident.agreement,
        "objective": incident.objective,
        "service": incident.service,
        "group": dict(incident.labels),
        "started_at": rfc3339(incident.started_us),
        "detected_at": rfc3339(incident.detected_us),
        "resolved_at": None if incident.resolved_us is None else rfc3339(incident.resolved_us),
        "reason": incident.reason,
        "condition": dict(incident.condition),
        "burn_rates": {window: finite(rate) for window, rate in incident.burn_rates.items()},
        "budget_remaining": finite(incident.budget_remaining),
        "exhausted_at": None if incident.exhausted_us is None else rfc3339(incident.exhausted_us),
        "runbook": incident.runbook,
        "url": f"{public_url.rstrip('/')}/incidents/{incident.id}",
    }


def page(type_: PageType, incident: Incident, *, clock_us: int, public_url: str, **more: Any) -> dict[str, Any]:
    """The payload; its timestamp is the clock, cut to the second. `more` goes into its data."""
    timestamp = rfc3339(clock_us - clock_us % durations.SECOND)
    return {"type": type_, "timestamp": timestamp, "data": page_data(incident, public_url) | more}


def outbox_rows(
    type_: PageType, incident: Incident, seq: int, *, clock_us: int, public_url: str, **more: Any
) -> tuple[OutboxRow, ...]:
    """A row per target. `seq` is that of the incident's event which this tells; it makes the key unique."""
    payload = page(type_, incident, clock_us=clock_us, public_url=public_url, **more)
    return tuple(
        OutboxRow(f"{incident.id}.{seq}.{target}", incident.id, type_, incident.severity, target, payload)
        for target in dict.fromkeys(incident.notify)
    )
