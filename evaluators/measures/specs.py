"""What a series measures, as values; most only count, and have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluators import calendars
from evaluators.agreements import (
    Comparison,
    EmptySlices,
    FreshnessIndicator,
    Indicator,
    Objective,
    QuantileIndicator,
    Quorum,
    RatioTimeslices,
    ResponseIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A state holds for `hold_us`; then it is down for `lapse_us` (freshness) and unknown after that (uptime: at once)."""

    hold_us: int
    quorum: Quorum
    lapse_us: int = 0


@dataclass(frozen=True, slots=True)
class Pairing:
    """Opened and closed within a time; `strict`: before it is over."""

    within_us: int
    strict: bool


@dataclass(frozen=True, slots=True)
class Slicing:
    """Slices of `window_us`, each judged once it is over: by its share of good, by its rate, or by a quantile.

    Slices in which nothing came count for `fill_us` after one in which something did: what has ended is no failure for ever.
    """

    window_us: int
    judges: Literal["share", "ratio", "rate", "quantile"]
    op: Comparison = "gte"
    bound: float = 0.0
    q: float = 0.0
    empty: EmptySlices = "ignored"
    fill_us: int = 0

    @property
    def fills(self) -> bool:
        """Whether slices in which nothing came count."""
        return self.judges == "rate" or self.empty != "ignored"


@dataclass(frozen=True, slots=True)
class Measure:
    """How what comes of a series becomes good and total: what holds or pairs first, and slices of that."""

    holding: Holding | None = None
    pairing: Pairing | None = None
    slicing: Slicing | None = None


def measure_of(objective: Objective) -> Measure | None:
    """None: occurrences, as they were counted."""
    indicator, budgeting = objective.indicator, objective.budgeting
    period_us = calendars.nominal_length(objective.period)
    slicing = _sliced(indicator, period_us)
    if isinstance(budgeting, Timeslices):
        slicing = Slicing(
            budgeting.window_us, "share", bound=budgeting.target, empty=budgeting.empty, fill_us=period_us
        )
    elif isinstance(budgeting, RatioTimeslices):
        slicing = Slicing(budgeting.window_us, "ratio", empty=budgeting.empty, fill_us=period_us)
    measure = Measure(_held(indicator, period_us), _paired(indicator), slicing)
    return None if measure == Measure() else measure


def _held(indicator: Indicator, period_us: int) -> Holding | None:
    match indicator:
        case UptimeIndicator():
            return Holding(indicator.stale_after_us, indicator.quorum)
        case FreshnessIndicator():
            return Holding(indicator.max_gap_us, "any", period_us)
        case _:
            return None


def _paired(indicator: Indicator) -> Pairing | None:
    return Pairing(indicator.within_us, indicator.op == "lt") if isinstance(indicator, ResponseIndicator) else None


def _sliced(indicator: Indicator, period_us: int) -> Slicing | None:
    match indicator:
        case QuantileIndicator():
            return Slicing(indicator.window_us, "quantile", indicator.op, indicator.bound, indicator.q)
        case ThroughputIndicator():
            return Slicing(indicator.window_us, "rate", indicator.op, indicator.per_second, fill_us=period_us)
        case _:
            return None
