"""When it began: the first bad slot that mattered, worked out by hand for short rows of slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evaluators.engine.figures import earliest_bad_us, first_bad_us, last_bad_us

SLOT = 10
UNTIL = 1_000


def first_bad(failures: Sequence[int], *, short: int, rate: float = 0.1, total: int = 10) -> int | None:
    """The slot (its place in the row) of `first_bad_us`."""
    bad = np.array(failures, dtype=np.int64)
    found = first_bad_us(bad, np.full_like(bad, total), UNTIL, SLOT, short * SLOT, rate)
    return None if found is None else len(bad) - (UNTIL - found) // SLOT


@pytest.mark.parametrize(
    ("failures", "short", "first"),
    [
        # the odd failure long before does not count
        ([1, 0, 0, 0, 5, 5, 5], 3, 4),
        # nor does one just before, within the short window of the first burning tick
        ([0, 0, 1, 0, 0, 9, 9, 9], 3, 5),
        # a pause shorter than the short window is part of the same run
        ([0, 0, 5, 5, 0, 5, 5], 3, 2),
        # a longer one breaks it
        ([5, 5, 0, 0, 0, 5, 5], 2, 5),
        # it was bad all along: the change lies where the row begins
        ([5, 5, 5, 5], 2, 0),
        # it is only visible at the last slot
        ([0, 0, 0, 9], 1, 3),
        # a window longer than the row looks at the row
        ([0, 0, 9, 9], 30, 2),
    ],
)
def test_a_burn_began_where_failures_exceed_the_rate_by_the_most(failures: list[int], short: int, first: int) -> None:
    """The change point of the run of burning ticks that lasts up to now."""
    assert first_bad(failures, short=short) == first


def test_of_equally_good_change_points_the_latest_is_taken() -> None:
    """A slot that burns at the very rate neither adds nor takes."""
    assert first_bad([0, 1, 1, 5], short=3, rate=0.1) == 3


def test_a_burn_without_any_failure_has_no_first_slot() -> None:
    """Then the caller says when."""
    assert first_bad([0, 0, 0, 0], short=2) is None


def test_a_window_longer_than_the_row_that_burns_by_older_slots_takes_what_the_row_has() -> None:
    """The row alone is calm; its bad slot is the best that is known."""
    assert first_bad([0, 0, 1, 0], short=30) == 2


@pytest.mark.parametrize(
    ("failures", "earliest", "last"), [([0, 2, 0, 3, 0], 1, 3), ([1, 0, 0], 0, 0), ([0, 0, 7], 2, 2)]
)
def test_the_earliest_and_the_last_bad_slot_are_found(failures: list[int], earliest: int, last: int) -> None:
    """As times: the start of the slot."""
    bad = np.array(failures, dtype=np.int64)
    start_us = UNTIL - len(bad) * SLOT
    assert earliest_bad_us(bad, UNTIL, SLOT) == start_us + earliest * SLOT
    assert last_bad_us(bad, UNTIL, SLOT) == start_us + last * SLOT


def test_without_failures_there_is_no_bad_slot() -> None:
    """None, not the edge of the row."""
    nothing = np.zeros(4, dtype=np.int64)
    assert earliest_bad_us(nothing, UNTIL, SLOT) is None
    assert last_bad_us(nothing, UNTIL, SLOT) is None
