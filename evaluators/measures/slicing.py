"""Slices of time, each judged once it is over, whatever came in it: a quiet one weighs as much as a busy one.

    counts   |12 of 12|47 of 48|        | 0 of 3 |     window 1m
    share    |  good  |  good  |   -    |  bad   |     each counts 1 in its last slot (target 0.95)
    ratio    |   1e9  |0.979e9 |   -    |   0    |     each counts 1e9

The views are judged each on its own counts: an experienced slice may be bad that is good by contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.durations import SECOND
from evaluators.measures.sketches import estimates
from evaluators.measures.specs import Slicing
from evaluators.points import Points
from evaluators.slots import Int64s, SlotCounts, concatenated
from evaluators.units import PARTS_OF_A_SLICE

Bools = NDArray[np.bool_]
Float64s = NDArray[np.float64]

_EXACT_BELOW: Final = 33
"""Bits of a count that a full slice can be multiplied by within 64."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to judge, looked up by series."""

    names: Int64s
    slicings: tuple[Slicing, ...]

    @classmethod
    def of(cls, slicings: Mapping[int, Slicing]) -> Rules:
        names = sorted(slicings)
        return cls(np.array(names, dtype=np.int64), tuple(slicings[name] for name in names))

    def known(self, series: Int64s) -> Bools:
        return np.isin(series, self.names)

    def places(self, series: Int64s) -> Int64s:
        """Of series that are known."""
        return np.searchsorted(self.names, series)

    def of_each(self, series: Int64s) -> list[Slicing]:
        """Of series that are known."""
        return [self.slicings[place] for place in self.places(series).tolist()]

    def windows_us(self, series: Int64s) -> Int64s:
        return np.array([each.window_us for each in self.slicings], dtype=np.int64)[self.places(series)]


def sliced(counts: SlotCounts, rules: Rules, slot_us: int) -> SlotCounts:
    """Counts by slot as counts by slice, merged: `slot` is the number of the slice."""
    number = counts.slot * slot_us // rules.windows_us(counts.series)
    return SlotCounts(
        counts.series, number, counts.good, counts.total, counts.excluded_good, counts.excluded_total
    ).merged()


def filled(slices: SlotCounts, rules: Rules, low_us: int, until_us: int) -> SlotCounts:
    """With a row of nothing for each slice ending in (low_us, until_us] that counts though nothing came; the others of
    `slices` (merged) that end there as they are.
    """
    window = rules.windows_us(slices.series)
    number, least, most = slices.slot, low_us // window, until_us // window
    fills = np.array([each.fill_us if each.fills else 0 for each in rules.of_each(slices.series)], dtype=np.int64)
    same = np.append(slices.series[1:] == slices.series[:-1], False)
    following = np.where(same, np.append(number[1:], 0), most)
    first = np.maximum(number + 1, least)
    rows = np.maximum(np.minimum(np.minimum(following, number + 1 + fills // window), most) - first, 0)
    due = slices.take((number >= least) & (number < most))
    step = np.arange(int(rows.sum()), dtype=np.int64) - np.repeat(np.cumsum(rows) - rows, rows)
    nothing = np.zeros(len(step), dtype=np.int64)
    empty = SlotCounts(
        np.repeat(slices.series, rows), np.repeat(first, rows) + step, nothing, nothing, nothing, nothing
    )
    return concatenated([due, empty]).merged()


def judged(slices: SlotCounts, rules: Rules, slot_us: int) -> SlotCounts:
    """What slices of counts (merged) come to, in the last slot of each; those that do not count give no row."""
    contractual = slices.total - slices.excluded_total
    lived, lived_full = _verdict(slices.good, slices.total, slices.series, rules)
    agreed, agreed_full = _verdict(slices.good - slices.excluded_good, contractual, slices.series, rules)
    emptied = (contractual == 0) & (slices.total != 0)  # by exclusions, not by silence: it does not count
    agreed, agreed_full = np.where(emptied, 0, agreed), np.where(emptied, 0, agreed_full)
    return _placed(slices.series, slices.slot, (lived, lived_full, agreed, agreed_full), rules, slot_us)


def judged_by_quantile(sketches: Points, rules: Rules, slot_us: int) -> SlotCounts:
    """The same of sketches: `source` is the bucket, `time_us` the number of the slice, `value` a count."""
    lived, agreed = _by_quantile(sketches, rules), _by_quantile(sketches.take(~sketches.excluded), rules)
    nothing = np.zeros(len(agreed), dtype=np.int64)
    more = SlotCounts(lived.series, lived.slot, lived.good, lived.total, lived.good, lived.total)
    less = SlotCounts(agreed.series, agreed.slot, nothing, nothing, -agreed.good, -agreed.total)
    return _moved(concatenated([more, less]).merged(), rules, slot_us)


def merged(sketches: Points) -> Points:
    """One row per (series, bucket, tag, slice), counts added up."""
    if not len(sketches):
        return sketches
    order = np.lexsort((sketches.source, sketches.tag, sketches.time_us, sketches.series))
    columns = sketches.columns[:, order]
    keys = columns[[0, 1, 2, 3]]
    first = np.concatenate(([True], (keys[:, 1:] != keys[:, :-1]).any(axis=0)))
    starts = np.flatnonzero(first)
    kept = columns[:, starts]
    kept[4] = np.add.reduceat(columns[4], starts)
    return Points.from_columns(kept)


def _verdict(good: Int64s, total: Int64s, series: Int64s, rules: Rules) -> tuple[Int64s, Int64s]:
    """(good, total) of each slice in one view."""
    of = rules.of_each(series)
    judges = np.array([each.judges for each in of], dtype="U8")
    bound = np.array([each.bound for each in of], dtype=np.float64)
    empty = total == 0
    share = np.divide(good, total, out=np.zeros(len(good)), where=~empty)
    rate = total / (rules.windows_us(series) / SECOND) if len(series) else share
    ops = np.array([each.op for each in of], dtype="U3")
    rated, parted = judges == "rate", judges == "ratio"
    passes = _satisfies(np.where(rated, rate, share), ops, bound)
    full = np.where(parted, PARTS_OF_A_SLICE, 1)
    worth = np.where(parted, _parts(good, total), passes.astype(np.int64))
    policy = np.array([each.empty for each in of], dtype="U7")
    unseen = empty & ~rated
    worth = np.where(unseen, np.where(policy == "good", full, 0), worth)
    return worth, np.where(unseen & (policy == "ignored"), 0, full)


def _parts(good: Int64s, total: Int64s) -> Int64s:
    """Good of total in parts of a full slice, rounded down; beyond 33 bits to some parts in a thousand million."""
    largest = np.maximum(np.maximum(np.abs(good), np.abs(total)), 1)
    shift = np.maximum(np.ceil(np.log2(largest + 1.0)).astype(np.int64) - _EXACT_BELOW, 0)
    good, total = good >> shift, total >> shift
    parts = np.floor_divide(good * PARTS_OF_A_SLICE, np.where(total == 0, 1, total))
    return np.clip(parts, 0, PARTS_OF_A_SLICE)


def _satisfies(value: Float64s, ops: NDArray[np.str_], bound: Float64s) -> Bools:
    return np.select(
        [ops == "lt", ops == "lte", ops == "gt"], [value < bound, value <= bound, value > bound], value >= bound
    )


def _by_quantile(sketches: Points, rules: Rules) -> SlotCounts:
    """Good and total of one view, by slice. A slice without a value does not count."""
    sketches = sketches.take(sketches.value > 0)
    if not len(sketches):
        return SlotCounts.empty()
    order = np.lexsort((sketches.source, sketches.time_us, sketches.series))
    series, number = sketches.series[order], sketches.time_us[order]
    bucket, count = sketches.source[order], sketches.value[order]
    first = np.concatenate(([True], (series[1:] != series[:-1]) | (number[1:] != number[:-1])))
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    up_to = np.cumsum(count)
    before = up_to[starts] - count[starts]
    total = np.add.reduceat(count, starts)
    of = rules.of_each(series[starts])
    q = np.array([each.q for each in of], dtype=np.float64)
    rank = np.maximum(np.ceil(q * total - 1e-9), 1)  # nearest rank; 0.99 * 100 is not 99 in binary
    reached = up_to - before[group] >= rank[group]
    chosen = np.flatnonzero(reached & ~np.concatenate(([False], reached[:-1] & ~first[1:])))
    ops = np.array([each.op for each in of], dtype="U3")
    bound = np.array([each.bound for each in of], dtype=np.float64)
    good = _satisfies(estimates(bucket[chosen]), ops, bound).astype(np.int64)
    zero, one = np.zeros(len(starts), dtype=np.int64), np.ones(len(starts), dtype=np.int64)
    return SlotCounts(series[starts], number[starts], good, one, zero, zero)


def _placed(
    series: Int64s, number: Int64s, found: tuple[Int64s, Int64s, Int64s, Int64s], rules: Rules, slot_us: int
) -> SlotCounts:
    good, total, agreed_good, agreed_total = found
    counts = SlotCounts(series, number, good, total, good - agreed_good, total - agreed_total)
    return _moved(counts.take((total != 0) | (agreed_total != 0)), rules, slot_us)


def _moved(slices: SlotCounts, rules: Rules, slot_us: int) -> SlotCounts:
    """Each in the last slot of its slice."""
    last = (slices.slot + 1) * rules.windows_us(slices.series) // slot_us - 1
    return SlotCounts(slices.series, last, slices.good, slices.total, slices.excluded_good, slices.excluded_total)
