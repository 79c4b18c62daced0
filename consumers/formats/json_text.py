"""JSON of emitters that are not ours, decoded to what their format declares; why it cannot be, in words."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from consumers.formats.unusable import Unusable

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], value: bytes) -> T:
    """Raises Unusable (empty, not_utf8, too_deep, bad_value with the place, not_json)."""
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, value) from error


def lines_decoded(decoder: msgspec.json.Decoder[T], value: bytes) -> list[T]:
    """One a line; blank lines are none. Raises Unusable as above."""
    try:
        found: list[Any] = decoder.decode_lines(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, value) from error
    if not found:
        raise Unusable("empty", "the record is empty")
    return found


def refusal(error: Exception, value: bytes) -> Unusable:
    """What is wrong, without anything of the payload."""
    if not value.strip():
        return Unusable("empty", "the record is empty")
    if isinstance(error, RecursionError):
        return Unusable("too_deep", "the JSON is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Unusable("not_utf8", f"byte {error.start} is not UTF-8")
    if isinstance(error, msgspec.ValidationError):
        return Unusable("bad_value", f"the record does not have the format's shape{_place(error)}")
    return Unusable("not_json", "the record is not JSON")


def _place(error: msgspec.ValidationError) -> str:
    """The path that the library gives. It holds declared names alone: keys of maps are `[...]`."""
    _, found, place = str(error).rpartition(" - at `$")
    return f": see {place.removeprefix('.').rstrip('`')}" if found else ""
