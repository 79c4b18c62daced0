"""Vector's metrics, by either of its codecs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.samples import FRACTION
from consumers.formats.vector import Vector
from tests.consumers.formats.mutations import judged, mutated
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import refusal, samples, told
from tests.examples import examples

LOGINS = {
    "name": "login_count",
    "namespace": "auth",
    "tags": {"host": "my.host.com"},
    "timestamp": "2026-11-23T15:50:01.123456789Z",
    "interval_ms": 10_000,
    "kind": "incremental",
    "counter": {"value": 24},
}
LOGINS_US = 1_795_449_001_123_456
HOST = {"host": "my.host.com"}
DISTRIBUTION = {"samples": [{"value": 1.0, "rate": 3}, {"value": 2.5, "rate": 1}], "statistic": "histogram"}
HISTOGRAM = {
    "buckets": [{"upper_limit": 0.1, "count": 1}, {"upper_limit": 1.0, "count": 2}, {"upper_limit": None, "count": 4}],
    "count": 7,
    "sum": 9.5,
}
SUMMARY: dict[str, Any] = {
    "quantiles": [{"quantile": 0.5, "value": 0.2}, {"quantile": 0.99, "value": 1.5}],
    "count": 10,
    "sum": 3.5,
}
BINS = {"k": [0, 1338, 1383], "n": [2, 3, 1]}
SKETCH = {"sketch": {"AgentDDSketch": {"bins": BINS, "count": 6, "min": 0.0, "max": 2.0, "sum": 5.0, "avg": 0.83}}}


def metric(kind: Any = "incremental", **fields: Any) -> dict[str, Any]:
    """A metric whose value is of the type that is given, and with these fields."""
    return {**{name: held for name, held in LOGINS.items() if name != "counter"}, "kind": kind, **fields}


def read(found: dict[str, Any]) -> list[tuple[str, dict[str, str], int, float | None]]:
    """Metric, labels but the host, weight and value of each sample."""
    return [
        (name, {label: text for label, text in labels.items() if label != "host"}, weight, value)
        for name, labels, _, weight, value in told(samples(Vector(), json.dumps(found)))
    ]


def unfit(found: dict[str, Any]) -> list[str]:
    """Codes of what cannot be counted; empty for what can."""
    return [each.unfit.code if each.unfit else "" for each in samples(Vector(), json.dumps(found))]


def totals(found: dict[str, Any]) -> list[tuple[str, int]]:
    """How each sample is read, and what it counted since it began."""
    return [(each.reads, each.total) for each in samples(Vector(), json.dumps(found))]


@pytest.mark.parametrize("found", [{"metric": LOGINS}, LOGINS], ids=["native_json", "json"])
def test_an_incremental_counter_is_a_delta(found: dict[str, Any]) -> None:
    """By either codec."""
    assert told(samples(Vector(), json.dumps(found))) == [("auth_login_count", HOST, LOGINS_US, 24, None)]


@pytest.mark.parametrize("glue", ["[{},{}]", "{}\n{}"])
def test_a_record_may_hold_several_metrics(glue: str) -> None:
    """Framing is the sink's choice."""
    value = glue.replace("{}", json.dumps({"metric": LOGINS}), 1).replace(
        "{}", json.dumps(metric("absolute", gauge={"value": 1})), 1
    )

    assert [each.weight for each in samples(Vector(), value)] == [24, 1]


def test_a_metric_needs_neither_namespace_nor_tags_nor_time() -> None:
    """Then it has its record's."""
    bare = json.dumps({"metric": {"name": "a", "kind": "absolute", "gauge": {"value": 0.5}}})

    assert told(samples(Vector(), bare)) == [("a", {}, RECORD_US, 1, 0.5)]


def test_tags_have_one_value() -> None:
    """A bare one is true; of several the last text counts, and of none there is no tag."""
    tags = {"bare": None, "last": ["a", "b", None], "bares": [None], "none": [], "empty": ""}

    assert [dict(each.labels) for each in samples(Vector(), json.dumps(metric(tags=tags, counter={"value": 1})))] == [
        {"bare": "true", "last": "b", "bares": "true"}
    ]


def test_an_absolute_counter_is_all_since_it_began() -> None:
    """Vector does not say when that was."""
    (found,) = samples(Vector(), json.dumps(metric("absolute", counter={"value": 24})))

    assert (found.reads, found.total, found.start_us, found.weight) == ("counters", 24, 0, 0)


@pytest.mark.parametrize("kind", ["incremental", "absolute"])
def test_a_counter_that_is_no_whole_number_spoils_itself_alone(kind: str) -> None:
    """It matters only where an indicator reads it."""
    (found,) = samples(Vector(), json.dumps(metric(kind, counter={"value": 24.2})))

    assert found.unfit == FRACTION


def test_an_absolute_gauge_is_a_value() -> None:
    """For one occurrence."""
    assert read(metric("absolute", gauge={"value": -1.5})) == [("auth_login_count", {}, 1, -1.5)]


@pytest.mark.parametrize(
    "found",
    [
        metric(gauge={"value": 1}),
        metric(set={"values": ["a"]}),
        metric("absolute", set={"values": []}),
        metric("absolute", distribution=DISTRIBUTION),
        metric("absolute", sketch=SKETCH),
    ],
    ids=["changes of a gauge", "set", "absolute set", "absolute distribution", "absolute sketch"],
)
def test_what_cannot_be_counted_is_left_for_whoever_asks_for_it(found: dict[str, Any]) -> None:
    """Emitters send many metrics that nobody has asked for."""
    assert unfit(found) == ["unsupported_kind"]


@pytest.mark.parametrize(
    "found",
    [
        metric(counter={"value": None}),
        metric("absolute", gauge={"value": None}),
        metric(distribution={"samples": [{"value": None, "rate": 1}, {"value": 1, "rate": 0}]}),
        metric(sketch={"sketch": {"AgentDDSketch": {"bins": {"k": [], "n": []}}}}),
    ],
    ids=["counter", "gauge", "distribution", "sketch"],
)
def test_what_has_no_value_is_no_sample(found: dict[str, Any]) -> None:
    """Vector writes null for NaN; a value that never came is none either."""
    assert read(found) == []


def test_a_distribution_is_each_of_its_values_as_often_as_it_came() -> None:
    """The rate is how often."""
    assert [row[2:] for row in read(metric(distribution=DISTRIBUTION))] == [(3, 1.0), (1, 2.5)]


def test_a_sketch_is_a_value_of_each_bin_as_often_as_it_came() -> None:
    """Within a 128th, and no further out than its ends."""
    assert [row[2:] for row in read(metric(sketch=SKETCH))] == [(2, 0.0), (3, 1.0), (1, 2.0)]


def test_a_histogram_is_counts_below_each_bound() -> None:
    """Vector's buckets each have their own; a bound that is null is infinite."""
    assert read(metric(aggregated_histogram=HISTOGRAM)) == [
        ("auth_login_count_bucket", {"le": "0.1"}, 1, None),
        ("auth_login_count_bucket", {"le": "1"}, 3, None),
        ("auth_login_count_bucket", {"le": "+Inf"}, 7, None),
        ("auth_login_count_count", {}, 7, None),
    ]


@pytest.mark.parametrize("last", [[("inf", 4)], [("+Inf", 4)], [(1.7976931348623157e308, 4)], []])
def test_the_last_bucket_has_no_bound_however_it_is_written(last: list[tuple[object, int]]) -> None:
    """Prometheus' source leaves it out, and counts what is in it all the same."""
    buckets = [{"upper_limit": bound, "count": count} for bound, count in (*last, (1.0, 2), (0.1, 1))]
    found = read(metric(aggregated_histogram={"buckets": buckets, "count": 7, "sum": 0}))

    assert [(labels.get("le"), weight) for _, labels, weight, _ in found] == [
        ("0.1", 1),
        ("1", 3),
        ("+Inf", 7),
        (None, 7),
    ]


def test_buckets_that_hold_more_than_is_counted_are_believed() -> None:
    """A total below one of its parts was read a moment earlier."""
    found = read(metric(aggregated_histogram={**HISTOGRAM, "count": 2}))

    assert [weight for *_, weight, _ in found] == [1, 3, 7, 7]


def test_a_summary_is_its_quantiles_and_its_count() -> None:
    """A quantile of nothing is null."""
    quantiles = [*SUMMARY["quantiles"], {"quantile": 1, "value": None}]

    assert read(metric(aggregated_summary={**SUMMARY, "quantiles": quantiles})) == [
        ("auth_login_count", {"quantile": "0.5"}, 1, 0.2),
        ("auth_login_count", {"quantile": "0.99"}, 1, 1.5),
        ("auth_login_count_count", {}, 10, None),
    ]


def test_absolute_histograms_and_counts_of_summaries_are_counters() -> None:
    """Their quantiles are values all the same."""
    assert totals(metric("absolute", aggregated_histogram=HISTOGRAM)) == [("counters", each) for each in (1, 3, 7, 7)]
    assert totals(metric("absolute", aggregated_summary=SUMMARY)) == [("values", 0), ("values", 0), ("counters", 10)]


@pytest.mark.parametrize("kind", ["incremental", "absolute"])
def test_a_bucket_knows_the_one_before_it(kind: str) -> None:
    """So that a bound between the two is interpolated. The first begins at zero."""
    found = samples(Vector(), json.dumps(metric(kind, aggregated_histogram=HISTOGRAM)))

    assert [each.below for each in found] == [(0.0, 0), (0.1, 1), (1.0, 3), None]


def test_buckets_of_one_bound_are_one() -> None:
    """Counted one by one, what is under the bound would count twice."""
    twice = {**HISTOGRAM, "buckets": [{"upper_limit": 0.1, "count": 1}, {"upper_limit": 0.1, "count": 2}]}

    assert [(labels.get("le"), weight) for _, labels, weight, _ in read(metric(aggregated_histogram=twice))] == [
        ("0.1", 3),
        ("+Inf", 7),
        (None, 7),
    ]


@pytest.mark.parametrize("found", [{"log": {"message": "a"}}, {"trace": {}}, [{"metric": LOGINS}, {"log": {}}]])
def test_logs_and_traces_are_refused(found: Any) -> None:
    """Their topic is another one."""
    assert refusal(Vector(), json.dumps(found)).code == "bad_kind"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"message": "a plain log"}, "missing_metric"),
        ({"metric": None}, "missing_metric"),
        (metric(), "missing_value"),
        (metric(counter={}), "missing_value"),
        (metric(distribution={}), "missing_value"),
        (metric(aggregated_histogram={"buckets": []}), "missing_value"),
        (metric(counter={"value": "1"}), "bad_value"),
        (metric(counter=1), "bad_value"),
        (metric(name=5), "bad_metric"),
        (metric(name="a" * 510, counter={"value": 1}), "bad_metric"),
        (metric(namespace={}), "bad_metric"),
        (metric("relative", counter={"value": 1}), "bad_kind"),
        (metric(kind=None, counter={"value": 1}), "bad_kind"),
        (metric(kind=1), "bad_kind"),
        (metric(tags={"a": 1}), "bad_labels"),
        (metric(tags={f"l{number}": None for number in range(200)}, counter={"value": 1}), "bad_labels"),
        (metric(timestamp="now", counter={"value": 1}), "bad_time"),
        (metric(timestamp=1), "bad_time"),
        (metric(distribution={"samples": [{"value": 1, "rate": -1}]}), "bad_count"),
        (metric(distribution={"samples": [{"value": 1, "rate": 0.5}]}), "bad_count"),
        (metric(aggregated_histogram={**HISTOGRAM, "count": -1}), "bad_count"),
        (metric(aggregated_histogram={**HISTOGRAM, "buckets": [{"upper_limit": "x", "count": 1}]}), "bad_value"),
        (metric(aggregated_histogram={**HISTOGRAM, "buckets": [{"upper_limit": "NaN", "count": 1}]}), "bad_value"),
        (metric(sketch={"sketch": {"AgentDDSketch": {"bins": {"k": [1], "n": []}}}}), "bad_value"),
        (metric(sketch={"sketch": {"AgentDDSketch": {"bins": {"k": [32_768], "n": [1]}}}}), "bad_value"),
        (metric(sketch={"sketch": {"Other": {}}}), "missing_value"),
    ],
)
def test_a_record_that_is_no_metric_is_refused_by_a_stable_code(found: dict[str, Any], code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(Vector(), json.dumps(found)).code == code


def test_the_reason_says_which_of_several_and_where() -> None:
    """Never by the payload's text."""
    batch = [LOGINS, metric(counter={"value": "secret"})]

    assert refusal(Vector(), json.dumps(batch)).reason == "[1].counter.value: expected float | null, got str"
    assert refusal(Vector(), json.dumps([LOGINS, metric()])).reason.startswith("object 2: the metric has no value")


GOOD = [
    metric(counter={"value": 1}),
    metric("absolute", gauge={"value": 1.5}),
    metric(set={"values": ["a"]}),
    metric(distribution=DISTRIBUTION),
    metric(aggregated_histogram=HISTOGRAM),
    metric("absolute", aggregated_histogram=HISTOGRAM),
    metric(aggregated_summary=SUMMARY),
    metric(sketch=SKETCH),
]


@given(value=mutated(*GOOD, *({"metric": each} for each in GOOD), GOOD), reader=st.just(Vector()))
@examples(100)
def test_any_record_is_samples_or_a_reason(value: bytes, reader: Vector) -> None:
    """Whatever is on the topic, the worker lives."""
    judged(reader, value)
