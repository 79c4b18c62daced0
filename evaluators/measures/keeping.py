"""Points as they are kept: appended cheaply, put in order only when somebody has to look back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.points import Points, joined
from evaluators.slots import Int64s, SlotCounts, concatenated

Bools = NDArray[np.bool_]

_MIX: Final = np.int64(-7046029254386353131)  # odd, of no pattern: 2**64 over the golden ratio


class Kept:
    """`ordered` brings points into the form in which they are looked at; it may leave out what says nothing more."""

    def __init__(self, ordered: Callable[[Points], Points]) -> None:
        self._ordered = ordered
        self._whole = Points.empty()
        self._more: list[Points] = []

    def add(self, points: Points) -> None:
        self._more.append(points)

    def all(self) -> Points:
        """In order."""
        if self._more:
            self._whole, self._more = self._ordered(joined([self._whole, *self._more])), []
        return self._whole

    def replace(self, points: Points) -> None:
        """`points` are in order."""
        self._whole, self._more = points, []


def keys(points: Points) -> Int64s:
    """A number for each (series, source); the source is a digest."""
    return points.source ^ (points.series * _MIX)


def found_in(wanted: Int64s, known: Int64s) -> tuple[Int64s, Bools]:
    """The place of each number in `known`, which rises, and whether it is there."""
    if not len(known):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return places, known[places] == wanted


def follows(points: Points) -> Bools:
    """Of sorted points: whether each is of the source of the one before."""
    same = (points.series[1:] == points.series[:-1]) & (points.source[1:] == points.source[:-1])
    return np.append(False, same)[: len(points)]


def reaching(recent: Bools, follow: Bools) -> Bools:
    """Of rows in order, each following its predecessor or not: those that are recent, and the last one before of each."""
    next_follows = np.append(follow[1:], False)[: len(follow)]
    next_recent = np.append(recent[1:], False)[: len(recent)]
    return recent | ~next_follows | next_recent


def changed(before: SlotCounts, after: SlotCounts) -> SlotCounts:
    """What has to be added to what was said; a slot that had its row and keeps it says nothing."""
    minus = SlotCounts(
        before.series, before.slot, -before.good, -before.total, -before.excluded_good, -before.excluded_total
    )
    both = concatenated([after, minus]).merged()
    some = (both.good != 0) | (both.total != 0) | (both.excluded_good != 0) | (both.excluded_total != 0)
    return both.take(some | ~np.isin(both.slot ^ (both.series * _MIX), before.slot ^ (before.series * _MIX)))
