"""Plots as numbers that a template draws: SLI against its target, and the error budget, over one span of time.

Horizontal positions are percent of the width, so that text keeps its size at any width; paths are drawn in a box of
WIDTH by the plot's height that is stretched across, with strokes that do not scale. Heights are pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evaluators import durations
from service.web import figures
from service.web.ports import HistoryPoint, IncidentRecord, Unseen

WIDTH: Final = 1000
TOP: Final = 10
FLOOR_IN_BUDGETS: Final = 5
"""An SLI plot reaches at most this many budgets below the target; what is worse is cut off and labelled."""
DEEPEST_BUDGET: Final = -1.0
"""A budget plot reaches at most this far below zero."""
NARROWEST_BAND: Final = 0.3
"""Percent of the width: an incident of a minute is still seen in a month."""
_MOST_TIME_TICKS: Final = 7
_MOST_VALUE_TICKS: Final = 4
_EDGE: Final = 3.0

_TICK_STEPS: Final = (
    *(minutes * durations.MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * durations.HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * durations.DAY for days in (1, 2, 5, 7, 14, 30, 91, 365)),
)

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Frame:
    """The span shown, [from_us, to_us), in steps."""

    from_us: int
    to_us: int
    step_us: int

    def x(self, us: int) -> float:
        """Percent of the width, within the frame."""
        return round(min(100.0, max(0.0, (us - self.from_us) / (self.to_us - self.from_us) * 100)), 2)


@dataclass(frozen=True, slots=True)
class TimeTick:
    x: float
    label: str
    anchor: Anchor
    minor: bool  # every second one; left out where there is little room


@dataclass(frozen=True, slots=True)
class ValueTick:
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Band:
    """An incident's span."""

    x: float
    width: float
    record: IncidentRecord


@dataclass(frozen=True, slots=True)
class UnseenBand:
    """A span that was not seen; `from_us` None: since before anything is known."""

    x: float
    width: float
    from_us: int | None
    to_us: int
    words: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the worst value lies below the plot."""

    x: float
    label: str
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing. `line` follows the values, `good` and `bad` are filled; `rule` is the target or zero."""

    height: int
    bottom: int
    line: str
    good: str
    bad: str
    rule: float
    rule_label: str
    value_ticks: tuple[ValueTick, ...]
    cut: Cut | None


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels between TOP and `bottom`; what is lower than `least` is drawn at the bottom."""

    least: float
    most: float
    bottom: int

    def y(self, value: float) -> float:
        inside = min(self.most, max(self.least, value))
        return round(self.bottom - (inside - self.least) / (self.most - self.least) * (self.bottom - TOP), 1)


def time_ticks(frame: Frame) -> tuple[TimeTick, ...]:
    """At most seven round times in UTC: hours and minutes, the date at midnight and for steps of days."""
    length = frame.to_us - frame.from_us
    step = next((step for step in _TICK_STEPS if length / step <= _MOST_TIME_TICKS), _TICK_STEPS[-1])
    first = -(-frame.from_us // step) * step
    ticks = [(us, frame.x(us)) for us in range(first, frame.to_us + 1, step)]
    return tuple(
        TimeTick(x, _tick_label(us, step), _anchor(x), minor=bool(place % 2)) for place, (us, x) in enumerate(ticks)
    )


def _tick_label(us: int, step: int) -> str:
    if step >= durations.DAY or us % durations.DAY == 0:
        return figures.moment(us).strftime("%-d %b")
    return figures.moment(us).strftime("%H:%M")


def _anchor(x: float) -> Anchor:
    return "start" if x < _EDGE else "end" if x > 100 - _EDGE else "middle"


def value_ticks(scale: Scale) -> tuple[ValueTick, ...]:
    """At most four round shares between the scale's ends."""
    reach = scale.most - scale.least
    step = _round_up(reach / _MOST_VALUE_TICKS)
    first = math.ceil(scale.least / step - 1e-9)
    values = [place * step for place in range(first, math.floor(scale.most / step + 1e-9) + 1)]
    return tuple(ValueTick(scale.y(value), figures.target(round(value, 9))) for value in values)


def _round_up(step: float) -> float:
    unit = 10.0 ** math.floor(math.log10(step))
    return next(nice * unit for nice in (1, 2, 2.5, 5, 10) if nice * unit >= step * (1 - 1e-9))


def bands(frame: Frame, records: Iterable[IncidentRecord]) -> tuple[Band, ...]:
    """The incidents that touch the frame, least severe first so that pages lie on top."""
    found: list[Band] = []
    for record in sorted(records, key=lambda record: record.incident.severity == "page"):
        place = _across(frame, record.incident.started_us, record.incident.resolved_us or frame.to_us)
        if record.state != "withdrawn" and place is not None:
            found.append(Band(*place, record))
    return tuple(found)


def unseen_bands(frame: Frame, spans: Iterable[Unseen]) -> tuple[UnseenBand, ...]:
    """Those that touch the frame."""
    found: list[UnseenBand] = []
    for span in spans:
        place = _across(frame, frame.from_us if span.from_us is None else span.from_us, span.to_us)
        if place is not None:
            found.append(UnseenBand(*place, span.from_us, span.to_us, span.words))
    return tuple(found)


def _across(frame: Frame, from_us: int, to_us: int) -> tuple[float, float] | None:
    """Where a band begins and how wide it is, wide enough to be seen; None outside the frame."""
    if from_us >= frame.to_us or to_us <= frame.from_us:
        return None
    left = min(frame.x(from_us), 100 - NARROWEST_BAND)
    return left, round(max(NARROWEST_BAND, frame.x(to_us) - left), 2)


def sli_plot(
    frame: Frame, points: Sequence[HistoryPoint], target: float, *, whole: bool = False, height: int = 200
) -> Plot:
    """The share of good samples of each step as a line of steps; below the target it is filled.

    Unless `whole`, what is far below the target is cut off, so that it does not flatten everything else.
    """
    slis = [(point.time_us, point.good / point.total) for point in points if point.total]
    budget = 1 - target
    worst = min((sli for _, sli in slis), default=1.0)
    least = max(0.0, min(target - budget, worst - budget / 4))
    if not whole:
        least = max(least, target - FLOOR_IN_BUDGETS * budget)
    scale = Scale(least, 1.0, height - 22)
    rule = scale.y(target)
    line = _steps(frame, scale, slis)
    bad = "".join(
        f"M{_px(frame, us)} {rule}V{scale.y(sli)}H{_px(frame, us + frame.step_us)}V{rule}Z"
        for us, sli in slis
        if sli < target
    )
    cut = None
    if worst < least:
        x = frame.x(next(us for us, sli in slis if sli == worst) + frame.step_us // 2)
        cut = Cut(x, f"lowest {figures.percent(worst, 1)}", _anchor_beside(x))
    return Plot(height, scale.bottom, line, "", bad, rule, f"target {figures.target(target)}", value_ticks(scale), cut)


def budget_plot(frame: Frame, points: Sequence[HistoryPoint], height: int = 140) -> Plot:
    """The share of the error budget left at the end of each step; below zero it is overspent."""
    left = [(point.time_us, point.budget_remaining) for point in points if point.budget_remaining is not None]
    worst = min((share for _, share in left), default=0.0)
    least = max(DEEPEST_BUDGET, worst * 1.1) if worst < 0 else 0.0
    scale = Scale(least, max(1.0, max((share for _, share in left), default=1.0)), height - 22)
    zero = scale.y(0)
    cut = None
    if worst < least:
        x = frame.x(next(us for us, share in left if share == worst))
        cut = Cut(x, f"lowest {figures.share(worst)}", _anchor_beside(x))
    return Plot(
        height,
        scale.bottom,
        _steps(frame, scale, left),
        _area(frame, scale, [(us, max(0.0, share)) for us, share in left], zero),
        _area(frame, scale, [(us, share) for us, share in left if share < 0], zero),
        zero,
        "",
        value_ticks(scale),
        cut,
    )


def _anchor_beside(x: float) -> Anchor:
    return "start" if x < 50 else "end"


def _px(frame: Frame, us: int) -> str:
    return f"{frame.x(us) * (WIDTH / 100):.1f}".removesuffix(".0")


def _steps(frame: Frame, scale: Scale, values: Sequence[tuple[int, float]]) -> str:
    """A line that holds each value over its step, broken where steps are missing."""
    return "".join(_run(frame, scale, run) for run in _runs(frame, values))


def _run(frame: Frame, scale: Scale, run: Sequence[tuple[int, float]]) -> str:
    """One unbroken line; what stays level is drawn in one stroke."""
    level = scale.y(run[0][1])
    parts = [f"M{_px(frame, run[0][0])} {level:g}"]
    for us, value in run[1:]:
        y = scale.y(value)
        if y != level:
            parts.append(f"H{_px(frame, us)}V{y:g}")
            level = y
    return "".join((*parts, f"H{_px(frame, run[-1][0] + frame.step_us)}"))


def _runs(frame: Frame, values: Sequence[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Cut where a step is missing."""
    runs: list[list[tuple[int, float]]] = []
    for us, value in values:
        if not runs or us != runs[-1][-1][0] + frame.step_us:
            runs.append([])
        runs[-1].append((us, value))
    return runs


def _area(frame: Frame, scale: Scale, values: Sequence[tuple[int, float]], base: float) -> str:
    """The same, closed down to `base`."""
    return "".join(
        f"M{_px(frame, run[0][0])} {base:g}V{_run(frame, scale, run).partition(' ')[2]}V{base:g}Z"
        for run in _runs(frame, values)
    )


@dataclass(frozen=True, slots=True)
class TableRow:
    """A stretch of steps, summed, for those who read the plot as a table."""

    from_us: int
    to_us: int
    good: int
    total: int
    budget_remaining: float | None


def table_rows(frame: Frame, points: Sequence[HistoryPoint], most: int = 24) -> tuple[TableRow, ...]:
    """At most `most` rows; counts are sums and the budget is that at the end of the stretch."""
    size = max(1, -(-len(points) // most))
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple(
        TableRow(
            stretch[0].time_us,
            stretch[-1].time_us + frame.step_us,
            sum(point.good for point in stretch),
            sum(point.total for point in stretch),
            stretch[-1].budget_remaining,
        )
        for stretch in stretches
    )


def listed(values: Iterable[float | int | None]) -> str:
    """Numbers for a data attribute, separated by commas; missing ones are empty."""
    return ",".join(
        "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value) for value in values
    )
