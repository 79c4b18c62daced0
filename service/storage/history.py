"""What became of a series over time: counts a step, the budget as it stood at the end of each, and the verdict then.

The same sums and the same budget as the engine's, taken from the stored slots: at each step by the target that was in
force then, and with what earlier targets within the period allowed. Old slots are stored rolled up, so old steps are as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from evaluators import calendars, durations
from evaluators.agreements import Agreement, CalendarPeriod, Objective, Period
from evaluators.engine.budgets import born_at, budget, budget_of
from evaluators.engine.timeline import NEVER, Counted
from evaluators.fingerprints import indicator_fingerprint
from evaluators.rollup import finest_step
from evaluators.slots import Int64s, SlotCounts
from service.storage import slots
from service.storage.database import reaching
from service.storage.definitions import in_force
from service.storage.documents import StoredDocument, StoredDocuments
from service.storage.specs import begun_us

MOST_POINTS: Final = 11_000  # more than any plot shows; Prometheus has the same bound

_NONE: Final = np.zeros(0, dtype=np.int64)

_SERIES = text(
    """
    SELECT indicators.agreement, indicators.objective, indicators.fingerprint, installation.slot_us,
           shards.evaluated_until_us AS tick_us
    FROM series JOIN indicators ON indicators.id = series.indicator_id
    LEFT JOIN shards ON shards.id = indicators.shard CROSS JOIN installation
    WHERE series.id = :series
    """
)
_VERDICTS = text(
    """
    SELECT at_us, verdict FROM verdict_changes
    WHERE series_id = :series AND at_us <= :until AND at_us >= coalesce(
        (SELECT max(at_us) FROM verdict_changes WHERE series_id = :series AND at_us <= :since), 0)
    ORDER BY at_us
    """
)


class UnknownSeries(LookupError):
    """There is no such series."""


class BadSpan(ValueError):
    """A history cannot be cut so; the text says why, for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """One view: counts of each step alone, and the budget that was left at its end (NaN: nothing counted)."""

    good: Int64s
    total: Int64s
    budget_remaining: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Steps [time_us, time_us + step_us) in order, those without samples too; `verdicts` at the end of each."""

    step_us: int
    time_us: Int64s
    contractual: Counts
    experienced: Counts
    verdicts: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, slots=True)
class _Promise:
    """What a series' budget follows from. `targets`: what it was from which tick on, the first one for all time before."""

    slot_us: int
    tick_us: int | None
    period: Period
    targets: tuple[tuple[int, float], ...]
    counts_from_us: int
    counts_until_us: int | None


class HistoryStore:
    """Reads histories; each version of a document is read once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._documents = StoredDocuments()

    async def load(self, series_id: int, from_us: int, to_us: int, step_us: int) -> History:
        """Whole steps that cover [from, to), on multiples of the step.

        Raises UnknownSeries, BadSpan, DependencyAway.
        """
        with reaching():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
                promise = await self._promise(connection, series_id)
                starts = _steps(from_us, to_us, step_us, promise)
                ends = starts + step_us
                counted = _Bounded(*await _counts(connection, series_id, promise, starts, ends), promise)
                verdicts = await _verdicts(connection, series_id, ends)
                await connection.rollback()
        return History(
            step_us=step_us,
            time_us=starts,
            contractual=counted.view(starts, ends, contractual=True),
            experienced=counted.view(starts, ends, contractual=False),
            verdicts=verdicts,
        )

    async def _promise(self, connection: AsyncConnection, series_id: int) -> _Promise:
        """By the newest version that counts what the series counts."""
        row = (await connection.execute(_SERIES, {"series": series_id})).one_or_none()
        if row is None:
            raise UnknownSeries(f"there is no series {series_id}")
        versions = await self._documents.versions(connection, "Agreement", row.agreement)
        for place in range(len(versions), 0, -1):
            objective = _objective(versions[place - 1], row)
            agreement = versions[place - 1].document
            if objective is not None and isinstance(agreement, Agreement):
                begun = begun_us(versions[:place], objective)
                return _Promise(
                    row.slot_us,
                    row.tick_us,
                    objective.period,
                    _targets(versions[:place], row, begun),
                    max(begun, agreement.effective_from_us),
                    agreement.effective_until_us,
                )
        raise UnknownSeries(f"no agreement holds series {series_id}")


class _Bounded:
    """A series' counts as running sums over its slots, as far as its agreement counts them."""

    def __init__(self, counts: SlotCounts, first_us: int, promise: _Promise) -> None:
        until_us = promise.counts_until_us
        at = counts.slot * promise.slot_us
        within = at >= promise.counts_from_us
        if until_us is not None:
            within &= at < until_us
        kept = counts.take(within)
        self._promise = promise
        self._at = kept.slot * promise.slot_us
        self._sums = {
            True: (_running(kept.good - kept.excluded_good), _running(kept.total - kept.excluded_total)),
            False: (_running(kept.good), _running(kept.total)),
        }
        self._born = born_at(np.array([first_us]), np.array([promise.counts_from_us]))

    def view(self, starts: Int64s, ends: Int64s, *, contractual: bool) -> Counts:
        """Sums of the steps, and the budget at their ends."""
        good, total = self._between(starts, ends, contractual=contractual)
        period_start, period_end, previous_start = _periods(self._promise, ends)
        period_good, period_total = self._between(period_start, ends, contractual=contractual)
        previous = None
        if previous_start is not None:
            previous = self._between(previous_start, period_start, contractual=contractual)[1][:, None]
        counted = Counted(
            ends, _NONE, _NONE, period_start, period_end, previous, previous_start, np.full((1, 1), NEVER)
        )
        budgets, more = self._allowed(period_start, ends, contractual=contractual)
        at_ends = budget(
            counted,
            self._born,
            budgets[:, None],
            self._promise.period,
            (period_total - period_good)[:, None],
            period_total[:, None],
            previous,
            more[:, None],
        )
        return Counts(good, total, at_ends.remaining()[:, 0])

    def _allowed(
        self, period_start: Int64s, ends: Int64s, *, contractual: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The budget in force at each end, and what the targets before it allow beyond that within the period."""
        targets = self._promise.targets
        budgets = budget_of(np.array([target for _, target in targets], dtype=np.float64))
        in_force = np.searchsorted(np.array([at_us for at_us, _ in targets[1:]], dtype=np.int64), ends, side="left")
        more = np.zeros(len(ends))
        for place, (at_us, _) in enumerate(targets[1:], start=1):
            changed = np.full(len(ends), at_us)
            spans = (ends > at_us) & (period_start < at_us)
            before = self._between(np.minimum(period_start, changed), changed, contractual=contractual)[1]
            more += np.where(spans, (budgets[place - 1] - budgets[place]) * before, 0.0)
        return budgets[in_force], more

    def _between(self, starts: Int64s, ends: Int64s, *, contractual: bool) -> tuple[Int64s, Int64s]:
        first, last = np.searchsorted(self._at, starts), np.searchsorted(self._at, ends)
        good, total = self._sums[contractual]
        return good[last] - good[first], total[last] - total[first]


def _running(values: Int64s) -> Int64s:
    """`sums[n]` is the sum of the first n."""
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(values)))


def _steps(from_us: int, to_us: int, step_us: int, promise: _Promise) -> Int64s:
    slot_us = promise.slot_us
    if step_us < slot_us or step_us % slot_us:
        raise BadSpan(f"a step must be a multiple of {slot_us / 1_000_000:g}s")
    if to_us <= from_us:
        raise BadSpan("the end must be after the start")
    first, last = from_us // step_us, -(-to_us // step_us)
    finest_us = _finest(first * step_us, promise)
    if step_us % finest_us:
        raise BadSpan(f"so long ago a step must be a multiple of {durations.format(finest_us)}")
    if last - first > MOST_POINTS:
        raise BadSpan(f"that is {last - first} points, at most {MOST_POINTS} are given: choose a longer step")
    return np.arange(first, last, dtype=np.int64) * step_us


def _finest(from_us: int, promise: _Promise) -> int:
    return promise.slot_us if promise.tick_us is None else finest_step(from_us, promise.tick_us, promise.slot_us)


def _targets(versions: Sequence[StoredDocument], row: Any, begun: int) -> tuple[tuple[int, float], ...]:
    """Each target with the first tick that it counts after, of the versions since the series has counted the same.

    A version is in force from the first tick at or after its time, as the engine takes it up.
    """
    found: list[tuple[int, float]] = []
    for version, until_us in in_force(versions):
        objective, from_us = _objective(version, row), version.in_force_from_us
        if objective is None or from_us < begun or (until_us is not None and until_us <= from_us):
            continue
        if not found or found[-1][1] != objective.target:
            found.append((-(-from_us // row.slot_us) * row.slot_us, objective.target))
    return tuple(found)


def _objective(version: StoredDocument, row: Any) -> Objective | None:
    if not isinstance(version.document, Agreement):
        return None
    for objective in version.document.objectives:
        if objective.name == row.objective and indicator_fingerprint(objective) == row.fingerprint:
            return objective
    return None


def _periods(promise: _Promise, ticks: Int64s) -> tuple[Int64s, Int64s, Int64s | None]:
    """Start and end of the period at each tick, and for calendar periods the start of the one before."""
    period = promise.period
    if not isinstance(period, CalendarPeriod):
        step = max(calendars.window_step(period.length_us, promise.slot_us), _finest(int(ticks[0]), promise))
        return (ticks - period.length_us) // step * step, ticks, None
    began = ticks - promise.slot_us  # a slot belongs where it starts
    earliest = calendars.bounds(period, int(began[0]))[0] - 1
    edges = calendars.edges(period, earliest, int(began[-1]))
    index = np.searchsorted(edges, began, side="right") - 1
    return edges[index], edges[index + 1], edges[index - 1]


async def _counts(
    connection: AsyncConnection, series_id: int, promise: _Promise, starts: Int64s, ends: Int64s
) -> tuple[SlotCounts, int]:
    """The slots that steps and periods span, and when the series was first sampled (-NEVER: not yet)."""
    start, _, previous_start = _periods(promise, ends[:1])
    earliest = min(int(starts[0]), int((start if previous_start is None else previous_start)[0]))
    from_slot = earliest // promise.slot_us
    counts = await slots.read(connection, [series_id], from_slot, int(ends[-1]) // promise.slot_us)
    first = await slots.first_sampled(connection, series_id)
    return counts, -NEVER if first is None else first * promise.slot_us


async def _verdicts(connection: AsyncConnection, series_id: int, ends: Int64s) -> tuple[str | None, ...]:
    found = await connection.execute(_VERDICTS, {"series": series_id, "since": int(ends[0]), "until": int(ends[-1])})
    changes: Sequence[Any] = found.all()
    index = np.searchsorted(np.array([row.at_us for row in changes], dtype=np.int64), ends, side="right") - 1
    return tuple(changes[place].verdict if place >= 0 else None for place in index.tolist())
