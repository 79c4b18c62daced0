"""Counts per (series, slot): merging has an algebra, packing an inverse."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.slots import COLUMNS, CorruptSlots, Int64s, SlotCounts, concatenated
from tests.examples import examples

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
EXTREMES = st.lists(st.tuples(*[INT64] * 6), max_size=20)
COUNT = st.integers(-1_000, 1_000)
ROWS = st.lists(st.tuples(st.integers(1, 3), st.integers(-4, 4), *[COUNT] * len(COLUMNS)), max_size=10)
"""Few series and slots, so that many rows meet; negative counts, as a correction has them."""

Rows = list[tuple[int, ...]]


def counts(rows: Rows) -> SlotCounts:
    return SlotCounts.from_columns(np.array(rows, dtype=np.int64).reshape(-1, 6).T)


def rows_of(given_counts: SlotCounts) -> Rows:
    return [tuple(row) for row in given_counts.columns.T.tolist()]


def added_up(rows: Rows) -> Rows:
    """One row for each (series, slot), in order, by adding one row after the other."""
    sums = {row[:2]: Counter[int]() for row in sorted(rows)}
    for row in rows:
        for place, value in enumerate(row[2:]):
            sums[row[:2]][place] += value
    return [(*key, *(sums[key][place] for place in range(len(COLUMNS)))) for key in sums]


# ---------------------------------------------------------------------------------------------------------- merging


@examples(50)
@given(ROWS)
def test_merging_adds_up_each_slot_of_each_series(rows: Rows) -> None:
    """One row each, by series, then slot; slots whose counts are zero are still seen."""
    assert rows_of(counts(rows).merged()) == added_up(rows)


@examples(50)
@given(ROWS, st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order(rows: Rows, random: Random) -> None:
    """Commutative."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert rows_of(counts(shuffled).merged()) == rows_of(counts(rows).merged())


@examples(40)
@given(ROWS, ROWS, ROWS)
def test_merging_does_not_depend_on_what_was_merged_first(one: Rows, two: Rows, three: Rows) -> None:
    """Associative, and the same as all rows at once."""
    a, b, c = counts(one), counts(two), counts(three)
    left = concatenated([concatenated([a, b]).merged(), c]).merged()
    right = concatenated([a, concatenated([b, c]).merged()]).merged()
    assert rows_of(left) == rows_of(right) == added_up(one + two + three)


@examples(50)
@given(ROWS)
def test_what_is_merged_stays_so(rows: Rows) -> None:
    """Idempotent, with nothing as its neutral element."""
    once = counts(rows).merged()
    assert rows_of(once.merged()) == rows_of(once)
    assert rows_of(concatenated([once, SlotCounts.empty()]).merged()) == rows_of(once)


# ---------------------------------------------------------------------------------------------------------- equality


@examples(60)
@given(ROWS, ROWS)
def test_counts_are_equal_when_they_add_up_to_the_same(one: Rows, other: Rows) -> None:
    """However many rows say it."""
    assert (counts(one) == counts(other)) == (added_up(one) == added_up(other))
    assert counts(one) == counts(one[::-1])


def test_counts_are_no_rows_of_another_type_and_no_keys() -> None:
    """A list of the same numbers is something else; equality by sums has no cheap hash."""
    some = counts([(1, 2, 3, 4, 0, 0)])
    assert some != [(1, 2, 3, 4, 0, 0)]
    with pytest.raises(TypeError, match="unhashable"):
        hash(some)


# ---------------------------------------------------------------------------------------------------------- rows


def test_nothing_has_six_columns_without_rows() -> None:
    """And merging leaves it as it is."""
    nothing = SlotCounts.empty()
    assert len(nothing) == 0
    assert nothing.columns.shape == (6, 0)
    assert nothing.merged() is nothing


def test_columns_become_whole_numbers_of_one_width() -> None:
    """Whatever integers they were made of."""
    narrow = SlotCounts.from_columns(np.arange(12, dtype=np.int32).reshape(6, 2))
    assert {column.dtype for column in (narrow.series, narrow.slot, narrow.excluded_total)} == {np.dtype(np.int64)}
    assert narrow.columns.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]


@pytest.mark.parametrize(
    "chosen",
    [np.array([True, False, True]), np.array([0, 2]), slice(0, 3, 2)],
    ids=["mask", "indices", "slice"],
)
def test_rows_are_taken_with_all_their_columns(chosen: Int64s | slice) -> None:
    """By a mask, by indices or by a slice."""
    three = [(1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12), (13, 14, 15, 16, 17, 18)]
    assert rows_of(counts(three).take(chosen)) == [three[0], three[2]]


@examples(30)
@given(st.lists(ROWS, max_size=4))
def test_parts_are_put_one_after_the_other(parts: list[Rows]) -> None:
    """Row for row, not merged; no parts are no rows."""
    assert rows_of(concatenated([counts(part) for part in parts])) == [row for part in parts for row in part]


def test_one_part_is_not_copied() -> None:
    """A live tick mostly brings one."""
    some = counts([(1, 2, 3, 4, 0, 0)])
    assert concatenated([some]) is some


# ---------------------------------------------------------------------------------------------------------- packing


@examples(50)
@given(EXTREMES)
def test_what_is_packed_is_unpacked_row_for_row(rows: Rows) -> None:
    """Over all of int64, in the order in which the rows came."""
    assert rows_of(SlotCounts.unpack(counts(rows).pack())) == rows


@examples(50)
@given(EXTREMES, st.data())
def test_parts_are_packed_each_alone_and_unpacked_in_any_order(rows: Rows, data: st.DataObject) -> None:
    """What is packed at once is what is packed one by one; parts of no rows are passed over."""
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(rows) - 1, 1)), max_size=5)) - {len(rows)})
    starts = [0, *cuts] if rows else []
    found = counts(rows).pack_parts(np.array(starts, dtype=np.int64))
    parts = [rows[first:end] for first, end in itertools.pairwise([*starts, len(rows)])]
    assert found == [counts(part).pack() for part in parts]
    order = data.draw(st.permutations(range(len(parts))))
    read = SlotCounts.unpack_parts([counts([]).pack(), *(found[place] for place in order)])
    assert rows_of(read) == [row for place in order for row in parts[place]]


def test_neighbouring_slots_pack_well() -> None:
    """A day of one series, in less than half a byte for each slot."""
    day = counts([(7, slot, 99, 100, 0, 0) for slot in range(8640)])
    assert len(day.pack()) < 8640 // 2


@given(st.binary(max_size=40).filter(lambda data: not data.startswith(b"U2")))
def test_bytes_of_another_format_are_refused(data: bytes) -> None:
    """A later version's, or somebody else's."""
    with pytest.raises(CorruptSlots, match="unknown format"):
        SlotCounts.unpack(data)


@examples(50)
@given(ROWS, st.data())
def test_bytes_that_were_cut_off_are_refused(rows: Rows, data: st.DataObject) -> None:
    """However few are missing."""
    packed = counts(rows).pack()
    with pytest.raises(CorruptSlots):
        SlotCounts.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


@examples(100)
@given(ROWS, st.data())
def test_a_flipped_bit_never_makes_other_counts(rows: Rows, data: st.DataObject) -> None:
    """It is noticed, or it was one of the few that say nothing."""
    packed = bytearray(counts(rows).pack())
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    try:
        read = SlotCounts.unpack(bytes(packed))
    except CorruptSlots:
        return
    assert rows_of(read) == rows


HEAD = struct.Struct("<Iqq6B")


@pytest.mark.parametrize(
    "body",
    [b"\0" * 7, HEAD.pack(2, 1, 1, 1, 0, 0, 0, 0, 0) + b"\0", HEAD.pack(1, 1, 1, 9, 0, 0, 0, 0, 0) + b"\0" * 9],
    ids=["no head", "a row too few", "too wide"],
)
def test_bytes_of_another_shape_are_refused(body: bytes) -> None:
    """Sound bytes that are no six columns of int64."""
    with pytest.raises(CorruptSlots, match="damaged"):
        SlotCounts.unpack(b"U2" + zlib.compress(body))
