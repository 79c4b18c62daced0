from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import calendars
from evaluators.agreements import CalendarPeriod, CalendarUnit, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE, SECOND

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # skipped midnight until 2018
    "America/Havana",  # midnight comes twice
    "America/Goose_Bay",  # at 00:01 the clock went back over midnight
    "America/Toronto",  # in 1919 it skipped from 23:30 to 00:30
    "Asia/Beirut",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # lost 2011-12-30
    "Pacific/Kiritimati",
]
UNITS: tuple[CalendarUnit, ...] = get_args(
    CalendarUnit.__value__ if hasattr(CalendarUnit, "__value__") else CalendarUnit
)
MOMENTS = st.integers(min_value=-58 * 365, max_value=120 * 365).flatmap(
    lambda day: st.integers(min_value=day * DAY, max_value=(day + 1) * DAY)
)
PERIODS = st.builds(CalendarPeriod, unit=st.sampled_from(UNITS), time_zone=st.sampled_from(ZONES))


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


def utc(time_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%MZ")


@pytest.mark.parametrize(
    ("unit", "zone", "tick", "start", "end"),
    [
        ("day", "UTC", "2026-11-23T15:50Z", "2026-11-23T00:00Z", "2026-11-24T00:00Z"),
        ("day", "Europe/Berlin", "2026-11-23T23:30Z", "2026-11-23T23:00Z", "2026-11-24T23:00Z"),
        ("day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("week", "UTC", "2026-11-23T00:00Z", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),
        ("week", "UTC", "2026-11-22T23:59Z", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        ("month", "America/New_York", "2026-11-01T03:59Z", "2026-10-01T04:00Z", "2026-11-01T04:00Z"),
        ("month", "America/New_York", "2026-11-15T00:00Z", "2026-11-01T04:00Z", "2026-12-01T05:00Z"),
        ("quarter", "UTC", "2026-11-23T00:00Z", "2026-10-01T00:00Z", "2027-01-01T00:00Z"),
        ("year", "Asia/Kolkata", "2026-12-31T18:30Z", "2026-12-31T18:30Z", "2027-12-31T18:30Z"),
        # Midnight does not exist: the day begins at 01:00, when the clock comes out of the gap.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),
        # Midnight happens twice: the first one counts.
        ("day", "America/Havana", "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        # At 00:01 the clock went back to 23:01 of the day before: the new day had begun.
        ("day", "America/Goose_Bay", "2010-11-07T03:30Z", "2010-11-07T03:00Z", "2010-11-08T04:00Z"),
        # From 23:30 to 00:30: midnight moves forward by the gap, to 01:00; the half hour before is still the old day.
        ("day", "America/Toronto", "1919-03-31T04:45Z", "1919-03-30T05:00Z", "1919-03-31T05:00Z"),
        # 2011-12-30 did not happen: the 29th is followed by the 31st.
        ("day", "Pacific/Apia", "2011-12-29T12:00Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("day", "Pacific/Apia", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
    ],
)
def test_a_calendar_period_has_the_bounds_of_its_zone(
    unit: CalendarUnit, zone: str, tick: str, start: str, end: str
) -> None:
    """Local midnights, through changes of the clock."""
    bounds = calendars.bounds(CalendarPeriod(unit, zone), us(tick))

    assert tuple(map(utc, bounds)) == (start, end)


@given(PERIODS, MOMENTS)
def test_every_instant_lies_in_one_period_that_ends_where_the_next_begins(period: CalendarPeriod, tick_us: int) -> None:
    """Periods are never empty, and leave no gap."""
    start, end = calendars.bounds(period, tick_us)

    assert start <= tick_us < end
    assert calendars.bounds(period, start) == (start, end)
    assert calendars.bounds(period, end - 1) == (start, end)
    assert calendars.bounds(period, end)[0] == end
    assert calendars.bounds(period, start - 1)[1] == start


@given(PERIODS, MOMENTS)
def test_a_period_starts_at_local_midnight_unless_the_clock_skipped_it(period: CalendarPeriod, tick_us: int) -> None:
    """The date at the start is the first of its unit."""
    start, _ = calendars.bounds(period, tick_us)

    local = datetime.fromtimestamp(start // SECOND, ZoneInfo(period.time_zone))
    day = local.date()
    assert (local.hour, local.minute) in {(0, 0), (1, 0)}
    expected = {
        "day": True,
        "week": day.isoweekday() == 1,
        "month": day.day == 1,
        "quarter": day.day == 1 and day.month in {1, 4, 7, 10},
        "year": (day.month, day.day) == (1, 1),
    }
    assert expected[period.unit]


@given(PERIODS, MOMENTS, st.integers(min_value=0, max_value=100))
def test_edges_are_the_bounds_of_all_periods_in_a_span(period: CalendarPeriod, from_us: int, days: int) -> None:
    """What the engine looks up in one search is what `bounds` says for each instant."""
    to_us = from_us + days * DAY

    edges = calendars.edges(period, from_us, to_us)

    assert edges.dtype == np.int64
    assert edges[0] <= from_us
    assert edges[-2] <= to_us < edges[-1]
    for start, end in pairwise(edges.tolist()):
        assert calendars.bounds(period, start) == (start, end)


def test_a_day_that_a_zone_lost_is_no_period() -> None:
    """Apia crossed the date line: two days of elapsed time between three local midnights."""
    edges = calendars.edges(CalendarPeriod("day", "Pacific/Apia"), us("2011-12-29T10:00Z"), us("2011-12-31T09:00Z"))

    assert [utc(each) for each in edges.tolist()] == ["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"]


@pytest.mark.parametrize(
    ("length", "start"),
    [
        #        |<- 5 m ->|
        # 15:45:40         15:50:40          a slot
        (5 * MINUTE, "2026-11-23T15:45:40Z"),
        (6 * HOUR, "2026-11-23T09:50:40Z"),
        (6 * HOUR + SECOND, "2026-11-23T09:50:00Z"),
        (3 * DAY, "2026-11-20T15:50:00Z"),
        (30 * DAY, "2026-10-24T15:45:00Z"),
    ],
)
def test_a_rolling_window_starts_on_the_step_of_its_length(length: int, start: str) -> None:
    """A slot up to 6 h, a minute up to 3 d, a quarter of an hour beyond; rounded down, so never too short."""
    tick = us("2026-11-23T15:50:40Z")

    assert calendars.window_start(tick, length, 10 * SECOND) == us(start)


@given(st.integers(0, 10**16), st.integers(1, 90 * DAY // SECOND), st.sampled_from([1, 5, 10, 30, 60]))
def test_a_rolling_window_is_never_shorter_than_its_length(tick_us: int, seconds: int, slot_seconds: int) -> None:
    """And longer by less than its step."""
    length, slot = seconds * SECOND, slot_seconds * SECOND

    start = calendars.window_start(tick_us, length, slot)

    assert 0 <= tick_us - length - start < calendars.window_step(length, slot)


@pytest.mark.parametrize(
    ("local", "zone", "instant"),
    [
        ("2026-01-01T00:00", "Europe/Berlin", "2025-12-31T23:00Z"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30Z"),  # in the gap: 03:30 summer time
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z"),  # twice: the first
    ],
)
def test_a_local_time_is_its_first_occurrence_or_moves_out_of_the_gap(local: str, zone: str, instant: str) -> None:
    """As effective dates are read."""
    assert utc(calendars.instant(datetime.fromisoformat(local), zone)) == instant


def test_a_calendar_period_counts_by_its_nominal_length() -> None:
    """For scaling the windows of policies."""
    lengths = [calendars.nominal_length(CalendarPeriod(unit, "UTC")) // DAY for unit in UNITS]

    assert lengths == [1, 7, 30, 90, 365]
    assert calendars.nominal_length(RollingPeriod(5 * HOUR)) == 5 * HOUR


def test_iana_names_are_known() -> None:
    """And nothing else is."""
    assert "Europe/Berlin" in calendars.time_zones()
    assert "Europe" not in calendars.time_zones()
    assert "CEST" not in calendars.time_zones()
