"""Counts of one series of samples by slot, until they are cut; and the rows that they become."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import numpy as np

from consumers.carrying import Held
from consumers.matching import Target
from consumers.routing import Route
from evaluators.slots import Int64s

LARGEST_SUM: Final = 1 << 62
"""A row's counts end here: far beyond what millions of the weightiest samples add up to."""

Cell = list[int]
"""[weight, weight at or below the first cut, at or below the second, ...]"""


class Bucket:
    """Counts of one (metric, labels) in the span that is being read, by slot."""

    __slots__ = ("between", "cells", "counts", "cuts", "held", "loose", "split", "target")

    def __init__(self, target: Target, slot_us: int) -> None:
        self.target = target
        self.counts = target.counts
        self.held: list[Held] | None = [] if target.carries else None  # what is carried
        self.cuts = tuple(enumerate(target.cuts, 1))  # with their places in a cell
        self.between = tuple(enumerate(target.between, 1 + len(self.cuts)))
        self.cells: dict[int, Cell] = {}
        # Definitions that change inside a slot: its samples are told apart by (slot, event time of the change).
        self.split = frozenset(edge // slot_us for edge in target.edges if edge % slot_us)
        self.loose: dict[tuple[int, int], Cell] = {}

    @property
    def untouched(self) -> bool:
        return not self.cells and not self.loose and not self.held

    def open(self, slot: int, time_us: int, slot_us: int) -> Cell:
        """The cell of a slot that has none in `cells`: a new one, or one of a split slot."""
        if slot not in self.split:
            cell = self.cells[slot] = [0] * self._width
            return cell
        edges = self.target.edges
        era = bisect_right(edges, time_us)
        since_us = max(edges[era - 1], slot * slot_us) if era else slot * slot_us
        return self.loose.setdefault((slot, since_us), [0] * self._width)

    @property
    def _width(self) -> int:
        return 1 + len(self.cuts) + len(self.between)

    def drain(self, slot_us: int) -> list[tuple[int, int, Cell]]:
        """(slot, an event time that stands for it, cell); the bucket is empty after it."""
        drained = [(slot, slot * slot_us, cell) for slot, cell in self.cells.items()]
        drained.extend((slot, since_us, cell) for (slot, since_us), cell in self.loose.items())
        self.cells = {}
        self.loose = {}
        if self.held:
            self.held = []
        return drained


def add_route(route: Route, covered: list[tuple[int, Cell]], key: int, rows: dict[tuple[int, int], list[int]]) -> None:
    """Add the cells that the route covers to the rows of its series."""
    for slot, cell in covered:
        weight = cell[0]
        if route.cut is None:
            good = route.good * weight
        else:
            good = weight - cell[route.cut + 1] if route.above else cell[route.cut + 1]
        total = route.total * weight
        row = rows.get((key, slot))
        if row is None:
            row = rows[key, slot] = [0, 0, 0, 0]
        row[0] += good
        row[1] += total
        if route.excluded:
            row[2] += good
            row[3] += total


def columns_of(rows: dict[tuple[int, int], list[int]]) -> Int64s:
    table = [(*place, *counts) for place, counts in rows.items()]
    try:
        return np.array(table, dtype=np.int64).reshape(-1, 6).T.copy()
    except OverflowError:
        bounded = [[max(-LARGEST_SUM, min(LARGEST_SUM, each)) for each in row] for row in table]
        return np.array(bounded, dtype=np.int64).reshape(-1, 6).T.copy()
