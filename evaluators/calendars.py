"""Where calendar periods begin and end in a time zone, and where rolling windows start.

Local times take their first occurrence (fold 0); a time in a gap moves forward by the gap. So a day on which the clock
skips midnight begins when the clock comes out of the gap, and a midnight that happens twice counts the first time.
Durations are elapsed time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from evaluators.agreements import CalendarPeriod, CalendarUnit, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MICROSECOND, MINUTE

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STARTS_KEPT: Final = 16_384

_NOMINAL_DAYS: Final[dict[CalendarUnit, int]] = {"day": 1, "week": 7, "month": 30, "quarter": 90, "year": 365}

FINE_WINDOW: Final = 6 * HOUR
"""Rolling windows up to this length start on a slot."""
MINUTE_WINDOW: Final = 3 * DAY
"""Those up to this length start on a minute; longer ones on a quarter of an hour."""
COARSE_STEP: Final = 15 * MINUTE


def nominal_length(period: Period) -> int:
    """Microseconds that a period counts as where a policy scales by it: a month is 30 days, a year 365."""
    return period.length_us if isinstance(period, RollingPeriod) else _NOMINAL_DAYS[period.unit] * DAY


def bounds(period: CalendarPeriod, tick_us: int) -> tuple[int, int]:
    """The period around an instant: `start_us <= tick_us < end_us`, never empty, without gap to its neighbours.

    A slot belongs where it starts, so ask with the slot's start for the period that a slot counts in.
    """
    starts = _starts(period, tick_us)
    start = next(starts)
    return start, next(starts)


def edges(period: CalendarPeriod, from_us: int, to_us: int) -> NDArray[np.int64]:
    """Starts of all periods that touch [from_us, to_us], and the start of the one after them; strictly rising.

    `edges[0] <= from_us` and `edges[-1] > to_us`; neighbours are the bounds of one period, and
    `np.searchsorted(edges, times, side="right") - 1` is the index of the period that each time lies in.
    """
    starts = _starts(period, from_us)
    found = [next(starts), next(starts)]
    while found[-1] <= to_us:
        found.append(next(starts))
    return np.array(found, dtype=np.int64)


def window_start(tick_us: int, length_us: int, slot_us: int) -> int:
    """Start of the rolling window that ends at the tick: rounded down to a slot up to 6 h, a minute up to 3 d, 15 min beyond."""
    step = window_step(length_us, slot_us)
    return (tick_us - length_us) // step * step


def window_step(length_us: int, slot_us: int) -> int:
    """What the start of a rolling window of this length is rounded down to."""
    if length_us <= FINE_WINDOW:
        return slot_us
    return MINUTE if length_us <= MINUTE_WINDOW else COARSE_STEP


def instant(local: datetime, time_zone: str) -> int:
    """Microseconds since the epoch of a local time without zone; the first of two, or moved forward out of a gap."""
    # Of fold 0 in a gap, the standard library applies the offset from before it: just that move.
    return (local.replace(tzinfo=ZoneInfo(time_zone), fold=0) - _EPOCH) // timedelta(microseconds=MICROSECOND)


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Every IANA name that is known here."""
    return frozenset(available_timezones())


def _starts(period: CalendarPeriod, tick_us: int) -> Iterator[int]:
    """Starts of periods in order, from the one that `tick_us` lies in; without end."""
    unit, zone = period.unit, period.time_zone
    day = (_EPOCH + timedelta(microseconds=tick_us)).astimezone(ZoneInfo(zone)).date()
    index = _index(unit, day)
    # The clock may have skipped more than midnight: 23:30 to 00:30 moves the start to 01:00, after the date changed.
    while _start(unit, zone, index) > tick_us:
        index -= 1
    # Or it has gone back over midnight: then the date says yesterday, but the new period has begun.
    while _start(unit, zone, index + 1) <= tick_us:
        index += 1
    yield _start(unit, zone, index)
    # A zone that crossed the date line skipped a whole day: that day's period is empty and left out.
    pairs = itertools.pairwise(_start(unit, zone, each) for each in itertools.count(index))
    yield from (later for earlier, later in pairs if later > earlier)


@lru_cache(maxsize=_STARTS_KEPT)
def _start(unit: CalendarUnit, time_zone: str, index: int) -> int:
    return instant(datetime.combine(_first_day(unit, index), datetime.min.time()), time_zone)


def _index(unit: CalendarUnit, day: date) -> int:
    """The number of the unit that a day lies in, counted without holes."""
    match unit:
        case "day":
            return day.toordinal()
        case "week":
            return (day.toordinal() - 1) // 7  # ordinal 1 is a Monday
        case "month":
            return day.year * 12 + day.month - 1
        case "quarter":
            return day.year * 4 + (day.month - 1) // 3
        case _:
            return day.year


def _first_day(unit: CalendarUnit, index: int) -> date:
    """The inverse of `_index`."""
    match unit:
        case "day":
            return date.fromordinal(index)
        case "week":
            return date.fromordinal(index * 7 + 1)
        case "month":
            return date(index // 12, index % 12 + 1, 1)
        case "quarter":
            return date(index // 4, index % 4 * 3 + 1, 1)
        case _:
            return date(index, 1, 1)
