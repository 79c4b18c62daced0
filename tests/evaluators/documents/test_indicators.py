"""Indicators as they are written, and what is said about those that are wrong."""

from __future__ import annotations

import pytest

from evaluators.agreements import (
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    QuantileIndicator,
    ResponseIndicator,
    ThroughputIndicator,
    UptimeIndicator,
)
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.selectors import Selector
from tests.evaluators.documents.objective_text import agreement, objective, problems

M = Selector.parse("m")
N = Selector.parse("n")

QUANTILE = "{quantile: {metric: m, q: 0.99, op: lte, value: 0.3, window: 5m}}"
UPTIME = "{uptime: {state: m, staleAfter: 2m, quorum: all}}"
THROUGHPUT = "{throughput: {metric: m, op: gte, perSecond: 5, window: 5m}}"
FRESHNESS = "{freshness: {metric: m, maxGap: 1h}}"
RESPONSE = "{response: {opened: m, closed: n, key: ticket, op: lt, within: 4h}}"
HISTOGRAM = "{histogram: {metric: m, le: 0.3}}"


@pytest.mark.parametrize(
    ("text", "indicator"),
    [
        (HISTOGRAM, HistogramIndicator(M, 0.3)),
        (QUANTILE, QuantileIndicator(M, 0.99, "lte", 0.3, 5 * MINUTE)),
        (QUANTILE.replace(", window: 5m", ""), QuantileIndicator(M, 0.99, "lte", 0.3, MINUTE)),
        (UPTIME, UptimeIndicator(M, 2 * MINUTE, "all")),
        (UPTIME.replace("2m, quorum: all", "10s"), UptimeIndicator(M, 10 * SECOND, "majority")),
        (UPTIME.replace("2m, quorum: all", "1d, quorum: any"), UptimeIndicator(M, DAY, "any")),
        (THROUGHPUT, ThroughputIndicator(M, "gte", 5, 5 * MINUTE)),
        (THROUGHPUT.replace(", window: 5m", ""), ThroughputIndicator(M, "gte", 5, MINUTE)),
        (THROUGHPUT.replace("gte, perSecond: 5", "gt, perSecond: 0"), ThroughputIndicator(M, "gt", 0, 5 * MINUTE)),
        (THROUGHPUT.replace("gte, perSecond: 5", "lte, perSecond: 0"), ThroughputIndicator(M, "lte", 0, 5 * MINUTE)),
        (FRESHNESS, FreshnessIndicator(M, HOUR)),
        (RESPONSE, ResponseIndicator(M, N, "ticket", "lt", 4 * HOUR)),
        (
            RESPONSE.replace("4h", "90d, paused: p, resumed: r"),
            ResponseIndicator(M, N, "ticket", "lt", 90 * DAY, Selector.parse("p"), Selector.parse("r")),
        ),
    ],
)
def test_every_indicator_is_read(text: str, indicator: Indicator) -> None:
    """With its defaults."""
    assert objective(agreement(text)).indicator == indicator


@pytest.mark.parametrize("q", ["0.5", "0.75", "0.9999", "9.9e-1"])
def test_a_quantile_is_a_share(q: str) -> None:
    """From the median to one in ten thousand."""
    indicator = objective(agreement(QUANTILE.replace("q: 0.99", f"q: {q}"))).indicator
    assert isinstance(indicator, QuantileIndicator)
    assert indicator.q == float(q)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("99", "0.99"), ("p99", "0.99"), ("P99.9", "0.999"), ("p999", "0.999"), ("95%", "0.95"), ("50", "0.5")],
)
def test_a_quantile_that_is_written_as_a_percentile_is_translated(written: str, meant: str) -> None:
    """People say p99."""
    (problem,) = problems(agreement(QUANTILE.replace("q: 0.99", f"q: {written}")))

    assert problem.startswith("13: indicator.quantile.q: must be from 0.5 to 0.9999")
    assert problem.endswith(f"(did you mean {meant}?)")


@pytest.mark.parametrize("length", ["1m", "2m", "15m", "1h30m", "1h", "12h", "1d"])
def test_slices_of_whole_minutes_may_fill_a_day(length: str) -> None:
    """So that each begins and ends within its day."""
    assert problems(agreement(QUANTILE.replace("5m", length))) == []
    assert problems(agreement(THROUGHPUT.replace("5m", length))) == []


@pytest.mark.parametrize(
    ("text", "old", "new", "place", "said"),
    [
        # histogram
        (HISTOGRAM, "le: 0.3", "le: '0.3'", "histogram.le", "write it without quotes"),
        (HISTOGRAM, "le: 0.3", "le: .inf", "histogram.le", "must be a number"),
        (HISTOGRAM, ", le: 0.3", "", "histogram.le", "is missing (add le: 0.3)"),
        (HISTOGRAM, "le: 0.3", "le: 0.3, lte: 0.3", "histogram.lte", "did you mean le?"),
        (HISTOGRAM, "metric: m", "metric: m_bucket", "histogram.metric", "did you mean m?"),
        (HISTOGRAM, "metric: m", "metric: m_count", "histogram.metric", "name the histogram itself (did you mean m?)"),
        (HISTOGRAM, "metric: m", "metric: 'm{le=\"0.3\"}'", "histogram.metric", "the bound says which"),
        (HISTOGRAM, "metric: m", "metric: '{a=\"b\"}'", "histogram.metric", "must name its metric"),
        # quantile
        (QUANTILE, "q: 0.99", "q: 0.4", "quantile.q", "99 of 100 samples do not exceed"),
        (QUANTILE, "q: 0.99", "q: 1", "quantile.q", "must be from 0.5 to 0.9999"),
        (QUANTILE, "q: 0.99", "q: 0.99999", "quantile.q", "must be from 0.5 to 0.9999"),
        (QUANTILE, "q: 0.99", "q: most", "quantile.q", "must be a number"),
        (QUANTILE, "q: 0.99, ", "", "quantile.q", "add q: 0.99"),
        (QUANTILE, "op: lte", "op: <=", "quantile.op", "did you mean lte?"),
        (QUANTILE, "metric: m", "metric: '{a=\"b\"}'", "quantile.metric", "must name its metric"),
        (QUANTILE, "5m", "30s", "quantile.window", "from 1m to 1d, is 30s"),
        (QUANTILE, "5m", "2d", "quantile.window", "from 1m to 1d"),
        (QUANTILE, "5m", "7m", "quantile.window", "divides a day (did you mean 6m or 8m?)"),
        (QUANTILE, "5m", "90s", "quantile.window", "90s is not a number of whole minutes that divides a day"),
        (QUANTILE, "5m", "5", "quantile.window", "such as 10s"),
        # uptime
        (UPTIME, "2m", "5s", "uptime.staleAfter", "from 10s to 1d"),
        (UPTIME, "2m", "2d", "uptime.staleAfter", "from 10s to 1d"),
        (UPTIME, "quorum: all", "quorum: every", "uptime.quorum", "did you mean all?"),
        (UPTIME, "quorum: all", "quorum: most", "uptime.quorum", "did you mean majority?"),
        (UPTIME, "quorum: all", "quorum: 2", "uptime.quorum", "must be text"),
        (UPTIME, "state: m", "state: '{a=\"b\"}'", "uptime.state", "must name its metric"),
        (UPTIME, "state: m", "state: m, metric: m", "uptime.metric", "known here: state, staleAfter, quorum"),
        (UPTIME, ", staleAfter: 2m", "", "uptime.staleAfter", "add staleAfter: 2m"),
        # throughput
        (THROUGHPUT, "perSecond: 5", "perSecond: -1", "throughput.perSecond", "or 0.1 for six a minute"),
        (THROUGHPUT, "perSecond: 5", "perSecond: 0", "throughput.perSecond", "did you mean op: gt?"),
        (THROUGHPUT, "gte, perSecond: 5", "lt, perSecond: 0", "throughput.perSecond", "did you mean op: lte?"),
        (THROUGHPUT, "perSecond: 5", "perSecond: 5/s", "throughput.perSecond", "must be a number"),
        (THROUGHPUT, "metric: m", "metric: '{a=\"b\"}'", "throughput.metric", "must name its metric"),
        (THROUGHPUT, "5m", "7h", "throughput.window", "did you mean 6h or 8h?"),
        # freshness
        (FRESHNESS, "1h", "30s", "freshness.maxGap", "from 1m to 7d"),
        (FRESHNESS, "1h", "8d", "freshness.maxGap", "from 1m to 7d"),
        (FRESHNESS, "metric: m", "metric: '{a=\"b\"}'", "freshness.metric", "must name its metric"),
        # response
        (RESPONSE, "op: lt", "op: gt", "response.op", "must be lt or lte"),
        (RESPONSE, "op: lt", "op: <=", "response.op", "did you mean lte?"),
        (RESPONSE, "key: ticket", "key: a ticket", "response.key", "no label name (such as ticket)"),
        (RESPONSE, "key: ticket", "key: __name__", "response.key", "no label name"),
        (RESPONSE, "4h", "91d", "response.within", "from 1s to 90d"),
        (RESPONSE, "4h", "4h, paused: p", "response.paused", "add resumed: ticket_resumed"),
        (RESPONSE, "4h", "4h, resumed: p", "response.resumed", "add paused: ticket_paused"),
        (RESPONSE, "4h", "4h, paused: p, resumed: p", "response.resumed", "the same samples as paused"),
        (RESPONSE, "m, closed: n", "'m{a=\"b\"}', closed: \"{a='b',__name__='m'}\"", "response.closed", "as opened"),
        (RESPONSE, "closed: n", "closed: '{a=\"b\"}'", "response.closed", "must name its metric"),
        # which one
        (HISTOGRAM, "histogram: {", "histgram: {", "histgram", "did you mean histogram?"),
        (HISTOGRAM, "le: 0.3}", "le: 0.3}, freshness: {}", "", "holds histogram and freshness (keep one of them)"),
    ],
)
def test_what_is_wrong_with_an_indicator_is_said_with_the_mend(
    text: str, old: str, new: str, place: str, said: str
) -> None:
    """Where it stands, and nothing else is reported."""
    assert old in text

    (problem,) = problems(agreement(text.replace(old, new, 1)))

    assert problem.startswith(f"13: indicator{'.' * bool(place)}{place}: "), problem
    assert said in problem


def test_an_empty_indicator_lists_all_that_there_are() -> None:
    """Whoever looks for one finds its name."""
    (problem,) = problems(agreement("{}"))

    assert problem.startswith(
        "13: indicator: needs ratio, threshold, histogram, quantile, uptime, throughput, freshness or response"
    )


@pytest.mark.parametrize(("text", "kind"), [(QUANTILE, "quantile"), (THROUGHPUT, "throughput")])
def test_a_slice_is_no_longer_than_the_period(text: str, kind: str) -> None:
    """A period without one whole slice would have no figure."""
    assert problems(agreement(text.replace("5m", "1h"), period="rolling: 1h")) == []
    assert problems(agreement(text.replace("5m", "1d"), period="calendar: day")) == []
    assert problems(agreement(text.replace("5m", "2h"), period="rolling: 1h")) == [
        f"13: indicator.{kind}.window: is longer than the period, 1h (several slices make a period)"
    ]


@pytest.mark.parametrize("period", ["rolling: 10s", "rolling: soon", "calendar: monthly", ""])
def test_a_period_that_cannot_be_read_makes_no_slice_too_long(period: str) -> None:
    """One mistake, one problem."""
    (problem,) = problems(agreement(QUANTILE.replace("5m", "1d"), period=period))

    assert problem.startswith("15: period")
