"""What the two whole numbers of an objective, good and total, are numbers of."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from evaluators.agreements import (
    Budgeting,
    FreshnessIndicator,
    Indicator,
    Occurrences,
    QuantileIndicator,
    RatioTimeslices,
    ThroughputIndicator,
    UptimeIndicator,
)

PARTS_OF_A_SLICE: Final = 1_000_000_000
"""What each slice of RatioTimeslices counts, so that its share of good is a whole number."""


class Unit(StrEnum):
    """One of the total."""

    OCCURRENCE = "occurrence"
    MICROSECOND = "microsecond"
    SLICE = "slice"
    PART_OF_A_SLICE = "part of a slice"  # PARTS_OF_A_SLICE of them make one


def unit_of(indicator: Indicator, budgeting: Budgeting) -> Unit:
    if isinstance(budgeting, RatioTimeslices):
        return Unit.PART_OF_A_SLICE
    if isinstance(indicator, QuantileIndicator | ThroughputIndicator) or not isinstance(budgeting, Occurrences):
        return Unit.SLICE
    if isinstance(indicator, UptimeIndicator | FreshnessIndicator):
        return Unit.MICROSECOND
    return Unit.OCCURRENCE
