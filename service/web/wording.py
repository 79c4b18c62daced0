"""What a promise is, in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from evaluators import durations
from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    Condition,
    ExhaustionCondition,
    Period,
    RollingPeriod,
    SilentCondition,
)
from evaluators.standings import DataState, Standing, Verdict
from service.web import counting, figures
from service.web.ports import Promise

VERDICTS: Final = {Verdict.BREACHED: "Breached", Verdict.AT_RISK: "At risk", Verdict.MET: "Met", None: "No verdict"}
IN_A_COUNT: Final = {"breached": "breached", "at_risk": "at risk", "met": "met", "none": "without a verdict"}
DATA: Final = {
    DataState.LIVE: "Samples are arriving.",
    DataState.SILENT: "The pipeline is healthy, and no traffic arrives.",
    DataState.BLIND: "Upheld cannot see at the moment; the verdict is the last one known.",
}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert condition: what it asks, what is so now, and whether it holds."""

    severity: str
    asks: str
    now: str
    holds: bool


def period_words(period: Period) -> str:
    """`over the last 30 d`, `in each calendar month (Europe/Berlin)`."""
    if isinstance(period, RollingPeriod):
        return f"over the last {figures.whole_span(period.length_us)}"
    zone = "" if period.time_zone == "UTC" else f" ({period.time_zone})"
    return f"in each calendar {period.unit}{zone}"


def promise_words(promise: Promise) -> str:
    """Who promises what to whom, over which period; of slices, a second sentence says when one is good."""
    agreement, objective = promise.applied.agreement, promise.objective
    each = f", for each {' and '.join(objective.group_by)}" if objective.group_by else ""
    good, judged = counting.good_words(objective.indicator, objective.budgeting)
    return (
        f"{agreement.provider.name} promises {agreement.customer.name} that {figures.target(objective.target)} of "
        f"{good} {period_words(objective.period)}{each}.{judged}"
    )


def alert_line(condition: Condition, standing: Standing) -> AlertLine:
    """A condition beside the numbers that it reads."""
    match condition:
        case BurnRateCondition():
            return _burn_line(condition, standing)
        case BudgetRemainingCondition():
            left = getattr(standing, condition.view).budget_remaining
            asks = f"budget left below {figures.share(condition.below)}"
            return AlertLine(condition.severity, asks, figures.share(left), left is not None and left < condition.below)
        case ExhaustionCondition():
            asks = f"budget gone within {figures.whole_span(condition.within_us)}"
            gone = standing.exhausted_us
            holds = gone is not None and gone - standing.as_of_us <= condition.within_us
            now = f"in {figures.span(max(0, gone - standing.as_of_us))}" if gone is not None else "not in sight"
            return AlertLine(condition.severity, asks, now, holds)
        case SilentCondition():
            asks = f"no samples for {figures.whole_span(condition.after_us)}"
            return AlertLine(condition.severity, asks, standing.data.value, standing.data is DataState.SILENT)


def _burn_line(condition: BurnRateCondition, standing: Standing) -> AlertLine:
    long, short = durations.format(condition.long_us), durations.format(condition.short_us)
    rates = getattr(standing, condition.view).burn_rates
    now = [rates.get(long), rates.get(short)]
    view = "" if condition.view == "contractual" else f", {condition.view} view"
    asks = f"{condition.factor:g}{figures.TIMES} over {figures.window(long)} and {figures.window(short)}{view}"
    known = " and ".join(figures.burn(rate) for rate in now)
    return AlertLine(
        condition.severity, asks, known, all(rate is not None and rate >= condition.factor for rate in now)
    )
