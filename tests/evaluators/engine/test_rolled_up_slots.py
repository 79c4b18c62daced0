"""An engine that is rebuilt from slots that were rolled up says what one says that never stopped, and counts the same.

::

      13 months                        2 days              tick
    ......|..............................|...................|
     15 m |          minutes             |      slots        |     late data lands in any of the three, at any time
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import rollup
from evaluators.agreements import BudgetRemainingCondition, BurnRateCondition, CalendarPeriod, Period, RollingPeriod
from evaluators.calendars import COARSE_STEP
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import Standing
from tests.evaluators.engine.oracle import Oracle
from tests.evaluators.engine.promises import SLOT, START, counts, promise
from tests.examples import examples

PERIODS: tuple[Period, ...] = (
    RollingPeriod(2 * HOUR),
    RollingPeriod(6 * HOUR + MINUTE),
    RollingPeriod(3 * DAY),
    RollingPeriod(3 * DAY + HOUR),
    RollingPeriod(7 * DAY),
    RollingPeriod(366 * DAY),
    CalendarPeriod("day", "Asia/Kathmandu"),
    CalendarPeriod("week", "America/New_York"),
    CalendarPeriod("month", "Europe/Berlin"),
    CalendarPeriod("year", "Australia/Lord_Howe"),
)
CONDITIONS = (
    BurnRateCondition(6 * HOUR, 30 * MINUTE, 2, "page"),
    BurnRateCondition(2 * DAY, 4 * HOUR, 1.5, "ticket", "experienced"),
    BurnRateCondition(5 * DAY, 10 * HOUR, 1, "ticket"),
    BudgetRemainingCondition(0.4, "ticket"),
)
LONG_AGO = 1200 * DAY
Row = tuple[int, int, int, int, int, int]


def rolled_up(stored: SlotCounts, tick_us: int, edges_us: Sequence[int]) -> SlotCounts:
    """As the store would have it."""
    at = stored.slot * SLOT
    old = at < rollup.quarters_before_us(tick_us)
    middle = ~old & (at < rollup.minutes_before_us(tick_us, SLOT))
    return concatenated(
        [
            rollup.rolled(stored.take(old), COARSE_STEP, SLOT, edges_us),
            rollup.rolled(stored.take(middle), MINUTE, SLOT, edges_us),
            stored.take(~old & ~middle),
        ]
    )


@dataclass
class Life:
    """One that never stops, what it was given, and what the store holds of it."""

    specs: list[SeriesSpec]
    random: Random
    engine: ShardEngine
    given: SlotCounts = field(default_factory=SlotCounts.empty)
    stored: SlotCounts = field(default_factory=SlotCounts.empty)

    @property
    def tick_us(self) -> int:
        assert self.engine.evaluated_until_us is not None
        return self.engine.evaluated_until_us

    def write(self, rows: list[Row]) -> SlotCounts:
        part = counts(rows)
        self.given = concatenated([self.given, part])
        self.stored = concatenated([self.stored, part]).merged()
        return part

    def roll_up(self) -> None:
        self.stored = rolled_up(self.stored, self.tick_us, sorted(self.engine.edges_us))

    def retarget(self) -> None:
        """A version that comes into force with the tick, which need be no whole minute."""
        chosen = self.random.randrange(len(self.specs))
        spec = self.specs[chosen]
        target = self.random.choice([0.9, 0.95, 0.99])
        self.specs[chosen] = replace(spec, identity=replace(spec.identity, target=target))
        self.engine.define(self.specs)

    def rebuilt(self) -> ShardEngine:
        """From the truth, in parts of any size."""
        fresh = ShardEngine.rebuilt(SLOT, self.engine.open_state(), self.specs, SlotCounts.empty())
        needed_us = fresh.needs_from_us
        assert needed_us is not None
        needed = self.stored.take(self.stored.slot >= needed_us // SLOT)
        cut = self.random.randint(0, len(needed))
        for part in (needed.take(slice(cut, None)), needed.take(slice(0, cut))):
            fresh.load(part)
        return fresh


def row(series: int, slot: int, random: Random) -> Row:
    total = random.choice([0, 1, 7, 40])
    bad = random.choice([0, 0, 0, 1, total // 2])
    out = random.choice([0, 0, total // 3])
    return (series, slot, total - min(bad, total), total, max(out - bad, 0), out)


def rows_near(specs: Sequence[SeriesSpec], tick_us: int, random: Random, number: int) -> list[Row]:
    """Of any age, most of them where windows and periods start and where resolutions change."""
    found: list[Row] = []
    for _ in range(number):
        spec = random.choice(specs)
        edges = [0, 30 * MINUTE, 6 * HOUR, DAY, 2 * DAY, 3 * DAY, 5 * DAY, rollup.MINUTES_KEPT_US]
        if isinstance(spec.period, RollingPeriod):
            edges += [spec.period.length_us] * 3
        else:
            start_us = Oracle(spec, SLOT, tick_us, []).period(tick_us)[0]
            edges += [tick_us - start_us] * 3
        age_us = random.choice([random.choice(edges), random.choice(edges), random.randrange(LONG_AGO)])
        at_us = tick_us - age_us + random.randint(-30, 30) * SLOT
        found.append(row(spec.identity.series_id, min(at_us // SLOT, tick_us // SLOT - 1), random))
    return found


def begun(random: Random) -> Life:
    """An engine that begins at any slot, with a history that came before."""
    begin_us = START + random.randrange(3 * DAY // SLOT) * SLOT
    specs = [
        promise(
            *(each for each in CONDITIONS if random.random() < 0.6),
            series=series,
            period=random.choice(PERIODS),
            target=random.choice([0.9, 0.95, 0.99]),
            counts_from_us=random.choice([0, 0, begin_us - 50 * HOUR + random.randrange(60) * SLOT]),
            has_exclusions=True,
        )
        for series in (1, 2)
    ]
    engine = ShardEngine(SLOT, starts_us=begin_us)
    engine.define(specs)
    life = Life(specs, random, engine)
    engine.fold(life.write(rows_near(specs, begin_us, random, 120)))
    engine.advance(begin_us + SLOT, lateness_us=0)
    return life


def lived(life: Life) -> None:
    """Hours in which data come in time and late, targets change, and slots are rolled up."""
    random = life.random
    for _ in range(random.randint(1, 6)):
        until_us = life.tick_us + random.choice([1, 5, 100, 360, 1000]) * SLOT
        coming = [row(1, random.randrange(life.tick_us // SLOT, until_us // SLOT), random) for _ in range(20)]
        life.engine.fold(life.write(coming + rows_near(life.specs, life.tick_us, random, random.choice([0, 5, 30]))))
        life.engine.advance(until_us, lateness_us=0)
        if random.random() < 0.4:
            life.retarget()
        if random.random() < 0.6:
            life.roll_up()


def standings(engine: ShardEngine) -> dict[int, Standing]:
    return {each.identity.series_id: each for each in engine.table(blind=None).standings()}


@examples(60)
@given(st.integers(0, 1 << 32))
def test_a_rebuild_from_rolled_up_slots_says_what_was_said_all_along(seed: int) -> None:
    """Every number of the table, the small truth, and what late data of the next hours restates."""
    random = Random(seed)
    life = begun(random)
    lived(life)
    life.roll_up()
    again = life.rebuilt()

    assert again.open_state() == life.engine.open_state()
    assert standings(again) == standings(life.engine)
    more = counts(rows_near(life.specs, life.tick_us, random, 30))
    until_us = life.tick_us + HOUR
    told: list[Advance] = []
    for engine in (life.engine, again):
        engine.fold(more)
        told.append(engine.advance(until_us, lateness_us=0))
    assert told[0] == told[1]
    assert standings(again) == standings(life.engine)


@examples(60)
@given(st.integers(0, 1 << 32))
def test_every_sum_of_a_rebuilt_engine_is_a_recount_of_the_raw_rows(seed: int) -> None:
    """Each window at the resolution that it promises, and the period, whatever was rolled up when."""
    life = begun(Random(seed))
    lived(life)
    life.roll_up()
    engine, tick_us = life.rebuilt(), life.tick_us
    for block in engine.blocks.values():
        now = block.timeline.now()
        for column, track in enumerate(block.tracks):
            oracle = Oracle.of(track.spec, SLOT, 0, life.given)
            for view in ("experienced", "contractual"):
                for place, length in enumerate(block.timeline.lengths):
                    assert _of(now.windows[place][:, 0, column], view) == oracle.window(tick_us, length, view)
                assert _of(now.period[:, 0, column], view) == oracle.count(oracle.period(tick_us)[0], tick_us, view)


def _of(kinds: np.ndarray, view: str) -> tuple[int, int]:
    failures, total, excluded_failures, excluded = kinds.tolist()
    return (failures, total) if view == "experienced" else (failures - excluded_failures, total - excluded)


@pytest.mark.parametrize("after", [1, 5, 6])
def test_a_target_that_changed_within_a_minute_keeps_its_part_of_the_budget(after: int) -> None:
    """Three days on, when the minute in which it changed is one row for windows."""
    spec = promise(period=RollingPeriod(7 * DAY), target=0.9)
    engine = ShardEngine(SLOT, starts_us=START)
    engine.define([spec])
    life = Life([spec], Random(after), engine)
    engine.fold(life.write([(1, START // SLOT + slot, 9, 10, 0, 0) for slot in range(12)]))
    engine.advance(START + after * SLOT, lateness_us=0)
    life.specs = [replace(spec, identity=replace(spec.identity, target=0.99))]
    engine.define(life.specs)
    engine.advance(START + 3 * DAY + HOUR, lateness_us=0)
    life.roll_up()

    assert len(life.stored) == (2 if after == 6 else 3)
    assert standings(life.rebuilt()) == standings(engine)
