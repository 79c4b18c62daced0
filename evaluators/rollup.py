"""How fine old counts are kept: by slot, later by minute, then by quarter of an hour; no promised sum changes.

A row of a roll-up stands at the slot of its first sample and holds the sum of its step, so it lies in every window that
starts on a whole step, and what a series' first sample was is still known. What is counted up to a time that is no whole
step (a version of an agreement that came into force) is kept apart: no row holds counts of both sides of such an edge.

::

      step        |---------------- minute ----------------|---------------- minute --- ...
      slots           3     2           edge  1        4
      rows            5                       5
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.calendars import COARSE_STEP, FINE_WINDOW, MINUTE_WINDOW
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.slots import SlotCounts, concatenated, starts_of

SLOTS_KEPT_US: Final = 2 * DAY
"""Behind the tick, in whole days: a window on slots reaches back 6 h, the fold is run again over 3 h, plots are as fine
for the longest part of it."""

RING_SLOTS: Final = 8640
"""What an engine holds of slots beyond the longest window on them (`timeline.LONGEST_BATCH`)."""

MINUTES_KEPT_US: Final = 396 * DAY
"""Thirteen months: no window on minutes is longer than 3 d; a plot of the same week a year ago is still fine."""


def rolled(merged: SlotCounts, step_us: int, slot_us: int, edges_us: Iterable[int] = ()) -> SlotCounts:
    """Merged counts summed by step; whole steps of `slot_us`. The same again is the same.

    Rows that hold no sample stand at their step's first one only where it has none.
    """
    if not len(merged):
        return merged
    at = merged.slot * slot_us
    side = np.searchsorted(np.array(sorted(edges_us), dtype=np.int64), at, side="right")
    starts = starts_of(merged.series, at // step_us, side)
    rows = np.arange(len(merged))
    sampled = np.minimum.reduceat(np.where(merged.total != 0, rows, len(merged)), starts)
    columns = merged.columns
    sums = np.add.reduceat(columns[2:], starts, axis=1)
    firsts = np.where(sampled < len(merged), sampled, starts)
    return SlotCounts.from_columns(np.concatenate((columns[:2, firsts], sums)))


@dataclass(frozen=True, slots=True)
class Needed:
    """What sums need of counts: minutes alone of those before `slots_us`, quarters of an hour of those before `minutes_us`."""

    slots_us: int
    minutes_us: int

    def of(self, counts: SlotCounts, slot_us: int, edges_us: Iterable[int]) -> SlotCounts:
        """Of counts that are sorted, or parts that are: the same sums, of far fewer rows where they are many."""
        at = counts.slot * slot_us
        old, recent = at < self.minutes_us // COARSE_STEP * COARSE_STEP, at >= self.slots_us // MINUTE * MINUTE
        steps = ((old, COARSE_STEP), (~old & ~recent, MINUTE))
        parts = [rolled(_chosen(counts, chosen), step, slot_us, edges_us) for chosen, step in steps if chosen.any()]
        return concatenated([*parts, _chosen(counts, recent)]) if parts else counts


def _chosen(counts: SlotCounts, chosen: NDArray[np.bool_]) -> SlotCounts:
    return counts if chosen.all() else counts.take(chosen)


def minutes_before_us(tick_us: int, slot_us: int) -> int:
    """What lies before is kept by minute, once the tick is there: a whole day of UTC, behind all rings of slots."""
    return (tick_us - max(SLOTS_KEPT_US, DAY + RING_SLOTS * slot_us)) // DAY * DAY


def quarters_before_us(tick_us: int) -> int:
    """What lies before is kept by quarter of an hour: a whole day of UTC."""
    return (tick_us - MINUTES_KEPT_US) // DAY * DAY


def told_apart(step_us: int, from_us: int, tick_us: int, slot_us: int) -> bool:
    """Whether steps of this length are kept from `from_us` on; and for an hour of ticks more, since they go on while one asks."""
    return step_us % finest_step(from_us // step_us * step_us, tick_us + HOUR, slot_us) == 0


def finest_step(from_us: int, tick_us: int, slot_us: int) -> int:
    """The steps from `from_us` on that can be told apart, with the windows that end at them and promise as much."""
    if from_us - MINUTE_WINDOW < quarters_before_us(tick_us):
        return COARSE_STEP
    return MINUTE if from_us - FINE_WINDOW < minutes_before_us(tick_us, slot_us) else slot_us
