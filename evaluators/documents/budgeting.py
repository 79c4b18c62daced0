"""Reads how an objective's budget is counted: by occurrences, or by slices of time as in OpenSLO."""

from __future__ import annotations

from typing import Final, get_args

from evaluators.agreements import (
    Budgeting,
    EmptySlices,
    Indicator,
    Occurrences,
    QuantileIndicator,
    RatioTimeslices,
    ThroughputIndicator,
    Timeslices,
)
from evaluators.documents import shares, slices
from evaluators.documents.fields import Field, Section

METHODS: Final = ("Occurrences", "Timeslices", "RatioTimeslices")
EMPTY_SLICES: Final[tuple[EmptySlices, ...]] = get_args(EmptySlices)

_EMPTY_WORDS: Final = {"ignore": "ignored", "skip": "ignored", "up": "good", "down": "bad"}
_LEAVE: Final = "leave it out: a slice of the indicator's window is good or not, and counts once"


def read(section: Section, indicator: Indicator, period_us: int) -> Budgeting:
    """The method of `section`, an objective; slices are not longer than `period_us`."""
    field = section.get("budgetingMethod")
    target, window, empty = (section.get(key) for key in ("timeSliceTarget", "timeSliceWindow", "emptySlices"))
    method = METHODS[0] if field is None else field.choice(METHODS)
    if field is not None and not field.sound:
        return Occurrences()
    if field is None or method == "Occurrences":
        _refuse((target, window, empty), "is for slices of time, and this budget counts occurrences")
        return Occurrences()
    if isinstance(indicator, QuantileIndicator | ThroughputIndicator):
        field.error("would slice what this indicator counts by slices already", _LEAVE)
        return Occurrences()
    window_us = slices.window(window or section.need("timeSliceWindow", "5m"), period_us)
    empties = EMPTY_SLICES[0] if empty is None else empty.choice(EMPTY_SLICES, _EMPTY_WORDS)
    if method == "RatioTimeslices":
        _refuse((target,), "is for Timeslices: of RatioTimeslices each slice counts by its share of good")
        return RatioTimeslices(window_us, empties)
    return Timeslices(shares.slice_target(target or section.need("timeSliceTarget", "0.99")), window_us, empties)


def _refuse(fields: tuple[Field | None, ...], why: str) -> None:
    for field in fields:
        if field is not None:
            field.error(why, "leave it out, or write budgetingMethod: Timeslices")
