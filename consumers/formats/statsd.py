"""StatsD and DogStatsD as the values of records: lines, several a record.

Specified in statsd/statsd, docs/metric_types.md, and in Datadog's DogStatsD protocol, versions 1.0 to 1.4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from consumers.formats.native import time_of
from consumers.formats.samples import LARGEST_WEIGHT, Payload, Sample, delta, gauge, text_of
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.unusable import Unusable

MOST_SERIES: Final = 65_536
"""Remembered by one reader. Names and tags repeat from record to record, and are taken apart once."""

MOST_ENDINGS: Final = 4_096
"""Of lines, from the type on. Where they hold a time, few repeat."""

SMALLEST_RATE: Final = 1 / LARGEST_WEIGHT
"""A value sampled more rarely would stand for more occurrences than can be summed."""

RELATIVE: Final = Unusable("unsupported_kind", "a change of a gauge cannot be counted: send its value")
SET: Final = Unusable("unsupported_kind", "the members of a set cannot be counted")

_VALUE: Final = re.compile(
    r"[-+]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?+[0-9]++)?+|[-+]?+(?:[nN][aA][nN]|[iI][nN][fF])"
)
_TIME: Final = re.compile(r"[0-9]{1,19}+")
_METRIC: Final = "a metric is name:value|type, of type c, g, ms, h, d or s"
_TYPES: Final = ("c", "g", "ms", "h", "d", "s")
_STATUSES: Final = ("0", "1", "2", "3")
_EVENT: Final = "_e{"
_SERVICE_CHECK: Final = "_sc|"
_INODE: Final = "in-"

_OF_METRICS: Final = ("#", "@", "T", "c:")
_OF_CHECKS: Final = ("#", "d:", "h:", "c:", "m:")
"""What an extension begins with."""


class _Ending(NamedTuple):
    """A line from its type on."""

    kind: str
    rate: float
    tags: str
    container: str
    time: str | None


class StatsD:
    """`c` is a delta, `g` a value, and `ms`, `h` and `d` are values for as many occurrences as the rate says."""

    def __init__(self) -> None:
        self._series = lru_cache(MOST_SERIES)(_series)
        self._ending = lru_cache(MOST_ENDINGS)(_ending)

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_utf8, bad_line, and what is wrong with a metric), with the line's number."""
        samples: list[Sample] = []
        for number, line in enumerate(text_of(payload).split("\n"), 1):
            try:
                samples += self._samples(line.strip(" \t\r"), payload)
            except Unusable as error:
                raise Unusable(error.code, f"line {number}: {error.reason}") from error
        return samples

    def _samples(self, line: str, payload: Payload) -> list[Sample]:
        if line.startswith(_SERVICE_CHECK):
            return self._service_check(line, payload)
        if not line or line.startswith(_EVENT):  # events are for people to read
            return []
        return self._metric(line, payload)

    def _metric(self, line: str, payload: Payload) -> list[Sample]:
        head, _, ending = line.partition("|")
        name, _, values = head.partition(":")
        if not name or not values:
            raise Unusable("bad_line", _METRIC)
        told = self._ending(ending)
        series = self._series(name, told.tags, told.container)
        time_us = _time_us(told.time, payload)
        if told.kind == "s":
            return [Sample(series, time_us, 0, None, SET)]
        return [_sample(told, series, time_us, value) for value in _recorded(values)]

    def _service_check(self, line: str, payload: Payload) -> list[Sample]:
        _, name, status, *rest = *line.split("|"), ""
        if not name or status not in _STATUSES:
            raise Unusable("bad_line", "a service check is _sc|name|status, with a status from 0 to 3")
        told = _told(rest, _OF_CHECKS)
        series = self._series(name, told.get("#", ""), told.get("c:", ""), told.get("h:", ""))
        return [gauge(series, _time_us(told.get("d:"), payload), float(status))]


def _recorded(values: str) -> list[str]:
    """Values packed into one line, without empty ones and NaN. Raises Unusable (bad_line)."""
    found = [text for text in values.split(":") if text]
    if not found or not all(map(_VALUE.fullmatch, found)):
        raise Unusable("bad_line", "a value is not a number")
    return [text for text in found if not math.isnan(float(text))]


def _sample(told: _Ending, series: Series, time_us: int, text: str) -> Sample:
    value = float(text)
    if told.kind == "c":
        return delta(series, time_us, value if told.rate == 1.0 else _estimate(value / told.rate))
    if told.kind == "g":
        return Sample(series, time_us, 0, None, RELATIVE) if text[0] in "+-" else gauge(series, time_us, value)
    return gauge(series, time_us, value, round(1 / told.rate))


def _estimate(increase: float) -> float:
    """The whole number that a sampled count stands for. What no delta may be stays as it is."""
    return round(increase) if 0 <= increase <= LARGEST_WEIGHT else increase


# --------------------------------------------------------------------------------------------------------- extensions


def _ending(text: str) -> _Ending:
    kind, *extensions = text.split("|")
    if kind not in _TYPES:
        raise Unusable("bad_line", _METRIC)
    told = _told(extensions, _OF_METRICS)
    rate = _rate(told["@"]) if "@" in told else 1.0
    return _Ending(kind, rate, told.get("#", ""), told.get("c:", ""), told.get("T"))


def _told(extensions: Sequence[str], marks: Sequence[str]) -> dict[str, str]:
    """By their marks, the last of each. Nobody looks into those that are not known."""
    told: dict[str, str] = {}
    for each in extensions:
        mark = next((mark for mark in marks if each.startswith(mark)), None)
        if mark is not None:
            told[mark] = each.removeprefix(mark)
        if mark == "m:":
            break  # a message is the last, and may hold anything
    return told


def _rate(text: str) -> float:
    rate = float(text) if _VALUE.fullmatch(text) else 0.0
    if not SMALLEST_RATE <= rate <= 1:
        raise Unusable("bad_line", "the sample rate must be a number above 0 and up to 1")
    return rate


def _time_us(text: str | None, payload: Payload) -> int:
    if text is not None and not _TIME.fullmatch(text):
        raise Unusable("bad_time", "the time must be whole seconds since the epoch")
    return time_of(None if text is None else int(text), payload.time_us, payload.times)


def _series(name: str, tags: str, container: str, host: str = "") -> Series:
    return Series(checked_metric(name), tolerated({"host": host, "container_id": _container(container), **_tags(tags)}))


def _tags(text: str) -> dict[str, str]:
    """A tag without a value is `true`."""
    parted = [each.partition(":") for each in text.split(",")]
    return {name: value if colon else "true" for name, colon, value in parted}


def _container(text: str) -> str:
    """`id`, `ci-id` or `cid-id`, which may stand beside the inode of its control group."""
    known = [each for each in text.split(",") if not each.startswith(_INODE)]
    return known[0].removeprefix("ci-").removeprefix("cid-") if known else ""
