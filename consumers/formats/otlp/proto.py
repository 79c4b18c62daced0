"""OTLP metrics as protobuf: the Collector's `otlp_proto`. Specified in opentelemetry-proto, metrics/v1/metrics.proto."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, cast

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from consumers.formats.otlp import points
from consumers.formats.otlp.messages import MetricsData
from consumers.formats.otlp.scopes import Pairs, Scopes, as_text, scope_labels
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable

_DEEPEST: Final = 16


class OtlpProto:
    """Reads one MetricsData or ExportMetricsServiceRequest a record."""

    def __init__(self) -> None:
        self._scopes = Scopes(_pairs)

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (empty, not_protobuf, and what is wrong with a point)."""
        if not payload.value:
            raise Unusable("empty", "the record is empty")
        data: Any = MetricsData()
        try:
            data.ParseFromString(payload.value)
        except DecodeError as error:
            raise Unusable("not_protobuf", "the record is not OpenTelemetry metrics in protobuf") from error
        samples: list[Sample] = []
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                of = (resource.resource, scope.scope)
                known = self._scopes.scope(of, lambda of=of: _labels(*of))
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    if kind is not None:
                        samples += points.read(_FORM, known, metric, kind, payload)
        return samples


def _attributes(point: Any) -> Hashable:
    return tuple(point.attributes)


def _number(point: Any) -> int | float | None:
    kind = point.WhichOneof("value")
    return None if kind is None else getattr(point, kind)


_FORM: Final = points.Form(_attributes, _number)


def _labels(resource: bytes, scope: bytes) -> dict[str, str]:
    try:
        whole, named = Resource.FromString(resource), InstrumentationScope.FromString(scope)
    except DecodeError as error:
        raise Unusable("bad_labels", "a resource or scope is not what OpenTelemetry says") from error
    return scope_labels(_told(whole.attributes), _told(named.attributes), named.name, named.version)


def _pairs(attributes: Hashable) -> Pairs:
    """Of a point, each still as bytes."""
    try:
        return _told([KeyValue.FromString(each) for each in cast("tuple[bytes, ...]", attributes)])
    except DecodeError as error:
        raise Unusable("bad_labels", "an attribute is not what OpenTelemetry says") from error


def _told(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return [(each.key, as_text(_plain(each.value, 0))) for each in attributes]


def _plain(value: AnyValue, depth: int) -> object:
    if depth > _DEEPEST:
        raise Unusable("too_deep", "an attribute is nested too deeply")
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each, depth + 1) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: _plain(each.value, depth + 1) for each in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return None if kind is None else cast("object", getattr(value, kind))
