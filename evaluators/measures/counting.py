"""Counting: the points of cumulative counters, differenced as they come.

A point that is newer than all of its source costs what it brings; one that comes late looks through what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from evaluators.measures import counters
from evaluators.measures.keeping import Bools, Kept, changed, follows, found_in, keys
from evaluators.points import ANCHOR_BIT, Points, joined
from evaluators.slots import Int64s, SlotCounts, concatenated

NEVER: Final = np.iinfo(np.int64).max


class Counting:
    """`counts_from` is since when a series counts."""

    def __init__(self, slot_us: int) -> None:
        self.counts_from: Mapping[int, int] = {}
        self._slot_us = slot_us
        self._kept = Kept(counters.greatest)
        self._newest = Points.empty()  # of each source, by key
        self._keys: Int64s = np.zeros(0, dtype=np.int64)

    def all(self) -> Points:
        return self._kept.all()

    def in_time(self, fresh: Points) -> Bools:
        """Whether each lies behind the oldest that is kept of its source."""
        late = _not_after(fresh, self._newest, self._keys)
        if not late.any():
            return ~late
        kept = self._kept.all()
        anchors = kept.take(kept.anchor)
        order = np.argsort(keys(anchors))
        anchors = anchors.take(order)
        return ~_not_after(fresh, anchors, keys(anchors))

    def fold(self, fresh: Points) -> SlotCounts:
        """What they change of what was counted."""
        if not len(fresh):
            return SlotCounts.empty()
        fresh = counters.greatest(fresh)
        found = keys(fresh)
        late = np.isin(found, found[_not_after(fresh, self._newest, self._keys)])
        return concatenated([self._forward(fresh.take(~late)), self._back(fresh.take(late))]).merged()

    def _forward(self, fresh: Points) -> SlotCounts:
        """All newer than what is known of their sources."""
        if not len(fresh):
            return SlotCounts.empty()
        before = self._newest.take(np.isin(self._keys, keys(fresh)))
        known = Points(
            before.series, before.source, before.tag | ANCHOR_BIT, before.time_us, before.value, before.start_us
        )
        found = self._differences(counters.greatest(joined([known, fresh])))
        self._kept.add(fresh)
        self._note(fresh)
        return found

    def _back(self, fresh: Points) -> SlotCounts:
        if not len(fresh):
            return SlotCounts.empty()
        kept = self._kept.all()
        old = kept.take(np.isin(keys(kept), keys(fresh)))
        new = counters.greatest(joined([old, fresh]))
        self._kept.add(fresh)
        self._note(new)
        return changed(self._differences(old), self._differences(new))

    def _note(self, points: Points) -> None:
        """The newest of each source, of points in order."""
        last = points.take(np.append(~follows(points)[1:], True))
        rest = self._newest.take(~np.isin(self._keys, keys(last)))
        newest = joined([rest, last])
        order = np.argsort(keys(newest))
        self._newest = newest.take(order)
        self._keys = keys(self._newest)

    def _differences(self, points: Points) -> SlotCounts:
        begins = np.array([self.counts_from.get(each, NEVER) for each in points.series.tolist()], dtype=np.int64)
        return counters.differences(points, begins, self._slot_us)

    def prune(self, keep_us: int, quiet_us: int, gone_us: int) -> None:
        """See `counters.pruned`."""
        kept = counters.pruned(self._kept.all(), keep_us, quiet_us, gone_us)
        self._kept.replace(kept)
        self._newest, self._keys = Points.empty(), np.zeros(0, dtype=np.int64)
        if len(kept):
            self._note(kept)


def _not_after(fresh: Points, marks: Points, by: Int64s) -> Bools:
    """Whether each lies at or before the mark of its source, if that has one; `by` are the marks' keys, rising."""
    places, known = found_in(keys(fresh), by)
    if len(by):
        known &= fresh.time_us <= marks.time_us[places]
    return known
