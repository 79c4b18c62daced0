"""Avro as Kafka's serialisers write it that go with a schema registry: the byte 0, the schema's id, the body.

Specified in Confluent's documentation of the wire format. What the writer's schema calls its fields says what the record
is: a native event has `metric`; what prometheus-kafka-adapter writes has `name`, `value`, `labels` and `timestamp`. An
array holds several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from consumers.formats import native, prometheus
from consumers.formats.avro_schema import Schema
from consumers.formats.native import LARGEST_VALUE
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable

MAGIC: Final = b"\0"
"""What such a record begins with. No other format does."""
HEADER: Final = 5

SchemaById = Callable[[int], Schema]
"""Raises Unusable where there is none."""

SETTING: Final = "UPHELD_SCHEMA_REGISTRY_URL"


def no_registry(_: int) -> Schema:
    """The schemas of those who have no registry."""
    raise Unusable("no_registry", f"records in Avro are read by the schemas of a registry: {SETTING} says where it is")


def within_an_event(_: int) -> Schema:
    """The schemas of data in an envelope: nobody has looked for their ids there."""
    raise Unusable("unsupported_kind", "Avro within a CloudEvent is not read")


def schema_id(value: bytes) -> int | None:
    """The id of the schema that a record names; None: it is no record in Avro."""
    if value[:1] != MAGIC or len(value) < HEADER:
        return None
    return int.from_bytes(value[1:HEADER], "big")


class Avro:
    """Reads one record or an array of them, each a native event or a sample of Prometheus' adapter."""

    def __init__(self, schemas: SchemaById) -> None:
        self._schemas = schemas

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (no_registry, unknown_schema, unsupported_schema, not_avro, and what the two formats say)."""
        value = payload.value
        if not value:
            raise Unusable("empty", "the record is empty")
        if len(value) > LARGEST_VALUE:
            raise Unusable("too_large", f"the record is larger than {LARGEST_VALUE:,} bytes")
        number = schema_id(value)
        if number is None:
            raise Unusable("not_avro", "the record does not begin with the byte 0 and the id of a schema")
        found = self._schemas(number).decoded(value[HEADER:])
        if not isinstance(found, list):
            return _samples(found, payload)
        return _each(cast("list[object]", found), payload)


def _each(found: Sequence[object], payload: Payload) -> list[Sample]:
    samples: list[Sample] = []
    for number, each in enumerate(found, 1):
        try:
            samples.extend(_samples(each, payload))
        except Unusable as error:
            raise Unusable(error.code, f"record {number}: {error.reason}") from error
    return samples


def _samples(found: object, payload: Payload) -> Sequence[Sample]:
    if not isinstance(found, dict):
        raise Unusable("not_an_object", "what the schema describes is not a record")
    fields = cast("dict[str, object]", found)
    labels = fields.get("labels")
    if isinstance(labels, dict):
        fields["labels"] = _given(cast("dict[str, object]", labels))
    if "metric" not in fields and "name" in fields:
        return prometheus.of_fields(_given(fields), payload)
    return (native.of_fields(fields, payload.time_us, payload.times),)


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    """Without nulls: a schema names every field, and makes the optional ones a union with null."""
    return {name: value for name, value in fields.items() if value is not None}
