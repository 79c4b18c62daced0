"""What a table shows of a period and of the windows is a recount of the raw slots, at whatever tick it is asked.

::

      start, rounded down      tick - length                     tick
            |----------------------------------------------------->|
    . . * . x . . x . . . . . x x . . . . . . . . . x . . . . . x .|. *
            ^ counts: a slot belongs where it starts                 ^ not yet
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.agreements import BurnRateCondition, CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.standings import Standing, ViewNumbers
from tests.evaluators.engine.promises import SLOT, counts, promise
from tests.examples import examples

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = (datetime(2026, 3, 29, 12, 7, 30, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LENGTHS = (HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
SHOWN = {"5m": 5 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
A_WEEK_BURNS = BurnRateCondition(7 * DAY, DAY, 1.0, "ticket")
SPAN = 90 * MINUTE
"""How far an engine is advanced."""
TARGETS = st.sampled_from([0.5, 0.9, 0.99, 0.999])
Raw = tuple[int, int, int, int, int]
"""Start of the slot, good, total, and both of what is excluded."""


def microseconds(year: int, month: int, day: int, hour: int) -> int:
    """Of a local time in Berlin, on the hour."""
    return (datetime(year, month, day, hour, tzinfo=BERLIN) - EPOCH) // timedelta(microseconds=1)


EDGES = (
    microseconds(2026, 3, 29, 0),  # the day of 23 hours begins
    microseconds(2026, 3, 29, 3),  # its clock has just gone forward
    microseconds(2026, 3, 30, 0),  # it ends, and with it a week
    microseconds(2026, 4, 1, 0),  # the month ends that it lies in
    microseconds(2026, 10, 25, 0),  # the day of 25 hours begins
    microseconds(2026, 10, 26, 0),  # it ends, and with it a week
    microseconds(2026, 11, 1, 0),  # the month ends that it lies in
)
UNITS = ("day", "week", "month")


@st.composite
def raw_slots(draw: st.DrawFn, near: Iterable[int], from_us: int, until_us: int) -> list[Raw]:
    """Three to 20 of them: at the edges where counts come in and leave, around them, or anywhere."""
    anywhere = st.integers(from_us // SLOT, until_us // SLOT - 1)
    by = st.sampled_from([-1, 0, 0, 1]) | st.integers(-90, 90)
    at_an_edge = st.tuples(st.sampled_from(sorted(near)), by).map(lambda at: at[0] // SLOT + at[1])
    rows: list[Raw] = []
    for slot in draw(st.lists(at_an_edge | at_an_edge | at_an_edge | anywhere, min_size=3, max_size=20)):
        total = draw(st.integers(1, 300))
        failed, left_out = draw(st.integers(0, total)), draw(st.integers(0, total) | st.just(0))
        failed_out = draw(st.integers(max(0, failed + left_out - total), min(failed, left_out)))
        rows.append((slot * SLOT, total - failed, total, left_out - failed_out, left_out))
    return [row for row in rows if row[0] < until_us]


@st.composite
def ticks_after(draw: st.DrawFn, starts_us: int, *some: int) -> list[int]:
    """Up to four in order, at random or one of these, and the last of the span."""
    ends_us = starts_us + SPAN
    inside = st.integers(1, SPAN // SLOT - 1).map(lambda slot: starts_us + slot * SLOT)
    edges = [each for each in some if starts_us < each < ends_us]
    chosen = draw(st.lists(st.sampled_from(edges) | inside if edges else inside, max_size=3))
    return sorted({*chosen, ends_us})


@dataclass
class Asked:
    """An engine that begins at `starts_us`, and everything that has arrived there."""

    spec: SeriesSpec
    starts_us: int

    def __post_init__(self) -> None:
        self.engine = ShardEngine(SLOT, starts_us=self.starts_us)
        self.engine.define([self.spec])
        self.arrived: list[Raw] = []

    def at(self, tick_us: int, fresh: list[Raw]) -> Standing:
        """With more rows: what the table says at a tick."""
        self.arrived += fresh
        self.engine.fold(counts((1, row[0] // SLOT, *row[1:]) for row in fresh))
        self.engine.advance(tick_us, lateness_us=0)
        [standing] = self.engine.table(blind=None).standings()
        assert standing.as_of_us == tick_us
        return standing

    def count(self, start_us: int, end_us: int, view: str = "contractual") -> tuple[int, int]:
        """Failures and total, by looking at every raw row."""
        inside = [row for row in self.arrived if start_us <= row[0] < end_us]
        failures, total = sum(row[2] - row[1] for row in inside), sum(row[2] for row in inside)
        if view == "experienced":
            return failures, total
        return failures - sum(row[4] - row[3] for row in inside), total - sum(row[4] for row in inside)

    def born_us(self, tick_us: int) -> int:
        return min((row[0] for row in self.arrived if row[0] < tick_us), default=tick_us)

    def check_views(self, standing: Standing, start_us: int) -> None:
        """Both views over the period and over every window."""
        for view in ("contractual", "experienced"):
            numbers: ViewNumbers = getattr(standing, view)
            failures, total = self.count(start_us, standing.as_of_us, view)
            assert (numbers.total - numbers.good, numbers.total) == (failures, total)
            for name, rate in numbers.burn_rates.items():
                assert rate == self._burn(standing.as_of_us, SHOWN[name], view)

    def _burn(self, tick_us: int, length_us: int, view: str) -> object:
        failures, total = self.count(started(tick_us, length_us), tick_us, view)
        budget = 1 - Fraction(str(self.spec.identity.target))
        return pytest.approx(float(Fraction(failures, total) / budget), rel=1e-9) if total else None


def started(tick_us: int, length_us: int) -> int:
    """Rounded down to a slot up to 6 h, to a minute up to 3 d, to a quarter of an hour beyond."""
    step = SLOT if length_us <= 6 * HOUR else MINUTE if length_us <= 3 * DAY else 15 * MINUTE
    return tick_us - length_us - (tick_us - length_us) % step


def asked_of(period: Period, target: float, starts_us: int) -> Asked:
    return Asked(promise(A_WEEK_BURNS, period=period, target=target, has_exclusions=True), starts_us)


def in_parts(rows: list[Raw], ticks: list[int], data: st.DataObject) -> list[tuple[int, list[Raw]]]:
    """The rows come before their slot is evaluated, in time, or late."""
    parts: list[list[Raw]] = [[] for _ in ticks]
    for row in rows:
        parts[data.draw(st.integers(0, len(ticks) - 1))].append(row)
    return list(zip(ticks, parts, strict=True))


# ---------------------------------------------------------------------------------------------------------- rolling


@examples(50)
@given(st.sampled_from(LENGTHS), TARGETS, st.sampled_from([0, 10 * SECOND, 7 * MINUTE]), st.data())
def test_a_rolling_period_and_every_window_are_a_recount(
    length_us: int, target: float, past_us: int, data: st.DataObject
) -> None:
    """From an hour to 90 days, while old slots leave and late ones come."""
    starts_us = NOON + past_us
    ticks = data.draw(ticks_after(starts_us))
    probed_us = data.draw(st.sampled_from(sorted({length_us, *SHOWN.values()})))
    edges = {edge for tick in ticks for edge in (started(tick, probed_us), tick - probed_us, tick)}
    rows = data.draw(raw_slots(edges, starts_us - length_us - DAY, ticks[-1]))
    asked = asked_of(RollingPeriod(length_us), target, starts_us)

    for tick_us, fresh in in_parts(rows, ticks, data):
        standing = asked.at(tick_us, fresh)

        start_us = started(tick_us, length_us)
        assert (standing.period_start_us, standing.period_end_us) == (start_us, tick_us)
        asked.check_views(standing, start_us)


@examples(40)
@given(st.sampled_from(LENGTHS), TARGETS, st.data())
def test_a_rolling_period_that_is_young_allows_by_the_pace_that_was_seen(
    length_us: int, target: float, data: st.DataObject
) -> None:
    """Its budget is of the total expected of a whole one; once it is full, of what was seen."""
    ticks = data.draw(ticks_after(NOON))
    edges = {edge for tick in ticks for edge in (started(tick, length_us), tick)}
    rows = data.draw(raw_slots(edges, NOON - length_us - DAY, ticks[-1]))
    asked = asked_of(RollingPeriod(length_us), target, NOON)

    for tick_us, fresh in in_parts(rows, ticks, data):
        standing = asked.at(tick_us, fresh)

        start_us, born_us = started(tick_us, length_us), asked.born_us(tick_us)
        _, total = asked.count(start_us, tick_us)
        young = born_us > start_us
        expected = Fraction(total * (tick_us - start_us), max(tick_us - born_us, 1)) if young else total
        assert standing.allowed == pytest.approx(float(expected * (1 - Fraction(str(target)))), rel=1e-9)
        if asked.arrived and born_us < tick_us:
            assert standing.basis == ("projected" if young else "observed")


# ---------------------------------------------------------------------------------------------------------- calendar


def local(us: int) -> datetime:
    return (EPOCH + timedelta(microseconds=us)).astimezone(BERLIN)


def unit_of(unit: str, us: int) -> tuple[int, ...]:
    """The local day, week or month, as people write it."""
    day = local(us).date()
    return {"day": day.timetuple()[:3], "week": day.isocalendar()[:2], "month": (day.year, day.month)}[unit]


def midnight_of(unit: str, us: int, units: int = 0) -> int:
    """Where the unit of an instant begins, or the one so many after it."""
    day = local(us).date()
    if unit == "month":
        months = day.year * 12 + day.month - 1 + units
        return microseconds(months // 12, months % 12 + 1, 1, 0)
    days = 7 if unit == "week" else 1
    first = day - timedelta(days=day.weekday() if unit == "week" else 0) + timedelta(days=days * units)
    return microseconds(first.year, first.month, first.day, 0)


@examples(60)
@given(st.sampled_from(UNITS), st.sampled_from(EDGES), st.integers(0, SPAN // SLOT - 1), TARGETS, st.data())
def test_a_calendar_period_is_a_recount_by_local_dates(
    unit: str, edge_us: int, slots_before: int, target: float, data: st.DataObject
) -> None:
    """In Berlin, over the change of the clock and over the end of the period; with the budget of an open period."""
    starts_us = edge_us - slots_before * SLOT
    begins = [midnight_of(unit, starts_us, back) for back in (-2, -1, 0)]
    ticks = data.draw(ticks_after(starts_us, edge_us, edge_us + SLOT))
    rows = data.draw(raw_slots([*ticks, edge_us, *begins], begins[0] - HOUR, ticks[-1]))
    asked = asked_of(CalendarPeriod(unit, "Europe/Berlin"), target, starts_us)  # type: ignore[arg-type]

    for tick_us, fresh in in_parts(rows, ticks, data):
        standing = asked.at(tick_us, fresh)

        last_us = tick_us - SLOT  # a slot belongs where it starts
        start_us, end_us = midnight_of(unit, last_us), midnight_of(unit, last_us, 1)
        assert (standing.period_start_us, standing.period_end_us) == (start_us, end_us)
        by_date = [row for row in asked.arrived if row[0] < tick_us and unit_of(unit, row[0]) == unit_of(unit, last_us)]
        assert standing.experienced.total == sum(row[2] for row in by_date)
        asked.check_views(standing, start_us)
        expected = _expected(asked, unit, tick_us)
        assert standing.allowed == pytest.approx(float(expected * (1 - Fraction(str(target)))), rel=1e-9)


def _expected(asked: Asked, unit: str, tick_us: int) -> Fraction | int:
    """The previous complete period's total, or what was seen if that is more; else what was seen over its share."""
    last_us, born_us = tick_us - SLOT, asked.born_us(tick_us)
    before_us, start_us, end_us = (midnight_of(unit, last_us, each) for each in (-1, 0, 1))
    _, total = asked.count(start_us, tick_us)
    if tick_us >= end_us:
        return total
    _, previous = asked.count(before_us, start_us)
    if born_us <= before_us and previous:
        return max(previous, total)
    seen_from_us = max(start_us, born_us)
    return Fraction(total * (end_us - seen_from_us), max(tick_us - seen_from_us, 1))
