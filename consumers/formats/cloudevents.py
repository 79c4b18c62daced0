"""CloudEvents over Kafka: an envelope, whose data is a record of any other format.

Specified in cloudevents/spec: the Kafka protocol binding 1.0 (binary mode, in headers; structured mode, in the value),
and the JSON event format 1.0 with its batches.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable

MEDIA_TYPE: Final = b"application/cloudevents"
"""What the content type begins with where the value is the whole event (structured mode)."""

PREFIX: Final = "ce_"
REQUIRED: Final = ("specversion", "id", "source", "type")

JSON_TYPES: Final = (MEDIA_TYPE, MEDIA_TYPE + b"+json", MEDIA_TYPE + b"-batch", MEDIA_TYPE + b"-batch+json")


class _Event(msgspec.Struct, gc=False):
    """The JSON event format. The data is not looked into: whoever reads it parses it."""

    specversion: Any = None
    event_id: Any = msgspec.field(default=None, name="id")
    source: Any = None
    event_type: Any = msgspec.field(default=None, name="type")
    time: Any = None
    datacontenttype: Any = None
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: Any = None


class _DataHeaders(dict[str, bytes]):
    """Headers of what is inside an event. A reader that is given them knows that it is within one."""


class CloudEvents:
    """Reads one event a record, or a batch. `inner` reads the data; it raises Unusable where it cannot."""

    def __init__(self, inner: Callable[[Payload], Sequence[Sample]]) -> None:
        self._inner = inner

    def read(self, payload: Payload) -> Sequence[Sample]:
        """The data's samples. What has no time of its own has the event's, else the record's. Raises Unusable."""
        headers = payload.headers
        if isinstance(headers, _DataHeaders):
            raise Unusable("unsupported_kind", "a CloudEvent within a CloudEvent is not read")
        declared = content_type(headers.get("content-type"))
        if declared.startswith(MEDIA_TYPE):
            if declared not in JSON_TYPES:
                raise Unusable("unsupported_kind", "CloudEvents in event formats other than JSON are not read")
        elif any(name.startswith(PREFIX) for name in headers):
            return self._inner(_of_headers(payload))
        return self._structured(payload)

    def _structured(self, payload: Payload) -> Sequence[Sample]:
        found = _decoded(payload.value)
        if isinstance(found, _Event):
            return self._inner(_of_event(found, payload))
        samples: list[Sample] = []
        for number, event in enumerate(found):
            try:
                samples += self._inner(_of_event(event, payload))
            except Unusable as error:
                raise Unusable(error.code, f"event {number}: {error.reason}") from error
        return samples


def content_type(header: bytes | None) -> bytes:
    """A media type without its parameters, in lower case; empty where there is none."""
    return (header or b"").partition(b";")[0].strip().lower()


# ------------------------------------------------------------------------------------------------------- binary mode


def _of_headers(payload: Payload) -> Payload:
    headers = payload.headers
    for name in REQUIRED:
        if not headers.get(PREFIX + name):
            raise Unusable("missing_value", f"the CloudEvent has no {PREFIX}{name}")
    _check_version(_header_text(headers["ce_specversion"], "ce_specversion"))
    time = headers.get("ce_time")
    if not payload.value.strip():
        raise Unusable("missing_value", "the CloudEvent has no data")
    return Payload(
        payload.value,
        _time_us(_header_text(time, "ce_time") if time else None, payload),
        payload.times,
        _DataHeaders((name, value) for name, value in headers.items() if not name.startswith(PREFIX)),
    )


def _header_text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", f"the header {name} is not UTF-8") from error


# --------------------------------------------------------------------------------------------------- structured mode


_DECODE: Final = msgspec.json.Decoder(_Event | list[_Event]).decode
_DECODE_TEXT: Final = msgspec.json.Decoder(str).decode


def _decoded(value: bytes) -> _Event | list[_Event]:
    if not value.strip():
        raise Unusable("empty", "the record is empty")
    try:
        return _DECODE(value)
    except RecursionError as error:
        raise Unusable("too_deep", "the JSON is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", "the CloudEvent is not UTF-8") from error
    except msgspec.ValidationError as error:
        raise Unusable("not_an_object", "a CloudEvent is not a JSON object") from error
    except msgspec.DecodeError as error:
        raise Unusable("not_json", "the CloudEvent is not JSON") from error


def _of_event(event: _Event, payload: Payload) -> Payload:
    attributes = (event.specversion, event.event_id, event.source, event.event_type)
    for name, found in zip(REQUIRED, attributes, strict=True):
        if not _text(name, found):
            raise Unusable("missing_value", f"the CloudEvent has no {name}")
    _check_version(event.specversion)
    kind = _text("datacontenttype", event.datacontenttype)
    headers = _DataHeaders({"content-type": kind.encode()} if kind else {})
    return Payload(_data(event), _time_us(event.time, payload), payload.times, headers)


def _text(name: str, found: object) -> str:
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Unusable("bad_value", f"the CloudEvent's {name} is not a string")
    return found


def _data(event: _Event) -> bytes:
    """The data as bytes. A JSON string stands for what is in it: no format is a string alone."""
    data = bytes(event.data)
    if data == b"null":
        data = b""
    if event.data_base64 is not None:
        if data:
            raise Unusable("bad_value", "the CloudEvent has data and data_base64")
        data = _of_base64(_text("data_base64", event.data_base64))
    elif data.startswith(b'"'):
        data = _of_string(data)
    if not data.strip():
        raise Unusable("missing_value", "the CloudEvent has no data")
    return data


def _of_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Unusable("bad_value", "the CloudEvent's data_base64 is not base64") from error


def _of_string(data: bytes) -> bytes:
    try:
        return _DECODE_TEXT(data).encode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable("not_utf8", "the CloudEvent's data is no text") from error


# --------------------------------------------------------------------------------------------------------- both modes


def _check_version(version: str) -> None:
    if not version.startswith("1."):
        raise Unusable("unsupported_kind", "the CloudEvent's specversion is not 1.x")


def _time_us(found: object, payload: Payload) -> int:
    """The event's time, else the record's, which may be negative: the data may have its own."""
    if found is None:
        return payload.time_us
    if not isinstance(found, str):
        raise Unusable("bad_time", "the CloudEvent's time is not RFC 3339 text")
    return max(0, payload.times.of_text(found))  # before 1970 is too early, not missing
