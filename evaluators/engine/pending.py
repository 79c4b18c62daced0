"""Counts ahead of the tick: kept as they came until the watermark gets there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np

from evaluators.slots import SlotCounts, concatenated

BUCKET_SLOTS: Final = 360
"""Counts are kept by this many slots (an hour of 10 s), so that a tick looks only at what is near."""


class Pending:
    """Rows by bucket of slots."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[SlotCounts]] = {}

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts())

    def parts(self) -> Iterator[SlotCounts]:
        for bucket in sorted(self._buckets):
            yield from self._buckets[bucket]

    @property
    def first_slot(self) -> int | None:
        """The earliest slot that waits."""
        if not self._buckets:
            return None
        return min(int(part.slot.min()) for part in self._buckets[min(self._buckets)])

    def add(self, counts: SlotCounts) -> None:
        if not len(counts):
            return
        buckets = counts.slot // BUCKET_SLOTS
        if buckets[0] == buckets[-1] and (buckets == buckets[0]).all():
            self._buckets.setdefault(int(buckets[0]), []).append(counts)
            return
        order = np.argsort(buckets, kind="stable")
        ordered, buckets = counts.take(order), buckets[order]
        edges = [0, *(np.flatnonzero(buckets[1:] != buckets[:-1]) + 1).tolist(), len(buckets)]
        for first, end in itertools.pairwise(edges):
            part = ordered.take(slice(first, end))
            self._buckets.setdefault(int(buckets[first]), []).append(part)

    def before(self, slot: int) -> SlotCounts:
        """Take out all rows of earlier slots."""
        taken: list[SlotCounts] = []
        for bucket in sorted(each for each in self._buckets if each * BUCKET_SLOTS < slot):
            rows = concatenated(self._buckets.pop(bucket))
            due = rows.slot < slot
            if due.any():
                taken.append(rows.take(due))
            if not due.all():
                self._buckets[bucket] = [rows.take(~due).merged()]
        return concatenated(taken)
