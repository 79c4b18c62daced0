"""What slices of time do to alerts and to a budget: oddities that are allowed, and said as (message, mend)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evaluators import calendars, durations
from evaluators.agreements import BurnRateCondition, Objective
from evaluators.documents import slices
from evaluators.policies import ResolvedPolicy
from evaluators.units import Unit, unit_of

_ROUNDING: Final = 1e-9
"""1 - target is not exact in binary: 100 slices at 0.99 allow a whole one."""


def blurred_alerts(objective: Objective, policy: ResolvedPolicy) -> Iterator[tuple[str, str]]:
    """Burn-rate conditions whose windows hold too few slices to say anything."""
    slice_us = slices.length_of(objective)
    if slice_us is None or not policy.windows:
        return
    shortest_us = policy.windows[0]
    if shortest_us < slice_us:
        message = f"its shortest burn-rate window, {_said(shortest_us)}, is shorter than a slice of {_said(slice_us)}"
        yield f"{message}: it sees one slice at most", "cut shorter slices, or name a policy with longer windows"
    if _are_whole(objective):
        yield from _held_back(slice_us, policy)


def _held_back(slice_us: int, policy: ResolvedPolicy) -> Iterator[tuple[str, str]]:
    """Conditions whose long window cannot hold the failures that the policy's minimum asks for."""
    least = policy.minimum.failures
    burning = (each.long_us for each in policy.conditions if isinstance(each, BurnRateCondition))
    held = sorted({long_us for long_us in burning if long_us // slice_us < least})
    if held:
        message = f"its minimum of {least} failures cannot be met by slices of {_said(slice_us)} within"
        windows = " or ".join(_said(long_us) for long_us in held)
        yield f"{message} {windows}: such conditions never fire", "name a policy with minimum: {events: 1, failures: 1}"


def small_budget(objective: Objective) -> Iterator[tuple[str, str]]:
    """Targets that the first bad slice breaks."""
    slice_us = slices.length_of(objective)
    if slice_us is None or not _are_whole(objective):
        return
    count = calendars.nominal_length(objective.period) // slice_us
    if count * (1 - objective.target) < 1 - _ROUNDING:
        message = f"the first bad slice breaks the promise: the period holds {count:,} slices of {_said(slice_us)}"
        yield message, "cut shorter slices, or lower the target"


def _are_whole(objective: Objective) -> bool:
    """Whether each slice counts once, good or not; else it counts by its share of good."""
    return unit_of(objective.indicator, objective.budgeting) is Unit.SLICE


def _said(us: int) -> str:
    return durations.format(us)
