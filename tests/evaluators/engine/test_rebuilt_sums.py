"""What is rebuilt from the stored slots says the same as what was running all the time."""

from __future__ import annotations

import pytest

from evaluators.agreements import BurnRateCondition, CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import Standing
from tests.evaluators.engine.promises import SLOT, at, engine_of, promise, traffic

DAYS = [range(day * 24 * 60, (day + 1) * 24 * 60) for day in range(10)]
BAD_FIRST_DAY = concatenated([traffic(DAYS[0], bad=90), *(traffic(day) for day in DAYS[1:])])


def standing_of(engine: ShardEngine) -> Standing:
    [standing] = engine.table(blind=None).standings()
    return standing


def rebuilt(engine: ShardEngine, specs: list[SeriesSpec], stored: SlotCounts) -> ShardEngine:
    """As after a restart: with the slots that the engine asks for, and none before."""
    fresh = ShardEngine.rebuilt(SLOT, engine.open_state(), specs, SlotCounts.empty())
    needed_us = fresh.needs_from_us
    assert needed_us is not None
    fresh.load(stored.take(stored.slot >= needed_us // SLOT))
    return fresh


@pytest.mark.parametrize(
    ("period", "long_us", "days"),
    [
        (RollingPeriod(DAY), 7 * DAY, 6.5),
        (CalendarPeriod("day", "UTC"), 3 * DAY, 3),
        (CalendarPeriod("day", "UTC"), 7 * DAY, 6.5),
        (RollingPeriod(7 * DAY), 3 * DAY, 3.5),
    ],
)
def test_windows_longer_than_the_period_are_filled_from_the_store(period: Period, long_us: int, days: float) -> None:
    """A restart must neither open nor resolve anything."""
    specs = [promise(BurnRateCondition(long_us, 6 * HOUR, 1.0, "ticket"), period=period)]
    engine = engine_of(*specs)
    engine.fold(BAD_FIRST_DAY)
    engine.advance(at(days * 24 * 60 + 50), lateness_us=0)
    running = standing_of(engine)
    assert running.contractual.burn_rates[f"{long_us // DAY}d"]
    assert standing_of(rebuilt(engine, specs, BAD_FIRST_DAY)) == running


def test_the_shown_windows_are_filled_whatever_the_policy_says() -> None:
    """The page and the metrics show them for every objective."""
    specs = [promise(period=CalendarPeriod("day", "UTC"))]
    engine = engine_of(*specs)
    engine.fold(BAD_FIRST_DAY)
    engine.advance(at(3 * 24 * 60 + 50), lateness_us=0)
    assert standing_of(rebuilt(engine, specs, BAD_FIRST_DAY)) == standing_of(engine)


def test_late_data_at_the_horizon_is_folded_alike_after_a_rebuild() -> None:
    """The windows of three hours ago reach back by as much more."""
    specs = [promise(BurnRateCondition(HOUR, 5 * MINUTE, 2, "page"), period=RollingPeriod(HOUR))]
    engine = engine_of(*specs)
    engine.fold(BAD_FIRST_DAY)
    engine.advance(at(25 * 60), lateness_us=0)
    again = rebuilt(engine, specs, BAD_FIRST_DAY)
    late = traffic(range(22 * 60 + 10, 22 * 60 + 20), bad=100)
    for each in (engine, again):
        each.fold(late)
    told = [each.advance(at(25 * 60 + 1), lateness_us=0) for each in (engine, again)]
    assert told[0] == told[1]
