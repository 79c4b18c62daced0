"""A reader for each format, and one that tells by itself which it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from consumers.formats import native
from consumers.formats.avro import Avro, SchemaById, no_registry, within_an_event
from consumers.formats.choice import Format
from consumers.formats.cloudevents import CloudEvents
from consumers.formats.influx import Influx
from consumers.formats.otlp import OtlpJson, OtlpProto
from consumers.formats.prometheus import Prometheus
from consumers.formats.recognition import recognised
from consumers.formats.samples import Payload, Sample
from consumers.formats.slo_exporter import SloExporter
from consumers.formats.statsd import StatsD
from consumers.formats.telegraf import Telegraf
from consumers.formats.vector import Vector
from consumers.formats.zabbix import Zabbix


class Reader(Protocol):
    """Reads records of one format. One for each partition: it may remember what it has seen, within bounds."""

    def read(self, payload: Payload) -> Sequence[Sample] | None:
        """Every sample of a record; None: it is for the native format to read, or to say what is wrong with it.
        Raises Unusable: then nothing of the record counts.
        """
        ...


def reader(form: Format, schemas: SchemaById = no_registry) -> Reader | None:
    """A new reader; None: the native format, which ingest reads by itself."""
    if form == "native":
        return None
    return Recognising(schemas) if form == "auto" else _made(form, schemas)


def samples_of(form: Format, payload: Payload, schemas: SchemaById = no_registry) -> Sequence[Sample]:
    """What a record of a topic of this format holds, once. Raises Unusable."""
    chosen = reader(form, schemas)
    found = chosen.read(payload) if chosen is not None else None
    return _native(payload) if found is None else found


class Recognising:
    """Reads each record in the format that its headers or its shape show."""

    def __init__(self, schemas: SchemaById) -> None:
        self._schemas = schemas
        self._readers: dict[str, Reader] = {}

    def read(self, payload: Payload) -> Sequence[Sample] | None:
        """None where nothing is recognised."""
        form = recognised(payload.value, payload.headers)
        if form is None:
            return None
        known = self._readers.get(form)
        if known is None:
            known = self._readers[form] = _made(form, self._schemas)
        return known.read(payload)


class Whatever:
    """Reads data that some envelope holds: in a format that is recognised, else as native events."""

    def __init__(self) -> None:
        self._recognising = Recognising(within_an_event)

    def __call__(self, payload: Payload) -> Sequence[Sample]:
        found = self._recognising.read(payload)
        return _native(payload) if found is None else found


def _made(form: str, schemas: SchemaById) -> Reader:
    return Avro(schemas) if form == "avro" else _READERS[form]()


def _native(payload: Payload) -> Sequence[Sample]:
    return native.read(payload.value, record_time_us=payload.time_us, bounds=None, event_times=payload.times)


_READERS: Final[Mapping[str, Callable[[], Reader]]] = {
    "cloudevents": lambda: CloudEvents(Whatever()),
    "otlp_proto": OtlpProto,
    "otlp_json": OtlpJson,
    "telegraf_json": Telegraf,
    "influx": Influx,
    "prometheus": Prometheus,
    "vector": Vector,
    "zabbix": Zabbix,
    "statsd": StatsD,
    "slo_exporter": SloExporter,
}
