"""By what an event is known again: its `id` in the native format, its source and id in CloudEvents.

The bytes and headers of a record alone decide, never whether it could be counted: that hangs on the clock and the
definitions of the time, which nobody knows who reads the record again later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Final

import msgspec

from consumers.formats.choice import Format
from consumers.formats.cloudevents import JSON_TYPES, MEDIA_TYPE, PREFIX, content_type

Headers = Sequence[tuple[str, bytes]]
Identities = Callable[[bytes, Headers], Sequence[Hashable | None]]
"""What a record's events are known by, one each, None where an event says nothing. Empty: no events that have ids, or not
all of them are of one kind. Never raises.
"""


def identities(form: Format) -> Identities:
    """For topics of this format, one of `choice.IDENTIFIED`."""
    return {"native": _native, "cloudevents": _cloudevents}.get(form, _either)


def without(value: bytes, dropped: Collection[int]) -> bytes:
    """The record without some of its several events, by their places. They are those that `identities` found."""
    array = value.lstrip(_SPACE).startswith(b"[")
    events = _DECODE_RAW(value) if array else [line for line in value.split(b"\n") if line.strip(_SPACE)]
    kept = [bytes(each) for place, each in enumerate(events) if place not in dropped]
    return b"[" + b",".join(kept) + b"]" if array else b"\n".join(kept)


# ------------------------------------------------------------------------------------------------------------ reading


class _Event(msgspec.Struct, gc=False):
    """The fields that tell who an event is. Nothing else is built."""

    event_id: Any = msgspec.field(default=None, name="id")
    source: Any = None
    metric: Any = None
    specversion: Any = None


_SPACE: Final = b" \t\r\n"
_DECODE: Final = msgspec.json.Decoder(_Event).decode
_DECODE_LINES: Final = msgspec.json.Decoder(_Event).decode_lines
_DECODE_ARRAY: Final = msgspec.json.Decoder(list[_Event]).decode
_DECODE_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_REFUSED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _events(value: bytes) -> Sequence[_Event]:
    try:
        return (_DECODE(value),)
    except _REFUSED:
        return _several(value)


def _several(value: bytes) -> Sequence[_Event]:
    decode = _DECODE_ARRAY if value.lstrip(_SPACE).startswith(b"[") else _DECODE_LINES
    try:
        return decode(value)
    except _REFUSED:
        return ()


def _native(value: bytes, _: Headers) -> Sequence[Hashable | None]:
    try:
        event = _DECODE(value)  # the usual record, in few steps
    except _REFUSED:
        return _natives(_several(value))
    return (_text(event.event_id),) if isinstance(event.metric, str) else ()


def _natives(events: Sequence[_Event]) -> Sequence[Hashable | None]:
    if not all(isinstance(each.metric, str) for each in events):
        return ()
    return [_text(each.event_id) for each in events]


def _text(found: object) -> str | None:
    """Emitters number their events, or name them: a number is as good as its digits."""
    if type(found) is str:
        return found or None
    return str(found) if type(found) is int else None


def _cloudevents(value: bytes, headers: Headers) -> Sequence[Hashable | None]:
    if headers:
        named = dict(headers)
        declared = content_type(named.get("content-type"))
        if declared.startswith(MEDIA_TYPE):
            if declared not in JSON_TYPES:
                return ()
        elif any(name.startswith(PREFIX) for name in named):
            return _binary(named)
    return _structured(_events(value))


def _binary(headers: Mapping[str, bytes]) -> Sequence[Hashable | None]:
    try:
        source, event_id = (headers.get(f"{PREFIX}{name}", b"").decode() for name in ("source", "id"))
    except UnicodeDecodeError:
        return ()
    return [_pair(source, event_id)]


def _structured(events: Sequence[_Event]) -> Sequence[Hashable | None]:
    if any(each.specversion is None for each in events):
        return ()
    return [_pair(each.source, each.event_id) for each in events]


def _pair(source: object, event_id: object) -> Hashable | None:
    if isinstance(source, str) and isinstance(event_id, str) and source and event_id:
        return source, event_id
    return None


def _either(value: bytes, headers: Headers) -> Sequence[Hashable | None]:
    """As `recognition` tells them apart: by headers, then by the first event."""
    if headers:
        named = dict(headers)
        if "ce_specversion" in named or content_type(named.get("content-type")).startswith(MEDIA_TYPE):
            return _cloudevents(value, headers)
    try:
        event = _DECODE(value)
    except _REFUSED:
        events = _several(value)
        native = bool(events) and isinstance(events[0].metric, str)
        return _natives(events) if native else _structured(events)
    return (_text(event.event_id),) if isinstance(event.metric, str) else _structured((event,))
