"""Rings of counts, time-major: the edge of a window is one contiguous row over all series."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluators.slots import Int64s

_WIDTHS: Final = (np.int8, np.int16, np.int32, np.int64)


class Tier:
    """The newest `rows` steps of counts: `kinds` rings of shape [rows, series], each as narrow as its numbers allow.

    Row n spans [n * step_us, (n + 1) * step_us) and lies at n % rows. The ring holds rows [end - rows, end); what was
    counted in rows that have left it is forgotten. Counts may be negative (a correction).
    """

    def __init__(self, step_us: int, rows: int, kinds: int, series: int, end: int = 0) -> None:
        self.step_us = step_us
        self.rows = rows
        self.end = end
        self.rings: list[NDArray[Any]] = [np.zeros((rows, series), dtype=np.int8) for _ in range(kinds)]

    @property
    def first(self) -> int:
        """The oldest row that is kept."""
        return self.end - self.rows

    def extend(self, end: int) -> None:
        """Make room up to row `end` (exclusive); the rows that fall out are forgotten."""
        if end <= self.end:
            return
        if end - self.end >= self.rows:
            for ring in self.rings:
                ring[:] = 0
        else:
            fresh = self._places(self.end, end)
            for ring in self.rings:
                ring[fresh] = 0
        self.end = end

    def add(self, row: Int64s, column: Int64s, values: Int64s) -> None:
        """Add values of shape [kinds, n] at (row, column); rows no longer kept are passed over."""
        kept = (row >= self.first) & (row < self.end)
        if not kept.all():
            row, column, values = row[kept], column[kept], values[:, kept]
        if not len(row):
            return
        width = self.rings[0].shape[1]
        cell, values = _summed((row % self.rows) * width + column, values)
        for kind, ring in enumerate(self.rings):
            flat = ring.reshape(-1)
            sums = flat[cell] + values[kind]
            wide = _width_for(sums, ring.dtype)
            if wide != ring.dtype:
                self.rings[kind] = ring.astype(wide)
                flat = self.rings[kind].reshape(-1)
            flat[cell] = sums

    def read(self, first: int, end: int, columns: Int64s | None = None) -> Int64s:
        """Counts of rows [first, end) as int64 [kinds, rows, series]; rows outside the ring must not be asked for."""
        assert self.first <= first, "rows that have left the ring"
        assert end <= self.end, "rows that have not come yet"
        places = self._places(first, end)
        width = self.rings[0].shape[1] if columns is None else len(columns)
        out = np.empty((len(self.rings), end - first, width), dtype=np.int64)
        for kind, ring in enumerate(self.rings):
            out[kind] = ring[places] if columns is None else ring[np.ix_(places, columns)]
        return out

    def keep(self, columns: Int64s, added: int) -> None:
        """Keep these series, in this order, and append `added` empty ones."""
        for kind, ring in enumerate(self.rings):
            fresh = np.zeros((self.rows, len(columns) + added), dtype=ring.dtype)
            fresh[:, : len(columns)] = ring[:, columns]
            self.rings[kind] = fresh

    def _places(self, first: int, end: int) -> Int64s:
        return np.arange(first, end, dtype=np.int64) % self.rows


def _summed(cell: Int64s, values: Int64s) -> tuple[Int64s, Int64s]:
    """Values of equal cells added up, each cell once."""
    if (cell[1:] > cell[:-1]).all():  # as a live tick brings them
        return cell, values
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    first = np.flatnonzero(np.concatenate(([True], cell[1:] != cell[:-1])))
    return cell[first], np.add.reduceat(values[:, order], first, axis=1)


def _width_for(sums: Int64s, present: np.dtype[Any]) -> np.dtype[Any]:
    least, most = int(sums.min()), int(sums.max())
    fitting = next(np.dtype(each) for each in _WIDTHS if np.iinfo(each).min <= least and most <= np.iinfo(each).max)
    return max(fitting, present, key=lambda each: each.itemsize)
