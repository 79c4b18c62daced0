"""Telegraf's JSON: fields become values; the first records are those of its documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from consumers.formats.samples import NOT_FINITE
from consumers.formats.telegraf import Telegraf
from consumers.formats.unusable import Unusable
from tests.consumers.formats.mutations import judged, mutated
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

DOCKER: dict[str, Any] = {
    "fields": {"field_1": 30, "field_2": 4, "field_N": 59, "n_images": 660},
    "name": "docker",
    "tags": {"host": "raynor"},
    "timestamp": 1_458_229_140,
}
DOCKER_US = 1_458_229_140_000_000
DOCKER_SAMPLES = [
    (f"docker_{field}", {"host": "raynor"}, DOCKER_US, 1, value)
    for field, value in (("field_1", 30), ("field_2", 4), ("field_N", 59), ("n_images", 660))
]


def metric(**fields: Any) -> str:
    """Docker's metric with one field, and these in place of its own."""
    return json.dumps({**DOCKER, "fields": {"f": 1}, **fields})


def without(name: str) -> str:
    return json.dumps({each: value for each, value in DOCKER.items() if each != name})


def test_each_field_is_a_value_of_a_metric_of_its_own() -> None:
    """With the metric's tags and its time."""
    assert told(samples(Telegraf(), json.dumps(DOCKER, indent=4))) == DOCKER_SAMPLES


def test_a_batch_is_read_in_its_order() -> None:
    """Under `metrics`, in an array, or one a line."""
    one = json.dumps(DOCKER)

    for batch in (json.dumps({"metrics": [DOCKER, DOCKER]}), f"[{one}, {one}]", f"{one}\n{one}\n", f"[{one}]\n{one}"):
        assert told(samples(Telegraf(), batch)) == DOCKER_SAMPLES * 2


def test_a_batch_may_be_empty() -> None:
    """Nothing was measured."""
    assert samples(Telegraf(), '{"metrics": []}') == []
    assert samples(Telegraf(), "[]") == []


def test_booleans_are_one_and_zero() -> None:
    """Telegraf has them as a type of their own."""
    found = samples(Telegraf(), metric(fields={"up": True, "full": False}))

    assert [(each.metric, each.value) for each in found] == [("docker_up", 1.0), ("docker_full", 0.0)]


def test_what_is_no_number_is_no_sample() -> None:
    """Text, null, and the JSON that Telegraf finds in text where it is told to look into it."""
    found = samples(Telegraf(), metric(fields={"version": "1.2", "none": None, "x": {"y": 1}, "z": [1], "f": 0.5}))

    assert [(each.metric, each.value) for each in found] == [("docker_f", 0.5)]


def test_fields_may_be_empty() -> None:
    """Telegraf leaves NaN and infinities out, and with them maybe all."""
    assert samples(Telegraf(), metric(fields={})) == []


def test_a_number_beyond_all_bounds_is_a_sample_that_nobody_can_count() -> None:
    """It does not spoil the others."""
    large, small = samples(Telegraf(), metric(fields={"large": 10**400, "small": 1}))

    assert (large.unfit, small.unfit) == (NOT_FINITE, None)


@pytest.mark.parametrize(
    ("timestamp", "time_us"),
    [
        (1_458_229_140, DOCKER_US),
        (1_458_229_140_123, DOCKER_US + 123_000),
        (1_458_229_140_123_456, DOCKER_US + 123_456),
        (1_458_229_140_123_456_789, DOCKER_US + 123_456),
        ("2016-03-17T15:39:00Z", DOCKER_US),
        (None, RECORD_US),
    ],
)
def test_the_time_is_in_any_unit(timestamp: Any, time_us: int) -> None:
    """Of `json_timestamp_units` nothing is seen but the size; `json_timestamp_format` writes text."""
    assert [each.time_us for each in samples(Telegraf(), metric(timestamp=timestamp))] == [time_us]


def test_a_metric_without_a_time_needs_a_record_with_one() -> None:
    """Or it would be counted anywhere."""
    with pytest.raises(Unusable) as refused:
        Telegraf().read(payload(without("timestamp"), time_us=-1))

    assert refused.value.code == "bad_time"


@pytest.mark.parametrize("tags", ["{}", "null", '{"host": ""}'])
def test_tags_may_be_missing(tags: str) -> None:
    """Empty values are as good as none."""
    assert [each.labels for each in samples(Telegraf(), metric(tags=json.loads(tags)))] == [{}]
    assert {len(each.labels) for each in samples(Telegraf(), without("tags"))} == {0}


def test_tags_may_be_other_than_text() -> None:
    """Telegraf writes none such, but those after it may."""
    (only,) = samples(Telegraf(), metric(tags={"port": 80, "share": 0.5, "up": True, "zone": None}))

    assert only.labels == {"port": "80", "share": "0.5", "up": "true"}


def test_a_series_is_built_once() -> None:
    """Later records with the same tags have the same one."""
    reader = Telegraf()

    first, second = (samples(reader, json.dumps(DOCKER)) for _ in range(2))

    assert [each.series for each in first] == [each.series for each in second]
    assert all(one.series is other.series for one, other in zip(first, second, strict=True))
    assert len({id(each.labels) for each in first}) == 1


def test_unknown_fields_are_tolerated() -> None:
    """Whatever is in them."""
    assert len(samples(Telegraf(), metric(newer={"deep": [1e300, None]}))) == 1


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"docker field=1", "not_json"),
        (b'{"name": "docker"', "not_json"),
        (b'{"name": "docker", "fields": {"f": NaN}}', "not_json"),
        (b'{"name": "\xff"}', "not_utf8"),
        (b'{"name": ' + b"[" * 100_000, "too_deep"),
        (b'{"x": ' + b"[" * 100_000, "too_deep"),
        (b"1", "bad_value"),
        (b"[1]", "bad_value"),
        (b'{"metrics": 1}', "bad_value"),
        (b'{"metrics": [null]}', "bad_value"),
        (b'{"name": "docker", "fields": {"f": 1e999}}', "bad_value"),
        (without("name"), "missing_metric"),
        (metric(name=""), "missing_metric"),
        (metric(name=None), "missing_metric"),
        (metric(name=["docker"]), "bad_metric"),
        (metric(name="a\0b"), "bad_metric"),
        (metric(fields={"f" * 600: 1}), "bad_metric"),
        (without("fields"), "missing_value"),
        (metric(fields=None), "missing_value"),
        (metric(fields=[1]), "bad_value"),
        (metric(tags="host"), "bad_labels"),
        (metric(tags={"host": {"x": "y"}}), "bad_labels"),
        (metric(tags={"host": [1]}, fields={}), "bad_labels"),
        (metric(tags={f"t{number}": "x" for number in range(129)}), "bad_labels"),
        (metric().encode().replace(b"raynor", b"\xff"), "bad_labels"),
        (metric().encode().replace(b'"raynor"', b"[" * 100_000 + b"]" * 100_000), "too_deep"),
        (metric(timestamp=True), "bad_time"),
        (metric(timestamp="17 Mar 16 15:39 UTC"), "bad_time"),
        (metric(timestamp=10**400), "bad_time"),
    ],
)
def test_a_record_that_is_no_metric_is_refused_by_a_stable_code(value: bytes | str, code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(Telegraf(), value).code == code


def test_the_reason_says_where() -> None:
    """By the metric's place in its batch, or by the field's path; never by the payload's text."""
    batch = json.dumps({"metrics": [DOCKER, {**DOCKER, "fields": None}]})

    assert refusal(Telegraf(), batch).reason == "metric 2: the metric has no fields"
    assert (
        refusal(Telegraf(), '{"metrics": [{}, 5]}').reason
        == "the record does not have the format's shape: see metrics[1]"
    )
    assert refusal(Telegraf(), "5").reason == "the record does not have the format's shape"


LINES = [DOCKER, {"metrics": [DOCKER, {**DOCKER, "tags": {"a": "b"}, "fields": {"f": 0.5, "g": "h"}}]}, [DOCKER]]


@examples(150)
@given(value=mutated(*LINES))
def test_any_record_is_samples_or_a_reason(value: bytes) -> None:
    """Cut off, of the wrong types, or none of ours."""
    judged(Telegraf(), value)
