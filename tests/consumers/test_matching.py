"""Which indicators a sample feeds: the cached targets against a matcher that knows no cache and no cuts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import matching
from consumers.formats.samples import Sample
from consumers.formats.series import Series
from consumers.matching import UNMATCHED, Matcher
from consumers.ports import MatchRule, SeriesKey
from consumers.routing import at_or_below
from evaluators.agreements import Comparison, RatioIndicator, ThresholdIndicator
from evaluators.selectors import Selector
from tests.consumers.rules import COMPARISONS, Fed, bounds, fed, labels, rule, rules
from tests.consumers.worlds import AVAILABILITY, LATENCY, RULES, START_US, judged


def naively(every: list[MatchRule], sample: Sample) -> list[Fed]:
    """The same, rule by rule, by the words of the language."""
    found: list[Fed] = []
    for each in every:
        if sample.time_us < each.from_us or (each.until_us is not None and sample.time_us >= each.until_us):
            continue
        for good, total in shares(each, sample):
            key = SeriesKey(each.indicator_id, tuple(sample.labels.get(name, "") for name in each.group_by))
            excluded = any(one.where.matches(sample.metric, sample.labels) for one in each.exclusions)
            found.append((key, good, total, excluded))
    return found


def shares(each: MatchRule, sample: Sample) -> list[tuple[int, int]]:
    """(good, total) of one occurrence; none: not read. Two metrics: each counts on its own side."""
    indicator = each.indicator
    if isinstance(indicator, RatioIndicator):
        judge = indicator.good or indicator.bad
        assert judge is not None
        if judge.metric and indicator.total.metric and judge.metric != indicator.total.metric:
            if judge.matches(sample.metric, sample.labels):
                return [(1, 0) if indicator.good else (-1, 0)]
            counts = indicator.total.matches(sample.metric, sample.labels)
            return [(0, 1) if indicator.good else (1, 1)] if counts else []
    good = judged(each, sample)
    return [] if good is None else [(int(good), 1)]


@given(
    every=rules,
    metric=st.sampled_from(["latency", "errors", "logins"]),
    labels=labels,
    value=st.one_of(st.none(), bounds, st.floats(allow_nan=False, allow_infinity=False)),
    time_us=st.integers(0, 12),
)
def test_a_sample_feeds_what_a_naive_matcher_says(
    every: list[MatchRule], metric: str, labels: dict[str, str], value: float | None, time_us: int
) -> None:
    """On first sight and from the cache, whether the selectors pin a metric or not."""
    matcher = Matcher(every)
    sample = Sample(Series(metric, labels), time_us, 1, value)

    first = matcher.target(metric, labels, "deltas" if value is None else "values")

    assert fed(first, time_us, value or 0.0) == naively(every, sample)
    assert matcher.target(metric, dict(labels), "deltas" if value is None else "values") is first


@given(
    op=st.sampled_from(COMPARISONS),
    bound=st.floats(allow_nan=False, allow_infinity=False),
    value=st.floats(allow_nan=False, allow_infinity=False),
    near=st.sampled_from([-math.inf, 0.0, math.inf]),
)
def test_one_comparison_stands_for_all_four(op: Comparison, bound: float, value: float, near: float) -> None:
    """At the bound, one step beside it, and anywhere."""
    cut, above = at_or_below(op, bound)
    compare = {"lt": float.__lt__, "lte": float.__le__, "gt": float.__gt__, "gte": float.__ge__}[op]

    for each in (value, bound, math.nextafter(bound, near)):
        assert ((each <= cut) != above) == compare(each, bound)


def test_a_sample_that_no_rule_reads_is_unmatched() -> None:
    """By its metric, or by its labels."""
    matcher = Matcher(RULES)

    assert matcher.target("logins", {"service": "checkout"}, "values") is UNMATCHED
    assert Matcher([AVAILABILITY]).target("latency", {"service": "search"}, "values") is UNMATCHED


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["before", "behind"])
def test_a_rule_that_pins_no_metric_reads_every_metric(order: tuple[int, int]) -> None:
    """Also those that other rules pin, whichever came first."""
    anywhere = rule(1, ThresholdIndicator(Selector.parse('{status="500"}'), "lte", 1.0))
    pinned = rule(2, ThresholdIndicator(Selector.parse("latency"), "lte", 1.0))
    matcher = Matcher([{1: anywhere, 2: pinned}[number] for number in order])

    for metric, indicators in (("latency", order), ("logins", (1,))):
        target = matcher.target(metric, {"status": "500"}, "values")
        assert tuple(route.key.indicator_id for route in target.routes) == indicators


def test_a_delta_feeds_no_threshold() -> None:
    """Deltas and values of the same labels are told apart in the cache too."""
    matcher = Matcher([LATENCY])
    labels = {"service": "checkout"}

    assert matcher.target("latency", labels, "values").routes
    assert matcher.target("latency", labels, "deltas") is UNMATCHED
    assert matcher.target("latency", labels, "values").routes


def test_thresholds_at_one_bound_share_a_cut() -> None:
    """A value is compared once."""
    everything = Selector.parse("latency")
    many = [rule(n, ThresholdIndicator(everything, op, b)) for n, (op, b) in enumerate([("lte", 1.0), ("gt", 1.0)])]

    target = Matcher([*many, rule(3, ThresholdIndicator(everything, "lte", 2.0))]).target("latency", {}, "values")

    assert target.cuts == (1.0, 2.0)
    assert [(route.cut, route.above) for route in target.routes] == [(0, False), (0, True), (1, False)]


def test_a_group_is_made_of_the_labels_in_their_order() -> None:
    """A label that is not there is empty, as selectors see it."""
    grouped = rule(1, AVAILABILITY.indicator, group_by=("tenant", "region"))

    target = Matcher([grouped]).target("latency", {"service": "checkout", "region": "eu"}, "values")

    assert target.routes[0].key == SeriesKey(1, ("", "eu"))


def test_edges_are_where_definitions_change() -> None:
    """Sorted, each once; there the combining tells samples of one slot apart."""
    every = [rule(1, AVAILABILITY.indicator, 5, 4), rule(2, LATENCY.indicator, 9), rule(3, LATENCY.indicator, 0, 5)]

    assert Matcher(every).target("latency", {"service": "checkout"}, "values").edges == (0, 5, 9)


@pytest.mark.parametrize("size", [1, 2_000])
def test_what_is_remembered_is_bounded_by_its_size(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Labels are as many and as long as emitters make them."""
    monkeypatch.setattr(matching, "BYTES_KEPT", 20_000)
    matcher = Matcher([AVAILABILITY])
    most = 0

    for number in range(200):
        labels = {"service": "checkout", "id": f"{number:0{size}}"}
        assert matcher.target("latency", labels, "values").routes[0].covers(START_US)
        most = max(most, len(matcher._targets))

    assert 1 < most <= 20_000 // (size + 256)
