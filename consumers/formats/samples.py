"""What every format becomes: samples, each one measurement of a series with its event time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from consumers.formats.series import Series
from consumers.formats.times import EventTimes
from consumers.formats.unusable import Unusable
from consumers.routing import Reads

LARGEST_WEIGHT: Final = 10**12
"""Occurrences of one sample: sums of millions of them stay far inside 64 bits."""

LARGEST_TOTAL: Final = 1 << 62
"""Of a counter."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One measurement. It stands for `weight` occurrences; `value` is None where it is nothing to compare.

    A counter's `total` is all since `start_us` (0: unknown), and it weighs nothing by itself. Of a histogram's bucket,
    `below` is the bucket before: its bound, and what lies at or under it.

    `unfit` is why no indicator can read it. It matters only where one would: then the record is not used. Emitters send
    many metrics that nobody has asked for, and one of those must not cost the rest of its batch.
    """

    series: Series
    time_us: int
    weight: int
    value: float | None
    unfit: Unusable | None = None
    reads: Reads = "values"
    total: int = 0
    start_us: int = 0
    below: tuple[float, int] | None = None

    @property
    def metric(self) -> str:
        return self.series.metric

    @property
    def labels(self) -> Mapping[str, str]:
        return self.series.labels


@dataclass(frozen=True, slots=True)
class Payload:
    """A record as a format reads it. `time_us` is its Kafka timestamp, negative: it has none."""

    value: bytes
    time_us: int
    times: EventTimes
    headers: Mapping[str, bytes]


def text_of(payload: Payload) -> str:
    """The record of a format of lines. Raises Unusable (empty, not_utf8)."""
    if not payload.value.strip():
        raise Unusable("empty", "the record is empty")
    try:
        return payload.value.decode()
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", f"byte {error.start} is not UTF-8") from error


FRACTION: Final = Unusable(
    "bad_value", "what is counted must be a whole number: fractions of an occurrence cannot be counted"
)
TOO_LARGE: Final = Unusable(
    "bad_value", f"a delta must be from 0 to {LARGEST_WEIGHT:,}, a counter to {LARGEST_TOTAL:,}"
)
NOT_FINITE: Final = Unusable("bad_value", "the value must be finite, not NaN or infinite")


def gauge(series: Series, time_us: int, value: float, count: int = 1) -> Sample:
    """A value to compare, for `count` occurrences."""
    return Sample(series, time_us, count, value, None if math.isfinite(value) else NOT_FINITE)


def number(found: float | str) -> float:
    """A number as a float; NaN where text is none, infinite where it is beyond all bounds."""
    try:
        return float(found)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


def delta(
    series: Series,
    time_us: int,
    increase: float,
    start_us: int = 0,  # noqa: ARG001 - as `counter`
    below: tuple[float, int] | None = None,
) -> Sample:
    """So many occurrences since the sample before."""
    weight, unfit = _occurrences(increase, LARGEST_WEIGHT)
    return Sample(series, time_us, weight, None, unfit, "deltas", below=below)


def counter(
    series: Series, time_us: int, total: float, start_us: int = 0, below: tuple[float, int] | None = None
) -> Sample:
    """So many occurrences since the series began, at `start_us` (0: nobody knows)."""
    found, unfit = _occurrences(total, LARGEST_TOTAL)
    start_us = start_us if 0 < start_us <= time_us else 0  # nothing begins after it was counted
    return Sample(series, time_us, 0, None, unfit, "counters", found, start_us, below)


def state(series: Series, time_us: int, *, up: bool) -> Sample:
    """Up or down until the next one."""
    return Sample(series, time_us, 1, float(up), None, "states")


def _occurrences(number: float, most: int) -> tuple[int, Unusable | None]:
    if not 0 <= number <= most:  # NaN too
        return 0, TOO_LARGE
    whole = int(number)
    return whole, None if whole == number else FRACTION
