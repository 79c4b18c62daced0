"""Events of slo-exporter's own schema, as whoever feeds its module kafkaIngester writes them.

Specified in seznam/slo-exporter, docs/modules/kafka_ingester.md. There is one version of the schema, v1, and a header to
tell it; no field of it is required.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from consumers.formats.native import time_of
from consumers.formats.objects import Objects, number_of
from consumers.formats.samples import LARGEST_WEIGHT, Payload, Sample, delta
from consumers.formats.series import Series, tolerated
from consumers.formats.unusable import Unusable

METRIC: Final = "slo_event"
VERSION_HEADER: Final = "slo-exporter-schema-version"
_VERSIONS: Final = (b"v1",)
_UNCOUNTABLE: Final = Unusable("bad_value", f"the quantity must be a whole number from 0 to {LARGEST_WEIGHT:,}")


class _Classification(msgspec.Struct, gc=False):
    domain: str | None = None
    app: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")


class _Event(msgspec.Struct, gc=False):
    metadata: dict[str, str | None] | None = None
    quantity: float | str | None = None
    slo_classification: _Classification | None = None
    result: str | None = None


_OBJECTS: Final = Objects(
    msgspec.json.Decoder(_Event),
    msgspec.json.Decoder(list[_Event]),
    {"metadata": "bad_labels", "slo_classification": "bad_labels", "result": "bad_labels", "quantity": "bad_value"},
)


class SloExporter:
    """Each event stands for `quantity` occurrences of `slo_event`, at its record's time: the schema has none."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (unsupported_kind, bad_value, bad_labels, bad_time, and what is not JSON)."""
        if payload.headers.get(VERSION_HEADER, b"v1") not in _VERSIONS:
            raise Unusable("unsupported_kind", f"{VERSION_HEADER}: the only version that is known is v1")
        return _OBJECTS.samples(payload, _samples)


def _samples(event: _Event, payload: Payload) -> Sequence[Sample]:
    series = Series(METRIC, tolerated(_labels(event)))
    time_us = time_of(None, payload.time_us, payload.times)
    quantity = _quantity(event.quantity)
    if 0 <= quantity <= LARGEST_WEIGHT and quantity == int(quantity):
        return (delta(series, time_us, quantity),)
    return (Sample(series, time_us, 0, None, _UNCOUNTABLE),)


def _labels(event: _Event) -> dict[str, str]:
    """Metadata, and what is said of the event itself, which wins where both have a name."""
    found = event.slo_classification or _Classification()
    own = {
        "slo_domain": found.domain,
        "slo_class": found.class_,
        "slo_app": found.app,
        "slo_result": event.result,
    }
    metadata = {name: value or "" for name, value in (event.metadata or {}).items()}
    return metadata | {name: value for name, value in own.items() if value is not None}


def _quantity(found: float | str | None) -> float:
    """One if nothing is said. A number, though the documentation's example has it as text."""
    if found is None:
        return 1
    quantity = number_of(found) if isinstance(found, str) else found
    if quantity is None:
        raise Unusable("bad_value", "quantity: the text is not a number")
    return quantity
