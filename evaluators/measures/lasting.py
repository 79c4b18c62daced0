"""Lasting: states and sightings, measured slot by slot as the tick passes."""

from __future__ import annotations

from collections.abc import Mapping

from evaluators.measures import holding
from evaluators.measures.keeping import Kept, changed, follows, reaching
from evaluators.measures.specs import Holding
from evaluators.points import Kind, Points, joined
from evaluators.slots import SlotCounts


class Lasting:
    """`holdings` by series. What lies ahead of the tick, and what held there, is at hand; the rest is kept for late points."""

    def __init__(self, slot_us: int) -> None:
        self.holdings: Mapping[int, Holding] = {}
        self._slot_us = slot_us
        self._kept = Kept(self._ordered)
        self._near = Points.empty()

    def __bool__(self) -> bool:
        return len(self._near) > 0

    def all(self) -> Points:
        return self._kept.all()

    @property
    def first_us(self) -> int | None:
        return int(self._near.time_us.min()) if len(self._near) else None

    def _ordered(self, points: Points) -> Points:
        return holding.states(points, self._slot_us)

    def fold(self, fresh: Points, sealed_us: int) -> SlotCounts:
        """What they change of the time before `sealed_us`."""
        if not len(fresh):
            return SlotCounts.empty()
        late = fresh.take(fresh.time_us < sealed_us)
        old = self._kept.all() if len(late) else Points.empty()
        self._kept.add(fresh)
        self._near = self._reaching(self._ordered(joined([self._near, fresh])), sealed_us)
        if not len(late):
            return SlotCounts.empty()
        since: dict[int, int] = {}
        for series, time_us in zip(late.series.tolist(), late.time_us.tolist(), strict=True):
            since[series] = min(time_us // self._slot_us * self._slot_us, since.get(series, sealed_us))
        holdings = {series: self.holdings[series] for series in since if series in self.holdings}
        before, after = (
            holding.held(points, holdings, since, sealed_us, self._slot_us) for points in (old, self._kept.all())
        )
        return changed(before, after)

    def advance(self, from_us: int | None, until_us: int) -> SlotCounts:
        """The slots of [from_us, until_us); None: from the first point on."""
        if not len(self._near):
            return SlotCounts.empty()
        if from_us is None:
            from_us = int(self._near.time_us.min()) // self._slot_us * self._slot_us
        found = holding.held(self._near, self.holdings, from_us, until_us, self._slot_us)
        self._near = self._reaching(self._near, until_us)
        return found

    def prune(self, bound_us: int, gone_us: int, sealed_us: int) -> None:
        """Keep what late points after `bound_us` may need; a probe that has said nothing since `gone_us` is gone."""
        kept = self._reaching(self._kept.all(), bound_us)
        kept = kept.take((kept.kind == Kind.SEEN) | (kept.time_us >= gone_us))
        self._kept.replace(kept)
        self._near = self._reaching(kept, sealed_us)

    def _reaching(self, points: Points, from_us: int) -> Points:
        return points.take(reaching(points.time_us >= from_us, follows(points))) if len(points) else points
