r"""InfluxDB's line protocol, as Telegraf writes it with `data_format = "influx"`: a point a line.

Specified in InfluxDB's line protocol reference; where that is vague, Telegraf's parser decides: a backslash stands for
itself but before `,`, `=` and a space. `NaN` and `Inf`, which neither of them takes, are taken: other emitters write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from consumers.formats.native import time_of
from consumers.formats.samples import Payload, Sample, gauge, number, text_of
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.unusable import Unusable

MOST_SERIES: Final = 65_536
"""Remembered by one reader. Measurements and tags repeat from record to record, and are taken apart once."""

# Every repetition is possessive and every alternative begins with other bytes: no text is gone through twice.
_MEASUREMENT: Final = r"(?:[^, \t\n\f\r\\]++|\\[^\t\n\f\r])++"
_KEY: Final = r"(?:[^,= \t\n\f\r\\]++|\\[^\t\n\f\r])++"
_TAG: Final = r"(?:[^,= \t\n\f\r\\]++|\\[^\t\n\f\r\\]|\\(?=\\))++"
_FLOAT: Final = r"[-+]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?+[0-9]++)?+"
_NUMBER: Final = rf"[-+]?+[0-9]++i|[0-9]++u|{_FLOAT}|[-+]?+(?:[nN][aA][nN]|[iI][nN][fF])"
_BOOLEAN: Final = r"t(?:rue)?+|T(?:rue|RUE)?+|f(?:alse)?+|F(?:alse|ALSE)?+"
_TEXT: Final = r'"(?:[^"\\]++|\\[\s\S])*+"'
_VALUE: Final = rf"(?:{_TEXT}|(?:{_NUMBER}|{_BOOLEAN})(?=[, \t\n\v\f\r]|\Z))"

_HEAD: Final = rf"{_MEASUREMENT}(?:,{_TAG}={_TAG})*+"
_FIELDS: Final = rf"{_KEY}={_VALUE}(?:,{_KEY}={_VALUE})*+"
_BLANKS: Final = r"[ \t\v\f]"
_TIME: Final = r"-?+[0-9]{1,19}+"
_END: Final = rf"(?:{_BLANKS}++({_TIME}))?+{_BLANKS}*+(?:\r?+\n|\r?+\Z)"

_BETWEEN: Final = re.compile(r"(?:[ \t\n\v\f\r]++|#[^\n]*+)*+")
"""Blank lines and comments, from the beginning of a line."""

_POINT: Final = re.compile(rf"({_HEAD}){_BLANKS}++({_FIELDS}){_END}")
_EACH_FIELD: Final = re.compile(rf"({_KEY})=(?:{_TEXT}|({_NUMBER}|{_BOOLEAN})(?=,|\Z))")
_EACH_TAG: Final = re.compile(rf",({_TAG})=({_TAG})")
_NAMED: Final = re.compile(_MEASUREMENT)
_ESCAPED: Final = re.compile(r"\\([,= ])")
_NAME_ESCAPED: Final = re.compile(r"\\([, ])")

_STEPS: Final = (
    (_NAMED, "a point begins with its measurement"),
    (re.compile(rf"(?:,{_TAG}={_TAG})*+(?=[ \t\v\f])"), "tags are ,key=value and fields come after a space"),
    (re.compile(rf"{_BLANKS}++{_FIELDS}"), "a field is key=value, with a number, a boolean or a quoted text"),
)
"""A point bit by bit, and what is wrong where it does not go on."""
_REST: Final = "a field that is none, or more than a time after the fields"

_BOOLEANS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}


class Influx:
    """Each numeric field becomes a value of the metric `<measurement>_<field>`, with the tags as labels."""

    def __init__(self) -> None:
        self._head = lru_cache(MOST_SERIES)(_head)
        self._series = lru_cache(MOST_SERIES)(self._built)

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_utf8, bad_line, and what is wrong with a point), with the line's number."""
        text = text_of(payload)
        samples: list[Sample] = []
        for point in _points(text):
            try:
                samples += self._samples(point, payload)
            except Unusable as error:
                raise _at(text, point.start(), error) from error
        return samples

    def _samples(self, point: re.Match[str], payload: Payload) -> list[Sample]:
        head, _, time = point.groups()
        self._head(head)  # broken ones are refused, be there a field to count or none
        time_us = time_of(None if time is None else int(time), payload.time_us, payload.times)
        values = [(key, _value(text)) for key, text in _EACH_FIELD.findall(point.string, *point.span(2)) if text]
        return [gauge(self._series(head, key), time_us, value) for key, value in values if value == value]  # noqa: PLR0124 - not NaN

    def _built(self, head: str, key: str) -> Series:
        measurement, labels = self._head(head)
        return Series(checked_metric(f"{measurement}_{_plain(key)}"), labels)


def _points(text: str) -> Iterator[re.Match[str]]:
    place = _next(text, 0)
    while place < len(text):
        point = _POINT.match(text, place)
        if point is None:
            raise _at(text, place, Unusable("bad_line", _fault(text, place)))
        yield point
        place = _next(text, point.end())


def _next(text: str, place: int) -> int:
    between = _BETWEEN.match(text, place)
    return place if between is None else between.end()


def _at(text: str, place: int, error: Unusable) -> Unusable:
    line = text.count("\n", 0, place) + 1
    return Unusable(error.code, f"line {line}: {error.reason}")


def _fault(text: str, place: int) -> str:
    for step, reason in _STEPS:
        found = step.match(text, place)
        if found is None:
            return reason
        place = found.end()
    return _REST


def _head(head: str) -> tuple[str, dict[str, str]]:
    """The measurement and the tags."""
    named = _NAMED.match(head)
    measurement = head if named is None else named[0]
    tags = _EACH_TAG.findall(head, len(measurement))
    labels = tolerated({_plain(key): _plain(value) for key, value in tags})
    return checked_metric(_NAME_ESCAPED.sub(r"\1", measurement)), labels


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _value(text: str) -> float:
    known = _BOOLEANS.get(text)
    return number(text.rstrip("iu")) if known is None else known
