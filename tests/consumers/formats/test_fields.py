"""The fields of a native event: metric, time, labels, value, kind and count."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.formats.native import labels_of
from consumers.formats.samples import LARGEST_TOTAL, LARGEST_WEIGHT, Sample
from consumers.formats.series import LONGEST_LABEL, LONGEST_METRIC, LONGEST_NAME, MOST_LABELS, Series
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import RECORD_US, packed, refusal, sample, samples

DEEP = b"[" * 100_000 + b"]" * 100_000


def test_an_event_needs_nothing_but_a_metric() -> None:
    """It then is one occurrence of value 1, at its record's time, without labels."""
    only = sample(metric="logins")

    assert (only.metric, only.time_us, only.weight, only.value, only.labels) == ("logins", RECORD_US, 1, 1.0, {})


def test_the_event_of_the_documentation_is_read_as_it_says() -> None:
    """Every field at once."""
    only = sample(
        time="2025-11-23T12:13:21.123Z",
        metric="http_request_duration_seconds",
        service="checkout",
        labels={"route": "/pay", "status": "200"},
        value=0.1234,
        kind="event",
        count=1,
        id="01J",
    )

    assert only == Sample(
        Series("http_request_duration_seconds", {"route": "/pay", "status": "200", "service": "checkout"}),
        time_us=1_763_900_001_123_000,
        weight=1,
        value=0.1234,
    )


@pytest.mark.parametrize("name", ["time", "labels", "service", "value", "kind", "count"])
def test_a_field_that_is_null_is_as_good_as_missing(name: str) -> None:
    """Many emitters write every field."""
    assert sample(**{name: None}) == sample()


@pytest.mark.parametrize(
    ("metric", "code"),
    [
        (None, "missing_metric"),
        ("", "missing_metric"),
        (1, "bad_metric"),
        (["a"], "bad_metric"),
        ("m" * (LONGEST_METRIC + 1), "bad_metric"),
        ("a\0b", "bad_metric"),
        ("\ud800", "bad_metric"),
    ],
)
def test_a_metric_is_text_that_a_database_takes(metric: Any, code: str) -> None:
    """Up to a length, without NUL and half surrogate pairs: one such name would hold up everything behind it."""
    assert refusal(packed(metric=metric)).code == code


def test_a_metric_may_be_as_long_as_the_bound_and_in_any_script() -> None:
    """The bound is inclusive."""
    assert sample(metric="ü" * LONGEST_METRIC).metric == "ü" * LONGEST_METRIC


# -------------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize(
    "time",
    [
        "2025-11-23T12:13:20Z",
        "2025-11-23T13:13:20.000+01:00",
        1_763_900_000,
        1_763_900_000.0,
        1_763_900_000_000,
        1_763_900_000_000_000,
        1_763_900_000_000_000_000,
    ],
)
def test_a_time_is_text_or_a_number_in_any_unit(time: Any) -> None:
    """All of them the same moment."""
    assert sample(time=time).time_us == 1_763_900_000_000_000


def test_an_event_without_a_time_has_its_records() -> None:
    """The Kafka timestamp, by whoever set it."""
    (only,) = samples(packed(), record_time_us=RECORD_US - 7)

    assert only.time_us == RECORD_US - 7


def test_an_event_without_any_time_is_refused() -> None:
    """A record may have none either."""
    with pytest.raises(Unusable, match="neither the event nor its record"):
        samples(packed(), record_time_us=-1_000)


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("now", "bad_time"),
        (True, "bad_time"),
        ([], "bad_time"),
        (0, "bad_time"),
        (-1, "bad_time"),
        (10**400, "bad_time"),
        ("1999-12-31T23:59:59Z", "bad_time"),
        ("2999-01-01T00:00:00Z", "future_time"),
        (10**30, "future_time"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(time: Any, code: str) -> None:
    """Clocks that were never set, and clocks that run ahead."""
    assert refusal(packed(time=time)).code == code


# ------------------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("200", "200"),
        ("", ""),
        (200, "200"),
        (200.0, "200"),
        (-0.0, "0"),
        (0.25, "0.25"),
        (1e300, "1e+300"),
        (10**20, "100000000000000000000"),
        (True, "true"),
        (False, "false"),
        ("ü😀", "ü😀"),
    ],
)
def test_a_label_may_be_a_number_or_a_boolean(value: Any, label: str) -> None:
    """It becomes the text that a selector would be written with."""
    assert sample(labels={"x": value}).labels == {"x": label}


@pytest.mark.parametrize(
    "labels",
    [
        {"x": None},
        {"x": []},
        {"x": {}},
        {"": "a"},
        {"__name__": "a"},
        {"x" * (LONGEST_NAME + 1): "a"},
        {"x": "a" * (LONGEST_LABEL + 1)},
        {"x": "\0"},
        {"\0": "x"},
        {"x": "\udfff"},
        {"x\ud800": "a"},
        {f"x{number}": "a" for number in range(MOST_LABELS + 1)},
        ["x"],
        "x",
        1,
    ],
)
def test_labels_that_no_selector_could_mean_are_refused(labels: Any) -> None:
    """By one code; the reason says which rule it was."""
    assert refusal(packed(labels=labels)).code == "bad_labels"


def test_labels_may_be_as_many_and_as_long_as_the_bounds() -> None:
    """The bounds are inclusive."""
    labels = {f"{number:0{LONGEST_NAME}}": "a" * LONGEST_LABEL for number in range(MOST_LABELS)}

    assert sample(labels=labels).labels == labels


def test_service_is_short_for_the_label() -> None:
    """An ordinary label from then on."""
    assert sample(service="checkout").labels == {"service": "checkout"}
    assert sample(service=7, labels={"route": "/"}).labels == {"service": "7", "route": "/"}


def test_a_service_given_twice_must_agree_with_itself() -> None:
    """Neither of two values is the right one."""
    assert sample(service=7, labels={"service": "7"}).labels == {"service": "7"}
    assert refusal(packed(service="a", labels={"service": "b"})).code == "bad_labels"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"x": "\xff"}', "not_utf8"),
        (b'{"x": 1e999}', "bad_labels"),
        (DEEP, "too_deep"),
        (b"[]", "bad_labels"),
        (b'{"x": null}', "bad_labels"),
    ],
)
def test_labels_as_raw_json_are_refused_by_the_same_codes(raw: bytes, code: str) -> None:
    """The hot loop takes labels apart only on first sight."""
    with pytest.raises(Unusable) as refused:
        labels_of(raw, None)

    assert refused.value.code == code


@pytest.mark.parametrize(("raw", "labels"), [(b"", {"service": "a"}), (b'{"x": 1}', {"x": "1", "service": "a"})])
def test_labels_as_raw_json_are_read_with_the_service(raw: bytes, labels: dict[str, str]) -> None:
    """Empty: the event has none."""
    assert labels_of(raw, "a") == labels


# -------------------------------------------------------------------------------------------- value, kind and count


@pytest.mark.parametrize("kind", ["event", "gauge"])
def test_events_and_gauges_weigh_their_count(kind: str) -> None:
    """One sample may stand for many occurrences of one value."""
    only = sample(kind=kind, value=0.25, count=40)

    assert (only.weight, only.value) == (40, 0.25)


def test_a_delta_weighs_its_value_and_has_nothing_to_compare() -> None:
    """A count, whatever it is a count of."""
    only = sample(kind="delta", value=12.0, count=3)

    assert (only.weight, only.value) == (12, None)


def test_a_counter_is_all_since_it_began() -> None:
    """By itself it weighs nothing: what it grew by is worked out after its points have come together."""
    only = sample(kind="counter", value=12.0, count=3)

    assert (only.reads, only.total, only.start_us, only.weight, only.value) == ("counters", 12, 0, 0, None)


@pytest.mark.parametrize(
    ("start", "start_us"),
    [
        (None, 0),
        ("2025-11-23T12:13:19Z", RECORD_US - 1_000_000),
        (RECORD_US // 1_000_000, RECORD_US),
        (RECORD_US // 1_000 - 1, RECORD_US - 1_000),
        ("2025-11-23T12:13:21Z", 0),
        (-1, 0),
    ],
)
def test_a_counter_may_say_when_it_began(start: Any, start_us: int) -> None:
    """In the forms of times. After its own time it cannot have begun: then nobody knows."""
    assert sample(kind="counter", value=12, start=start).start_us == start_us


@pytest.mark.parametrize("start", ["once", True, [], 10**400])
def test_a_start_that_is_no_time_is_refused(start: Any) -> None:
    """With the field's name; of other kinds nobody looks at it."""
    found = refusal(packed(kind="counter", start=start))

    assert (found.code, found.reason[:7]) == ("bad_time", "start: ")
    assert sample(kind="delta", start=start) == sample(kind="delta")


@pytest.mark.parametrize("value", [-1, 0.5, LARGEST_TOTAL + 1, "up", True])
def test_a_counter_that_cannot_be_counted_is_refused(value: Any) -> None:
    """A whole number, however often it was added to."""
    assert refusal(packed(kind="counter", value=value)).code == "bad_value"


@pytest.mark.parametrize(
    ("value", "up"),
    [("up", 1), ("down", 0), (True, 1), (False, 0), (1, 1), (0, 0), (0.0, 0), (-0.0, 0), (2.5, 1), (-1, 1), (None, 1)],
)
def test_a_state_is_up_or_down(value: Any, up: float) -> None:
    """Of numbers zero alone is down."""
    only = sample(kind="state", value=value)

    assert (only.reads, only.value) == ("states", up)


@pytest.mark.parametrize("value", ["UP", "", "1", [], {}, 10**400])
def test_a_state_that_is_neither_is_refused(value: Any) -> None:
    """Spelled exactly."""
    assert refusal(packed(kind="state", value=value)).code == "bad_value"


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999"])
@pytest.mark.parametrize("kind", [b"state", b"counter"])
def test_what_is_no_number_is_neither_a_state_nor_a_count(kind: bytes, value: bytes) -> None:
    """Some emitters write it as JSON does not know it."""
    assert refusal(b'{"metric": "a", "kind": "%s", "value": %s}' % (kind, value)).code == "bad_value"


@pytest.mark.parametrize("kind", ["Event", "", 1, True, ["event"], {"event": 1}])
def test_a_kind_that_there_is_not_is_refused(kind: Any) -> None:
    """Spelled exactly."""
    assert refusal(packed(kind=kind)).code == "bad_kind"


@pytest.mark.parametrize("value", ["1", "up", True, [], {}, 10**400])
def test_a_value_is_a_number(value: Any) -> None:
    """Text that looks like one is not."""
    assert refusal(packed(value=value)).code == "bad_value"


@pytest.mark.parametrize("value", [0, -1.5, 1e308, 10**300, 5e-324])
def test_a_value_may_be_any_finite_number(value: float) -> None:
    """Whole numbers become floats, as thresholds compare them."""
    assert sample(value=value).value == float(value)


@pytest.mark.parametrize("count", [0, 7, 7.0, LARGEST_WEIGHT])
def test_a_count_is_a_whole_number(count: float) -> None:
    """Written as either kind of number."""
    assert sample(count=count).weight == count


@pytest.mark.parametrize("count", [-1, 1.5, LARGEST_WEIGHT + 1, True, "1", []])
def test_a_count_that_cannot_be_counted_is_refused(count: Any) -> None:
    """Negative ones, fractions and more than sums can hold."""
    assert refusal(packed(count=count)).code == "bad_count"


@pytest.mark.parametrize("value", [-1, 0.5, LARGEST_WEIGHT + 1])
def test_a_delta_that_cannot_be_counted_is_refused(value: float) -> None:
    """It is a weight, not a value."""
    assert refusal(packed(kind="delta", value=value)).code == "bad_value"
