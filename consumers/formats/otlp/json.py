"""OTLP metrics as JSON: the Collector's `otlp_json`. 64-bit numbers are text in it, but plain numbers are taken too."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, Literal, cast

import msgspec

from consumers.formats.json_text import decoded
from consumers.formats.otlp import points
from consumers.formats.otlp.scopes import Pairs, Scopes, as_text, scope_labels
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable

_DEEPEST: Final = 16
_NOTHING: Final = msgspec.Raw(b"")
_Temporality = Literal[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"
]
_TEMPORALITIES: Final = {
    "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
    "AGGREGATION_TEMPORALITY_DELTA": points.DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": points.CUMULATIVE,
}
_UNWRITTEN: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Message(msgspec.Struct, rename="camel", gc=False):
    """Names as protobuf's JSON has them."""


class _Point(_Message):
    attributes: msgspec.Raw = _NOTHING
    time_unix_nano: int | str = 0
    start_time_unix_nano: int | str = 0
    flags: int = 0


class _Number(_Point):
    as_double: float | Literal["NaN", "Infinity", "-Infinity"] | None = None
    as_int: int | str | None = None


class _HistogramPoint(_Point):
    count: int | str = 0
    bucket_counts: list[int | str] = []
    explicit_bounds: list[float] = []


class _Buckets(_Message):
    offset: int = 0
    bucket_counts: list[int | str] = []


class _ExponentialPoint(_Point):
    count: int | str = 0
    scale: int = 0
    zero_threshold: float = 0.0
    positive: _Buckets = msgspec.field(default_factory=_Buckets)


class _ValueAtQuantile(_Message):
    quantile: float = 0.0
    value: float | Literal["NaN", "Infinity", "-Infinity"] = 0.0


class _SummaryPoint(_Point):
    count: int | str = 0
    quantile_values: list[_ValueAtQuantile] = []


class _Gauge(_Message):
    data_points: list[_Number] = []


class _Counted(_Message):
    temporality: int | _Temporality = msgspec.field(default=0, name="aggregationTemporality")

    @property
    def aggregation_temporality(self) -> int:
        found = self.temporality
        return _TEMPORALITIES[found] if isinstance(found, str) else found


class _Sum(_Counted):
    data_points: list[_Number] = []
    is_monotonic: bool = False


class _Histogram(_Counted):
    data_points: list[_HistogramPoint] = []


class _Exponential(_Counted):
    data_points: list[_ExponentialPoint] = []


class _Summary(_Message):
    data_points: list[_SummaryPoint] = []


class _Metric(_Message):
    name: str = ""
    unit: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Histogram | None = None
    exponential_histogram: _Exponential | None = None
    summary: _Summary | None = None


class _ScopeMetrics(_Message):
    scope: msgspec.Raw = _NOTHING
    metrics: list[_Metric] = []


class _ResourceMetrics(_Message):
    resource: msgspec.Raw = _NOTHING
    scope_metrics: list[_ScopeMetrics] = []


class _MetricsData(_Message):
    resource_metrics: list[_ResourceMetrics]


class _Attribute(_Message):
    key: str = ""
    value: Any = None


class _Resource(_Message):
    attributes: list[_Attribute] = []


class _Scope(_Message):
    name: str = ""
    version: str = ""
    attributes: list[_Attribute] = []


_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_DECODER: Final = msgspec.json.Decoder(_MetricsData)
_DECODE_RESOURCE: Final = msgspec.json.Decoder(_Resource | None).decode
_DECODE_SCOPE: Final = msgspec.json.Decoder(_Scope | None).decode
_DECODE_ATTRIBUTES: Final = msgspec.json.Decoder(list[_Attribute] | None).decode


class OtlpJson:
    """Reads one MetricsData or ExportMetricsServiceRequest a record."""

    def __init__(self) -> None:
        self._scopes = Scopes(_pairs)

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_json, too_deep, and what is wrong with a point)."""
        samples: list[Sample] = []
        for resource in decoded(_DECODER, payload.value).resource_metrics:
            for scope in resource.scope_metrics:
                of = (bytes(resource.resource), bytes(scope.scope))
                known = self._scopes.scope(of, lambda of=of: _labels(*of))
                for metric in scope.metrics:
                    for kind in _KINDS:
                        if getattr(metric, kind) is not None:
                            samples += points.read(_FORM, known, metric, kind, payload)
        return samples


def _attributes(point: Any) -> Hashable:
    return bytes(point.attributes)


def _number(point: Any) -> int | float | None:
    found = point.as_int
    if found is not None:
        return points.number(points.whole(found) if isinstance(found, str) else found)
    found = point.as_double
    return _UNWRITTEN[found] if isinstance(found, str) else found


_FORM: Final = points.Form(_attributes, _number)


def _labels(resource: bytes, scope: bytes) -> dict[str, str]:
    whole = _part(_DECODE_RESOURCE, resource) or _Resource()
    named = _part(_DECODE_SCOPE, scope) or _Scope()
    return scope_labels(_told(whole.attributes), _told(named.attributes), named.name, named.version)


def _pairs(attributes: Hashable) -> Pairs:
    return _told(_part(_DECODE_ATTRIBUTES, cast("bytes", attributes)) or [])


def _part(decode: Any, value: bytes) -> Any:
    try:
        return decode(value) if value else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("bad_labels", "attributes are not what OpenTelemetry says") from error


def _told(attributes: list[_Attribute]) -> list[tuple[str, str]]:
    return [(each.key, as_text(_plain(each.value, 0))) for each in attributes]


def _plain(value: object, depth: int) -> object:
    """An AnyValue. What it holds is named by its one key; 64-bit integers are text that stays as it is."""
    if depth > _DEEPEST:
        raise Unusable("too_deep", "an attribute is nested too deeply")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Unusable("bad_labels", 'an attribute\'s value must be an object, such as {"stringValue": ...}')
    held = cast("dict[str, Any]", value)
    if "arrayValue" in held:
        return [_plain(each, depth + 1) for each in _values(held["arrayValue"])]
    if "kvlistValue" in held:
        return dict(_pair(each, depth) for each in _values(held["kvlistValue"]))
    if "intValue" in held:
        return _integer(held["intValue"])
    for name in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
        found = held.get(name)
        if isinstance(found, str | bool | int | float):
            return found
    return None


def _pair(found: object, depth: int) -> tuple[str, object]:
    if not isinstance(found, dict):
        raise Unusable("bad_labels", "an attribute must be an object with key and value")
    held = cast("dict[str, Any]", found)
    return str(held.get("key", "")), _plain(held.get("value"), depth + 1)


def _values(found: object) -> list[object]:
    held = cast("dict[str, Any]", found).get("values", []) if isinstance(found, dict) else None
    if not isinstance(held, list):
        raise Unusable("bad_labels", "an attribute's list must be an object with values")
    return cast("list[object]", held)


def _integer(found: object) -> int | None:
    if isinstance(found, str):
        return points.whole(found, "bad_labels")
    return found if isinstance(found, int) else None
