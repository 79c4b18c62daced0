"""Durations as people write them (`10s`, `5m`, `1h30m`, `30d`, `4w`), as int microseconds of elapsed time.

A day is 86,400 s whatever the clocks do. Months, quarters and years have no fixed length and are calendar periods.
"""

from __future__ import annotations

import re
from typing import Final

MICROSECOND: Final = 1
MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

LONGEST: Final = 36_525 * DAY
"""A hundred years: beyond any agreement, and far inside int64."""

_UNITS: Final = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_CALENDAR_UNITS: Final = {"Q": "quarter", "M": "month", "Y": "year", "y": "year"}
_PART: Final = re.compile(r"([0-9]{1,18})(us|ms|[smhdw])", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_CALENDAR: Final = re.compile(r"[0-9]+([QMYy])", re.ASCII)
_LONGEST_TEXT: Final = 64
_EXPECTED: Final = "expected whole numbers with a unit, such as 10s, 5m, 6h, 1h30m, 30d or 4w"

_WORDS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


class DurationError(ValueError):
    """The text is no duration; the message says what was expected."""


def parse(text: str) -> int:
    """Microseconds of `text`; units fall from left to right and none comes twice.

    Raises:
        DurationError: for anything else, calendar units (`1Q`, `1M`, `1Y`) included, with the mend in its message.
    """
    written = text.strip()
    calendar = _CALENDAR.fullmatch(written[:_LONGEST_TEXT])
    if calendar:
        unit = _CALENDAR_UNITS[calendar[1]]
        raise DurationError(
            f"{written[:_LONGEST_TEXT]!r} has no fixed length: write a calendar period, calendar: {unit}"
        )
    if len(written) > _LONGEST_TEXT or not _WHOLE.fullmatch(written):
        raise DurationError(f"{written[:_LONGEST_TEXT]!r} is not a duration: {_EXPECTED}")
    parts = [(int(number), _UNITS[unit]) for number, unit in _PART.findall(written)]
    scales = [scale for _, scale in parts]
    if scales != sorted(set(scales), reverse=True):
        raise DurationError(f"{written!r} is not a duration: greater units come first, each once, as in 1h30m")
    total = sum(number * scale for number, scale in parts)
    if total > LONGEST:
        raise DurationError(f"{written!r} is too long: a duration is at most 100 years")
    return total


def format(us: int) -> str:  # noqa: A001 - durations.format(us) is the word that readers expect
    """The shortest name in one unit: `5m`, `90m`, `1h`, `30d`; weeks are written in days. `parse` reads it back."""
    for unit in ("d", "h", "m", "s", "ms"):
        if us and us % _UNITS[unit] == 0:
            return f"{us // _UNITS[unit]}{unit}"
    return f"{us}us" if us else "0s"


def in_words(us: int) -> str:
    """The two greatest units for people to read, `14 h 30 min`, `12 min`, `3 d 4 h`; the rest is cut off."""
    if us < 0:
        return f"-{in_words(-us)}"
    for index, (scale, name) in enumerate(_WORDS):
        if us >= scale:
            text = f"{us // scale} {name}"
            if index + 1 == len(_WORDS):
                return text
            lesser_scale, lesser_name = _WORDS[index + 1]
            lesser = us % scale // lesser_scale
            return f"{text} {lesser} {lesser_name}" if lesser else text
    return "under 1 s" if us else "0 s"
