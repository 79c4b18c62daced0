"""Measuring: the same counts and points come to the same, in any order, any cut, over any restart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.durations import MINUTE, SECOND
from evaluators.measures.measuring import Definition, Measuring
from evaluators.measures.sketches import buckets
from evaluators.measures.specs import Holding, Measure, Pairing, Slicing
from evaluators.packing import CorruptSlots
from evaluators.points import Kind, Points, tagged
from evaluators.slots import SlotCounts
from tests.evaluators.measures.oracles import SLOT, Row, measured, told
from tests.examples import examples

SPAN_S = 240
PLAIN, UPTIME, FRESH, TICKET, SHARE, RATIO, RATE, QUANTILE, SLICED_UPTIME = range(1, 10)
DEFINITIONS = {
    PLAIN: Definition(60 * SECOND),
    UPTIME: Definition(0, None, Measure(holding=Holding(35 * SECOND, "majority"))),
    FRESH: Definition(0, None, Measure(holding=Holding(60 * SECOND, "any", 70 * SECOND))),
    TICKET: Definition(0, None, Measure(pairing=Pairing(50 * SECOND, strict=False))),
    SHARE: Definition(0, None, Measure(slicing=Slicing(MINUTE, "share", bound=0.5, empty="bad", fill_us=2 * MINUTE))),
    RATIO: Definition(0, None, Measure(slicing=Slicing(MINUTE, "ratio"))),
    RATE: Definition(0, None, Measure(slicing=Slicing(MINUTE, "rate", "gte", 0.1, fill_us=2 * MINUTE))),
    QUANTILE: Definition(0, None, Measure(slicing=Slicing(MINUTE, "quantile", "lte", 0.3, q=0.9))),
    SLICED_UPTIME: Definition(
        0,
        None,
        Measure(
            holding=Holding(30 * SECOND, "all"),
            slicing=Slicing(MINUTE, "share", bound=0.9, empty="good", fill_us=MINUTE),
        ),
    ),
}
seconds = st.integers(1, SPAN_S - 1).map(lambda second: second * SECOND)
excluded = st.sampled_from((False, False, True))


@st.composite
def counter_points(draw: st.DrawFn) -> Row:
    source, at_us, value = draw(st.integers(1, 3)), draw(seconds), draw(st.integers(0, 30))
    start = draw(st.sampled_from((0, 1, 60 * SECOND, 90 * SECOND)))
    series = draw(st.sampled_from((PLAIN, SHARE, RATIO, RATE)))
    good, total = ((0, 1), (1, 0), (-1, 1))[source - 1]
    tag = tagged(Kind.COUNTER, good=good, total=total, excluded=series == PLAIN and source == 3)
    return (series, source, tag, at_us, value, start)


@st.composite
def state_points(draw: st.DrawFn) -> Row:
    series, out = draw(st.sampled_from((UPTIME, SLICED_UPTIME))), draw(excluded)
    source = draw(st.integers(1, 2)) + 2 * out
    return (series, source, tagged(Kind.STATE, excluded=out), draw(seconds), draw(st.integers(0, 1)), 0)


@st.composite
def sightings(draw: st.DrawFn) -> Row:
    out = draw(excluded)
    return (FRESH, int(out), tagged(Kind.SEEN, excluded=out), draw(seconds), 1, 0)


@st.composite
def pair_events(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from((Kind.OPENED, Kind.CLOSED, Kind.PAUSED, Kind.RESUMED)))
    return (TICKET, draw(st.integers(1, 2)), tagged(kind, excluded=draw(excluded)), draw(seconds), 0, 0)


@st.composite
def sketch_points(draw: st.DrawFn) -> Row:
    bucket = int(buckets(np.array([draw(st.sampled_from((0.0, 0.1, 0.29, 0.31, 2.0, -1.0)))]))[0])
    tag = tagged(Kind.SKETCH, excluded=draw(excluded))
    return (QUANTILE, bucket, tag, draw(seconds) // SLOT * SLOT, draw(st.integers(1, 9)), 0)


@st.composite
def count_rows(draw: st.DrawFn) -> Row:
    series, total = draw(st.sampled_from((PLAIN, SHARE, RATIO, RATE))), draw(st.integers(0, 9))
    good = draw(st.integers(0, total))
    out = draw(st.sampled_from((0, 0, 1)))
    return (series, draw(seconds) // SLOT, good, total, good * out, total * out)


@dataclass(frozen=True)
class History:
    """Batches of rows (counts, points), and after each: advance to a tick, or begin again from what was kept."""

    batches: list[tuple[list[Row], list[Row]]]
    after: list[str]


@st.composite
def histories(draw: st.DrawFn, of: st.SearchStrategy[Row], counts: st.SearchStrategy[Row] | None = None) -> History:
    counted = st.just(list[Row]()) if counts is None else st.lists(counts, max_size=3)
    batches = draw(st.lists(st.tuples(counted, st.lists(of, max_size=5)), min_size=1, max_size=8))
    after = draw(
        st.lists(
            st.sampled_from(("wait", "advance", "leap", "restart", "gather")),
            min_size=len(batches),
            max_size=len(batches),
        )
    )
    return History(batches, after)


def run(history: History) -> tuple[list[SlotCounts], Measuring]:
    """All that was said; the last tick is the end of the span."""
    said: list[SlotCounts] = []
    kept: list[bytes] = []
    measuring = fresh(None)
    tick = 0
    for (counts, points), what in zip(history.batches, history.after, strict=True):
        said.append(measuring.fold(SlotCounts.from_columns(columns(counts)).merged(), Points.from_rows(points)))
        if what in {"advance", "leap"}:
            tick = min(tick + (SLOT if what == "advance" else 7 * SLOT), SPAN_S * SECOND)
            said.append(measuring.advance(tick))
        page = measuring.unsaved()
        kept.extend([] if page is None else [page])
        measuring.saved()
        if what == "gather":
            whole = measuring.whole()
            kept = [] if whole is None else [whole]
        if what in {"restart", "gather"}:
            measuring = fresh(measuring.sealed_us)
            measuring.restore(kept)
    said.append(measuring.advance(SPAN_S * SECOND))
    return said, measuring


def fresh(sealed_us: int | None) -> Measuring:
    measuring = Measuring(SLOT, sealed_us)
    measuring.define(DEFINITIONS)
    return measuring


def columns(rows: list[Row]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, 6).T


def expected(history: History) -> SlotCounts:
    counts = [row for batch, _ in history.batches for row in batch]
    points = [row for _, batch in history.batches for row in batch]
    return measured(DEFINITIONS, counts, points, SPAN_S * SECOND)


@pytest.mark.parametrize(
    "of",
    [counter_points(), state_points(), sightings(), pair_events(), sketch_points()],
    ids=["counters", "states", "sightings", "pairs", "sketches"],
)
@examples(300, deadline=None)
@given(data=st.data())
def test_any_order_and_any_cut_come_to_what_the_oracle_says(of: st.SearchStrategy[Row], data: st.DataObject) -> None:
    """Late ones mend, restarts lose nothing, and nothing is a stray within the time that is kept."""
    history = data.draw(histories(of))

    said, measuring = run(history)

    assert told(said) == expected(history)
    assert measuring.strays == 0


@examples(300, deadline=None)
@given(history=histories(st.one_of(counter_points(), state_points(), sketch_points()), count_rows()))
def test_slices_of_counts_counters_and_states_come_to_what_the_oracle_says(history: History) -> None:
    """Whatever a slice is made of, and whenever it came."""
    said, _ = run(history)

    assert told(said) == expected(history)


def test_damaged_rows_are_said_to_be() -> None:
    """Nothing is made up from them."""
    with pytest.raises(CorruptSlots):
        fresh(None).restore([b"\xff"])
