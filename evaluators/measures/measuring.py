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

from evaluators.durations import DAY, HOUR
from evaluators.measures import pairing
from evaluators.measures.counting import NEVER, Counting
from evaluators.measures.judging import Judging
from evaluators.measures.keeping import Bools, changed, keys
from evaluators.measures.lasting import Lasting
from evaluators.measures.slicing import Rules
from evaluators.measures.specs import Measure, Pairing
from evaluators.packing import CorruptSlots
from evaluators.points import Kind, Points, joined
from evaluators.slots import SlotCounts, concatenated

KEEP: Final = 2 * HOUR
"""How far behind late points still mend what was measured."""
FORGET: Final = 7 * DAY
"""A counter or a probe that sends nothing for so long begins anew."""

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
        self._ends_us: dict[int, int] = {}
        self._pairings: dict[int, Pairing] = {}
        self._counting = Counting(slot_us)
        self._lasting = Lasting(slot_us)
        self._judging = Judging(slot_us)
        self._pairs = Points.empty()
        self._fresh_points: list[Points] = []
        self._fresh_slices: list[SlotCounts] = []

    def define(self, definitions: Mapping[int, Definition]) -> None:
        """The full set in force now."""
        measures = {series: each.measure for series, each in definitions.items() if each.measure is not None}
        self._counting.counts_from = {series: each.counts_from_us for series, each in definitions.items()}
        self._lasting.holdings = {series: each.holding for series, each in measures.items() if each.holding is not None}
        self._pairings = {series: each.pairing for series, each in measures.items() if each.pairing is not None}
        self._ends_us = {
            series: each.counts_until_us for series, each in definitions.items() if each.counts_until_us is not None
        }
        self._judging.rules = Rules.of(
            {series: each.slicing for series, each in measures.items() if each.slicing is not None}
        )

    @property
    def first_slot(self) -> int | None:
        """The earliest slot that what is kept may yet be measured in, where nothing was yet."""
        paired_us = int(self._pairs.time_us.min()) if len(self._pairs) else None
        times = [self._lasting.first_us, self._judging.first_us, paired_us]
        return min((each // self._slot_us for each in times if each is not None), default=None)

    # --------------------------------------------------------------------------------------------------------- in, out

    def fold(self, counts: SlotCounts, points: Points) -> SlotCounts:
        """What has come, on time, ahead or late."""
        rules = self._judging.rules
        if not len(points) and not len(rules.names):
            return counts
        sealed_us = self.sealed_us or 0
        counters, lasting = points.of(Kind.COUNTER), points.of(Kind.STATE, Kind.SEEN)
        lasting = self._in_time(lasting, lasting.time_us >= self._kept_from_us)
        sketches = points.of(Kind.SKETCH)
        sketches = sketches.take(rules.known(sketches.series))
        sketches = self._in_time(sketches, self._judging.sketches_in_time(sketches, self._kept_from_us))
        found = [
            counts,
            self._counting.fold(self._in_time(counters, self._counting.in_time(counters))),
            self._lasting.fold(lasting, sealed_us),
            self._pair(points.of(*_PAIRS), sealed_us),
        ]
        plain, sliced = self._routed(concatenated(found).merged(), sealed_us)
        return self._within(concatenated([plain, sliced, self._judging.fold_sketches(sketches, sealed_us)]))

    def advance(self, until_us: int) -> SlotCounts:
        """What is measured of the time up to a tick, which never goes back."""
        from_us = self.sealed_us
        if from_us is not None and until_us <= from_us:
            return SlotCounts.empty()
        self.sealed_us = until_us
        if not (len(self._judging.rules.names) or self._lasting or len(self._pairs)):
            return SlotCounts.empty()
        found = [
            self._lasting.advance(from_us, until_us),
            pairing.paired(self._pairs, self._pairings, from_us, until_us, self._slot_us),
        ]
        plain, sliced = self._routed(concatenated(found).merged(), from_us or 0)
        return self._within(concatenated([plain, sliced, self._judging.advance(from_us or 0, until_us)]).merged())

    def _routed(self, counts: SlotCounts, sealed_us: int) -> tuple[SlotCounts, SlotCounts]:
        """What counts as it is; and, of series that are sliced, what counts before `sealed_us` change."""
        known = self._judging.rules.known(counts.series)
        if not known.any():
            return counts, SlotCounts.empty()
        sliced = counts.take(known)
        recent = self._judging.in_time(sliced, self._kept_from_us)
        self.strays += int((~recent).sum())
        sliced = sliced.take(recent)
        self._fresh_slices.append(sliced)
        return counts.take(~known), self._judging.fold(sliced, sealed_us)

    def _within(self, counts: SlotCounts) -> SlotCounts:
        """Without what lies behind the end of its agreement: time goes on after it, and nothing is promised of it."""
        if not self._ends_us:
            return counts
        ends = np.array([self._ends_us.get(each, NEVER) for each in counts.series.tolist()], dtype=np.int64)
        return counts.take(counts.slot * self._slot_us < ends)

    def _pair(self, fresh: Points, sealed_us: int) -> SlotCounts:
        fresh = self._in_time(fresh, fresh.time_us >= self._kept_from_us)
        if not len(fresh):
            return SlotCounts.empty()
        old = self._pairs
        self._pairs = joined([old, fresh])
        if not (fresh.time_us < sealed_us).any():
            return SlotCounts.empty()
        touched = keys(fresh)
        before, after = (each.take(np.isin(keys(each), touched)) for each in (old, self._pairs))
        return changed(
            pairing.paired(before, self._pairings, None, sealed_us, self._slot_us),
            pairing.paired(after, self._pairings, None, sealed_us, self._slot_us),
        )

    def _in_time(self, fresh: Points, chosen: Bools) -> Points:
        """Strays are left out; the rest is to be saved."""
        if not chosen.all():
            self.strays += int((~chosen).sum())
            fresh = fresh.take(chosen)
        if len(fresh):
            self._fresh_points.append(fresh)
        return fresh

    # ---------------------------------------------------------------------------------------------------------- to keep

    @property
    def waiting(self) -> int:
        """Rows that came since the last `saved`."""
        return sum(len(each) for each in (*self._fresh_points, *self._fresh_slices))

    def unsaved(self) -> bytes | None:
        """What came since the last `saved`, for one row of the store; None: nothing."""
        if not self.waiting:
            return None
        points, slices = joined(self._fresh_points), concatenated(self._fresh_slices)
        return msgspec.msgpack.encode(_Page(points.pack(), slices.merged().pack(), 0))

    def saved(self) -> None:
        """What `unsaved` gave is written."""
        self._fresh_points, self._fresh_slices, self.strays = [], [], 0

    def whole(self) -> bytes | None:
        """Everything that is kept, in place of all rows so far; what is too old to be mended is let go of. None: nothing."""
        if self.sealed_us is not None:
            self._prune(self.sealed_us)
        slices, sketches = self._judging.all()
        points = joined([self._counting.all(), self._lasting.all(), self._pairs, sketches])
        if not len(points) and not len(slices):
            return None
        return msgspec.msgpack.encode(_Page(points.pack(), slices.pack(), self._kept_from_us))

    def restore(self, rows: Sequence[bytes]) -> None:
        """Into an empty one that is defined: all rows of the store, in any order. Raises CorruptSlots."""
        try:
            pages = [msgspec.msgpack.decode(row, type=_Page) for row in rows]
        except msgspec.MsgspecError as error:
            raise CorruptSlots("kept points are damaged") from error
        points = joined([Points.unpack(page.points) for page in pages])
        slices = concatenated([SlotCounts.unpack(page.slices) for page in pages])
        rules, sealed_us = self._judging.rules, self.sealed_us
        sketches = points.of(Kind.SKETCH)
        self._counting.fold(points.of(Kind.COUNTER))
        self._lasting.fold(points.of(Kind.STATE, Kind.SEEN), 0)
        self._pairs = points.of(*_PAIRS)
        self._judging.fold(slices.take(rules.known(slices.series)), 0)
        self._judging.fold_sketches(sketches.take(rules.known(sketches.series)), 0)
        self._kept_from_us = max((page.kept_from_us for page in pages), default=0)
        if sealed_us is not None:
            self._lasting.advance(sealed_us, sealed_us)
            self._judging.advance(sealed_us, sealed_us)

    def _prune(self, sealed_us: int) -> None:
        bound_us = self._kept_from_us = max(sealed_us - KEEP, self._kept_from_us)
        self._counting.prune(KEEP, bound_us, sealed_us - FORGET)
        self._lasting.prune(bound_us, sealed_us - FORGET, sealed_us)
        self._pairs = pairing.pruned(self._pairs, self._pairings, bound_us)
        self._judging.prune(bound_us, sealed_us)
