"""Which objectives are measured, and how."""

from __future__ import annotations

import pytest

from evaluators.agreements import (
    Budgeting,
    FreshnessIndicator,
    Indicator,
    Objective,
    Occurrences,
    QuantileIndicator,
    RatioIndicator,
    RatioTimeslices,
    ResponseIndicator,
    RollingPeriod,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.durations import DAY, MINUTE, SECOND
from evaluators.measures.specs import Holding, Measure, Pairing, Slicing, measure_of
from evaluators.selectors import Selector

ANY = Selector.parse("metric")
RATIO = RatioIndicator(ANY, bad=ANY)
PERIOD = 30 * DAY


@pytest.mark.parametrize(
    ("indicator", "budgeting", "measure"),
    [
        (RATIO, Occurrences(), None),
        (UptimeIndicator(ANY, MINUTE, "all"), Occurrences(), Measure(holding=Holding(MINUTE, "all"))),
        (FreshnessIndicator(ANY, MINUTE), Occurrences(), Measure(holding=Holding(MINUTE, "any", PERIOD))),
        (ResponseIndicator(ANY, ANY, "id", "lt", 5), Occurrences(), Measure(pairing=Pairing(5, strict=True))),
        (ResponseIndicator(ANY, ANY, "id", "lte", 5), Occurrences(), Measure(pairing=Pairing(5, strict=False))),
        (
            QuantileIndicator(ANY, 0.99, "lte", 0.3, MINUTE),
            Occurrences(),
            Measure(slicing=Slicing(MINUTE, "quantile", "lte", 0.3, 0.99)),
        ),
        (
            ThroughputIndicator(ANY, "gte", 5.0, MINUTE),
            Occurrences(),
            Measure(slicing=Slicing(MINUTE, "rate", "gte", 5.0, fill_us=PERIOD)),
        ),
        (
            RATIO,
            Timeslices(0.9, MINUTE, "bad"),
            Measure(slicing=Slicing(MINUTE, "share", bound=0.9, empty="bad", fill_us=PERIOD)),
        ),
        (RATIO, RatioTimeslices(MINUTE), Measure(slicing=Slicing(MINUTE, "ratio", fill_us=PERIOD))),
        (
            UptimeIndicator(ANY, MINUTE),
            Timeslices(0.9, MINUTE),
            Measure(Holding(MINUTE, "majority"), slicing=Slicing(MINUTE, "share", bound=0.9, fill_us=PERIOD)),
        ),
    ],
)
def test_an_objective_says_what_is_measured(
    indicator: Indicator, budgeting: Budgeting, measure: Measure | None
) -> None:
    """Most only count; a slice of nothing counts for as long as a period after the last of something."""
    objective = Objective("name", indicator, 0.9, RollingPeriod(PERIOD), None, budgeting=budgeting)

    assert measure_of(objective) == measure


def test_slices_of_nothing_count_where_a_rate_or_a_policy_says_so() -> None:
    """Not otherwise: silence is no failure."""
    assert Slicing(MINUTE, "rate").fills
    assert Slicing(MINUTE, "share", empty="bad").fills
    assert not Slicing(10 * SECOND, "share").fills
