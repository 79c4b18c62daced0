"""Prometheus' samples as prometheus-kafka-adapter writes them: remote write to Kafka, serialised as JSON.

Specified in Telefonica/prometheus-kafka-adapter, README (output, JSON). A message does not say of what type its metric is;
what Prometheus' naming conventions say of names stands in for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from consumers.formats.native import time_of
from consumers.formats.objects import Objects, number_of
from consumers.formats.samples import Payload, Sample, counter, gauge
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.unusable import Unusable

CUMULATIVE: Final = ("_total", "_count", "_sum", "_bucket")
"""How names of counters, and of what histograms and summaries count, end."""


class _Message(msgspec.Struct, gc=False):
    value: float | str
    name: str | None = None
    labels: dict[str, str] | None = None
    timestamp: str | int | float | None = None


_OBJECTS: Final = Objects(
    msgspec.json.Decoder(_Message),
    msgspec.json.Decoder(list[_Message]),
    {"name": "bad_metric", "labels": "bad_labels", "timestamp": "bad_time"},
)


class Prometheus:
    """Reads one sample a message, though several are taken too."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (missing_metric, missing_value, bad_value, bad_time, bad_labels, and what is not JSON)."""
        return _OBJECTS.samples(payload, _samples)


def of_fields(fields: Mapping[str, object], payload: Payload) -> Sequence[Sample]:
    """Those of a message that came in another encoding than JSON. Raises Unusable, as reading one does."""
    return _samples(_OBJECTS.converted(fields), payload)


def _samples(message: _Message, payload: Payload) -> Sequence[Sample]:
    labels = message.labels or {}
    metric = checked_metric(message.name or labels.get("__name__"))
    value = _value(message.value)
    time_us = time_of(message.timestamp, payload.time_us, payload.times)
    if math.isnan(value):  # the marker of a series that has gone, or a quotient of nothing: not a value
        return ()
    series = Series(metric, tolerated(labels))
    return (counter(series, time_us, value) if metric.endswith(CUMULATIVE) else gauge(series, time_us, value),)


def _value(found: float | str) -> float:
    value = number_of(found) if isinstance(found, str) else float(found)
    if value is None:
        raise Unusable("bad_value", "value: the text is not a number")
    return value
