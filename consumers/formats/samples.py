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

LARGEST_WEIGHT: Final = 10**12
"""Occurrences of one sample: sums of millions of them stay far inside 64 bits."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One measurement. It stands for `weight` occurrences; `value` is None where it is nothing to compare (deltas).

    `unfit` is why no indicator can read it. It matters only where one would: then the record is not used. Emitters send
    many metrics that nobody has asked for, and one of those must not cost the rest of its batch.
    """

    series: Series
    time_us: int
    weight: int
    value: float | None
    unfit: Unusable | None = None

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


CUMULATIVE: Final = Unusable("unsupported_kind", "cumulative counters cannot be counted yet: send deltas")
FRACTION: Final = Unusable("bad_value", "a delta must be a whole number: fractions of an occurrence cannot be counted")
TOO_LARGE: Final = Unusable("bad_value", f"a delta must be from 0 to {LARGEST_WEIGHT:,}")
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


def delta(series: Series, time_us: int, increase: float) -> Sample:
    """So many occurrences since the sample before."""
    if not 0 <= increase <= LARGEST_WEIGHT:  # NaN too
        return Sample(series, time_us, 0, None, TOO_LARGE)
    weight = int(increase)
    return Sample(series, time_us, weight, None, None if weight == increase else FRACTION)


def counter(series: Series, time_us: int, total: float) -> Sample:  # noqa: ARG001 - counted once counters are
    """So many occurrences since the series began."""
    return Sample(series, time_us, 0, None, CUMULATIVE)
