"""Histories for properties of the engine: what was counted, when it arrived, and in how many calls it was evaluated.

A history is made of stretches, such as "40 slots of 20 samples, a fifth of them bad", so that conditions come and go.
Slots are minutes: a day of them is few enough for an oracle that counts anew at every tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
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
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.engine.specs import Restatement
from evaluators.incidents import Incident, IncidentChange, VerdictChange
from evaluators.slots import SlotCounts
from tests.evaluators.engine.promises import START, counts, promise, told

SLOT = MINUTE
Row = tuple[int, int, int, int, int, int]

PERIODS: st.SearchStrategy[Period] = st.sampled_from(
    [
        RollingPeriod(30 * MINUTE),
        RollingPeriod(2 * HOUR),
        RollingPeriod(DAY),
        RollingPeriod(4 * DAY),
        CalendarPeriod("day", "UTC"),
        CalendarPeriod("day", "Asia/Kolkata"),
        CalendarPeriod("week", "America/New_York"),
        CalendarPeriod("month", "Europe/Berlin"),
    ]
)
VIEWS = st.sampled_from(["contractual", "experienced"])
SEVERITIES = st.sampled_from(["page", "ticket"])
BURNS = st.builds(
    lambda short, times, *rest: BurnRateCondition(short * times * MINUTE, short * MINUTE, *rest),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sampled_from([1.0, 1.5, 3.0, 6.0]),
    SEVERITIES,
    VIEWS,
)
CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    BURNS,
    BURNS,
    st.builds(SilentCondition, st.integers(1, 30).map(lambda n: n * MINUTE), SEVERITIES),
    st.builds(BudgetRemainingCondition, st.sampled_from([0.1, 0.25, 0.5]), SEVERITIES, VIEWS),
)
CALENDAR_CONDITIONS = CONDITIONS | st.builds(
    ExhaustionCondition, st.sampled_from([HOUR, 6 * HOUR, DAY]), SEVERITIES, VIEWS
)
MINIMUMS = st.sampled_from([Minimum(0, 0), Minimum(), Minimum(10, 2), Minimum(10_000, 3)])


@st.composite
def promises(draw: st.DrawFn, series: int = 1) -> SeriesSpec:
    """Any period, target and policy; the agreement mostly counts from before the first tick and without end."""
    period = draw(PERIODS)
    kinds = CALENDAR_CONDITIONS if isinstance(period, CalendarPeriod) else CONDITIONS
    return promise(
        *draw(st.lists(kinds, max_size=4, unique=True)),
        series=series,
        period=period,
        target=draw(st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999])),
        minimum=draw(MINIMUMS),
        counts_from_us=draw(st.sampled_from([0, 0, 0, START + 20 * MINUTE, START - DAY])),
        counts_until_us=draw(st.sampled_from([None, None, None, START + 90 * MINUTE])),
        has_exclusions=draw(st.booleans()),
    )


@st.composite
def histories(draw: st.DrawFn, series: int = 1, *, slots: int = 150, first: int = START // SLOT) -> list[Row]:
    """Rows of one series, one or two a slot, over at most so many slots."""
    rows: list[Row] = []
    slot, end = first, first + slots
    while slot < end:
        length = draw(st.integers(1, 50))
        total = draw(st.sampled_from([0, 0, 1, 3, 20, 150]))
        bad = draw(st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.4, 1.0]))
        excluded = draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0]))
        for at in range(slot, min(slot + length, end)):
            failed = _share(total, bad, at)
            left_out, failed_out = _share(total, excluded, at), _share(failed, excluded, at + 1)
            left_out = max(left_out, failed_out)
            failed_out = max(failed_out, failed + left_out - total)  # no more good ones can be left out than there are
            if total:
                rows.append((series, at, total - failed, total, left_out - failed_out, left_out))
        slot += length
        if draw(st.integers(0, 5)) == 0:
            break
    return rows


def _share(total: int, share: float, at: int) -> int:
    """About this share of a total, so that over several slots it adds up."""
    return int((at + 1) * total * share) - int(at * total * share)


@dataclass(frozen=True)
class Run:
    """What somebody knows who heard everything that a run told."""

    incidents: list[Incident]
    verdicts: list[VerdictChange]
    advances: list[Advance]

    @property
    def changes(self) -> list[IncidentChange]:
        return [change for advance in self.advances for change in advance.incidents]


def known(advances: Sequence[Advance]) -> Run:
    """As a store keeps it: what a restatement says of a series replaces what was said of the time after it."""
    verdicts: list[VerdictChange] = []
    for advance in advances:
        verdicts = [each for each in verdicts if not _replaced(each, advance.restated)]
        verdicts += advance.verdicts
    verdicts.sort(key=lambda each: (each.series_id, each.at_us))
    changes = [change for advance in advances for change in advance.incidents]
    incidents = sorted(told(changes).values(), key=lambda each: (each.series_id, each.detected_us))
    return Run(incidents, verdicts, list(advances))


def _replaced(change: VerdictChange, restated: Iterable[Restatement]) -> bool:
    return any(each.series_id == change.series_id and change.at_us > each.from_us for each in restated)


def spans(run: Run) -> list[tuple[int, str, int, int, int | None]]:
    """What is so of incidents, whatever they are called."""
    return [
        (each.series_id, each.severity, each.started_us, each.detected_us, each.resolved_us) for each in run.incidents
    ]


def turns(run: Run) -> list[tuple[int, int, str | None, str]]:
    """When which verdict and data state began."""
    return [(each.series_id, each.at_us, each.verdict, each.data) for each in run.verdicts]


def begun(*specs: SeriesSpec, slot_us: int = SLOT) -> ShardEngine:
    """An engine that begins at START."""
    engine = ShardEngine(slot_us, starts_us=START)
    engine.define(specs)
    return engine


def straight(specs: Sequence[SeriesSpec], rows: Iterable[Sequence[int]], until_us: int) -> tuple[ShardEngine, Run]:
    """Everything in one fold and one advance."""
    engine = begun(*specs)
    engine.fold(counts(rows))
    return engine, known([engine.advance(until_us, lateness_us=0)])


Swap = Callable[[ShardEngine, SlotCounts], ShardEngine]


def played(
    specs: Sequence[SeriesSpec],
    arrivals: Sequence[tuple[int, Sequence[Row]]],
    swap: Swap | None = None,
) -> tuple[ShardEngine, Run]:
    """Parts of rows, each followed by an advance to its watermark; `swap` may replace the engine after each."""
    engine = begun(*specs)
    advances: list[Advance] = []
    seen = SlotCounts.empty()
    for watermark_us, rows in arrivals:
        part = counts(rows)
        engine.fold(part)
        seen = SlotCounts.from_columns(np.concatenate((seen.columns, part.columns), axis=1))
        advances.append(engine.advance(watermark_us, lateness_us=0))
        if swap is not None:
            engine = swap(engine, seen)
    return engine, known(advances)


@st.composite
def arrivals(draw: st.DrawFn, rows: Sequence[Row], until_us: int, *, late: bool = False) -> list[tuple[int, list[Row]]]:
    """Rows in any order over some cuts of the time up to `until_us`; with `late` also long after their slot was evaluated."""
    ticks = (until_us - START) // SLOT
    marks = sorted(START + each * SLOT for each in draw(st.lists(st.integers(0, ticks), max_size=8)))
    marks.append(until_us)
    parts: list[list[Row]] = [[] for _ in marks]
    random = draw(st.randoms(use_true_random=False))
    for row in rows:
        on_time = next(
            place for place, mark in enumerate(marks) if (row[1] + 1) * SLOT <= mark or place == len(marks) - 1
        )
        parts[random.randrange(len(marks)) if late and random.random() < 0.3 else random.randint(0, on_time)].append(
            row
        )
    for part in parts:
        random.shuffle(part)
    return list(zip(marks, parts, strict=True))
