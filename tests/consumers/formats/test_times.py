"""Event times: RFC 3339 text, and numbers whose unit is told by their size."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats import times
from consumers.formats.times import EARLIEST_US, EventTimes, TimeBounds, of_number
from consumers.formats.unusable import Unusable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_US = 1_795_449_001_000_000  # 2026-11-23T15:50:01Z

offsets = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.integers(EARLIEST_US // 1_000_000, 7_000_000_000).flatmap(
    lambda second: offsets.map(lambda zone: datetime.fromtimestamp(second, zone))
)


@pytest.mark.parametrize(
    ("text", "after_us"),
    [
        ("2026-11-23T15:50:01Z", 0),
        ("2026-11-23T15:50:01.123Z", 123_000),
        ("2026-11-23T15:50:01.1Z", 100_000),
        ("2026-11-23T15:50:01.123456789Z", 123_456),
        ("2026-11-23T16:50:01+01:00", 0),
        ("2026-11-23T10:20:01.5-05:30", 500_000),
        ("2026-11-23T15:50:01-00:00", 0),
        ("2026-11-24T15:49:01+23:59", 0),
        ("2026-11-23t15:50:01z", 0),
        ("2026-11-23 15:50:01Z", 0),
    ],
)
def test_text_in_rfc_3339_is_read_with_its_offset(text: str, after_us: int) -> None:
    """What is finer than a microsecond is cut off."""
    assert EventTimes().of_text(text) == MOMENT_US + after_us


@given(moment=moments, fraction=st.sampled_from(["", ".0", ".5", ".000001", ".123456789"]))
def test_text_is_what_the_standard_library_reads(moment: datetime, fraction: str) -> None:
    """For any moment in any offset, read twice: once parsed, once remembered."""
    event_times = EventTimes()
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + moment.isoformat()[-6:]
    micros = int(fraction[1:7].ljust(6, "0"))
    expected = (moment.replace(microsecond=micros) - EPOCH) // timedelta(microseconds=1)

    assert [event_times.of_text(text), event_times.of_text(text)] == [expected, expected]
    assert event_times.seconds[text[:19]] + event_times.tails[text[19:]] == expected


@pytest.mark.parametrize(
    ("text", "second", "tail_us"),
    [
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", 999_999),
        ("2016-12-31T23:59:60.75Z", "2016-12-31T23:59:59Z", 999_999),
        ("2017-01-01T00:59:60.25+01:00", "2016-12-31T23:59:59Z", 999_999),
    ],
)
def test_a_leap_second_is_the_last_moment_of_its_minute(text: str, second: str, tail_us: int) -> None:
    """It belongs to the slot of the minute that it ends, and is not remembered."""
    event_times = EventTimes()

    assert event_times.of_text(text) == EventTimes().of_text(second) + tail_us
    assert event_times.seconds == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-11-23T15:50:01", "append Z"),
        ("", "such as 2026"),
        ("yesterday", "such as 2026"),
        ("2026-11-23", "such as 2026"),
        ("2026-11-23T15:50:01.Z", "such as 2026"),
        ("2026-11-23T15:50:01+0100", "such as 2026"),
        ("2026-11-23T15:50:01Z ", "such as 2026"),
        ("2026-11-23T15:50:01." + "1" * 60 + "Z", "such as 2026"),
        ("٢٠٢٦-11-23T15:50:01Z", "such as 2026"),
        ("2026-02-29T15:50:01Z", "does not exist"),
        ("2026-13-01T15:50:01Z", "does not exist"),
        ("2026-11-23T24:00:00Z", "does not exist"),
        ("0000-01-01T00:00:00Z", "does not exist"),
        ("2026-11-23T15:50:61Z", "does not exist"),
        ("2026-11-23T15:50:01+24:00", "offset"),
        ("2026-11-23T15:50:01-01:60", "offset"),
    ],
)
def test_any_other_text_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    """The reason helps, and does not hold the text."""
    with pytest.raises(Unusable, match=reason) as refused:
        EventTimes().of_text(text)

    assert refused.value.code == "bad_time"


def test_what_is_remembered_of_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emitter with nanoseconds in its times must not fill the memory."""
    monkeypatch.setattr(times, "_CACHED", 3)
    event_times = EventTimes()

    for index in range(10):
        event_times.of_text(f"2026-11-23T15:50:0{index}.{index}Z")

    assert 0 < len(event_times.seconds) <= 3
    assert 0 < len(event_times.tails) <= 3


@given(
    second=st.integers(EARLIEST_US // 1_000_000, 4_000_000_000),
    unit=st.sampled_from([1, 10**3, 10**6, 10**9]),
    as_float=st.booleans(),
)
def test_the_unit_of_a_number_is_told_by_its_size(second: int, unit: int, as_float: bool) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds of this century never overlap."""
    number = float(second * unit) if as_float else second * unit

    assert of_number(number) == second * 1_000_000


@pytest.mark.parametrize(
    ("number", "time_us"),
    [
        (1_763_900_000.25, 1_763_900_000_250_000),
        (1_763_900_000_123.4, 1_763_900_000_123_400),
        (1_763_900_000_123_456_789, 1_763_900_000_123_456),
        (10**11 - 1, (10**11 - 1) * 10**6),
        (10**11, 10**14),
        (10**14, 10**14),
        (10**17, 10**14),
        (-5, -5_000_000),
    ],
)
def test_a_number_becomes_microseconds(number: float, time_us: int) -> None:
    """With its fraction; nanoseconds are cut."""
    assert of_number(number) == time_us


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_no_time(number: float) -> None:
    """JSON knows none, Python's reader does."""
    with pytest.raises(Unusable, match="not a finite number"):
        of_number(number)


def test_bounds_are_inclusive() -> None:
    """The earliest and the latest moment count."""
    bounds = TimeBounds(EARLIEST_US, MOMENT_US)

    assert bounds.check(EARLIEST_US) == EARLIEST_US
    assert bounds.check(MOMENT_US) == MOMENT_US


@pytest.mark.parametrize(("time_us", "code"), [(EARLIEST_US - 1, "bad_time"), (MOMENT_US + 1, "future_time")])
def test_a_time_outside_the_bounds_is_refused(time_us: int, code: str) -> None:
    """A clock that was never set, and one that is ahead, are two things."""
    with pytest.raises(Unusable) as refused:
        TimeBounds(EARLIEST_US, MOMENT_US).check(time_us)

    assert refused.value.code == code
