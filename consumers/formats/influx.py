"""InfluxDB's line protocol, as Telegraf's `data_format = "influx"` writes it: one point a line.

Specified in InfluxDB's reference, "Line protocol". The timestamp's unit is told by its size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from consumers.formats import native, times
from consumers.formats.samples import Payload, Sample, gauge, number
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.unusable import Unusable

_MEASUREMENT: Final = re.compile(r"(?:[^,\\\s]|\\.|\\$)+")
_NAME: Final = re.compile(r"(?:[^,=\\\s]|\\.)+")  # of a tag, its value, or a field
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_VALUE: Final = re.compile(r"[^,\s]+")
_TIME: Final = re.compile(r"-?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}[iu]")
_ESCAPED: Final = re.compile(r"\\([,= \\])")
_TRUTH: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}


class Influx:
    """Each number among a point's fields is a sample of `<measurement>_<field>`; texts are no samples."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_utf8, bad_line with its number, bad_time, bad_labels)."""
        try:
            line = _Line(payload.value.decode())
        except UnicodeDecodeError as error:
            raise Unusable("not_utf8", f"byte {error.start} is not UTF-8") from error
        samples: list[Sample] = []
        points = 0
        while line.next_point():
            samples += _point(line, payload)
            points += 1
        if not points:
            raise Unusable("empty", "the record is empty")
        return samples


class _Line:
    """Where reading stands in a text of lines; a quoted text may go over several."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def next_point(self) -> bool:
        """Go to the next line that is neither blank nor a comment."""
        text = self._text
        while self._place < len(text):
            end = text.find("\n", self._place)
            end = len(text) if end < 0 else end
            line = text[self._place : end].strip()
            if line and not line.startswith("#"):
                while text[self._place].isspace():
                    self._place += 1
                return True
            self._place = end + 1
        return False

    def take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._place)
        if found is None:
            return None
        self._place = found.end()
        return found[0]

    def need(self, pattern: re.Pattern[str], what: str) -> str:
        found = self.take(pattern)
        return self.broken(what) if found is None else found

    def has(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._place):
            return False
        self._place += 1
        return True

    def blanks(self) -> bool:
        """Over spaces; whether there were any."""
        before = self._place
        while self._place < len(self._text) and self._text[self._place] in " \t":
            self._place += 1
        return self._place > before

    def end(self) -> bool:
        """Over the end of the line, if that is where we are."""
        self.blanks()
        self.has("\r")
        return self._place >= len(self._text) or self.has("\n")

    def broken(self, what: str) -> str:
        number = self._text.count("\n", 0, self._place) + 1
        raise Unusable("bad_line", f"line {number}: {what}")


def _point(line: _Line, payload: Payload) -> list[Sample]:
    measurement = _plain(line.need(_MEASUREMENT, "a point begins with a measurement"))
    tags: dict[str, str] = {}
    while line.has(","):
        tag = _plain(line.need(_NAME, "a tag has no name"))
        if not line.has("="):
            line.broken("a tag has no value")
        tags[tag] = _plain(line.need(_NAME, "a tag has no value"))
    if not line.blanks():
        line.broken("a space parts the measurement and its tags from the fields")
    fields = _fields(line)
    stamp = None if line.end() else line.need(_TIME, "after the fields comes a whole number, the time")
    if stamp is not None and not line.end():
        line.broken("nothing comes after the time")
    time_us = native.time_of(None, payload.time_us, payload.times) if stamp is None else times.of_number(int(stamp))
    labels = tolerated(tags)
    return [
        gauge(Series(checked_metric(f"{measurement}_{field}"), labels), time_us, value)
        for field, value in fields
        if not math.isnan(value)
    ]


def _fields(line: _Line) -> list[tuple[str, float]]:
    """Names and values; NaN stands for a text."""
    fields: list[tuple[str, float]] = []
    while True:
        name = _plain(line.need(_NAME, "a field has no name"))
        if not line.has("="):
            line.broken("a field has no value")
        if line.take(_TEXT) is not None:
            value = math.nan
        else:
            text = line.need(_VALUE, "a field has no value")
            value = _number(text) if (found := _TRUTH.get(text)) is None else found
            if value is None:
                line.broken("a field's value is neither number, boolean nor quoted text")
        fields.append((name, value or 0.0))
        if not line.has(","):
            return fields


def _number(text: str) -> float | None:
    if _WHOLE.fullmatch(text):
        return number(text[:-1])
    return number(text) if _NUMBER.fullmatch(text) else None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
