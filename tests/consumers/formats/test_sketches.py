"""Values of the bins of the Datadog agent's sketch."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.sketches import LARGEST_KEY, value_of
from tests.examples import examples


def key_of(value: float) -> int:
    """The bin of a positive value, as Vector's `Config::key` has it with the agent's defaults."""
    gamma = math.log(1 + 2 / 128)
    return round(math.log(value) / gamma) + 1 - math.floor(math.log(1e-9) / gamma)


@given(value=st.floats(1e-9, 1e12))
@examples(200)
def test_the_value_of_a_bin_is_within_a_128th_of_what_came(value: float) -> None:
    """On either side of zero."""
    key = key_of(value)

    assert value_of(key, None, None) == pytest.approx(value, rel=1 / 128)
    assert value_of(-key, None, None) == -value_of(key, None, None)


def test_one_is_in_bin_1338() -> None:
    """The agent's own bias."""
    assert key_of(1.0) == 1338
    assert value_of(1338, None, None) == 1.0


@pytest.mark.parametrize(("key", "expected"), [(0, 0.0), (LARGEST_KEY, math.inf), (-LARGEST_KEY, -math.inf)])
def test_the_outermost_bins_and_the_middle_one(key: int, expected: float) -> None:
    """What is too large for any bin, and what is as good as zero."""
    assert value_of(key, None, None) == expected


def test_no_value_is_further_out_than_what_came() -> None:
    """The ends of a sketch are exact."""
    assert value_of(1338, 1.001, 2.0) == 1.001
    assert value_of(1338, 0.5, 0.999) == 0.999
    assert value_of(LARGEST_KEY, 0.0, 1e300) == 1e300


def test_ends_of_an_empty_sketch_say_nothing() -> None:
    """There the least is the largest number there is."""
    assert value_of(1338, 1.7e308, -1.7e308) == 1.0
