"""What is carried of samples: the same whichever way they were cut, and as few points as say the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import carrying, combining
from consumers.carrying import Held
from consumers.combining import Combiner
from consumers.matching import Matcher
from consumers.memory import MemoryRecords
from consumers.ports import MatchRule, Partition, Record, SeriesKey
from consumers.routing import Route
from evaluators.agreements import (
    FreshnessIndicator,
    LabelExclusion,
    QuantileIndicator,
    RatioIndicator,
    ResponseIndicator,
    ThroughputIndicator,
    UptimeIndicator,
)
from evaluators.measures import sketches
from evaluators.points import Kind, hashed, source_of, tagged
from evaluators.selectors import Selector
from tests.consumers.rules import rule
from tests.consumers.worlds import SLOT_US, START_US, Point, event, packed, points_of
from tests.examples import examples

EVERYTHING = Selector.parse("latency")
OWN = (LabelExclusion("own", "customer", Selector.parse('{tenant="internal"}')),)
CHANGE_US = START_US + 13_000_000  # inside the second slot
CLOCK_US = START_US + 3_600_000_000
INDICATORS = {
    "counters": RatioIndicator(total=EVERYTHING, bad=Selector.parse('latency{status="500"}')),
    "states": UptimeIndicator(EVERYTHING, 60_000_000),
    "values": QuantileIndicator(EVERYTHING, 0.99, "lte", 0.3, 60_000_000),
    "sightings": FreshnessIndicator(EVERYTHING, 60_000_000),
    "pairs": ResponseIndicator(
        Selector.parse('latency{status="200"}'), Selector.parse('latency{status="500"}'), "region", "lte", 60_000_000
    ),
    "rates": ThroughputIndicator(EVERYTHING, "gte", 1.0, 60_000_000),
}
RULES = tuple(
    made
    for number, indicator in enumerate(INDICATORS.values())
    for made in (
        rule(number, indicator, 0, CHANGE_US, group_by=("region",), exclusions=OWN),
        rule(10 + number, indicator, CHANGE_US),
    )
)

seconds = st.integers(0, 49).map(lambda half: half * 500_000)
some_labels = st.fixed_dictionaries(
    {"status": st.sampled_from(["200", "500"])},
    optional={"region": st.sampled_from(["eu", "us"]), "tenant": st.sampled_from(["internal", "acme"])},
)
events = st.one_of(
    st.builds(event, seconds, labels=some_labels, value=st.sampled_from([-1.5, 0, 0.1, 0.3]), count=st.integers(0, 3)),
    st.builds(event, seconds, labels=some_labels, value=st.integers(0, 3), kind=st.just("delta")),
    st.builds(
        event,
        seconds,
        labels=some_labels,
        value=st.integers(0, 99),
        kind=st.just("counter"),
        start=st.none() | st.just(START_US // 1_000_000 - 5),
    ),
    st.builds(event, seconds, labels=some_labels, value=st.sampled_from(["up", "down"]), kind=st.just("state")),
)


def read(values: Sequence[bytes], cuts: Sequence[int] = (), rules: Sequence[MatchRule] = RULES) -> list[Point]:
    """All points of these records, which are cut at these places."""
    made = Combiner(Partition("events", 0), Matcher(rules), SLOT_US, 600_000_000)
    records = MemoryRecords([Record(number, START_US, None, value, ()) for number, value in enumerate(values)])
    found: list[Point] = []
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    for first, after in pairwise(edges):
        if after > first:
            made.take(records, first, after, CLOCK_US)
        rows, tally = made.cut()
        assert tally.letters == []
        found += points_of(rows.keys, rows.points)
    return found


def merged(points: Sequence[Point]) -> tuple[set[Point], Counter[Point], dict[Any, tuple[int, int]]]:
    """What points say together: those that are a set, sketches as sums, sightings by first and last of a slot."""
    plain: set[Point] = set()
    sums: Counter[Point] = Counter()
    seen: dict[Any, tuple[int, int]] = {}
    for series, source, tag, time_us, value, start_us in points:
        match Kind(tag & 15):
            case Kind.SKETCH:
                sums[series, source, tag, time_us, 0, start_us] += value
            case Kind.SEEN:
                place = (series, source, tag, time_us // SLOT_US)
                first, last = seen.get(place, (time_us, time_us))
                seen[place] = (min(first, time_us), max(last, time_us))
            case _:
                plain.add((series, source, tag, time_us, value, start_us))
    return plain, sums, seen


def naively(every: Sequence[dict[str, Any]]) -> list[Point]:
    """One point for each sample and rule that carries it, by the words of the documentation."""
    found: list[Point] = []
    for made in every:
        labels = {**made["labels"], "service": made["service"]}
        kind, value, time_us = made.get("kind", "event"), made["value"], made["time"] * 1_000
        source = source_of("latency", labels)
        for number, name in enumerate(INDICATORS):
            old = time_us < CHANGE_US
            series = SeriesKey(number, (labels.get("region", ""),)) if old else SeriesKey(10 + number, ())
            out = old and labels.get("tenant") == "internal"
            weight = value if kind == "delta" else made.get("count", 1)
            start = 0 if made.get("start") is None else made["start"] * 1_000_000
            if kind == "counter" and name in {"counters", "rates"}:
                good = int(name == "counters" and labels["status"] == "200")
                tag = tagged(Kind.COUNTER, good=good, total=1, excluded=out)
                found.append((series, source, tag, time_us, value, start))
            elif name == "states" and (kind == "state" or (kind == "event" and weight)):
                up = int(value == "up" if kind == "state" else value != 0)
                found.append((series, source, tagged(Kind.STATE, excluded=out), time_us, up, 0))
            elif name == "sightings":
                found.append((series, int(out), tagged(Kind.SEEN, excluded=out), time_us, 1, 0))
            elif name == "values" and kind == "event" and weight:
                (bucket,) = sketches.buckets(np.array([value], dtype=np.float64)).tolist()
                slot_us = time_us // SLOT_US * SLOT_US
                found.append((series, bucket, tagged(Kind.SKETCH, excluded=out), slot_us, weight, 0))
            elif name == "pairs" and kind in {"event", "delta"} and weight and labels.get("region"):
                tag = tagged(Kind.OPENED if labels["status"] == "200" else Kind.CLOSED, excluded=out)
                found.append((series, hashed((labels["region"],)), tag, time_us, 0, 0))
    return found


@examples(150)
@given(every=st.lists(events, min_size=1, max_size=14), cuts=st.lists(st.integers(0, 14), max_size=3), data=st.data())
def test_points_say_the_same_in_any_order_and_any_cut(
    every: list[dict[str, Any]], cuts: list[int], data: st.DataObject
) -> None:
    """And what every sample says by itself: by the version in force at its own time, in its group, in its view."""
    for made in every:
        made["labels"] = {name: text for name, text in made["labels"].items() if text}
    shuffled = data.draw(st.permutations(every))

    expected = merged(naively(every))
    assert merged(read([packed(made) for made in every])) == expected
    assert merged(read([packed(made) for made in shuffled], cuts)) == expected
    assert merged(read([packed(every[: len(every) // 2]), packed(every[len(every) // 2 :])])) == expected


def test_sightings_of_a_slot_are_two_at_most() -> None:
    """However many came: between them nothing was too old."""
    points = read([packed(event(at)) for at in (5_000_000, 0, 3_000_000, 12_000_000)], rules=[rule(1, FRESHNESS)])

    assert sorted(point[3] - START_US for point in points) == [0, 5_000_000, 12_000_000]


def test_values_of_a_slot_are_one_point_for_each_bucket() -> None:
    """With as many occurrences as came."""
    values = [packed(event(value=value, count=3)) for value in (0.1, 0.1, 0.1, 5, 1e308, -1e308)]

    points = read(values, rules=[rule(1, INDICATORS["values"])])

    assert sorted(point[4] for point in points) == [3, 3, 3, 9]


def test_sums_of_a_sketch_do_not_turn_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends such numbers gets fewer of them, not less than none."""
    monkeypatch.setattr(carrying, "_MOST_SUM", 10)
    values = [packed(event(count=7)) for _ in range(2)]

    (point,) = read(values, rules=[rule(1, INDICATORS["values"])])

    assert point[4] == 10


FRESHNESS = INDICATORS["sightings"]


def test_a_series_of_which_nothing_is_carried_is_not_named() -> None:
    """To name it would be to admit it as a group."""
    later = rule(1, FRESHNESS, START_US + SLOT_US)
    made = Combiner(Partition("events", 0), Matcher([later]), SLOT_US, 600_000_000)
    made.take(MemoryRecords([Record(0, START_US, None, packed(event()), ())]), 0, 1, CLOCK_US)

    rows, tally = made.cut()

    assert (rows.keys, len(rows.points), tally.unmatched) == ((), 0, 0)


def test_a_record_of_which_one_sample_is_bad_carries_nothing() -> None:
    """Whole or not at all, as for what is counted."""
    made = Combiner(Partition("events", 0), Matcher(RULES), SLOT_US, 600_000_000)
    half = packed([event(kind="counter", value=7), event(kind="counter", value=0.5)])
    made.take(MemoryRecords([Record(0, START_US, None, half, ())]), 0, 1, CLOCK_US)

    rows, tally = made.cut()

    assert (rows.keys, len(rows.points), [each.code for each in tally.letters]) == ((), 0, ["bad_value"])


def test_what_is_remembered_of_counters_is_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a cut, and nothing of what came is lost by it."""
    monkeypatch.setattr(combining, "_BUCKETS_KEPT", 3)
    made = Combiner(Partition("events", 0), Matcher([rule(1, INDICATORS["counters"])]), SLOT_US, 600_000_000)
    values = [packed(event(kind="counter", value=7, labels={"id": number})) for number in range(5)]
    made.take(MemoryRecords([Record(n, START_US, None, value, ()) for n, value in enumerate(values)]), 0, 5, CLOCK_US)
    assert len(made._others["counters"]) == 5

    assert len(made.cut()[0].points) == 5

    assert made._others["counters"] == {}
    assert len(made.cut()[0].points) == 0


def test_a_sample_that_cannot_be_weighed_was_seen_all_the_same() -> None:
    """Freshness asks whether it came; only what asks how many refuses it."""
    fraction = {"timestamp": START_US // 1_000, "value": "2.5", "name": "latency_sum", "labels": {}}
    metric = Selector.parse("latency_sum")
    seen, rate = FreshnessIndicator(metric, 1), ThroughputIndicator(metric, "gte", 1.0, 60_000_000)

    def take(*rules: MatchRule) -> tuple[int, list[str]]:
        made = Combiner(Partition("events", 0), Matcher(rules), SLOT_US, 600_000_000, "prometheus")
        made.take(MemoryRecords([Record(0, START_US, None, json.dumps(fraction).encode(), ())]), 0, 1, CLOCK_US)
        rows, tally = made.cut()
        return len(rows.points), [each.code for each in tally.letters]

    assert take(rule(1, seen)) == (1, [])
    assert take(rule(1, seen), rule(2, rate)) == (0, ["bad_value"])


def test_nothing_held_is_no_point() -> None:
    """Whatever the kind."""
    for name, reads in (("counters", "counters"), ("states", "states"), ("values", "values"), ("sightings", "values")):
        (route,) = Matcher([rule(1, INDICATORS[name])]).target("latency", {}, reads).routes  # type: ignore[arg-type]
        assert carrying.rows([], route, 0, None, SLOT_US) == []


def test_each_point_is_carried_by_the_version_in_force_at_its_time() -> None:
    """Not by that of its slot."""
    (route,) = Matcher([rule(1, INDICATORS["states"], 5, 10)]).target("latency", {}, "states").routes
    assert isinstance(route, Route)

    found = carrying.rows([Held(time_us, 1, 1.0) for time_us in (4, 5, 14, 15)], route, 7, None, SLOT_US)

    assert [(key, time_us) for key, _, _, time_us, _, _ in found] == [(7, 5), (7, 14)]
