"""A window's sum at any tick is a recount of the raw rows in it.

::

      start, rounded down           tick - length                          tick
            |------------------------------------------------------------->|
    . . . . * . . * . . . . . * * . . . . . . . . . . . . . . . . * . . * .|. . *
            ^ counts: a slot belongs where it starts                 not yet ^
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evaluators.agreements import CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.engine.timeline import HORIZON, Counted, Timeline
from evaluators.slots import Int64s
from tests.evaluators.engine.promises import START
from tests.examples import examples

LENGTHS = (
    MINUTE,
    5 * MINUTE,
    HOUR,
    6 * HOUR,  # the longest that starts on a slot
    6 * HOUR + MINUTE,
    3 * DAY,  # the longest that starts on a minute
    3 * DAY + MINUTE,
    30 * DAY,
    90 * DAY,
)
SERIES = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Rows:
    """Raw rows (slot's start, series, values), counted by looking at each of them."""

    rows: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    def count(self, start_us: int, end_us: int, series: int, kinds: int) -> list[int]:
        inside = [values for at_us, of, values in self.rows if of == series and start_us <= at_us < end_us]
        return [sum(values[kind] for values in inside) for kind in range(kinds)]

    def count_by_date(self, period: CalendarPeriod, back: int, tick_us: int, slot_us: int, series: int) -> list[int]:
        """Of the local unit that the tick's last slot lies in, or of the one `back` before, up to the tick."""
        wanted = _unit(period, tick_us - slot_us) - back
        inside = [
            values
            for at_us, of, values in self.rows
            if of == series and at_us < tick_us and _unit(period, at_us) == wanted
        ]
        return [sum(values[kind] for values in inside) for kind in range(2)]


def _unit(period: CalendarPeriod, at_us: int) -> int:
    """The number of the local day, month or quarter."""
    local = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(period.time_zone))
    months = local.year * 12 + local.month - 1
    return {"day": local.toordinal(), "month": months, "quarter": months // 3}[period.unit]


def start_of(tick_us: int, length_us: int, slot_us: int) -> int:
    """As the design says: on a slot up to 6 h, on a minute up to 3 d, on a quarter of an hour beyond."""
    step = slot_us if length_us <= 6 * HOUR else MINUTE if length_us <= 3 * DAY else 15 * MINUTE
    return (tick_us - length_us) // step * step


@st.composite
def offsets(draw: st.DrawFn, slot_us: int, span_us: int) -> int:
    """A slot's start after START: anywhere, or at the edge of a window that ends with the span."""
    anywhere = st.integers(0, span_us // slot_us - 1).map(lambda slot: slot * slot_us)
    fitting = [length for length in LENGTHS if length + HOUR < span_us]
    edge = st.tuples(st.sampled_from(fitting), st.integers(-20, 20)).map(
        lambda at: (span_us - at[0]) // slot_us * slot_us + at[1] * slot_us
    )
    return min(draw(anywhere | edge), span_us - slot_us)


@st.composite
def worlds(draw: st.DrawFn, period: st.SearchStrategy[Period], spans: list[int]) -> tuple[Timeline, Rows, list[int]]:
    """An empty timeline, rows for it, and the ticks up to which it is advanced."""
    kinds = draw(st.sampled_from([2, 4]))
    span_us = draw(st.sampled_from(spans))
    slot_us = draw(st.sampled_from([10 * SECOND, 60 * SECOND])) if span_us <= 4 * DAY else 60 * SECOND
    chosen = draw(period)
    lengths = set(draw(st.lists(st.sampled_from(LENGTHS), max_size=5)))
    if isinstance(chosen, RollingPeriod):
        lengths.add(chosen.length_us)
    timeline = Timeline(slot_us, chosen, sorted(lengths), kinds, SERIES, START)
    values = st.tuples(*(st.integers(0, 300) for _ in range(kinds)))
    row = st.tuples(offsets(slot_us, span_us).map(lambda us: START + us), st.integers(0, SERIES - 1), values)
    cuts = draw(st.lists(st.integers(1, span_us // slot_us).map(lambda slot: slot * slot_us), max_size=4))
    rows = Rows(draw(st.lists(row, max_size=25)))
    return timeline, rows, [START + cut for cut in sorted({*cuts, span_us})]


def packed(rows: list[tuple[int, int, tuple[int, ...]]], timeline: Timeline) -> tuple[Int64s, Int64s, Int64s]:
    column = np.array([series for _, series, _ in rows], dtype=np.int64)
    slot = np.array([at_us // timeline.slot_us for at_us, _, _ in rows], dtype=np.int64)
    values = np.array([each for _, _, each in rows], dtype=np.int64).reshape(-1, timeline.kinds).T
    return column, slot, values


def counted_at(counted: Counted, place: int, timeline: Timeline, rows: Rows) -> None:
    """Every window and a rolling period of every series, at one tick of a batch."""
    tick_us = int(counted.ticks[place])
    for index, length in enumerate(timeline.lengths):
        for series in range(SERIES):
            wanted = rows.count(start_of(tick_us, length, timeline.slot_us), tick_us, series, timeline.kinds)
            assert counted.windows[index][:, place, series].tolist() == wanted
            if timeline.period == RollingPeriod(length):
                assert counted.period[:, place, series].tolist() == wanted
                assert counted.period_start_us[place] == start_of(tick_us, length, timeline.slot_us)


def advanced(timeline: Timeline, until_us: int, known: Rows, fresh: Rows, looked_at: Random) -> None:
    """Advance in batches with what lies in each; at some ticks of each, everything is counted again."""
    while timeline.end_us < until_us:
        start_us, end_us = timeline.end_us, min(timeline.end_us + timeline.batch * timeline.slot_us, until_us)
        due = [row for row in fresh.rows if start_us <= row[0] < end_us]
        known.rows += due
        counted = timeline.advance(end_us, *packed(due, timeline))
        assert counted.ticks.tolist() == list(range(start_us + timeline.slot_us, end_us + 1, timeline.slot_us))
        if due or end_us == until_us:
            for place in {0, looked_at.randrange(len(counted.ticks)), len(counted.ticks) - 1}:
                counted_at(counted, place, timeline, known)


ROLLING = worlds(st.sampled_from(LENGTHS).map(RollingPeriod), [7 * HOUR, 4 * DAY, 40 * DAY, 95 * DAY])


@examples(40)
@given(ROLLING, st.randoms(use_true_random=False))
def test_every_rolling_window_is_a_recount_at_any_tick(world: tuple[Timeline, Rows, list[int]], random: Random) -> None:
    """From one minute to 90 days, as they stand, in any cut, for what comes in time and for what comes late."""
    timeline, rows, cuts = world
    late = {place for place in range(len(rows.rows)) if random.random() < 0.2}
    known, in_time = Rows(), Rows([row for place, row in enumerate(rows.rows) if place not in late])
    behind = [row for place, row in enumerate(rows.rows) if place in late]

    for cut in cuts:
        advanced(timeline, cut, known, in_time, random)
        here = [row for row in behind if row[0] < cut]
        behind = [row for row in behind if row[0] >= cut]
        timeline.add(*packed(here, timeline))
        known.rows += here
        counted_at(timeline.now(), 0, timeline, known)

    back_us = max(timeline.end_us - HORIZON, START)
    counted = timeline.back_from(back_us, np.arange(SERIES))
    for place in {0, random.randrange(len(counted.ticks)), len(counted.ticks) - 1}:
        counted_at(counted, place, timeline, known)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"]
CALENDARS = st.builds(CalendarPeriod, st.sampled_from(["day", "month", "quarter"]), st.sampled_from(ZONES))


@examples(40)
@given(worlds(CALENDARS, [7 * HOUR, 4 * DAY, 40 * DAY, 100 * DAY]), st.randoms(use_true_random=False))
def test_every_calendar_period_is_a_recount_by_local_dates(
    world: tuple[Timeline, Rows, list[int]], random: Random
) -> None:
    """In any zone, over changes of the clock, with the whole period before it."""
    timeline, rows, cuts = world
    period = timeline.period
    assert isinstance(period, CalendarPeriod)
    late = {place for place in range(len(rows.rows)) if random.random() < 0.2}
    known, in_time = Rows(), Rows([row for place, row in enumerate(rows.rows) if place not in late])
    behind = [row for place, row in enumerate(rows.rows) if place in late]

    def check(counted: Counted, place: int) -> None:
        tick_us = int(counted.ticks[place])
        assert counted.previous is not None
        for series in range(SERIES):
            now, before = (known.count_by_date(period, back, tick_us, timeline.slot_us, series) for back in (0, 1))
            assert counted.period[:2, place, series].tolist() == now
            assert counted.previous[:2, place, series].tolist() == before

    for cut in cuts:
        advanced(timeline, cut, known, in_time, random)
        here = [row for row in behind if row[0] < cut]
        behind = [row for row in behind if row[0] >= cut]
        timeline.add(*packed(here, timeline))
        known.rows += here
        check(timeline.now(), 0)

    counted = timeline.back_from(max(timeline.end_us - HORIZON, START), np.arange(SERIES))
    for place in {0, random.randrange(len(counted.ticks)), len(counted.ticks) - 1}:
        check(counted, place)
