"""Records in Avro for tests, and the schemas that they are written by."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import fastavro

from consumers.formats.avro_schema import Schema
from consumers.formats.unusable import Unusable

ADAPTER: Final[dict[str, Any]] = {
    "namespace": "io.prometheus",
    "type": "record",
    "name": "Metric",
    "doc:": "A basic schema for representing Prometheus metrics",
    "fields": [
        {"name": "timestamp", "type": "string"},
        {"name": "value", "type": "string"},
        {"name": "name", "type": "string"},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
    ],
}
"""What prometheus-kafka-adapter ships as schemas/metric.avsc."""

EVENT: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Event",
    "namespace": "com.example",
    "fields": [
        {"name": "metric", "type": {"type": "string", "avro.java.string": "String"}},
        {"name": "time", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
        {"name": "value", "type": ["null", "double"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["event", "gauge", "delta"]}},
        {"name": "service", "type": ["null", "string"], "default": None},
        {"name": "count", "type": "long", "default": 1},
        {
            "name": "labels",
            "type": {
                "type": "record",
                "name": "Labels",
                "fields": [
                    {"name": "route", "type": ["null", "string"]},
                    {"name": "status", "type": ["null", "int"]},
                ],
            },
        },
        {"name": "payload", "type": ["null", "bytes"], "default": None},
    ],
}
BATCH: Final[dict[str, Any]] = {"type": "array", "items": EVENT}

ADAPTER_ID, EVENT_ID, BATCH_ID = 1, 2, 70_000
SCHEMAS: Final[dict[int, Any]] = {ADAPTER_ID: ADAPTER, EVENT_ID: EVENT, BATCH_ID: BATCH}


def body(schema: Any, value: object) -> bytes:
    """A value as the schema has it."""
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), value)
    return written.getvalue()


def framed(number: int, content: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + content


def written(number: int, value: object) -> bytes:
    """A record as a serialiser writes it that goes with a registry."""
    return framed(number, body(SCHEMAS[number], value))


def sample(time: str, value: str = "0.25", name: str = "latency", **labels: str) -> dict[str, Any]:
    """What prometheus-kafka-adapter makes of a sample."""
    return {"timestamp": time, "value": value, "name": name, "labels": {"__name__": name, **labels}}


def event(**fields: Any) -> dict[str, Any]:
    labels = {"route": None, "status": None, **fields.pop("labels", {})}
    return {"metric": "latency", "value": 0.25, "kind": "event", "count": 1, **fields, "labels": labels}


def known(number: int) -> Schema:
    """The schemas of these records, as a registry's are known."""
    if number not in SCHEMAS:
        raise Unusable("unknown_schema", "there is no such schema")
    return Schema.of([json.dumps(SCHEMAS[number])])


class MemoryRegistry:
    """Holds schemas as texts. `fault` is raised as long as it is there."""

    def __init__(self, schemas: Mapping[int, Any] = SCHEMAS) -> None:
        self.schemas = {number: (json.dumps(schema),) for number, schema in schemas.items()}
        self.fault: Exception | None = None
        self.asked: list[int] = []

    async def schema(self, number: int) -> Sequence[str]:
        self.asked.append(number)
        if self.fault is not None:
            raise self.fault
        if number not in self.schemas:
            raise Unusable("unknown_schema", f"no schema of the id {number}")
        return self.schemas[number]
