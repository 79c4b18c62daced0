"""What an objective counts, and what of it is good, in words."""

from __future__ import annotations

import math
from typing import Final

from evaluators.agreements import (
    Budgeting,
    Comparison,
    EmptySlices,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    Occurrences,
    QuantileIndicator,
    Quorum,
    RatioIndicator,
    ResponseIndicator,
    ThresholdIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.selectors import Selector
from evaluators.units import PARTS_OF_A_SLICE, Unit
from service.web import figures

_COMPARED: Final[dict[Comparison, str]] = {"lt": "below", "lte": "at most", "gt": "above", "gte": "at least"}
_WITHIN: Final[dict[Comparison, str]] = {"lt": "less than", "lte": "at most"}
_PROBES: Final[dict[Quorum, str]] = {
    "any": "any of them says",
    "majority": "most of them say",
    "all": "all of them say",
}
_EMPTY: Final[dict[EmptySlices, str]] = {"ignored": "left out", "good": "good", "bad": "bad"}
_FAILURES: Final[dict[Unit, str]] = {
    Unit.OCCURRENCE: "failures spent",
    Unit.MICROSECOND: "of failure spent",
    Unit.SLICE: "bad slices spent",
    Unit.PART_OF_A_SLICE: "bad slices spent",
}


def what_is_good(indicator: Indicator) -> tuple[str, str]:
    """What counts, and what is promised of it: `all samples`, `are at most 0.3`."""
    match indicator:
        case RatioIndicator():
            words = "all samples", "are not bad" if indicator.bad is not None else "are good"
        case ThresholdIndicator():
            words = "all samples", f"are {_bound(indicator.op, indicator.bound)}"
        case HistogramIndicator():
            words = "all occurrences", f"are {_bound('lte', indicator.bound)}"
        case QuantileIndicator():
            words = _slices(indicator.window_us), f"have a {_percentile(indicator)}"
        case UptimeIndicator():
            words = "all time in which probes are known", f"is up, as {_PROBES[indicator.quorum]}"
        case ThroughputIndicator():
            words = _slices(indicator.window_us), f"bring {_bound(indicator.op, indicator.per_second)} a second"
        case FreshnessIndicator():
            words = "all time", f"has a newest sample that is at most {figures.whole_span(indicator.max_gap_us)} old"
        case _:
            pauses = ", pauses left out" if indicator.paused is not None else ""
            words = "all that is opened", f"is closed in {_within(indicator)}{pauses}"
    return words


def good_words(indicator: Indicator, budgeting: Budgeting) -> tuple[str, str]:
    """What is promised a share of, and what that means where a slice is judged: a sentence of its own, or nothing."""
    counts, good = what_is_good(indicator)
    if isinstance(budgeting, Occurrences):
        return f"{counts} {good}", ""
    cut, empty = _slices(budgeting.window_us), f"slices in which nothing counts are {_EMPTY[budgeting.empty]}"
    if isinstance(budgeting, Timeslices):
        least = f"at least {figures.target(budgeting.target)}" if budgeting.target < 1 else figures.target(1)
        return f"{cut} are good", f" A slice is good when {least} of {counts} in it {good}; {empty}."
    return f"{counts} {good}, as the mean of {cut}", f" Each slice weighs the same, busy or not; {empty}."


def counting_lines(indicator: Indicator, budgeting: Budgeting) -> list[tuple[str, str]]:
    """The selectors as written, each with the part that it plays, and what is asked of them."""
    parts = [(name, selector.text) for name, selector in _selectors(indicator) if selector is not None]
    return [*parts, *_asked(indicator), *_budgeting_lines(budgeting)]


def amount(unit: Unit, number: float | None) -> str:
    """A part of good or total as people read it: `1,204`, `43 min 12 s`, `2.5`."""
    if unit is Unit.MICROSECOND and number is not None and math.isfinite(number):
        return f"{figures.MINUS if number <= -1 else ''}{figures.span(abs(int(number)))}"
    if unit is Unit.PART_OF_A_SLICE and number is not None:
        return figures.count(number / PARTS_OF_A_SLICE)
    return figures.count(number)


def failures(unit: Unit) -> str:
    """What `amount` of the budget is spent of."""
    return _FAILURES[unit]


def _selectors(indicator: Indicator) -> tuple[tuple[str, Selector | None], ...]:
    match indicator:
        case RatioIndicator(total, good, bad):
            return ("good", good), ("bad", bad), ("total", total)
        case UptimeIndicator(state):
            return (("state", state),)
        case ResponseIndicator(opened, closed, paused=paused, resumed=resumed):
            return ("opened", opened), ("closed", closed), ("paused", paused), ("resumed", resumed)
        case _:
            return (("metric", indicator.metric),)


def _asked(indicator: Indicator) -> list[tuple[str, str]]:
    match indicator:
        case RatioIndicator():
            lines: list[tuple[str, str]] = []
        case ThresholdIndicator():
            lines = [("good when", f"value is {_bound(indicator.op, indicator.bound)}")]
        case HistogramIndicator():
            lines = [("good when", f"in a bucket of {_bound('lte', indicator.bound)}")]
        case QuantileIndicator():
            lines = [("good when", f"a slice has a {_percentile(indicator)}"), _slice_line(indicator.window_us)]
        case UptimeIndicator():
            stale = figures.whole_span(indicator.stale_after_us)
            lines = [("up when", f"{_PROBES[indicator.quorum]} so"), ("unknown after", stale)]
        case ThroughputIndicator():
            rate = f"a slice brings {_bound(indicator.op, indicator.per_second)} a second"
            lines = [("good when", rate), _slice_line(indicator.window_us)]
        case FreshnessIndicator():
            lines = [("good while", f"newest sample is at most {figures.whole_span(indicator.max_gap_us)} old")]
        case _:
            lines = [("paired by", indicator.key), ("good when", f"closed in {_within(indicator)}")]
    return lines


def _budgeting_lines(budgeting: Budgeting) -> list[tuple[str, str]]:
    if isinstance(budgeting, Occurrences):
        return []
    judged = "each by its share of good"
    if isinstance(budgeting, Timeslices):
        judged = f"good from {figures.target(budgeting.target)} on"
    cut = f"slices of {figures.whole_span(budgeting.window_us)}, {judged}"
    return [("counted by", cut), ("empty slices", _EMPTY[budgeting.empty])]


def _slice_line(window_us: int) -> tuple[str, str]:
    return "slice", figures.whole_span(window_us)


def _slices(window_us: int) -> str:
    return f"all slices of {figures.whole_span(window_us)}"


def _percentile(indicator: QuantileIndicator) -> str:
    """`p99 of at most 0.3`."""
    percent = figures.target(indicator.q).removesuffix(f"{figures.NBSP}%")
    return f"p{percent} that is {_bound(indicator.op, indicator.bound)}"


def _within(indicator: ResponseIndicator) -> str:
    return f"{_WITHIN[indicator.op]} {figures.whole_span(indicator.within_us)}"


def _bound(op: Comparison, bound: float) -> str:
    return f"{_COMPARED[op]} {bound:g}"
