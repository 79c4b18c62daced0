"""Whether a sample feeds an objective, and why, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consumers import routing
from consumers.formats.samples import Sample
from consumers.matching import Target, target_of
from consumers.ports import MatchRule
from consumers.routing import Reads, Route
from evaluators.agreements import (
    HistogramIndicator,
    Indicator,
    RatioIndicator,
    ResponseIndicator,
    ThresholdIndicator,
)
from evaluators.points import Kind


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether one sample feeds one objective, and why."""

    agreement: str
    objective: str
    feeds: bool
    reasons: tuple[str, ...]


def explain(sample: Sample, rules: Sequence[MatchRule]) -> list[Explanation]:
    """One item per rule, in their order."""
    return [Explanation(rule.agreement, rule.objective, *_explained(rule, sample)) for rule in rules]


def _explained(rule: MatchRule, sample: Sample) -> tuple[bool, tuple[str, ...]]:
    if sample.time_us < rule.from_us:
        return False, ("this version of the definition is not in force yet at the event's time",)
    if rule.until_us is not None and sample.time_us >= rule.until_us:
        return False, ("this version of the definition is no longer in force at the event's time",)
    metric, labels = sample.metric, sample.labels
    target = target_of([rule], metric, labels, sample.reads)
    if not target.routes:
        return False, _unread(rule.indicator, sample)
    route = target.routes[0]
    reasons = [_judgement(route, target, rule.indicator, sample)]
    if rule.group_by:
        reasons.append("group " + ", ".join(f'{n}="{v}"' for n, v in zip(rule.group_by, route.key.labels, strict=True)))
    excluded = [each.name for each in rule.exclusions if each.where.matches(metric, labels)]
    if excluded:
        reasons.append(f"not counted in the contractual view: exclusion {', '.join(excluded)}")
    return True, tuple(reasons)


_UNREADABLE: Final[Mapping[Reads, str]] = {
    "values": "a single value is no count: this indicator reads deltas and counters",
    "deltas": "a delta says how many there were: this indicator reads single values",
    "counters": "a counter says how many there were: this indicator reads single values",
    "states": "a state weighs time, not occurrences: uptime reads it",
}


def _unread(indicator: Indicator, sample: Sample) -> tuple[str, ...]:
    """Why an indicator does not read a sample: by the selector that is nearest to it."""
    metric, labels = sample.metric, sample.labels
    every = routing.selectors(indicator)
    nearest = next((each for each in every if each.metric == metric), every[0])
    if isinstance(indicator, RatioIndicator) and not (routing.separate(indicator) and nearest is not every[0]):
        nearest = indicator.total
    mismatches = tuple(nearest.mismatches(metric, labels))
    if mismatches:
        return mismatches
    if isinstance(indicator, ResponseIndicator) and not labels.get(indicator.key):
        return (f"label {indicator.key}, the key of pairs, is missing",)
    if isinstance(indicator, HistogramIndicator) and sample.reads in {"deltas", "counters"}:
        return (f"this bucket does not reach the bound {indicator.bound:g}",)
    return (_UNREADABLE[sample.reads],)


_WORDS: Final = {"lt": "below", "lte": "at or below", "gt": "above", "gte": "at or above"}
_CARRIED: Final[Mapping[Kind, str]] = {
    Kind.STATE: "a state, which holds until the next one",
    Kind.SEEN: "seen: from here the gap is measured",
    Kind.SKETCH: "a value for the quantile",
    Kind.OPENED: "opens",
    Kind.CLOSED: "closes",
    Kind.PAUSED: "pauses",
    Kind.RESUMED: "resumes",
}


def _judgement(route: Route, target: Target, indicator: Indicator, sample: Sample) -> str:
    counter = "a counter, by what it grew since its last point; " if sample.reads == "counters" else ""
    if route.carry is not None and route.carry.kind is not Kind.COUNTER:
        return _CARRIED[route.carry.kind]
    match indicator:
        case ThresholdIndicator():
            return _compared(route, target, indicator, sample.value or 0.0)
        case HistogramIndicator():
            return counter + _bucketed(target, indicator, sample)
        case RatioIndicator():
            return counter + _sided(route, indicator, sample.metric, sample.labels)
        case _:
            return counter + "counts"


def _compared(route: Route, target: Target, indicator: ThresholdIndicator, value: float) -> str:
    assert route.cut is not None
    good = (value <= target.cuts[route.cut]) != route.above
    return (
        f"{'good' if good else 'bad'}: {value:g} is {'' if good else 'not '}{_WORDS[indicator.op]} {indicator.bound:g}"
    )


def _bucketed(target: Target, indicator: HistogramIndicator, sample: Sample) -> str:
    if sample.metric.endswith(routing.COUNT):
        return "counts in the total"
    if not target.between:
        return f"good: the bucket ends at the bound {indicator.bound:g}"
    if sample.below is None:
        return f"nothing: the bound {indicator.bound:g} is no bucket's, and the bucket before is not known"
    if sample.below[0] >= indicator.bound:
        return f"nothing: another bucket reaches the bound {indicator.bound:g}"
    lower, upper = sample.below[0], sample.labels[routing.BOUND]
    if not (math.isfinite(lower) and math.isfinite(target.between[0].upper)):
        return (
            f"good: what lies under {lower:g}; how much of a bucket without an end lies under the bound "
            f"{indicator.bound:g} nobody knows"
        )
    return f"good, interpolated: the bound {indicator.bound:g} lies between {lower:g} and {upper}"


def _sided(route: Route, indicator: RatioIndicator, metric: str, labels: Mapping[str, str]) -> str:
    if route.total == 0:
        return "counts on the good side alone" if route.good > 0 else "counts on the bad side alone"
    judge = routing.judge(indicator)
    side = "bad" if indicator.good is None else "good"
    if routing.separate(indicator):
        return f"counts in the total; what is {side} comes from {judge.metric}"
    why = judge.mismatches(metric, labels)
    verdict = "good" if route.good else "bad"
    return f"{verdict}: " + (f"{side} does not match, {'; '.join(why)}" if why else f"{side} matches")
