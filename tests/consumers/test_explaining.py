"""`explain`: whether a sample feeds an objective, and why, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from consumers.explaining import explain
from consumers.formats.samples import delta, gauge
from consumers.formats.series import Series
from consumers.matching import Matcher
from consumers.ports import MatchRule
from evaluators.agreements import Comparison, RatioIndicator, ThresholdIndicator
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
    assert why(LATENCY, value=None) == (False, ("a delta has no value of its own to compare with the bound",))


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
