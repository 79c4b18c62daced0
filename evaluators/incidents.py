"""Incidents as values: what the fold over the slots says was wrong, from when to when, in event time.

An incident's identity is a function of what it is about and when it was detected, so that a replay of the same log
gives the same identities.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["page", "ticket"]
ChangeKind = Literal["opened", "escalated", "resolved", "withdrawn", "amended"]


@dataclass(frozen=True, slots=True)
class Incident:
    """A breach alert from opened to resolved; times in event time, int microseconds.

    `started_us` is the first bad slot that mattered, `detected_us` the tick at which a condition held first.
    """

    id: str
    series_id: int
    agreement: str
    objective: str
    service: str | None
    labels: tuple[tuple[str, str], ...]
    severity: Severity
    started_us: int
    detected_us: int
    resolved_us: int | None
    reason: str
    condition: Mapping[str, Any]
    burn_rates: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    budget_remaining: float | None = None
    exhausted_us: int | None = None
    runbook: str | None = None
    partial: bool = False
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One step in an incident's life at event time `at_us`; `incident` is its state after the step.

    `amended` is a restatement that moved an incident's times without opening or closing it; it pages nobody.
    """

    kind: ChangeKind
    at_us: int
    incident: Incident


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A series' verdict or data state changed at a tick."""

    series_id: int
    at_us: int
    verdict: str | None
    data: str
    reason: str


def incident_id(agreement: str, objective: str, labels: tuple[tuple[str, str], ...], detected_us: int) -> str:
    """`inc_` and 16 characters: the same incident of the same log always has the same name."""
    subject = "\x1f".join((agreement, objective, *(f"{name}={value}" for name, value in labels), str(detected_us)))
    digest = hashlib.blake2b(subject.encode(), digest_size=10).digest()
    return "inc_" + base64.b32encode(digest).decode().lower()
