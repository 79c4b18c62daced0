"""A received notification as the inbox shows it; its data came over HTTP, so nothing in it is taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from service.web import figures
from service.web.ports import ReceivedPage


@dataclass(frozen=True, slots=True)
class ShownPage:
    """One line of the inbox. `severity` is `page`, `ticket` or empty; `href` leads to the incident, if it names one."""

    id: str
    received_us: int
    verified: bool
    type: str
    deliveries: int
    subject: str
    labels: tuple[tuple[str, str], ...]
    severity: str
    reason: str
    href: str | None


def shown(page: ReceivedPage) -> ShownPage:
    data = page.data
    severity = _text(data, "severity")
    incident = _text(data, "id")
    return ShownPage(
        page.id,
        page.received_us,
        page.verified,
        page.type,
        page.deliveries,
        " / ".join(part for part in (_text(data, "agreement"), _text(data, "objective")) if part) or "unknown",
        _labels(data.get("group")),
        severity if severity in {"page", "ticket"} else "",
        _text(data, "reason"),
        figures.incident_url(incident) if incident else None,
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _labels(group: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(group, dict):
        return ()
    return tuple((str(name), str(value)) for name, value in cast("dict[object, object]", group).items())
