"""StatsD and DogStatsD lines as the values of records.

Specified in statsd/statsd, docs/metric_types.md, and in Datadog's "DogStatsD datagram format" up to version 1.3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from consumers.formats import native
from consumers.formats.samples import LARGEST_WEIGHT, Payload, Sample, delta, gauge, number
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.times import of_number
from consumers.formats.unusable import Unusable

_VALUE: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_STATES: Final = {"0", "1", "2", "3"}
_RELATIVE: Final = Unusable("unsupported_kind", "a change of a gauge cannot be read without the value before it")
_SET: Final = Unusable("unsupported_kind", "sets cannot be counted")
_KINDS: Final = {"c", "g", "ms", "h", "d", "s"}


class _Line(NamedTuple):
    """One line, apart: what its extensions say is the same for all its values."""

    labels: dict[str, str]
    rate: float
    time_us: int


class StatsD:
    """Counters are deltas, gauges values; timers, histograms and distributions are a value for each occurrence."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_utf8, bad_line with its number, bad_time, bad_labels)."""
        try:
            lines = payload.value.decode().splitlines()
        except UnicodeDecodeError as error:
            raise Unusable("not_utf8", f"byte {error.start} is not UTF-8") from error
        samples: list[Sample] = []
        written = 0
        for place, line in enumerate(lines, 1):
            if not line.strip():
                continue
            written += 1
            try:
                samples += _samples(line.strip(), payload)
            except _BrokenError as error:
                raise Unusable("bad_line", f"line {place}: {error}") from error
        if not written:
            raise Unusable("empty", "the record is empty")
        return samples


class _BrokenError(Exception):
    """A line that is none."""


def _samples(line: str, payload: Payload) -> list[Sample]:
    if line.startswith("_e{"):
        return []  # an event: text for people
    if line.startswith("_sc|"):
        return [_service_check(line, payload)]
    name, found, rest = line.partition(":")
    values, kind, *extensions = rest.split("|") if found else ("", "")
    if kind not in _KINDS or not values:
        raise _BrokenError("a metric is <name>:<value>|<type>, of type c, g, ms, h, d or s")
    told = _told(extensions, payload)
    series = Series(checked_metric(name), told.labels)
    return [_sample(series, each, kind, told) for each in (values.split(":") if kind != "s" else [values])]


def _sample(series: Series, text: str, kind: str, told: _Line) -> Sample:
    if kind == "s":
        return Sample(series, told.time_us, 0, None, _SET)
    if not _VALUE.fullmatch(text):
        raise _BrokenError("a value is no number")
    value = number(text)
    if kind == "c":
        increase = value / told.rate
        return delta(series, told.time_us, round(increase) if math.isfinite(increase) else increase)
    if kind == "g":
        return (
            Sample(series, told.time_us, 0, value, _RELATIVE) if text[0] in "+-" else gauge(series, told.time_us, value)
        )
    return gauge(series, told.time_us, value, count=min(round(1 / told.rate), LARGEST_WEIGHT))


def _told(extensions: Sequence[str], payload: Payload) -> _Line:
    """What comes after the type: rate, tags, container, time; what is newer is passed over."""
    labels: dict[str, str] = {}
    rate, stamp = 1.0, None
    for each in extensions:
        mark, text = each[:1], each[1:]
        if mark == "@":
            rate = _rate(text)
        elif mark == "#":
            labels |= _tags(text)
        elif each.startswith("c:"):
            labels["container_id"] = each[2:]
        elif mark == "T":
            stamp = text
    return _Line(tolerated(labels), rate, _time_us(stamp, payload))


def _rate(text: str) -> float:
    rate = number(text) if _VALUE.fullmatch(text) else 0.0
    if not 0 < rate <= 1:
        raise _BrokenError("a sample rate is above 0 and up to 1")
    return rate


def _tags(text: str) -> dict[str, str]:
    """A tag without a value says that it holds."""
    tags: dict[str, str] = {}
    for each in text.split(","):
        name, found, value = each.partition(":")
        if name:
            tags[name] = value if found else "true"
    return tags


def _time_us(stamp: str | None, payload: Payload) -> int:
    if stamp is None:
        return native.time_of(None, payload.time_us, payload.times)
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 20:
        raise _BrokenError("a time is in whole seconds since the epoch")
    return of_number(int(stamp))


def _service_check(line: str, payload: Payload) -> Sample:
    """`_sc|name|status`, then extensions: the status is the value, 0 (OK) to 3 (unknown)."""
    _, name, status, *extensions = (*line.split("|"), "", "")
    if status not in _STATES:
        raise _BrokenError("a service check is _sc|<name>|<status>, with a status from 0 to 3")
    labels: dict[str, str] = {}
    stamp = None
    for each in extensions:
        if each.startswith("#"):
            labels |= _tags(each[1:])
        elif each.startswith("h:"):
            labels["host"] = each[2:]
        elif each.startswith("d:"):
            stamp = each[2:]
        elif each.startswith("m:"):
            break  # the message is last, and may hold anything
    return gauge(Series(checked_metric(name), tolerated(labels)), _time_us(stamp, payload), float(status))
