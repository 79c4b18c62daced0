"""Time that was up, out of states that hold: of each series, by slot, in microseconds.

    probe a   1--------0-----1-----------------|        each state holds until the next, at most `hold`
    probe b        1---------------------|              then nothing is known (uptime), or it is down (freshness)
    up        =========.....===================         by quorum of the probes that are known
    known     =================================         total: time in which any is

One sweep over all edges of all series at once: where a state begins or ends, and where a slot does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.measures.keeping import follows
from evaluators.measures.specs import Holding
from evaluators.points import Kind, Points
from evaluators.slots import Int64s, SlotCounts

_NEVER: Final = np.iinfo(np.int64).max
_QUORUMS: Final = {"any": 0, "majority": 1, "all": 2}


def states(points: Points, slot_us: int) -> Points:
    """The set that matters, sorted by series, source and time: of two states at one time the lower, and of what was only
    seen the first and the last time of each slot.
    """
    points = points.sorted()
    points = points.take(~_follows(points, points.time_us))
    within = _follows(points, points.time_us // slot_us) & (points.kind == Kind.SEEN)
    return points.take(~(within & np.append(within[1:], False)[: len(points)]))


def _follows(points: Points, mark: Int64s) -> NDArray[np.bool_]:
    """Whether each is of the source of the one before, and has its mark."""
    return follows(points) & np.append(False, mark[1:] == mark[:-1])[: len(points)]


def held(
    points: Points, holdings: Mapping[int, Holding], from_us: Mapping[int, int] | int, until_us: int, slot_us: int
) -> SlotCounts:
    """Good and total of each slot of [from_us, until_us), whole slots, of each series; `points` are as `states` gives them.

    `from_us` may differ by series. Both views: what is excluded is as if it were not there.
    """
    counts = _swept(points, holdings, from_us, until_us, slot_us)
    if not points.excluded.any():
        return counts
    contractual = _swept(points.take(~points.excluded), holdings, from_us, until_us, slot_us)
    return SlotCounts(
        np.concatenate((counts.series, contractual.series)),
        np.concatenate((counts.slot, contractual.slot)),
        np.concatenate((counts.good, np.zeros_like(contractual.good))),
        np.concatenate((counts.total, np.zeros_like(contractual.total))),
        np.concatenate((counts.good, -contractual.good)),
        np.concatenate((counts.total, -contractual.total)),
    ).merged()


def _swept(
    points: Points, holdings: Mapping[int, Holding], from_us: Mapping[int, int] | int, until_us: int, slot_us: int
) -> SlotCounts:
    points = points.take(np.isin(points.series, np.fromiter(holdings, np.int64, len(holdings))))
    names, series = np.unique(points.series, return_inverse=True)
    found = [holdings[each] for each in names.tolist()]
    begins = np.array(
        [from_us if isinstance(from_us, int) else from_us[each] for each in names.tolist()], dtype=np.int64
    )
    hold = np.array([each.hold_us for each in found], dtype=np.int64)[series]
    lapse = np.array([each.lapse_us for each in found], dtype=np.int64)[series]
    following = _following(points)
    since = np.maximum(points.time_us, begins[series])
    watched = np.minimum(np.minimum(points.time_us + hold + lapse, following), until_us)
    known = np.minimum(points.time_us + hold, watched)
    edges = [
        _edges(series, since, watched, (1, 0, 0)),
        _edges(series, since, known, (0, 1, 0)),
        _edges(series[points.value > 0], since[points.value > 0], known[points.value > 0], (0, 0, 1)),
        _slots(begins, until_us, slot_us),
    ]
    return _measured(np.concatenate(edges, axis=1), names, found, slot_us)


def _following(points: Points) -> Int64s:
    """The time of the next point of each one's source; of the last one, never."""
    following = np.full(len(points), _NEVER, dtype=np.int64)
    following[:-1] = np.where(follows(points)[1:], points.time_us[1:], _NEVER)
    return following


def _edges(series: Int64s, since: Int64s, until: Int64s, changes: tuple[int, int, int]) -> Int64s:
    """Columns of series, time, and changes of how many are watched, known and up; where there is a time between."""
    some = until > since
    begin = np.stack((series[some], since[some], *(np.full(int(some.sum()), each) for each in changes)))
    end = np.stack((series[some], until[some], *(np.full(int(some.sum()), -each) for each in changes)))
    return np.concatenate((begin, end), axis=1)


def _slots(begins: Int64s, until_us: int, slot_us: int) -> Int64s:
    """An edge without a change where each slot begins."""
    slots = np.maximum((until_us - begins) // slot_us, 0)
    series = np.repeat(np.arange(len(begins), dtype=np.int64), slots)
    step = np.arange(len(series), dtype=np.int64) - np.repeat(np.cumsum(slots) - slots, slots)
    nothing = np.zeros(len(series), dtype=np.int64)
    return np.stack((series, begins[series] + step * slot_us, nothing, nothing, nothing))


def _measured(edges: Int64s, names: Int64s, found: list[Holding], slot_us: int) -> SlotCounts:
    """Stretches between edges, each watched or not and up or not, added up by slot."""
    edges = edges[:, np.lexsort((edges[1], edges[0]))]
    owner, at_us = edges[0, :-1], edges[1, :-1]
    watched, known, ups = np.cumsum(edges[2:], axis=1)[:, :-1]
    length = np.where(edges[0, 1:] == owner, edges[1, 1:] - at_us, 0)
    quorum = np.array([_QUORUMS[each.quorum] for each in found], dtype=np.int64)[owner]
    total = np.where(watched > 0, length, 0)
    good = np.where(_is_up(known, ups, quorum), total, 0)
    zero = np.zeros_like(total)
    slots = SlotCounts(names[owner], at_us // slot_us, good, total, zero, zero)
    return slots.take(total > 0).merged()


def _is_up(known: Int64s, ups: Int64s, quorum: Int64s) -> NDArray[np.bool_]:
    return np.where(quorum == 0, ups > 0, np.where(quorum == 1, 2 * ups > known, ups >= known)) & (known > 0)
