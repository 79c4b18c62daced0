"""A bound promised on a histogram, in every format that has them: counted or carried, against an oracle by values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from consumers.combining import Combiner
from consumers.formats.choice import Format
from consumers.matching import Matcher
from consumers.memory import MemoryRecords
from consumers.ports import Partition, Record
from evaluators.agreements import HistogramIndicator
from evaluators.points import Kind, source_of
from evaluators.selectors import Selector
from tests.consumers.rules import rule
from tests.consumers.worlds import SLOT_US, START_US, points_of
from tests.examples import examples

CLOCK_US: Final = START_US + 60_000_000
AT: Final = "2025-11-23T12:13:20Z"
NANOS: Final = str(START_US * 1_000)
LABELS: Final = {"route": "/pay"}
ATTRIBUTES: Final = [{"key": "route", "value": {"stringValue": "/pay"}}]


def otlp(cumulative: bool, kind: str, point: dict[str, Any]) -> dict[str, Any]:
    data = {
        "aggregationTemporality": 2 if cumulative else 1,
        "dataPoints": [{"timeUnixNano": NANOS, "attributes": ATTRIBUTES, **point}],
    }
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "latency", kind: data}]}]}]}


def explicit(cumulative: bool, bounds: list[float], counts: list[int]) -> dict[str, Any]:
    point = {
        "count": str(sum(counts)),
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": bounds,
    }
    return otlp(cumulative, "histogram", point)


def otlp_json(cumulative: bool, bounds: list[float], counts: list[int]) -> bytes:
    return json.dumps(explicit(cumulative, bounds, counts)).encode()


def otlp_proto(cumulative: bool, bounds: list[float], counts: list[int]) -> bytes:
    return ParseDict(explicit(cumulative, bounds, counts), MetricsData()).SerializeToString()


def vector(cumulative: bool, bounds: list[float], counts: list[int]) -> bytes:
    buckets = [{"upper_limit": bound, "count": count} for bound, count in zip([*bounds, None], counts, strict=True)]
    found = {
        "name": "latency",
        "tags": LABELS,
        "timestamp": AT,
        "kind": "absolute" if cumulative else "incremental",
        "aggregated_histogram": {"buckets": buckets, "count": sum(counts), "sum": 0},
    }
    return json.dumps({"metric": found}).encode()


WRITERS: Final[dict[Format, Callable[[bool, list[float], list[int]], bytes]]] = {
    "otlp_json": otlp_json,
    "otlp_proto": otlp_proto,
    "vector": vector,
}


def take(form: Format, bound: float, value: bytes) -> tuple[int, int, dict[int, int]]:
    """(good, total) counted, and what is carried of good (1) and total (2)."""
    indicator = HistogramIndicator(Selector.parse('latency{route="/pay"}'), bound)
    made = Combiner(Partition("events", 0), Matcher([rule(1, indicator)]), SLOT_US, 600_000_000, form)
    made.take(MemoryRecords([Record(0, START_US, None, value, ())]), 0, 1, CLOCK_US)
    rows, tally = made.cut()
    assert tally.letters == []
    carried: dict[int, int] = {}
    for series, source, tag, time_us, number, _ in points_of(rows.keys, rows.points):
        side = 2 if tag & 64 else 1
        assert side not in carried
        assert (series.indicator_id, tag & 15, time_us) == (1, Kind.COUNTER, START_US)
        assert source == source_of("latency_count" if side == 2 else "latency_bucket", LABELS)
        carried[side] = number
    return int(rows.columns[2].sum()), int(rows.columns[3].sum()), carried


def at_or_under(bound: float, bounds: list[float], counts: list[int]) -> int | None:
    """By the words of the documentation, with decimals; None: below where the first bucket begins."""
    lower = Fraction(0) if bounds and bounds[0] > 0 else None
    at, under = Fraction(repr(bound)), 0
    for text, count in zip([*bounds, math.inf], counts, strict=True):
        upper = None if text == math.inf else Fraction(repr(text))
        if upper is None or at < upper:
            if lower is None or upper is None:
                return under
            return None if at <= lower and not under else under + math.floor(count * (at - lower) / (upper - lower))
        under += count
        lower = upper
    return under


some_bounds = st.lists(st.integers(-20, 60), max_size=5, unique=True).map(
    lambda found: [each / 10 for each in sorted(found)]
)


@pytest.mark.parametrize("form", WRITERS)
@examples(100)
@given(
    bounds=some_bounds,
    counts=st.lists(st.integers(0, 99), min_size=6, max_size=6),
    bound=st.integers(-30, 70).map(lambda tenths: tenths / 10),
    cumulative=st.booleans(),
)
def test_a_histogram_says_how_much_is_at_or_under_a_bound(
    form: Format, bounds: list[float], counts: list[int], bound: float, cumulative: bool
) -> None:
    """Whether or not it is a bucket's; of one that began long ago, carried to be differenced."""
    counts = counts[: len(bounds) + 1]
    good, total, carried = take(form, bound, WRITERS[form](cumulative, bounds, counts))

    expected = at_or_under(bound, bounds, counts) or 0
    if cumulative:
        assert (good, total) == (0, 0)
        assert (carried.get(1, 0), carried[2]) == (expected, sum(counts))
    else:
        assert (good, total, carried) == (expected, sum(counts), {})


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize(
    ("bound", "expected"), [(0.0, 2), (0.25, 2), (0.5, 2), (0.75, 4), (1.0, 7), (3.0, 13), (4.0, 15), (100.0, 15)]
)
def test_an_exponential_histogram_says_how_much_is_at_or_under_a_bound(
    cumulative: bool, bound: float, expected: int
) -> None:
    """Two zeros; 5 in (0.5, 1], 4 in (1, 2], 4 in (2, 4]."""
    point = {"count": "15", "zeroCount": "2", "positive": {"offset": -1, "bucketCounts": ["5", "4", "4"]}}
    data = otlp(cumulative, "exponentialHistogram", point)

    for form, value in (
        ("otlp_json", json.dumps(data).encode()),
        ("otlp_proto", ParseDict(data, MetricsData()).SerializeToString()),
    ):
        good, total, carried = take(form, bound, value)  # type: ignore[arg-type]
        assert ((carried.get(1), carried.get(2)) if cumulative else (good, total)) == (expected, 15)


@pytest.mark.parametrize("point", [{"count": 10**30}, {"startTimeUnixNano": 10**30}, {"scale": 10**400}])
def test_numbers_beyond_64_bits_never_end_a_worker(point: dict[str, Any]) -> None:
    """JSON knows no bounds."""
    indicator = HistogramIndicator(Selector.parse("latency"), 1.0)
    value = json.dumps(otlp(cumulative=True, kind="exponentialHistogram", point={"count": 1, **point})).encode()
    made = Combiner(Partition("events", 0), Matcher([rule(1, indicator)]), SLOT_US, 600_000_000, "otlp_json")
    made.take(MemoryRecords([Record(0, START_US, None, value, ())]), 0, 1, CLOCK_US)

    rows, tally = made.cut()

    assert len(tally.letters) + bool(len(rows.points)) == 1
    assert rows.points.start_us.tolist() == [0] * len(rows.points)
