"""Avro: what becomes samples, what is refused, and that a body never costs more than its schema lets it."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.avro import Avro, no_registry
from consumers.formats.avro_schema import MOST_MEMORY, Schema
from consumers.formats.catalogue import Whatever, samples_of
from consumers.formats.native import LARGEST_VALUE
from consumers.formats.samples import Sample
from consumers.formats.unusable import Unusable
from tests.consumers.formats.avro_records import (
    ADAPTER,
    ADAPTER_ID,
    BATCH_ID,
    EVENT,
    EVENT_ID,
    SCHEMAS,
    body,
    event,
    framed,
    known,
    sample,
    written,
)
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

AT = "2025-11-23T12:13:20Z"
AT_US = payload(b"").times.of_text(AT)


def schema(found: Any) -> Schema:
    return Schema.of([json.dumps(found)])


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    """A record type with these types of fields, named by their place."""
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{place}", "type": each} for place, each in enumerate(fields)],
    }


def reason(*texts: Any) -> Unusable:
    """Why a schema cannot be read by."""
    with pytest.raises(Unusable) as refused:
        Schema.of([each if isinstance(each, str) else json.dumps(each) for each in texts])
    return refused.value


# ----------------------------------------------------------------------------------------------------------- samples


def test_what_prometheus_kafka_adapter_writes_is_read_as_its_json_is() -> None:
    """By the schema that it ships."""
    value = written(ADAPTER_ID, sample(AT, instance="a:9090", empty=""))

    assert told(samples(Avro(known), value)) == [("latency", {"instance": "a:9090"}, AT_US, 1, 0.25)]


def test_not_a_number_is_no_value() -> None:
    """It marks a series that has gone."""
    assert samples(Avro(known), written(ADAPTER_ID, sample(AT, value="NaN"))) == []


def test_a_native_event_may_be_in_avro() -> None:
    """Optional fields are unions with null, times have logical types, labels are a record: all as one expects."""
    value = written(
        EVENT_ID,
        event(
            time=AT_US // 1_000, service="checkout", count=3, payload=b"\xff", labels={"route": "/pay", "status": 200}
        ),
    )

    labels = {"route": "/pay", "status": "200", "service": "checkout"}
    assert told(samples(Avro(known), value)) == [("latency", labels, AT_US, 3, 0.25)]


def test_null_is_as_good_as_missing() -> None:
    """Time, value, labels."""
    assert told(samples(Avro(known), written(EVENT_ID, event(value=None)))) == [("latency", {}, RECORD_US, 1, 1.0)]


def test_an_array_holds_several_events() -> None:
    """In their order."""
    value = written(BATCH_ID, [event(value=1.0), event(kind="delta", value=2.0)])

    assert [(each.weight, each.value) for each in samples(Avro(known), value)] == [(1, 1.0), (2, None)]


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (b"", "empty", "empty"),
        (b"\0\0\0\0", "not_avro", "does not begin with"),
        (b"{}    ", "not_avro", "does not begin with"),
        (framed(9, b""), "unknown_schema", ""),
        (framed(ADAPTER_ID, b""), "not_avro", "not what its schema says"),
        (framed(ADAPTER_ID, b"\x02\xff"), "not_utf8", "not UTF-8"),
        (framed(ADAPTER_ID, b"\x01" * 30), "not_avro", "not what its schema says"),
        (framed(ADAPTER_ID, b"\xff" * 30), "not_avro", "not what its schema says"),
        (written(ADAPTER_ID, sample(AT)) + b"\0", "not_avro", "goes on after"),
        (written(ADAPTER_ID, sample(AT, value="much")), "bad_value", "not a number"),
        (written(ADAPTER_ID, sample("today")), "bad_time", ""),
        (written(ADAPTER_ID, sample(AT, name="")), "missing_metric", ""),
        (written(EVENT_ID, event(metric="")), "missing_metric", ""),
        (written(EVENT_ID, event(value=float("nan"))), "bad_value", "finite"),
        (written(BATCH_ID, [event(), event(count=-1)]), "bad_count", "record 2: "),
        (framed(BATCH_ID, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" + b"\0" * 9), "not_avro", ""),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(value: bytes, code: str, said: str) -> None:
    """By a code, and a reason without the payload."""
    refused = refusal(Avro(known), value)

    assert refused.code == code
    assert said in refused.reason


def test_fields_of_the_wrong_type_are_named() -> None:
    """By the name that the format has for them."""
    wrong = {**ADAPTER, "fields": [{"name": "name", "type": "long"}, {"name": "value", "type": "string"}]}
    refused = refusal(Avro(lambda _: schema(wrong)), framed(1, body(wrong, {"name": 7, "value": "1"})))

    assert (refused.code, refused.reason) == ("bad_metric", "name: expected str | null, got int")


def test_a_time_may_be_a_number_in_any_unit() -> None:
    """Logical types say which; its size does so as well."""
    found = {
        "type": "record",
        "name": "E",
        "fields": [
            {"name": "metric", "type": "string"},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    (read,) = samples(Avro(lambda _: schema(found)), framed(1, body(found, {"metric": "m", "time": AT_US})))

    assert read.time_us == AT_US


def test_a_record_beyond_the_bound_of_all_formats_is_refused() -> None:
    """Before its schema is looked up."""
    assert refusal(Avro(no_registry), framed(9, bytes(LARGEST_VALUE))).code == "too_large"


@pytest.mark.parametrize("found", ["string", ["null", EVENT], record("int")])
def test_what_is_no_event_is_refused(found: Any) -> None:
    """Whatever a schema may describe."""
    value = "text" if found == "string" else None if isinstance(found, list) else {"f0": 1}

    refused = refusal(Avro(lambda _: schema(found)), framed(1, body(found, value)))
    assert refused.code == ("missing_metric" if isinstance(value, dict) else "not_an_object")


@pytest.mark.parametrize("form", ["auto", "avro"])
def test_without_a_registry_the_setting_is_named(form: Any) -> None:
    """Somebody has to be told what is missing."""
    with pytest.raises(Unusable, match=r"no_registry: .*UPHELD_SCHEMA_REGISTRY_URL"):
        samples_of(form, payload(written(EVENT_ID, event())))
    with pytest.raises(Unusable, match="no_registry"):
        no_registry(1)


def test_avro_within_a_cloudevent_is_refused() -> None:
    """Nobody looks for ids of schemas there."""
    with pytest.raises(Unusable, match="within a CloudEvent"):
        Whatever()(payload(written(EVENT_ID, event())))


# ----------------------------------------------------------------------------------------------------------- schemas


def test_a_schema_may_refer_to_others() -> None:
    """Their names are found in the namespace that they are used in, or in full; a type is used twice."""
    kind = {"type": "enum", "namespace": "a.b", "name": "Kind", "symbols": ["event"]}
    labels = {"type": "record", "name": "a.c.Labels", "fields": [{"name": "kind", "type": "a.b.Kind"}]}
    main = {
        "type": "record",
        "namespace": "a.c",
        "name": "Event",
        "fields": [
            {"name": "metric", "type": "string"},
            {"name": "labels", "type": "Labels"},
            {"name": "kind", "type": "a.b.Kind"},
        ],
    }
    read = Schema.of([json.dumps(each) for each in (kind, labels, main)])

    assert read.decoded(b"\x02m\0\0") == {"metric": "m", "labels": {"kind": "event"}, "kind": "event"}


def test_logical_types_are_left_alone() -> None:
    """Numbers of any length would be taken apart at a cost of their own."""
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 1_000_000, "scale": 2}

    assert schema(decimal).decoded(b"\x04\x01\x02") == b"\x01\x02"


NODE = record(["null", "Node"], name="Node")
DEEP: Any = "int"
for _ in range(40):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (NODE, "contains itself"),
        (record({"type": "map", "values": "R"}), "contains itself"),
        (DEEP, "levels deep"),
        ({"type": "array", "items": "null"}, "takes no bytes"),
        ({"type": "array", "items": record("null", record(name="Empty"))}, "takes no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "takes no bytes"),
        ({"type": "fixed", "name": "F", "size": -1}, "no size"),
        ({"type": "fixed", "name": "F"}, "no size"),
        ({"type": "record", "name": "R"}, "no fields"),
        ({"type": "record", "name": "R", "fields": [1]}, "a field has no type"),
        ({"type": "record", "fields": []}, "no name"),
        ({"type": "array"}, "a type is missing"),
        ({}, "a type is missing"),
        ("null", "a type is missing"),
        ({"type": {"type": {"type": 7}}}, "a type is missing"),
        ([], "no branches"),
        ("7", "a type is missing"),
        ("Elsewhere", "not JSON"),
        ('"Elsewhere"', "not there"),
        (record(record("int", name="X"), record("long", name="X")), "one name"),
        ({"type": "enum", "name": "E", "symbols": ["1"]}, "Avro does not take it"),
    ],
)
def test_a_schema_that_cannot_be_read_by_is_refused_in_words(found: Any, said: str) -> None:
    """It may be wrong, and it may be a trap."""
    refused = reason(found)

    assert refused.code == "unsupported_schema"
    assert said in refused.reason


def test_types_that_refer_to_each_other_are_as_deep_as_they_lead() -> None:
    """However flat each of them is."""
    chain = [record(f"R{number - 1}" if number else "int", name=f"R{number}") for number in range(40)]

    assert "levels deep" in reason(*chain).reason
    assert Schema.of([json.dumps(each) for each in chain[:20]]).decoded(b"\x02")


def test_what_a_record_may_cost_is_bounded_before_it_is_decoded() -> None:
    """Nested records that hold nothing but themselves many times would take any memory from a few bytes."""
    found: Any = record("null", name="R0")
    for depth in range(1, 12):
        found = record(found, *[f"R{depth - 1}"] * 9, name=f"R{depth}")
    bomb = schema({"type": "array", "items": record("boolean", found, name="Item")})

    with pytest.raises(Unusable) as refused:
        bomb.decoded(b"\x02\0\0")
    assert refused.value.code == "too_large"
    wide = schema({"type": "array", "items": record("boolean")})
    with pytest.raises(Unusable, match="the most that is read by its schema"):
        wide.decoded(bytes(MOST_MEMORY // 256))


@pytest.mark.parametrize(
    ("items", "each"),
    [
        (record("boolean"), b"\0"),
        (record("null", "boolean", ["null", "string"]), b"\0\0"),
        ({"type": "map", "values": "long"}, b"\x02\x02a\xfe\xff\xff\xff\x0f\0"),
        ({"type": "array", "items": "string"}, b"\x02\x08\xf0\x9f\x98\x80\0"),
        ("double", b"12345678"),
        (EVENT, body(EVENT, event(labels={"route": "/pay"}))),
    ],
)
def test_memory_is_never_more_than_was_worked_out(items: Any, each: bytes) -> None:
    """Measured, for bodies of many small values."""
    read, count = schema({"type": "array", "items": items}), 20_000
    encoded = body("long", count) + each * count + b"\0"
    tracemalloc.start()
    value = read.decoded(encoded)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(value, list)
    assert taken <= read.memory + read.per_byte * len(encoded)


# ------------------------------------------------------------------------------------------------------------ any body

LEAVES = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda each: {"type": "array", "items": each}),
        inner.map(lambda each: {"type": "map", "values": each}),
        st.tuples(st.integers(0, 10**9), st.lists(inner, max_size=4)).map(
            lambda made: record(*made[1], name=f"R{made[0]}")
        ),
        LEAVES.filter(lambda each: each != "null").map(lambda each: ["null", each]),
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\0", b"\x01", b"\x02", b"\x80", b"\xff", b"\x7f", b"a" * 9]), max_size=60).map(
        b"".join
    ),
)


@examples(300)
@given(st.sampled_from(sorted(SCHEMAS)), BODIES)
def test_any_body_is_samples_or_a_reason(number: int, content: bytes) -> None:
    """Never anything else, and never the end of a worker."""
    with suppress(Unusable):
        assert all(isinstance(each, Sample) for each in Avro(known).read(payload(framed(number, content))) or ())


@examples(300)
@given(st.sampled_from(sorted(SCHEMAS)), st.integers(0, 200), st.binary(max_size=3))
def test_a_damaged_record_is_samples_or_a_reason(number: int, place: int, other: bytes) -> None:
    """So is one that a bit was turned over in."""
    good = {1: sample(AT, route="/pay"), 2: event(labels={"status": 500}), 70_000: [event(), event(service="shop")]}
    value = written(number, good[number])
    with suppress(Unusable):
        Avro(known).read(payload(value[:place] + other + value[place + 1 :]))


@examples(300)
@given(TYPES, BODIES)
def test_any_body_by_any_schema_is_a_value_or_a_reason(found: Any, content: bytes) -> None:
    """In time and memory that are bounded: what is not, is refused with the schema."""
    with suppress(Unusable):
        schema(found).decoded(content)
