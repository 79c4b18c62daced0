"""JSON objects of other emitters: one a record, an array of them, or one a line; and what is none of these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from consumers.formats import native
from consumers.formats.objects import Objects, number_of
from consumers.formats.samples import Payload, Sample, gauge
from consumers.formats.series import Series
from consumers.formats.unusable import Unusable
from tests.consumers.formats.readers import payload


class Inner(msgspec.Struct):
    size: int


class Thing(msgspec.Struct):
    n: int
    text: str | None = None
    inner: Inner | None = None
    map: dict[str, int] | None = None


OBJECTS = Objects(
    msgspec.json.Decoder(Thing), msgspec.json.Decoder(list[Thing]), {"text": "bad_labels", "inner": "bad_count"}
)


def numbers(value: bytes) -> list[int]:
    return [each.n for each in OBJECTS.decoded(value)]


def refused(value: bytes) -> tuple[str, str]:
    with pytest.raises(Unusable) as error:
        OBJECTS.decoded(value)
    return error.value.code, error.value.reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"n": 1}', [1]),
        (b' \r\n{"n":\n1}\n', [1]),
        (b'[{"n": 1}, {"n": 2}]', [1, 2]),
        (b"\n []", []),
        (b'{"n": 1}\n{"n": 2}', [1, 2]),
        (b'{"n": 1}\r\n\r\n \n{"n": 2}\r\n', [1, 2]),
        (b'{"n": 1, "other": [{}]}', [1]),
    ],
)
def test_a_record_holds_an_object_or_an_array_or_one_a_line(value: bytes, expected: list[int]) -> None:
    """In the order in which they come; fields that nobody declared may hold anything."""
    assert numbers(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" \n", ("empty", "the record is empty")),
        (b"nonsense", ("not_json", "the record is not JSON")),
        (b'{"n": 1', ("not_json", "the record is not JSON")),
        (b'{"n": NaN}', ("not_json", "the record is not JSON")),
        (b'{"n": 1}\n{"n":', ("not_json", "line 2: the record is not JSON")),
        (b'{"n": 1}\n\n{"n": "x"}', ("bad_value", "line 3: n: expected int, got str")),
        (b'[{"n": 1},\n{"n": "x"}]', ("bad_value", "[1].n: expected int, got str")),
        (b'{"n": 1}\n[{"n": 1}]', ("not_an_object", "line 2: the record: expected object, got array")),
        (b'{"n":\n"x"}\n', ("bad_value", "n: expected int, got str")),
        (b'[{"n": 1}, {"n": "x"}]', ("bad_value", "[1].n: expected int, got str")),
        (b"[1]", ("not_an_object", "[0]: expected object, got int")),
        (b'"n"', ("not_an_object", "the record: expected object, got str")),
        (b"{}", ("missing_value", "the record: it has no n")),
        (b'{"n": 1, "inner": {}}', ("missing_value", "inner: it has no size")),
        (b'{"n": 1, "text": 5}', ("bad_labels", "text: expected str | null, got int")),
        (b'{"n": 1, "inner": {"size": "x"}}', ("bad_count", "inner.size: expected int, got str")),
        (b'{"n": 1, "map": {"secret": "x"}}', ("bad_value", "map[...]: expected int, got str")),
        (b'{"n": 1, "text": "\xff"}', ("not_utf8", "a text is not UTF-8")),
        (b'{"n": 1, "other": ' + b"[" * 100_000, ("too_deep", "the JSON is nested too deeply")),
    ],
)
def test_what_is_wrong_is_said_by_a_code_and_its_place(value: bytes, expected: tuple[str, str]) -> None:
    """Names that the format declares, never text of the payload."""
    assert refused(value) == expected


def test_a_record_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a native one is."""
    monkeypatch.setattr(native, "LARGEST_VALUE", 8)

    assert numbers(b'{"n": 1}') == [1]
    assert refused(b'{"n": 1} ')[0] == "too_large"


def positive(thing: Thing, record: Payload) -> Sequence[Sample]:
    """One sample a thing, none for zero."""
    if thing.n < 0:
        raise Unusable("bad_count", "n is negative")
    return [gauge(Series("n", {}), record.time_us, thing.n)] if thing.n else ()


def test_samples_are_those_of_every_object() -> None:
    """However many each of them has."""
    found = OBJECTS.samples(payload('[{"n": 1}, {"n": 0}, {"n": 2}]'), positive)

    assert [each.value for each in found] == [1, 2]


@pytest.mark.parametrize(
    ("value", "reason"), [('{"n": -1}', "n is negative"), ('{"n": 1}\n{"n": -1}', "object 2: n is negative")]
)
def test_of_several_objects_the_reason_says_which(value: str, reason: str) -> None:
    """And a record counts whole or not at all."""
    with pytest.raises(Unusable) as error:
        OBJECTS.samples(payload(value), positive)
    assert (error.value.code, error.value.reason) == ("bad_count", reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("-1.5", -1.5),
        ("+2.", 2.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("9876543210", 9876543210.0),
        ("+Inf", math.inf),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
        ("1e999", math.inf),
    ],
)
def test_numbers_as_text_are_read_as_go_and_rust_write_them(text: str, expected: float) -> None:
    """Infinities among them."""
    assert number_of(text) == expected


def test_text_that_says_it_is_no_number_is_nan() -> None:
    """That is a number, as far as writing goes."""
    assert math.isnan(number_of("NaN") or 0)


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_000", "0x10", "one", "1e", "--1", "1\n", "٣", ".", "1,5"])
def test_text_that_is_no_number_is_none(text: str) -> None:
    """Python would take some of these."""
    assert number_of(text) is None


def test_any_struct_will_do() -> None:
    """The decoders are the format's own."""

    class Other(msgspec.Struct):
        anything: Any = None

    other = Objects(msgspec.json.Decoder(Other), msgspec.json.Decoder(list[Other]), {})

    assert [each.anything for each in other.decoded(b'[{"anything": 1}, {}]')] == [1, None]
