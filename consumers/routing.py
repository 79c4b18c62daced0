"""What one series of samples does to one indicator: which side it counts on, or what is carried to the evaluator.

Most samples are counted here and now. Counters, states, sightings, pairs and sketches cannot be: what they say depends on
what came before or comes later, so their points are carried (see `evaluators.points`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal

from consumers.ports import MatchRule, SeriesKey
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
from evaluators.points import Kind, hashed, source_of, tagged
from evaluators.selectors import Selector

Reads = Literal["values", "deltas", "counters", "states"]
"""What samples of a series are: values to compare, occurrences since the last one, occurrences since the series began, or
states that hold.
"""
BUCKET: Final = "_bucket"
COUNT: Final = "_count"
BOUND: Final = "le"


@dataclass(frozen=True, slots=True)
class Between:
    """A histogram's bound within the bucket that ends at `upper`: how much of it lies at or under the bound is worked out
    from the bucket before.
    """

    bound: float
    upper: float

    def share(self, below: tuple[float, int] | None, count: int) -> int | None:
        """Of a bucket with all that is under it, and the one before: what is at or under the bound; None: another bucket's
        matter. Rounded down; of a bucket without an end nothing lies under the bound.
        """
        if below is None or below[0] >= self.bound:
            return None
        lower, under = below
        if not (math.isfinite(lower) and math.isfinite(self.upper)):
            return under
        parts, whole = _part(lower, self.bound, self.upper)
        return under + (count - under) * parts // whole


@dataclass(frozen=True, slots=True)
class Carry:
    """Points of a kind; `source` None: the bucket of each value."""

    kind: Kind
    tag: int
    source: int | None


@dataclass(frozen=True, slots=True)
class Route:
    """Into one series, for event times in [from_us, until_us).

    A sample of weight w adds `good` x w and `total` x w (each -1, 0 or 1). Where `cut` is set, it adds to good only if
    its value is at or below the cut (`above`: only if it is not), or what lies under a bound between buckets. Where
    `carry` is set, nothing is added: it is carried.
    """

    key: SeriesKey
    from_us: int
    until_us: int | None
    good: int
    total: int
    excluded: bool
    cut: int | None = None
    above: bool = False
    carry: Carry | None = None

    def covers(self, time_us: int) -> bool:
        return self.from_us <= time_us and (self.until_us is None or time_us < self.until_us)


@dataclass(frozen=True, slots=True)
class Feed:
    """How an indicator reads a series of samples: counts, a cut (a value, or a bound between buckets), or a carried kind."""

    good: int = 0
    total: int = 0
    cut: float | Between | None = None
    above: bool = False
    kind: Kind | None = None
    source: int | None = None


def feed(indicator: Indicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    """None: it does not read it."""
    return _FEEDS[type(indicator)](indicator, metric, labels, reads)


def carried(found: Feed, metric: str, labels: Mapping[str, str], reads: Reads, *, excluded: bool) -> Carry | None:
    """What is carried of it, if anything."""
    kind = Kind.COUNTER if found.kind is None and reads == "counters" else found.kind
    if kind is None:
        return None
    tag = tagged(kind, good=found.good, total=found.total, excluded=excluded)
    if kind is Kind.SEEN:
        return Carry(kind, tag, int(excluded))
    if kind is Kind.SKETCH:
        return Carry(kind, tag, None)
    return Carry(kind, tag, source_of(metric, labels) if found.source is None else found.source)


def selectors(indicator: Indicator) -> list[Selector]:
    """All that it reads."""
    match indicator:
        case RatioIndicator():
            found = [indicator.total, indicator.good, indicator.bad]
        case HistogramIndicator():
            found = list(_sides(indicator.metric))
        case UptimeIndicator():
            found = [indicator.state]
        case ResponseIndicator():
            found = [indicator.opened, indicator.closed, indicator.paused, indicator.resumed]
        case _:
            found = [indicator.metric]
    return [each for each in found if each is not None]


def _ratio(indicator: RatioIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    shares = None if reads == "states" else ratio_shares(indicator, metric, labels)
    return None if shares is None else Feed(*shares)


def _threshold(indicator: ThresholdIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    if reads != "values" or not indicator.metric.matches(metric, labels):
        return None
    cut, above = at_or_below(indicator.op, indicator.bound)
    return Feed(1, 1, cut, above)


def _histogram(indicator: HistogramIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    if reads not in {"deltas", "counters"}:
        return None
    buckets, count = _sides(indicator.metric)
    if count.matches(metric, labels):
        return Feed(0, 1)
    upper = _number(labels.get(BOUND, ""))
    if math.isnan(upper) or upper < indicator.bound or not buckets.matches(metric, labels):
        return None
    rest = {name: value for name, value in labels.items() if name != BOUND}
    source = source_of(metric, rest)  # at the bound it is one counter, whatever its bucket is called by now
    return Feed(1, 0, None if upper == indicator.bound else Between(indicator.bound, upper), source=source)


def _quantile(indicator: QuantileIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    reading = reads == "values" and indicator.metric.matches(metric, labels)
    return Feed(kind=Kind.SKETCH) if reading else None


def _uptime(indicator: UptimeIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    reading = reads in {"values", "states"} and indicator.state.matches(metric, labels)
    return Feed(kind=Kind.STATE) if reading else None


def _throughput(indicator: ThroughputIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    return Feed(0, 1) if reads != "states" and indicator.metric.matches(metric, labels) else None


def _freshness(indicator: FreshnessIndicator, metric: str, labels: Mapping[str, str], _: Reads) -> Feed | None:
    return Feed(kind=Kind.SEEN) if indicator.metric.matches(metric, labels) else None


def _response(indicator: ResponseIndicator, metric: str, labels: Mapping[str, str], reads: Reads) -> Feed | None:
    key = labels.get(indicator.key)
    if not key or reads in {"counters", "states"}:
        return None
    events = {
        Kind.OPENED: indicator.opened,
        Kind.CLOSED: indicator.closed,
        Kind.PAUSED: indicator.paused,
        Kind.RESUMED: indicator.resumed,
    }
    for kind, selector in events.items():
        if selector is not None and selector.matches(metric, labels):
            return Feed(kind=kind, source=hashed((key,)))
    return None


_FEEDS: Final[dict[type, Callable[..., Feed | None]]] = {
    RatioIndicator: _ratio,
    ThresholdIndicator: _threshold,
    HistogramIndicator: _histogram,
    QuantileIndicator: _quantile,
    UptimeIndicator: _uptime,
    ThroughputIndicator: _throughput,
    FreshnessIndicator: _freshness,
    ResponseIndicator: _response,
}


def route_of(
    rule: MatchRule, metric: str, labels: Mapping[str, str], reads: Reads
) -> tuple[Route, float | Between | None] | None:
    """The route of a series of samples by one rule, and what it is cut by; None: the rule does not read it."""
    found = feed(rule.indicator, metric, labels, reads)
    if found is None:
        return None
    key = SeriesKey(rule.indicator_id, tuple(labels.get(name, "") for name in rule.group_by))
    excluded = any(exclusion.where.matches(metric, labels) for exclusion in rule.exclusions)
    carry = carried(found, metric, labels, reads, excluded=excluded)
    route = Route(key, rule.from_us, rule.until_us, found.good, found.total, excluded, above=found.above, carry=carry)
    return route, found.cut


def ratio_shares(indicator: RatioIndicator, metric: str, labels: Mapping[str, str]) -> tuple[int, int] | None:
    """What one occurrence adds to (good, total); None: it is not read.

    `total` says which samples count, `good` or `bad` which of them are good. Where the two name different metrics, no
    sample can be both, and each adds to its own side.
    """
    counts = indicator.total.matches(metric, labels)
    judged = judge(indicator).matches(metric, labels)
    if separate(indicator) and judged:
        return (1, 0) if indicator.good is not None else (-1, 0)
    if not counts:
        return None
    if separate(indicator):
        return (0, 1) if indicator.good is not None else (1, 1)
    return (int(judged == (indicator.good is not None)), 1)


def separate(indicator: RatioIndicator) -> bool:
    """Whether the two sides of a ratio are counted by different metrics, such as errors_total and requests_total."""
    side = judge(indicator)
    return None not in (side.metric, indicator.total.metric) and side.metric != indicator.total.metric


def judge(indicator: RatioIndicator) -> Selector:
    """The selector that says which are good, or bad."""
    side = indicator.bad if indicator.good is None else indicator.good
    assert side is not None, "exactly one of good and bad is given"
    return side


def at_or_below(op: Comparison, bound: float) -> tuple[float, bool]:
    """(cut, above): `value op bound` as `value <= cut`, or as its opposite if `above`."""
    if op == "lte":
        return bound, False
    if op == "gt":
        return bound, True
    return math.nextafter(bound, -math.inf), op == "gte"


@lru_cache(maxsize=4096)
def _part(lower: float, bound: float, upper: float) -> tuple[int, int]:
    """How much of a bucket lies at or under the bound, as a fraction of the decimals that people wrote: in floats the half
    of a bucket is now and then a little less, which rounded down is one occurrence less.
    """
    first, middle, last = (Fraction(repr(edge)) for edge in (lower, bound, upper))
    return ((middle - first) / (last - first)).as_integer_ratio()


@lru_cache(maxsize=4096)
def _sides(metric: Selector) -> tuple[Selector, Selector]:
    """A histogram's buckets and its count."""
    name = metric.metric or ""
    return replace(metric, metric=name + BUCKET), replace(metric, metric=name + COUNT)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
