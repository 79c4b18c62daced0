"""Vector's metrics: its codec `native_json`, and `json`, which writes the same object without `metric` around it.

Specified in vectordotdev/vector: lib/codecs/tests/data/native_encoding/schema.cue, and lib/vector-core/src/event/metric.
JSON knows neither NaN nor infinities: Vector writes them as null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from consumers.formats.buckets import bound_text, histogram
from consumers.formats.native import time_of
from consumers.formats.objects import Objects, number_of
from consumers.formats.samples import LARGEST_WEIGHT, Payload, Sample, counter, delta, gauge
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.sketches import LARGEST_KEY, value_of
from consumers.formats.unusable import Unusable

INFINITE: Final = float("inf")
_LARGEST_FLOAT: Final = 1.7976931348623157e308
"""A bound that Vector's sources use where another has no bound at all."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Weight = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_WEIGHT)]
_Key = Annotated[int, msgspec.Meta(ge=-LARGEST_KEY, le=LARGEST_KEY)]


class _Single(msgspec.Struct, gc=False):
    value: float | None


class _Set(msgspec.Struct, gc=False):
    values: Any = None


class _Observed(msgspec.Struct, gc=False):
    value: float | None
    rate: _Weight


class _Distribution(msgspec.Struct, gc=False):
    samples: list[_Observed]


class _Bucket(msgspec.Struct, gc=False):
    upper_limit: float | str | None
    count: _Count


class _Histogram(msgspec.Struct, gc=False):
    buckets: list[_Bucket]
    count: _Count


class _Quantile(msgspec.Struct, gc=False):
    quantile: float
    value: float | None


class _Summary(msgspec.Struct, gc=False):
    quantiles: list[_Quantile]
    count: _Count


class _Bins(msgspec.Struct, gc=False):
    k: list[_Key]
    n: list[_Weight]


class _AgentSketch(msgspec.Struct, gc=False):
    bins: _Bins
    min: float | None = None
    max: float | None = None


class _Variant(msgspec.Struct, gc=False):
    agent: _AgentSketch = msgspec.field(name="AgentDDSketch")


class _Sketch(msgspec.Struct, gc=False):
    sketch: _Variant


class _Metric(msgspec.Struct, gc=False):
    name: str | None = None
    namespace: str | None = None
    tags: dict[str, str | list[str | None] | None] | None = None
    timestamp: str | None = None
    kind: str | None = None
    counter: _Single | None = None
    gauge: _Single | None = None
    set: _Set | None = None
    distribution: _Distribution | None = None
    aggregated_histogram: _Histogram | None = None
    aggregated_summary: _Summary | None = None
    sketch: _Sketch | None = None


class _Event(_Metric, gc=False):
    metric: _Metric | None = None
    log: msgspec.Raw = msgspec.Raw(b"")
    trace: msgspec.Raw = msgspec.Raw(b"")


_OBJECTS: Final = Objects(
    msgspec.json.Decoder(_Event),
    msgspec.json.Decoder(list[_Event]),
    {
        "name": "bad_metric",
        "namespace": "bad_metric",
        "tags": "bad_labels",
        "timestamp": "bad_time",
        "kind": "bad_kind",
        "count": "bad_count",
        "rate": "bad_count",
        "n": "bad_count",
    },
)


class Vector:
    """Reads one metric a record, or several."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (missing_metric, missing_value, bad_kind, bad_labels, bad_time, and what is not JSON)."""
        return _OBJECTS.samples(payload, _samples)


class _At(NamedTuple):
    """What all samples of a metric share."""

    metric: str
    labels: Mapping[str, str]
    time_us: int
    incremental: bool

    @property
    def series(self) -> Series:
        return Series(self.metric, self.labels)

    @property
    def counted(self) -> Callable[..., Sample]:
        return delta if self.incremental else counter

    def uncountable(self, reason: str) -> list[Sample]:
        return [Sample(self.series, self.time_us, 0, None, Unusable("unsupported_kind", reason))]


def _samples(event: _Event, payload: Payload) -> list[Sample]:
    if event.log or event.trace:
        raise Unusable("bad_kind", "logs and traces are not metrics")
    metric = event if event.metric is None else event.metric
    at = _at(metric, payload)
    for name, read in _READ.items():
        found = getattr(metric, name)
        if found is not None:
            return read(found, at)
    raise Unusable("missing_value", "the metric has no value of any type that is known")


def _at(metric: _Metric, payload: Payload) -> _At:
    name = checked_metric(metric.name)
    if metric.namespace:
        name = checked_metric(f"{metric.namespace}_{name}")
    if metric.kind not in ("incremental", "absolute"):
        raise Unusable("bad_kind", "kind must be incremental or absolute")
    time_us = time_of(metric.timestamp, payload.time_us, payload.times)
    return _At(name, tolerated(_labels(metric.tags or {})), time_us, metric.kind == "incremental")


def _labels(tags: Mapping[str, str | list[str | None] | None]) -> dict[str, str]:
    """Of several values the last text, as Vector has it where a single one is asked for. A bare tag is true."""
    labels: dict[str, str] = {}
    for name, held in tags.items():
        if held is None or isinstance(held, str):
            labels[name] = "true" if held is None else held
        elif held:
            labels[name] = next((value for value in reversed(held) if value is not None), "true")
    return labels


# ------------------------------------------------------------------------------------------------------------- values


def _counter(found: _Single, at: _At) -> list[Sample]:
    return [] if found.value is None else [at.counted(at.series, at.time_us, found.value)]


def _gauge(found: _Single, at: _At) -> list[Sample]:
    if at.incremental:
        return at.uncountable("changes of a gauge cannot be counted: send it absolute")
    return [] if found.value is None else [gauge(at.series, at.time_us, found.value)]


def _set(_: _Set, at: _At) -> list[Sample]:
    return at.uncountable("sets cannot be counted")


def _distribution(found: _Distribution, at: _At) -> list[Sample]:
    return _observed(((each.value, each.rate) for each in found.samples), at)


def _sketch(found: _Sketch, at: _At) -> list[Sample]:
    agent = found.sketch.agent
    if len(agent.bins.k) != len(agent.bins.n):
        raise Unusable("bad_value", "sketch: there must be as many keys of bins as counts")
    values = (value_of(key, agent.min, agent.max) for key in agent.bins.k)
    return _observed(zip(values, agent.bins.n, strict=True), at)


def _observed(values: Iterable[tuple[float | None, int]], at: _At) -> list[Sample]:
    """Values as often as they came. Absolute ones are all since the beginning, again and again."""
    if not at.incremental:
        return at.uncountable("absolute distributions cannot be counted: send them incremental")
    series = at.series
    return [gauge(series, at.time_us, value, count) for value, count in values if value is not None and count]


def _histogram(found: _Histogram, at: _At) -> list[Sample]:
    """Counts are those of each bucket. Some sources leave the last one out: what is counted and in no bucket is there."""
    limits = sorted((_limit(each.upper_limit), each.count) for each in found.buckets)
    bounds = [bound for bound, _ in limits if bound != INFINITE]
    counts = [count for bound, count in limits if bound != INFINITE]
    unbounded = sum(count for bound, count in limits if bound == INFINITE)
    rest = max(unbounded, found.count - sum(counts))
    return histogram(at.metric, at.labels, at.time_us, bounds, [*counts, rest], at.counted)


def _limit(found: float | str | None) -> float:
    """Infinite where it is null: there is no other bound that JSON does not know."""
    bound = number_of(found) if isinstance(found, str) else INFINITE if found is None else float(found)
    if bound is None or bound != bound:  # noqa: PLR0124 - NaN
        raise Unusable("bad_value", "aggregated_histogram.buckets: an upper_limit is not a number")
    return INFINITE if bound >= _LARGEST_FLOAT else bound


def _summary(found: _Summary, at: _At) -> list[Sample]:
    samples = [
        gauge(Series(at.metric, {**at.labels, "quantile": bound_text(each.quantile)}), at.time_us, each.value)
        for each in found.quantiles
        if each.value is not None
    ]
    return [*samples, at.counted(Series(f"{at.metric}_count", at.labels), at.time_us, found.count)]


_READ: Final[Mapping[str, Callable[[Any, _At], list[Sample]]]] = {
    "counter": _counter,
    "gauge": _gauge,
    "set": _set,
    "distribution": _distribution,
    "aggregated_histogram": _histogram,
    "aggregated_summary": _summary,
    "sketch": _sketch,
}
