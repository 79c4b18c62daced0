"""Metrics of the OpenTelemetry protocol, as the Collector's Kafka exporter writes them: protobuf and JSON."""

from consumers.formats.otlp.json import OtlpJson
from consumers.formats.otlp.proto import OtlpProto

__all__ = ["OtlpJson", "OtlpProto"]
