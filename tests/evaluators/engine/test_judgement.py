"""What the counts say at each tick: budgets that run low, forecasts, breaches, and what is held back."""

from __future__ import annotations

import pytest

from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    ExhaustionCondition,
    Minimum,
    RollingPeriod,
    View,
)
from evaluators.durations import HOUR, MINUTE
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.incidents import Incident
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import Standing
from tests.evaluators.engine.promises import A_DAY, SLOT, START, at, counts, engine_of, promise, traffic

TODAY = CalendarPeriod("day", "UTC")
PAGE = BurnRateCondition(5 * MINUTE, MINUTE, 5, "page")
HALF_LEFT = BudgetRemainingCondition(0.5, "ticket")
AN_HOUR_LEFT = ExhaustionCondition(HOUR, "ticket")


def hours(first: int, end: int, bad: int) -> SlotCounts:
    """So many of 100 samples fail in every slot."""
    return traffic(range(first * 60, end * 60), bad=bad)


def seen(spec: SeriesSpec, *parts: SlotCounts, until_us: int) -> tuple[ShardEngine, Advance]:
    engine = engine_of(spec)
    engine.fold(concatenated(list(parts)))
    return engine, engine.advance(until_us, lateness_us=0)


def opened(advance: Advance) -> Incident:
    [found] = [change.incident for change in advance.incidents if change.kind == "opened"]
    return found


def standing(engine: ShardEngine) -> Standing:
    [found] = engine.table(blind=None).standings()
    return found


def test_a_budget_that_runs_low_is_told_once_it_is_below_its_bound() -> None:
    """3 % of failures spend 60 % of a day's 5 % by its end, and half of it by 20:00."""
    engine, advance = seen(promise(HALF_LEFT, period=TODAY), hours(0, 24, 3), until_us=at(24 * 60 - 1))
    incident = opened(advance)
    assert incident.detected_us in {at(20 * 60), at(20 * 60) + SLOT}
    assert incident.started_us == incident.detected_us - SLOT
    assert incident.condition == {"budgetRemaining": 0.5, "view": "contractual"}
    assert incident.budget_remaining == pytest.approx(0.5, abs=0.001)
    assert standing(engine).reason == "40% of the error budget left, below 50% (contractual)"


@pytest.mark.parametrize(("view", "tells"), [("contractual", False), ("experienced", True)])
def test_a_low_budget_is_that_of_its_view(view: View, tells: bool) -> None:
    """All failures are excluded: only users feel them."""
    spec = promise(BudgetRemainingCondition(0.5, "page", view), period=RollingPeriod(10 * MINUTE), has_exclusions=True)
    rows = counts((1, START // SLOT + place, 90, 100, 0, 10) for place in range(60))
    engine, advance = seen(spec, rows, until_us=at(10))
    assert [change.kind for change in advance.incidents] == (["opened"] if tells else [])
    assert standing(engine).verdict == ("at_risk" if tells else "met")


def test_an_exhaustion_is_told_when_the_budget_lasts_no_longer() -> None:
    """10 % of failures spend a day's 5 % by noon; at 11:00 an hour is left."""
    _, advance = seen(promise(AN_HOUR_LEFT, period=TODAY), hours(0, 24, 10), until_us=at(11 * 60 + 30))
    incident = opened(advance)
    assert incident.exhausted_us == pytest.approx(at(12 * 60), abs=2 * SLOT)
    assert incident.detected_us == pytest.approx(at(11 * 60), abs=2 * SLOT)
    assert incident.started_us == incident.detected_us - 6 * HOUR
    assert incident.condition == {"exhaustion": "1h", "view": "contractual"}


def test_an_exhaustion_in_a_full_rolling_period_is_told_before_the_breach() -> None:
    """At the first tick at which no more than an hour is left by the forecast."""
    spec = promise(AN_HOUR_LEFT)
    parts = hours(0, 26, 0), hours(26, 30, 50)
    _, advance = seen(spec, *parts, until_us=at(30 * 60))
    incident = opened(advance)
    [breach] = [change for change in advance.verdicts if change.verdict == "breached"]
    assert incident.exhausted_us is not None
    assert incident.detected_us < breach.at_us
    assert incident.exhausted_us - incident.detected_us <= HOUR
    assert incident.started_us == at(26 * 60)
    _, before = seen(spec, *parts, until_us=incident.detected_us - SLOT)
    assert before.incidents == ()


def test_a_budget_that_burns_within_its_means_is_not_exhausted() -> None:
    """5 % of failures are what is allowed."""
    engine, advance = seen(promise(AN_HOUR_LEFT, period=TODAY), hours(0, 12, 4), until_us=at(12 * 60))
    assert advance.incidents == ()
    assert (standing(engine).verdict, standing(engine).exhausted_us) == ("met", None)


@pytest.mark.parametrize(("period", "verdict"), [(TODAY, "met"), (A_DAY, "at_risk")], ids=["calendar", "rolling"])
def test_a_burn_late_in_a_calendar_period_is_no_risk(period: CalendarPeriod | RollingPeriod, verdict: str) -> None:
    """A new budget begins at midnight; a rolling one would be spent within its length."""
    engine, _ = seen(promise(period=period), hours(0, 20, 0), hours(20, 24, 10), until_us=at(24 * 60))
    assert standing(engine).verdict == verdict


def test_a_burn_early_in_a_calendar_period_is_a_risk() -> None:
    """The budget will not last until midnight."""
    engine, _ = seen(promise(period=TODAY), hours(0, 6, 10), until_us=at(6 * 60))
    now = standing(engine)
    assert (now.verdict, now.firing) == ("at_risk", None)
    assert now.exhausted_us == pytest.approx(at(12 * 60), abs=SLOT)
    assert now.reason == "budget gone in 6 h at this rate (contractual)"


def test_a_breach_began_with_the_failure_that_spent_the_budget() -> None:
    """The last slot with failures, not the first of the day."""
    parts = hours(0, 1, 0), traffic(range(30, 31), bad=4), hours(1, 24, 0)
    bad = counts([(1, at(23 * 60) // SLOT, -43_000, 0, 0, 0), (1, at(24 * 60) // SLOT - 6, -1_000, 0, 0, 0)])
    engine, advance = seen(promise(period=TODAY), *parts, bad, until_us=at(24 * 60))
    incident = opened(advance)
    assert (incident.severity, incident.condition) == ("page", {"breached": True})
    assert (incident.started_us, incident.detected_us) == (at(24 * 60 - 1), at(24 * 60 - 1) + SLOT)
    assert standing(engine).verdict == "breached"


def test_a_breach_without_any_recent_failure_began_with_its_tick() -> None:
    """Good traffic that rolls off takes its budget along, and what failed long ago is too much."""
    _, advance = seen(promise(), hours(0, 1, 0), hours(1, 2, 8), until_us=at(25 * 60))
    incident = opened(advance)
    rolled_off_us = at(24 * 60 + 24)  # 2,880 failures are 5 % of what is left then
    assert incident.condition == {"breached": True}
    assert (incident.started_us, incident.detected_us) == (rolled_off_us - SLOT, rolled_off_us)


@pytest.mark.parametrize(("failures", "held_back"), [(3, True), (5, False)])
def test_too_few_events_hold_an_alert_back(failures: int, held_back: bool) -> None:
    """Three failures are no proof, and the page says so; five of five are."""
    spec = promise(BurnRateCondition(HOUR, 5 * MINUTE, 2, "page"), minimum=Minimum(events=100, failures=5))
    rows = counts((1, START // SLOT + place, 0, 1, 0, 0) for place in range(failures))
    engine, advance = seen(spec, rows, until_us=at(1))
    assert (advance.incidents == ()) is held_back
    assert ("too few events" in standing(engine).reason) is held_back


def test_an_incident_that_let_go_lately_is_still_open() -> None:
    """It resolves after two minutes of calm, in whatever steps they come."""
    engine = engine_of(promise(PAGE))
    engine.fold(concatenated([traffic(range(30)), traffic(range(30, 32), bad=100), traffic(range(32, 60))]))
    [incident] = engine.advance(at(32), lateness_us=0).open_incidents
    resolved: list[int] = []
    still = 0
    for tick in range(at(32) + SLOT, at(60), SLOT):
        advance = engine.advance(tick, lateness_us=0)
        resolved += [change.at_us for change in advance.incidents if change.kind == "resolved"]
        still += [each.id for each in advance.open_incidents] == [incident.id]
    [end_us] = resolved
    assert still == (end_us - at(32)) // SLOT - 1
    assert end_us == at(33) - SLOT + 2 * MINUTE


def test_a_hold_in_which_no_tick_came_leaves_nothing_to_look_at_again() -> None:
    """The open incident stays as it is."""
    engine = engine_of(promise(PAGE))
    engine.fold(traffic(range(10), bad=100))
    first = engine.advance(at(5), lateness_us=0)
    engine.advance(at(5), lateness_us=0, hold_resolves=True)
    after = engine.advance(at(5), lateness_us=0)
    assert after == Advance(0, open_incidents=first.open_incidents)


@pytest.mark.parametrize("late", [23, 25], ids=["yesterday", "today"])
def test_late_failures_break_the_calendar_period_that_they_lie_in(late: int) -> None:
    """As if they had come in time."""
    spec = promise(HALF_LEFT, period=TODAY)
    minute = traffic(range(late * 60, late * 60 + 1), bad=90)
    worse = minute.take(slice(0, 1))
    worse = SlotCounts.from_columns(worse.columns - [[0], [0], [50_000], [0], [0], [0]])
    engine, first = seen(spec, hours(0, 26, 0), until_us=at(26 * 60 - 30))
    engine.fold(worse)
    told = engine.advance(at(26 * 60 - 30), lateness_us=0)
    _, once = seen(spec, hours(0, 26, 0), worse, until_us=at(26 * 60 - 30))
    assert first.incidents == ()
    assert told.incidents == once.incidents
    assert told.incidents[0].kind == "opened"
