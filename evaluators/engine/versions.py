"""Targets that changed within a period: the budget sums (1 - target) x total of each version.

With the newest target it is (1 - target) x total of the whole period, and for each change that the period spans also
(the budget before it - the budget after it) x what the period had counted before it. Only that last count is kept here.

::

      period's start         change                     tick
            |--- before ------>|------------------------->|
            |          total of the whole period          |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators import calendars
from evaluators.agreements import CalendarPeriod, Period
from evaluators.engine.tiers import Tier
from evaluators.slots import Int64s

Float64s = NDArray[np.float64]


@dataclass(slots=True)
class Version:
    """A change of targets at the tick `at_us`: `extra` [series], the budget before it less the one after it; 0: the same.

    `before` [kinds, series] is what the period of the last tick counted before it. When a rolling period has moved past
    it, what is left is the part of its row that was counted before it, so that one can go back in time.
    """

    at_us: int
    extra: Float64s
    before: Int64s


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version as it counts at some ticks: `extra` [series], `before` [kinds, ticks, series]."""

    extra: Float64s
    before: Int64s


class Versions:
    """Of one timeline, whose columns are the series; empty almost always."""

    def __init__(self, slot_us: int, period: Period) -> None:
        self._slot_us = slot_us
        self._period = period
        self.known: list[Version] = []

    def note(self, at_us: int, columns: Int64s, extra: Float64s, before: Int64s, series: int) -> None:
        """From the tick `at_us` on some series have other targets; `before` [kinds, columns]: what their period counted by then."""
        version = next((each for each in self.known if each.at_us == at_us), None)
        if version is None:
            version = Version(at_us, np.zeros(series), np.zeros((len(before), series), dtype=np.int64))
            self.known.append(version)
        version.extra[columns] += extra
        version.before[:, columns] = before
        self.known = [each for each in self.known if each.extra.any()]

    def count(self, at_us: int, column: int, before: Int64s) -> None:
        """What a series' period counted before a change that is known."""
        next(each for each in self.known if each.at_us == at_us).before[:, column] = before

    def add(self, end_us: int, at_us: Int64s, column: Int64s, values: Int64s) -> None:
        """Late counts, the last tick being `end_us`."""
        for version in self.known:
            within = (at_us >= self._from_us(version, end_us)) & (at_us < version.at_us)
            for kind, sums in enumerate(version.before):
                np.add.at(sums, column[within], values[kind, within])

    def counted(
        self, tiers: dict[int, Tier], start_us: int, ticks: Int64s, period_start_us: Int64s, columns: Int64s | None
    ) -> tuple[Earlier, ...]:
        """At the ticks after `start_us`: forward from the last tick, or for `columns` back from it."""
        found: list[Earlier] = []
        for version in self.known:
            before = self._rolled(version, tiers, start_us, ticks, columns)
            if columns is None:
                version.before = before[:, -1].copy()
            before[:, period_start_us >= version.at_us] = 0
            found.append(Earlier(version.extra if columns is None else version.extra[columns], before))
        return tuple(found)

    def now(self, period_start_us: int) -> tuple[Earlier, ...]:
        """At the last tick."""
        spanned = [version for version in self.known if period_start_us < version.at_us]
        return tuple(Earlier(version.extra, version.before[:, None]) for version in spanned)

    def forget(self, oldest_us: int) -> None:
        """Those that no period at a tick after `oldest_us` spans."""
        self.known = [version for version in self.known if self._start(oldest_us) < version.at_us]

    def keep(self, columns: Int64s, added: int) -> None:
        """Keep these series, in this order, and append `added` whose target is the only one they had."""
        for version in self.known:
            version.extra = np.concatenate((version.extra[columns], np.zeros(added)))
            fresh = np.zeros((len(version.before), added), dtype=np.int64)
            version.before = np.concatenate((version.before[:, columns], fresh), axis=1)
        self.known = [version for version in self.known if version.extra.any()]

    def of(self, column: int) -> list[tuple[int, float, Int64s]]:
        """Tick, extra and count before it of each change of one series."""
        changed = [version for version in self.known if version.extra[column]]
        return [(each.at_us, float(each.extra[column]), each.before[:, column].copy()) for each in changed]

    # ------------------------------------------------------------------------------------------------------- inside

    def _start(self, tick_us: int) -> int:
        if isinstance(self._period, CalendarPeriod):
            return calendars.bounds(self._period, tick_us - self._slot_us)[0]
        return calendars.window_start(tick_us, self._period.length_us, self._slot_us)

    def _from_us(self, version: Version, end_us: int) -> int:
        """Where `before` begins."""
        if isinstance(self._period, CalendarPeriod):
            return self._start(version.at_us)
        step = calendars.window_step(self._period.length_us, self._slot_us)
        return min(self._start(end_us), version.at_us // step * step)

    def _rolled(
        self, version: Version, tiers: dict[int, Tier], start_us: int, ticks: Int64s, columns: Int64s | None
    ) -> Int64s:
        """`before` at each tick: rows of a rolling period leave it, up to the one that the change lies in."""
        before = version.before if columns is None else version.before[:, columns]
        out = np.repeat(before[:, None], len(ticks), axis=1)
        if isinstance(self._period, CalendarPeriod):
            return out
        length = self._period.length_us
        step = calendars.window_step(length, self._slot_us)
        first, last = (start_us - length) // step, version.at_us // step
        starts = np.minimum((ticks - length) // step, last)
        if first >= starts[-1]:
            return out
        left = tiers[step].read(first, int(starts[-1]), columns)
        gone = np.concatenate((np.zeros_like(left[:, :1]), np.cumsum(left, axis=1)), axis=1)[:, starts - first]
        return out - gone if columns is None else out + (gone[:, -1:] - gone)
