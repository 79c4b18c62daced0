"""Standing tables for tests of their rows and bytes: one series, met and live, unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluators.durations import DAY
from evaluators.standings import BLOCK_COLUMNS, SeriesIdentity, StandingBlock

NOW = 40 * DAY
WINDOWS = ("5m", "1h")
QUIET: Mapping[str, int | float] = {
    "verdict": 0,
    "data": 0,
    "firing": -1,
    "since_us": NOW - DAY,
    "period_start_us": NOW - 30 * DAY,
    "period_end_us": NOW,
    "projected": 0,
    "allowed": 100.0,
    "good": 9_960,
    "total": 10_000,
    "contractual_good": 9_950,
    "contractual_total": 9_975,
    "experienced_allowed": 80.0,
    "coverage": 1.0,
    "exhausted_us": -1,
    "condition": -1,
    "held_back": 0,
    "last_us": NOW,
}


def identity(series_id: int = 1, kind: Any = "rolling") -> SeriesIdentity:
    """A series of the region west."""
    return SeriesIdentity(series_id, "gold", "latency", "api", (("region", "west"),), 3, 0.99, kind, "https://run.book")


def block(
    *conditions: Mapping[str, Any],
    burn: Sequence[Sequence[float]] = ((2.0, 1.0), (4.0, 3.0)),
    kind: str = "rolling",
    **columns: float,
) -> StandingBlock:
    """One series; `burn` by view, then window; `columns` are what differs from QUIET."""
    values = {**QUIET, **columns}
    return StandingBlock(
        (identity(kind=kind),),
        WINDOWS,
        conditions,
        {name: np.array([values[name]], dtype=width) for name, width in BLOCK_COLUMNS.items()},
        np.array(burn, dtype=np.float64)[:, :, None],
    )
