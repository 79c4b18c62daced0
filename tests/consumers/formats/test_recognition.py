"""Telling formats apart: by headers, else by shape. The records are those of each emitter's own documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData, ResourceMetrics, ScopeMetrics

from consumers.formats.recognition import recognised
from tests.consumers.formats.native_events import packed
from tests.examples import examples

NAMES = {
    "cloudevents",
    "otlp_proto",
    "otlp_json",
    "telegraf_json",
    "influx",
    "prometheus",
    "vector",
    "zabbix",
    "statsd",
    "slo_exporter",
}

RESOURCE_METRICS = ResourceMetrics(
    scope_metrics=[ScopeMetrics(metrics=[Metric(name="http.server.request.duration")])],
    schema_url="https://opentelemetry.io/schemas/1.24.0",
)
OTLP = MetricsData(resource_metrics=[RESOURCE_METRICS, RESOURCE_METRICS]).SerializeToString()

JSON_EXAMPLES: list[tuple[str, Any]] = [
    ("otlp_json", {"resourceMetrics": [{"resource": {}, "scopeMetrics": []}]}),
    ("otlp_json", {"resource_metrics": []}),
    (
        "cloudevents",
        {"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "id": "A234", "data": {}},
    ),
    (
        "telegraf_json",
        {
            "fields": {"field_1": 30, "field_2": 4, "field_N": 59, "n_images": 660},
            "name": "docker",
            "tags": {"host": "raynor"},
            "timestamp": 1_458_229_140,
        },
    ),
    ("telegraf_json", {"metrics": [{"fields": {"f": 1}, "name": "docker", "tags": {}, "timestamp": 1}]}),
    (
        "prometheus",
        {
            "timestamp": "1970-01-01T00:00:00Z",
            "value": "9876543210",
            "name": "up",
            "labels": {"__name__": "up", "label1": "value1", "label2": "value2"},
        },
    ),
    (
        "vector",
        {
            "name": "login.count",
            "timestamp": "2019-11-01T21:15:47+00:00",
            "kind": "absolute",
            "tags": {"host": "my.host.com"},
            "counter": {"value": 24.2},
        },
    ),
    ("vector", {"metric": {"name": "my_metric", "counter": {"value": 7}, "kind": "incremental"}}),
    *[
        ("vector", {"name": "m", "kind": "incremental", kind: {}})
        for kind in ("gauge", "set", "distribution", "aggregated_histogram", "aggregated_summary", "sketch")
    ],
    (
        "zabbix",
        {
            "host": {"host": "Host B", "name": "Host B visible"},
            "groups": ["Group X", "Group Y"],
            "item_tags": [],
            "itemid": 4,
            "name": "Agent availability",
            "clock": 1_519_304_285,
            "ns": 830_000_000,
            "value": 1,
            "type": 3,
        },
    ),
    (
        "zabbix",
        {
            "hosts": [{"host": "Host B", "name": "Host B visible"}],
            "groups": ["Group X"],
            "tags": [],
            "name": "Either CPU load at Host B is too high or...",
            "clock": 1_519_304_285,
            "ns": 123_456_789,
            "eventid": 42,
            "value": 1,
        },
    ),
    ("zabbix", {"clock": 1_519_304_345, "ns": 987_654_321, "eventid": 43, "p_eventid": 42, "value": 0}),
    (
        "slo_exporter",
        {
            "metadata": {"name": "eventName"},
            "quantity": "10",
            "slo_classification": {"app": "testApp", "class": "critical", "domain": "testDomain"},
        },
    ),
    ("slo_exporter", {"metadata": {}, "result": "success"}),
]

LINE_EXAMPLES: list[tuple[str, bytes]] = [
    ("statsd", b"gorets:1|c"),
    ("statsd", b"gorets:1|c|@0.1\nglork:320|ms"),
    ("statsd", b"gaugor:-10|g"),
    ("statsd", b"uniques:765|s"),
    ("statsd", b"song.length:240:250|h|@0.5\n"),
    ("statsd", b"users.online:1|c|#country:china\r\n"),
    ("statsd", b"d:1|d|T1656581400"),
    ("statsd", b"_sc|Redis connection|2|#env:dev"),
    ("statsd", b"_e{21,36}:An exception occurred|Cannot parse CSV file"),
    ("influx", b"weather,location=us-midwest temperature=82 1465839830100400200"),
    ("influx", b"weather temperature=82i"),
    ("influx", b'weather,location=us-midwest message="too warm, = hot"'),
    ("influx", rb"wea\,ther,loc\ ation=us\=mid\\west temp\ erature=-8.2e-3,b=t"),
    ("influx", b"# measured by hand\n\n  m f=true\r\nm f=F"),
    ("influx", b"m,t=1  f=.5"),
    ("influx", b"m f=3u"),
    ("influx", "wetter,ort=k\u00f6ln temperatur=8.".encode()),
    ("otlp_proto", OTLP),
    ("otlp_proto", b"\x0a\x00"),
    ("otlp_proto", MetricsData(resource_metrics=[RESOURCE_METRICS] * 2_000).SerializeToString()),
]


@pytest.mark.parametrize(("form", "event"), JSON_EXAMPLES)
def test_json_is_told_by_the_fields_of_its_first_object(form: str, event: dict[str, Any]) -> None:
    """Alone, in an array, one a line, and however it is spaced."""
    one = json.dumps(event)
    shapes = [one, json.dumps(event, indent=2), f"\n\t {one}\n", f"[{one}, 7]", f" [\n{one}]", f"{one}\n{one}"]
    shapes += [f"\n{one}\r\n{{}}", f"{one}\n{{"]

    assert [recognised(shape.encode(), {}) for shape in shapes] == [form] * len(shapes)


@pytest.mark.parametrize(("form", "value"), LINE_EXAMPLES)
def test_what_is_not_json_is_told_by_how_it_begins(form: str, value: bytes) -> None:
    """Lines by the first that is no comment."""
    assert recognised(value, {}) == form


def test_every_format_has_an_example() -> None:
    """None is left to its headers alone."""
    assert {form for form, _ in (*JSON_EXAMPLES, *LINE_EXAMPLES)} == NAMES


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("cloudevents", {"ce_specversion": b"1.0", "content-type": b"application/x-protobuf"}),
        ("cloudevents", {"content-type": b"Application/CloudEvents+JSON; charset=UTF-8"}),
        ("cloudevents", {"content-type": b"application/cloudevents-batch+json"}),
        ("cloudevents", {"content-type": b"application/cloudevents+avro"}),
        ("slo_exporter", {"slo-exporter-schema-version": b"v1"}),
        ("otlp_proto", {"content-type": b"application/x-protobuf"}),
        ("statsd", {"content-type": b"text/plain", "other": b""}),
        ("statsd", {}),
    ],
)
def test_headers_go_before_the_shape(form: str, headers: dict[str, bytes]) -> None:
    """Where they say nothing, the shape does."""
    assert recognised(b"gorets:1|c", headers) == form


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "n", "labels": {}, "value": 1, "timestamp": 1},
        {"fields": {}, "name": "n"},
        {"kind": "gauge", "gauge": {}},
        {"resourceMetrics": [], "specversion": "1.0"},
    ],
)
def test_an_event_with_a_metric_of_text_is_native(fields: dict[str, Any]) -> None:
    """Whatever else it holds: it could be counted before other formats could."""
    assert recognised(packed(**fields), {}) is None
    assert recognised(b"[" + packed(**fields) + b"]", {"content-type": b"application/json"}) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"\n",
        b"\n" * 12,
        b"\n\x0b",
        b"\n\x0a",
        b"\n\xff\xff\xff\xff\xff\xff",
        b"\n\x80",
        b"\n{" + b" " * 122 + b"}",
        b"\n\x01x",
        OTLP[:-1],
        OTLP + b"\n",
        OTLP + b"\x12\x00",
        b"{",
        b"[",
        b"[]",
        b"[1]",
        b"[[]]",
        b"{}",
        b"{}\n",
        b'{"specversion": "1.0"',
        b'{"specversion": \xff\xff}',
        b'[{"specversion": "1.0"}',
        b'{"name": "n", "fields": []}',
        b'{"metrics": {}}',
        b'{"kind": "absolute", "name": "n"}',
        b'{"kind": "delta", "counter": {}}',
        b'{"clock": 1}',
        b'{"itemid": 1}',
        b'{"metadata": {}}',
        b'{"metric": 7}',
        b"7",
        b"metric=latency",
        b"level=info msg=done",
        b"hello world=wide",
        b"gorets:1",
        b"gorets:1|x",
        b"gorets:1|msec",
        b"a b:1|c",
        b"# only a comment",
        b"m =1",
        b",a=b c=1",
        b"m,t f=1",
        b"m f=1x",
        b"m f=12:30",
        b"m\\",
        b"m\x00 f=1",
        b"\x01\x00\x00\x00\x01\x02latency",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"labels":' + b"[" * 100_000,
    ],
)
def test_what_nothing_speaks_for_is_left_to_the_native_format(value: bytes) -> None:
    """Which says what is wrong with it."""
    assert recognised(value, {}) is None


@pytest.mark.parametrize(
    "value",
    [
        b"a" * 300_000,
        b"\\a" * 150_000,
        b"a\\" * 150_000,
        b"m,a=b" + b",a=b" * 75_000,
        b"m " + b" " * 300_000,
        b"m f=" + b"1" * 300_000 + b"x",
        b"m f=1." + b"1" * 300_000 + b"e",
        b"a:" * 150_000,
        b"a:1|" * 75_000,
        b"\n" * 300_000 + b"x",
        b"#\n" * 150_000,
        b" \n" * 150_000,
        b"\n\x00" * 150_000 + b"x",
        b"{}\n" * 100_000 + b"x",
        b"[" + b"{}," * 100_000 + b"x",
    ],
    ids=range(15),
)
def test_no_text_is_gone_through_again_and_again(value: bytes) -> None:
    """A record of megabytes must not hold up its partition: with a square in it, each of these would take minutes."""
    assert recognised(value, {}) in {None, "otlp_proto"}


json_like = st.recursive(
    st.sampled_from(["1", "null", '"incremental"', '"\\ud800"', "NaN", "", '"']),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda many: f"[{','.join(many)}]"),
        st.dictionaries(
            st.sampled_from(["metric", "metrics", "name", "fields", "kind", "gauge", "clock", "itemid", "specversion"]),
            inner,
            max_size=4,
        ).map(lambda many: "{" + ",".join(f'"{name}":{value}' for name, value in many.items()) + "}"),
        st.lists(inner, max_size=2).map("\n".join),
    ),
    max_leaves=6,
).map(str.encode)


@given(
    value=st.one_of(
        st.binary(max_size=40),
        json_like,
        st.tuples(
            st.sampled_from([value for _, value in LINE_EXAMPLES[:-1]]), st.integers(0, 60), st.binary(max_size=3)
        ).map(lambda cut: cut[0][: cut[1]] + cut[2]),
    ),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "ce_specversion", "ce_id", "x"]), st.binary(max_size=5), max_size=2
    ),
)
@examples(100)
def test_any_bytes_have_a_name_or_none(value: bytes, headers: dict[str, bytes]) -> None:
    """It never raises, and names nothing that is not a format."""
    assert recognised(value, headers) in {None, *NAMES}
