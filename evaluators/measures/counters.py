"""Occurrences out of cumulative counters: what each series of points grew by, in the slot of the later point.

    value   5     9      2     7
            |-----|------|-----|----> event time
    grew    *     4      2     5       * 0, or 5 where the counter's start lies in the counted span
                         reset: smaller, or a later start

Only neighbours in event time matter, so a point that comes late mends the two differences around it.
"""

from __future__ import annotations

import numpy as np

from evaluators.measures.keeping import follows
from evaluators.points import ANCHOR_BIT, Points
from evaluators.slots import Int64s, SlotCounts


def greatest(points: Points) -> Points:
    """Sorted by series, source and time, one each: the greatest value. There is one at least."""
    points = points.sorted()
    same = follows(points)[1:] & (points.time_us[1:] == points.time_us[:-1])
    return points.take(np.concatenate((~same, [True])))


def differences(points: Points, counts_from_us: Int64s, slot_us: int) -> SlotCounts:
    """What the points say was counted, merged; `points` are as `greatest` gives them, `counts_from_us` of each row's series.

    Each point gives its slot a row, if only of zeros: something was seen there. There is one at least.
    """
    increase = _increases(points, counts_from_us)
    good, total = points.good * increase, points.total * increase
    excluded = points.excluded
    counts = SlotCounts(
        points.series, points.time_us // slot_us, good, total, np.where(excluded, good, 0), np.where(excluded, total, 0)
    )
    return counts.take(~points.anchor).merged()


def pruned(points: Points, keep_us: int, quiet_us: int, gone_us: int) -> Points:
    """What is needed to mend: of each source the points at most `keep_us` behind its newest, and the one before as anchor.

    Of a source whose newest lies before `quiet_us` that one alone; before `gone_us` nothing.
    """
    if not len(points):
        return points
    same = follows(points)[1:]
    last = np.flatnonzero(np.concatenate((~same, [True])))
    newest = np.repeat(points.time_us[last], np.diff(np.concatenate(([-1], last))))
    recent = points.time_us >= np.where(newest < quiet_us, newest, newest - keep_us)
    before = np.concatenate((~recent[:-1] & recent[1:] & same, [False]))
    anchors = before | (recent & (newest < quiet_us))
    before &= newest >= quiet_us
    tag = np.where(anchors, points.tag | ANCHOR_BIT, points.tag)
    kept = Points(points.series, points.source, tag, points.time_us, points.value, points.start_us)
    return kept.take((recent | before) & (newest >= gone_us))


def _increases(points: Points, counts_from_us: Int64s) -> Int64s:
    value, start, time_us = points.value, points.start_us, points.time_us
    begun = (start > 0) & (start >= counts_from_us) & (start < time_us)
    increase = np.where(begun, value, 0)
    same = follows(points)[1:]
    known = np.where(start[:-1] > 0, start[:-1], time_us[:-1])
    reset = (value[1:] < value[:-1]) | ((start[1:] > 0) & (start[1:] > known))
    grown = np.where(reset, value[1:], value[1:] - value[:-1])
    increase[1:] = np.where(same, grown, increase[1:])
    return increase
