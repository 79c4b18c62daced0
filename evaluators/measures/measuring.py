"""Measuring: between the ledger and the engine. Counts and points go in; counts as the engine folds them come out.

Counters are differenced as they come. What depends on how long nothing came (states, pairs, slices) is measured once the
tick has passed it; what comes for the time before mends what was said of it, by the difference. So the same counts and
points come to the same in any order and any cut, as far as they lie within KEEP of the tick (of the newest point of its
source, for counters); what is older still is not used: it is a stray, and counted as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluators.durations import DAY, HOUR
from evaluators.measures import counters, holding, pairing, slicing
from evaluators.measures.slicing import Rules
from evaluators.measures.specs import Holding, Measure, Pairing
from evaluators.packing import CorruptSlots
from evaluators.points import Kind, Points, joined
from evaluators.slots import Int64s, SlotCounts, concatenated

KEEP: Final = 2 * HOUR
"""How far behind late points still mend what was measured."""
FORGET: Final = 7 * DAY
"""A counter that sends nothing for so long begins anew."""

NEVER: Final = np.iinfo(np.int64).max
_PAIRS: Final = (Kind.OPENED, Kind.CLOSED, Kind.PAUSED, Kind.RESUMED)


@dataclass(frozen=True, slots=True)
class Definition:
    """Of a series: since when it counts, until when (None: no end), and its measure where it has one."""

    counts_from_us: int
    counts_until_us: int | None = None
    measure: Measure | None = None


class _Page(msgspec.Struct, array_like=True):
    points: bytes
    slices: bytes
    kept_from_us: int


class Measuring:
    """All series of a shard. `sealed_us`: what lies before it has been measured. `strays`: since the last `saved`."""

    def __init__(self, slot_us: int, sealed_us: int | None = None) -> None:
        self.sealed_us = sealed_us
        self.strays = 0
        self._slot_us = slot_us
        self._kept_from_us = 0
        self._counts_from: dict[int, int] = {}
        self._ends_us: dict[int, int] = {}
        self._holdings: dict[int, Holding] = {}
        self._pairings: dict[int, Pairing] = {}
        self._rules = Rules.of({})
        self._counters = Points.empty()
        self._states = Points.empty()
        self._pairs = Points.empty()
        self._sketches = Points.empty()
        self._slices = SlotCounts.empty()
        self._fresh_points: list[Points] = []
        self._fresh_slices: list[SlotCounts] = []

    def define(self, definitions: Mapping[int, Definition]) -> None:
        """The full set in force now."""
        measures = {series: each.measure for series, each in definitions.items() if each.measure is not None}
        self._counts_from = {series: each.counts_from_us for series, each in definitions.items()}
        self._holdings = {series: each.holding for series, each in measures.items() if each.holding is not None}
        self._pairings = {series: each.pairing for series, each in measures.items() if each.pairing is not None}
        self._ends_us = {
            series: each.counts_until_us for series, each in definitions.items() if each.counts_until_us is not None
        }
        self._rules = Rules.of({name: each.slicing for name, each in measures.items() if each.slicing is not None})

    @property
    def first_slot(self) -> int | None:
        """The earliest slot that what is kept may yet be measured in, where nothing was yet."""
        times = [int(each.time_us.min()) for each in (self._states, self._pairs) if len(each)]
        slices = (self._slices, self._sketches)
        numbers = (self._slices.slot, self._sketches.time_us)
        for each, number in zip(slices, numbers, strict=True):
            if len(each):
                times.append(int((number * self._rules.windows_us(each.series)).min()))
        return min(times) // self._slot_us if times else None

    # --------------------------------------------------------------------------------------------------------- in, out

    def fold(self, counts: SlotCounts, points: Points) -> SlotCounts:
        """What has come, on time, ahead or late."""
        if not len(points) and not len(self._rules.names):
            return counts
        found = [
            counts,
            self._count(points.of(Kind.COUNTER)),
            self._hold(points.of(Kind.STATE, Kind.SEEN)),
            self._pair(points.of(*_PAIRS)),
        ]
        plain, sliced = self._routed(concatenated(found).merged(), self.sealed_us)
        return self._within(concatenated([plain, sliced, self._sketch(points.of(Kind.SKETCH))]))

    def advance(self, until_us: int) -> SlotCounts:
        """What is measured of the time up to a tick, which never goes back."""
        from_us = self.sealed_us
        if from_us is not None and until_us <= from_us:
            return SlotCounts.empty()
        self.sealed_us = until_us
        if not self._at_work:
            return SlotCounts.empty()
        found: list[SlotCounts] = []
        if len(self._states):
            since_us = self._floor(int(self._states.time_us.min())) if from_us is None else from_us
            found.append(holding.held(self._states, self._holdings, since_us, until_us, self._slot_us))
        if len(self._pairs):
            found.append(pairing.paired(self._pairs, self._pairings, from_us, until_us, self._slot_us))
        plain, sliced = self._routed(concatenated(found), from_us)
        low_us = 0 if from_us is None else from_us
        over = self._over(self._slices, low_us, until_us)
        quantiles = slicing.judged_by_quantile(self._ending(low_us, until_us), self._rules, self._slot_us)
        return self._within(concatenated([plain, sliced, over, quantiles]).merged())

    def _within(self, counts: SlotCounts) -> SlotCounts:
        """Without what lies behind the end of its agreement: time goes on after it, and nothing is promised of it."""
        if not self._ends_us:
            return counts
        ends = np.array([self._ends_us.get(each, NEVER) for each in counts.series.tolist()], dtype=np.int64)
        return counts.take(counts.slot * self._slot_us < ends)

    @property
    def _at_work(self) -> bool:
        """Whether anything is measured by the lapse of time."""
        return bool(len(self._rules.names) or len(self._states) or len(self._pairs))

    def _floor(self, time_us: int) -> int:
        return time_us // self._slot_us * self._slot_us

    def _routed(self, counts: SlotCounts, sealed_us: int | None) -> tuple[SlotCounts, SlotCounts]:
        """What counts as it is; and, of series that are sliced, what counts before `sealed_us` change."""
        known = self._rules.known(counts.series)
        if not known.any():
            return counts, SlotCounts.empty()
        return counts.take(~known), self._slice(counts.take(known), sealed_us)

    # --------------------------------------------------------------------------------------------------------- counters

    def _count(self, fresh: Points) -> SlotCounts:
        if not len(fresh):
            return SlotCounts.empty()
        keys = _keys(self._counters)
        touched = np.isin(keys, _keys(fresh))
        old = self._counters.take(touched)
        fresh = self._in_time(fresh, ~_before_anchor(fresh, old))
        new = counters.greatest(joined([old, fresh]))
        self._counters = joined([self._counters.take(~touched), new])
        before, after = self._differences(old), self._differences(new)
        return _changed(before, after)

    def _differences(self, points: Points) -> SlotCounts:
        begins = np.array([self._counts_from.get(each, NEVER) for each in points.series.tolist()], dtype=np.int64)
        return counters.differences(points, begins, self._slot_us)

    # ------------------------------------------------------------------------------------------------- states and pairs

    def _hold(self, fresh: Points) -> SlotCounts:
        fresh = self._in_time(fresh, fresh.time_us >= self._kept_from_us)
        if not len(fresh):
            return SlotCounts.empty()
        old = self._states
        self._states = holding.states(joined([old, fresh]), self._slot_us)
        sealed_us = self.sealed_us or 0
        late = fresh.take(fresh.time_us < sealed_us)
        if not len(late):
            return SlotCounts.empty()
        since: dict[int, int] = {}
        for series, time_us in zip(late.series.tolist(), late.time_us.tolist(), strict=True):
            since[series] = min(self._floor(time_us), since.get(series, sealed_us))
        holdings = {series: self._holdings[series] for series in since if series in self._holdings}
        before = holding.held(old, holdings, since, sealed_us, self._slot_us)
        return _changed(before, holding.held(self._states, holdings, since, sealed_us, self._slot_us))

    def _pair(self, fresh: Points) -> SlotCounts:
        fresh = self._in_time(fresh, fresh.time_us >= self._kept_from_us)
        if not len(fresh):
            return SlotCounts.empty()
        old = self._pairs
        self._pairs = joined([old, fresh])
        if self.sealed_us is None or not (fresh.time_us < self.sealed_us).any():
            return SlotCounts.empty()
        touched = _keys(fresh)
        before, after = (each.take(np.isin(_keys(each), touched)) for each in (old, self._pairs))
        return _changed(
            pairing.paired(before, self._pairings, None, self.sealed_us, self._slot_us),
            pairing.paired(after, self._pairings, None, self.sealed_us, self._slot_us),
        )

    # ------------------------------------------------------------------------------------------------------------ slices

    def _slice(self, counts: SlotCounts, sealed_us: int | None) -> SlotCounts:
        window = self._rules.windows_us(counts.series)
        recent = (counts.slot * self._slot_us // window + 1) * window > self._kept_from_us
        self.strays += int((~recent).sum())
        counts = counts.take(recent)
        self._fresh_slices.append(counts)
        fresh = slicing.sliced(counts, self._rules, self._slot_us)
        old = self._slices
        self._slices = concatenated([old, fresh]).merged()
        ends = self._ends(fresh.series, fresh.slot)
        late = ends <= (sealed_us or 0)
        if not late.any():
            return SlotCounts.empty()
        series, low_us = fresh.series[late], int((ends - self._rules.windows_us(fresh.series))[late].min())
        before, after = (each.take(np.isin(each.series, series)) for each in (old, self._slices))
        return _changed(self._over(before, low_us, sealed_us or 0), self._over(after, low_us, sealed_us or 0))

    def _over(self, slices: SlotCounts, low_us: int, until_us: int) -> SlotCounts:
        """What the slices come to that end in (low_us, until_us]."""
        whole = slicing.filled(slices, self._rules, low_us, until_us)
        return slicing.judged(whole, self._rules, self._slot_us)

    def _sketch(self, fresh: Points) -> SlotCounts:
        fresh = fresh.take(self._rules.known(fresh.series))
        if not len(fresh):
            return SlotCounts.empty()
        number = fresh.time_us // self._rules.windows_us(fresh.series)
        fresh = self._in_time(fresh, self._ends(fresh.series, number) > self._kept_from_us)
        number = fresh.time_us // self._rules.windows_us(fresh.series)
        fresh = Points(fresh.series, fresh.source, fresh.tag, number, fresh.value, fresh.start_us)
        late = fresh.take(self._ends(fresh.series, number) <= (self.sealed_us or 0))
        old = self._sketches
        self._sketches = slicing.merged(joined([old, fresh]))
        if not len(late):
            return SlotCounts.empty()
        touched = _slice_keys(late)
        before, after = (each.take(np.isin(_slice_keys(each), touched)) for each in (old, self._sketches))
        return _changed(
            slicing.judged_by_quantile(before, self._rules, self._slot_us),
            slicing.judged_by_quantile(after, self._rules, self._slot_us),
        )

    def _ending(self, low_us: int, until_us: int) -> Points:
        """Sketches of the slices that end in (low_us, until_us]."""
        ends = self._ends(self._sketches.series, self._sketches.time_us)
        return self._sketches.take((ends > low_us) & (ends <= until_us))

    def _ends(self, series: Int64s, number: Int64s) -> Int64s:
        return (number + 1) * self._rules.windows_us(series)

    def _in_time(self, fresh: Points, chosen: NDArray[np.bool_]) -> Points:
        if not chosen.all():
            self.strays += int((~chosen).sum())
            fresh = fresh.take(chosen)
        self._fresh_points.append(fresh)
        return fresh

    # ---------------------------------------------------------------------------------------------------------- to keep

    @property
    def waiting(self) -> int:
        """Rows that came since the last `saved`."""
        return sum(len(each) for each in (*self._fresh_points, *self._fresh_slices))

    def unsaved(self) -> bytes | None:
        """What came since the last `saved`, for one row of the store; None: nothing."""
        points, slices = joined(self._fresh_points), concatenated(self._fresh_slices)
        if not len(points) and not len(slices):
            return None
        return msgspec.msgpack.encode(_Page(points.pack(), slices.merged().pack(), 0))

    def saved(self) -> None:
        """What `unsaved` gave is written."""
        self._fresh_points, self._fresh_slices, self.strays = [], [], 0

    def whole(self) -> bytes | None:
        """Everything that is kept, in place of all rows so far; what is too old to be mended is let go of. None: nothing."""
        self._prune()
        points = joined([self._counters, self._states, self._pairs, self._spread_out()])
        if not len(points) and not len(self._slices):
            return None
        return msgspec.msgpack.encode(_Page(points.pack(), self._by_slot().pack(), self._kept_from_us))

    def restore(self, rows: Sequence[bytes]) -> None:
        """Into an empty one that is defined: all rows of the store, in any order. Raises CorruptSlots."""
        try:
            pages = [msgspec.msgpack.decode(row, type=_Page) for row in rows]
        except msgspec.MsgspecError as error:
            raise CorruptSlots("kept points are damaged") from error
        points = joined([Points.unpack(page.points) for page in pages])
        slices = concatenated([SlotCounts.unpack(page.slices) for page in pages])
        sealed_us, self.sealed_us = self.sealed_us, None
        self._count(points.of(Kind.COUNTER))
        self._hold(points.of(Kind.STATE, Kind.SEEN))
        self._pair(points.of(*_PAIRS))
        self._sketch(points.of(Kind.SKETCH))
        self._slice(slices.take(self._rules.known(slices.series)), None)
        self.sealed_us = sealed_us
        self._kept_from_us = max((page.kept_from_us for page in pages), default=0)
        self.saved()

    def _spread_out(self) -> Points:
        """Sketches with the times of their slices again."""
        found = self._sketches
        time_us = found.time_us * self._rules.windows_us(found.series) if len(found) else found.time_us
        return Points(found.series, found.source, found.tag, time_us, found.value, found.start_us)

    def _by_slot(self) -> SlotCounts:
        found = self._slices
        slot = found.slot * self._rules.windows_us(found.series) // self._slot_us if len(found) else found.slot
        return SlotCounts(found.series, slot, found.good, found.total, found.excluded_good, found.excluded_total)

    def _prune(self) -> None:
        if self.sealed_us is None:
            return
        bound_us = self._kept_from_us = max(self.sealed_us - KEEP, self._kept_from_us)
        self._counters = counters.pruned(self._counters, KEEP, bound_us, self.sealed_us - FORGET)
        probes = (self._states.kind == Kind.SEEN) | (self._states.time_us >= self.sealed_us - FORGET)
        self._states = self._states.take(_recent(self._states.time_us >= bound_us, self._states) & probes)
        self._pairs = pairing.pruned(self._pairs, self._pairings, bound_us)
        slices = self._slices.take(self._rules.known(self._slices.series))
        self._slices = slices.take(_recent(self._ends(slices.series, slices.slot) > bound_us, slices))
        sketches = self._sketches.take(self._rules.known(self._sketches.series))
        self._sketches = sketches.take(self._ends(sketches.series, sketches.time_us) > bound_us)


def _keys(points: Points) -> Int64s:
    """A number for each (series, source); the source is a digest."""
    return points.source ^ (points.series * _MIX)


def _slice_keys(points: Points) -> Int64s:
    return points.time_us ^ (points.series * _MIX)


_MIX: Final = np.int64(-7046029254386353131)  # odd, of no pattern: 2**64 over the golden ratio


def _before_anchor(fresh: Points, old: Points) -> NDArray[np.bool_]:
    """Whether each lies at or before the oldest that is kept of its source."""
    anchors = old.take(old.anchor)
    keys = _keys(anchors)
    order = np.argsort(keys)
    keys, times = keys[order], anchors.time_us[order]
    found = _keys(fresh)
    places = np.minimum(np.searchsorted(keys, found), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(fresh), dtype=bool)
    return (keys[places] == found) & (fresh.time_us <= times[places])


def _recent(recent: NDArray[np.bool_], rows: Points | SlotCounts) -> NDArray[np.bool_]:
    """Those that are, and of each source or series the last one before."""
    follows = rows.series[1:] == rows.series[:-1]
    if isinstance(rows, Points):
        follows &= rows.source[1:] == rows.source[:-1]
    return recent | np.append(~follows | recent[1:], len(rows) > 0)[: len(rows)]


def _changed(before: SlotCounts, after: SlotCounts) -> SlotCounts:
    """What has to be added to what was said; a slot that had its row and keeps it says nothing."""
    minus = SlotCounts(
        before.series, before.slot, -before.good, -before.total, -before.excluded_good, -before.excluded_total
    )
    both = concatenated([after, minus]).merged()
    changed = (both.good != 0) | (both.total != 0) | (both.excluded_good != 0) | (both.excluded_total != 0)
    return both.take(changed | ~_in(both, before))


def _in(rows: SlotCounts, known: SlotCounts) -> NDArray[np.bool_]:
    return np.isin(rows.slot ^ (rows.series * _MIX), known.slot ^ (known.series * _MIX))
