"""Counts of a block's series over time, and exact sums of every window at every tick.

A window's sum at tick t is the sum at an earlier tick plus the slots that entered, minus the rows that left. The sums at
the last tick are carried, so a tick costs one row in and at most one row out per window, and a batch of ticks is two
cumulative sums. Going back in time is the same from the other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators import calendars
from evaluators.agreements import CalendarPeriod, Period
from evaluators.calendars import FINE_WINDOW
from evaluators.durations import HOUR, MINUTE
from evaluators.engine.tiers import Tier
from evaluators.engine.versions import Earlier, Float64s, Versions
from evaluators.slots import Int64s

HORIZON: Final = 3 * HOUR
"""How far behind the tick late data still re-runs the fold; slots are kept this much longer than the longest window on slots."""
BATCH_CELLS: Final = 1 << 17
"""Ticks times series evaluated at once: arrays that stay within a few MB."""
LONGEST_BATCH: Final = 8640
"""Ticks evaluated at once at most; rings hold so much more for few series."""
NEVER: Final = np.iinfo(np.int64).min // 2
"""A time before all others, for "no sample yet"; half of the least, so that differences do not wrap."""
LIVE_FOR: Final = 5 * MINUTE
"""As long as Prometheus goes on showing a series that has stopped: sources that send each minute, or a little late, must
not seem to fall silent in between."""

PERIODS_KEPT: Final = 3
"""Calendar periods summed: the present one, its predecessor (for its expected total), and that one's, for the refold."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Sums at ticks: `windows[w]` and `period` have shape [kinds, ticks, series]; times are [ticks] or [ticks, series].

    `period_start_us` and `period_end_us` bound the period that each tick's last slot lies in; a rolling period ends at
    the tick. `previous` is the whole previous calendar period, `previous_start_us` its start. `last_us` is the end of
    the last slot with a sample, NEVER before the first. `earlier`: what the period counted under earlier targets.
    """

    ticks: Int64s
    windows: Int64s
    period: Int64s
    period_start_us: Int64s
    period_end_us: Int64s
    previous: Int64s | None
    previous_start_us: Int64s | None
    last_us: Int64s
    earlier: tuple[Earlier, ...] = ()


class Timeline:
    """`lengths` are the rolling windows summed, ascending; a rolling period is one of them. All in whole slots."""

    def __init__(
        self, slot_us: int, period: Period, lengths: Sequence[int], kinds: int, series: int, end_us: int
    ) -> None:
        self.slot_us = slot_us
        self.period = period
        self.lengths = tuple(lengths)
        self.kinds = kinds
        self.end_us = end_us
        self.steps = tuple(calendars.window_step(length, slot_us) for length in self.lengths)
        self.batch = batch_ticks(slot_us, series)
        self.tiers = self._rings(series)
        self.carried = np.zeros((len(self.lengths), kinds, series), dtype=np.int64)
        self.periods: dict[int, Int64s] = {}
        self.versions = Versions(slot_us, period)
        self.first_us = np.full(series, -NEVER, dtype=np.int64)
        self.last_us = np.full(series, NEVER, dtype=np.int64)
        self.forgotten_us = np.full(series, NEVER, dtype=np.int64)
        self._open_periods(series)

    @property
    def series(self) -> int:
        return len(self.last_us)

    @property
    def slots(self) -> Tier:
        return self.tiers[self.slot_us]

    @property
    def idle(self) -> bool:
        """Nothing is counted in any window or the present period."""
        present = max(self.periods, default=None)
        return not self.carried.any() and (present is None or not self.periods[present].any())

    def add(self, column: Int64s, slot: Int64s, values: Int64s) -> None:
        """Counts at or before the last tick: into the rings, and into every sum at the last tick that spans them.

        `values` has shape [kinds, n]: failures, total, and with exclusions those of both that are excluded.
        """
        at = slot * self.slot_us
        for step, tier in self.tiers.items():
            tier.add(at // step, column, values)
        for place, (length, step) in enumerate(zip(self.lengths, self.steps, strict=True)):
            within = at >= (self.end_us - length) // step * step
            _sum_into(self.carried[place], column[within], values[:, within])
        self._add_to_periods(at, column, values)
        self.versions.add(self.end_us, at, column, values)
        self._see(at, column, values[1] != 0)

    def advance(self, until_us: int, column: Int64s, slot: Int64s, values: Int64s) -> Counted:
        """Step to tick `until_us`, at most `batch` ticks on, with the counts of the slots in between."""
        start_us = self.end_us
        self._extend(until_us)
        at = slot * self.slot_us
        for step, tier in self.tiers.items():
            tier.add(at // step, column, values)
        seen = values[1] != 0
        np.minimum.at(self.first_us, column[seen], at[seen])
        self.end_us = until_us
        counted = self._counted(start_us, until_us, None)
        self.carried = counted.windows[:, :, -1].copy()
        self.last_us = counted.last_us[-1].copy()
        self._open_periods(self.series)
        self.versions.forget(until_us - HORIZON)
        return counted

    def back_from(self, start_us: int, columns: Int64s) -> Counted:
        """Sums at the ticks after `start_us` up to the last, for some series; `start_us` within HORIZON of it."""
        return self._counted(start_us, self.end_us, columns)

    def last_seen(self, start_us: int, columns: Int64s) -> tuple[Int64s, Int64s]:
        """The ticks after `start_us` up to the last, and for some series the end of the last slot with a sample at each.

        Shapes [ticks] and [ticks, series]; `start_us` within HORIZON of the last tick.
        """
        slots = self.slots.read(start_us // self.slot_us, self.end_us // self.slot_us, columns)
        ticks = np.arange(start_us + self.slot_us, self.end_us + 1, self.slot_us, dtype=np.int64)
        return ticks, self._last_seen(start_us, ticks, slots[1] != 0, columns)

    def now(self) -> Counted:
        """Sums at the last tick."""
        ticks = np.array([self.end_us], dtype=np.int64)
        start, end, index, starts = self._period_bounds(ticks)
        if isinstance(self.period, CalendarPeriod):
            period, previous, previous_start = self._periods_at(starts, index, None)
        else:
            period, previous, previous_start = self.carried[self._period_window()][:, None, :], None, None
        windows, earlier = self.carried[:, :, None, :], self.versions.now(int(start[0]))
        return Counted(ticks, windows, period, start, end, previous, previous_start, self.last_us[None, :], earlier)

    def skip(self, until_us: int) -> None:
        """Step over a stretch in which nothing was counted and nothing is left to roll off."""
        self._extend(until_us)
        self.end_us = until_us
        self._open_periods(self.series)
        self.versions.forget(until_us - HORIZON)

    def retarget(self, columns: Int64s, at_us: int, extra: Float64s) -> None:
        """The budgets of some series were `extra` more before a tick, which all that their period counts lies before."""
        self.versions.note(at_us, columns, extra, self.now().period[:, 0, columns], self.series)

    def recent(self, until_us: int, column: int) -> Int64s:
        """Slots of one series in the FINE_WINDOW before a tick, [kinds, slots], oldest first."""
        end = until_us // self.slot_us
        first = end - FINE_WINDOW // self.slot_us
        return self.slots.read(first, end, np.array([column], dtype=np.int64))[:, :, 0]

    def keep(self, columns: Int64s, added: int) -> None:
        """Keep these series, in this order, and append `added` empty ones."""
        for tier in self.tiers.values():
            tier.keep(columns, added)
        self.carried = _widened(self.carried[:, :, columns], added, 0)
        self.periods = {start: _widened(sums[:, columns], added, 0) for start, sums in self.periods.items()}
        self.first_us = _widened(self.first_us[columns], added, -NEVER)
        self.last_us = _widened(self.last_us[columns], added, NEVER)
        self.forgotten_us = _widened(self.forgotten_us[columns], added, NEVER)
        self.versions.keep(columns, added)
        self._fit_rings()

    def taken_out(self, column: int) -> tuple[Int64s, Int64s]:
        """What is kept of one series: slots [n] and values [kinds, n], each count once, in the finest step that has it."""
        columns = np.array([column], dtype=np.int64)
        slots, values = [np.zeros(0, dtype=np.int64)], [np.zeros((self.kinds, 0), dtype=np.int64)]
        until_us = self.end_us
        for step in sorted(self.tiers):
            tier = self.tiers[step]
            # A coarser row begins where finer rows have ended: the cut is whole steps of every coarser tier.
            from_us = max(tier.first * step, 0)
            coarser = [other for other in self.tiers if other > step]
            if coarser:
                from_us = -(-from_us // max(coarser)) * max(coarser)
            counts = tier.read(from_us // step, -(-until_us // step), columns)[:, :, 0]
            found = np.flatnonzero(counts.any(axis=0))
            slots.append((found + from_us // step) * (step // self.slot_us))
            values.append(counts[:, found])
            until_us = from_us
        return np.concatenate(slots), np.concatenate(values, axis=1)

    # ------------------------------------------------------------------------------------------------------- inside

    def _rings(self, series: int) -> dict[int, Tier]:
        longest = {self.slot_us: FINE_WINDOW}
        for length, step in zip(self.lengths, self.steps, strict=True):
            longest[step] = max(length, longest.get(step, 0))
        slack = max(HORIZON, self.batch * self.slot_us)
        return {
            step: Tier(step, (length + slack) // step + 2, self.kinds, series, -(-self.end_us // step))
            for step, length in sorted(longest.items())
        }

    def _fit_rings(self) -> None:
        """More series make shorter batches, never longer ones: rings only ever hold more than is needed."""
        self.batch = min(self.batch, batch_ticks(self.slot_us, self.series))

    def _extend(self, until_us: int) -> None:
        """Make room up to a later tick; of what falls out of the slots it is remembered when it was."""
        slots = self.slots
        dropped_to = min(until_us // self.slot_us - slots.rows, slots.end)
        counts = slots.read(slots.first, dropped_to)[1]
        ends = (np.arange(slots.first, dropped_to, dtype=np.int64) + 1) * self.slot_us
        seen = np.where(counts != 0, ends[:, None], NEVER).max(axis=0, initial=NEVER)
        np.maximum(self.forgotten_us, seen, out=self.forgotten_us)
        for step, tier in self.tiers.items():
            tier.extend(-(-until_us // step))

    def _counted(self, start_us: int, until_us: int, columns: Int64s | None) -> Counted:
        """Sums at the ticks in (start_us, until_us]: forward from what is carried, or for `columns` back from it."""
        slots = self.slots.read(start_us // self.slot_us, until_us // self.slot_us, columns)
        entered = np.cumsum(slots, axis=1) if slots.shape[1] > 1 else slots
        ticks = np.arange(start_us + self.slot_us, until_us + 1, self.slot_us, dtype=np.int64)
        windows = np.empty((len(self.lengths), *entered.shape), dtype=np.int64)
        for place in range(len(self.lengths)):
            self._slide(place, start_us, ticks, entered, columns, windows[place])
        start, end, index, starts = self._period_bounds(ticks)
        if isinstance(self.period, CalendarPeriod):
            if columns is None:
                self._fill_periods(starts, index, slots)
            period, previous, previous_start = self._periods_at(starts, index, columns)
            _rewind(period, entered, index)
        else:
            period, previous, previous_start = windows[self._period_window()], None, None
        last = self._last_seen(start_us, ticks, slots[1] != 0, columns)
        earlier = self.versions.counted(self.tiers, start_us, ticks, start, columns)
        return Counted(ticks, windows, period, start, end, previous, previous_start, last, earlier)

    def _slide(
        self, place: int, start_us: int, ticks: Int64s, entered: Int64s, columns: Int64s | None, out: Int64s
    ) -> None:
        length, step = self.lengths[place], self.steps[place]
        starts = (ticks - length) // step
        first = (start_us - length) // step
        left = self.tiers[step].read(first, int(starts[-1]), columns)
        gone = np.zeros((left.shape[0], left.shape[1] + 1, left.shape[2]), dtype=np.int64)
        if left.shape[1] > 1:
            np.cumsum(left, axis=1, out=gone[:, 1:])
        else:
            gone[:, 1:] = left
        if step == self.slot_us:  # one row leaves with each tick
            np.subtract(entered, gone[:, 1:], out=out)
        else:
            np.subtract(entered, gone[:, starts - first], out=out)
        if columns is None:
            out += self.carried[place][:, None, :]
        else:
            out += (self.carried[place][:, columns] - out[:, -1])[:, None, :]

    def _period_window(self) -> int:
        assert not isinstance(self.period, CalendarPeriod), "a calendar period is no window"
        return self.lengths.index(self.period.length_us)

    def _period_bounds(self, ticks: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """Start and end of the period of each tick; for calendar periods also its index into the starts."""
        if not isinstance(self.period, CalendarPeriod):
            length = self.period.length_us
            step = calendars.window_step(length, self.slot_us)
            return (ticks - length) // step * step, ticks, _NONE, _NONE
        began = ticks - self.slot_us  # a slot belongs where it starts
        starts = calendars.edges(self.period, int(began[0]), int(began[-1]))
        index = np.searchsorted(starts, began, side="right") - 1
        return starts[index], starts[index + 1], index.astype(np.int64), starts

    def _previous_start(self, start_us: int) -> int:
        assert isinstance(self.period, CalendarPeriod)
        return calendars.bounds(self.period, start_us - 1)[0]

    def _open_periods(self, series: int) -> None:
        """Have a sum for the present calendar period and those before it that are still needed; forget older ones."""
        if not isinstance(self.period, CalendarPeriod):
            return
        start = calendars.bounds(self.period, self.end_us - self.slot_us)[0]
        known = self.periods
        self.periods = {}
        for _ in range(PERIODS_KEPT):
            sums = known.get(start)
            self.periods[start] = np.zeros((self.kinds, series), dtype=np.int64) if sums is None else sums
            start = self._previous_start(start)

    def _fill_periods(self, starts: Int64s, index: Int64s, slots: Int64s) -> None:
        """Add a batch's slots to the sums of their periods."""
        for place in np.unique(index).tolist():
            sums = slots[:, index == place].sum(axis=1)
            start = int(starts[place])
            present = self.periods.get(start)
            self.periods[start] = sums if present is None else present + sums

    def _periods_at(self, starts: Int64s, index: Int64s, columns: Int64s | None) -> tuple[Int64s, Int64s, Int64s]:
        """At each tick the whole sum of its period (as known at the last tick) and of the one before."""
        chosen = np.arange(self.series) if columns is None else columns
        period = np.empty((self.kinds, len(index), len(chosen)), dtype=np.int64)
        previous = np.empty_like(period)
        previous_start = np.empty(len(index), dtype=np.int64)
        for place in np.unique(index).tolist():
            at = index == place
            start = int(starts[place])
            before = self._previous_start(start)
            period[:, at] = self._period_sum(start)[:, None, chosen]
            previous[:, at] = self._period_sum(before)[:, None, chosen]
            previous_start[at] = before
        return period, previous, previous_start

    def _period_sum(self, start_us: int) -> Int64s:
        sums = self.periods.get(start_us)
        return np.zeros((self.kinds, self.series), dtype=np.int64) if sums is None else sums

    def _add_to_periods(self, at: Int64s, column: Int64s, values: Int64s) -> None:
        if not isinstance(self.period, CalendarPeriod):
            return
        for start, sums in self.periods.items():
            end = calendars.bounds(self.period, start)[1]
            within = (at >= start) & (at < end)
            _sum_into(sums, column[within], values[:, within])

    def _see(self, at: Int64s, column: Int64s, seen: NDArray[np.bool_]) -> None:
        at, column = at[seen], column[seen]
        np.minimum.at(self.first_us, column, at)
        np.maximum.at(self.last_us, column, at + self.slot_us)
        old = at < self.slots.first * self.slot_us
        np.maximum.at(self.forgotten_us, column[old], at[old] + self.slot_us)

    def _last_seen(self, start_us: int, ticks: Int64s, seen: NDArray[np.bool_], columns: Int64s | None) -> Int64s:
        before = self.last_us if columns is None else self._last_before(start_us, columns)
        last = np.where(seen, ticks[:, None], before[None, :])
        return np.maximum.accumulate(last, axis=0) if len(ticks) > 1 else last

    def _last_before(self, tick_us: int, columns: Int64s) -> Int64s:
        """End of the last slot with a sample at or before a tick of the past."""
        last = self.last_us[columns]
        later = np.flatnonzero(last > tick_us)
        if not len(later):
            return last
        end = tick_us // self.slot_us
        counts = self.slots.read(self.slots.first, end, columns[later])[1]
        ends = (np.arange(self.slots.first, end, dtype=np.int64) + 1) * self.slot_us
        found = np.where(counts != 0, ends[:, None], NEVER).max(axis=0, initial=NEVER)
        last = last.copy()
        last[later] = np.maximum(found, self.forgotten_us[columns[later]])
        return last


_NONE: Final = np.zeros(0, dtype=np.int64)


def batch_ticks(slot_us: int, series: int) -> int:
    """How many ticks are evaluated at once."""
    return max(min(BATCH_CELLS // max(series, 1), LONGEST_BATCH), MINUTE // slot_us)


def live_for(slot_us: int) -> int:
    """How long after its last slot with a sample a series is still live: five minutes, or six slots if they are longer."""
    return max(6 * slot_us, LIVE_FOR)


def _rewind(period: Int64s, entered: Int64s, index: Int64s) -> None:
    """From whole periods to the sums at each tick: take off what came later in the same period, in place."""
    ends = np.flatnonzero(np.concatenate((index[1:] != index[:-1], [True])))
    last_of = ends[np.searchsorted(ends, np.arange(len(index)))]
    period -= entered[:, last_of] - entered


def _sum_into(sums: Int64s, column: Int64s, values: Int64s) -> None:
    for kind in range(len(sums)):
        np.add.at(sums[kind], column, values[kind])


def _widened(columns: Int64s, added: int, fill: int) -> Int64s:
    if not added:
        return np.ascontiguousarray(columns)
    fresh = np.full((*columns.shape[:-1], added), fill, dtype=np.int64)
    return np.concatenate((columns, fresh), axis=-1)
