"""Whether two objectives count the same: a stable name for what an objective counts, whatever its formatting."""

from __future__ import annotations

import hashlib
import json

from evaluators.agreements import (
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    Objective,
    Occurrences,
    QuantileIndicator,
    RatioIndicator,
    RatioTimeslices,
    ThresholdIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.selectors import Selector


def indicator_fingerprint(objective: Objective) -> str:
    """32 hex digits. Equal for equal selectors, however they are written, and for groupBy in any order.

    A new one starts the objective's windows anew; target, period, alerts and names leave it as it is. A budget of
    occurrences adds nothing, so that what was stored before there were slices keeps its name.
    """
    counted: list[object] = [_indicator(objective.indicator), sorted(objective.group_by)]
    if not isinstance(objective.budgeting, Occurrences):
        counted.append(_slices(objective.budgeting))
    subject = json.dumps(counted, separators=(",", ":"))
    return hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()


def _indicator(indicator: Indicator) -> list[object]:
    """A tag of its own for each kind, then all that decides what counts and what is good."""
    match indicator:
        case RatioIndicator(total, good, bad):
            counted: list[object] = ["ratio", _canonical(total), _canonical(good), _canonical(bad)]
        case ThresholdIndicator(metric, op, bound):
            counted = ["threshold", _canonical(metric), op, float(bound)]
        case HistogramIndicator(metric, bound):
            counted = ["histogram", _canonical(metric), _number(bound)]
        case QuantileIndicator(metric, q, op, bound, window_us):
            counted = ["quantile", _canonical(metric), _number(q), op, _number(bound), window_us]
        case UptimeIndicator(state, stale_after_us, quorum):
            counted = ["uptime", _canonical(state), stale_after_us, quorum]
        case ThroughputIndicator(metric, op, per_second, window_us):
            counted = ["throughput", _canonical(metric), op, _number(per_second), window_us]
        case FreshnessIndicator(metric, max_gap_us):
            counted = ["freshness", _canonical(metric), max_gap_us]
        case _:
            moments = (indicator.opened, indicator.closed, indicator.paused, indicator.resumed)
            counted = ["response", *map(_canonical, moments), indicator.key, indicator.op, indicator.within_us]
    return counted


def _slices(budgeting: Timeslices | RatioTimeslices) -> list[object]:
    """The target of a slice is part of it: it decides which slices are good."""
    if isinstance(budgeting, Timeslices):
        return ["timeslices", _number(budgeting.target), budgeting.window_us, budgeting.empty]
    return ["ratio-timeslices", budgeting.window_us, budgeting.empty]


def _number(value: float) -> float:
    """One form for each number: 1 is 1.0, and there is no negative zero."""
    return float(value) + 0.0


def _canonical(selector: Selector | None) -> object:
    if selector is None:
        return None
    return [selector.metric, sorted({(each.name, each.op, each.value) for each in selector.matchers})]
