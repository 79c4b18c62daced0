"""What a tick of measuring costs: `python benchmarks/measures.py [series]`.

Counters, states, sightings and sketches of so many series, a point each (or a few) every 10 s for twenty minutes. Prints milliseconds for taking in a tick's points and for measuring it, and
what gathering all that is kept takes at a checkpoint.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from evaluators.durations import DAY, MINUTE, SECOND
from evaluators.measures.measuring import Definition, Measuring
from evaluators.measures.specs import Holding, Measure, Slicing
from evaluators.points import Kind, Points, tagged
from evaluators.slots import SlotCounts

SLOT = 10 * SECOND
START = 1_764_000_000 * SECOND
TICKS = 120
TIMED = 20
CHECKPOINT_TICKS = 18
BUCKETS = 300

CASES: dict[str, tuple[Kind, int, Definition]] = {
    "two counters each": (Kind.COUNTER, 2, Definition(0)),
    "uptime, two probes each": (Kind.STATE, 2, Definition(0, None, Measure(holding=Holding(MINUTE, "majority")))),
    "freshness": (Kind.SEEN, 1, Definition(0, None, Measure(holding=Holding(MINUTE, "any", DAY)))),
    "quantile, 20 buckets a slot": (
        Kind.SKETCH,
        20,
        Definition(0, None, Measure(slicing=Slicing(MINUTE, "quantile", "lte", 0.3, 0.99))),
    ),
}


def points(kind: Kind, series: np.ndarray, tick: int, random: np.random.Generator) -> Points:
    """Of one tick."""
    rows = len(series)
    source = np.arange(rows) * 7_919 + 13
    if kind is Kind.SKETCH:
        source = (1 << 20) + random.integers(0, BUCKETS, rows)
    value = np.full(rows, tick + 1 if kind is Kind.COUNTER else 1)
    when = START + tick * SLOT + (series % 10) * SECOND
    return Points.from_columns(
        np.stack((series, source, np.full(rows, tagged(kind, total=1)), when, value, np.zeros(rows, dtype=np.int64)))
    )


def milliseconds(done: Callable[[], object]) -> float:
    began = time.perf_counter()
    done()
    return (time.perf_counter() - began) * 1_000


def main() -> None:
    """Prints a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    print(f"{count:,} series, {TICKS} ticks\n")
    print("| measured | take in, ms | measure, ms | gather, ms | kept, MB |\n|---|---|---|---|---|")
    for name, (kind, each, definition) in CASES.items():
        random = np.random.default_rng(1)
        series = np.repeat(np.arange(1, count + 1), each)
        measuring = Measuring(SLOT)
        measuring.define(dict.fromkeys(range(1, count + 1), definition))
        taken: list[float] = []
        measured: list[float] = []
        for tick in range(TICKS):
            came = points(kind, series, tick, random)
            taken.append(milliseconds(lambda came=came, to=measuring: to.fold(SlotCounts.empty(), came)))
            measured.append(milliseconds(lambda tick=tick, of=measuring: of.advance(START + tick * SLOT)))
            measuring.saved()
            if tick % CHECKPOINT_TICKS == CHECKPOINT_TICKS - 1:
                measuring.whole()
        began = time.perf_counter()
        kept = measuring.whole() or b""
        gathered = (time.perf_counter() - began) * 1_000
        take, measure = np.median(taken[-TIMED:]), np.median(measured[-TIMED:])
        print(f"| {name} | {take:.1f} | {measure:.1f} | {gathered:.0f} | {len(kept) / 1e6:.1f} |")


if __name__ == "__main__":
    main()
