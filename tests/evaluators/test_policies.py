import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import policies
from evaluators.agreements import (
    AlertPolicy,
    BudgetShareCondition,
    BurnRateCondition,
    Condition,
    Minimum,
    Objective,
    RatioIndicator,
    RollingPeriod,
    SilentCondition,
)
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.policies import ResolvedPolicy, UnknownPolicy
from evaluators.selectors import Selector

SLOT = 10 * SECOND


def objective(target: float = 0.999, alerts: tuple[str, ...] = ("burn-rate",), period_us: int = 30 * DAY) -> Objective:
    selector = Selector.parse("m")
    return Objective("o", RatioIndicator(selector, bad=selector), target, RollingPeriod(period_us), None, alerts=alerts)


def burns(conditions: tuple[Condition, ...]) -> list[tuple[float, int, int, str]]:
    return [
        (each.factor, each.long_us, each.short_us, each.severity)
        for each in conditions
        if isinstance(each, BurnRateCondition)
    ]


def test_the_built_in_policy_is_the_workbooks_table_at_thirty_days() -> None:
    """Table 5-8, and a ticket after ten silent minutes, behind the low-traffic gate."""
    resolved, notify = policies.resolve(objective(), {}, 30 * DAY, slot_us=SLOT, notify=("oncall",))

    assert burns(resolved.conditions) == [
        (14.4, HOUR, 5 * MINUTE, "page"),
        (6.0, 6 * HOUR, 30 * MINUTE, "page"),
        (3.0, DAY, 2 * HOUR, "ticket"),
        (1.0, 3 * DAY, 6 * HOUR, "ticket"),
    ]
    assert resolved.conditions[-1] == SilentCondition(10 * MINUTE, "ticket")
    assert resolved.minimum == Minimum(events=100, failures=5)
    assert notify == ("oncall",)


def test_its_windows_scale_with_the_period_but_not_below_twelve_minutes() -> None:
    """A day's policy: 2 min would be decided by a few late samples."""
    resolved, _ = policies.resolve(objective(), {}, DAY, slot_us=SLOT, notify=())

    assert [(long, short) for _, long, short, _ in burns(resolved.conditions)] == [
        (12 * MINUTE, MINUTE),
        (12 * MINUTE, MINUTE),
        (48 * MINUTE, 4 * MINUTE),
        (144 * MINUTE, 12 * MINUTE),
    ]


@pytest.mark.parametrize(("target", "factors"), [(0.95, [14.4, 6, 3, 1]), (0.9, [6, 3, 1]), (0.75, [3, 1]), (0.5, [1])])
def test_it_has_no_row_that_could_never_fire(target: float, factors: list[float]) -> None:
    """Nothing burns faster than 1 / (1 - target)."""
    assert [
        factor
        for factor, *_ in burns(
            policies.resolve(objective(target), {}, 30 * DAY, slot_us=SLOT, notify=())[0].conditions
        )
    ] == factors


@given(
    st.floats(min_value=0.001, max_value=0.99999),
    st.integers(min_value=1, max_value=366 * 24).map(lambda hours: hours * HOUR),
    st.sampled_from([SECOND, 5 * SECOND, 10 * SECOND, MINUTE]),
)
def test_windows_are_whole_slots_for_any_target_and_period(target: float, period_us: int, slot_us: int) -> None:
    """And every condition of the built-in policy passes the check that one's own must pass."""
    resolved, _ = policies.resolve(objective(target), {}, period_us, slot_us=slot_us, notify=())

    assert resolved.conditions
    for condition in resolved.conditions:
        assert policies.fault(condition, target, period_us) is None
    for _, long, short, _ in burns(resolved.conditions):
        assert long % slot_us == 0
        assert short % slot_us == 0
        assert 0 < short < long


def test_a_budget_share_becomes_the_factor_that_spends_it_within_the_long_window() -> None:
    """2 % of 30 days' budget in an hour is 14.4x."""
    strict = AlertPolicy(
        "strict", (BudgetShareCondition(HOUR, 5 * MINUTE, 0.02, "page", "experienced"),), Minimum(1, 1)
    )

    resolved, _ = policies.resolve(objective(alerts=("strict",)), {"strict": strict}, 30 * DAY, slot_us=SLOT, notify=())

    (condition,) = resolved.conditions
    assert isinstance(condition, BurnRateCondition)
    assert math.isclose(condition.factor, 14.4)
    assert condition.view == "experienced"


def test_windows_round_to_the_nearest_slot_and_never_to_none() -> None:
    """A policy may be written for a finer slot than this installation has."""
    odd = AlertPolicy("odd", (BurnRateCondition(127 * SECOND, SECOND, 2.0, "page"),))

    resolved, _ = policies.resolve(objective(alerts=("odd",)), {"odd": odd}, 30 * DAY, slot_us=SLOT, notify=())

    assert burns(resolved.conditions) == [(2.0, 130 * SECOND, 10 * SECOND, "page")]


def test_several_policies_add_up_and_none_holds_back_anothers_alert() -> None:
    """Conditions in order and once, the least minimums, everybody's targets."""
    silent = SilentCondition(MINUTE, "page")
    first = AlertPolicy("first", (silent,), Minimum(10, 9), notify=("chat", "oncall"))
    second = AlertPolicy("second", (silent, SilentCondition(HOUR, "page")), Minimum(1000, 2))

    resolved, notify = policies.resolve(
        objective(alerts=("first", "second")),
        {"first": first, "second": second},
        DAY,
        slot_us=SLOT,
        notify=("oncall", "desk"),
    )

    assert resolved == ResolvedPolicy((silent, SilentCondition(HOUR, "page")), Minimum(10, 2))
    assert notify == ("chat", "oncall", "desk")


def test_an_objective_without_alerts_still_tells_of_a_breach() -> None:
    """No conditions, but the agreement's targets."""
    assert policies.resolve(objective(alerts=()), {}, DAY, slot_us=SLOT, notify=("oncall",)) == (
        ResolvedPolicy((), Minimum()),
        ("oncall",),
    )


def test_a_policy_that_nobody_defined_is_an_error() -> None:
    """Never silently without alerts."""
    with pytest.raises(UnknownPolicy, match="'nope'"):
        policies.resolve(objective(alerts=("nope",)), {}, DAY, slot_us=SLOT, notify=())


@pytest.mark.parametrize(
    ("condition", "target", "said"),
    [
        (BurnRateCondition(HOUR, MINUTE, 0.5, "page"), 0.99, "below 1"),
        (BurnRateCondition(HOUR, MINUTE, 10.0, "page"), 0.9, "nothing burns faster than 10"),
        (BurnRateCondition(HOUR, MINUTE, 9.99, "page"), 0.9, None),
        (BurnRateCondition(HOUR, MINUTE, 1.0, "page"), 0.9, None),
        (BudgetShareCondition(3 * DAY, MINUTE, 0.1, "ticket"), 0.9, None),
        (BudgetShareCondition(3 * DAY, MINUTE, 0.09, "ticket"), 0.9, "a factor of 0.9 is below 1"),
        (BudgetShareCondition(HOUR, MINUTE, 0.02, "page"), 0.9, "a factor of 14.4 can never fire"),
        (SilentCondition(MINUTE, "page"), 0.9, None),
    ],
)
def test_a_factor_that_makes_no_sense_is_found(
    condition: Condition | BudgetShareCondition, target: float, said: str | None
) -> None:
    """Below 1 it cries wolf, at the fastest burn and above it never speaks."""
    fault = policies.fault(condition, target, 30 * DAY)

    assert (fault is None) if said is None else (fault is not None and said in fault)
