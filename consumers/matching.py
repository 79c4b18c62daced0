"""Which indicators a sample feeds, decided once per distinct (metric, labels).

A `Target` is what a sample with these labels does: the routes into series, and the cuts that its value is compared
with. Everything is brought to one comparison, `value <= cut`, so that the hot loop knows no operators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.ports import MatchRule, SeriesKey
from evaluators.agreements import Comparison, RatioIndicator, ThresholdIndicator
from evaluators.selectors import Selector

BYTES_KEPT: Final = 64 * 1024 * 1024
"""Of distinct (metric, labels) remembered, about; then all are forgotten, which costs one more match each."""
_BYTES_EACH: Final = 256
"""Of one of them, and of each of its routes, beside the text."""


@dataclass(frozen=True, slots=True)
class Route:
    """Into one series, for event times in [from_us, until_us).

    A sample of weight w adds `good` x w and `total` x w (each -1, 0 or 1). Where `cut` is set, it adds to good only if
    its value is at or below the cut (`above`: only if it is not).
    """

    key: SeriesKey
    from_us: int
    until_us: int | None
    good: int
    total: int
    excluded: bool
    cut: int | None = None
    above: bool = False

    def covers(self, time_us: int) -> bool:
        return self.from_us <= time_us and (self.until_us is None or time_us < self.until_us)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What samples of one (metric, labels) feed. `edges`: event times at which their definitions change."""

    routes: tuple[Route, ...]
    cuts: tuple[float, ...]
    edges: tuple[int, ...]


UNMATCHED: Final = Target((), (), ())


class Matcher:
    """Rules of one revision of the definitions. Bounded: forgets what it knows when it knows too much."""

    def __init__(self, rules: Sequence[MatchRule]) -> None:
        self._anywhere: list[MatchRule] = []
        self._by_metric: dict[str, list[MatchRule]] = {}
        for rule in rules:
            self._file(rule)
        self._targets: dict[tuple[str, frozenset[tuple[str, str]], bool], Target] = {}
        self._bytes = 0

    def target(self, metric: str, labels: Mapping[str, str], *, compares: bool) -> Target:
        """`compares`: the samples have a value that thresholds may read (deltas have none)."""
        rules = self._by_metric.get(metric, self._anywhere)
        if not rules:
            return UNMATCHED
        key = (metric, frozenset(labels.items()), compares)
        known = self._targets.get(key)
        if known is None:
            known = self._targets[key] = _target(rules, metric, labels, compares=compares)
            self._bytes += _BYTES_EACH * (1 + len(known.routes)) + sum(len(n) + len(v) for n, v in labels.items())
            if self._bytes > BYTES_KEPT:
                self._targets.clear()
                self._bytes = 0
        return known

    def _file(self, rule: MatchRule) -> None:
        """Under every metric that it can read; under all of them if it does not pin one."""
        metrics = {selector.metric for selector in _selectors(rule)}
        if None in metrics:
            self._anywhere.append(rule)
            for filed in self._by_metric.values():
                filed.append(rule)
            return
        for metric in metrics:
            assert metric is not None
            self._by_metric.setdefault(metric, list(self._anywhere)).append(rule)


def _selectors(rule: MatchRule) -> list[Selector]:
    indicator = rule.indicator
    if isinstance(indicator, ThresholdIndicator):
        return [indicator.metric]
    return [each for each in (indicator.total, indicator.good, indicator.bad) if each is not None]


def _target(rules: Sequence[MatchRule], metric: str, labels: Mapping[str, str], *, compares: bool) -> Target:
    routes: list[Route] = []
    cuts: list[float] = []
    for rule in rules:
        shares = _ratio_shares(rule.indicator, metric, labels) if isinstance(rule.indicator, RatioIndicator) else None
        cut, above = None, False
        if (
            isinstance(rule.indicator, ThresholdIndicator)
            and compares
            and rule.indicator.metric.matches(metric, labels)
        ):
            shares = (1, 1)
            bound, above = at_or_below(rule.indicator.op, rule.indicator.bound)
            if bound not in cuts:
                cuts.append(bound)
            cut = cuts.index(bound)
        if shares is None:
            continue
        key = SeriesKey(rule.indicator_id, tuple(labels.get(name, "") for name in rule.group_by))
        excluded = any(exclusion.where.matches(metric, labels) for exclusion in rule.exclusions)
        routes.append(Route(key, rule.from_us, rule.until_us, *shares, excluded, cut, above))
    if not routes:
        return UNMATCHED
    edges = {edge for route in routes for edge in (route.from_us, route.until_us) if edge is not None}
    return Target(tuple(routes), tuple(cuts), tuple(sorted(edges)))


def _ratio_shares(indicator: RatioIndicator, metric: str, labels: Mapping[str, str]) -> tuple[int, int] | None:
    """What one occurrence adds to (good, total); None: it is not read.

    `total` says which samples count, `good` or `bad` which of them are good. Where the two name different metrics, no
    sample can be both, and each adds to its own side.
    """
    counts = indicator.total.matches(metric, labels)
    judged = _judge(indicator).matches(metric, labels)
    if separate(indicator) and judged:
        return (1, 0) if indicator.good is not None else (-1, 0)
    if not counts:
        return None
    if separate(indicator):
        return (0, 1) if indicator.good is not None else (1, 1)
    return (int(judged == (indicator.good is not None)), 1)


def separate(indicator: RatioIndicator) -> bool:
    """Whether the two sides of a ratio are counted by different metrics, such as errors_total and requests_total."""
    judge = _judge(indicator)
    return None not in (judge.metric, indicator.total.metric) and judge.metric != indicator.total.metric


def _judge(indicator: RatioIndicator) -> Selector:
    judge = indicator.bad if indicator.good is None else indicator.good
    assert judge is not None, "exactly one of good and bad is given"
    return judge


def at_or_below(op: Comparison, bound: float) -> tuple[float, bool]:
    """(cut, above): `value op bound` as `value <= cut`, or as its opposite if `above`."""
    if op == "lte":
        return bound, False
    if op == "gt":
        return bound, True
    return math.nextafter(bound, -math.inf), op == "gte"


# --------------------------------------------------------------------------------------------------------- in words


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether one sample feeds one objective, and why."""

    agreement: str
    objective: str
    feeds: bool
    reasons: tuple[str, ...]


def explain(
    metric: str, labels: Mapping[str, str], value: float | None, time_us: int, rules: Sequence[MatchRule]
) -> list[Explanation]:
    """One item per rule, in their order. `value` None: a delta."""
    return [
        Explanation(rule.agreement, rule.objective, *_explained(rule, metric, labels, value, time_us)) for rule in rules
    ]


def _explained(
    rule: MatchRule, metric: str, labels: Mapping[str, str], value: float | None, time_us: int
) -> tuple[bool, tuple[str, ...]]:
    if time_us < rule.from_us:
        return False, ("this version of the definition is not in force yet at the event's time",)
    if rule.until_us is not None and time_us >= rule.until_us:
        return False, ("this version of the definition is no longer in force at the event's time",)
    indicator = rule.indicator
    target = _target([rule], metric, labels, compares=value is not None)
    if not target.routes:
        if isinstance(indicator, ThresholdIndicator):
            mismatches = indicator.metric.mismatches(metric, labels)
            return False, tuple(mismatches) or ("a delta has no value of its own to compare with the bound",)
        judge = _judge(indicator)
        nearest = judge if separate(indicator) and metric == judge.metric else indicator.total
        return False, tuple(nearest.mismatches(metric, labels))
    route = target.routes[0]
    reasons = [_judgement(route, target, indicator, metric, labels, value)]
    if rule.group_by:
        reasons.append("group " + ", ".join(f'{n}="{v}"' for n, v in zip(rule.group_by, route.key.labels, strict=True)))
    excluded = [each.name for each in rule.exclusions if each.where.matches(metric, labels)]
    if excluded:
        reasons.append(f"not counted in the contractual view: exclusion {', '.join(excluded)}")
    return True, tuple(reasons)


_WORDS: Final = {"lt": "below", "lte": "at or below", "gt": "above", "gte": "at or above"}


def _judgement(
    route: Route,
    target: Target,
    indicator: RatioIndicator | ThresholdIndicator,
    metric: str,
    labels: Mapping[str, str],
    value: float | None,
) -> str:
    if isinstance(indicator, ThresholdIndicator):
        assert route.cut is not None
        assert value is not None
        good = (value <= target.cuts[route.cut]) != route.above
        return f"{'good' if good else 'bad'}: {value:g} is {'' if good else 'not '}{_WORDS[indicator.op]} {indicator.bound:g}"
    if route.total == 0:
        return "counts on the good side alone" if route.good > 0 else "counts on the bad side alone"
    judge = _judge(indicator)
    side = "bad" if indicator.good is None else "good"
    if separate(indicator):
        return f"counts in the total; what is {side} comes from {judge.metric}"
    why = judge.mismatches(metric, labels)
    verdict = "good" if route.good else "bad"
    return f"{verdict}: " + (f"{side} does not match, {'; '.join(why)}" if why else f"{side} matches")
