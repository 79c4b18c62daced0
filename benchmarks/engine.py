"""What a live tick of the engine costs, and how fast it catches up: `python benchmarks/engine.py [series]`.

Prints milliseconds a tick (median and 95th percentile) for fold, advance and table, and the memory that the engine holds.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from evaluators import durations, policies
from evaluators.agreements import CalendarPeriod, Minimum, Period, RollingPeriod
from evaluators.engine import SeriesSpec, ShardEngine
from evaluators.slots import SlotCounts
from evaluators.standings import SeriesIdentity

SLOT = 10 * durations.SECOND
LATENESS = 5 * durations.SECOND
START = 1_764_000_000 * durations.SECOND
TICKS = 60
HISTORY_DAYS = 30
HISTORY_SERIES = 30


def spec(series_id: int, period: Period, target: float = 0.999) -> SeriesSpec:
    kind = "rolling" if isinstance(period, RollingPeriod) else "calendar"
    identity = SeriesIdentity(series_id, "agreement", f"objective-{series_id}", "service", (), 1, target, kind)
    conditions = tuple(policies.default_policy(target, 30 * durations.DAY).conditions)
    policy = policies.ResolvedPolicy(conditions, Minimum())  # type: ignore[arg-type] - no shares among them
    return SeriesSpec(identity, period, policy, 0)


def counts(random: np.random.Generator, series: int, first: int, slots: int, ratio: float) -> SlotCounts:
    slot = np.repeat(np.arange(first, first + slots), series)
    total = random.poisson(50, series * slots)
    good = total - random.binomial(total, ratio)
    nothing = np.zeros_like(total)
    return SlotCounts(np.tile(np.arange(series), slots), slot, good, total, nothing, nothing)


def live(series: int) -> None:
    """One tick at a time, everybody busy."""
    random = np.random.default_rng(1)
    engine = ShardEngine(SLOT, starts_us=START)
    engine.define([spec(series_id, RollingPeriod(30 * durations.DAY)) for series_id in range(series)])
    first = START // SLOT
    warm = 400
    for at in range(first, first + warm, 50):
        engine.fold(counts(random, series, at, 50, 0.0005))
        engine.advance((at + 50) * SLOT + LATENESS, lateness_us=LATENESS)
    spent: dict[str, list[float]] = {"fold": [], "advance": [], "table": [], "pack": [], "open_state": []}
    for at in range(first + warm, first + warm + TICKS):
        deltas = counts(random, series, at, 1, 0.0005)
        spent["fold"].append(_timed(lambda deltas=deltas: engine.fold(deltas)))
        mark = (at + 1) * SLOT + LATENESS
        spent["advance"].append(_timed(lambda mark=mark: engine.advance(mark, lateness_us=LATENESS)))
        spent["table"].append(_timed(lambda: engine.table(blind=None)))
        table = engine.table(blind=None)
        spent["pack"].append(_timed(table.pack_columns))
        spent["open_state"].append(_timed(engine.open_state))
    windows = {len(block.plan.lengths) for block in engine.blocks.values()}
    print(f"live: {series:,} series, {windows} windows summed; ms a tick (median, 95th percentile)")
    for name, each in spent.items():
        print(f"  {name:<12}{np.median(each):8.2f}{np.quantile(each, 0.95):8.2f}")
    late = counts(random, min(series, 500), first + warm + TICKS - 30, 1, 0.5)
    engine.fold(late)
    mark = (first + warm + TICKS + 1) * SLOT + LATENESS
    print(
        f"  with {len(late)} series late by 30 slots: {_timed(lambda: engine.advance(mark, lateness_us=LATENESS)):.1f} ms"
    )
    rings = sum(
        ring.nbytes for block in engine.blocks.values() for tier in block.timeline.tiers.values() for ring in tier.rings
    )
    print(f"  rings {rings / 1e6:,.0f} MB, process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")
    print(f"  snapshot {_timed(engine.snapshot):,.0f} ms, {len(engine.snapshot()) / 1e6:,.1f} MB")


def catch_up() -> None:
    """Weeks at once, for few series, half of them over calendar months."""
    random = np.random.default_rng(2)
    engine = ShardEngine(SLOT, starts_us=START)
    month, rolling = CalendarPeriod("month", "Europe/Berlin"), RollingPeriod(30 * durations.DAY)
    engine.define([spec(each, month if each % 2 else rolling) for each in range(HISTORY_SERIES)])
    slots = HISTORY_DAYS * durations.DAY // SLOT
    deltas = counts(random, HISTORY_SERIES, START // SLOT, slots, 0.0005)
    folded = _timed(lambda: engine.fold(deltas))
    mark = START + slots * SLOT + LATENESS
    advanced = _timed(lambda: engine.advance(mark, lateness_us=LATENESS))
    print(
        f"catch-up: {HISTORY_DAYS} d, {HISTORY_SERIES} series, {len(deltas):,} rows: fold {folded / 1e3:.1f} s, advance {advanced / 1e3:.1f} s"
    )


def _timed(action: object) -> float:
    """Milliseconds."""
    assert callable(action)
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    live(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    catch_up()
