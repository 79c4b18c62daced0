"""What a series takes along when a changed definition moves it to another block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluators.agreements import Period
from evaluators.engine.timeline import Timeline
from evaluators.slots import Int64s


@dataclass(frozen=True, slots=True)
class Luggage:
    """Of one series: counts by slot, sums by calendar period, first, last and forgotten sample, targets that it had."""

    period: Period
    slot: Int64s
    values: Int64s
    sums: dict[int, Int64s]
    seen: tuple[int, int, int]
    versions: list[tuple[int, float, Int64s]]

    @classmethod
    def of(cls, timeline: Timeline, column: int) -> Luggage:
        slot, values = timeline.taken_out(column)
        sums = {start: each[:, column].copy() for start, each in timeline.periods.items()}
        seen = (int(timeline.first_us[column]), int(timeline.last_us[column]), int(timeline.forgotten_us[column]))
        return cls(timeline.period, slot, values, sums, seen, timeline.versions.of(column))

    def unpack(self, timeline: Timeline, column: int) -> None:
        """Into an empty column. Another period counts what was kept; the same has its sums as they were."""
        kinds = timeline.kinds
        for at_us, extra, _ in self.versions:
            timeline.retarget(np.array([column]), at_us, np.array([extra]))
        timeline.add(np.full(len(self.slot), column, dtype=np.int64), self.slot, _padded(self.values, kinds))
        if self.period == timeline.period:
            for start, sums in self.sums.items():
                timeline.periods[start][:, column] = _padded(sums, kinds)
            for at_us, _, before in self.versions:
                timeline.versions.count(at_us, column, _padded(before, kinds))
        timeline.first_us[column], timeline.last_us[column], timeline.forgotten_us[column] = self.seen


def _padded(values: Int64s, kinds: int) -> Int64s:
    """Values of shape [2 or 4, ...] as [kinds, ...]: what a block does not keep apart was never excluded."""
    out = np.zeros((kinds, *values.shape[1:]), dtype=np.int64)
    shared = min(kinds, len(values))
    out[:shared] = values[:shared]
    return out
