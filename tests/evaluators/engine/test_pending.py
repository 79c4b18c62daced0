"""Counts ahead of the tick wait, by bucket, until their slot is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evaluators.engine.pending import BUCKET_SLOTS, Pending
from evaluators.slots import SlotCounts
from tests.evaluators.engine.promises import counts

ROWS = st.lists(st.tuples(st.integers(1, 3), st.integers(-500, 1500), st.integers(1, 9)), max_size=30)


def at(*slots: int) -> SlotCounts:
    """One sample of series 1 in each slot."""
    return counts((1, slot, 1, 1, 0, 0) for slot in slots)


def test_nothing_waits_at_first() -> None:
    """Nor after nothing was added."""
    pending = Pending()
    pending.add(SlotCounts.empty())
    assert (len(pending), pending.first_slot) == (0, None)
    assert len(pending.before(10)) == 0


def test_the_earliest_slot_is_known() -> None:
    """Within its bucket and over all."""
    pending = Pending()
    pending.add(at(2 * BUCKET_SLOTS, 5, 3))
    assert pending.first_slot == 3


def test_a_bucket_in_one_part_is_kept_as_it_came() -> None:
    """Though the first and the last slot alone do not tell."""
    pending = Pending()
    pending.add(at(1, 2, 3))
    pending.add(at(1, BUCKET_SLOTS, 3))
    assert [part.slot.tolist() for part in pending.parts()] == [[1, 2, 3], [1, 3], [BUCKET_SLOTS]]


def test_what_is_due_is_taken_out() -> None:
    """Whole buckets and a part of one; the rest waits on."""
    pending = Pending()
    pending.add(at(1, BUCKET_SLOTS + 1, BUCKET_SLOTS + 7, 3 * BUCKET_SLOTS))
    assert pending.before(BUCKET_SLOTS + 7).slot.tolist() == [1, BUCKET_SLOTS + 1]
    assert (len(pending), pending.first_slot) == (2, BUCKET_SLOTS + 7)


def test_a_bucket_of_which_nothing_is_due_waits_whole() -> None:
    """Its beginning has passed, its counts have not."""
    pending = Pending()
    pending.add(at(5))
    assert len(pending.before(4)) == 0
    assert pending.first_slot == 5


@given(st.lists(ROWS, max_size=4), st.lists(st.integers(-500, 1600), max_size=4))
def test_every_row_is_taken_out_once_and_in_time(parts: list[list[tuple[int, int, int]]], ticks: list[int]) -> None:
    """However it came and whenever it is asked for."""
    pending, wanted, taken = Pending(), [], []
    for part in parts:
        rows = [(series, slot, good, good, 0, 0) for series, slot, good in part]
        pending.add(counts(rows))
        wanted += rows
    for tick in sorted(ticks):
        due = pending.before(tick)
        assert (due.slot < tick).all()
        assert pending.first_slot is None or pending.first_slot >= tick
        taken += due.columns.T.tolist()
    taken += pending.before(2_000).columns.T.tolist()
    assert counts(taken) == counts(wanted)
    assert len(pending) == 0
