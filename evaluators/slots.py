"""Counts per (series, slot): the unit that ingest writes, evaluation folds and everything sums.

A slot is the smallest step of event time; slot n spans [n * slot_us, (n + 1) * slot_us). Counts are whole numbers, so
that merging is exact, associative and commutative.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

COLUMNS = ("good", "total", "excluded_good", "excluded_total")
"""`good` and `total` are as experienced; the contractual view is good - excluded_good of total - excluded_total."""

_FORMAT = b"U2"
_LEVEL = 1  # the cheapest zlib level: small integers, byte by byte, shrink hardly more at any other
_HEAD = np.dtype([("rows", "<u4"), ("series", "<i8"), ("slot", "<i8"), ("widths", "u1", (6,))])
_WORD = 8


class CorruptSlots(ValueError):
    """Packed slots could not be read back: the row is damaged or of a later version."""


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
        """Bytes for one row of the store; `unpack` reads them back.

        Small whole numbers: steps of series and slot after the first, failures instead of good. Of each column the lowest
        bytes of all rows, then the next, up to the last one that is used, as most rows of a history use few.
        """
        columns = _folded(self._steps())
        head = np.zeros(1, dtype=_HEAD)
        head["rows"] = len(self)
        head["series"], head["slot"] = self.series[:1].sum(), self.slot[:1].sum()
        body: list[bytes] = []
        for place, column in enumerate(columns):
            width = -(-int(column.max(initial=0)).bit_length() // 8)
            head["widths"][0, place] = width
            body.append(column.astype("<u8").view(np.uint8).reshape(-1, _WORD)[:, :width].T.tobytes())
        return _FORMAT + zlib.compress(head.tobytes() + b"".join(body), _LEVEL)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Inverse of `pack`. Raises CorruptSlots."""
        if not data.startswith(_FORMAT):
            message = "packed slots have an unknown format"
            raise CorruptSlots(message)
        try:
            body = zlib.decompress(data[len(_FORMAT) :])
            head = np.frombuffer(body, dtype=_HEAD, count=1)
            rows, widths = int(head["rows"][0]), head["widths"][0].tolist()
            columns = np.zeros((len(widths), rows, _WORD), dtype=np.uint8)
            planes = np.frombuffer(body, dtype=np.uint8, offset=_HEAD.itemsize).reshape(sum(widths), rows)
            for column, width in zip(columns, widths, strict=True):
                column[:, :width] = planes[:width].T
                planes = planes[width:]
        except (zlib.error, ValueError) as error:
            message = "packed slots are damaged"
            raise CorruptSlots(message) from error
        steps = _unfolded(columns.view("<u8")[:, :, 0].astype(np.uint64))
        steps[0, :1], steps[1, :1] = head["series"], head["slot"]
        steps[:2] = np.cumsum(steps[:2], axis=1)
        return cls.from_columns(_failures_or_good(steps))

    def _steps(self) -> Int64s:
        columns = _failures_or_good(self.columns)
        columns[:2, 1:] -= columns[:2, :-1].copy()
        columns[:2, :1] = 0
        return columns


def _failures_or_good(columns: Int64s) -> Int64s:
    """Failures of totals where good was, and the other way round; in place."""
    columns[2] = columns[3] - columns[2]
    columns[4] = columns[5] - columns[4]
    return columns


def _folded(numbers: Int64s) -> NDArray[np.uint64]:
    """0, -1, 1, -2 ... as 0, 1, 2, 3 ...: what is small stays so without its sign."""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _unfolded(numbers: NDArray[np.uint64]) -> Int64s:
    return (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)


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
