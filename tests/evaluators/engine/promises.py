"""Promises and counts for tests of the engine: one line each, in minutes after START."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from evaluators.agreements import Condition, Minimum, Period, RollingPeriod
from evaluators.durations import DAY, MINUTE, SECOND
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.incidents import Incident, IncidentChange
from evaluators.policies import ResolvedPolicy
from evaluators.slots import SlotCounts
from evaluators.standings import SeriesIdentity

SLOT = 10 * SECOND
START = 1_764_028_800 * SECOND // DAY * DAY
UNGATED = Minimum(events=0, failures=0)
A_DAY = RollingPeriod(DAY)


def promise(
    *conditions: Condition,
    series: int = 1,
    period: Period = A_DAY,
    target: float = 0.95,
    minimum: Minimum = UNGATED,
    counts_from_us: int = 0,
    counts_until_us: int | None = None,
    has_exclusions: bool = False,
    group: str | None = None,
) -> SeriesSpec:
    """One series, promised `target` over `period`; `group`: of the region called so."""
    kind = "rolling" if isinstance(period, RollingPeriod) else "calendar"
    labels = () if group is None else (("region", group),)
    return SeriesSpec(
        identity=SeriesIdentity(series, "gold", f"objective-{series}", None, labels, 1, target, kind),
        period=period,
        policy=ResolvedPolicy(conditions, minimum),
        counts_from_us=counts_from_us,
        counts_until_us=counts_until_us,
        notify=("oncall",),
        has_exclusions=has_exclusions,
    )


def counts(rows: Iterable[Sequence[int]]) -> SlotCounts:
    """Rows of (series, slot, good, total, excluded good, excluded total)."""
    return SlotCounts.from_columns(np.array(list(rows), dtype=np.int64).reshape(-1, 6).T)


def traffic(minutes: range, *, bad: int = 0, total: int = 100, series: int = 1) -> SlotCounts:
    """`bad` of `total` samples in every slot of these minutes."""
    first, end = (START + minutes.start * MINUTE) // SLOT, (START + minutes.stop * MINUTE) // SLOT
    return counts((series, slot, total - bad, total, 0, 0) for slot in range(first, end))


def at(minute: float) -> int:
    """The tick so many minutes after START."""
    return START + round(minute * MINUTE)


def engine_of(*specs: SeriesSpec) -> ShardEngine:
    """It begins at START."""
    engine = ShardEngine(SLOT, starts_us=START)
    engine.define(specs)
    return engine


def told(changes: Iterable[IncidentChange]) -> dict[str, Incident]:
    """What somebody knows who was told these changes: each incident as it was told last; withdrawn ones are gone."""
    known: dict[str, Incident] = {}
    for change in changes:
        if change.kind == "withdrawn":
            known.pop(change.incident.id, None)
        else:
            known[change.incident.id] = change.incident
    return known
