"""Rings of counts: what is kept, what is forgotten, and as narrow as the numbers allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.engine.tiers import Tier
from evaluators.slots import Int64s


def ints(*numbers: int) -> Int64s:
    return np.array(numbers, dtype=np.int64)


def ring(*, rows: int = 4, series: int = 2, end: int = 4) -> Tier:
    return Tier(10, rows, 1, series, end)


def put(tier: Tier, *points: tuple[int, int, int]) -> None:
    """Add (row, column, value) points."""
    row, column, value = (ints(*each) for each in zip(*points, strict=True))
    tier.add(row, column, value[None])


def rows_of(tier: Tier) -> list[list[int]]:
    return tier.read(tier.first, tier.end)[0].tolist()


def test_counts_of_one_cell_add_up() -> None:
    """In any order, corrections included."""
    tier = ring()
    put(tier, (3, 1, 5), (0, 0, 2), (3, 1, -2), (3, 1, 1))
    assert rows_of(tier) == [[2, 0], [0, 0], [0, 0], [0, 4]]


def test_rows_that_are_not_kept_are_passed_over() -> None:
    """Neither what has left nor what has not come lands in another row."""
    tier = ring(end=6)
    put(tier, (1, 0, 9), (6, 0, 9), (2, 0, 1))
    assert rows_of(tier) == [[1, 0], [0, 0], [0, 0], [0, 0]]


def test_only_rows_that_are_not_kept_change_nothing() -> None:
    """Nor does no row at all."""
    tier = ring()
    put(tier, (9, 0, 9))
    assert rows_of(tier) == [[0, 0]] * 4


def test_a_ring_forgets_what_falls_out() -> None:
    """The rows that come in are empty."""
    tier = ring()
    put(tier, (0, 0, 1), (1, 0, 2), (3, 0, 4))
    tier.extend(5)
    assert (tier.first, rows_of(tier)) == (1, [[2, 0], [0, 0], [4, 0], [0, 0]])


def test_a_ring_that_is_passed_by_far_is_empty() -> None:
    """Everything has fallen out."""
    tier = ring()
    put(tier, (0, 0, 1), (3, 1, 4))
    tier.extend(100)
    assert rows_of(tier) == [[0, 0]] * 4


def test_a_ring_never_goes_back() -> None:
    """An end that was passed already changes nothing."""
    tier = ring()
    put(tier, (3, 0, 4))
    tier.extend(2)
    assert (tier.end, rows_of(tier)[3]) == (4, [4, 0])


@pytest.mark.parametrize(
    ("value", "width"),
    [(127, "int8"), (128, "int16"), (-129, "int16"), (1 << 15, "int32"), (1 << 31, "int64"), (-(1 << 63), "int64")],
)
def test_a_ring_is_as_narrow_as_its_numbers_allow(value: int, width: str) -> None:
    """And holds them exactly."""
    tier = ring()
    put(tier, (2, 1, value))
    assert tier.rings[0].dtype == np.dtype(width)
    assert rows_of(tier)[2] == [0, value]


def test_a_ring_that_was_widened_stays_wide() -> None:
    """Narrow numbers that come later do not lose the wide ones."""
    tier = ring()
    put(tier, (2, 1, 1_000))
    put(tier, (3, 1, 1))
    assert rows_of(tier)[2:] == [[0, 1_000], [0, 1]]


def test_some_series_can_be_read() -> None:
    """In the order that is asked for."""
    tier = ring()
    put(tier, (1, 0, 1), (1, 1, 2))
    assert tier.read(1, 3, ints(1, 0))[0].tolist() == [[2, 1], [0, 0]]


@pytest.mark.parametrize(("first", "end", "words"), [(-1, 2, "have left"), (2, 5, "not come")])
def test_rows_outside_the_ring_cannot_be_read(first: int, end: int, words: str) -> None:
    """They would be other rows' counts."""
    with pytest.raises(AssertionError, match=words):
        ring().read(first, end)


def test_series_are_kept_in_order_and_new_ones_are_empty() -> None:
    """The one that is not named is gone."""
    tier = ring(series=3)
    put(tier, (3, 0, 1), (3, 1, 2), (3, 2, 300))
    tier.keep(ints(2, 0), 1)
    assert rows_of(tier)[3] == [300, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1), st.integers(-300, 300)), min_size=1))
def test_a_ring_holds_the_newest_rows_of_everything_that_was_added(points: list[tuple[int, int, int]]) -> None:
    """Whatever comes when."""
    tier, wanted = Tier(10, 8, 1, 2, 1), np.zeros((40, 2), dtype=np.int64)
    for row, column, value in points:
        if row >= tier.first:
            wanted[row, column] += value
        tier.extend(row + 1)
        put(tier, (row, column, value))
    first = max(tier.first, 0)
    assert tier.read(first, tier.end)[0].tolist() == wanted[first : tier.end].tolist()
