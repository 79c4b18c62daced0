"""CloudEvents: one envelope for every format, in headers or in the value."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats import native
from consumers.formats.cloudevents import CloudEvents
from consumers.formats.samples import Payload, Sample
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import RECORD_US, packed
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

CE_TIME = "2025-11-23T12:00:00Z"
CE_US = 1_763_899_200_000_000
OWN_TIME, OWN_US = "2025-11-23T12:00:01Z", CE_US + 1_000_000
DATA = {"metric": "latency", "value": 0.25}
HEADERS = {
    "ce_specversion": b"1.0",
    "ce_type": b"com.example.someevent",
    "ce_source": b"/mycontext/subcontext",
    "ce_id": b"1234-1234-1234",
    "ce_time": CE_TIME.encode(),
    "content-type": b"application/json",
}
STRUCTURED = {"content-type": b"application/cloudevents+json; charset=UTF-8"}


def by_native(inside: Payload) -> Sequence[Sample]:
    """The data's reader in these tests."""
    return native.read(inside.value, record_time_us=inside.time_us, bounds=None, event_times=inside.times)


READER = CloudEvents(by_native)


def event(**fields: Any) -> dict[str, Any]:
    """An event of the JSON format with a native event in it; a field that is None is left out."""
    whole = {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "C234-1234-1234",
        "time": CE_TIME,
        "comexampleextension1": "value",
        "comexampleothervalue": 5,
        "datacontenttype": "application/json",
        "data": DATA,
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def structured(**fields: Any) -> str:
    """The same as JSON text."""
    return json.dumps(event(**fields))


def headers(**changed: bytes | None) -> dict[str, bytes]:
    """Of a binary event; None leaves one out."""
    return {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}


class Inner:
    """A reader that notes what it was given."""

    def __init__(self) -> None:
        self.given: list[Payload] = []

    def __call__(self, inside: Payload) -> Sequence[Sample]:
        self.given.append(inside)
        return ()


def inside(value: bytes | str, headed: dict[str, bytes] | None = None) -> Payload:
    """What the data's reader is given of a record with one event."""
    inner = Inner()
    CloudEvents(inner).read(payload(value, headed))
    (only,) = inner.given
    return only


def test_in_binary_mode_the_value_is_the_data() -> None:
    """Attributes are headers; the data has the event's time."""
    assert told(samples(READER, packed(value=0.25), HEADERS)) == [("latency", {}, CE_US, 1, 0.25)]


@pytest.mark.parametrize("headed", [STRUCTURED, {}, {**STRUCTURED, **{k: v for k, v in HEADERS.items() if "ce_" in k}}])
def test_in_structured_mode_the_value_is_the_event(headed: dict[str, bytes]) -> None:
    """With or without a header that says so, and with the attributes repeated in headers."""
    assert told(samples(READER, structured(), headed)) == [("latency", {}, CE_US, 1, 0.25)]


def test_a_batch_holds_several_events() -> None:
    """In their order; an empty one holds nothing."""
    batch = json.dumps([event(), event(time=None, data={"metric": "b", "kind": "delta", "value": 3})])
    batched = {"content-type": b"application/cloudevents-batch+json"}

    assert told(samples(READER, batch, batched)) == [("latency", {}, CE_US, 1, 0.25), ("b", {}, RECORD_US, 3, None)]
    assert samples(READER, batch) == samples(READER, batch, batched)
    assert samples(READER, "[]", batched) == []


def test_the_datas_own_time_goes_before_the_events_and_that_before_the_records() -> None:
    """The nearest to the measurement counts."""
    own = {**DATA, "time": OWN_TIME}
    times = [
        samples(READER, structured(data=own))[0].time_us,
        samples(READER, structured())[0].time_us,
        samples(READER, structured(time=None))[0].time_us,
        samples(READER, json.dumps(own), HEADERS)[0].time_us,
        samples(READER, packed(), headers(ce_time=None))[0].time_us,
        samples(READER, structured(data=own, time=None), time_us=-1)[0].time_us,
    ]
    assert times == [OWN_US, CE_US, RECORD_US, OWN_US, RECORD_US, OWN_US]


def test_an_event_from_before_1970_is_early_and_not_without_a_time() -> None:
    """The bounds refuse it in their words."""
    assert inside(structured(time="1950-01-01T00:00:00Z")).time_us == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"data": json.dumps(DATA), "datacontenttype": "text/plain"},
        {"data": json.dumps(DATA)},
        {"data": None, "data_base64": base64.b64encode(json.dumps(DATA).encode()).decode()},
        {"data": [DATA]},
        {"data": json.dumps(DATA) + "\n\n", "datacontenttype": None},
    ],
    ids=["text", "JSON as text", "base64", "array", "lines"],
)
def test_the_data_comes_as_json_as_text_or_as_base64(fields: dict[str, Any]) -> None:
    """All of them are the same event."""
    assert told(samples(READER, structured(**fields))) == [("latency", {}, CE_US, 1, 0.25)]


def test_the_datas_reader_sees_the_datas_content_type_and_no_attributes() -> None:
    """It says which format the data is in; other headers may too."""
    binary = inside(b"\x0a\x00", headers(**{"content-type": b"application/x-protobuf", "other": b"1"}))
    base64_data = inside(structured(data=None, data_base64="CgA=", datacontenttype="application/x-protobuf"))

    assert (binary.value, binary.headers) == (b"\x0a\x00", {"content-type": b"application/x-protobuf", "other": b"1"})
    assert (base64_data.value, base64_data.headers) == (b"\x0a\x00", {"content-type": b"application/x-protobuf"})
    assert inside(structured(datacontenttype=None)).headers == {}


def test_the_data_goes_on_as_it_was_written() -> None:
    """Numbers keep their digits, fields their order."""
    text = structured(data=0).replace('"data": 0', '"data": {"b": 1.50, "a":\t1e2}')
    assert inside(text).value == b'{"b": 1.50, "a":\t1e2}'


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("empty", [None, ""])
def test_a_required_attribute_that_is_missing_is_named(name: str, empty: str | None) -> None:
    """Null and empty are as good as missing."""
    whole = refusal(READER, structured(**{name: empty}))
    null = refusal(READER, json.dumps({**event(), name: None}))
    head = refusal(READER, packed(), headers(**{f"ce_{name}": None if empty is None else b""}))

    assert (whole.code, whole.reason) == ("missing_value", f"the CloudEvent has no {name}")
    assert (null.code, null.reason) == ("missing_value", f"the CloudEvent has no {name}")
    assert (head.code, head.reason) == ("missing_value", f"the CloudEvent has no ce_{name}")


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "datacontenttype"])
def test_an_attribute_that_is_no_string_is_named(name: str) -> None:
    """As the JSON format has them."""
    found = refusal(READER, structured(**{name: 1.0}))
    assert (found.code, found.reason) == ("bad_value", f"the CloudEvent's {name} is not a string")


@pytest.mark.parametrize("version", ["0.3", "2.0", "1", "\x00"])
def test_other_versions_are_not_read(version: str) -> None:
    """Version 1.x keeps its meaning; 0.3 had another way with base64."""
    assert refusal(READER, structured(specversion=version)).code == "unsupported_kind"
    assert refusal(READER, packed(), headers(ce_specversion=version.encode())).code == "unsupported_kind"
    assert samples(READER, structured(specversion="1.1"))


@pytest.mark.parametrize("fields", [{"data": None}, {"data": ""}, {"data": " \n"}, {"data": None, "data_base64": ""}])
def test_an_event_without_data_is_refused(fields: dict[str, Any]) -> None:
    """There is nothing to count."""
    assert refusal(READER, structured(**fields)).reason == "the CloudEvent has no data"
    assert refusal(READER, json.dumps({**event(), "data": None})).code == "missing_value"
    assert refusal(READER, b" ", HEADERS).reason == "the CloudEvent has no data"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"data_base64": "e30="}, "bad_value"),
        ({"data": None, "data_base64": "e30"}, "bad_value"),
        ({"data": None, "data_base64": "\u20ac"}, "bad_value"),
        ({"data": None, "data_base64": 7}, "bad_value"),
        ({"time": 1_763_899_200}, "bad_time"),
        ({"time": "yesterday"}, "bad_time"),
        ({"data": "\ud800"}, "not_json"),
        ({"data": {"metric": 7}}, "bad_metric"),
        ({"data": 7}, "not_an_object"),
    ],
)
def test_what_is_wrong_with_an_event_has_a_code(fields: dict[str, Any], code: str) -> None:
    """That of the envelope, or that of the data."""
    assert refusal(READER, structured(**fields)).code == code


def test_an_event_of_a_batch_that_cannot_be_used_is_named_by_its_number() -> None:
    """The record counts whole or not at all."""
    found = refusal(READER, json.dumps([event(), event(data={"metric": 7}), event()]))
    assert (found.code, found.reason) == ("bad_metric", "event 1: the metric must be a string")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not_json"),
        (structured().encode() * 2, "not_json"),
        (b"7", "not_an_object"),
        (b"[7]", "not_an_object"),
        (b'{"specversion": "\xff"}', "not_utf8"),
        (b'{"data": "\xff", ' + structured(data=None)[1:].encode(), "not_utf8"),
        (b'{"data":' + b"[" * 100_000, "too_deep"),
        (b'{"id":' + b"[" * 100_000, "too_deep"),
    ],
)
def test_a_value_that_is_no_event_is_refused(value: bytes, code: str) -> None:
    """By a code that names what it is not."""
    assert refusal(READER, value, STRUCTURED).code == code


@pytest.mark.parametrize("kind", [b"application/cloudevents+avro", b"Application/CloudEvents+protobuf"])
def test_other_event_formats_are_not_read(kind: bytes) -> None:
    """Nor are they taken to be binary mode, whose data would be the envelope."""
    assert refusal(READER, packed(), {**HEADERS, "content-type": kind}).code == "unsupported_kind"


@pytest.mark.parametrize("name", ["ce_specversion", "ce_time"])
def test_a_header_that_is_not_utf_8_is_named(name: str) -> None:
    """Headers are UTF-8, the binding says."""
    found = refusal(READER, packed(), headers(**{name: b"1.\xff"}))
    assert (found.code, found.reason) == ("not_utf8", f"the header {name} is not UTF-8")


def test_an_event_within_an_event_is_refused() -> None:
    """Whichever reader the data comes to: a thousand envelopes would be a thousand calls deep."""
    outer = CloudEvents(CloudEvents(by_native).read)
    for value, headed in ((structured(data=event()), STRUCTURED), (structured(), HEADERS)):
        found = refusal(outer, value, headed)
        assert (found.code, found.reason) == ("unsupported_kind", "a CloudEvent within a CloudEvent is not read")


wrong: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 1e308, 10**400, "", "x", "\ud800", "\x00", [], [[]], {}, {"a": 1}]
)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """An event or a batch with something wrong in it, or cut off."""
    fields = draw(st.dictionaries(st.sampled_from([*event(), "data_base64"]), wrong, max_size=3))
    text = json.dumps(draw(st.sampled_from([{**event(), **fields}, [event(), {**event(), **fields}]]))).encode()
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


@given(
    value=st.one_of(st.binary(max_size=40), mutations()),
    headed=st.one_of(
        st.just(STRUCTURED),
        st.builds(dict[str, bytes]),
        st.dictionaries(st.sampled_from(list(HEADERS)), st.one_of(st.binary(max_size=5), st.sampled_from([b"1.0"]))),
        st.just(HEADERS),
    ),
)
@examples(100)
def test_no_record_raises_anything_but_unusable(value: bytes, headed: dict[str, bytes]) -> None:
    """Whatever the headers say, and whatever the value is."""
    try:
        found = READER.read(payload(value, headed))
    except Unusable:
        return
    assert all(isinstance(each, Sample) for each in found)
