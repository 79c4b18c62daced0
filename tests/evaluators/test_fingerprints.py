from dataclasses import replace

import pytest

from evaluators.agreements import CalendarPeriod, Objective, RatioIndicator, RollingPeriod, ThresholdIndicator
from evaluators.durations import DAY
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
