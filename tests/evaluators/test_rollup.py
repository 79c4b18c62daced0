"""Rolled-up counts have the sums that windows promise, whatever was rolled up when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import rollup
from evaluators.agreements import RollingPeriod
from evaluators.calendars import COARSE_STEP
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.engine.timeline import LONGEST_BATCH, Timeline
from evaluators.rollup import Needed, finest_step, rolled
from evaluators.slots import SlotCounts, concatenated

SLOT = 10 * SECOND
STEPS = st.sampled_from([MINUTE, COARSE_STEP])
EDGES = st.lists(st.integers(-40 * SLOT, 300 * SLOT), max_size=4)


def counted(*rows: tuple[int, int, int]) -> SlotCounts:
    """Rows of (series, slot, total)."""
    series, slot, total = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return SlotCounts(series, slot, total - total // 3, total, total // 9, total // 7)


ROWS = st.lists(st.tuples(st.integers(1, 3), st.integers(-40, 300), st.integers(0, 50)), max_size=60)
COUNTS = ROWS.map(lambda rows: counted(*rows).merged())


def total_of(counts: SlotCounts, series: int, from_us: int, until_us: int) -> list[int]:
    at = counts.slot * SLOT
    within = counts.take((counts.series == series) & (at >= from_us) & (at < until_us))
    return within.columns[2:].sum(axis=1).tolist()


@given(COUNTS, STEPS, EDGES, st.integers(-3, 60), st.integers(0, 60))
def test_every_window_on_whole_steps_and_edges_sums_the_same(
    counts: SlotCounts, step_us: int, edges: list[int], first: int, length: int
) -> None:
    """From a step or an edge to a step or an edge."""
    coarse = rolled(counts, step_us, SLOT, edges)
    bounds = [first * step_us, (first + length) * step_us, *edges]
    for from_us in bounds:
        for until_us in bounds:
            for series in (1, 2, 3):
                assert total_of(coarse, series, from_us, until_us) == total_of(counts, series, from_us, until_us)


@given(COUNTS, COUNTS, STEPS, EDGES)
def test_late_counts_lead_to_what_all_at_once_leads_to(
    counts: SlotCounts, late: SlotCounts, step_us: int, edges: list[int]
) -> None:
    """Rolled up before, together, or twice; and by minute in between."""
    together = rolled(concatenated([counts, late]).merged(), step_us, SLOT, edges)
    by_minute = rolled(counts, MINUTE, SLOT, edges)
    for parts in ([rolled(counts, step_us, SLOT, edges), late], [by_minute, rolled(late, step_us, SLOT, edges)]):
        assert rolled(concatenated(parts).merged(), step_us, SLOT, edges) == together
    assert rolled(together, step_us, SLOT, edges) == together


@given(COUNTS, STEPS, EDGES)
def test_no_step_has_more_rows_than_sides_and_the_first_sample_stays(
    counts: SlotCounts, step_us: int, edges: list[int]
) -> None:
    """Order stays too: series, then slot, each once."""
    coarse = rolled(counts, step_us, SLOT, edges)
    steps = list(zip(coarse.series.tolist(), (coarse.slot * SLOT // step_us).tolist(), strict=True))
    assert max((steps.count(step) for step in steps), default=0) <= 1 + len(edges)
    assert np.array_equal(coarse.columns, coarse.merged().columns)
    for series in (1, 2, 3):
        seen = [each.take((each.series == series) & (each.total != 0)).slot for each in (counts, coarse)]
        assert (seen[0].min() if len(seen[0]) else None) == (seen[1].min() if len(seen[1]) else None)


def test_what_lies_beside_an_edge_is_kept_apart() -> None:
    """Of one minute, what a version counted and what the next did."""
    counts = counted((1, 61, 3), (1, 63, 5), (1, 65, 7), (1, 66, 2))

    apart = rolled(counts, MINUTE, SLOT, [64 * SLOT])

    assert list(zip(apart.slot.tolist(), apart.total.tolist(), strict=True)) == [(61, 8), (65, 7), (66, 2)]
    assert rolled(counts, MINUTE, SLOT).total.tolist() == [15, 2]


def test_a_seen_slot_without_a_sample_is_not_the_first_one() -> None:
    """A row of nothing alone stays: somebody looked there."""
    counts = counted((1, 60, 0), (1, 62, 4), (2, 61, 0))

    coarse = rolled(counts, MINUTE, SLOT)

    assert coarse.columns[:2].T.tolist() == [[1, 62], [2, 61]]


def test_nothing_rolled_up_is_nothing() -> None:
    assert not len(rolled(SlotCounts.empty(), MINUTE, SLOT))


def test_what_sums_need_grows_coarser_with_age() -> None:
    """From a whole minute and a whole quarter on; edges stay edges."""
    needed = Needed(slots_us=400 * SLOT, minutes_us=200 * SLOT)
    counts = counted(*((1, slot, 1) for slot in range(178, 404)), *((2, slot, 1) for slot in (1, 2, 91)))

    found = needed.of(counts, SLOT, [2 * SLOT])

    minutes = [(1, slot, 6) for slot in range(180, 396, 6)]
    slots = [(1, slot, 1) for slot in range(396, 404)]
    quarters = [(1, 178, 2), (2, 1, 1), (2, 2, 1), (2, 91, 1)]
    assert list(zip(*found.columns[[0, 1, 3]].tolist(), strict=True)) == [*quarters, *minutes, *slots]
    recent = counted(*slots)
    assert needed.of(recent, SLOT, []) is recent


def test_what_can_be_told_apart_grows_coarser_with_age() -> None:
    """Slots for some two days, with the windows of six hours that end there; then minutes; after 13 months quarters."""
    tick = 1000 * DAY + 5 * HOUR
    fine_from = rollup.minutes_before_us(tick, SLOT) + 6 * HOUR
    minutes_from = rollup.quarters_before_us(tick) + 3 * DAY

    assert [finest_step(at, tick, SLOT) for at in (tick, fine_from)] == [SLOT, SLOT]
    assert [finest_step(at, tick, SLOT) for at in (fine_from - 1, minutes_from)] == [MINUTE, MINUTE]
    assert [finest_step(at, tick, SLOT) for at in (minutes_from - 1, 0)] == [COARSE_STEP, COARSE_STEP]
    assert tick - fine_from > 40 * HOUR
    assert tick - minutes_from > 390 * DAY


@pytest.mark.parametrize("slot_us", [SECOND, 10 * SECOND, 12 * SECOND, 20 * SECOND, 30 * SECOND])
def test_no_ring_of_slots_reaches_into_minutes(slot_us: int) -> None:
    """However few series an engine has, and so however long its rings are."""
    tick = 1000 * DAY
    timeline = Timeline(slot_us, RollingPeriod(6 * HOUR), [6 * HOUR], 2, 1, tick)

    assert timeline.slots.first * slot_us > rollup.minutes_before_us(tick, slot_us)
    assert rollup.RING_SLOTS == LONGEST_BATCH
