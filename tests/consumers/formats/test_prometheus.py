"""Prometheus' samples from prometheus-kafka-adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.prometheus import Prometheus
from consumers.formats.samples import FRACTION, NOT_FINITE, TOO_LARGE
from tests.consumers.formats.mutations import judged, mutated
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import refusal, samples, told
from tests.examples import examples

UP = {
    "timestamp": "2026-11-23T15:50:01Z",
    "value": "9876543210",
    "name": "up",
    "labels": {"__name__": "up", "label1": "value1", "label2": "value2"},
}
UP_US = 1_795_449_001_000_000
LABELS = {"label1": "value1", "label2": "value2"}


def message(**fields: Any) -> str:
    """The documentation's message with these fields; a field that is None is left out."""
    return json.dumps({name: value for name, value in {**UP, **fields}.items() if value is not None})


def test_a_message_is_a_value_of_its_metric() -> None:
    """The name is no label."""
    assert told(samples(Prometheus(), message())) == [("up", LABELS, UP_US, 1, 9_876_543_210.0)]


@pytest.mark.parametrize("glue", ["[{},{}]", "{}\n{}"])
def test_several_messages_in_a_record_are_taken_too(glue: str) -> None:
    """Whatever stands between the adapter and the topic may batch them."""
    value = glue.replace("{}", message(), 1).replace("{}", message(name="down"), 1)

    assert [each.metric for each in samples(Prometheus(), value)] == ["up", "down"]


def test_the_metric_is_the_label_where_there_is_no_name() -> None:
    """The name is a copy of it for convenience."""
    assert [each.metric for each in samples(Prometheus(), message(name=None))] == ["up"]


@pytest.mark.parametrize(("value", "expected"), [(1.5, 1.5), (2, 2.0), ("-0.25", -0.25), ("1e-3", 0.001)])
def test_a_value_is_text_or_a_number(value: object, expected: float) -> None:
    """The adapter writes text; rewriting rules on the way make numbers of it."""
    assert [each.value for each in samples(Prometheus(), message(value=value))] == [expected]


def test_what_is_no_number_is_no_value() -> None:
    """NaN marks a series that has gone."""
    assert samples(Prometheus(), message(value="NaN")) == []


@pytest.mark.parametrize("value", ["+Inf", "-Inf", "1e999"])
def test_infinities_cannot_be_compared(value: str) -> None:
    """It matters only where an indicator reads them."""
    assert [each.unfit for each in samples(Prometheus(), message(value=value))] == [NOT_FINITE]


@pytest.mark.parametrize("name", ["http_requests_total", "latency_count", "latency_sum", "latency_bucket"])
def test_what_is_named_as_a_counter_is_one(name: str) -> None:
    """By Prometheus' conventions: the message does not say it, nor when the counter began."""
    (found,) = samples(Prometheus(), message(name=name))

    assert (found.metric, found.reads, found.total, found.start_us) == (name, "counters", 9_876_543_210, 0)
    assert (found.weight, found.value, found.unfit) == (0, None, None)


@pytest.mark.parametrize("value", ["2.5", "-1", "+Inf", "1e19"])
def test_a_counter_that_is_no_count_spoils_itself_alone(value: str) -> None:
    """Sums of seconds are such: it matters only where an indicator wants to count them."""
    (found,) = samples(Prometheus(), message(name="latency_sum", value=value))

    assert (found.total if found.unfit != FRACTION else 0) == 0
    assert found.unfit in (FRACTION, TOO_LARGE)


def test_a_message_without_a_time_has_its_record_s() -> None:
    """As in every format."""
    assert [each.time_us for each in samples(Prometheus(), message(timestamp=None))] == [RECORD_US]


def test_a_message_without_labels_has_none() -> None:
    """A name and a value are enough."""
    assert [each.labels for each in samples(Prometheus(), message(labels=None))] == [{}]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("{}", "missing_value"),
        (message(value=None), "missing_value"),
        (message(value=""), "bad_value"),
        (message(value="high"), "bad_value"),
        (message(value=True), "bad_value"),
        (message(name=None, labels=None), "missing_metric"),
        (message(name="", labels={}), "missing_metric"),
        (message(name=5), "bad_metric"),
        (message(name="a\x00"), "bad_metric"),
        (message(labels={"a": 5}), "bad_labels"),
        (message(labels=[]), "bad_labels"),
        (message(labels={f"l{number}": "x" for number in range(200)}), "bad_labels"),
        (message(timestamp="yesterday"), "bad_time"),
        (message(timestamp=[]), "bad_time"),
        (message()[:-1], "not_json"),
    ],
)
def test_a_record_that_is_no_message_is_refused_by_a_stable_code(value: str, code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(Prometheus(), value).code == code


@given(value=mutated(UP, [UP, {**UP, "value": 1.5, "timestamp": 1_795_449_001}]), reader=st.just(Prometheus()))
@examples(100)
def test_any_record_is_samples_or_a_reason(value: bytes, reader: Prometheus) -> None:
    """Whatever is on the topic, the worker lives."""
    judged(reader, value)
