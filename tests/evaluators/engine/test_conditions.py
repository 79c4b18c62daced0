"""A policy made ready for arrays: its windows, its bits, and what leads when several conditions hold."""

from __future__ import annotations

import pytest

from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    Condition,
    ExhaustionCondition,
    Minimum,
    Period,
    RollingPeriod,
    SilentCondition,
)
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine.conditions import BREACH, BREACH_BIT, CONDITION_SHIFT, PAGE, TICKET, Plan, describe
from evaluators.policies import MOST_CONDITIONS, ResolvedPolicy
from tests.evaluators.engine.promises import SLOT

TICKETED = SilentCondition(10 * MINUTE, "ticket")
PAGED = BurnRateCondition(HOUR, 5 * MINUTE, 14.4, "page")
LATER = BudgetRemainingCondition(0.1, "page", "experienced")
MONTH = CalendarPeriod("month", "UTC")


def plan(*conditions: Condition, period: Period = MONTH, windows: tuple[str, ...] = ("5m",)) -> Plan:
    return Plan.of(period, ResolvedPolicy(conditions, Minimum()), windows, SLOT)


def holding(*places: int, breached: bool = False) -> int:
    """The code of a tick at which these conditions hold."""
    return sum(1 << (place + CONDITION_SHIFT) for place in places) | (BREACH_BIT if breached else 0)


@pytest.mark.parametrize(
    ("condition", "described"),
    [
        (PAGED, {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"}),
        (
            BurnRateCondition(3 * DAY, 6 * HOUR, 1 / 3, "ticket", "experienced"),
            {"long": "3d", "short": "6h", "factor": 0.333333, "view": "experienced"},
        ),
        (TICKETED, {"silent": "10m"}),
        (LATER, {"budgetRemaining": 0.1, "view": "experienced"}),
        (ExhaustionCondition(DAY, "page"), {"exhaustion": "1d", "view": "contractual"}),
    ],
)
def test_a_condition_is_described_as_a_page_carries_it(condition: Condition, described: dict[str, object]) -> None:
    """Durations as people write them, factors without binary dust."""
    assert describe(condition) == described


def test_a_plan_sums_the_windows_that_anything_asks_for() -> None:
    """Those that are shown, those of conditions, and the forecast's."""
    assert plan(PAGED, windows=("1d",)).lengths == (5 * MINUTE, HOUR, 6 * HOUR, DAY)


def test_a_plan_of_a_rolling_period_sums_it_and_what_rolls_off_next() -> None:
    """The forecast knows a thirtieth of the period exactly."""
    assert plan(period=RollingPeriod(30 * DAY)).lengths == (5 * MINUTE, 6 * HOUR, 29 * DAY, 30 * DAY)


def test_a_plan_shows_the_windows_that_have_a_name() -> None:
    """Neither the forecast's nor the period's are shown unasked."""
    made = plan(PAGED, period=RollingPeriod(30 * DAY))
    assert made.names == ("5m", "1h")
    assert [made.lengths[place] for place in made.shown] == [5 * MINUTE, HOUR]
    assert made.lengths[made.forecast_window] == 6 * HOUR


def test_windows_are_whole_slots_and_never_none() -> None:
    """Half a slot cannot be summed."""
    made = plan(BurnRateCondition(SLOT * 5 // 2, SLOT // 2, 2, "page"))
    assert made.lengths[:2] == (SLOT, 2 * SLOT)
    assert [made.lengths[made.place(length, SLOT)] for length in (SLOT // 2, SLOT * 5 // 2)] == [SLOT, 2 * SLOT]


def test_a_plan_has_a_bit_for_no_more_conditions_than_fit() -> None:
    """The code stays one int64."""
    made = plan(*(SilentCondition(minutes * MINUTE, "page") for minutes in range(1, MOST_CONDITIONS + 3)))
    assert len(made.conditions) == MOST_CONDITIONS
    assert made.described[made.breach] == {"breached": True}
    assert holding(len(made.conditions) - 1) < 1 << 63


@pytest.mark.parametrize(
    ("code", "rank", "acute"),
    [
        (holding(), 0, 0),
        (holding(0), TICKET, TICKET),
        (holding(0, 1), PAGE, PAGE),
        (holding(breached=True), BREACH, 0),
        (holding(0, breached=True), BREACH, TICKET),
    ],
)
def test_the_gravest_that_holds_gives_the_rank(code: int, rank: int, acute: int) -> None:
    """A breach outranks every condition, yet is none itself."""
    made = plan(TICKETED, PAGED)
    assert (made.rank(code), made.acute_rank(code)) == (rank, acute)


@pytest.mark.parametrize(
    ("code", "leading"),
    [
        (holding(), -1),
        (holding(0), 0),
        (holding(0, 3), 0),
        (holding(0, 1, 2), 1),
        (holding(2, 3), 2),
        (holding(breached=True), 4),
        (holding(0, breached=True), 4),
        (holding(0, 2, breached=True), 2),
    ],
)
def test_a_page_leads_then_the_breach_then_the_first_ticket(code: int, leading: int) -> None:
    """Of equals the one that was written first."""
    assert plan(TICKETED, PAGED, LATER, ExhaustionCondition(DAY, "ticket")).leading(code) == leading
