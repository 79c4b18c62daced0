"""The engine's face: where it starts, what it takes in, and what becomes of series as definitions change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluators import calendars
from evaluators.agreements import BurnRateCondition, CalendarPeriod, RollingPeriod, SilentCondition
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.engine.timeline import HORIZON
from evaluators.policies import ResolvedPolicy
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import DataState, Standing
from tests.evaluators.engine.promises import A_DAY, SLOT, START, UNGATED, at, counts, engine_of, promise, traffic

PAGE = BurnRateCondition(HOUR, 5 * MINUTE, 2, "page")
MILDER = ResolvedPolicy((replace(PAGE, severity="ticket"),), UNGATED)
WEEK = CalendarPeriod("week", "Europe/Berlin")


def standing(engine: ShardEngine, series: int = 1) -> Standing:
    [found] = [each for each in engine.table(blind=None).standings() if each.identity.series_id == series]
    return found


def numbers(engine: ShardEngine, series: int = 1) -> tuple[object, ...]:
    """What is counted of a series, whatever its policy says of it."""
    now = standing(engine, series)
    return (now.contractual, now.experienced, now.allowed, now.basis, now.coverage)


# ---------------------------------------------------------------------------------------------------------------- start


def test_an_engine_without_a_start_begins_with_its_first_counts() -> None:
    """Nothing before them can be said."""
    engine = ShardEngine(SLOT)
    engine.define([promise(PAGE)])
    engine.fold(traffic(range(5, 6)))
    assert engine.advance(at(10), lateness_us=MINUTE).ticks == 4 * MINUTE // SLOT
    assert engine.evaluated_until_us == at(9)


def test_an_engine_without_counts_begins_at_the_watermark() -> None:
    """No tick is evaluated yet."""
    engine = ShardEngine(SLOT)
    engine.define([promise(PAGE)])
    assert engine.advance(at(10), lateness_us=0) == Advance(0)
    assert engine.evaluated_until_us == at(10)


def test_an_engine_waits_for_the_watermark_to_reach_its_start() -> None:
    """Until then nothing is evaluated."""
    engine = engine_of(promise(PAGE))
    assert engine.advance(at(-1), lateness_us=0) == Advance(0)
    assert engine.evaluated_until_us is None
    assert engine.table(blind=None).as_of_us == 0


def test_counts_before_the_start_are_taken_in_as_late() -> None:
    """They are part of the period, though their ticks are not evaluated."""
    engine = engine_of(promise(PAGE))
    engine.fold(traffic(range(-2, 1)))
    assert engine.advance(at(1), lateness_us=0).ticks == 6
    assert standing(engine).experienced.total == 3 * 6 * 100


def test_a_watermark_that_stands_still_evaluates_nothing() -> None:
    """Nor does one that lies back."""
    engine = engine_of(promise(PAGE))
    engine.advance(at(5), lateness_us=0)
    assert engine.advance(at(4), lateness_us=0) == Advance(0)
    assert engine.evaluated_until_us == at(5)


# --------------------------------------------------------------------------------------------------------------- counts


def test_only_samples_of_evaluated_slots_are_late() -> None:
    """Those that are ahead, or come before the first tick, are not."""
    engine = engine_of(promise(PAGE))
    assert engine.fold(SlotCounts.empty()) == 0
    assert engine.fold(traffic(range(1))) == 0
    engine.advance(at(5), lateness_us=0)
    assert engine.fold(traffic(range(5, 6))) == 0
    assert engine.fold(traffic(range(4, 6))) == 6 * 100
    engine.advance(at(6), lateness_us=0)
    assert standing(engine).experienced.total == 4 * 6 * 100


def test_counts_of_a_series_that_is_not_defined_are_left_out() -> None:
    """Neither a known series nor the tick suffers."""
    engine = engine_of(promise(PAGE), promise(PAGE, series=5))
    engine.fold(concatenated([traffic(range(1), series=each) for each in (1, 3, 9)]))
    engine.advance(at(1), lateness_us=0)
    assert [each.experienced.total for each in engine.table(blind=None).standings()] == [600, 0]


def test_counts_without_any_definition_are_left_out() -> None:
    """The engine goes on."""
    engine = engine_of()
    engine.fold(traffic(range(1)))
    assert engine.advance(at(1), lateness_us=0).ticks == 6
    assert engine.needs_from_us == at(1)


def test_excluded_counts_are_kept_apart_though_the_definition_does_not_say_so() -> None:
    """On time, late, and loaded: the contractual view is without them."""
    engine = engine_of(promise(PAGE), promise(PAGE, series=2))
    engine.fold(traffic(range(2)))
    engine.advance(at(1), lateness_us=0)
    engine.fold(counts([(1, at(1) // SLOT, 10, 30, 5, 20)]))
    engine.advance(at(2), lateness_us=0)
    engine.fold(counts([(2, at(1) // SLOT, 10, 30, 5, 20)]))
    engine.advance(at(3), lateness_us=0)
    engine.load(counts([(2, at(2) // SLOT, 0, 7, 0, 7)]))
    assert (standing(engine).contractual.total, standing(engine).experienced.total) == (1_210, 1_230)
    assert (standing(engine, 2).contractual.total, standing(engine, 2).experienced.total) == (10, 37)
    assert standing(engine, 2).spent == 5


def test_stored_slots_are_taken_in_and_nothing_is_told() -> None:
    """Those of before the tick count at once, those after it when it comes."""
    engine = engine_of(promise(PAGE))
    engine.load(traffic(range(1), bad=50))
    engine.advance(at(1), lateness_us=0)
    engine.load(traffic(range(-5, 0), bad=50))
    engine.load(traffic(range(1, 2), bad=50))
    assert standing(engine).experienced.total == 3_600
    later = engine.advance(at(2), lateness_us=0)
    assert standing(engine).experienced.total == 4_200
    assert (later.restated, later.ticks) == ((), 6)


# ---------------------------------------------------------------------------------------------------------- definitions


def test_a_series_that_is_defined_later_starts_then() -> None:
    """Beside those of its kind, whose numbers stay."""
    engine = engine_of(promise(PAGE))
    engine.fold(traffic(range(5)))
    engine.advance(at(5), lateness_us=0)
    before = numbers(engine)
    engine.define([promise(PAGE), promise(PAGE, series=2)])
    assert numbers(engine) == before
    engine.fold(traffic(range(5, 6), series=2))
    engine.advance(at(6), lateness_us=0)
    assert standing(engine, 2).experienced.total == 600
    assert standing(engine).experienced.total == 3_000


def test_a_series_that_is_no_longer_defined_is_gone() -> None:
    """Its neighbour keeps its own numbers."""
    engine = engine_of(promise(PAGE), promise(PAGE, series=2))
    engine.fold(traffic(range(5)))
    engine.fold(traffic(range(3), series=2))
    engine.advance(at(5), lateness_us=0)
    engine.define([promise(PAGE, series=2)])
    assert [each.identity.series_id for each in engine.table(blind=None).standings()] == [2]
    assert standing(engine, 2).experienced.total == 1_800


def test_a_series_that_retires_takes_its_incident_along() -> None:
    """One without an incident retires without a word."""
    engine = engine_of(promise(PAGE), promise(PAGE, series=2))
    engine.fold(traffic(range(5), bad=50))
    engine.advance(at(5), lateness_us=0)
    engine.define([])
    told = engine.advance(at(5), lateness_us=0)
    [resolved] = told.incidents
    assert (resolved.kind, resolved.at_us, resolved.incident.resolved_us) == ("resolved", at(5), at(5))
    assert resolved.incident.reason.startswith("retired: no longer part of any agreement; ")
    assert told.open_incidents == ()
    assert engine.advance(at(6), lateness_us=0).incidents == ()


def test_a_changed_target_takes_effect_with_the_next_tick() -> None:
    """What burns is judged by it; the counts carry on."""
    engine = engine_of(promise(PAGE))
    engine.fold(traffic(range(5), bad=1))
    engine.advance(at(5), lateness_us=0)
    assert standing(engine).verdict == "met"
    engine.define([promise(PAGE, target=0.995)])
    engine.advance(at(6), lateness_us=0)
    assert standing(engine).identity.target == 0.995
    assert standing(engine).verdict == "at_risk"
    assert standing(engine).experienced.total == 3_000


@pytest.mark.parametrize("period", [A_DAY, RollingPeriod(30 * DAY), WEEK], ids=["day", "month", "week"])
def test_a_changed_policy_leaves_every_count_where_it_was(period: RollingPeriod | CalendarPeriod) -> None:
    """Slots, minutes and quarters of an hour, of the present calendar period and the one before."""
    spec = promise(PAGE, period=period)
    engine = engine_of(spec)
    for day in range(6):
        minute = day * 1_440
        engine.fold(traffic(range(minute, minute + 30), bad=day))
        engine.advance(at(minute + 1_440), lateness_us=0)
    before = numbers(engine)
    engine.define([replace(spec, policy=MILDER)])
    assert numbers(engine) == before
    stayed = engine_of(spec)
    for day in range(6):
        stayed.fold(traffic(range(day * 1_440, day * 1_440 + 30), bad=day))
    for each in (engine, stayed):
        each.advance(at(7 * 1_440), lateness_us=0)
    assert numbers(engine) == numbers(stayed)


def test_another_period_starts_with_what_was_kept_for_the_first() -> None:
    """A calendar week cannot take the sums of a rolling day, but its slots."""
    engine = engine_of(promise(PAGE))
    engine.fold(traffic(range(30), bad=1))
    engine.advance(at(60), lateness_us=0)
    engine.define([promise(PAGE, period=WEEK)])
    assert standing(engine).experienced.total == 18_000
    assert standing(engine).period_end_us == calendars.bounds(WEEK, at(60))[1]


def test_a_changed_policy_goes_on_with_the_incident_that_is_open() -> None:
    """It is neither resolved nor told again."""
    spec = promise(PAGE)
    engine = engine_of(spec)
    engine.fold(traffic(range(70), bad=50))
    [opened] = [each for each in engine.advance(at(20), lateness_us=0).incidents if each.kind == "opened"]
    engine.define([replace(spec, policy=MILDER)])
    after = engine.advance(at(60), lateness_us=0)
    assert [each.id for each in after.open_incidents] == [opened.incident.id]
    assert not any(each.kind in {"opened", "resolved"} for each in after.incidents)


def test_a_series_joins_a_block_that_is_there() -> None:
    """By a changed policy, and takes its counts along; who was there keeps its own."""
    first, second = promise(PAGE), promise(PAGE, series=2)
    engine = engine_of(first, replace(second, policy=MILDER))
    engine.fold(traffic(range(5), bad=1))
    engine.fold(traffic(range(3), bad=2, series=2))
    engine.advance(at(5), lateness_us=0)
    before = numbers(engine), numbers(engine, 2)
    engine.define([first, second])
    assert len(engine.table(blind=None).blocks) == 1
    assert (numbers(engine), numbers(engine, 2)) == before


# ---------------------------------------------------------------------------------------------------------------- reach


def test_nothing_is_needed_before_the_first_tick() -> None:
    """There are no sums yet."""
    assert engine_of(promise(PAGE)).needs_from_us is None


@pytest.mark.parametrize(
    ("spec", "back_us"),
    [
        (promise(PAGE), 3 * DAY),
        (promise(PAGE, period=RollingPeriod(30 * DAY)), 30 * DAY),
        (promise(BurnRateCondition(9 * DAY, HOUR, 1, "ticket")), 9 * DAY),
    ],
    ids=["shown", "period", "condition"],
)
def test_sums_reach_back_over_the_longest_window(spec: SeriesSpec, back_us: int) -> None:
    """And the horizon of late data, to a whole quarter of an hour."""
    engine = engine_of(spec)
    engine.advance(at(5), lateness_us=0)
    assert engine.needs_from_us == at(5) - back_us - HORIZON - calendars.COARSE_STEP


def test_sums_of_a_calendar_period_reach_back_over_its_predecessors() -> None:
    """The one before for its total, and that one's for the horizon."""
    engine = engine_of(promise(PAGE, period=CalendarPeriod("month", "UTC")))
    engine.advance(START + DAY, lateness_us=0)
    wanted = calendars.bounds(CalendarPeriod("month", "UTC"), START)[0]
    for _ in range(2):
        wanted = calendars.bounds(CalendarPeriod("month", "UTC"), wanted - 1)[0]
    assert engine.needs_from_us == wanted


# ------------------------------------------------------------------------------------------------------- long silences


def days(*specs: SeriesSpec, step_us: int) -> tuple[list[object], list[object], list[Standing]]:
    """Everything told of a minute of trouble and 12 days of silence, advanced in steps; and where things stand then."""
    engine = engine_of(*specs)
    for series in range(1, len(specs) + 1):
        engine.fold(traffic(range(1), bad=30, series=series))
    incidents, verdicts = list[object](), list[object]()
    for tick in range(START + step_us, START + 12 * DAY + 1, step_us):
        advance = engine.advance(tick, lateness_us=0)
        incidents += advance.incidents
        verdicts += advance.verdicts
    return incidents, verdicts, list(engine.table(blind=None).standings())


@pytest.mark.parametrize(
    "spec",
    [
        promise(PAGE, SilentCondition(HOUR, "ticket")),
        promise(PAGE, period=WEEK),
        promise(PAGE, counts_until_us=START + 9 * DAY + HOUR),
        promise(PAGE, counts_from_us=START + 9 * DAY + HOUR),
        promise(SilentCondition(7 * DAY, "page"), counts_from_us=START + DAY),
    ],
    ids=["silent", "week", "ends", "begins", "falls silent"],
)
def test_a_long_silence_in_one_step_is_told_like_one_in_many(spec: SeriesSpec) -> None:
    """Stretches in which nothing can change are stepped over, and nothing is missed."""
    assert days(spec, step_us=12 * DAY) == days(spec, step_us=6 * HOUR)


@pytest.mark.parametrize("step_us", [DAY, 7 * HOUR])
def test_a_step_through_several_calendar_days_counts_each_for_itself(step_us: int) -> None:
    """Late data of a day in the middle of the step included: the day after measures itself by it."""
    today = promise(PAGE, period=CalendarPeriod("day", "UTC"))
    rows = counts((1, START // MINUTE + hour * 60, 98, 100 + hour, 0, 0) for hour in range(5 * 24))
    late = counts([(1, (START + 4 * DAY) // MINUTE - 60, 1_000, 1_000, 0, 0)])
    found: list[tuple[object, ...]] = []
    for step in (5 * DAY, step_us):
        engine = ShardEngine(MINUTE, starts_us=START)
        engine.define([today])
        engine.fold(rows)
        verdicts = [
            each
            for tick in range(START + step, START + 5 * DAY + step, step)
            for each in engine.advance(min(tick, START + 5 * DAY - HOUR), lateness_us=0).verdicts
        ]
        engine.fold(late)
        engine.advance(START + 5 * DAY - HOUR, lateness_us=0)
        found.append((verdicts, standing(engine)))
    assert found[0] == found[1]
    assert standing(engine).experienced.total == sum(100 + hour for hour in range(96, 119))
    before = sum(100 + hour for hour in range(72, 96)) + 1_000
    assert standing(engine).allowed == pytest.approx(0.05 * max(before, standing(engine).experienced.total))


def test_what_comes_after_a_long_silence_is_counted_where_it_lies() -> None:
    """The stretch that is stepped over ends before it."""
    engine = engine_of(promise(PAGE))
    last = 11 * 1_440
    engine.fold(traffic(range(1)))
    engine.fold(traffic(range(last, last + 10), bad=50))
    told = engine.advance(at(last + 1_440), lateness_us=0)
    first = told.incidents[0]
    assert (first.kind, first.incident.started_us) == ("opened", at(last))
    assert standing(engine).experienced.total == 6_000


def test_blindness_marks_every_series_and_names_its_cause() -> None:
    """Whatever they were before."""
    engine = engine_of(promise(PAGE), promise(SilentCondition(HOUR, "page"), series=2))
    engine.fold(traffic(range(1)))
    engine.advance(at(1), lateness_us=0)
    table = engine.table(blind="no broker")
    assert [each.data for each in table.standings()] == [DataState.BLIND, DataState.BLIND]
    assert all(each.reason.endswith("; blind: no broker") for each in table.standings())
