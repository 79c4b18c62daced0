"""A target that changes within the period: each version allows its share of what was counted while it was in force.

::

      period                99 %              |          95 %              tick
        |-- 1,000 samples: 10 may fail ------>|-- 200 samples: 10 may fail ->|      20 may fail in all
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.agreements import BurnRateCondition, CalendarPeriod, Period, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.policies import ResolvedPolicy
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import Standing
from tests.evaluators.engine.histories import SLOT, Row, begun, histories, known, promises, turns
from tests.evaluators.engine.oracle import Oracle
from tests.evaluators.engine.promises import START, UNGATED, at, counts, engine_of, promise, traffic
from tests.examples import examples

UNTIL = START + 200 * MINUTE
ROLLING = RollingPeriod(2 * HOUR)
TODAY = CalendarPeriod("day", "UTC")


def aimed(spec: SeriesSpec, target: float) -> SeriesSpec:
    """The next version, with another target."""
    return replace(spec, identity=replace(spec.identity, target=target, version=spec.identity.version + 1))


def standing(engine: ShardEngine, series: int = 1) -> Standing:
    [found] = [each for each in engine.table(blind=None).standings() if each.identity.series_id == series]
    return found


@pytest.mark.parametrize("period", [ROLLING, TODAY])
def test_the_budget_sums_what_each_target_allowed(period: Period) -> None:
    """Ten of a hundred failures a minute under 90 %, then one under 99 %."""
    spec = promise(period=period, target=0.9)
    engine = engine_of(spec)
    engine.fold(traffic(range(-180, 120)))
    engine.advance(at(60), lateness_us=0)
    before = standing(engine)

    engine.define([aimed(spec, 0.99)])
    engine.advance(at(90), lateness_us=0)

    after = standing(engine)
    if period == ROLLING:  # 90 minutes under the first target, 30 under the second
        assert (before.allowed, after.allowed) == (pytest.approx(7200), pytest.approx(5400 + 180))
    else:  # the expected rest of the day is the second target's
        fresh = after.contractual.total / 600
        assert after.basis == "projected"
        assert after.allowed == pytest.approx(600 * 60 * 0.1 + (600 * (24 * 60) - 600 * 60) * 0.01)
        assert fresh == 90


def test_a_forecast_sees_what_each_target_allowed_roll_off() -> None:
    """18 h left an unspent 5 % each, 6 h spent 1 % too much each; what rolls off and what burns meet after 14 h."""
    spec = promise(period=RollingPeriod(DAY), target=0.9)
    engine = engine_of(spec)
    engine.fold(concatenated([traffic(range(24 * 60), bad=5), traffic(range(24 * 60, 30 * 60), bad=2)]))
    engine.advance(at(24 * 60), lateness_us=0)

    engine.define([aimed(spec, 0.99)])
    engine.advance(at(30 * 60), lateness_us=0)

    assert standing(engine).exhausted_us == pytest.approx(at(44 * 60), abs=MINUTE)


@examples(40)
@given(promises(), histories(slots=190), st.lists(st.tuples(st.integers(0, 190), st.sampled_from([0.5, 0.9, 0.99]))))
def test_verdicts_under_changing_targets_are_those_of_a_slow_recount(
    spec: SeriesSpec, rows: list[Row], aims: list[tuple[int, float]]
) -> None:
    """Burn by the newest target, budgets by each of them."""
    changes = dict(sorted((START + minute * MINUTE, target) for minute, target in aims))
    targets = [(START, spec.identity.target), *changes.items()]
    oracle = Oracle.of(spec, SLOT, START, counts(rows))
    oracle.targets = targets
    story = oracle.story(UNTIL)

    engine = begun(spec)
    engine.fold(counts(rows))
    advances = []
    for tick_us, target in changes.items():
        advances.append(engine.advance(tick_us, lateness_us=0))
        engine.define([aimed(engine.specs[0], target)])
    advances.append(engine.advance(UNTIL, lateness_us=0))

    assert [(tick, verdict, data) for _, tick, verdict, data in turns(known(advances))] == story.verdicts
    assert [(each.kind, each.at_us, each.incident.severity) for each in known(advances).changes] == story.changes


def changed(period: Period, *, moves: bool = False) -> tuple[ShardEngine, SlotCounts]:
    """Two series; the first is promised 99 % after an hour, and 95 % after another; `moves`: by another policy."""
    first, other = promise(period=period, target=0.9), promise(period=period, series=2, target=0.9)
    engine = engine_of(first, other)
    sent = concatenated([traffic(range(240), bad=3), traffic(range(240), bad=3, series=2)])
    engine.fold(sent)
    engine.advance(at(60), lateness_us=0)
    engine.define([aimed(first, 0.99), other])
    engine.advance(at(120), lateness_us=0)
    policy = ResolvedPolicy((BurnRateCondition(HOUR, 5 * MINUTE, 2, "page"),), UNGATED) if moves else first.policy
    engine.define([aimed(replace(first, policy=policy), 0.95), other])
    return engine, sent


@pytest.mark.parametrize("period", [ROLLING, TODAY, RollingPeriod(7 * DAY)])
@pytest.mark.parametrize("minutes", [0, 7, 90, 119])
def test_a_move_to_another_policy_takes_the_earlier_targets_along(period: Period, minutes: int) -> None:
    """At any time after it the budget is what it is without the move."""
    moved, _ = changed(period, moves=True)
    stayed, _ = changed(period)

    for engine in (moved, stayed):
        engine.advance(at(121 + minutes), lateness_us=0)

    assert standing(moved).allowed == pytest.approx(standing(stayed).allowed)
    assert standing(moved, 2).allowed == pytest.approx(standing(stayed, 2).allowed)


def test_what_was_counted_long_ago_is_taken_along_too() -> None:
    """A week later no slot, minute or quarter of an hour tells it any more: only the sum does."""
    spec = promise(period=CalendarPeriod("quarter", "UTC"), target=0.9)
    policy = ResolvedPolicy((BurnRateCondition(HOUR, 5 * MINUTE, 2, "page"),), UNGATED)
    moved, stayed = engine_of(spec), engine_of(spec)

    for engine, last in ((moved, replace(spec, policy=policy)), (stayed, spec)):
        engine.fold(traffic(range(67)))
        engine.advance(at(67), lateness_us=0)
        engine.define([aimed(spec, 0.99)])
        engine.advance(at(8 * 24 * 60), lateness_us=0)
        engine.define([aimed(last, 0.99)])
        engine.advance(at(8 * 24 * 60 + 1), lateness_us=0)

    assert standing(moved).allowed == standing(stayed).allowed
    assert standing(moved).allowed > 0.09 * 67 * 600


@pytest.mark.parametrize("period", [ROLLING, TODAY, RollingPeriod(7 * DAY)])
@pytest.mark.parametrize("how", ["restored", "rebuilt"])
def test_earlier_targets_survive_a_restart(period: Period, how: str) -> None:
    """From the snapshot as from the stored slots."""
    engine, sent = changed(period)
    engine.advance(at(150), lateness_us=0)
    if how == "restored":
        again = ShardEngine.restore(engine.snapshot())
    else:
        again = ShardEngine.rebuilt(engine.slot_us, engine.open_state(), engine.specs, sent)

    for each in (engine, again):
        each.fold(traffic(range(55, 65), bad=50))  # late, on both sides of the first change
        each.advance(at(200), lateness_us=0)

    assert standing(again) == standing(engine)
    assert again.open_state() == engine.open_state()


def test_a_target_that_changed_while_nobody_ran_counts_from_the_last_tick_on() -> None:
    """The evaluator may have been stopped between the commit of a tick and the new definition."""
    engine, sent = changed(ROLLING)
    engine.advance(at(150), lateness_us=0)
    newest = [aimed(engine.specs[0], 0.5), engine.specs[1]]
    again = ShardEngine.rebuilt(engine.slot_us, engine.open_state(), newest, sent)
    engine.define(newest)

    for each in (engine, again):
        each.advance(at(160), lateness_us=0)

    assert standing(again) == standing(engine)


def test_a_change_is_forgotten_once_no_period_spans_it() -> None:
    """Then the budget is the newest target's alone."""
    engine, _ = changed(ROLLING)

    engine.fold(traffic(range(240, 1000)))
    engine.advance(at(1000), lateness_us=0)

    assert standing(engine).allowed == pytest.approx(0.05 * 120 * 600)
    [block] = engine.blocks.values()
    assert block.timeline.versions.known == []


def test_a_target_that_goes_back_before_the_next_tick_changes_nothing() -> None:
    """Two definitions between two ticks: the first was never in force."""
    spec = promise(period=ROLLING, target=0.9)
    engine = engine_of(spec)
    engine.fold(traffic(range(-180, 120)))
    engine.advance(at(60), lateness_us=0)

    engine.define([aimed(spec, 0.5)])
    engine.define([spec])
    engine.advance(at(61), lateness_us=0)

    assert standing(engine).allowed == pytest.approx(7200)
    assert ShardEngine.restore(engine.snapshot()).open_state() == engine.open_state()


@pytest.mark.parametrize(("first", "then", "told"), [(0.5, 0.9, []), (0.9, 0.5, ["opened", "resolved"])])
def test_what_was_said_under_an_earlier_target_stands(first: float, then: float, told: list[str]) -> None:
    """Late data open no incident by a target that was not in force, and withdraw none; the counts are corrected."""
    spec = promise(BurnRateCondition(5 * MINUTE, MINUTE, 2, "page"), period=ROLLING, target=first)
    engine = engine_of(spec)
    engine.fold(concatenated([traffic(range(120)), traffic(range(40, 45), bad=100)]))
    changes = [*engine.advance(at(60), lateness_us=0).incidents]
    engine.define([aimed(spec, then)])
    changes += engine.advance(at(70), lateness_us=0).incidents

    engine.fold(traffic(range(42, 43), bad=10))
    changes += engine.advance(at(71), lateness_us=0).incidents

    assert [change.kind for change in changes] == told
    assert standing(engine).spent == 5 * 600 + 60
