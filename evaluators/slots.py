"""Counts per (series, slot): the unit that ingest writes, evaluation folds and everything sums.

A slot is the smallest step of event time; slot n spans [n * slot_us, (n + 1) * slot_us). Counts are whole numbers, so
that merging is exact, associative and commutative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluators import packing
from evaluators.packing import CorruptSlots, Int64s

__all__ = ["COLUMNS", "CorruptSlots", "Int64s", "SlotCounts", "concatenated", "starts_of"]

COLUMNS = ("good", "total", "excluded_good", "excluded_total")
"""`good` and `total` are as experienced; the contractual view is good - excluded_good of total - excluded_total."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotCounts:
    """Rows of (series, slot, good, total, excluded_good, excluded_total), six int64 columns of one length."""

    series: Int64s
    slot: Int64s
    good: Int64s
    total: Int64s
    excluded_good: Int64s
    excluded_total: Int64s

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls.from_columns(np.zeros((6, 0), dtype=np.int64))

    @classmethod
    def from_columns(cls, columns: Int64s) -> Self:
        """From an array of shape (6, rows) in field order."""
        return cls(*(np.ascontiguousarray(column, dtype=np.int64) for column in columns))

    @property
    def columns(self) -> Int64s:
        """Shape (6, rows), in field order."""
        return np.stack((self.series, self.slot, self.good, self.total, self.excluded_good, self.excluded_total))

    def __len__(self) -> int:
        return len(self.series)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotCounts) and np.array_equal(self.merged().columns, other.merged().columns)

    __hash__ = None  # type: ignore[assignment]

    def take(self, chosen: NDArray[np.bool_] | Int64s | slice) -> SlotCounts:
        """The rows chosen by a mask, by indices or by a slice."""
        return SlotCounts(
            self.series[chosen],
            self.slot[chosen],
            self.good[chosen],
            self.total[chosen],
            self.excluded_good[chosen],
            self.excluded_total[chosen],
        )

    def merged(self) -> SlotCounts:
        """One row per (series, slot), sorted by series, then slot; rows that are all zero stay (a seen slot)."""
        if not len(self):
            return self
        order = np.lexsort((self.slot, self.series))
        columns = self.columns[:, order]
        first = np.empty(len(self), dtype=bool)
        first[0] = True
        first[1:] = (columns[0, 1:] != columns[0, :-1]) | (columns[1, 1:] != columns[1, :-1])
        starts = np.flatnonzero(first)
        sums = np.add.reduceat(columns[2:], starts, axis=1)
        return SlotCounts.from_columns(np.concatenate((columns[:2, starts], sums)))

    def pack(self) -> bytes:
        """Bytes for one row of the store; `unpack` reads them back."""
        return packing.packed(self.columns, np.zeros(1, dtype=np.int64))[0]

    def pack_parts(self, starts: Int64s) -> list[bytes]:
        """The same of each part, cut at `starts` (see `starts_of`)."""
        return packing.packed(self.columns, starts)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Inverse of `pack`. Raises CorruptSlots."""
        return cls.unpack_parts([data])

    @classmethod
    def unpack_parts(cls, parts: Sequence[bytes]) -> Self:
        """All rows of all parts, not merged. Raises CorruptSlots."""
        return cls.from_columns(packing.unpacked(parts))


def starts_of(*keys: Int64s) -> Int64s:
    """Where any of the keys, columns of one length, differs from the row before; the first row too."""
    changed = np.zeros(len(keys[0]), dtype=bool)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)


def concatenated(parts: list[SlotCounts]) -> SlotCounts:
    """All rows of all parts, not merged."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return SlotCounts.empty()
    return SlotCounts(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.slot for part in parts]),
        np.concatenate([part.good for part in parts]),
        np.concatenate([part.total for part in parts]),
        np.concatenate([part.excluded_good for part in parts]),
        np.concatenate([part.excluded_total for part in parts]),
    )
