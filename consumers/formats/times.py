"""Event times: RFC 3339 text, or numbers since the epoch whose unit is told by their size, to int microseconds.

Text is cut in two, `2026-11-23T15:50:01` and `.123Z`: both halves repeat from event to event, so that two look-ups
replace parsing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from consumers.formats.unusable import Unusable

SECONDS_LENGTH: Final = 19
"""Length of the half that names the second."""

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01: an earlier time is a clock that was never set, not an event."""

SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# A number below the first bound is in seconds (up to the year 5138), then milliseconds, microseconds, nanoseconds; each
# unit's range begins in 1973 and the next one's where it ends.
_SECONDS_BELOW: Final = 10**11
_MILLIS_BELOW: Final = 10**14
_MICROS_BELOW: Final = 10**17

_CACHED: Final = 65_536
_LONGEST: Final = 64

_SECOND: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})")
_TAIL: Final = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))")


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Event times that count, both ends included."""

    earliest_us: int
    latest_us: int

    def check(self, time_us: int) -> int:
        """The time itself. Raises Unusable (bad_time, future_time)."""
        if time_us < self.earliest_us:
            raise Unusable("bad_time", f"the event time is before {_EPOCH + timedelta(microseconds=self.earliest_us)}")
        if time_us > self.latest_us:
            raise Unusable("future_time", "the event time is too far ahead of the clock")
        return time_us


class EventTimes:
    """Text to microseconds. `seconds` and `tails` are the cached halves; their sum is the time."""

    def __init__(self) -> None:
        self.seconds: dict[str, int] = {}
        self.tails: dict[str, int] = {}

    def of_text(self, text: str) -> int:
        """Raises Unusable (bad_time)."""
        second = _SECOND.fullmatch(text[:SECONDS_LENGTH])
        tail = _TAIL.fullmatch(text[SECONDS_LENGTH:_LONGEST]) if len(text) <= _LONGEST else None
        if second is None or tail is None:
            raise Unusable("bad_time", f"the time is not RFC 3339{_hint(second, text)}")
        tail_us = _tail_us(tail)
        if second[6] == "60":  # a leap second is the last moment of its minute; too rare to be cached
            return _second_us(second, 59) + SECOND_US - 1 - tail_us % SECOND_US + tail_us
        second_us = _second_us(second, int(second[6]))
        if len(self.seconds) >= _CACHED:
            self.seconds.clear()
        if len(self.tails) >= _CACHED:
            self.tails.clear()
        self.seconds[text[:SECONDS_LENGTH]] = second_us
        self.tails[text[SECONDS_LENGTH:]] = tail_us
        return second_us + tail_us


def of_number(number: float) -> int:
    """Seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by size. Raises Unusable."""
    size = abs(number)
    if not math.isfinite(number):
        raise Unusable("bad_time", "the time is not a finite number")
    if size < _SECONDS_BELOW:
        return round(number * SECOND_US)
    if size < _MILLIS_BELOW:
        return round(number * 1_000)
    if size < _MICROS_BELOW:
        return round(number)
    return int(number // 1_000)


def _hint(second: re.Match[str] | None, text: str) -> str:
    if second is not None and len(text) == SECONDS_LENGTH:
        return ": it has no offset, append Z if it is UTC"
    return ", such as 2026-11-23T15:50:01.123Z"


def _second_us(second: re.Match[str], seconds: int) -> int:
    year, month, day, hour, minute = (int(second[group]) for group in range(1, 6))
    try:
        moment = datetime(year, month, day, hour, minute, seconds, tzinfo=UTC)
    except ValueError as error:
        raise Unusable("bad_time", "the time names a moment that does not exist") from error
    return (moment - _EPOCH) // _MICROSECOND


def _tail_us(tail: re.Match[str]) -> int:
    """Fraction of the second minus the offset from UTC; what is finer than a microsecond is cut off."""
    fraction, sign, hours, minutes = tail.groups()
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    if sign is None:
        return micros
    if int(hours) > 23 or int(minutes) > 59:
        raise Unusable("bad_time", "the time's offset from UTC is more than a day")
    offset = (int(hours) * 3_600 + int(minutes) * 60) * SECOND_US
    return micros - offset if sign == "+" else micros + offset
