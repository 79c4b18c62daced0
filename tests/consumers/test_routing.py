"""What each indicator makes of each way to read a series, and how a bound between two buckets is shared out."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.ports import SeriesKey
from consumers.routing import Between, Feed, Reads, carried, feed, route_of, selectors
from evaluators.agreements import (
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    LabelExclusion,
    QuantileIndicator,
    RatioIndicator,
    ResponseIndicator,
    ThresholdIndicator,
    ThroughputIndicator,
    UptimeIndicator,
)
from evaluators.points import Kind, source_of, tagged
from evaluators.selectors import Selector
from tests.consumers.rules import rule

MINUTE_US = 60_000_000
LATENCY = Selector.parse('latency{service="checkout"}')
LABELS = {"service": "checkout", "ticket": "T-1"}
READS: tuple[Reads, ...] = ("values", "deltas", "counters", "states")

RATIO = RatioIndicator(total=LATENCY, bad=Selector.parse('latency{status="500"}'))
THRESHOLD = ThresholdIndicator(LATENCY, "lte", 0.3)
QUANTILE = QuantileIndicator(LATENCY, 0.99, "lte", 0.3, MINUTE_US)
UPTIME = UptimeIndicator(LATENCY, 2 * MINUTE_US)
THROUGHPUT = ThroughputIndicator(LATENCY, "gte", 5.0, MINUTE_US)
FRESHNESS = FreshnessIndicator(LATENCY, MINUTE_US)
RESPONSE = ResponseIndicator(
    LATENCY,
    Selector.parse("closed"),
    "ticket",
    "lte",
    MINUTE_US,
    Selector.parse("waiting"),
    Selector.parse("continued"),
)
HISTOGRAM = HistogramIndicator(LATENCY, 0.3)

COUNTS, UP, SEEN = Feed(1, 1), Feed(kind=Kind.STATE), Feed(kind=Kind.SEEN)
NOTHING = None


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (RATIO, [COUNTS, COUNTS, COUNTS, NOTHING]),
        (THRESHOLD, [Feed(1, 1, 0.3), NOTHING, NOTHING, NOTHING]),
        (QUANTILE, [Feed(kind=Kind.SKETCH), NOTHING, NOTHING, NOTHING]),
        (UPTIME, [UP, NOTHING, NOTHING, UP]),
        (THROUGHPUT, [Feed(0, 1), Feed(0, 1), Feed(0, 1), NOTHING]),
        (FRESHNESS, [SEEN, SEEN, SEEN, SEEN]),
        (HISTOGRAM, [NOTHING, NOTHING, NOTHING, NOTHING]),  # of that name there are neither buckets nor a count
    ],
    ids=lambda found: type(found).__name__,
)
def test_an_indicator_reads_values_deltas_counters_and_states(
    indicator: Indicator, expected: list[Feed | None]
) -> None:
    """In this order; what it cannot read does not feed it, nor do other metrics and labels."""
    assert [feed(indicator, "latency", LABELS, reads) for reads in READS] == expected
    assert [feed(indicator, "logins", LABELS, reads) for reads in READS] == [None] * 4
    assert [feed(indicator, "latency", {"service": "search"}, reads) for reads in READS] == [None] * 4


@pytest.mark.parametrize(
    ("metric", "kind"),
    [("latency", Kind.OPENED), ("closed", Kind.CLOSED), ("waiting", Kind.PAUSED), ("continued", Kind.RESUMED)],
)
def test_a_pair_is_told_by_its_key(metric: str, kind: Kind) -> None:
    """Whatever the metric and the other labels: the source of all four is that of the key."""
    found = [feed(RESPONSE, metric, LABELS, reads) for reads in READS]
    other = feed(RESPONSE, metric, {**LABELS, "ticket": "T-2"}, "values")

    assert [each and each.kind for each in found] == [kind, kind, None, None]
    assert {each.source for each in found if each} == {feed_source("T-1")}
    assert other is not None
    assert other.source == feed_source("T-2")


def feed_source(ticket: str) -> int | None:
    found = feed(RESPONSE, "closed", {"ticket": ticket}, "values")
    assert found is not None
    return found.source


@pytest.mark.parametrize("labels", [{"service": "checkout"}, {"service": "checkout", "ticket": ""}])
def test_an_event_without_a_key_is_of_no_pair(labels: dict[str, str]) -> None:
    """Else all of them would be one."""
    assert feed(RESPONSE, "latency", labels, "values") is None


@pytest.mark.parametrize("reads", ["deltas", "counters"])
def test_a_histogram_reads_its_count_and_the_buckets_from_its_bound_on(reads: Reads) -> None:
    """The bucket at the bound whole, those above it as far as they reach under it."""
    read = {le: feed(HISTOGRAM, "latency_bucket", {**LABELS, "le": le}, reads) for le in ("0.1", "0.30", "1", "+Inf")}
    source = source_of("latency_bucket", LABELS)

    assert feed(HISTOGRAM, "latency_count", LABELS, reads) == Feed(0, 1)
    assert read == {
        "0.1": None,
        "0.30": Feed(1, 0, source=source),
        "1": Feed(1, 0, Between(0.3, 1.0), source=source),
        "+Inf": Feed(1, 0, Between(0.3, math.inf), source=source),
    }


@pytest.mark.parametrize("labels", [{}, {"le": "NaN"}, {"le": "high"}, {"le": ""}])
def test_a_bucket_without_a_bound_is_none(labels: dict[str, str]) -> None:
    """There is nothing to compare."""
    assert feed(HISTOGRAM, "latency_bucket", {**LABELS, **labels}, "deltas") is None


@pytest.mark.parametrize("reads", ["values", "states"])
def test_a_single_value_is_no_bucket(reads: Reads) -> None:
    """Nor a count."""
    assert feed(HISTOGRAM, "latency_bucket", {**LABELS, "le": "0.3"}, reads) is None
    assert feed(HISTOGRAM, "latency_count", LABELS, reads) is None


def test_what_is_read_is_what_is_selected() -> None:
    """Matching files rules by these; one that were missing would never be asked."""
    assert [each.metric for each in selectors(HISTOGRAM)] == ["latency_bucket", "latency_count"]
    assert [each.metric for each in selectors(RESPONSE)] == ["latency", "closed", "waiting", "continued"]
    assert selectors(UPTIME) == [LATENCY]
    assert selectors(RATIO) == [RATIO.total, RATIO.bad]
    assert [selectors(each) for each in (THRESHOLD, QUANTILE, THROUGHPUT, FRESHNESS)] == [[LATENCY]] * 4


# ---------------------------------------------------------------------------------------------------- what is carried


@pytest.mark.parametrize("out", [False, True])
def test_what_is_carried_says_whose_it_is_and_what_it_does(out: bool) -> None:
    """Sources are series, but of sightings the view, of pairs the key, and of values their bucket."""
    series = source_of("latency", LABELS)

    def of(indicator: Indicator, reads: Reads) -> tuple[Kind, int, int | None] | None:
        found = feed(indicator, "latency", LABELS, reads)
        assert found is not None
        carry = carried(found, "latency", LABELS, reads, excluded=out)
        return None if carry is None else (carry.kind, carry.tag, carry.source)

    assert of(RATIO, "values") is of(RATIO, "deltas") is of(THRESHOLD, "values") is of(THROUGHPUT, "deltas") is None
    assert of(RATIO, "counters") == (Kind.COUNTER, tagged(Kind.COUNTER, good=1, total=1, excluded=out), series)
    assert of(THROUGHPUT, "counters") == (Kind.COUNTER, tagged(Kind.COUNTER, total=1, excluded=out), series)
    assert of(UPTIME, "values") == (Kind.STATE, tagged(Kind.STATE, excluded=out), series)
    assert of(FRESHNESS, "counters") == (Kind.SEEN, tagged(Kind.SEEN, excluded=out), int(out))
    assert of(QUANTILE, "values") == (Kind.SKETCH, tagged(Kind.SKETCH, excluded=out), None)
    assert of(RESPONSE, "values") == (Kind.OPENED, tagged(Kind.OPENED, excluded=out), feed_source("T-1"))


def test_a_route_has_the_group_and_the_exclusions_of_its_samples() -> None:
    """As for what is counted at once."""
    own = LabelExclusion("own", "customer", Selector.parse('{tenant="internal"}'))
    every = rule(4, UPTIME, 5, 10, group_by=("zone", "ticket"), exclusions=(own,))

    found = [route_of(every, "latency", {**LABELS, "tenant": tenant}, "states") for tenant in ("internal", "acme")]

    routes = [each[0] for each in found if each is not None]
    assert [each.key for each in routes] == [SeriesKey(4, ("", "T-1"))] * 2
    assert [each.excluded for each in routes] == [True, False]
    assert [each.carry and each.carry.tag for each in routes] == [
        tagged(Kind.STATE, excluded=True),
        tagged(Kind.STATE),
    ]
    assert [routes[0].covers(time_us) for time_us in (4, 5, 14, 15)] == [False, True, True, False]


# ------------------------------------------------------------------------------------------------ between two buckets


def test_a_bound_within_a_bucket_takes_its_share_of_it() -> None:
    """Rounded down: 70 + 25 x 1/2."""
    assert Between(0.2, 0.3).share((0.1, 70), 95) == 82


@pytest.mark.parametrize(
    ("upper", "below", "expected"),
    [
        (1.0, None, None),  # nobody knows where the bucket begins
        (1.0, (0.3, 70), None),  # the bound is the end of the one before
        (1.0, (0.5, 70), None),
        (math.inf, (0.1, 70), 70),  # how far an endless one reaches nobody knows
        (1.0, (-math.inf, 0), 0),
        (1.0, (math.nan, 70), 70),
        (1.7976931348623157e308, (-1.7976931348623157e308, 0), 50),
    ],
)
def test_a_bucket_that_is_not_the_bound_s_or_has_no_end(
    upper: float, below: tuple[float, int] | None, expected: int | None
) -> None:
    """None: nothing is said. What lies under the bucket counts in any case."""
    assert Between(0.3, upper).share(below, 100) == expected


def test_half_a_bucket_of_two_is_one() -> None:
    """In floats (0.3 - 0.1) / (0.5 - 0.1) is a little less than a half, and a half of two would be none."""
    assert Between(0.3, 0.5).share((0.1, 0), 2) == 1


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    edges=st.lists(numbers, min_size=3, max_size=3, unique=True).map(sorted),
    under=st.integers(0, 1 << 63),
    more=st.integers(0, 1 << 63),
    step=st.integers(0, 1 << 40),
    low_step=st.integers(0, 1 << 40),
)
def test_a_share_is_exact_and_never_falls_as_counts_rise(
    edges: list[float], under: int, more: int, step: int, low_step: int
) -> None:
    """A cumulative counter of it would seem to restart."""
    lower, bound, upper = edges
    between = Between(bound, upper)
    share = between.share((lower, under), under + more)
    later = between.share((lower, under + low_step), under + low_step + more + step)

    part = (Fraction(repr(bound)) - Fraction(repr(lower))) / (Fraction(repr(upper)) - Fraction(repr(lower)))
    assert share == under + math.floor(more * part)
    assert share is not None
    assert later is not None
    assert under <= share <= under + more
    assert share <= later


def test_an_event_that_none_of_the_four_selects_is_of_no_pair() -> None:
    """Though it has the key."""
    assert feed(RESPONSE, "logins", LABELS, "values") is None
