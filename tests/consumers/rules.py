"""Rules of every kind for Hypothesis, and what a target feeds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from consumers.matching import Target
from consumers.ports import MatchRule, SeriesKey
from evaluators.agreements import Comparison, Indicator, LabelExclusion, RatioIndicator, ThresholdIndicator
from evaluators.selectors import Selector

SELECTORS = [
    "latency",
    "errors",
    'latency{status=~"5.."}',
    'errors{region!="eu"}',
    '{status="500"}',
    '{__name__=~"lat.*",region="eu"}',
    'latency{tenant=""}',
]
COMPARISONS: tuple[Comparison, ...] = ("lt", "lte", "gt", "gte")

selectors = st.sampled_from(SELECTORS).map(Selector.parse)
bounds = st.sampled_from([0.0, -0.0, 0.3, 1.0, -2.5, 1e300, 5e-324])
indicators = st.one_of(
    st.builds(RatioIndicator, total=selectors, good=selectors),
    st.builds(RatioIndicator, total=selectors, bad=selectors),
    st.builds(ThresholdIndicator, selectors, st.sampled_from(COMPARISONS), bounds),
)
exclusions = st.lists(st.builds(LabelExclusion, st.just("out"), st.just("customer"), selectors), max_size=2).map(tuple)
group_bys = st.sampled_from([(), ("region",), ("tenant", "region")])
times = st.integers(0, 6)
labels = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["200", "500"]),
        "region": st.sampled_from(["eu", "us", ""]),
        "tenant": st.just("acme"),
    },
)


def rule(number: int, indicator: Indicator, since: int = 0, lasts: int | None = None, **fields: Any) -> MatchRule:
    """A rule in force in [since, since + lasts)."""
    until = None if lasts is None else since + lasts
    return MatchRule(number, "gold", f"objective-{number}", since, until, indicator, **fields)


rules = st.lists(
    st.builds(
        rule,
        st.integers(1, 3),
        indicators,
        times,
        st.none() | times,
        group_by=group_bys,
        exclusions=exclusions,
    ),
    max_size=5,
)

Fed = tuple[SeriesKey, int, int, bool]


def fed(target: Target, time_us: int, value: float) -> list[Fed]:
    """What a sample of weight 1 adds, through the target: (series, good, total, excluded)."""
    found: list[Fed] = []
    for route in target.routes:
        if route.covers(time_us):
            good = route.good if route.cut is None else int((value <= target.cuts[route.cut]) != route.above)
            found.append((route.key, good, route.total, route.excluded))
    return found
