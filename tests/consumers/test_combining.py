"""One grouped pass over records, against a recount sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import combining
from consumers.cells import LARGEST_SUM
from consumers.combining import Combiner, Rows, record_crc
from consumers.formats.samples import LARGEST_WEIGHT
from consumers.matching import Matcher
from consumers.memory import MemoryRecords
from consumers.ports import MatchRule, Partition, Record, SeriesKey
from evaluators.agreements import RatioIndicator, ThresholdIndicator
from evaluators.selectors import Selector
from tests.consumers.rules import rule
from tests.consumers.worlds import (
    AVAILABILITY,
    LATENCY,
    RULES,
    SLOT_US,
    START_US,
    Counts,
    Point,
    event,
    packed,
    points_of,
    recount,
    repoint,
)
from tests.examples import examples

PARTITION = Partition("events", 3)
CLOCK_US = START_US + 3_600_000_000
FUTURE_US = 600_000_000
EVERYTHING = Selector.parse("latency")


def records(values: Sequence[bytes | None], key: bytes | None = None, first_offset: int = 100) -> MemoryRecords:
    """Records of the start's Kafka timestamp."""
    return MemoryRecords([Record(first_offset + n, START_US, key, value, ()) for n, value in enumerate(values)])


def combiner(rules: Sequence[MatchRule] = RULES) -> Combiner:
    return Combiner(PARTITION, Matcher(rules), SLOT_US, FUTURE_US)


def taken(values: Sequence[bytes | None], rules: Sequence[MatchRule] = RULES) -> Combiner:
    """A combiner that has read these values."""
    made = combiner(rules)
    made.take(records(values), 0, len(values), CLOCK_US)
    return made


def counts(rows: Rows) -> Counts:
    """By series and slot; every row must be the only one of its place."""
    found: Counts = {}
    table: list[list[int]] = rows.columns.T.tolist()
    for key, slot, good, total, excluded_good, excluded_total in table:
        place = (rows.keys[key], slot)
        assert place not in found
        found[place] = (good, total, excluded_good, excluded_total)
    return found


# Rules whose edges lie inside slots, on their borders, and twice in one slot.
edges = st.sampled_from([0, 3, 5, 10, 15, 20]).map(lambda second: START_US + second * 1_000_000)
changing = st.builds(
    lambda number, indicator, since, until: MatchRule(number, "a", "o", since, until, indicator, ("region",)),
    st.integers(1, 3),
    st.sampled_from(
        [
            RatioIndicator(total=EVERYTHING, bad=Selector.parse('latency{status="500"}')),
            ThresholdIndicator(EVERYTHING, "lte", 0.3),
            ThresholdIndicator(EVERYTHING, "gt", 0.3),
            ThresholdIndicator(EVERYTHING, "lt", 0.5),
        ]
    ),
    edges,
    st.none() | edges,
)
seconds = st.integers(0, 25).map(lambda second: second * 1_000_000)
events = st.builds(
    event,
    seconds,
    value=st.sampled_from([0.1, 0.3, 0.5, 1, 7]),
    count=st.sampled_from([1, 1, 0, 3, 3.0]),
    kind=st.sampled_from(["event", "event", "gauge", "delta", "counter"]),
    labels=st.fixed_dictionaries({"status": st.sampled_from(["200", 500]), "region": st.sampled_from(["eu", "us"])}),
).map(lambda made: {**made, "value": int(made["value"])} if made["kind"] in {"delta", "counter"} else made)
values = st.one_of(
    events.map(packed),
    st.lists(events, max_size=3).map(packed),
    st.lists(events, min_size=1, max_size=3).map(lambda many: b"\n".join(packed(each) for each in many)),
    st.sampled_from([None, b"", b"{", b"\xff", b"[]"]),
)


@examples(200)
@given(rules=st.lists(changing, max_size=4), batch=st.lists(values, min_size=1, max_size=12), cut=st.integers(0, 12))
def test_one_pass_counts_what_a_recount_counts(rules: list[MatchRule], batch: list[bytes | None], cut: int) -> None:
    """Whatever changes inside a slot, and wherever the batch is cut in two."""
    made = combiner(rules)
    cut = min(cut, len(batch))
    sums: Counts = {}
    points: list[Point] = []
    for first, after in ((0, cut), (cut, len(batch))):
        if after > first:
            made.take(records(batch), first, after, CLOCK_US)
        rows, _ = made.cut()
        points += points_of(rows.keys, rows.points)
        for place, row in counts(rows).items():
            before = sums.get(place, (0, 0, 0, 0))
            sums[place] = tuple(a + b for a, b in zip(before, row, strict=True))  # type: ignore[assignment]

    assert sums == recount(batch, rules)
    assert set(points) == repoint(batch, rules)


def test_a_definition_that_changes_inside_a_slot_splits_it_at_its_time() -> None:
    """Samples of one slot count by the version in force at their own event time."""
    change = 4_000_000
    old = rule(1, ThresholdIndicator(EVERYTHING, "lte", 0.3), 0, START_US + change)
    new = rule(2, ThresholdIndicator(EVERYTHING, "lte", 0.3), START_US + change)
    batch = [packed(event(after)) for after in (0, change - 1_000, change, SLOT_US - 1_000)]

    rows, _ = taken(batch, [old, new]).cut()

    slot = START_US // SLOT_US
    assert counts(rows) == {(SeriesKey(1, ()), slot): (2, 2, 0, 0), (SeriesKey(2, ()), slot): (2, 2, 0, 0)}


def test_excluded_samples_are_told_apart_and_counted() -> None:
    """The experienced view has them, the contractual one can take them off."""
    batch = [packed(event(labels={"tenant": tenant, "status": status})) for tenant, status in [("internal", 500)]]
    batch.append(packed(event(labels={"status": 500})))

    rows, _ = taken([*batch, packed(event())], [AVAILABILITY]).cut()

    assert list(counts(rows).values()) == [(1, 3, 0, 1)]


def test_a_series_that_nothing_came_into_is_not_named() -> None:
    """To name it would be to admit it as a group."""
    later = rule(9, LATENCY.indicator, START_US + SLOT_US)

    rows, _ = taken([packed(event())], [LATENCY, later]).cut()

    assert rows.keys == (SeriesKey(LATENCY.indicator_id, ()),)
    assert rows.columns[0].tolist() == [0]


def test_a_cut_takes_everything_and_leaves_nothing() -> None:
    """The next one begins anew."""
    made = taken([packed(event()), b"{"])
    assert (made.records, made.letter_bytes) == (2, 1)

    made.cut()

    rows, tally = made.cut()
    assert (made.records, made.letter_bytes) == (0, 0)
    assert (rows.keys, rows.columns.shape, rows.columns.dtype) == ((), (6, 0), np.dtype(np.int64))
    assert (tally.records, tally.samples, tally.letters, tally.max_event_us) == (0, 0, [], None)


def test_the_tally_says_what_became_of_every_record() -> None:
    """Counted, unmatched, skipped or dead."""
    strange = packed(event(metric="logins"))
    batch = [packed(event()), strange, packed([event(metric="a"), event(metric="b")]), None, b"{", packed([])]

    _, tally = taken(batch).cut()

    assert (tally.records, tally.samples, tally.unmatched, tally.skipped, len(tally.letters)) == (6, 4, 2, 1, 1)


def test_a_record_of_which_one_sample_is_bad_counts_nothing() -> None:
    """Its neighbours count."""
    half = packed([event(), event(value="high")])

    rows, tally = taken([packed(event()), half, packed(event())], [LATENCY]).cut()

    assert list(counts(rows).values()) == [(2, 2, 0, 0)]
    assert [(each.partition, each.record.offset, each.code) for each in tally.letters] == [
        (PARTITION, 101, "bad_value")
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"time": CLOCK_US + FUTURE_US + 1}, "future_time"),
        ({"time": "1999-12-31T00:00:00Z"}, "bad_time"),
        ({"time": "soon"}, "bad_time"),
        ({"kind": "delta", "value": 0.5}, "bad_value"),
        ({"kind": "state", "value": "so so"}, "bad_value"),
        ({"kind": "counter", "value": -1}, "bad_value"),
        ({"kind": "odd"}, "bad_kind"),
        ({"metric": ""}, "missing_metric"),
        ({"labels": {"": "a"}}, "bad_labels"),
        ({"labels": {"x": "\ud800"}}, "bad_labels"),
        ({"service": "\0"}, "bad_labels"),
    ],
)
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_an_event_that_cannot_count_is_a_letter_with_its_code(fields: dict[str, Any], code: str, several: bool) -> None:
    """On the fast path and off it."""
    bad: dict[str, Any] = {**event(), **fields}

    _, tally = taken([packed([event(), bad]) if several else packed(bad)]).cut()

    assert [each.code for each in tally.letters] == [code]
    assert tally.samples == 0


@pytest.mark.parametrize("shape", [lambda one: one, lambda one: [one]], ids=["one", "array"])
def test_a_time_a_little_ahead_counts_but_does_not_drag_the_watermark(shape: Any) -> None:
    """Capped at the clock of the reading."""
    _, tally = taken([packed(shape({**event(), "time": CLOCK_US + FUTURE_US}))]).cut()

    assert tally.samples == 1
    assert tally.max_event_us == CLOCK_US


def test_times_in_text_are_known_again_by_their_halves() -> None:
    """Seconds of one event and fraction of another make the third's, without parsing it."""
    tails = ["20.5Z", "21.25Z", "21.5Z", "20.75Z", "25.75Z", "29.5+00:00"]
    texts = [f"2025-11-23T12:13:{tail}" for tail in tails]

    rows, tally = taken([packed({**event(), "time": text}) for text in texts], [LATENCY]).cut()

    assert list(counts(rows).items()) == [((SeriesKey(2, ()), START_US // SLOT_US), (6, 6, 0, 0))]
    assert tally.max_event_us == START_US + 9_500_000


def test_the_newest_event_time_is_kept_over_batches() -> None:
    """Late records after it do not set it back."""
    made = combiner()
    for after in (7_000_000, 1_000_000):
        made.take(records([packed([event(after), event(0)]), packed(event(0))]), 0, 2, CLOCK_US)

    assert made.cut()[1].max_event_us == START_US + 7_000_000


def test_the_fingerprint_is_of_the_last_record_whatever_it_is() -> None:
    """Also of one that is dead or has no value."""
    made = combiner()
    made.take(records([packed(event()), None], key=b"k"), 0, 2, CLOCK_US)

    _, tally = made.cut()

    assert tally.last_record_crc == record_crc(Record(0, 0, b"k", None))
    assert tally.last_record_time_us == START_US


def test_a_checksum_tells_key_and_value_apart_from_other_records() -> None:
    """A log made anew seldom holds the same record at the same place."""
    crcs = {
        record_crc(Record(0, 0, key, value)) for key, value in [(b"a", b"b"), (b"b", b"a"), (None, b"a"), (b"", b"")]
    }

    assert len(crcs) == 4


@pytest.mark.parametrize("wrap", [b"%s", b"[%s]"], ids=["one", "array"])
def test_a_record_that_is_too_large_is_a_letter_on_either_path(monkeypatch: pytest.MonkeyPatch, wrap: bytes) -> None:
    """Its size counts as memory that the letters take."""
    value = wrap % packed(event())
    for module in ("consumers.combining", "consumers.formats.native"):
        monkeypatch.setattr(f"{module}.LARGEST_VALUE", len(value) - 1)

    made = taken([value])

    assert made.letter_bytes == len(value)
    assert [each.code for each in made.cut()[1].letters] == ["too_large"]


def test_sums_beyond_the_column_are_bounded_not_lost() -> None:
    """Nobody counts so many; whoever sends such numbers must not stop the worker."""
    made = taken([packed(event(count=LARGEST_WEIGHT))] * 2, [LATENCY])
    (cell,) = made._touched[0].cells.values()
    cell[:] = [each * 10_000_000 for each in cell]  # as many more of them: minutes of work

    rows, _ = made.cut()

    assert list(counts(rows).values()) == [(LARGEST_SUM, LARGEST_SUM, 0, 0)]


@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
def test_large_labels_count_and_are_not_remembered(loose: bool) -> None:
    """What is remembered is bounded in bytes."""
    count = 1.0 if loose else 1
    batch = [packed(event(count=count, labels={"a": "a" * 3_000, "id": str(number) * 3_000})) for number in (1, 1, 2)]

    made = taken([*batch, packed(event(count=count))], [LATENCY])

    assert len(made._counted) == 1
    assert list(counts(made.cut()[0]).values()) == [(4, 4, 0, 0)]


def test_what_is_remembered_is_forgotten_when_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a cut; what comes next still counts."""
    monkeypatch.setattr(combining, "_BUCKETS_KEPT", 3)
    made = taken([packed(event(labels={"id": number})) for number in range(5)], [LATENCY])
    assert len(made._counted) == 5

    assert list(counts(made.cut()[0]).values()) == [(5, 5, 0, 0)]

    assert made._counted == {}
    made.take(records([packed(event(labels={"id": 1}))]), 0, 1, CLOCK_US)
    assert list(counts(made.cut()[0]).values()) == [(1, 1, 0, 0)]
