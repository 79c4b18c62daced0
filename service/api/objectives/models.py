"""An objective item and a point of its history, as they go over the wire."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluators.moments import rfc3339
from evaluators.standings import Basis, DataState, PeriodKind, Standing, Verdict, ViewNumbers

_DIGITS: Final = 6  # of a count of events that are shares of events

EXAMPLE: Final[dict[str, Any]] = {
    "agreement": "checkout-gold",
    "objective": "availability",
    "service": "checkout",
    "group": {"region": "eu"},
    "version": 3,
    "verdict": "at_risk",
    "data": "live",
    "firing": "page",
    "since": "2026-11-23T15:41:20Z",
    "reason": "burning 14.9x over 1h and 16.2x over 5m (contractual); budget gone in 14 h 30 min at this rate",
    "as_of": "2026-11-23T15:50:10Z",
    "target": 0.999,
    "period": {"kind": "rolling", "start": "2026-10-24T15:45:00Z", "end": "2026-11-23T15:50:10Z"},
    "budget": {"basis": "observed", "allowed": 997.7, "spent": 700},
    "contractual": {
        "good": 997000,
        "total": 997700,
        "sli": 0.999298,
        "budget_remaining": 0.298,
        "burn_rates": {"5m": 16.2, "1h": 14.9, "6h": 3.1, "3d": 0.9},
    },
    "experienced": {
        "good": 997000,
        "total": 998700,
        "sli": 0.998298,
        "budget_remaining": -0.702,
        "burn_rates": {"5m": 16.2, "1h": 14.9, "6h": 4.0, "3d": 1.7},
    },
    "coverage": 0.998,
}


class PeriodModel(BaseModel):
    """What the numbers are counted over."""

    model_config = ConfigDict(title="Period")

    kind: PeriodKind
    start: str
    end: str


class BudgetModel(BaseModel):
    """The error budget in events, contractual view."""

    model_config = ConfigDict(title="Budget")

    basis: Basis = Field(description="`projected` while the period is open or young.")
    allowed: float
    spent: int


class ViewModel(BaseModel):
    """One view's numbers over the period; null where nothing was counted."""

    model_config = ConfigDict(title="View")

    good: int
    total: int
    sli: float | None
    budget_remaining: float | None = Field(description="Share of the budget left; below 0 when overspent.")
    burn_rates: dict[str, float | None] = Field(description="Error ratio over the budget's, by window.")


class ObjectiveItem(BaseModel):
    """Where one objective, or one group of it, stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    agreement: str
    objective: str
    service: str | None
    group: dict[str, str]
    version: int
    verdict: Verdict | None = Field(description="What the agreement says now; null where nothing was counted yet.")
    data: DataState = Field(description="Beside the verdict: `live`, `silent` (no traffic), `blind` (we cannot see).")
    firing: Literal["page", "ticket"] | None
    since: str = Field(description="When the present verdict began.")
    reason: str
    as_of: str
    target: float
    period: PeriodModel
    budget: BudgetModel
    contractual: ViewModel
    experienced: ViewModel
    coverage: float = Field(description="How much of the period so far was seen.")

    @classmethod
    def of(cls, standing: Standing) -> ObjectiveItem:
        """The item of one standing."""
        identity = standing.identity
        return cls(
            agreement=identity.agreement,
            objective=identity.objective,
            service=identity.service,
            group=identity.group,
            version=identity.version,
            verdict=standing.verdict,
            data=standing.data,
            firing=standing.firing,
            since=rfc3339(standing.since_us),
            reason=standing.reason,
            as_of=rfc3339(standing.as_of_us),
            target=identity.target,
            period=PeriodModel(
                kind=identity.period_kind,
                start=rfc3339(standing.period_start_us),
                end=rfc3339(standing.period_end_us),
            ),
            budget=BudgetModel(basis=standing.basis, allowed=round(standing.allowed, _DIGITS), spent=standing.spent),
            contractual=_view(standing.contractual),
            experienced=_view(standing.experienced),
            coverage=standing.coverage,
        )


def _view(view: ViewNumbers) -> ViewModel:
    return ViewModel(
        good=view.good,
        total=view.total,
        sli=view.sli,
        budget_remaining=view.budget_remaining,
        burn_rates=dict(view.burn_rates),
    )


POINT_EXAMPLE: Final[dict[str, Any]] = {
    "time": "2026-11-23T15:45:00Z",
    "good": 9981,
    "total": 10002,
    "sli": 0.9979,
    "budget_remaining": 0.31,
    "verdict": "at_risk",
    "data": "live",
}


class BlindSpanModel(BaseModel):
    """Records that were gone before they were read. What they held is in no count; it may have concerned any objective."""

    from_: str | None = Field(alias="from", description="Null: nothing of the partition had been read before.")
    to: str
    topic: str
    partition: int
    records: int


class HistoryPoint(BaseModel):
    """One step: its own counts, and how the budget and the verdict stood at its end."""

    model_config = ConfigDict(json_schema_extra={"examples": [POINT_EXAMPLE]})

    time: str = Field(description="Start of the step.")
    good: int
    total: int
    sli: float | None = Field(description="Of this step alone; null where nothing was counted in it.")
    budget_remaining: float | None = Field(description="Of the period that ends with this step.")
    verdict: Verdict | None
    data: DataState = Field(description="`blind` where records were gone before they were read: see `blind` below.")


class History(BaseModel):
    """Whole steps from start to end, those without events too."""

    items: list[HistoryPoint]
    blind: list[BlindSpanModel] = Field(description="What was never read of this span.")
    next: str | None = Field(description="Always null: a history comes whole.", examples=[None])
    agreement: str
    objective: str
    group: dict[str, str]
    view: Literal["contractual", "experienced"]
    step: str = Field(examples=["15m"])
