"""Which format a record is in, by its headers or its shape. What nothing speaks for is taken to be native.

A guess that is cheap: of JSON the first object's own fields are looked at, of lines the first. Whether the record is a
good one of its format, its reader says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from consumers.formats.avro import MAGIC
from consumers.formats.cloudevents import MEDIA_TYPE, content_type

_ABSENT: Final = msgspec.Raw(b"")


class _Shape(msgspec.Struct, gc=False):
    """The fields that tell formats apart, each as its JSON text, empty where it is absent. Nothing else is built."""

    metric: msgspec.Raw = _ABSENT
    metrics: msgspec.Raw = _ABSENT
    name: msgspec.Raw = _ABSENT
    fields: msgspec.Raw = _ABSENT
    labels: msgspec.Raw = _ABSENT
    value: msgspec.Raw = _ABSENT
    timestamp: msgspec.Raw = _ABSENT
    kind: msgspec.Raw = _ABSENT
    counter: msgspec.Raw = _ABSENT
    gauge: msgspec.Raw = _ABSENT
    set: msgspec.Raw = _ABSENT
    distribution: msgspec.Raw = _ABSENT
    aggregated_histogram: msgspec.Raw = _ABSENT
    aggregated_summary: msgspec.Raw = _ABSENT
    sketch: msgspec.Raw = _ABSENT
    resource_metrics_camel: msgspec.Raw = msgspec.field(default=_ABSENT, name="resourceMetrics")
    resource_metrics: msgspec.Raw = _ABSENT
    specversion: msgspec.Raw = _ABSENT
    itemid: msgspec.Raw = _ABSENT
    eventid: msgspec.Raw = _ABSENT
    clock: msgspec.Raw = _ABSENT
    metadata: msgspec.Raw = _ABSENT
    slo_classification: msgspec.Raw = _ABSENT
    result: msgspec.Raw = _ABSENT


def recognised(value: bytes, headers: Mapping[str, bytes]) -> str | None:
    """The name of the format; None: native, or nothing that is known. Never raises."""
    return (_by_headers(headers) if headers else None) or _by_shape(value)


def _by_headers(headers: Mapping[str, bytes]) -> str | None:
    declared = content_type(headers.get("content-type"))
    if "ce_specversion" in headers or declared.startswith(MEDIA_TYPE):
        return "cloudevents"
    if "slo-exporter-schema-version" in headers:
        return "slo_exporter"
    return "otlp_proto" if declared in _PROTOBUF else None


_PROTOBUF: Final = (b"application/x-protobuf", b"application/protobuf")
_JSON: Final = re.compile(rb"[ \t\r\n]*+([\[{])")


def _by_shape(value: bytes) -> str | None:
    start = _JSON.match(value)
    if start is not None:
        return _of_json(value, start.start(1))
    if value[:1] == MAGIC:
        return "avro"
    if _is_otlp(value):
        return "otlp_proto"
    line = _FIRST_LINE.search(value)
    if line is None:
        return None
    if _STATSD.match(value, line.end()):
        return "statsd"
    return "influx" if _INFLUX.match(value, line.end()) else None


# -------------------------------------------------------------------------------------------------------------- JSON


_DECODE: Final = msgspec.json.Decoder(_Shape).decode
_DECODE_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _of_json(value: bytes, start: int) -> str | None:
    if value[start] == ord("["):
        shape = _first_of_array(value)
    else:
        shape = _decoded(value) or _decoded(value[start:].partition(b"\n")[0])  # one object, or one a line
    return None if shape is None else _named(shape)


def _first_of_array(value: bytes) -> _Shape | None:
    try:
        elements = _DECODE_ARRAY(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _decoded(elements[0]) if elements else None


def _decoded(value: bytes | msgspec.Raw) -> _Shape | None:
    try:
        return _DECODE(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _named(found: _Shape) -> str | None:
    if bytes(found.metric)[:1] == b'"':
        return None  # a native event, whatever else is in it
    return next((form for form, is_such in _FORMS if is_such(found)), None)


def _is_vector(found: _Shape) -> bool:
    """A metric of Vector's codec `native_json`, or of `json`: a kind, and a value under the name of its type."""
    if bytes(found.metric)[:1] == b"{":
        return True
    if bytes(found.kind) not in (b'"incremental"', b'"absolute"'):
        return False
    values = (found.counter, found.gauge, found.set, found.distribution, found.sketch)
    return any(values) or bool(found.aggregated_histogram or found.aggregated_summary)


def _is_telegraf(found: _Shape) -> bool:
    """One metric, or a batch of them."""
    if found.name and bytes(found.fields)[:1] == b"{":
        return True
    return bytes(found.metrics)[:1] == b"["


_FORMS: Final[tuple[tuple[str, Callable[[_Shape], bool]], ...]] = (
    ("otlp_json", lambda found: bool(found.resource_metrics_camel or found.resource_metrics)),
    ("cloudevents", lambda found: bool(found.specversion)),
    ("vector", _is_vector),
    ("telegraf_json", _is_telegraf),
    ("prometheus", lambda found: all((found.labels, found.name, found.value, found.timestamp))),
    ("zabbix", lambda found: bool(found.clock and (found.itemid or found.eventid))),
    ("slo_exporter", lambda found: bool(found.metadata and (found.slo_classification or found.result))),
)

# ---------------------------------------------------------------------------------------------------------- protobuf


_MESSAGE: Final = 0x0A  # field 1, of a known length: in either message these are the ResourceMetrics
_INSIDE: Final = (0x0A, 0x12, 0x1A)  # each begins with its resource, scope_metrics or schema_url
_LOOKED_AT: Final = 1_000  # messages; what is right so far is taken to be right to the end
_LONGEST_VARINT: Final = 5


def _is_otlp(value: bytes) -> bool:
    """Field 1 again and again, to the end exactly. 0x0A is a new line too, but no text goes on as a message does."""
    place, end = 0, len(value)
    for _ in range(_LOOKED_AT):
        if place == end or value[place] != _MESSAGE:
            break
        inside, length = _varint(value, place + 1)
        place = inside + length
        if place > end or (length and value[inside] not in _INSIDE):
            return False
    else:
        place = end
    return place == end > 0 and not value.isspace()


def _varint(value: bytes, place: int) -> tuple[int, int]:
    """(where it ends, its number); far too large a number where there is none."""
    number = 0
    for index, byte in enumerate(value[place : place + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # its last byte
            return place + index + 1, number
    return place, len(value)


# ------------------------------------------------------------------------------------------------------------- lines


# Every repetition is possessive and every alternative begins with other bytes: no text is gone through twice.
_FIRST_LINE: Final = re.compile(rb"^[ \t\r]*+(?=[^ \t\r\n#])", re.MULTILINE)
_STATSD: Final = re.compile(rb"_sc\||_e\{|[^:|\s\x00-\x1f]++:[^|\s\x00-\x1f]++\|(?:ms|c|g|h|d|s)(?=[|\s]|\Z)")

_NAME: Final = rb"(?:[^,\s\\\x00-\x1f]++|\\.)++"
_KEY: Final = rb"(?:[^,=\s\\\x00-\x1f]++|\\.)++"
_NUMBER: Final = rb"[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+[iu]?+"
_BOOLEAN: Final = rb"(?:[tT]|[fF]|true|True|TRUE|false|False|FALSE)"
_INFLUX: Final = re.compile(
    rb"%b(?:,%b=%b)*+ ++%b=(?:\"|(?:%b|%b)(?=[,\s]|\Z))" % (_NAME, _KEY, _KEY, _KEY, _NUMBER, _BOOLEAN)
)
"""A line's measurement, tags and first field. What comes after that is for the reader to judge."""
