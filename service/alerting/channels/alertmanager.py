"""Alertmanager API v2: an incident is an alert whose labels say what it is about.

A severity is a label, so that routes can match it; raising it therefore ends the alert of the other one, and what is
over ends both: late data may have lowered the incident since a page fired. The incident is a label too: one that is
withdrawn must not end the alert of the one that replaces it, whichever arrives first.

`endsAt` of a firing alert lies far ahead: Alertmanager would otherwise resolve it by itself after its resolve_timeout.
An end lies in the past by any clock: one that is still ahead by Alertmanager's reads as firing, and where two posts
overlap it keeps the later end, which is the one far ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from evaluators.agreements import NotificationTarget
from service.alerting.channels.responses import post
from service.alerting.ports import Notification, Outcome, Sent

PATH = "/api/v2/alerts"
ALERT_NAME = "UpheldIncident"
FIRING_FOR = timedelta(days=90)
CLOCKS_APART = timedelta(minutes=1)
"""How far our clock may be ahead of Alertmanager's."""

_BAD_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")
_SEVERITIES = ("page", "ticket")


class AlertmanagerChannel:
    """Posts alerts; the target's URL is Alertmanager's base address."""

    def __init__(self, client: httpx.AsyncClient, clock: Callable[[], int]) -> None:
        self._client = client
        self._clock = clock

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome:
        """Acknowledgements have no counterpart in Alertmanager and count as sent."""
        now = datetime.fromtimestamp(self._clock() / 1_000_000, UTC)
        posted = alerts(notification.type, notification.payload["data"], now)
        if not posted:
            return Sent()
        url = target.url.rstrip("/")
        url = url if url.endswith(PATH) else url + PATH
        return await post(self._client, url, msgspec.json.encode(posted), {"content-type": "application/json"})


def alerts(change: str, data: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    """The alerts that one change of an incident posts."""
    severity: str = data["severity"]
    firing = _alert(data, severity, now + FIRING_FOR)
    match change:
        case "incident.opened":
            return [firing]
        case "incident.escalated":
            return [firing, *(_alert(data, other, _end(data, now)) for other in _SEVERITIES if other != severity)]
        case "incident.resolved" | "incident.withdrawn":
            return [_alert(data, each, _end(data, now)) for each in _SEVERITIES]
        case _:
            return []


def _end(data: Mapping[str, Any], now: datetime) -> datetime:
    """When it was over; in the past, and not before its start, which Alertmanager refuses."""
    resolved = data.get("resolved_at")
    past = now - CLOCKS_APART
    end = min(past, datetime.fromisoformat(resolved)) if resolved else past
    return max(end, datetime.fromisoformat(data["started_at"]))


def _alert(data: Mapping[str, Any], severity: str, ends_at: datetime) -> dict[str, Any]:
    labels = {
        "alertname": ALERT_NAME,
        "agreement": data["agreement"],
        "objective": data["objective"],
        "severity": severity,
        "incident": data["id"],
        **({"service": data["service"]} if data.get("service") else {}),
        **{"group_" + _BAD_LABEL_CHARACTER.sub("_", name): value for name, value in data["group"].items() if value},
    }
    annotations = {
        "summary": f"{data['agreement']}/{data['objective']}",
        "description": data["reason"],
        "incident": data["id"],
        **({"runbook_url": data["runbook"]} if data.get("runbook") else {}),
    }
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": annotations,
        "startsAt": data["started_at"],
        "endsAt": ends_at.isoformat(),
    }
    if data.get("url"):
        alert["generatorURL"] = data["url"]
    return alert
