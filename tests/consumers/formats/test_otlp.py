"""OpenTelemetry metrics, as protobuf and as JSON: what one says, the other says too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from consumers.formats.otlp import OtlpJson, OtlpProto
from consumers.formats.otlp import scopes as scopes_module
from consumers.formats.otlp.naming import label_name, metric_name
from consumers.formats.samples import Sample
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

DELTA, CUMULATIVE = 1, 2
AT_US = 1_763_900_001_123_456
AT = AT_US * 1_000 + 789

Read = Callable[[MetricsData], list[Sample]]


def by_proto(data: MetricsData) -> list[Sample]:
    return samples(OtlpProto(), data.SerializeToString())


def by_json(data: MetricsData) -> list[Sample]:
    return samples(OtlpJson(), MessageToJson(data, use_integers_for_enums=True))


def by_json_with_names(data: MetricsData) -> list[Sample]:
    return samples(OtlpJson(), MessageToJson(data))


@pytest.fixture(params=[by_proto, by_json, by_json_with_names])
def read(request: pytest.FixtureRequest) -> Read:
    """Each way to write it."""
    found: Read = request.param
    return found


def attribute(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=any_value(value))


def any_value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=[attribute(name, each) for name, each in value.items()]))
    kinds: dict[type, str] = {bool: "bool", str: "string", int: "int", float: "double", bytes: "bytes"}
    return AnyValue(**{f"{kinds[type(value)]}_value": value})


def packed(
    *metrics: Metric, resource: dict[str, Any] | None = None, scope: InstrumentationScope | None = None
) -> MetricsData:
    held = Resource(attributes=[attribute(name, value) for name, value in (resource or {}).items()])
    return MetricsData(
        resource_metrics=[ResourceMetrics(resource=held, scope_metrics=[ScopeMetrics(scope=scope, metrics=metrics)])]
    )


def point(**fields: Any) -> NumberDataPoint:
    attributes = [attribute(name, value) for name, value in fields.pop("attributes", {}).items()]
    return NumberDataPoint(**{"time_unix_nano": AT, **fields}, attributes=attributes)


def gauge(*points: NumberDataPoint, **fields: str) -> Metric:
    return Metric(**{"name": "queue.length", **fields}, gauge=Gauge(data_points=points))


def total(temporality: int, *points: NumberDataPoint, monotonic: bool = True) -> Metric:
    held = Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=monotonic)  # type: ignore[arg-type]
    return Metric(name="http.requests", sum=held)


def test_a_gauge_is_a_value_to_compare(read: Read) -> None:
    """At its own time, whole and broken numbers both."""
    found = read(packed(gauge(point(as_double=0.25), point(as_int=-3))))

    assert told(found) == [("queue_length", {}, AT_US, 1, 0.25), ("queue_length", {}, AT_US, 1, -3)]


def test_a_point_without_a_time_has_its_records(read: Read) -> None:
    """Zero is no time in OTLP."""
    (only,) = read(packed(gauge(point(time_unix_nano=0, as_int=1))))

    assert only.time_us == RECORD_US


def test_the_labels_are_those_of_resource_scope_and_point(read: Read) -> None:
    """By Prometheus' names, with job and instance as its users know them, and service as ours do."""
    resource = {
        "service.name": "checkout",
        "service.namespace": "shop",
        "service.instance.id": "i-1",
        "cloud.region": "eu",
    }
    lived = attribute("short.lived", value=True)
    scope = InstrumentationScope(name="otel.http", version="1.2", attributes=[lived])
    (only,) = read(packed(gauge(point(as_int=1, attributes={"http.route": "/pay"})), resource=resource, scope=scope))

    assert only.labels == {
        "service_name": "checkout",
        "service_namespace": "shop",
        "service_instance_id": "i-1",
        "cloud_region": "eu",
        "service": "checkout",
        "job": "shop/checkout",
        "instance": "i-1",
        "otel_scope_name": "otel.http",
        "otel_scope_version": "1.2",
        "otel_scope_short_lived": "true",
        "http_route": "/pay",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("eu", "eu"),
        (True, "true"),
        (404, "404"),
        (-(2**63), "-9223372036854775808"),
        (0.5, "0.5"),
        (["a", 1, None], '["a",1,null]'),
        ({"a": {"b": [True]}}, '{"a":{"b":[true]}}'),
        (b"\x00\xff", "AP8="),
    ],
)
def test_an_attribute_becomes_text(read: Read, value: Any, text: str) -> None:
    """As the specification says for systems that know text alone."""
    (only,) = read(packed(gauge(point(as_int=1, attributes={"it": value}))))

    assert only.labels == {"it": text}


def test_an_attribute_without_a_value_is_no_label(read: Read) -> None:
    """Nor is one with an empty one."""
    (only,) = read(packed(gauge(point(as_int=1, attributes={"none": None, "empty": ""}))))

    assert only.labels == {}


def test_attributes_of_one_name_are_joined(read: Read) -> None:
    """In the order of the names that they had."""
    (only,) = read(packed(gauge(point(as_int=1, attributes={"a.b": "2", "a-b": "1", "a_b": "3"}))))

    assert only.labels == {"a_b": "1;2;3"}


def test_a_monotonic_delta_is_so_many_occurrences(read: Read) -> None:
    """Exactly, up to what is no whole number."""
    found = read(packed(total(DELTA, point(as_int=7), point(as_double=3.0), point(as_double=0.5))))

    assert [(each.metric, each.weight, each.value) for each in found] == [
        ("http_requests_total", 7, None),
        ("http_requests_total", 3, None),
        ("http_requests_total", 0, None),
    ]
    assert [each.unfit and each.unfit.code for each in found] == [None, None, "bad_value"]


def test_a_cumulative_sum_is_a_counter_and_one_that_may_fall_is_a_value(read: Read) -> None:
    """As Prometheus has it: an UpDownCounter is a gauge."""
    found = read(packed(total(CUMULATIVE, point(as_int=7)), total(CUMULATIVE, point(as_int=-7), monotonic=False)))

    assert [(each.metric, each.reads, each.total, each.value, each.unfit) for each in found] == [
        ("http_requests_total", "counters", 7, None, None),
        ("http_requests", "values", 0, -7, None),
    ]


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0, 0), (AT - 60_000_000_000, AT_US - 60_000_000), (AT, AT_US), (AT + 1_000, 0), ((1 << 64) - 1, 0)],
)
def test_a_counter_says_when_it_began(read: Read, start: int, expected: int) -> None:
    """Zero is unknown in OTLP, and so is a time after the point's own."""
    at = point(as_int=7, start_time_unix_nano=start)
    held = HistogramDataPoint(
        time_unix_nano=AT, start_time_unix_nano=start, count=1, bucket_counts=[1, 0], explicit_bounds=[0.5]
    )
    sums = Histogram(data_points=[held], aggregation_temporality=CUMULATIVE)  # type: ignore[arg-type]
    summary = Summary(data_points=[SummaryDataPoint(time_unix_nano=AT, start_time_unix_nano=start, count=1)])
    found = read(packed(total(CUMULATIVE, at), Metric(name="h", histogram=sums), Metric(name="s", summary=summary)))

    assert [each.start_us for each in found] == [expected] * 5


def test_a_counter_beyond_all_bounds_spoils_itself_alone(read: Read) -> None:
    """Negative ones, fractions, infinities, and more than sums can hold."""
    odd = [point(as_int=-1), point(as_double=0.5), point(as_double=float("inf")), point(as_double=1e19)]

    assert [each.unfit and each.unfit.code for each in read(packed(total(CUMULATIVE, *odd)))] == ["bad_value"] * 4


@pytest.mark.parametrize(
    ("temporality", "monotonic", "code"), [(DELTA, False, "unsupported_kind"), (0, True, "bad_kind")]
)
def test_a_sum_that_nobody_can_count_says_why(read: Read, temporality: int, monotonic: bool, code: str) -> None:
    """Only where an indicator reads it."""
    (only,) = read(packed(total(temporality, point(as_int=1), monotonic=monotonic)))

    assert only.unfit is not None
    assert only.unfit.code == code


def test_what_was_not_recorded_is_no_sample(read: Read) -> None:
    """The flag, a point without a value, and NaN."""
    found = read(
        packed(gauge(point(as_int=1, flags=1), point(), point(as_double=float("nan")), point(as_int=2, flags=2)))
    )

    assert [each.value for each in found] == [2]


def test_an_infinite_value_is_unfit(read: Read) -> None:
    """Nothing to compare with."""
    (only,) = read(packed(gauge(point(as_double=float("-inf")))))

    assert only.unfit is not None


def histogram(temporality: int, **fields: Any) -> Metric:
    held = HistogramDataPoint(**{"time_unix_nano": AT, "attributes": [attribute("a", "b")], **fields})
    return Metric(
        name="http.server.request.duration",
        unit="s",
        histogram=Histogram(data_points=[held], aggregation_temporality=temporality),  # type: ignore[arg-type]
    )


def test_a_histogram_is_its_count_and_its_buckets(read: Read) -> None:
    """Each with all that is at or below its bound, as in Prometheus."""
    found = read(packed(histogram(DELTA, count=6, sum=1.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.25, 1.0])))

    name = "http_server_request_duration_seconds"
    assert told(found) == [
        (f"{name}_count", {"a": "b"}, AT_US, 6, None),
        (f"{name}_bucket", {"a": "b", "le": "0.25"}, AT_US, 1, None),
        (f"{name}_bucket", {"a": "b", "le": "1"}, AT_US, 3, None),
        (f"{name}_bucket", {"a": "b", "le": "+Inf"}, AT_US, 6, None),
    ]


def test_a_histogram_may_hold_no_buckets_or_nothing_recorded(read: Read) -> None:
    """Its count is there all the same."""
    found = read(packed(histogram(CUMULATIVE, count=6), histogram(DELTA, count=6, flags=1)))

    assert [(each.metric[-6:], each.reads, each.total) for each in found] == [("_count", "counters", 6)]


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_a_bucket_knows_the_one_before_it(read: Read, temporality: int) -> None:
    """So that a bound between the two is interpolated. The first begins at zero where its bound is above it."""
    above = histogram(temporality, count=6, bucket_counts=[1, 2, 3], explicit_bounds=[0.25, 1.0])
    below = histogram(temporality, count=6, bucket_counts=[1, 2, 3], explicit_bounds=[-1, 1.0])

    assert [each.below for each in read(packed(above))] == [None, (0.0, 0), (0.25, 1), (1.0, 3)]
    assert [each.below for each in read(packed(below))] == [None, (float("-inf"), 0), (-1.0, 1), (1.0, 3)]


@pytest.mark.parametrize("bounds", [[1.0, 0.5], [float("nan"), 1.0], [0.5, float("nan")]])
def test_bounds_that_do_not_rise_are_refused(bounds: list[float]) -> None:
    """What is at or under which of them nobody can say."""
    data = packed(histogram(DELTA, count=3, bucket_counts=[1, 1, 1], explicit_bounds=bounds))

    assert refusal(OtlpProto(), data.SerializeToString()).code == "bad_value"


@pytest.mark.parametrize("make", [by_proto, by_json])
def test_buckets_that_do_not_fit_their_bounds_are_refused(make: Read) -> None:
    """The record is not what it says."""
    with pytest.raises(Unusable) as refused:
        make(packed(histogram(DELTA, count=3, bucket_counts=[1, 2], explicit_bounds=[0.25, 1.0])))

    assert refused.value.code == "bad_value"


def exponential(*points: dict[str, Any], temporality: int = DELTA) -> Metric:
    """Points of an exponential histogram; `counts` and `offset` are of its positive buckets."""
    held = [
        ExponentialHistogramDataPoint(
            **{
                "time_unix_nano": AT,
                **{name: each for name, each in fields.items() if name not in {"counts", "offset"}},
            },
            positive=ExponentialHistogramDataPoint.Buckets(
                offset=fields.get("offset", 0), bucket_counts=fields.get("counts", ())
            ),
        )
        for fields in points
    ]
    inner = ExponentialHistogram(data_points=held, aggregation_temporality=temporality)  # type: ignore[arg-type]
    return Metric(name="d", exponential_histogram=inner)


def buckets_of(found: list[Sample]) -> list[tuple[str, int]]:
    """Bounds, and what lies at or under them, of all but the count."""
    count, *buckets = found
    assert count.metric == "d_count"
    return [(each.labels["le"], each.weight or each.total) for each in buckets]


def test_an_exponential_histogram_has_the_bounds_of_its_buckets(read: Read) -> None:
    """Powers of two at scale 0; what is in none of them lies at zero. Nothing recorded is nothing."""
    found = read(packed(exponential({"count": 9, "counts": [1, 2, 3], "offset": -1}, {"count": 5, "flags": 1})))

    assert told(found)[0] == ("d_count", {}, AT_US, 9, None)
    assert buckets_of(found) == [("0", 3), ("0.5", 3), ("1", 4), ("2", 6), ("4", 9), ("+Inf", 9)]
    assert found[3].below == (0.5, 3)


def test_an_exponential_histogram_without_buckets_is_all_zeros(read: Read) -> None:
    """Cumulative ones too."""
    assert buckets_of(read(packed(exponential({"count": 5})))) == [("0", 5), ("+Inf", 5)]
    assert buckets_of(read(packed(exponential({"count": 5}, temporality=CUMULATIVE)))) == [("0", 5), ("+Inf", 5)]


@given(scale=st.integers(-3, 6), offset=st.integers(-40, 40), counts=st.lists(st.integers(0, 9), max_size=8))
def test_an_exponential_bucket_ends_where_the_specification_says(scale: int, offset: int, counts: list[int]) -> None:
    """Bucket i holds (base^i, base^(i+1)], base = 2^2^-scale."""
    data = packed(exponential({"count": sum(counts), "counts": counts, "offset": offset, "scale": scale}))
    base = 2.0**2.0**-scale
    expected = [(0.0, 0)]
    if counts:
        expected += [(base ** (offset + place), sum(counts[:place])) for place in range(len(counts) + 1)]

    for found in (by_proto(data), by_json(data)):
        *told_bounds, last = [(float(bound), count) for bound, count in buckets_of(found)]
        assert last == (float("inf"), sum(counts))
        assert [count for _, count in told_bounds] == [count for _, count in expected]
        assert [bound for bound, _ in told_bounds] == pytest.approx([bound for bound, _ in expected])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"zero_threshold": 3, "count": 7, "counts": [1, 2, 3]}, [("3", 2), ("4", 4), ("8", 7)]),
        ({"scale": 64, "count": 3, "counts": [1, 1, 1]}, [("0", 0), ("1", 3)]),
        ({"scale": -64, "count": 3, "counts": [1, 1, 1], "offset": -1}, [("0", 0), ("1", 1)]),
        ({"scale": -64, "offset": (1 << 31) - 1, "count": 3, "counts": [1, 1, 1]}, [("0", 0)]),
        ({"scale": -64, "offset": -(1 << 31), "count": 3, "counts": [1, 1, 1]}, [("0", 3)]),
        ({"zero_threshold": float("inf"), "count": 3, "counts": [3]}, []),
    ],
)
def test_an_exponential_histogram_at_the_ends_of_floats_loses_nothing(
    fields: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    """Bounds that are one number are one bucket; those beyond all numbers are the last."""
    found = buckets_of(by_proto(packed(exponential(fields))))

    assert found == [*expected, ("+Inf", fields["count"])]


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": 65},
        {"scale": -65},
        {"scale": (1 << 31) - 1},
        {"counts": [1] * 1_001},
        {"zero_threshold": float("nan"), "counts": [1]},
    ],
)
def test_an_exponential_histogram_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    """Before anything is made of it."""
    data = packed(exponential({"count": 1, **fields}))

    assert refusal(OtlpProto(), data.SerializeToString()).code == "bad_value"


def test_counts_of_a_bucket_cost_no_memory(read: Read) -> None:
    """They are numbers, however large; what no delta may be spoils itself alone."""
    found = read(packed(exponential({"count": (1 << 64) - 1, "counts": [1 << 63]})))

    assert [each.unfit and each.unfit.code for each in found] == ["bad_value"] * len(found)


def test_a_summary_is_its_quantiles_and_its_count(read: Read) -> None:
    """A quantile of nothing is NaN, and no sample."""
    quantile = SummaryDataPoint.ValueAtQuantile
    held = SummaryDataPoint(
        time_unix_nano=AT,
        count=4,
        quantile_values=[quantile(quantile=0.99, value=0.3), quantile(quantile=1, value=float("nan"))],
    )
    found = read(packed(Metric(name="d", summary=Summary(data_points=[held, SummaryDataPoint(flags=1)]))))

    assert [(each.metric, each.labels, each.value) for each in found] == [
        ("d_count", {}, None),
        ("d", {"quantile": "0.99"}, 0.3),
    ]


def test_metrics_without_data_are_nothing(read: Read) -> None:
    """A Collector may send them."""
    assert read(packed(Metric(name="d"))) == []
    assert read(MetricsData(resource_metrics=[ResourceMetrics()])) == []


def test_a_metric_needs_a_name(read: Read) -> None:
    """There is nothing to match by."""
    with pytest.raises(Unusable) as refused:
        read(packed(gauge(point(as_int=1), name="")))

    assert refused.value.code == "missing_metric"


@pytest.mark.parametrize("make", [OtlpProto, OtlpJson])
def test_neither_point_nor_record_has_a_time(make: Callable[[], Any]) -> None:
    """Then it belongs nowhere."""
    data = packed(gauge(point(time_unix_nano=0, as_int=1)))
    value = data.SerializeToString() if make is OtlpProto else MessageToJson(data)

    with pytest.raises(Unusable) as refused:
        make().read(payload(value, time_us=-1))

    assert refused.value.code == "bad_time"


def test_a_reader_remembers_series_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tells the same after it has forgotten them."""
    monkeypatch.setattr(scopes_module, "MOST_SERIES", 3)
    reader = OtlpProto()
    many = packed(gauge(*(point(as_int=1, attributes={"n": number}) for number in range(5)))).SerializeToString()

    first, again = samples(reader, many), samples(reader, many)

    assert first == again
    assert first[0].series is not again[0].series


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "unit", "kind", "written"),
    [
        ("(lambda).function.executions(#)", "", "other", "lambda_function_executions"),
        ("system.filesystem.usage", "By", "gauge", "system_filesystem_usage_bytes"),
        ("system.network.dropped", "{packets}", "other", "system_network_dropped"),
        ("system.network.dropped", "packets", "other", "system_network_dropped_packets"),
        ("system.memory.utilization", "1", "gauge", "system_memory_utilization_ratio"),
        ("system.processes.created", "1", "counter", "system_processes_created_total"),
        ("astro.light.speed_limit", "m/s", "gauge", "astro_light_speed_limit_meters_per_second"),
        ("broken.metric.speed", "furlongs/fortnight", "gauge", "broken_metric_speed_furlongs_per_fortnight"),
        ("total.requests", "", "counter", "requests_total"),
        ("request.duration.seconds", "s", "other", "request_duration_seconds"),
        ("2xx", "", "gauge", "_2xx"),
        ("", "s", "gauge", ""),
        ("...", "s", "gauge", ""),
    ],
)
def test_metrics_are_named_as_prometheus_names_them(name: str, unit: str, kind: Any, written: str) -> None:
    """By the table of the Collector's translator."""
    assert metric_name(name, unit, kind) == written


@pytest.mark.parametrize(
    ("name", "written"),
    [("http.route", "http_route"), ("404s", "key_404s"), ("_private", "key_private"), ("__name", "__name"), ("", "")],
)
def test_labels_are_named_as_prometheus_names_them(name: str, written: str) -> None:
    """Nothing but letters, digits and underscores."""
    assert label_name(name) == written


# ------------------------------------------------------------------------------------------------- what is not metrics


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b"\x0a\x05abc", "not_protobuf"),
        (b"\xff\xff", "not_protobuf"),
        (b'{"resourceMetrics":[]}', "not_protobuf"),
    ],
)
def test_what_is_no_protobuf_is_refused(value: bytes, code: str) -> None:
    """Whole."""
    assert refusal(OtlpProto(), value).code == code


def test_attributes_that_are_no_attributes_are_refused() -> None:
    """They are looked into at their first sight."""
    whole = packed(gauge(point(as_int=1, attributes={"k": "v"})), resource={"name": "res"}).SerializeToString()
    point_broken = whole.replace(b"\x0a\x01k\x12\x03\x0a\x01v", b"\x0a\x01k\x12\x03\x0a\x01\xff")
    resource_broken = whole.replace(b"\x0a\x04name\x12\x05\x0a\x03res", b"\x0a\x04name\x12\x05\x0a\x03re\xff")
    assert whole not in (point_broken, resource_broken)

    assert refusal(OtlpProto(), point_broken).code == "bad_labels"
    assert refusal(OtlpProto(), resource_broken).code == "bad_labels"


def written(metric: dict[str, Any], **more: Any) -> str:
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}], **more}]})


def gauge_of(**fields: Any) -> str:
    return written({"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": str(AT), "asInt": "1", **fields}]}})


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "empty"),
        ("{", "not_json"),
        ("[1]", "bad_value"),
        ("{}", "bad_value"),
        (b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "\xff"}]}]}]}', "not_utf8"),
        ('{"resourceMetrics": [], "x": ' + "[" * 100_000, "too_deep"),
        (gauge_of(asInt="12a"), "bad_value"),
        (gauge_of(asInt="--1"), "bad_value"),
        (gauge_of(asInt="1" * 5_000), "bad_value"),
        (gauge_of(asInt=True), "bad_value"),
        (gauge_of(asInt=10**400), "bad_value"),
        (gauge_of(timeUnixNano="soon"), "bad_time"),
        (gauge_of(attributes=5), "bad_labels"),
        (gauge_of(attributes=[{"key": "k", "value": "bare"}]), "bad_labels"),
        (gauge_of(attributes=[{"key": "k", "value": {"arrayValue": {"values": "v"}}}]), "bad_labels"),
        (gauge_of(attributes=[{"key": "k", "value": {"arrayValue": []}}]), "bad_labels"),
        (gauge_of(attributes=[{"key": "k", "value": {"kvlistValue": {"values": [1]}}}]), "bad_labels"),
        (
            written({"name": "m", "histogram": {"aggregationTemporality": 1, "dataPoints": [{"count": "-1"}]}}),
            "bad_value",
        ),
    ],
)
def test_json_that_is_no_metrics_is_refused(value: str | bytes, code: str) -> None:
    """With where it is wrong, and nothing of what it holds."""
    assert refusal(OtlpJson(), value).code == code


def test_the_reason_names_the_field() -> None:
    """By its path."""
    assert (
        "resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0].asInt"
        in refusal(OtlpJson(), gauge_of(asInt=[])).reason
    )


def test_plain_numbers_and_unknown_fields_are_taken() -> None:
    """Some write 64-bit integers as numbers; newer ones know more fields."""
    text = gauge_of(asInt=5, timeUnixNano=AT, newer={"x": 1}, attributes=[{"key": "k", "value": {"intValue": 5}}])

    assert told(samples(OtlpJson(), text)) == [("m", {"k": "5"}, AT_US, 1, 5)]


def test_an_attribute_nested_without_end_is_refused() -> None:
    """Both ways."""
    nested: Any = "v"
    for _ in range(30):
        nested = [nested]
    data = packed(gauge(point(as_int=1, attributes={"k": nested})))

    assert refusal(OtlpProto(), data.SerializeToString()).code == "too_deep"
    assert refusal(OtlpJson(), MessageToJson(data)).code == "too_deep"


GOOD = packed(
    gauge(point(as_double=0.5, attributes={"a": ["x", 1]})),
    total(DELTA, point(as_int=3)),
    histogram(DELTA, count=3, bucket_counts=[1, 2], explicit_bounds=[0.5]),
    resource={"service.name": "checkout"},
)


@examples(200)
@given(st.data())
def test_any_bytes_are_samples_or_a_reason(data: st.DataObject) -> None:
    """Nothing else, whatever was meant by them."""
    good = bytearray(data.draw(st.sampled_from([GOOD.SerializeToString(), MessageToJson(GOOD, indent=None).encode()])))
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=3)):
        good[place] = data.draw(st.integers(0, 255))
    value = bytes(good[: data.draw(st.integers(0, len(good)))]) if data.draw(st.booleans()) else bytes(good)
    for reader in (OtlpProto(), OtlpJson()):
        try:
            found = reader.read(payload(data.draw(st.just(value) | st.binary(max_size=40))))
        except Unusable:
            continue
        assert all(isinstance(each, Sample) for each in found)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@examples(200)
@given(st.data())
def test_any_json_in_any_place_is_samples_or_a_reason(data: st.DataObject) -> None:
    """Whatever type stands where another is asked for."""
    tree = json.loads(MessageToJson(GOOD))
    place: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 5)) == 0:
            break
        place = place[key]
    place[key] = data.draw(ODD)
    try:
        found = OtlpJson().read(payload(json.dumps(tree)))
    except Unusable:
        return
    assert all(isinstance(each, Sample) for each in found)
