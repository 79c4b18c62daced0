"""Telegraf's metrics as JSON (`data_format = "json"`): one object, or a batch under `metrics`.

Specified in influxdata/telegraf, plugins/serializers/json. Objects in an array or one a line, as relays put them
together, are a batch too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from consumers.formats.json_text import lines_decoded, refusal
from consumers.formats.native import time_of
from consumers.formats.samples import Payload, Sample, gauge, number
from consumers.formats.series import Series, checked_metric, label_text, tolerated
from consumers.formats.unusable import Unusable

MOST_SERIES: Final = 65_536
"""Remembered by one reader. Tags repeat from record to record: building their series is most of the work."""


class _Record(msgspec.Struct, gc=False):
    """One metric, or a batch where `metrics` is there. Tags are left as text, by which they are looked up."""

    name: Any = None
    fields: Any = None
    tags: msgspec.Raw = msgspec.Raw(b"")
    timestamp: Any = None
    metrics: list[_Record] | None = None


class Telegraf:
    """Each numeric field becomes a value of the metric `<name>_<field>`, with the tags as labels."""

    def __init__(self) -> None:
        self._labels = lru_cache(MOST_SERIES)(_labels)
        self._series = lru_cache(MOST_SERIES)(self._built)

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_json, not_utf8, too_deep, and what is wrong with a metric)."""
        metrics = _metrics(_decoded(payload.value))
        if len(metrics) == 1:
            return self._samples(metrics[0], payload)
        samples: list[Sample] = []
        for place, metric in enumerate(metrics, 1):
            try:
                samples += self._samples(metric, payload)
            except Unusable as error:
                raise Unusable(error.code, f"metric {place}: {error.reason}") from error
        return samples

    def _samples(self, metric: _Record, payload: Payload) -> list[Sample]:
        name, tags = checked_metric(metric.name), bytes(metric.tags)
        self._labels(tags)  # broken ones are refused, be there a field to count or none
        time_us = time_of(metric.timestamp, payload.time_us, payload.times)
        return [
            gauge(self._series(name, field, tags), time_us, number(value))
            for field, value in _fields(metric.fields).items()
            if isinstance(value, int | float)  # true and false are such
        ]

    def _built(self, name: str, field: str, tags: bytes) -> Series:
        return Series(checked_metric(f"{name}_{field}"), self._labels(tags))


# --------------------------------------------------------------------------------------------------------- to metrics


_Tags = dict[str, str | int | float | bool | None]
_DECODER: Final = msgspec.json.Decoder(_Record | list[_Record])
_DECODE_TAGS: Final = msgspec.json.Decoder(_Tags | None).decode


def _decoded(value: bytes) -> list[_Record]:
    try:
        return _many(_DECODER.decode(value))
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, value) from error
    except msgspec.DecodeError:
        return [each for line in lines_decoded(_DECODER, value) for each in _many(line)]


def _many(found: _Record | list[_Record]) -> list[_Record]:
    return found if isinstance(found, list) else [found]


def _metrics(records: list[_Record]) -> list[_Record]:
    return [each for record in records for each in ([record] if record.metrics is None else record.metrics)]


# --------------------------------------------------------------------------------------------------------- to samples


def _fields(found: object) -> dict[str, object]:
    if found is None:
        raise Unusable("missing_value", "the metric has no fields")
    if not isinstance(found, dict):
        raise Unusable("bad_value", "the fields must be an object")
    return cast("dict[str, object]", found)


def _labels(tags: bytes) -> dict[str, str]:
    try:
        found: _Tags | None = _DECODE_TAGS(tags) if tags else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("bad_labels", "the tags must be an object of texts, numbers and booleans") from error
    return tolerated({tag: label_text(value) for tag, value in (found or {}).items() if value is not None})
