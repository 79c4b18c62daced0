from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import durations
from evaluators.durations import DAY, HOUR, MINUTE, SECOND, DurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10 * SECOND),
        ("5m", 5 * MINUTE),
        ("6h", 6 * HOUR),
        ("30d", 30 * DAY),
        ("4w", 28 * DAY),
        ("1h30m", 90 * MINUTE),
        ("250ms", 250_000),
        ("7us", 7),
        (" 1d ", 86_400 * SECOND),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_as_elapsed_microseconds(text: str, expected: int) -> None:
    """A day is 86,400 s; compounds add up."""
    assert durations.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1Q", "calendar: quarter"),
        ("1M", "calendar: month"),
        ("1Y", "calendar: year"),
        ("", "such as 10s"),
        ("90", "such as 10s"),
        ("1.5h", "whole numbers"),
        ("-5m", "such as 10s"),
        ("٣m", "such as 10s"),
        ("5m\n6h", "such as 10s"),
        ("9" * 5000 + "d", "such as 10s"),
        ("30m1h", "greater units come first"),
        ("1h1h", "each once"),
        ("99999w", "100 years"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_was_expected(text: str, said: str) -> None:
    """The message alone is enough to mend it."""
    with pytest.raises(DurationError, match=said):
        durations.parse(text)


@pytest.mark.parametrize(
    ("us", "name"),
    [
        (5 * MINUTE, "5m"),
        (90 * MINUTE, "90m"),
        (HOUR, "1h"),
        (3 * DAY, "3d"),
        (28 * DAY, "28d"),
        (1_500_000, "1500ms"),
        (3, "3us"),
        (0, "0s"),
    ],
)
def test_a_window_has_the_shortest_name_in_one_unit(us: int, name: str) -> None:
    """The names that windows have in pages, labels and the API."""
    assert durations.format(us) == name


@given(st.integers(min_value=0, max_value=durations.LONGEST))
def test_a_name_reads_back_as_the_same_duration(us: int) -> None:
    """`parse` is the inverse of `format`, to the microsecond."""
    assert durations.parse(durations.format(us)) == us


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (14 * HOUR + 30 * MINUTE, "14 h 30 min"),
        (12 * MINUTE, "12 min"),
        (3 * DAY + 4 * HOUR + 59 * MINUTE, "3 d 4 h"),
        (2 * DAY + 5 * MINUTE, "2 d"),
        (45 * SECOND + 1, "45 s"),
        (90 * SECOND, "1 min 30 s"),
        (1, "under 1 s"),
        (0, "0 s"),
        (-5 * MINUTE, "-5 min"),
    ],
)
def test_a_duration_in_words_has_its_two_greatest_units(us: int, words: str) -> None:
    """For pages and reasons: as precise as a person cares for."""
    assert durations.in_words(us) == words


@given(st.text())
def test_any_text_is_a_duration_or_a_named_error(text: str) -> None:
    """Nothing but DurationError comes out."""
    with suppress(DurationError):
        assert durations.parse(text) >= 0
