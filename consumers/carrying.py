"""What cannot be counted here becomes points: as few as say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from consumers.routing import Between, Route
from evaluators.measures import sketches
from evaluators.points import Kind

Row = tuple[int, int, int, int, int, int]
"""(key, source, tag, time_us, value, start_us)"""


class Held(NamedTuple):
    """One sample that is carried."""

    time_us: int
    weight: int
    value: float
    total: int = 0
    start_us: int = 0
    below: tuple[float, int] | None = None


def rows(held: Sequence[Held], route: Route, key: int, between: Between | None, slot_us: int) -> list[Row]:
    """The points of one series of samples by one route that carries them."""
    carry = route.carry
    assert carry is not None
    covered = [each for each in held if route.covers(each.time_us)]
    tag, source = carry.tag, carry.source or 0
    match carry.kind:
        case Kind.SKETCH:
            return _sketched(covered, key, tag, slot_us)
        case Kind.SEEN:
            return [(key, source, tag, time_us, 1, 0) for time_us in _outermost(covered, slot_us)]
        case Kind.COUNTER:
            return [
                (key, source, tag, each.time_us, total, each.start_us)
                for each in covered
                if (total := each.total if between is None else between.share(each.below, each.total)) is not None
            ]
        case Kind.STATE:
            return [(key, source, tag, each.time_us, int(each.value != 0), 0) for each in covered if each.weight]
        case _:  # a delta of nothing opens nothing: exporters repeat them
            return [(key, source, tag, each.time_us, 0, 0) for each in covered if each.weight]


_MOST_VALUE: Final = 1e300
_MOST_SUM: Final = 1 << 62


def _sketched(held: Sequence[Held], key: int, tag: int, slot_us: int) -> list[Row]:
    values = np.clip(np.array([each.value for each in held], dtype=np.float64), -_MOST_VALUE, _MOST_VALUE)
    weights = np.array([each.weight for each in held], dtype=np.int64)
    weights = np.minimum(
        weights, _MOST_SUM // max(len(held), 1)
    )  # whoever sends such numbers must not turn their sum about
    slots = np.array([each.time_us for each in held], dtype=np.int64) // slot_us * slot_us
    places, inverse = np.unique(np.stack((sketches.buckets(values), slots)), axis=1, return_inverse=True)
    counts = np.zeros(places.shape[1], dtype=np.int64)
    np.add.at(counts, inverse.reshape(-1), weights)
    found = zip(*places.tolist(), counts.tolist(), strict=True)
    return [(key, bucket, tag, time_us, count, 0) for bucket, time_us, count in found if count]


def _outermost(held: Sequence[Held], slot_us: int) -> set[int]:
    """The first and the last time in each slot."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for each in held:
        slot = each.time_us // slot_us
        first[slot] = min(each.time_us, first.get(slot, each.time_us))
        last[slot] = max(each.time_us, last.get(slot, each.time_us))
    return {*first.values(), *last.values()}
