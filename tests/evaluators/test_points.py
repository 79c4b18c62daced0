"""Points: packed and unpacked, told apart, and never believed when they are damaged."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.packing import CorruptSlots
from evaluators.points import Kind, Points, hashed, joined, source_of, tagged

numbers = st.integers(-(1 << 62), 1 << 62)
rows = st.lists(st.tuples(numbers, numbers, st.integers(0, 511), numbers, numbers, numbers), max_size=20)


@given(rows=rows)
def test_what_is_packed_comes_back(rows: list[tuple[int, ...]]) -> None:
    """As the same set, however it was ordered."""
    points = Points.from_rows(rows)

    assert Points.unpack(points.pack()) == points
    assert Points.from_rows(rows[::-1]) == points
    assert joined([points, Points.empty()]) == points


@given(rows=rows, cut=st.integers(0, 200), byte=st.integers(0, 255))
def test_damaged_bytes_are_said_to_be(rows: list[tuple[int, ...]], cut: int, byte: int) -> None:
    """Cut short, or of another format."""
    packed = Points.from_rows(rows).pack()

    with pytest.raises(CorruptSlots):
        Points.unpack(packed[: min(cut, len(packed) - 1)])
    with pytest.raises(CorruptSlots):
        Points.unpack(bytes([byte]) + packed)


def test_a_body_of_another_length_is_said_to_be_damaged() -> None:
    """Though it was packed by the rules."""
    with pytest.raises(CorruptSlots):
        Points.unpack(b"UP1" + zlib.compress(b"\1\0\0\0" + b"\0" * 8))
    with pytest.raises(CorruptSlots):
        Points.unpack(b"UP1" + zlib.compress(b"\1"))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(("good", "total", "excluded"), [(-1, 0, False), (0, 1, True), (1, 1, False)])
def test_a_tag_says_all_that_it_was_made_of(kind: Kind, good: int, total: int, excluded: bool) -> None:
    """Kind, both sides, and whether the contractual view leaves it out."""
    points = Points.from_rows([(1, 2, tagged(kind, good=good, total=total, excluded=excluded), 3, 4, 5)])

    assert (points.kind[0], points.good[0], points.total[0], points.excluded[0]) == (kind, good, total, excluded)
    assert not points.anchor[0]
    assert len(points.of(kind)) == 1


def test_a_source_is_its_metric_and_labels_in_any_order_and_nothing_else() -> None:
    """Texts that run together differently are other sources."""
    assert source_of("m", {"a": "1", "b": "2"}) == source_of("m", {"b": "2", "a": "1"})
    assert source_of("m", {"a": "1"}) != source_of("m", {"a": "2"}) != source_of("n", {"a": "2"})
    assert hashed(("ab", "c")) != hashed(("a", "bc"))
    assert 0 <= hashed(("\ud800",)) < 1 << 63


def test_points_are_not_equal_to_anything_else() -> None:
    """They are compared as sets."""
    assert Points.empty() != 1
