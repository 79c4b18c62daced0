"""The strict decoding of the hot loop and the exact reading give the same samples for anything that both take."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats import native
from consumers.formats.native import Wire
from consumers.formats.samples import Sample
from consumers.formats.series import Series, checked_metric
from consumers.formats.times import EventTimes
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import BOUNDS, RECORD_US, outcome
from tests.examples import examples

numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**12, 10**12 + 1, 1e12, 2**53 + 1, 2**63, 2**64, 2**64 + 1, 0.1, -0.0, 1e16]),
)
texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "event", "gauge", "delta", "counter", "up", "\0", "x" * 600])
)
scalars = st.one_of(numbers, texts, st.booleans(), st.none())
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4
)
times = st.one_of(
    st.none(),
    st.sampled_from(["2025-11-23T12:13:20Z", "2025-11-23T13:13:20.5+01:00", "2016-12-31T23:59:60Z", "2025-11-23"]),
    st.integers(1_763_890_000, 1_763_900_000),
    st.integers(1_763_890_000_000, 1_763_900_000_000),
    st.floats(1_763_890_000, 1_763_900_000),
    st.integers(1_763_890_000_000_000, 1_763_900_000_000_000).map(lambda micros: micros * 1_000 + 999),
    numbers,
)
events = st.fixed_dictionaries(
    {"metric": st.sampled_from(["latency", "latency", "logins", "", "\0"])},
    optional={
        "time": times,
        "labels": st.dictionaries(st.sampled_from(["service", "route", "", "__name__"]), scalars, max_size=3),
        "service": st.sampled_from(["checkout", "", "1", None, 1]),
        "value": numbers,
        "kind": st.sampled_from(["event", "gauge", "delta", "delta", "counter", "odd", None]),
        "count": st.one_of(st.integers(0, 9), numbers),
        "id": anything,
    },
)
odd = st.dictionaries(st.sampled_from(["metric", *Wire.__struct_fields__, "x"]), anything, max_size=5)


def strictly(value: bytes) -> list[Sample] | None:
    """What the hot loop makes of a record; None where it leaves it to the exact reading."""
    try:
        event = msgspec.json.decode(value, type=Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    time_us = BOUNDS.check(native.time_of(event.time, RECORD_US, EventTimes()))
    metric = checked_metric(event.metric)
    labels = native.labels_of(bytes(event.labels), event.service)
    if event.kind == "delta":
        return [Sample(Series(metric, labels), time_us, native.delta_weight(event.value), None, reads="deltas")]
    return [Sample(Series(metric, labels), time_us, event.count, event.value)]


def agree(value: bytes) -> None:
    """Whatever the strict decoding says, the exact reading says too."""
    exact = outcome(value)
    try:
        strict = strictly(value)
    except Unusable:
        assert isinstance(exact, Unusable)
    else:
        assert strict is None or strict == exact


@examples(200)
@given(event=st.one_of(events, events, odd))
def test_both_give_the_same_samples_for_any_event(event: dict[str, Any]) -> None:
    """Fields of the right kind, of the wrong one, missing, and beyond every bound."""
    agree(json.dumps(event).encode())


@examples(150)
@given(event=events, cut=st.integers(0, 300), put=st.binary(max_size=3), drop=st.integers(0, 3))
def test_both_give_the_same_samples_for_any_damage(event: dict[str, Any], cut: int, put: bytes, drop: int) -> None:
    """Bytes changed, lost and added, as broken emitters and broken disks do."""
    value = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")

    agree(value[:cut] + put + value[cut + drop :])


def test_the_usual_event_takes_the_fast_path() -> None:
    """Otherwise the two agree for nothing."""
    usual = {"time": 1_763_900_000_000, "metric": "latency", "labels": {"status": 200}, "value": 1, "kind": "gauge"}

    assert strictly(json.dumps(usual).encode()) == [Sample(Series("latency", {"status": "200"}), RECORD_US, 1, 1.0)]
