"""`explain`: whether a sample feeds an objective, and why, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from consumers.explaining import explain
from consumers.formats.samples import Sample, counter, delta, gauge, state
from consumers.formats.series import Series
from consumers.matching import Matcher
from consumers.ports import MatchRule
from evaluators.agreements import (
    Comparison,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    QuantileIndicator,
    RatioIndicator,
    ResponseIndicator,
    ThresholdIndicator,
    ThroughputIndicator,
    UptimeIndicator,
)
from evaluators.selectors import Selector
from tests.consumers.rules import fed, labels, rule, rules
from tests.consumers.worlds import AVAILABILITY, LATENCY, RULES, START_US

CHECKOUT = {"service": "checkout", "status": "200", "region": "eu"}
FAILED = {**CHECKOUT, "status": "503"}
REQUESTS, ERRORS = Selector.parse("requests_total"), Selector.parse('errors_total{code!="429"}')


def why(
    every: MatchRule,
    metric: str = "latency",
    labels: dict[str, str] = CHECKOUT,
    value: float | None = 0.1,
    time_us: int = START_US,
) -> tuple[bool, tuple[str, ...]]:
    """What is said about one sample and one rule."""
    series = Series(metric, labels)
    sample = delta(series, time_us, 1) if value is None else gauge(series, time_us, value)
    (only,) = explain(sample, [every])
    assert (only.agreement, only.objective) == (every.agreement, every.objective)
    return only.feeds, only.reasons


def test_every_rule_is_explained_in_its_order() -> None:
    """Those that are fed, and those that are not."""
    found = explain(gauge(Series("latency", CHECKOUT), START_US, 0.1), RULES)

    assert [(each.objective, each.feeds) for each in found] == [
        ("availability", True),
        ("latency", True),
        ("slow", False),
    ]


@given(every=rules, labels=labels)
def test_it_says_that_a_sample_feeds_what_matching_feeds(every: list[MatchRule], labels: dict[str, str]) -> None:
    """And gives a reason in any case."""
    found = explain(gauge(Series("latency", labels), 3, 0.5), every)

    assert len([each for each in found if each.feeds]) == len(
        fed(Matcher(every).target("latency", labels, "values"), 3, 0.5)
    )
    assert all(all(each.reasons) and each.reasons for each in found)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (CHECKOUT, 'good: bad does not match, label status is "200", wanted a match of "5.."'),
        (FAILED, "bad: bad matches"),
    ],
)
def test_a_ratio_says_which_side_matched(labels: dict[str, str], reason: str) -> None:
    """With the labels that decided, and the group."""
    assert why(AVAILABILITY, labels=labels) == (True, (reason, 'group region="eu"'))


def test_a_ratio_of_good_says_so() -> None:
    """The same in the other direction."""
    good = rule(1, RatioIndicator(total=Selector.parse("latency"), good=Selector.parse('latency{status="200"}')))

    assert why(good)[1] == ("good: good matches",)
    assert why(good, labels=FAILED)[1] == ('bad: good does not match, label status is "503", wanted "200"',)


@pytest.mark.parametrize(
    ("op", "value", "reason"),
    [
        ("lte", 0.3, "good: 0.3 is at or below 0.3"),
        ("lt", 0.3, "bad: 0.3 is not below 0.3"),
        ("gte", 0.3, "good: 0.3 is at or above 0.3"),
        ("gt", 0.2, "bad: 0.2 is not above 0.3"),
    ],
)
def test_a_threshold_says_how_the_value_compares(op: Comparison, value: float, reason: str) -> None:
    """In the words of the document."""
    assert why(rule(1, ThresholdIndicator(Selector.parse("latency"), op, 0.3)), value=value) == (True, (reason,))


@pytest.mark.parametrize(
    ("indicator", "metric", "reason"),
    [
        (RatioIndicator(total=REQUESTS, bad=ERRORS), "errors_total", "counts on the bad side alone"),
        (RatioIndicator(total=REQUESTS, good=ERRORS), "errors_total", "counts on the good side alone"),
        (
            RatioIndicator(total=REQUESTS, bad=ERRORS),
            "requests_total",
            "counts in the total; what is bad comes from errors_total",
        ),
        (
            RatioIndicator(total=REQUESTS, good=ERRORS),
            "requests_total",
            "counts in the total; what is good comes from errors_total",
        ),
    ],
)
def test_a_ratio_of_two_metrics_says_which_side_a_sample_is_on(
    indicator: RatioIndicator, metric: str, reason: str
) -> None:
    """No sample is both."""
    assert why(rule(1, indicator), metric=metric) == (True, (reason,))


def test_a_sample_of_the_other_metric_is_told_what_that_metric_lacks() -> None:
    """Not that it is not the total: nobody thought so."""
    ratio = rule(1, RatioIndicator(total=REQUESTS, bad=ERRORS))

    assert why(ratio, metric="errors_total", labels={"code": "429"}) == (
        False,
        ('label code is "429", wanted anything but "429"',),
    )
    assert why(ratio, metric="logins") == (False, ('the metric is "logins", wanted "requests_total"',))


def test_an_exclusion_is_named() -> None:
    """The sample still feeds the experienced view."""
    feeds, reasons = why(AVAILABILITY, labels={**CHECKOUT, "tenant": "internal"})

    assert feeds
    assert reasons[-1] == "not counted in the contractual view: exclusion own"


def test_a_sample_that_does_not_match_is_told_every_label_that_keeps_it_out() -> None:
    """All of them, so that one attempt mends it."""
    strict = replace(LATENCY, indicator=ThresholdIndicator(Selector.parse('latency{service="a",zone="b"}'), "lt", 1.0))

    assert why(strict) == (
        False,
        ('label service is "checkout", wanted "a"', 'label zone is missing, wanted "b"'),
    )


def test_a_delta_is_told_that_it_has_no_value_to_compare() -> None:
    """Its labels are not the problem."""
    assert why(LATENCY, value=None) == (
        False,
        ("a delta says how many there were: this indicator reads single values",),
    )


@pytest.mark.parametrize(
    ("time_us", "feeds", "words"),
    [
        (START_US - 1, False, "not in force yet"),
        (START_US, True, "at or below"),
        (START_US + 9, True, "at or below"),
        (START_US + 10, False, "no longer in force"),
    ],
)
def test_a_version_counts_from_its_start_to_its_end(time_us: int, feeds: bool, words: str) -> None:
    """The start included, the end not."""
    version = replace(LATENCY, from_us=START_US, until_us=START_US + 10)

    found, (reason, *_) = why(version, time_us=time_us)

    assert found == feeds
    assert words in reason


# ---------------------------------------------------------------------------------------------------- every indicator

METRIC = Selector.parse('latency{service="checkout"}')
MINUTE_US = 60_000_000
HISTOGRAM = HistogramIndicator(METRIC, 0.3)
PAIRS = ResponseIndicator(
    Selector.parse("opened"),
    Selector.parse("closed"),
    "ticket",
    "lte",
    MINUTE_US,
    Selector.parse("waiting"),
    Selector.parse("continued"),
)
UPTIME = UptimeIndicator(METRIC, MINUTE_US)
FRESHNESS = FreshnessIndicator(METRIC, MINUTE_US)
QUANTILE = QuantileIndicator(METRIC, 0.99, "lte", 0.3, MINUTE_US)
THROUGHPUT = ThroughputIndicator(METRIC, "gte", 1.0, MINUTE_US)
PLAIN = Series("latency", CHECKOUT)


def bucket(le: str) -> Series:
    return Series("latency_bucket", {**CHECKOUT, "le": le})


@pytest.mark.parametrize(
    ("indicator", "sample", "reason"),
    [
        (UPTIME, state(PLAIN, START_US, up=True), "a state, which holds until the next one"),
        (UPTIME, gauge(PLAIN, START_US, 1.0), "a state, which holds until the next one"),
        (FRESHNESS, counter(PLAIN, START_US, 7), "seen: from here the gap is measured"),
        (QUANTILE, gauge(PLAIN, START_US, 0.1), "a value for the quantile"),
        (THROUGHPUT, delta(PLAIN, START_US, 7), "counts"),
        (THROUGHPUT, counter(PLAIN, START_US, 7), "a counter, by what it grew since its last point; counts"),
        (PAIRS, gauge(Series("opened", {"ticket": "1"}), START_US, 1.0), "opens"),
        (PAIRS, gauge(Series("closed", {"ticket": "1"}), START_US, 1.0), "closes"),
        (PAIRS, gauge(Series("waiting", {"ticket": "1"}), START_US, 1.0), "pauses"),
        (PAIRS, gauge(Series("continued", {"ticket": "1"}), START_US, 1.0), "resumes"),
        (HISTOGRAM, delta(Series("latency_count", CHECKOUT), START_US, 7), "counts in the total"),
        (HISTOGRAM, delta(bucket("0.30"), START_US, 7), "good: the bucket ends at the bound 0.3"),
        (
            HISTOGRAM,
            counter(bucket("0.3"), START_US, 7),
            "a counter, by what it grew since its last point; good: the bucket ends at the bound 0.3",
        ),
        (
            HISTOGRAM,
            delta(bucket("1"), START_US, 7),
            "nothing: the bound 0.3 is no bucket's, and the bucket before is not known",
        ),
        (
            HISTOGRAM,
            delta(bucket("1"), START_US, 7, below=(0.3, 5)),
            "nothing: another bucket reaches the bound 0.3",
        ),
        (
            HISTOGRAM,
            delta(bucket("1"), START_US, 7, below=(0.1, 5)),
            "good, interpolated: the bound 0.3 lies between 0.1 and 1",
        ),
        (
            HISTOGRAM,
            delta(bucket("+Inf"), START_US, 7, below=(0.1, 5)),
            "good: what lies under 0.1; how much of a bucket without an end lies under the bound 0.3 nobody knows",
        ),
    ],
)
def test_every_indicator_says_what_it_makes_of_a_sample(indicator: Indicator, sample: Sample, reason: str) -> None:
    """In the words of its documentation."""
    (found,) = explain(sample, [rule(1, indicator)])

    assert (found.feeds, found.reasons) == (True, (reason,))


@pytest.mark.parametrize(
    ("indicator", "sample", "reason"),
    [
        (UPTIME, delta(PLAIN, START_US, 7), "a delta says how many there were: this indicator reads single values"),
        (UPTIME, counter(PLAIN, START_US, 7), "a counter says how many there were: this indicator reads single values"),
        (QUANTILE, state(PLAIN, START_US, up=True), "a state weighs time, not occurrences: uptime reads it"),
        (THROUGHPUT, state(PLAIN, START_US, up=True), "a state weighs time, not occurrences: uptime reads it"),
        (
            PAIRS,
            counter(Series("closed", {"ticket": "1"}), START_US, 7),
            "a counter says how many there were: this indicator reads single values",
        ),
        (PAIRS, gauge(Series("closed", {}), START_US, 1.0), "label ticket, the key of pairs, is missing"),
        (HISTOGRAM, delta(bucket("0.1"), START_US, 7), "this bucket does not reach the bound 0.3"),
        (HISTOGRAM, delta(bucket("all"), START_US, 7), "this bucket does not reach the bound 0.3"),
        (
            HISTOGRAM,
            gauge(bucket("0.3"), START_US, 7),
            "a single value is no count: this indicator reads deltas and counters",
        ),
        (HISTOGRAM, delta(PLAIN, START_US, 7), 'the metric is "latency", wanted "latency_bucket"'),
    ],
)
def test_every_indicator_says_why_it_does_not_read_a_sample(indicator: Indicator, sample: Sample, reason: str) -> None:
    """Its labels are right, or they are named."""
    (found,) = explain(sample, [rule(1, indicator)])

    assert (found.feeds, found.reasons) == (False, (reason,))


def test_a_counter_of_a_ratio_says_both() -> None:
    """That its increase counts, and on which side."""
    (found,) = explain(counter(PLAIN, START_US, 7), [AVAILABILITY])

    assert found.reasons[0].startswith("a counter, by what it grew since its last point; good: bad does not match")
