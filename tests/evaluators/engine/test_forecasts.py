"""A steady burn: where it leads is known from the start.

::

      budget left
      |*
      |   *                 burn 2: gone after half the period
      |      *
      |_________*__________________
      born      |      end of the period
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.agreements import CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR
from evaluators.engine import ShardEngine
from evaluators.standings import Standing
from tests.evaluators.engine.histories import SLOT, Run, begun, known
from tests.evaluators.engine.promises import START, counts, promise
from tests.examples import examples

PERIODS = st.sampled_from(
    [RollingPeriod(2 * HOUR), RollingPeriod(6 * HOUR), RollingPeriod(DAY), RollingPeriod(7 * DAY)]
)
TODAY = CalendarPeriod("day", "UTC")
ALLOWED = 10
"""Of a hundred samples a minute so many may fail."""


def steady(period: Period, bad: int, slots: int, *, stops: int | None = None) -> tuple[ShardEngine, Run]:
    """So many of a hundred fail in each minute from START on."""
    engine = begun(promise(period=period, target=1 - ALLOWED / 100))
    engine.fold(counts((1, START // SLOT + at, 100 - bad, 100, 0, 0) for at in range(stops or slots)))
    return engine, known([engine.advance(START + slots * SLOT, lateness_us=0)])


def standing(engine: ShardEngine) -> Standing:
    [found] = engine.table(blind=None).standings()
    return found


@examples(30)
@given(PERIODS | st.just(TODAY), st.integers(0, ALLOWED - 1), st.integers(1, 3000))
def test_a_steady_burn_below_one_never_exhausts(period: Period, bad: int, slots: int) -> None:
    """Young or full, at any tick: met, and no time at which the budget will be gone."""
    engine, run = steady(period, bad, slots)

    assert {change.verdict for change in run.verdicts} == {"met"}
    assert standing(engine).exhausted_us is None


@examples(30)
@given(st.sampled_from([2 * HOUR, 6 * HOUR, DAY]), st.integers(ALLOWED + 1, 100))
def test_a_steady_burn_breaks_a_rolling_promise_when_it_has_spent_its_share(length_us: int, bad: int) -> None:
    """At a burn of b after one b-th of the period, counted from the first sample; at risk from the first tick on."""
    slots = -(-ALLOWED * (length_us // SLOT) // bad)

    _, run = steady(RollingPeriod(length_us), bad, slots + 10)

    assert [(change.verdict, change.at_us) for change in run.verdicts] == [
        ("at_risk", START + SLOT),
        ("breached", START + slots * SLOT),
    ]


@examples(30)
@given(st.integers(ALLOWED + 1, 100), st.floats(0.01, 0.99))
def test_a_steady_burn_in_a_calendar_period_is_foretold_to_the_tick(bad: int, share: float) -> None:
    """Whenever one asks, the answer is the same time, and then it comes so."""
    gone_us = START + DAY * ALLOWED // bad
    slots = max(round((gone_us - START) // SLOT * share), 1)

    engine, _ = steady(TODAY, bad, slots)
    _, run = steady(TODAY, bad, DAY // SLOT)

    assert standing(engine).exhausted_us == pytest.approx(gone_us, abs=1)
    assert [change.at_us for change in run.verdicts if change.verdict == "breached"] == [-(-gone_us // SLOT) * SLOT]


@examples(20)
@given(PERIODS, st.integers(ALLOWED + 1, 100), st.integers(2, 300))
def test_a_forecast_of_a_rolling_period_lies_within_it(period: RollingPeriod, bad: int, slots: int) -> None:
    """Nobody is told of a time that lies behind, or beyond what the period can say."""
    engine, _ = steady(period, bad, slots)

    found = standing(engine)
    assert found.exhausted_us is not None
    assert found.as_of_us <= found.exhausted_us <= found.as_of_us + period.length_us


def test_a_burn_that_stopped_is_no_risk_once_the_forecast_has_left_it_behind() -> None:
    """Six hours after the last failure nothing burns, though the budget is spent by half."""
    engine, run = steady(RollingPeriod(7 * DAY), 50, 9 * 60, stops=2 * 60)

    assert [change.verdict for change in run.verdicts if change.data == "live"] == ["at_risk"]
    assert standing(engine).verdict == "met"
    assert standing(engine).spent == 2 * 60 * 50
    assert run.verdicts[-1].at_us == START + 2 * HOUR + 6 * HOUR
