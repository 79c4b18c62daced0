"""Pairs of events that a key joins, each judged when it closes or when its time runs out, whichever is first.

    opened      paused   resumed            closed
      |===========|........|==================|          the clock runs while it is opened and not paused
                                  | its time runs out    bad in this slot, unless it closed before

What is opened again before it closes, and closed without having been opened, says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from evaluators.measures.specs import Pairing
from evaluators.points import Kind, Points
from evaluators.slots import SlotCounts

_ORDER: Final = {Kind.OPENED: 0, Kind.RESUMED: 1, Kind.PAUSED: 2, Kind.CLOSED: 3}
"""Of events at one time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one pair: when it is decided (None: not while its clock stands still), whether it closed in time, and whether the
    contractual view leaves it out.
    """

    decided_us: int | None
    good: bool
    excluded: bool


def outcomes(events: Iterable[tuple[int, Kind, bool]], pairing: Pairing) -> Iterator[Outcome]:
    """Of one key, from its events (time, kind, excluded) in any order. A pair is left out where its opening is."""
    clock: _Clock | None = None
    for time_us, kind, excluded in sorted(events, key=lambda each: (each[0], _ORDER[each[1]], each[2])):
        if clock is None:
            clock = _Clock(time_us, pairing.within_us, excluded, pairing.strict) if kind is Kind.OPENED else None
        elif kind is Kind.RESUMED:
            clock.run(time_us)
        elif kind is not Kind.OPENED:
            clock.stop(time_us)
            if kind is Kind.CLOSED:
                good = not clock.is_out
                yield Outcome(time_us if good else clock.ran_out_us, good=good, excluded=clock.excluded)
                clock = None
    if clock is not None:
        yield Outcome(clock.ran_out_us, good=False, excluded=clock.excluded)


@dataclass(slots=True)
class _Clock:
    """Of a pair that is open. `running_us`: since when it runs. With no time left it is still in time, unless `strict`."""

    running_us: int | None
    left_us: int
    excluded: bool
    strict: bool
    stopped_us: int = 0

    @property
    def is_out(self) -> bool:
        return self.left_us < 0 or (self.strict and self.left_us == 0)

    def run(self, time_us: int) -> None:
        if self.running_us is None:
            self.running_us = time_us

    def stop(self, time_us: int) -> None:
        if self.running_us is None:
            return
        if not self.is_out:  # else it has run out before, and that stands
            self.left_us -= time_us - self.running_us
            self.stopped_us = time_us
        self.running_us = None

    @property
    def ran_out_us(self) -> int | None:
        """When its time was, or will be, over; None while it stands still with time left."""
        if self.is_out:
            return self.stopped_us + self.left_us
        return None if self.running_us is None else self.running_us + self.left_us


def paired(
    points: Points, pairings: Mapping[int, Pairing], from_us: int | None, until_us: int, slot_us: int
) -> SlotCounts:
    """One for each pair that is decided in a slot of [from_us, until_us); from None: since ever."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    for series, outcome in _all(points, pairings):
        at_us = outcome.decided_us
        if at_us is not None and (from_us is None or from_us <= at_us) and at_us < until_us:
            good, agreed = int(outcome.good), int(outcome.excluded)
            rows.append((series, at_us // slot_us, good, 1, good * agreed, agreed))
    return SlotCounts.from_columns(np.array(rows, dtype=np.int64).reshape(-1, 6).T).merged()


def pruned(points: Points, pairings: Mapping[int, Pairing], before_us: int) -> Points:
    """Without the keys whose every pair closed, or ran out of time, before a time."""
    kept: list[int] = []
    for (series, _), rows in _keys(points):
        events = [(time_us, kind, excluded) for _, time_us, kind, excluded in rows]
        pairing = pairings.get(series)
        newest = max(time_us for time_us, _, _ in events)
        decided = [] if pairing is None else [each.decided_us for each in outcomes(events, pairing)]
        if newest >= before_us or any(at_us is None or at_us >= before_us for at_us in decided):
            kept.extend(place for place, _, _, _ in rows)
    return points.take(np.array(kept, dtype=np.int64))


def _all(points: Points, pairings: Mapping[int, Pairing]) -> Iterator[tuple[int, Outcome]]:
    for (series, _), rows in _keys(points):
        if series in pairings:
            for outcome in outcomes([(at_us, kind, out) for _, at_us, kind, out in rows], pairings[series]):
                yield series, outcome


def _keys(points: Points) -> Iterator[tuple[tuple[int, int], list[tuple[int, int, Kind, bool]]]]:
    """Each (series, key) with (place, time, kind, excluded) of its points."""
    order = np.lexsort((points.time_us, points.source, points.series))
    found = zip(
        points.series[order].tolist(),
        points.source[order].tolist(),
        order.tolist(),
        points.time_us[order].tolist(),
        points.kind[order].tolist(),
        points.excluded[order].tolist(),
        strict=True,
    )
    for key, rows in groupby(found, key=lambda row: row[:2]):
        yield key, [(place, at_us, Kind(kind), out) for _, _, place, at_us, kind, out in rows]
