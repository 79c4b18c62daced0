"""Telegraf's JSON: `data_format = "json"` of its Kafka output, one metric or a batch of them.

Specified in influxdata/telegraf, plugins/serializers/json. The unit of `timestamp` is whatever `json_timestamp_units` says,
and is told by its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from consumers.formats import native
from consumers.formats.json_text import decoded
from consumers.formats.samples import Payload, Sample, gauge, number
from consumers.formats.series import Series, checked_metric, label_text, tolerated
from consumers.formats.unusable import Unusable


class _Metric(msgspec.Struct, gc=False):
    name: str | None = None
    fields: dict[str, Any] | None = None
    tags: dict[str, str | int | float | bool | None] | None = None
    timestamp: int | float | None = None


class _Either(_Metric):
    metrics: list[_Metric] | None = None


_DECODER: Final = msgspec.json.Decoder(_Either)


class Telegraf:
    """Each number among a metric's fields is a sample of `<name>_<field>`; booleans are 1 and 0, texts are no samples."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable."""
        whole = decoded(_DECODER, payload.value)
        metrics: Sequence[_Metric] = [whole] if whole.metrics is None else whole.metrics
        samples: list[Sample] = []
        for each in metrics:
            samples += _samples(each, payload)
        return samples


def _samples(metric: _Metric, payload: Payload) -> list[Sample]:
    name = checked_metric(metric.name)
    if metric.fields is None:
        raise Unusable("missing_value", "the metric has no fields")
    tags = {tag: label_text(value) for tag, value in (metric.tags or {}).items() if value is not None}
    labels = tolerated(tags)
    time_us = native.time_of(metric.timestamp, payload.time_us, payload.times)
    return [
        gauge(Series(checked_metric(f"{name}_{field}"), labels), time_us, number(value))
        for field, value in metric.fields.items()
        if isinstance(value, bool | int | float)
    ]
