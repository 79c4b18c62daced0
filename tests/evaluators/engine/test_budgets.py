"""Error budgets at single points, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluators.agreements import CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR
from evaluators.engine.budgets import (
    Budget,
    Course,
    born_at,
    budget,
    budget_of,
    burning,
    enough,
    gone_after,
    wilson_lower,
)
from evaluators.engine.timeline import NEVER, Counted
from evaluators.slots import Int64s

MONTH = CalendarPeriod("month", "UTC")
ROLLING = RollingPeriod(10 * DAY)
START = 100 * DAY
TENTH = np.array([0.1])


def ints(*numbers: int) -> Int64s:
    return np.array(numbers, dtype=np.int64)


def counted(now_us: int, period: Period) -> Counted:
    """One tick of a period that began at START (a calendar one lasts 30 days)."""
    nothing = np.zeros((2, 1, 1), dtype=np.int64)
    calendar = isinstance(period, CalendarPeriod)
    return Counted(
        ticks=ints(now_us),
        windows=nothing[None],
        period=nothing,
        period_start_us=ints(START if calendar else now_us - 10 * DAY),
        period_end_us=ints(START + 30 * DAY if calendar else now_us),
        previous=nothing if calendar else None,
        previous_start_us=ints(START - 30 * DAY) if calendar else None,
        last_us=ints(now_us)[None],
    )


def at(day: int, failures: int, total: int, *, period: Period = MONTH, born: int = START, previous: int = 0) -> Budget:
    """The budget of a tenth, so many days after START."""
    made = counted(START + day * DAY, period)
    calendar = isinstance(period, CalendarPeriod)
    past = ints(previous)[None] if calendar else None
    return budget(made, ints(born), TENTH, period, ints(failures)[None], ints(total)[None], past)


def only(column: np.ndarray) -> object:
    """The one number of a column."""
    [[number]] = column.tolist()
    return number


def test_an_open_period_expects_the_pace_that_was_seen() -> None:
    """A third of the month gone, so three times the events."""
    promise = at(10, 5, 100)
    assert only(promise.allowed) == pytest.approx(30)
    assert only(promise.projected) is True
    assert only(promise.remaining()) == pytest.approx(1 - 5 / 30)


def test_an_open_period_expects_as_much_as_its_complete_predecessor_had() -> None:
    """Its own pace says less than a whole month did."""
    assert only(at(10, 5, 100, born=START - 30 * DAY, previous=1_000).allowed) == pytest.approx(100)


def test_an_open_period_expects_what_it_has_where_that_is_more() -> None:
    """Than its predecessor had."""
    assert only(at(10, 5, 2_000, born=START - 30 * DAY, previous=1_000).allowed) == pytest.approx(200)


def test_a_predecessor_that_was_counted_in_part_is_no_measure() -> None:
    """The pace is."""
    assert only(at(10, 5, 100, born=START - 29 * DAY, previous=1_000).allowed) == pytest.approx(30)


def test_a_period_that_is_over_allows_by_what_was_counted() -> None:
    """No projection any more."""
    promise = at(30, 5, 100, born=START - 30 * DAY, previous=1_000)
    assert only(promise.allowed) == pytest.approx(10)
    assert only(promise.projected) is False


@pytest.mark.parametrize(("born", "allowed", "projected"), [(START, 10, False), (START + 5 * DAY, 20, True)])
def test_a_young_rolling_period_expects_its_pace(born: int, allowed: float, projected: bool) -> None:
    """A full one allows by what was counted."""
    promise = at(10, 5, 100, period=ROLLING, born=born)
    assert only(promise.allowed) == pytest.approx(allowed)
    assert only(promise.projected) is projected


def test_nothing_counted_leaves_no_share() -> None:
    """NaN: there is nothing to have a share of."""
    promise = at(10, 0, 0)
    assert np.isnan(promise.remaining()).all()
    assert (only(promise.counted), only(promise.gone)) == (False, False)


@pytest.mark.parametrize(("failures", "gone"), [(9, False), (10, True), (11, True)])
def test_a_budget_is_gone_when_as_much_as_allowed_is_spent(failures: int, gone: bool) -> None:
    """The last allowed failure spends it."""
    promise = at(10, failures, 100, period=ROLLING)
    assert (only(promise.gone), only(promise.breached)) == (gone, gone)


def test_one_failure_alone_never_breaks_a_promise_by_a_projection() -> None:
    """It spends the budget that is expected; two break it."""
    first, second = at(10, 1, 2), at(10, 2, 2)
    assert (only(first.gone), only(first.breached)) == (True, False)
    assert only(second.breached) is True


def test_a_budget_is_the_decimal_that_was_meant() -> None:
    """1 - 0.9 is not 0.1 in binary."""
    assert budget_of(np.array([0.9, 0.999])).tolist() == [0.1, 0.001]


@pytest.mark.parametrize(("failures", "total", "burns"), [(144, 10_000, True), (143, 10_000, False), (0, 0, False)])
def test_a_burn_at_the_very_factor_counts(failures: int, total: int, burns: bool) -> None:
    """Though 14.4 x 0.001 is a little above 0.0144 in binary."""
    assert burning(ints(failures), ints(total), np.array([14.4 * 0.001])).tolist() == [burns]


def test_the_wilson_bound_is_that_of_the_paper() -> None:
    """5 of 10: 23.66 %."""
    assert wilson_lower(ints(5), ints(10)).tolist() == pytest.approx([0.236593])


@pytest.mark.parametrize(
    ("failures", "total", "among", "passes"),
    [
        (5, 100, True, True),  # enough of both
        (4, 100, True, False),  # too few failures
        (9, 10, True, True),  # few events, surely above the rate
        (5, 20, True, False),  # few events, and a lower bound of 11 %
        (50, 100, False, False),  # nobody asks
    ],
)
def test_little_traffic_passes_only_when_it_is_sure(
    failures: int,
    total: int,
    among: bool,
    passes: bool,
) -> None:
    """The low-traffic gate with 100 events and 5 failures, at a rate of 0.2."""
    passed = enough(ints(failures)[None], ints(total)[None], np.array([0.2]), 100, 5, np.array([[among]]))
    assert passed.tolist() == [[passes]]


def course(*, left: float, failures: int = 60, projected: bool = False, excess: tuple[float, ...] = (-40,)) -> Course:
    """10 failures an hour over 6 h, each beyond the budget, unless said otherwise; windows of 5 and 10 days."""
    lengths = (10 * DAY,) if len(excess) == 1 else (5 * DAY, 10 * DAY)
    return Course(
        lengths=lengths,
        excess=np.array(excess, dtype=np.float64)[:, None],
        left=np.array([left]),
        failures=ints(failures),
        excess_recent=np.array([float(failures)]),
        seen_us=ints(6 * HOUR),
        projected=np.array([projected]),
    )


@pytest.mark.parametrize(("left", "failures", "hours"), [(40, 60, 4), (0, 60, 0), (-5, 60, 0), (40, 0, np.inf)])
def test_a_calendar_period_loses_what_burns(left: float, failures: int, hours: float) -> None:
    """Straight on; without failures never."""
    assert gone_after(course(left=left, failures=failures), MONTH).tolist() == [hours * HOUR]


@pytest.mark.parametrize(("left", "after"), [(40, 4 * HOUR), (0, 0), (1_000_000, 10 * DAY)])
def test_a_young_rolling_period_loses_what_burns(left: float, after: int) -> None:
    """No longer than the period: then it is full."""
    assert gone_after(course(left=left, projected=True), ROLLING).tolist() == [after]


def test_a_full_rolling_period_that_has_nothing_left_is_gone_now() -> None:
    """Whatever rolls off."""
    assert gone_after(course(left=0), ROLLING).tolist() == [0]


def test_a_full_rolling_period_loses_what_burns_less_what_rolls_off() -> None:
    """What is below the budget rolls off evenly: 40 of reserve over 240 h, 10 an hour burnt."""
    [after] = gone_after(course(left=40, excess=(-40,)), ROLLING).tolist()
    assert after == pytest.approx(40 / (10 + 40 / 240) * HOUR)


def test_what_rolls_off_first_decides_where_it_stood() -> None:
    """All the reserve is in the older half: it rolls off within 5 days, and 2,400 would last 10 without that."""
    [after] = gone_after(course(left=2_400, excess=(0, -2_400)), ROLLING).tolist()
    assert after == pytest.approx(80 * HOUR)


def test_old_failures_that_roll_off_keep_the_budget_for_longer() -> None:
    """The newer half has the reserve, and the older one a surplus of failures that leaves first."""
    [after] = gone_after(course(left=200, excess=(-1_500, -200)), ROLLING).tolist()
    assert after == pytest.approx((120 + 120 * 300 / 2_700) * HOUR)


def test_each_point_has_its_own_course() -> None:
    """A young one and a full one side by side."""
    one, other = course(left=40, projected=True), course(left=40)
    both = replace(
        one,
        excess=np.concatenate((one.excess, other.excess), axis=1),
        left=np.concatenate((one.left, other.left)),
        failures=np.concatenate((one.failures, other.failures)),
        excess_recent=np.concatenate((one.excess_recent, other.excess_recent)),
        seen_us=np.concatenate((one.seen_us, other.seen_us)),
        projected=np.array([True, False]),
    )
    apart = [gone_after(each, ROLLING).tolist()[0] for each in (one, other)]
    assert gone_after(both, ROLLING).tolist() == apart


def test_a_series_is_counted_from_its_first_sample_within_the_agreement() -> None:
    """Never heard: never counted."""
    first = ints(-NEVER, START, START - DAY)
    assert born_at(first, ints(START - HOUR, START - HOUR, START - HOUR)).tolist() == [
        -NEVER,
        START,
        START - HOUR,
    ]
