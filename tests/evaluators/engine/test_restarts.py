"""A life of restarts and late data ends with what one undisturbed run would have told.

Slots of ten seconds, so that windows leave the rings of slots and those of minutes at different times; everything that
can happen to a shard happens in one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

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
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.incidents import Incident, IncidentChange
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import Standing
from tests.evaluators.engine.promises import SLOT, START, counts, promise, told
from tests.examples import examples

SPAN = 150 * MINUTE
LATEST = 2 * HOUR
ENDS = START + 22 * HOUR + SPAN
BEGINS = START + 22 * HOUR
"""Two hours before midnight of UTC, and an hour before that of Berlin: days end on the way."""
PERIODS: tuple[Period, ...] = (
    RollingPeriod(HOUR),
    RollingPeriod(6 * HOUR),
    RollingPeriod(7 * DAY),
    CalendarPeriod("day", "UTC"),
    CalendarPeriod("day", "Europe/Berlin"),
    CalendarPeriod("month", "UTC"),
)
CONDITIONS: tuple[Condition, ...] = (
    BurnRateCondition(20 * MINUTE, 2 * MINUTE, 3, "page"),
    BurnRateCondition(HOUR, 5 * MINUTE, 1.5, "ticket", "experienced"),
    SilentCondition(2 * MINUTE, "ticket"),
    BudgetRemainingCondition(0.3, "ticket"),
)
Row = tuple[int, int, int, int, int, int]


def specs_of(random: Random) -> list[SeriesSpec]:
    """One to three promises, some of which begin or end on the way."""
    return [_spec(series, random) for series in range(1, random.randint(2, 4))]


def _spec(series: int, random: Random) -> SeriesSpec:
    period = random.choice(PERIODS)
    conditions = [each for each in CONDITIONS if random.random() < 0.7]
    if isinstance(period, CalendarPeriod):
        conditions.append(ExhaustionCondition(HOUR, "ticket"))
    return promise(
        *conditions,
        series=series,
        period=period,
        target=random.choice([0.9, 0.95, 0.99]),
        minimum=random.choice([Minimum(0, 0), Minimum(), Minimum(20, 3)]),
        counts_from_us=random.choice([0, BEGINS + 30 * MINUTE]),
        counts_until_us=random.choice([None, None, BEGINS + 2 * HOUR]),
        has_exclusions=random.random() < 0.3,
    )


def rows_of(specs: Sequence[SeriesSpec], random: Random) -> list[Row]:
    """Good times, bad times and quiet times, with gaps."""
    rows: list[Row] = []
    for spec in specs:
        mood = 0.005
        for slot in range(BEGINS // SLOT, ENDS // SLOT):
            if random.random() < 0.02:
                mood = random.choice([0.005, 0.005, 0.5, -1.0])
            if mood < 0 or random.random() < 0.1:
                continue
            total = random.randint(1, 20)
            bad = sum(random.random() < mood for _ in range(total))
            out = random.randint(0, total) if spec.has_exclusions and random.random() < 0.3 else 0
            rows.append((spec.identity.series_id, slot, total - bad, total, out - min(bad, out), out))
    return rows


def arrivals(rows: Sequence[Row], random: Random) -> list[tuple[int, Row]]:
    """When each row comes: as its slot ends, or up to two hours after it, yet before the end."""
    late = (random.randint(0, LATEST) if random.random() < 0.1 else 0 for _ in rows)
    coming = [(min((row[1] + 1) * SLOT + delay, ENDS), row) for row, delay in zip(rows, late, strict=True)]
    return sorted(coming, key=lambda each: each[0])


@dataclass
class Life:
    """One shard, as it goes through what happens to it."""

    specs: list[SeriesSpec]
    random: Random
    engine: ShardEngine
    stored: list[SlotCounts] = field(default_factory=list)
    changes: list[IncidentChange] = field(default_factory=list)

    def step(self, now_us: int, rows: list[Row], *, hold: bool, lateness_us: int) -> None:
        self.random.shuffle(rows)
        part = counts(rows)
        self.stored.append(part)
        self.engine.fold(part)
        advance = self.engine.advance(now_us + lateness_us, lateness_us=lateness_us, hold_resolves=hold)
        self.changes += advance.incidents
        assert len({each.series_id for each in advance.open_incidents}) == len(advance.open_incidents)
        self._befall()

    def _befall(self) -> None:
        fate = self.random.random()
        if fate < 0.15:
            before, self.engine = self.engine, ShardEngine.restore(self.engine.snapshot())
            assert self.engine.open_state() == before.open_state()
            assert standings(self.engine) == standings(before)
        elif fate < 0.3:
            self.engine = self._rebuilt()
        elif fate < 0.4:
            self.engine.define(self.specs)

    def _rebuilt(self) -> ShardEngine:
        """From the truth: open state, and of the stored slots those that it asks for."""
        fresh = ShardEngine.rebuilt(SLOT, self.engine.open_state(), self.specs, SlotCounts.empty())
        stored = concatenated(self.stored).merged()
        needed_us = fresh.needs_from_us
        fresh.load(stored if needed_us is None else stored.take(stored.slot >= needed_us // SLOT))
        return fresh


def begun(specs: Sequence[SeriesSpec]) -> ShardEngine:
    engine = ShardEngine(SLOT, starts_us=BEGINS)
    engine.define(specs)
    return engine


def lived(specs: list[SeriesSpec], rows: Sequence[Row], random: Random, *, holds: bool) -> Life:
    """Steps of ten seconds to forty minutes; with `holds` a partition is set aside now and then, until the end."""
    life = Life(specs, random, begun(specs))
    coming, now_us, hold = arrivals(rows, random), BEGINS, False
    while now_us < ENDS:
        now_us = min(now_us + random.choice([SLOT, 3 * SLOT, MINUTE, 10 * MINUTE, 40 * MINUTE]), ENDS)
        hold = holds and now_us < ENDS and (hold != (random.random() < 0.1))
        due = [row for at_us, row in coming if at_us <= now_us]
        coming = coming[len(due) :]
        life.step(now_us, due, hold=hold, lateness_us=random.choice([0, 30_000_000]))
    return life


def known(changes: Sequence[IncidentChange]) -> list[tuple[object, ...]]:
    """What is so of each incident, whatever it is called: a correction keeps the name that was told first."""
    return sorted(_facts(each) for each in told(changes).values())


def _facts(each: Incident) -> tuple[object, ...]:
    return (each.series_id, each.detected_us, each.started_us, each.resolved_us or 0, each.severity, each.partial)


def standings(engine: ShardEngine) -> dict[int, Standing]:
    return {each.identity.series_id: each for each in engine.table(blind=None).standings()}


@examples(25)
@given(st.integers(0, 1 << 32), st.booleans())
def test_a_life_of_restarts_and_late_data_ends_as_an_undisturbed_one(seed: int, holds: bool) -> None:
    """Incidents with their times and severities, and every number of the table."""
    random = Random(seed)
    specs = specs_of(random)
    rows = rows_of(specs, random)
    undisturbed = begun(specs)
    undisturbed.fold(counts(rows))
    once = undisturbed.advance(ENDS, lateness_us=0)

    life = lived(specs, rows, random, holds=holds)

    assert known(life.changes) == known(once.incidents)
    assert standings(life.engine) == standings(undisturbed)
    assert concatenated(life.stored) == counts(rows)


@examples(15)
@given(st.integers(0, 1 << 32))
def test_what_comes_in_time_makes_incidents_of_the_same_names(seed: int) -> None:
    """Through any restarts: an identity is what an incident is about and when it was detected."""
    random = Random(seed)
    specs = specs_of(random)
    rows = rows_of(specs, random)
    undisturbed = begun(specs)
    undisturbed.fold(counts(rows))
    once = undisturbed.advance(ENDS, lateness_us=0)
    life = Life(specs, random, begun(specs))

    for now_us in range(BEGINS, ENDS, 25 * MINUTE):
        until_us = min(now_us + 25 * MINUTE, ENDS)
        due = [row for row in rows if now_us <= row[1] * SLOT < until_us]
        life.step(until_us, due, hold=False, lateness_us=0)

    assert _told_of(life.changes) == _told_of(once.incidents)


def _told_of(changes: Sequence[IncidentChange]) -> list[tuple[object, ...]]:
    return sorted((each.at_us, each.kind, each.incident.id) for each in changes)
