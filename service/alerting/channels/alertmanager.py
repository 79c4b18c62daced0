"""Alertmanager API v2: an incident is an alert whose labels say what it is about.

A severity is a label, so that routes can match it; raising it therefore ends the alert of the lower one. `endsAt` of a
firing alert lies far ahead: Alertmanager would otherwise resolve it by itself after its resolve_timeout.
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
_BAD_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")
_LOWER = {"page": "ticket"}


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
    lower = _LOWER.get(severity)
    match change:
        case "incident.opened":
            return [_alert(data, severity, now + FIRING_FOR)]
        case "incident.escalated":
            ended = [_alert(data, lower, now)] if lower else []
            return [_alert(data, severity, now + FIRING_FOR), *ended]
        case "incident.resolved" | "incident.withdrawn":
            return [_alert(data, ended, now) for ended in (severity, lower) if ended]
        case _:
            return []


def _alert(data: Mapping[str, Any], severity: str, ends_at: datetime) -> dict[str, Any]:
    labels = {
        "alertname": ALERT_NAME,
        "agreement": data["agreement"],
        "objective": data["objective"],
        "severity": severity,
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
