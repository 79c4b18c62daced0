"""What an objective counts, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluators.agreements import (
    Budgeting,
    FreshnessIndicator,
    HistogramIndicator,
    Indicator,
    Occurrences,
    QuantileIndicator,
    RatioIndicator,
    RatioTimeslices,
    ResponseIndicator,
    ThresholdIndicator,
    ThroughputIndicator,
    Timeslices,
    UptimeIndicator,
)
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.selectors import Selector
from evaluators.units import Unit
from service.web.counting import amount, counting_lines, failures, good_words

M = Selector.parse("m")
N = Selector.parse('n{a="b"}')
RESPONSE = ResponseIndicator(M, N, "ticket", "lte", 4 * HOUR)


def said(indicator: Indicator, budgeting: Budgeting = Occurrences()) -> str:  # noqa: B008 - frozen
    promised, judged = good_words(indicator, budgeting)
    return f"{promised}.{judged}".replace("\N{NO-BREAK SPACE}", " ")


def lines(indicator: Indicator, budgeting: Budgeting = Occurrences()) -> dict[str, str]:  # noqa: B008 - frozen
    return {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in counting_lines(indicator, budgeting)}


@pytest.mark.parametrize(
    ("indicator", "words"),
    [
        (RatioIndicator(M, bad=N), "all samples are not bad."),
        (RatioIndicator(M, good=N), "all samples are good."),
        (ThresholdIndicator(M, "gte", 0.3), "all samples are at least 0.3."),
        (HistogramIndicator(M, 0.3), "all occurrences are at most 0.3."),
        (
            QuantileIndicator(M, 0.99, "lte", 0.3, MINUTE),
            "all slices of 1 minute have a p99 that is at most 0.3.",
        ),
        (
            QuantileIndicator(M, 0.999, "lt", 2, 5 * MINUTE),
            "all slices of 5 minutes have a p99.9 that is below 2.",
        ),
        (UptimeIndicator(M, MINUTE), "all time in which probes are known is up, as most of them say."),
        (UptimeIndicator(M, MINUTE, "any"), "all time in which probes are known is up, as any of them says."),
        (UptimeIndicator(M, MINUTE, "all"), "all time in which probes are known is up, as all of them say."),
        (ThroughputIndicator(M, "gte", 5, MINUTE), "all slices of 1 minute bring at least 5 a second."),
        (FreshnessIndicator(M, 2 * HOUR), "all time has a newest sample that is at most 2 hours old."),
        (RESPONSE, "all that is opened is closed in at most 4 hours."),
        (
            replace(RESPONSE, op="lt", within_us=DAY, paused=M, resumed=N),
            "all that is opened is closed in less than 1 day, pauses left out.",
        ),
    ],
)
def test_each_indicator_says_what_it_promises(indicator: Indicator, words: str) -> None:
    """As the end of "that 99.9 % of"."""
    assert said(indicator) == words


@pytest.mark.parametrize(
    ("budgeting", "words"),
    [
        (
            Timeslices(0.95, 5 * MINUTE),
            (
                "all slices of 5 minutes are good. A slice is good when at least 95 % of all samples in it are not bad; "
                "slices in which nothing counts are left out."
            ),
        ),
        (
            Timeslices(1, MINUTE, "good"),
            (
                "all slices of 1 minute are good. A slice is good when 100 % of all samples in it are not bad; "
                "slices in which nothing counts are good."
            ),
        ),
        (
            RatioTimeslices(HOUR, "bad"),
            (
                "all samples are not bad, as the mean of all slices of 1 hour. Each slice weighs the same, busy or not; "
                "slices in which nothing counts are bad."
            ),
        ),
    ],
)
def test_slices_are_explained_in_a_sentence_of_their_own(budgeting: Budgeting, words: str) -> None:
    """A reader who has never heard of them knows what is counted."""
    assert said(RatioIndicator(M, bad=N), budgeting) == words


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        (RatioIndicator(M, good=N), {"good": 'n{a="b"}', "total": "m"}),
        (ThresholdIndicator(M, "lt", 1), {"metric": "m", "good when": "value is below 1"}),
        (HistogramIndicator(M, 0.3), {"metric": "m", "good when": "in a bucket of at most 0.3"}),
        (
            QuantileIndicator(M, 0.5, "gt", 1, MINUTE),
            {"metric": "m", "good when": "a slice has a p50 that is above 1", "slice": "1 minute"},
        ),
        (
            UptimeIndicator(M, 90 * SECOND),
            {"state": "m", "up when": "most of them say so", "unknown after": "1 min 30 s"},
        ),
        (
            ThroughputIndicator(M, "lte", 0.5, MINUTE),
            {"metric": "m", "good when": "a slice brings at most 0.5 a second", "slice": "1 minute"},
        ),
        (FreshnessIndicator(M, DAY), {"metric": "m", "good while": "newest sample is at most 1 day old"}),
        (
            RESPONSE,
            {"opened": "m", "closed": 'n{a="b"}', "paired by": "ticket", "good when": "closed in at most 4 hours"},
        ),
    ],
)
def test_each_indicator_shows_its_selectors_as_they_were_written(
    indicator: Indicator, expected: dict[str, str]
) -> None:
    """With the part that each plays."""
    assert lines(indicator) == expected


def test_pauses_are_shown_where_there_are_some() -> None:
    """Between what opens and closes, and what joins them."""
    shown = lines(replace(RESPONSE, paused=N, resumed=M))

    assert list(shown) == ["opened", "closed", "paused", "resumed", "paired by", "good when"]


@pytest.mark.parametrize(
    ("budgeting", "expected"),
    [
        (Timeslices(0.95, 5 * MINUTE), {"counted by": "slices of 5 minutes, good from 95 % on"}),
        (RatioTimeslices(HOUR), {"counted by": "slices of 1 hour, each by its share of good"}),
    ],
)
def test_slices_are_shown_beside_the_selectors(budgeting: Budgeting, expected: dict[str, str]) -> None:
    """And what those are in which nothing was counted."""
    bare = lines(RatioIndicator(M, bad=N))

    assert lines(RatioIndicator(M, bad=N), budgeting) == {**bare, **expected, "empty slices": "left out"}


@pytest.mark.parametrize(
    ("unit", "number", "words"),
    [
        (Unit.OCCURRENCE, 1204, "1,204 failures spent"),
        (Unit.OCCURRENCE, None, "\N{EN DASH} failures spent"),
        (Unit.MICROSECOND, 43 * MINUTE + 12 * SECOND, "43 min 12 s of failure spent"),
        (Unit.MICROSECOND, -HOUR, "\N{MINUS SIGN}1 h of failure spent"),
        (Unit.MICROSECOND, 0.5, "0 s of failure spent"),
        (Unit.MICROSECOND, None, "\N{EN DASH} of failure spent"),
        (Unit.SLICE, 3, "3 bad slices spent"),
        (Unit.PART_OF_A_SLICE, 2_500_000_000, "2.5 bad slices spent"),
        (Unit.PART_OF_A_SLICE, None, "\N{EN DASH} bad slices spent"),
    ],
)
def test_amounts_are_in_units_of_people(unit: Unit, number: float | None, words: str) -> None:
    """Nobody reads microseconds, or billions of a slice."""
    assert f"{amount(unit, number)} {failures(unit)}".replace("\N{NO-BREAK SPACE}", " ") == words
