"""Records of emitters that write JSON objects: one a record, an array of them, or one a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from consumers.formats import native
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Code, Unusable

Form = TypeVar("Form")
"""What an object is decoded to: a struct that declares the fields which the format uses."""

_DECODING: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ARRAY: Final = re.compile(rb"[ \t\r\n]*+\[")
_DECLARED: Final = re.compile(r"\.(\w+)")
_NUMBER: Final = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?:Inf|Infinity)|NaN", re.IGNORECASE
)


class Objects(Generic[Form]):
    """Objects of one format. `codes` are those of fields that are not what they should be, where it is not bad_value."""

    def __init__(
        self, one: msgspec.json.Decoder[Form], many: msgspec.json.Decoder[list[Form]], codes: Mapping[str, Code]
    ) -> None:
        self._one = one
        self._many = many
        self._codes = codes

    def samples(self, payload: Payload, of: Callable[[Form, Payload], Iterable[Sample]]) -> list[Sample]:
        """Those of every object. Raises Unusable: of more than one object the reason says which it was."""
        found = self.decoded(payload.value)
        if len(found) == 1:
            return list(of(found[0], payload))
        samples: list[Sample] = []
        for number, each in enumerate(found, 1):
            try:
                samples.extend(of(each, payload))
            except Unusable as error:
                raise Unusable(error.code, f"object {number}: {error.reason}") from error
        return samples

    def decoded(self, value: bytes) -> list[Form]:
        """Raises Unusable (empty, too_large, too_deep, not_utf8, not_json, not_an_object, missing_value, and `codes`)."""
        if not value.strip():
            raise Unusable("empty", "the record is empty")
        if len(value) > native.LARGEST_VALUE:
            raise Unusable("too_large", f"the record is larger than {native.LARGEST_VALUE:,} bytes")
        try:
            if _ARRAY.match(value):
                return self._many.decode(value)
            return self._one_or_lines(value)
        except _DECODING as error:
            raise self._refusal(error) from error

    def converted(self, fields: Mapping[str, object]) -> Form:
        """An object that came in another encoding. Raises Unusable (missing_value, bad_value, and `codes`)."""
        try:
            return msgspec.convert(fields, self._one.type)
        except msgspec.ValidationError as error:
            raise self._misshapen(str(error)) from error

    def _one_or_lines(self, value: bytes) -> list[Form]:
        try:
            return [self._one.decode(value)]
        except msgspec.ValidationError:  # of the first object, whatever comes after it
            raise
        except msgspec.DecodeError:
            if b"\n" not in value.strip():
                raise
        return list(self._lines(value))

    def _lines(self, value: bytes) -> Iterator[Form]:
        for number, line in enumerate(value.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                yield self._one.decode(line)
            except _DECODING as error:
                refusal = self._refusal(error)
                raise Unusable(refusal.code, f"line {number}: {refusal.reason}") from error

    def _refusal(self, error: Exception) -> Unusable:
        if isinstance(error, RecursionError):
            return Unusable("too_deep", "the JSON is nested too deeply")
        if isinstance(error, UnicodeDecodeError):
            return Unusable("not_utf8", "a text is not UTF-8")
        if isinstance(error, msgspec.ValidationError):
            return self._misshapen(str(error))
        return Unusable("not_json", "the record is not JSON")

    def _misshapen(self, said: str) -> Unusable:
        """In the library's words: they hold types and declared names, never text of the payload (`[...]` are its keys)."""
        what, _, place = said.replace("Object missing required field", "it has no").partition(" - at `$")
        place = place.removeprefix(".").rstrip("`")
        names = _DECLARED.findall(f".{place}")
        code: Code = "bad_value" if names else "not_an_object"
        for name in names:
            code = self._codes.get(name, code)
        if what.startswith("it has no"):
            code = "missing_value"
        return Unusable(code, f"{place or 'the record'}: {what.replace('`', '').replace('Expected', 'expected')}")


def number_of(text: str) -> float | None:
    """A number written as text, NaN and infinities among them; None: it is none."""
    return float(text) if _NUMBER.fullmatch(text) else None
