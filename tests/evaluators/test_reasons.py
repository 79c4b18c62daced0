"""The reasons as somebody reads them on a page at night."""

from __future__ import annotations

import math

import pytest

from evaluators import reasons
from evaluators.durations import DAY, HOUR, MINUTE


@pytest.mark.parametrize(
    ("spent", "allowed", "words"),
    [
        (312, 1000, "31.2% of the error budget spent"),
        (1, 2, "50% of the error budget spent"),
        (0, 0, "none of the error budget spent"),
    ],
)
def test_a_promise_that_is_met_says_how_much_of_its_budget_is_spent(spent: float, allowed: float, words: str) -> None:
    """Without a budget yet there is nothing to divide by."""
    assert reasons.met(spent, allowed) == words


@pytest.mark.parametrize(
    ("burn_long", "burn_short", "words"),
    [
        (14.86, 16.2, "burning 14.9x over 1h and 16.2x over 5m (contractual)"),
        (99.94, 100.4, "burning 99.9x over 1h and 100x over 5m (contractual)"),
        (1234.5, math.nan, "burning 1,234x over 1h and 0x over 5m (contractual)"),
    ],
)
def test_a_burn_is_told_over_both_windows(burn_long: float, burn_short: float, words: str) -> None:
    """Tenths where they matter; nothing counted is no burn."""
    assert reasons.burning(burn_long, burn_short, "1h", "5m", "contractual", None) == words


def test_a_burn_with_a_forecast_says_when_the_budget_is_gone() -> None:
    """The forecast follows the burn."""
    text = reasons.burning(2, 3, "6h", "30m", "experienced", 14 * HOUR + 30 * MINUTE)
    assert text == "burning 2.0x over 6h and 3.0x over 30m (experienced); budget gone in 14 h 30 min at this rate"


@pytest.mark.parametrize(
    ("gone_in_us", "words"),
    [(2 * DAY, "budget gone in 2 d at this rate (contractual)"), (None, "budget nearly gone (contractual)")],
)
def test_an_exhaustion_says_when_the_budget_is_gone(gone_in_us: int | None, words: str) -> None:
    """Or that there is hardly any left."""
    assert reasons.exhausted("contractual", gone_in_us) == words


@pytest.mark.parametrize(
    ("failures", "allowed", "words"),
    [
        (1204, 1000.4, "budget spent: 1,204 of 1,000 allowed failures this month"),
        (3, 2.0, "budget spent: 3 of 2 allowed failures this month"),
        (3, 2.46, "budget spent: 3 of 2.5 allowed failures this month"),
    ],
)
def test_a_breach_compares_failures_with_what_was_allowed(failures: int, allowed: float, words: str) -> None:
    """Small budgets show a tenth where there is one."""
    assert reasons.spent(failures, allowed, "this month") == words


def test_a_low_budget_is_compared_with_its_bound() -> None:
    """Both as shares of the budget."""
    assert reasons.left(0.042, 0.1, "contractual") == "4.2% of the error budget left, below 10% (contractual)"


@pytest.mark.parametrize(("for_us", "words"), [(12 * MINUTE, "no events for 12 min"), (None, "no events yet")])
def test_a_silence_says_how_long_it_lasts(for_us: int | None, words: str) -> None:
    """Unless nothing was heard ever."""
    assert reasons.silent(for_us) == words


def test_blindness_names_its_cause() -> None:
    """So that nobody looks for it in the service."""
    assert reasons.blind("partition 3 is behind") == "blind: partition 3 is behind"


@pytest.mark.parametrize(
    ("kind", "length_us", "words"),
    [
        ("calendar", DAY, "today"),
        ("calendar", DAY + HOUR, "today"),
        ("calendar", 7 * DAY, "this week"),
        ("calendar", 28 * DAY, "this month"),
        ("calendar", 31 * DAY + HOUR, "this month"),
        ("calendar", 92 * DAY, "this quarter"),
        ("calendar", 366 * DAY, "this year"),
        ("rolling", 30 * DAY + 15 * MINUTE, "in the last 30 d"),
        ("rolling", 6 * HOUR + 10 * MINUTE, "in the last 6 h"),
        ("rolling", 5 * MINUTE + 1, "in the last 5 min"),
        ("rolling", MINUTE // 2, "in the last 1 min"),
    ],
)
def test_a_period_is_called_what_people_call_it(kind: str, length_us: int, words: str) -> None:
    """Days with a change of clocks and rounded starts included."""
    assert reasons.period_words(kind, DAY, DAY + length_us) == words
