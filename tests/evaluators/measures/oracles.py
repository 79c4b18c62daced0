"""What is measured, worked out the slow way: second by second, one point after the other."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from evaluators.durations import SECOND
from evaluators.measures.measuring import Definition
from evaluators.measures.sketches import estimates
from evaluators.measures.specs import Holding, Pairing, Slicing
from evaluators.points import Kind
from evaluators.slots import SlotCounts
from evaluators.units import PARTS_OF_A_SLICE

Row = tuple[int, int, int, int, int, int]  # series, source, tag, time, value, start
Counts = dict[tuple[int, int], list[int]]  # (series, slot): good, total, excluded good, excluded total

SLOT = 10 * SECOND
_OPS: Mapping[str, Callable[[float, float], bool]] = {
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
}
_EXCLUDED = 1 << 7


def measured(
    definitions: Mapping[int, Definition], counts: Iterable[Row], points: Iterable[Row], until_us: int
) -> SlotCounts:
    """All of it, up to a tick; rows of nothing left out."""
    points = list(points)
    raw: Counts = defaultdict(lambda: [0, 0, 0, 0])
    for series, slot, *values in counts:
        raw[series, slot] = [a + b for a, b in zip(raw[series, slot], values, strict=True)]
    _count(definitions, points, raw)
    for series, definition in definitions.items():
        mine = [row for row in points if row[0] == series]
        measure = definition.measure
        if measure and measure.holding:
            _both(mine, lambda rows, s=series, h=measure.holding: _hold(rows, s, h, until_us), raw)
        if measure and measure.pairing:
            _pair(mine, series, measure.pairing, until_us, raw)
    found: Counts = {}
    for series, definition in definitions.items():
        mine = {slot: values for (owner, slot), values in raw.items() if owner == series}
        slicing = definition.measure.slicing if definition.measure else None
        if slicing is None:
            found.update({(series, slot): values for slot, values in mine.items()})
        elif slicing.judges == "quantile":
            found.update(_quantiles([row for row in points if row[0] == series], series, slicing, until_us))
        else:
            found.update(_slices(mine, series, slicing, until_us))
    rows = [(*place, *values) for place, values in found.items() if any(values)]
    return SlotCounts.from_columns(_columns(rows)).merged()


def told(parts: Iterable[SlotCounts]) -> SlotCounts:
    """What was said in all, in the same form."""
    sums: Counter[tuple[int, int, int]] = Counter()
    for part in parts:
        for series, slot, *values in part.columns.T.tolist():
            for place, value in enumerate(values):
                sums[series, slot, place] += value
    places = {(series, slot) for series, slot, _ in sums}
    rows = [(*place, *(sums[*place, column] for column in range(4))) for place in places]
    return SlotCounts.from_columns(_columns([row for row in rows if any(row[2:])])).merged()


def _columns(rows: list[tuple[int, ...]]):  # noqa: ANN202 - an array of shape (6, rows)
    import numpy as np

    return np.array(rows, dtype=np.int64).reshape(-1, 6).T


def _count(definitions: Mapping[int, Definition], points: list[Row], raw: Counts) -> None:
    sources: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in points:
        if row[2] & 15 == Kind.COUNTER:
            sources[row[0], row[1]].append(row)
    for (series, _), rows in sources.items():
        best: dict[int, Row] = {}
        for row in rows:
            if row[3] not in best or row[4:] > best[row[3]][4:]:
                best[row[3]] = row
        before: Row | None = None
        for at_us in sorted(best):
            _, _, tag, _, value, start = now = best[at_us]
            if before is None:
                begins = definitions[series].counts_from_us if series in definitions else math.inf
                grown = value if 0 < start < at_us and start >= begins else 0
            elif value < before[4] or (start > 0 and start > (before[5] or before[3])):
                grown = value
            else:
                grown = value - before[4]
            before = now
            good, total = ((tag >> 4 & 3) - 1) * grown, (tag >> 6 & 1) * grown
            excluded = bool(tag & _EXCLUDED)
            cell = raw[series, at_us // SLOT]
            for place, more in enumerate((good, total, good * excluded, total * excluded)):
                cell[place] += more


def _both(rows: list[Row], of: Callable[[list[Row]], Counts], raw: Counts) -> None:
    for place, (good, total, *_) in of(rows).items():
        raw[place][0] += good
        raw[place][1] += total
        raw[place][2] += good
        raw[place][3] += total
    for place, (good, total, *_) in of([row for row in rows if not row[2] & _EXCLUDED]).items():
        raw[place][2] -= good
        raw[place][3] -= total


def _hold(rows: list[Row], series: int, holding: Holding, until_us: int) -> Counts:
    """Times are whole seconds: look at every one."""
    out: Counts = defaultdict(lambda: [0, 0, 0, 0])
    sources = {row[1] for row in rows}
    for second in range(until_us // SECOND):
        at_us = second * SECOND
        states = [_state(rows, source, at_us, holding) for source in sources]
        known = [each for each in states if each is not None and each != "lapsed"]
        up = sum(each == "up" for each in known)
        needed = {"any": up > 0, "majority": 2 * up > len(known), "all": up == len(known)}[holding.quorum]
        if known or "lapsed" in states:
            cell = out[series, at_us // SLOT]
            cell[1] += SECOND
            cell[0] += SECOND * bool(known and needed)
    return out


def _state(rows: list[Row], source: int, at_us: int, holding: Holding) -> str | None:
    before = [row for row in rows if row[1] == source and row[3] <= at_us]
    if not before:
        return None
    newest = max(row[3] for row in before)
    if at_us - newest >= holding.hold_us:
        return "lapsed" if at_us - newest < holding.hold_us + holding.lapse_us else None
    return "up" if min(row[4] for row in before if row[3] == newest) > 0 else "down"


def _pair(  # noqa: C901, PLR0912 - a clock, told as it runs
    rows: list[Row], series: int, pairing: Pairing, until_us: int, raw: Counts
) -> None:
    keys: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    order = {Kind.OPENED: 0, Kind.RESUMED: 1, Kind.PAUSED: 2, Kind.CLOSED: 3}
    for _, key, tag, at_us, _, _ in rows:
        if Kind(tag & 15) in order:
            keys[key].append((at_us, order[Kind(tag & 15)], bool(tag & _EXCLUDED)))

    def decide(at_us: int, *, good: bool, excluded: bool) -> None:
        cell = raw[series, at_us // SLOT]
        for place, more in enumerate((good, 1, good and excluded, excluded)):
            cell[place] += more

    for events in keys.values():
        opened, running, decided, excluded, spent = False, False, False, False, 0
        for second in range(until_us // SECOND):
            at_us = second * SECOND
            if opened and not decided and pairing.strict and spent >= pairing.within_us:
                decide(at_us, good=False, excluded=excluded)
                decided = True
            for _, what, out in sorted(event for event in events if event[0] == at_us):
                if what == 0 and not opened:
                    opened, running, decided, excluded, spent = True, True, False, out, 0
                elif what == 1 and opened:
                    running = True
                elif what == 2:
                    running = False
                elif what == 3 and opened:
                    if not decided:
                        decide(at_us, good=True, excluded=excluded)
                    opened = running = False
            if opened and running and not decided and not pairing.strict and spent >= pairing.within_us:
                decide(at_us, good=False, excluded=excluded)  # neither closed nor stopped at this very moment
                decided = True
            if opened and running:
                spent += SECOND


def _slices(mine: Mapping[int, list[int]], series: int, slicing: Slicing, until_us: int) -> Counts:
    window = slicing.window_us
    slices: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for slot, values in mine.items():
        number = slot * SLOT // window
        slices[number] = [a + b for a, b in zip(slices[number], values, strict=True)]
    out: Counts = {}
    for number in range(until_us // window):
        earlier = [each for each in slices if each <= number]
        if not earlier or (
            number not in slices and (not slicing.fills or number - max(earlier) > slicing.fill_us // window)
        ):
            continue
        good, total, less_good, less_total = slices.get(number, [0, 0, 0, 0])
        lived = _judge(good, total, slicing)
        agreed = (0, 0) if total and total == less_total else _judge(good - less_good, total - less_total, slicing)
        last = ((number + 1) * window) // SLOT - 1
        out[series, last] = [*lived, lived[0] - agreed[0], lived[1] - agreed[1]]
    return out


def _judge(good: int, total: int, slicing: Slicing) -> tuple[int, int]:
    full = PARTS_OF_A_SLICE if slicing.judges == "ratio" else 1
    if slicing.judges == "rate":
        return int(_OPS[slicing.op](total / (slicing.window_us / SECOND), slicing.bound)), 1
    if total == 0:
        return (full * (slicing.empty == "good"), full * (slicing.empty != "ignored"))
    if slicing.judges == "ratio":
        return min(max(good * PARTS_OF_A_SLICE // total, 0), PARTS_OF_A_SLICE), full
    return int(good / total >= slicing.bound), 1


def _quantiles(rows: list[Row], series: int, slicing: Slicing, until_us: int) -> Counts:
    import numpy as np

    out: Counts = {}
    for number in range(until_us // slicing.window_us):
        held = [row for row in rows if row[3] // slicing.window_us == number]
        views: list[tuple[int, int]] = []
        for chosen in (held, [row for row in held if not row[2] & _EXCLUDED]):
            values = sorted(value for row in chosen for value in [row[1]] * row[4])
            if not values:
                views.append((0, 0))
                continue
            rank = max(math.ceil(round(slicing.q * len(values), 9)), 1)
            estimate = float(estimates(np.array([values[rank - 1]]))[0])
            views.append((int(_OPS[slicing.op](estimate, slicing.bound)), 1))
        (good, total), (agreed_good, agreed_total) = views
        last = ((number + 1) * slicing.window_us) // SLOT - 1
        out[series, last] = [good, total, good - agreed_good, total - agreed_total]
    return out
