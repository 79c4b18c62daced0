"""A compliance item as it goes over the wire."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from evaluators.standings import DataState, Verdict

EXAMPLE: Final[dict[str, Any]] = {
    "agreement": "checkout-gold",
    "compliant": True,
    "verdict": "at_risk",
    "data": "live",
    "worst_objective": "availability",
    "group": {"region": "eu"},
    "reason": "burning 14.9x over 1h and 16.2x over 5m (contractual); budget gone in 14 h 30 min at this rate",
    "as_of": "2026-11-23T15:50:10Z",
    "objectives": {"met": 5, "at_risk": 1, "breached": 0, "uncounted": 0},
}


class VerdictCounts(BaseModel):
    """How many objectives and groups have which verdict."""

    met: int
    at_risk: int
    breached: int
    uncounted: int


class ComplianceItem(BaseModel):
    """One agreement: kept, broken, or nothing counted yet; and the objective that is worst."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    agreement: str
    compliant: bool | None = Field(description="false: an objective is breached; null: nothing was counted yet.")
    verdict: Verdict | None = Field(description="The worst objective's.")
    data: DataState | None = Field(description="The worst of its objectives': blind, silent, live.")
    worst_objective: str | None
    group: dict[str, str] = Field(description="The worst objective's group.")
    reason: str
    as_of: str | None
    objectives: VerdictCounts
