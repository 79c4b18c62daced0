"""When a notification is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.alerting.backoff import FIRST_DELAY_S, GREATEST_DELAY_S, JITTER, LEAST_ATTEMPTS, delay_s, given_up


def test_delays_double_up_to_the_greatest() -> None:
    """1, 2, 4 ... 300 s in the middle of the jitter."""
    middle = [delay_s(attempts, 0.5) for attempts in (1, 2, 3, 9, 10, 1000)]
    assert middle == [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]


def test_a_receiver_that_asks_for_a_pause_gets_it_up_to_the_greatest() -> None:
    """Retry-After lengthens, never shortens, and has a bound."""
    assert delay_s(1, 0.5, 60.0) == 60.0
    assert delay_s(9, 0.5, 1.0) == 256.0
    assert delay_s(1, 0.5, 86400.0) == GREATEST_DELAY_S


def test_a_page_is_given_up_a_day_after_it_was_written_and_never_before_some_tries() -> None:
    """Attempts alone say nothing: many rows of one target take turns."""
    day = 86_400.0
    assert given_up(LEAST_ATTEMPTS, day)
    assert not given_up(LEAST_ATTEMPTS - 1, 7 * day)
    assert not given_up(10_000, day - 1)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9))
def test_a_delay_always_lies_within_its_bounds(attempts: int, chance: float, asked: float | None) -> None:
    """Whatever comes in, the next try is neither at once nor never."""
    delay = delay_s(attempts, chance, asked)
    assert FIRST_DELAY_S * (1 - JITTER) <= delay <= GREATEST_DELAY_S * (1 + JITTER)
