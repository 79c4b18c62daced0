"""The columns of a standing block for chosen ticks and series of a judgement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluators.engine.conditions import SILENT_BIT, VERDICT_BITS
from evaluators.engine.judgement import CONTRACTUAL, EXPERIENCED, Judgement, burn_rates, never
from evaluators.slots import Int64s
from evaluators.standings import DATA_STATES, FIRING, DataState, SeriesIdentity, StandingBlock

_LIVE: Final = DATA_STATES.index(DataState.LIVE)
_SILENT: Final = DATA_STATES.index(DataState.SILENT)


def figures(
    judgement: Judgement,
    codes: Int64s,
    at: tuple[Int64s, Int64s],
    identities: Sequence[SeriesIdentity],
    since_us: Int64s,
) -> StandingBlock:
    """One row for each point (tick, series); `codes`, `identities` and `since_us` are of the points.

    `coverage`: the share of the period elapsed, since the agreement counts, in which samples could be seen: from the
    series' first sample on. Spans without sight later on are the caller's to take off; traffic that pauses is no gap.
    """
    plan, counted, terms = judgement.plan, judgement.counted, judgement.terms
    tick_at, series_at = at
    ticks = counted.ticks[tick_at]
    start = counted.period_start_us[tick_at]
    contractual, experienced = judgement.budget(CONTRACTUAL), judgement.budget(EXPERIENCED)
    failures, total = (counts[at] for counts in judgement.counts(counted.period, EXPERIENCED))
    agreed_failures, agreed_total = (counts[at] for counts in judgement.counts(counted.period, CONTRACTUAL))
    last = counted.last_us[at]
    rank, leading = _ranked(judgement, codes)
    due = np.maximum(ticks - np.maximum(start, terms.counts_from_us[series_at]), 1)
    seen = ticks - np.maximum(start, terms.born_us[series_at])
    columns: dict[str, NDArray[Any]] = {
        "verdict": ((codes & VERDICT_BITS) - 1).astype(np.int8),
        "data": np.where(codes & SILENT_BIT, _SILENT, _LIVE).astype(np.int8),
        "firing": np.minimum(rank, len(FIRING)).astype(np.int8) - np.int8(1),
        "since_us": since_us,
        "period_start_us": start,
        "period_end_us": counted.period_end_us[tick_at],
        "projected": contractual.projected[at].astype(np.int8),
        "allowed": contractual.allowed[at],
        "good": total - failures,
        "total": total,
        "contractual_good": agreed_total - agreed_failures,
        "contractual_total": agreed_total,
        "experienced_allowed": experienced.allowed[at],
        "coverage": np.clip(seen / due, 0.0, 1.0),
        "exhausted_us": judgement.gone_at(CONTRACTUAL, at),
        "condition": leading.astype(np.int16),
        "held_back": np.zeros(len(codes), np.int8)
        if judgement.held_back is None
        else judgement.held_back[at].astype(np.int8),
        "last_us": np.where(never(last), -1, last),
    }
    return StandingBlock(tuple(identities), plan.names, plan.described, columns, _burn(judgement, at))


def first_bad_us(
    failures: Int64s, total: Int64s, until_us: int, slot_us: int, short_us: int, rate: float
) -> int | None:
    """Start of the first bad slot that mattered to a burn-rate condition that holds at `until_us`.

    The unbroken run of ticks, up to now, at which the short window burned at the condition's rate tells when it became
    visible; within the short window of its first tick, the start is the slot from which on failures exceed what the rate
    allows by the most: the change point of a CUSUM chart (Page 1954, "Continuous inspection schemes"). So the odd failure
    of a good time before does not count. `failures` and `total` are the FINE_WINDOW before `until_us`, slot by slot: what
    lies farther back is not looked at.
    """
    length = min(short_us // slot_us, len(failures))
    bad, every = _sliding(failures, length), _sliding(total, length)
    calm = np.flatnonzero(~((every > 0) & (bad > 0) & (bad * (1 + 1e-9) >= rate * every)))
    seen = int(calm[-1]) + 1 if len(calm) else 0  # index of a tick's last slot
    first = max(seen - length + 1, 0)
    stretch = slice(first, seen + 1)
    excess = np.cumsum((failures - rate * total)[stretch][::-1])
    bad_slots = np.flatnonzero(failures[stretch][::-1] > 0)
    if not len(bad_slots):
        return None
    most = int(bad_slots[np.argmax(excess[bad_slots])])  # of equals the latest
    return until_us - (len(failures) - (min(seen + 1, len(failures)) - 1 - most)) * slot_us


def last_bad_us(failures: Int64s, until_us: int, slot_us: int) -> int | None:
    """Start of the last slot with failures within FINE_WINDOW."""
    found = np.flatnonzero(failures > 0)
    return until_us - (len(failures) - int(found[-1])) * slot_us if len(found) else None


def earliest_bad_us(failures: Int64s, until_us: int, slot_us: int) -> int | None:
    """Start of the first slot with failures within FINE_WINDOW."""
    found = np.flatnonzero(failures > 0)
    return until_us - (len(failures) - int(found[0])) * slot_us if len(found) else None


def _sliding(counts: Int64s, length: int) -> Int64s:
    """Sum of each slot and the `length` - 1 before it."""
    sums = np.cumsum(counts)
    sums[length:] -= sums[:-length].copy()
    return sums


def _ranked(judgement: Judgement, codes: Int64s) -> tuple[Int64s, Int64s]:
    distinct, inverse = np.unique(codes, return_inverse=True)
    ranks = np.array([judgement.plan.rank(code) for code in distinct.tolist()], dtype=np.int64)
    leading = np.array([judgement.plan.leading(code) for code in distinct.tolist()], dtype=np.int64)
    return ranks[inverse], leading[inverse]


def _burn(judgement: Judgement, at: tuple[Int64s, Int64s]) -> NDArray[np.float64]:
    budgets = judgement.terms.budgets[at[1]]
    out = np.empty((2, len(judgement.plan.shown), len(at[0])), dtype=np.float64)
    for view in (CONTRACTUAL, EXPERIENCED):
        for index, place in enumerate(judgement.plan.shown):
            failures, total = judgement.window(place, view)
            out[view, index] = burn_rates(failures[at], total[at], budgets)
    return out
