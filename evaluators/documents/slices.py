"""Slices of time: how long they may be, and which objectives are counted by them."""

from __future__ import annotations

from typing import Final

from evaluators import durations
from evaluators.agreements import (
    Objective,
    Occurrences,
    QuantileIndicator,
    ThroughputIndicator,
)
from evaluators.documents.fields import Field
from evaluators.durations import DAY, MINUTE

SHORTEST: Final = MINUTE
LONGEST: Final = DAY
LENGTHS: Final = tuple(length for length in range(SHORTEST, LONGEST + 1, MINUTE) if DAY % length == 0)
"""Slices begin at midnight UTC and whole slices fill the day."""


def window(field: Field, period_us: int) -> int:
    """The length of a slice, in microseconds: one of `LENGTHS`, within the period."""
    us = field.duration(SHORTEST, LONGEST)
    if not field.sound:
        return SHORTEST
    if us not in LENGTHS:
        below = max(each for each in LENGTHS if each < us)
        above = min(each for each in LENGTHS if each > us)
        near = f"did you mean {durations.format(below)} or {durations.format(above)}?"
        field.error(f"{durations.format(us)} is not a number of whole minutes that divides a day", near)
    elif us > period_us:
        field.error(f"is longer than the period, {durations.format(period_us)}", "several slices make a period")
    return us


def length_of(objective: Objective) -> int | None:
    """Microseconds of the slices that the objective counts; None if it counts occurrences or time."""
    if not isinstance(objective.budgeting, Occurrences):
        return objective.budgeting.window_us
    indicator = objective.indicator
    return indicator.window_us if isinstance(indicator, QuantileIndicator | ThroughputIndicator) else None
