"""What an objective counts."""

import pytest

from evaluators.agreements import (
    Budgeting,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    Occurrences,
    QuantileIndicator,
    RatioTimeslices,
    ResponseIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.durations import MINUTE
from evaluators.selectors import Selector
from evaluators.units import Unit, unit_of

M = Selector.parse("m")
HISTOGRAM = HistogramIndicator(M, 1)
UPTIME = UptimeIndicator(M, MINUTE)


@pytest.mark.parametrize(
    ("indicator", "budgeting", "unit"),
    [
        (HISTOGRAM, Occurrences(), Unit.OCCURRENCE),
        (ResponseIndicator(M, M, "k", "lt", MINUTE), Occurrences(), Unit.OCCURRENCE),
        (UPTIME, Occurrences(), Unit.MICROSECOND),
        (FreshnessIndicator(M, MINUTE), Occurrences(), Unit.MICROSECOND),
        (QuantileIndicator(M, 0.99, "lt", 1, MINUTE), Occurrences(), Unit.SLICE),
        (ThroughputIndicator(M, "gt", 1, MINUTE), Occurrences(), Unit.SLICE),
        (HISTOGRAM, Timeslices(0.9, MINUTE), Unit.SLICE),
        (UPTIME, Timeslices(0.9, MINUTE), Unit.SLICE),
        (HISTOGRAM, RatioTimeslices(MINUTE), Unit.PART_OF_A_SLICE),
        (UPTIME, RatioTimeslices(MINUTE), Unit.PART_OF_A_SLICE),
    ],
)
def test_good_and_total_are_numbers_of_one_unit(indicator: Indicator, budgeting: Budgeting, unit: Unit) -> None:
    """The budgeting method decides first, then the indicator."""
    assert unit_of(indicator, budgeting) is unit
