from dataclasses import replace

import pytest

from evaluators.agreements import (
    Budgeting,
    CalendarPeriod,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    Objective,
    QuantileIndicator,
    RatioIndicator,
    RatioTimeslices,
    ResponseIndicator,
    RollingPeriod,
    ThresholdIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.fingerprints import indicator_fingerprint
from evaluators.selectors import Selector

RATIO = Objective(
    "availability",
    RatioIndicator(Selector.parse('http{a="1",b=~"2"}'), bad=Selector.parse('http{a="1",b=~"2",status=~"5.."}')),
    0.999,
    RollingPeriod(30 * DAY),
    "checkout",
    group_by=("region", "zone"),
)
THRESHOLD = replace(RATIO, indicator=ThresholdIndicator(Selector.parse("latency"), "lte", 50))


def test_a_fingerprint_is_stable() -> None:
    """It is stored: a change of its making would start every window anew."""
    assert indicator_fingerprint(RATIO) == "e7308142f1775bd5531a0e170c08cb0d"
    assert indicator_fingerprint(THRESHOLD) == "8f65a50f3062db6e77348f767c9181a9"


M = Selector.parse("m")


@pytest.mark.parametrize(
    ("indicator", "fingerprint"),
    [
        (HistogramIndicator(M, 0.3), "0fbf3a498de9224630bca411c8f2b328"),
        (QuantileIndicator(M, 0.99, "lte", 0.3, MINUTE), "97d12480ddf92e6c7b7948715630b3e0"),
        (UptimeIndicator(M, MINUTE), "cb17359be5fae2883cf2634d2d9dd529"),
        (ThroughputIndicator(M, "gte", 5, MINUTE), "0c939dcc1ce2bcde5e37c43362f9910e"),
        (FreshnessIndicator(M, HOUR), "56650e190a14214c01ecbc10a2b4ccfe"),
        (ResponseIndicator(M, Selector.parse("n"), "ticket", "lte", HOUR), "c31dbbcd140f404f0672375c4bf9dd55"),
    ],
)
def test_the_fingerprint_of_each_indicator_is_stable(indicator: Indicator, fingerprint: str) -> None:
    """They are stored likewise."""
    assert indicator_fingerprint(replace(RATIO, indicator=indicator)) == fingerprint


@pytest.mark.parametrize(
    ("budgeting", "fingerprint"),
    [
        (Timeslices(0.95, MINUTE), "e370fcc7e72de200e54a967bf50617df"),
        (RatioTimeslices(MINUTE, "bad"), "36b88186ab4f39f2b1f92e6cd55a09ae"),
    ],
)
def test_slices_make_a_fingerprint_of_their_own(budgeting: Budgeting, fingerprint: str) -> None:
    """Slices are counted otherwise than occurrences, so windows start anew."""
    assert indicator_fingerprint(replace(RATIO, budgeting=budgeting)) == fingerprint


def test_a_number_has_one_form() -> None:
    """1 is 1.0, and nothing is less than nothing."""
    zero, negative, whole = (replace(RATIO, indicator=HistogramIndicator(M, bound)) for bound in (0, -0.0, 0.0))

    assert len({indicator_fingerprint(each) for each in (zero, negative, whole)}) == 1


@pytest.mark.parametrize(
    "same",
    [
        replace(
            RATIO,
            indicator=RatioIndicator(
                Selector.parse("{b=~`2`, a='1', __name__='http'}"),
                bad=Selector.parse('http{ status=~"5..", b=~"2", a="1", a="1" }'),
            ),
        ),
        replace(RATIO, group_by=("zone", "region")),
        replace(RATIO, name="other", target=0.5, period=CalendarPeriod("day", "UTC"), service=None, alerts=()),
    ],
)
def test_what_counts_the_same_has_the_same_fingerprint(same: Objective) -> None:
    """Formatting, order, and whatever does not change which samples count."""
    assert indicator_fingerprint(same) == indicator_fingerprint(RATIO)


@pytest.mark.parametrize(
    "other",
    [
        THRESHOLD,
        replace(THRESHOLD, indicator=ThresholdIndicator(Selector.parse("latency"), "lt", 50)),
        replace(THRESHOLD, indicator=ThresholdIndicator(Selector.parse("latency"), "lte", 50.5)),
        replace(RATIO, group_by=("region",)),
        replace(RATIO, indicator=RatioIndicator(Selector.parse("http"), bad=Selector.parse("http"))),
        replace(RATIO, indicator=RatioIndicator(Selector.parse("http"), good=Selector.parse("http"))),
    ],
)
def test_what_counts_otherwise_has_another(other: Objective) -> None:
    """Good is not bad, below is not at most."""
    prints = {indicator_fingerprint(each) for each in (RATIO, other)}

    assert len(prints) == 2
