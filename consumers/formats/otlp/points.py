"""Metrics to samples, whichever way they were written.

| OpenTelemetry | samples |
|---|---|
| gauge, sum that may fall (cumulative) | a value to compare |
| monotonic sum, delta | so many occurrences |
| monotonic sum, cumulative | a counter |
| histogram | `_count` and `_bucket{le=...}`, deltas or counters |
| exponential histogram | the same, with the bounds of its buckets |
| summary | values by `quantile`, and `_count` |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from consumers.formats.buckets import accumulated, bound_text
from consumers.formats.otlp.naming import metric_name
from consumers.formats.otlp.scopes import Scope
from consumers.formats.samples import Payload, Sample, counter, delta, gauge
from consumers.formats.series import Series
from consumers.formats.unusable import Unusable

NO_RECORDED_VALUE: Final = 1
DELTA: Final = 1
CUMULATIVE: Final = 2
_NANOS: Final = 1_000
_FALLS: Final = Unusable("unsupported_kind", "changes of a sum that may fall cannot be counted: send it as it is")
_NO_TEMPORALITY: Final = Unusable("bad_kind", "the metric is neither delta nor cumulative")
_MOST_COUNT: Final = 1 << 64
_MOST_BUCKETS: Final = 1_000
_MOST_SCALE: Final = 64
_MOST_OFFSET: Final = 1 << 31
_INFINITE_EXPONENT: Final = 1024.0

Make = Callable[..., Sample]
"""Makes a sample of a series, a time, a number, a start time, and of a bucket the bucket before."""


class Form(NamedTuple):
    """How one way of writing gives what the field's name does not: attributes as a key, and a point's number."""

    attributes: Callable[[Any], Hashable]
    number: Callable[[Any], int | float | None]


def read(form: Form, scope: Scope, metric: Any, data: str, payload: Payload) -> list[Sample]:
    """Samples of one metric; `data` names which of its kinds it holds. Raises Unusable."""
    return _READ[data](form, scope, metric, getattr(metric, data), payload)


def _gauge(form: Form, scope: Scope, metric: Any, data: Any, payload: Payload) -> list[Sample]:
    name = metric_name(metric.name, metric.unit, "gauge")
    return _numbers(form, scope, name, data.data_points, _value, payload)


def _sum(form: Form, scope: Scope, metric: Any, data: Any, payload: Payload) -> list[Sample]:
    temporality, monotonic = data.aggregation_temporality, data.is_monotonic
    name = metric_name(metric.name, metric.unit, "counter" if monotonic else "other")
    make: Make = _counting(temporality) if monotonic else _value if temporality == CUMULATIVE else _falling
    return _numbers(form, scope, name, data.data_points, make, payload)


def _numbers(form: Form, scope: Scope, name: str, points: Sequence[Any], make: Make, payload: Payload) -> list[Sample]:
    series, attributes, number = scope.family(name).series, form.attributes, form.number
    samples: list[Sample] = []
    for point in points:
        value = number(point)
        if value is None or (point.flags & NO_RECORDED_VALUE) or value != value:  # noqa: PLR0124 - NaN
            continue
        start_us = _start_us(point) if make is counter else 0
        samples.append(make(series(attributes(point)), _time_us(point, payload), value, start_us))
    return samples


def _histogram(form: Form, scope: Scope, metric: Any, data: Any, payload: Payload) -> list[Sample]:
    name = metric_name(metric.name, metric.unit, "other")
    make = _counting(data.aggregation_temporality)
    counts, buckets = scope.family(f"{name}_count"), scope.family(f"{name}_bucket")
    samples: list[Sample] = []
    for point in data.data_points:
        if point.flags & NO_RECORDED_VALUE:
            continue
        attributes, time_us = form.attributes(point), _time_us(point, payload)
        start_us = _start_us(point) if make is counter else 0
        samples.append(make(counts.series(attributes), time_us, _count(point.count), start_us))
        held, bounds = point.bucket_counts, point.explicit_bounds
        if not held:
            continue
        if len(held) != len(bounds) + 1:
            raise Unusable("bad_value", "a histogram has other than one bucket more than bounds")
        edges = zip((*map(float, bounds), float("inf")), map(_count, held), strict=True)
        for bound, below, before in accumulated(edges):
            series = buckets.series(attributes, le=bound_text(bound))
            samples.append(make(series, time_us, below, start_us, before))
    return samples


def _exponential(form: Form, scope: Scope, metric: Any, data: Any, payload: Payload) -> list[Sample]:
    name = metric_name(metric.name, metric.unit, "other")
    make = _counting(data.aggregation_temporality)
    counts, buckets = scope.family(f"{name}_count"), scope.family(f"{name}_bucket")
    samples: list[Sample] = []
    for point in data.data_points:
        if point.flags & NO_RECORDED_VALUE:
            continue
        attributes, time_us = form.attributes(point), _time_us(point, payload)
        start_us = _start_us(point) if make is counter else 0
        samples.append(make(counts.series(attributes), time_us, _count(point.count), start_us))
        for bound, below, before in accumulated(_spread(point)):
            series = buckets.series(attributes, le=bound_text(bound))
            samples.append(make(series, time_us, below, start_us, before))
    return samples


def _spread(point: Any) -> Iterator[tuple[float, int]]:
    """The buckets of an exponential histogram by their upper bounds: bucket i holds (base^i, base^(i+1)], base = 2^2^-scale.
    What is below zero stands with the zeros: bounds that anybody promises lie above.
    """
    count, positive, scale, offset = _count(point.count), point.positive, point.scale, point.positive.offset
    if len(positive.bucket_counts) > _MOST_BUCKETS:
        raise Unusable("bad_value", f"an exponential histogram has more than {_MOST_BUCKETS:,} buckets")
    if abs(scale) > _MOST_SCALE or abs(offset) > _MOST_OFFSET:
        raise Unusable("bad_value", "an exponential histogram has a scale or an offset beyond all floats")
    held = [_count(each) for each in positive.bucket_counts]
    least = float(point.zero_threshold)
    yield least, max(count - sum(held), 0)
    for index, each in enumerate([0, *held] if held else [], offset):
        yield max(_power(math.ldexp(index, -scale)), least), each
    yield math.inf, 0


def _power(exponent: float) -> float:
    """Two to it; beyond what a float holds, zero or infinite."""
    return math.inf if exponent >= _INFINITE_EXPONENT else math.exp2(exponent)


def _summary(form: Form, scope: Scope, metric: Any, data: Any, payload: Payload) -> list[Sample]:
    name = metric_name(metric.name, metric.unit, "other")
    values, counts = scope.family(name), scope.family(f"{name}_count")
    samples: list[Sample] = []
    for point in data.data_points:
        if point.flags & NO_RECORDED_VALUE:
            continue
        attributes, time_us = form.attributes(point), _time_us(point, payload)
        samples.append(counter(counts.series(attributes), time_us, _count(point.count), _start_us(point)))
        for each in point.quantile_values:
            value = float(each.value)
            if value == value:  # noqa: PLR0124 - NaN: nothing came
                quantile = bound_text(float(each.quantile))
                samples.append(gauge(values.series(attributes, quantile=quantile), time_us, value))
    return samples


_READ: Final[dict[str, Callable[[Form, Scope, Any, Any, Payload], list[Sample]]]] = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def _counting(temporality: int) -> Make:
    if temporality == DELTA:
        return delta
    return counter if temporality == CUMULATIVE else _untold


def _value(series: Series, time_us: int, value: float, _start_us: int) -> Sample:
    return gauge(series, time_us, value)


def _falling(series: Series, time_us: int, value: float, *_: object) -> Sample:
    return Sample(series, time_us, 0, value, _FALLS)


def _untold(series: Series, time_us: int, value: float, *_: object) -> Sample:
    return Sample(series, time_us, 0, value, _NO_TEMPORALITY)


def _count(found: int | str) -> int:
    """A 64-bit count; in JSON it comes as text. Raises Unusable (bad_value)."""
    if isinstance(found, str):
        found = whole(found)
    if not 0 <= found < _MOST_COUNT:
        raise Unusable("bad_value", "a count is not within 64 bits")
    return found


def _time_us(point: Any, payload: Payload) -> int:
    """Zero is no time in OTLP: then it is the record's. Raises Unusable (bad_time)."""
    nanos = point.time_unix_nano
    if isinstance(nanos, str):
        nanos = whole(nanos, "bad_time")
    if nanos:
        return nanos // _NANOS
    if payload.time_us < 0:
        raise Unusable("bad_time", "neither the point nor its record has a time")
    return payload.time_us


def _start_us(point: Any) -> int:
    """Zero where it is not known. Raises Unusable (bad_time)."""
    nanos = point.start_time_unix_nano
    return (whole(nanos, "bad_time") if isinstance(nanos, str) else nanos) // _NANOS


def number(found: int) -> int:
    """An integer of a point, of 64 bits; JSON knows longer ones. Raises Unusable (bad_value)."""
    if not -_MOST_COUNT < found < _MOST_COUNT:
        raise Unusable("bad_value", "a whole number is not within 64 bits")
    return found


def whole(text: str, code: Any = "bad_value") -> int:
    """A 64-bit number written as text. Raises Unusable."""
    if len(text) > 20 or not text.lstrip("-").isascii() or not text.lstrip("-").isdigit():
        raise Unusable(code, "a whole number is written as text that is none")
    try:
        return int(text)
    except ValueError as error:
        raise Unusable(code, "a whole number is written as text that is none") from error
