"""What holds for all formats: how they are read and told apart, and what ingest makes of their samples."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, cast

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from consumers.combining import Combiner
from consumers.formats.catalogue import Whatever, reader, samples_of
from consumers.formats.choice import FORMATS, Format, Formats
from consumers.formats.native import LARGEST_VALUE
from consumers.formats.samples import Sample
from consumers.formats.unusable import Unusable
from consumers.matching import Matcher
from consumers.memory import MemoryRecords
from consumers.ports import Partition, Record
from evaluators.agreements import RatioIndicator, ThresholdIndicator, UptimeIndicator
from evaluators.points import Kind, source_of, tagged
from evaluators.selectors import Selector
from tests.consumers.formats.avro_records import ADAPTER_ID, known, sample, written
from tests.consumers.formats.readers import payload, told
from tests.consumers.rules import rule
from tests.consumers.worlds import SLOT_US, START_US, points_of
from tests.examples import examples

AT_S: Final = START_US // 1_000_000
AT: Final = "2025-11-23T12:13:20Z"
assert payload(b"").times.of_text(AT) == START_US
PARTITION = Partition("events", 0)
CLOCK_US = START_US + 60_000_000
FUTURE_US = 600_000_000

_NATIVE = {"metric": "latency", "value": 0.25, "labels": {"route": "/pay"}, "time": AT}
_POINTS = {
    "dataPoints": [
        {
            "timeUnixNano": f"{AT_S}000000000",
            "asDouble": 0.25,
            "attributes": [{"key": "route", "value": {"stringValue": "/pay"}}],
        }
    ]
}
_OTLP = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "latency", "gauge": _POINTS}]}]}]}
_TELEGRAF = {"name": "web", "fields": {"latency": 0.25}, "tags": {"route": "/pay"}, "timestamp": AT_S}
_VECTOR = {"name": "latency", "tags": {"route": "/pay"}, "timestamp": AT, "kind": "absolute", "gauge": {"value": 0.25}}
_ZABBIX = {
    "host": {"host": "web"},
    "groups": [],
    "item_tags": [{"tag": "route", "value": "/pay"}],
    "itemid": 4,
    "name": "latency",
    "clock": AT_S,
    "ns": 0,
    "value": 0.25,
    "type": 0,
}
_EVENT = {"specversion": "1.0", "id": "1", "source": "/web", "type": "latency", "time": AT}
_SLO = {"metadata": {"route": "/pay"}, "quantity": 3, "slo_classification": {"app": "web"}}

RECORDS: Final[dict[Format, bytes]] = {
    "native": json.dumps(_NATIVE).encode(),
    "cloudevents": json.dumps({**_EVENT, "data": {**_NATIVE, "time": None}}).encode(),
    "otlp_json": json.dumps(_OTLP).encode(),
    "otlp_proto": Parse(json.dumps(_OTLP), MetricsData()).SerializeToString(),
    "telegraf_json": json.dumps(_TELEGRAF).encode(),
    "influx": f"web,route=/pay latency=0.25 {AT_S}".encode(),
    "prometheus": json.dumps(
        {"timestamp": AT, "value": "0.25", "name": "latency", "labels": {"route": "/pay"}}
    ).encode(),
    "vector": json.dumps({"metric": _VECTOR}).encode(),
    "zabbix": json.dumps(_ZABBIX).encode(),
    "statsd": f"latency:0.25|h|#route:/pay|T{AT_S}".encode(),
    "slo_exporter": json.dumps(_SLO).encode(),
    "avro": written(ADAPTER_ID, sample(AT, route="/pay")),
}
METRICS: Final = {"telegraf_json": "web_latency", "influx": "web_latency", "slo_exporter": "slo_event"}

every_format = pytest.mark.parametrize("form", RECORDS)


def combiner(form: Format, *selectors: str) -> Combiner:
    """Counts what is at or below 0.3, and how many there are, of all samples that match."""
    rules = []
    for number, text in enumerate(selectors):
        selector = Selector.parse(text)
        rules += [
            rule(2 * number, ThresholdIndicator(selector, "lte", 0.3)),
            rule(2 * number + 1, RatioIndicator(total=selector, bad=Selector.parse('{status="500"}'))),
        ]
    return Combiner(PARTITION, Matcher(rules), SLOT_US, FUTURE_US, form, known)


def take(
    made: Combiner, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()
) -> tuple[dict[int, tuple[int, int]], list[str]]:
    """(good, total) by indicator, and the codes of dead letters."""
    made.take(MemoryRecords([Record(7, START_US, None, value, headers)]), 0, 1, CLOCK_US)
    rows, tally = made.cut()
    counted = {
        rows.keys[key].indicator_id: (good, total)
        for key, slot, good, total, *_ in cast("list[list[int]]", rows.columns.T.tolist())
        if slot == START_US // SLOT_US
    }
    return counted, [letter.code for letter in tally.letters]


def test_every_format_has_a_record_here() -> None:
    """And so is in all that follows."""
    assert set(RECORDS) == set(FORMATS) - {"auto"}


@every_format
def test_a_record_says_the_same_in_every_format(form: Format) -> None:
    """A quarter of a second on the way /pay, at its time."""
    (only,) = told(list(samples_of(form, payload(RECORDS[form], time_us=START_US), known)))
    metric, labels, time_us, weight, value = only

    assert (metric, labels["route"], time_us) == (METRICS.get(form, "latency"), "/pay", START_US)
    assert (weight, value) == ((3, None) if form == "slo_exporter" else (1, 0.25))


@every_format
def test_it_is_recognised(form: Format) -> None:
    """Read as its format says, though nobody named it."""
    record = payload(RECORDS[form], time_us=START_US)
    named = told(list(samples_of(form, record, known)))

    assert told(list(samples_of("auto", record, known))) == named
    if form != "avro":
        assert told(list(Whatever()(record))) == named


@every_format
@pytest.mark.parametrize("named", [True, False])
def test_it_counts(form: Format, named: bool) -> None:
    """Where its topic's format is set, and where it is not; an indicator of another metric reads nothing."""
    made = combiner(form if named else "auto", METRICS.get(form, "latency"), "another")
    counted, letters = take(made, RECORDS[form])

    assert letters == []
    assert counted == ({1: (3, 3)} if form == "slo_exporter" else {0: (1, 1), 1: (1, 1)})


@every_format
def test_in_a_topic_of_another_format_it_is_a_dead_letter(form: Format) -> None:
    """Or means something else: line protocol and StatsD take no JSON, and what is JSON wants its fields."""
    other: Format = "influx" if form != "influx" else "zabbix"
    counted, letters = take(combiner(other, '{__name__=~".+"}'), RECORDS[form])

    assert counted == {}
    assert len(letters) == 1


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("prometheus", {"timestamp": AT, "value": "7.5", "name": "requests_total", "labels": {}}),
        ("vector", {"metric": {**_VECTOR, "name": "requests_total", "kind": "incremental"}}),
        ("prometheus", {"timestamp": "2999-01-01T00:00:00Z", "value": "7", "name": "requests_total", "labels": {}}),
    ],
)
def test_what_cannot_be_counted_matters_only_where_it_is_asked_for(form: Format, value: dict[str, Any]) -> None:
    """Emitters send much that nobody has asked for."""
    record = json.dumps(value).encode()

    assert take(combiner(form, "latency"), record) == ({}, [])
    counted, letters = take(combiner(form, "requests_total"), record)
    assert counted == {}
    assert len(letters) == 1


_SINCE = {"timeUnixNano": f"{AT_S}000000000", "startTimeUnixNano": f"{AT_S - 60}000000000", "asInt": "7"}
_CUMULATIVE = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [_SINCE]}
_SUM = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "requests", "sum": _CUMULATIVE}]}]}]}
_NATIVE_COUNTER = {"metric": "requests_total", "kind": "counter", "value": 7, "time": AT, "start": AT_S - 60}
COUNTERS: Final[dict[Format, bytes]] = {
    "native": json.dumps(_NATIVE_COUNTER).encode(),
    "cloudevents": json.dumps({**_EVENT, "data": _NATIVE_COUNTER}).encode(),
    "otlp_json": json.dumps(_SUM).encode(),
    "otlp_proto": Parse(json.dumps(_SUM), MetricsData()).SerializeToString(),
    "prometheus": json.dumps({"timestamp": AT, "value": "7", "name": "requests_total", "labels": {}}).encode(),
    "vector": json.dumps(
        {"metric": {"name": "requests_total", "timestamp": AT, "kind": "absolute", "counter": {"value": 7}}}
    ).encode(),
}
WITHOUT_A_START: Final = ("prometheus", "vector")


@pytest.mark.parametrize("form", COUNTERS)
@pytest.mark.parametrize("named", [True, False])
def test_a_counter_is_carried(form: Format, named: bool) -> None:
    """As it is, with its start where the format has one; it counts nothing by itself, and a threshold does not read it."""
    made = combiner(form if named else "auto", "requests_total")
    made.take(MemoryRecords([Record(7, START_US, None, COUNTERS[form], ())]), 0, 1, CLOCK_US)
    rows, tally = made.cut()
    start_us = 0 if form in WITHOUT_A_START else START_US - 60_000_000

    assert (rows.columns.shape, tally.letters, tally.unmatched) == ((6, 0), [], 0)
    assert [key.indicator_id for key in rows.keys] == [1]
    assert points_of(rows.keys, rows.points) == [
        (
            rows.keys[0],
            source_of("requests_total", {}),
            tagged(Kind.COUNTER, good=1, total=1),
            START_US,
            7,
            start_us,
        )
    ]


@pytest.mark.parametrize("form", sorted(set(RECORDS) - {"slo_exporter"}))
def test_a_value_is_a_state_of_what_is_up(form: Format) -> None:
    """In every format, though few have a kind for it."""
    up = UptimeIndicator(Selector.parse(METRICS.get(form, "latency")), 60_000_000)
    made = Combiner(PARTITION, Matcher([rule(1, up)]), SLOT_US, FUTURE_US, form, known)
    made.take(MemoryRecords([Record(7, START_US, None, RECORDS[form], ())]), 0, 1, CLOCK_US)
    rows, _ = made.cut()

    assert rows.points.value.tolist() == [1]
    assert rows.points.kind.tolist() == [Kind.STATE]


def test_headers_may_hold_the_time_of_a_native_event() -> None:
    """CloudEvents in binary mode: the value alone looks like a native event without a time."""
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/web"), ("ce_type", b"t"))
    event = json.dumps({**_NATIVE, "time": None}).encode()
    later = "2025-11-23T12:13:50Z"
    made = combiner("auto", "latency")
    made.take(
        MemoryRecords([Record(7, START_US, None, event, (*headers, ("ce_time", later.encode())))]), 0, 1, CLOCK_US
    )
    rows, tally = made.cut()

    assert tally.letters == []
    assert set(rows.columns[1].tolist()) == {START_US // SLOT_US + 3}


@every_format
def test_a_record_beyond_the_bound_is_a_dead_letter(form: Format) -> None:
    """Before anything of it is looked at."""
    _, letters = take(combiner(form, "latency"), RECORDS[form].ljust(LARGEST_VALUE + 1))

    assert letters == ["too_large"]


@every_format
def test_a_tombstone_is_passed_over(form: Format) -> None:
    """In compacted topics they are no mistake."""
    made = combiner(form, "latency")
    made.take(MemoryRecords([Record(7, START_US, None, None, ())]), 0, 1, CLOCK_US)
    _, tally = made.cut()

    assert (tally.records, tally.skipped, tally.letters) == (1, 1, [])


def test_a_topic_has_its_own_format() -> None:
    """Else the one of all."""
    formats = Formats("influx", {"edge": "statsd"})

    assert (formats.of("edge"), formats.of("core")) == ("statsd", "influx")


@examples(300)
@given(
    st.sampled_from(FORMATS),
    st.one_of(
        st.binary(max_size=60),
        st.tuples(st.sampled_from([*RECORDS.values()]), st.integers(0, 400), st.binary(max_size=3)).map(
            lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :]
        ),
    ),
    st.dictionaries(
        st.sampled_from(
            [
                "ce_specversion",
                "ce_id",
                "ce_source",
                "ce_type",
                "ce_time",
                "content-type",
                "slo-exporter-schema-version",
            ]
        ),
        st.sampled_from(
            [b"", b"1.0", b"\xff", b"v1", b"application/cloudevents+json", b"application/x-protobuf", AT.encode()]
        ),
        max_size=6,
    ),
)
def test_any_record_in_any_format_is_samples_or_a_reason(form: Format, value: bytes, headers: dict[str, bytes]) -> None:
    """And never ends a worker."""
    read = reader(form, known)
    with suppress(Unusable):
        found = read.read(payload(value, headers)) if read is not None else None
        assert all(isinstance(each, Sample) for each in found or [])
    counted, letters = take(combiner(form, '{__name__=~".+"}'), value, tuple(headers.items()))
    assert len(letters) <= 1
    assert not (counted and letters)
