"""Error budgets: what is allowed over the period, what is spent, whether it is gone, and when it will be.

Shapes are [ticks, series] unless said otherwise; counts are int64, exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.agreements import CalendarPeriod, Period
from evaluators.engine.timeline import NEVER, Counted
from evaluators.slots import Int64s

Float64s = NDArray[np.float64]
Bools = NDArray[np.bool_]

CLOSE: Final = 1e-9
"""Products of binary fractions miss the decimal that was meant: 0.0144 of errors burns at 14.4 of 0.001."""
_WILSON_Z: Final = 1.959963984540054  # 95 %


@dataclass(frozen=True, slots=True)
class Budget:
    """`projected` where the period is open or young: `allowed` is then of its expected total, not of what was seen."""

    allowed: Float64s
    spent: Int64s
    projected: Bools
    counted: Bools
    gone: Bools
    breached: Bools

    def remaining(self) -> Float64s:
        """1 - spent / allowed; NaN where nothing was counted."""
        return 1.0 - self.spent / np.where(self.counted, self.allowed, np.nan)


def budget_of(targets: Float64s) -> Float64s:
    """1 - target, as the decimal that was meant."""
    return np.round(1.0 - targets, 12)


def budget(
    counted: Counted,
    born_us: Int64s,
    budgets: Float64s,
    period: Period,
    failures: Int64s,
    total: Int64s,
    previous: Int64s | None,
    more: Float64s | float = 0.0,
) -> Budget:
    """The budget at each tick, of one view's failures and total over the period.

    A full rolling period and a closed calendar period: budget x total. Otherwise budget x expected total, which is the
    previous period's, if it was counted from its start to its end (or what was seen already, if that is more), else what
    was seen over the share of the period that it was seen in. A projection is no proof: by it, one failure alone never breaks a promise.
    `more` is what earlier targets allow beyond that (see versions).
    """
    ticks = counted.ticks[:, None]
    start = counted.period_start_us[:, None]
    seen_from = np.maximum(start, born_us[None, :])
    elapsed = np.maximum(ticks - seen_from, 1)
    share = (
        np.maximum(counted.period_end_us[:, None] - seen_from, 1)
        if isinstance(period, CalendarPeriod)
        else ticks - start
    )
    expected = total * (share / elapsed)
    if isinstance(period, CalendarPeriod):
        assert previous is not None
        assert counted.previous_start_us is not None
        complete = (born_us[None, :] <= counted.previous_start_us[:, None]) & (previous > 0)
        expected = np.where(complete, np.maximum(previous, total), expected)
        full = np.broadcast_to(ticks >= counted.period_end_us[:, None], total.shape)
    else:
        full = born_us[None, :] <= start
    allowed = budgets * np.where(full, total, expected) + more
    some = total > 0
    gone = some & (failures > 0) & (failures * (1 + CLOSE) >= allowed)
    return Budget(allowed, failures, ~full, some, gone, gone & (full | (failures > 1)))


def burning(failures: Int64s, total: Int64s, rate: Float64s) -> Bools:
    """The error ratio is at or above `rate` (factor x budget, [series])."""
    return (total > 0) & (failures > 0) & (failures * (1 + CLOSE) >= rate * total)


def wilson_lower(failures: Int64s, total: Int64s) -> Float64s:
    """Lower bound of the 95 % Wilson score interval of failures / total (Wilson 1927); total above 0."""
    n = total.astype(np.float64)
    ratio = np.clip(failures / n, 0.0, 1.0)
    square = _WILSON_Z**2
    spread = _WILSON_Z * np.sqrt(ratio * (1 - ratio) / n + square / (4 * n * n))
    return (ratio + square / (2 * n) - spread) / (1 + square / n)


def enough(
    failures: Int64s, total: Int64s, rate: Float64s, least_events: int, least_failures: int, among: Bools
) -> Bools:
    """The low-traffic gate, where `among` is set: enough failures, and enough events or an error ratio surely over `rate`."""
    passed = among & (failures >= least_failures)
    doubtful = np.nonzero(passed & (total < least_events))
    if len(doubtful[0]):
        lower = wilson_lower(failures[doubtful], total[doubtful])
        passed[doubtful] = lower > rate[doubtful[-1]]
    return passed


@dataclass(frozen=True, slots=True)
class Course:
    """What a forecast reads of some points, one view: all [points], `since` [lengths, points].

    `excess[i]` is failures - budget x total over the last `lengths[i]`; `rate_us` seconds of observation behind the 6 h
    counts. For rolling periods `lengths` are the windows up to the period, ascending.
    """

    lengths: tuple[int, ...]
    excess: Float64s
    left: Float64s  # allowed - spent
    failures: Int64s  # over 6 h
    excess_recent: Float64s  # failures - budget x total, over 6 h
    seen_us: Int64s  # of the 6 h, how long it was counted at all
    projected: Bools


def gone_after(course: Course, period: Period) -> Float64s:
    """Microseconds until the budget is gone at the 6 h burn; inf: not by the period's own course.

    A calendar period, and a rolling one that is still filling up, loses what burns. A full rolling period also sheds
    what rolls off: known at the edges of the windows summed, taken as even between them.
    """
    seen = np.maximum(course.seen_us, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        straight = np.maximum(course.left, 0.0) * seen / course.failures
    straight = np.where(course.failures > 0, straight, np.inf)
    if isinstance(period, CalendarPeriod):
        return straight
    length = period.length_us
    after = np.where(course.projected, np.minimum(straight, length), np.inf)
    rolling = ~course.projected
    if rolling.any():
        after[rolling] = _rolled(course, seen, length)[rolling]
    return np.where(course.left <= 0, 0.0, after)


def _rolled(course: Course, seen: Int64s, length: int) -> Float64s:
    """First x with excess(length - x) + gain * x >= 0, where the excess over past windows is piecewise linear."""
    gain = course.excess_recent / seen
    x_before, f_before = np.zeros_like(gain), course.excess[-1]
    after = np.full_like(gain, np.inf)
    for place in range(len(course.lengths) - 2, -2, -1):
        past = course.excess[place] if place >= 0 else np.zeros_like(gain)
        x = np.full_like(gain, length - (course.lengths[place] if place >= 0 else 0))
        f = past + gain * x
        crossed = (f >= 0) & np.isinf(after)
        with np.errstate(divide="ignore", invalid="ignore"):
            root = x_before + (x - x_before) * np.where(f > f_before, -f_before / (f - f_before), 0.0)
        after = np.where(crossed, np.clip(root, x_before, x), after)
        x_before, f_before = x, f
    return after


def born_at(first_us: Int64s, counts_from_us: Int64s) -> Int64s:
    """Since when a series is really counted: its first sample, or the agreement's start if that is later."""
    return np.where(first_us == -NEVER, -NEVER, np.maximum(first_us, counts_from_us))
