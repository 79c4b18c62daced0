"""Judging: what comes by slices, of counts and of sketches, said once a slice is over."""

from __future__ import annotations

import numpy as np

from evaluators.measures import slicing
from evaluators.measures.keeping import changed, reaching
from evaluators.measures.slicing import Bools, Rules
from evaluators.points import Points, joined
from evaluators.slots import Int64s, SlotCounts, concatenated


class Judging:
    """`rules` by series. Slices that are not over, and the one before of each series, are at hand; the rest is kept for
    what comes late: of counts all together, of sketches by the end of their slices.
    """

    def __init__(self, slot_us: int) -> None:
        self.rules = Rules.of({})
        self._slot_us = slot_us
        self._near = SlotCounts.empty()
        self._kept: list[SlotCounts] = []
        self._near_sketches = Points.empty()
        self._kept_sketches: dict[int, list[Points]] = {}

    # ------------------------------------------------------------------------------------------------------------ counts

    def in_time(self, counts: SlotCounts, bound_us: int) -> Bools:
        """Whether the slice of each ends after a time."""
        window = self.rules.windows_us(counts.series)
        return (counts.slot * self._slot_us // window + 1) * window > bound_us

    def fold(self, counts: SlotCounts, sealed_us: int) -> SlotCounts:
        """What counts, by slot, change of slices that ended up to `sealed_us`."""
        if not len(counts):
            return SlotCounts.empty()
        fresh = slicing.sliced(counts, self.rules, self._slot_us)
        ends = self._ends(fresh.series, fresh.slot)
        late = ends <= sealed_us
        old = self._all() if late.any() else SlotCounts.empty()
        self._kept.append(fresh)
        self._near = self._reaching(concatenated([self._near, fresh]).merged(), sealed_us)
        if not late.any():
            return SlotCounts.empty()
        series, low_us = fresh.series[late], int((ends - self.rules.windows_us(fresh.series))[late].min())
        before, after = (each.take(np.isin(each.series, series)) for each in (old, self._all()))
        return changed(self._over(before, low_us, sealed_us), self._over(after, low_us, sealed_us))

    def _all(self) -> SlotCounts:
        if len(self._kept) > 1:
            self._kept = [concatenated(self._kept).merged()]
        return self._kept[0] if self._kept else SlotCounts.empty()

    def _over(self, slices: SlotCounts, low_us: int, until_us: int) -> SlotCounts:
        """What the slices come to that end in (low_us, until_us]."""
        whole = slicing.filled(slices, self.rules, low_us, until_us)
        return slicing.judged(whole, self.rules, self._slot_us)

    def _reaching(self, slices: SlotCounts, from_us: int) -> SlotCounts:
        if not len(slices):
            return slices
        follow = np.append(False, slices.series[1:] == slices.series[:-1])
        return slices.take(reaching(self._ends(slices.series, slices.slot) > from_us, follow))

    # ---------------------------------------------------------------------------------------------------------- sketches

    def sketches_in_time(self, sketches: Points, bound_us: int) -> Bools:
        """Whether the slice of each ends after a time."""
        return self._ends(sketches.series, self._numbers(sketches)) > bound_us

    def fold_sketches(self, sketches: Points, sealed_us: int) -> SlotCounts:
        """What buckets change of slices that ended up to `sealed_us`."""
        if not len(sketches):
            return SlotCounts.empty()
        found = sketches
        fresh = Points(found.series, found.source, found.tag, self._numbers(found), found.value, found.start_us)
        ends = self._ends(fresh.series, fresh.time_us)
        late = ends <= sealed_us
        self._near_sketches = slicing.merged(joined([self._near_sketches, fresh.take(~late)]))
        if not late.any():
            return SlotCounts.empty()
        touched = np.unique(ends[late]).tolist()
        old = joined([part for end_us in touched for part in self._kept_sketches.get(end_us, [])])
        fresh = fresh.take(late)
        old = old.take(np.isin(old.series, fresh.series))
        self._keep(fresh)
        return changed(self._by_quantile(old), self._by_quantile(joined([old, fresh])))

    def _numbers(self, sketches: Points) -> Int64s:
        return sketches.time_us // self.rules.windows_us(sketches.series)

    def _by_quantile(self, sketches: Points) -> SlotCounts:
        return slicing.judged_by_quantile(slicing.merged(sketches), self.rules, self._slot_us)

    def _keep(self, sketches: Points) -> None:
        ends = self._ends(sketches.series, sketches.time_us)
        for end_us in np.unique(ends).tolist():
            self._kept_sketches.setdefault(end_us, []).append(sketches.take(ends == end_us))

    # -------------------------------------------------------------------------------------------------------------- both

    def advance(self, from_us: int, until_us: int) -> SlotCounts:
        """What the slices come to that end in (from_us, until_us]."""
        counted = self._over(self._near, from_us, until_us)
        self._near = self._reaching(self._near, until_us)
        over = self._ends(self._near_sketches.series, self._near_sketches.time_us) <= until_us
        due, self._near_sketches = self._near_sketches.take(over), self._near_sketches.take(~over)
        self._keep(due)
        return concatenated([counted, self._by_quantile(due)])

    @property
    def first_us(self) -> int | None:
        """The start of the first slice that is at hand."""
        near = ((self._near.series, self._near.slot), (self._near_sketches.series, self._near_sketches.time_us))
        return min(
            (int((number * self.rules.windows_us(series)).min()) for series, number in near if len(series)),
            default=None,
        )

    def prune(self, bound_us: int, sealed_us: int) -> None:
        """Keep what late samples of slices that end after `bound_us` may need, of series that are known."""
        kept = self._all()
        kept = self._reaching(kept.take(self.rules.known(kept.series)), bound_us)
        self._kept = [kept]
        self._near = self._reaching(kept, sealed_us)
        self._kept_sketches = {
            end_us: [slicing.merged(joined(parts))]
            for end_us, parts in self._kept_sketches.items()
            if end_us > bound_us
        }

    def all(self) -> tuple[SlotCounts, Points]:
        """As they came, but by slice: each with the first slot, or the time, of its slice."""
        kept = self._all()
        slot = kept.slot * self.rules.windows_us(kept.series) // self._slot_us
        slices = SlotCounts(kept.series, slot, kept.good, kept.total, kept.excluded_good, kept.excluded_total)
        found = joined([self._near_sketches, *(part for parts in self._kept_sketches.values() for part in parts)])
        found = found.take(self.rules.known(found.series))
        time_us = found.time_us * self.rules.windows_us(found.series)
        return slices, Points(found.series, found.source, found.tag, time_us, found.value, found.start_us)

    def _ends(self, series: Int64s, number: Int64s) -> Int64s:
        return (number + 1) * self.rules.windows_us(series)
