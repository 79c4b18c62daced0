"""What a period counted before a target changed is a recount of its raw rows, at any tick after the change.

::

      period's start, on a row of 15 min        change, on any slot            tick
            |------------ before --------------------->|------------------------>|
    . . . . |. . . * . . * . . * . . * . .|. * . . * . | * .|. . . * . . . . . . |
            ^ rows leave                  ^ the row that the change lies in: only its part before it
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evaluators import calendars
from evaluators.agreements import CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.engine.timeline import HORIZON, Counted, Timeline
from tests.evaluators.engine.promises import START
from tests.examples import examples

SLOT = 10 * SECOND
SERIES = 2
STEP = 7 * MINUTE

PERIODS: st.SearchStrategy[Period] = st.sampled_from(
    [
        RollingPeriod(2 * HOUR),  # starts on slots
        RollingPeriod(7 * HOUR),  # on minutes
        RollingPeriod(3 * DAY + HOUR),  # on quarters of an hour
        CalendarPeriod("day", "UTC"),
        CalendarPeriod("day", "Asia/Kathmandu"),
    ]
)


@dataclass(frozen=True)
class Raw:
    """One sample of a series at a slot's start."""

    at_us: int
    series: int


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Timeline, list[Raw], list[tuple[int, int]], int]:
    """A timeline, samples, changes as (tick, series), and a last tick: all near the edges of the first change's periods."""
    period = draw(PERIODS)
    length_us = calendars.nominal_length(period)
    slots = st.integers(0, 2 * HOUR // SLOT).map(lambda slot: slot * SLOT)
    first_us = START + 3 * HOUR + draw(slots)
    changes = [(first_us, 0)]
    changes += [
        (first_us + after, series) for after, series in draw(st.lists(st.tuples(slots, st.integers(0, 1)), max_size=2))
    ]
    near = st.sampled_from([0, HOUR, length_us - HOUR, length_us])
    until_us = max(first_us + draw(near) + draw(slots), max(at_us for at_us, _ in changes) + SLOT)
    close, far = st.integers(-90, 30), st.integers(-4 * HOUR // SLOT, 3 * HOUR // SLOT)
    rows = draw(st.lists(st.tuples(close | far, st.integers(0, SERIES - 1)), max_size=40))
    samples = [Raw(max(first_us + slot * SLOT, START), series) for slot, series in rows]
    timeline = Timeline(SLOT, period, sorted({HOUR, length_us}), 2, SERIES, START)
    return timeline, [row for row in samples if row.at_us < until_us], sorted(set(changes)), until_us


def add(timeline: Timeline, rows: list[Raw], until_us: int | None = None) -> Counted | None:
    """Late, or with a step to a later tick."""
    column = np.array([row.series for row in rows], dtype=np.int64)
    slot = np.array([row.at_us // SLOT for row in rows], dtype=np.int64)
    values = np.ones((2, len(rows)), dtype=np.int64)
    if until_us is None:
        timeline.add(column, slot, values)
        return None
    return timeline.advance(until_us, column, slot, values)


def start_of(period: Period, tick_us: int) -> int:
    if isinstance(period, CalendarPeriod):
        return calendars.bounds(period, tick_us - SLOT)[0]
    step = SLOT if period.length_us <= 6 * HOUR else MINUTE if period.length_us <= 3 * DAY else 15 * MINUTE
    return (tick_us - period.length_us) // step * step


def check(timeline: Timeline, counted: Counted, place: int, known: list[Raw], changes: list[tuple[int, int]]) -> None:
    """What earlier targets allow at a tick, were each budget 1 more than the next."""
    tick_us = int(counted.ticks[place])
    start_us = start_of(timeline.period, tick_us)
    for series in range(SERIES):
        spanned = [at_us for at_us, of in changes if of == series and start_us < at_us]
        wanted = sum(1 for at_us in spanned for row in known if row.series == series and start_us <= row.at_us < at_us)
        found = sum(each.extra[series] * each.before[1, place, series] for each in counted.earlier)
        assert found == wanted


@examples(150)
@given(worlds(), st.randoms(use_true_random=False))
def test_what_was_counted_before_each_change_is_a_recount(
    world: tuple[Timeline, list[Raw], list[tuple[int, int]], int], random: Random
) -> None:
    """Forward and back, in any cut, in time or late, before and after a period has moved past the change."""
    timeline, samples, changes, until_us = world
    late = [row for row in samples if random.random() < 0.3]
    in_time = [row for row in samples if row not in late]
    known: list[Raw] = []
    made: list[tuple[int, int]] = []
    stops = {until_us, *(at_us for at_us, _ in changes)}
    stops |= {until_us - random.randrange(1, (until_us - START) // SLOT) * SLOT for _ in range(4)}
    for stop_us in sorted(stops):
        while timeline.end_us < stop_us:
            next_us = min(stop_us, timeline.end_us + timeline.batch * SLOT)
            due = [row for row in in_time if timeline.end_us <= row.at_us < next_us]
            known += due
            counted = add(timeline, due, next_us)
            assert counted is not None
            for place in {0, random.randrange(len(counted.ticks)), len(counted.ticks) - 1}:
                check(timeline, counted, place, known, made)
        for at_us, series in [each for each in changes if each[0] == stop_us]:
            timeline.retarget(np.array([series]), at_us, np.array([1.0]))
            made.append((at_us, series))
        behind = [row for row in late if row.at_us < stop_us and (stop_us == until_us or random.random() < 0.3)]
        late = [row for row in late if row not in behind]
        known += behind
        add(timeline, behind)
        check(timeline, timeline.now(), 0, known, made)

    back_us = max(timeline.end_us - HORIZON, *(at_us for at_us, _ in made))
    if back_us < timeline.end_us:
        counted = timeline.back_from(back_us, np.arange(SERIES))
        for place in {0, random.randrange(len(counted.ticks)), len(counted.ticks) - 1}:
            check(timeline, counted, place, known, made)


def test_a_row_that_a_change_lies_in_is_mended_after_the_period_has_moved_past_it() -> None:
    """Going back to when the period still spanned that quarter of an hour, what came late before the change is there."""
    period = RollingPeriod(3 * DAY + HOUR)
    timeline = Timeline(SLOT, period, [period.length_us], 2, SERIES, START)
    changed_us = START + HOUR + 5 * MINUTE  # within the row from 1:00 to 1:15
    add(timeline, [], changed_us)
    timeline.retarget(np.array([0]), changed_us, np.array([1.0]))
    for days in (1, 2, 3):
        add(timeline, [], changed_us + days * DAY)
    add(timeline, [], changed_us + period.length_us + 20 * MINUTE)
    late = [Raw(changed_us - MINUTE, 0), Raw(changed_us + MINUTE, 0)]

    add(timeline, late)

    counted = timeline.back_from(timeline.end_us - HORIZON, np.arange(SERIES))
    for place in range(len(counted.ticks)):
        check(timeline, counted, place, late, [(changed_us, 0)])
    assert counted.earlier[0].before[1, [0, -1], 0].tolist() == [1, 0]
