"""Which span a plot shows, and everything that is drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evaluators import durations
from evaluators.incidents import Incident
from evaluators.rollup import told_apart
from evaluators.standings import Standing
from service.web import figures, plots
from service.web.plots import Band, Frame, Plot, TableRow, TimeTick, UnseenBand
from service.web.ports import HistoryPoint, IncidentRecord, Unseen

RANGES: Final = (("period", "Period"), ("24h", "24 h"), ("6h", "6 h"), ("1h", "1 h"))
MOST_STEPS: Final = 250
_STEPS: Final = (
    *(minutes * durations.MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * durations.HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * durations.DAY for days in (1, 2, 7)),
)
_AROUND_LEAST: Final = 20 * durations.MINUTE


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure: the SLI and, on an objective's page, the budget, over the same span."""

    frame: Frame
    sli: Plot
    budget: Plot | None
    bands: tuple[Band, ...]
    unseen: tuple[UnseenBand, ...]
    time_ticks: tuple[TimeTick, ...]
    table: tuple[TableRow, ...]
    decimals: int
    totals: str
    bads: str
    lefts: str
    sli_words: str
    budget_words: str


def frame_of(range_name: str, standing: Standing) -> Frame:
    """The span of a range switch that ends at the standing's tick."""
    end = standing.as_of_us
    if range_name == "period":
        return _frame(min(standing.period_start_us, end - durations.HOUR), end, end)
    return _frame(end - durations.parse(range_name), end, end)


def frame_around(incident: Incident, as_of_us: int | None) -> Frame:
    """An incident with as much time before it as it lasted, and some after."""
    end = incident.resolved_us or max(as_of_us or 0, incident.detected_us)
    margin = max(_AROUND_LEAST, (end - incident.started_us) // 2)
    after = end + margin if as_of_us is None else min(end + margin, max(as_of_us, end))
    return _frame(incident.started_us - margin, after, max(as_of_us or 0, after))


def _frame(from_us: int, to_us: int, tick_us: int) -> Frame:
    long_enough = (step for step in _STEPS if (to_us - from_us) / step <= MOST_STEPS)
    step = next((step for step in long_enough if told_apart(step, from_us, tick_us, _STEPS[0])), _STEPS[-1])
    return Frame(from_us // step * step, -(-to_us // step) * step, step)


def chart(
    frame: Frame,
    points: Sequence[HistoryPoint],
    target: float,
    incidents: Sequence[IncidentRecord],
    unseen: Sequence[Unseen] = (),
    *,
    with_budget: bool = True,
) -> Chart:
    """Draws the points; those outside the frame are left out."""
    inside = [point for point in points if frame.from_us <= point.time_us < frame.to_us]
    bands = plots.bands(frame, incidents)
    slots = _by_step(frame, inside)
    decimals = figures.decimals_for(target)
    return Chart(
        frame,
        plots.sli_plot(frame, inside, target, whole=not with_budget),
        plots.budget_plot(frame, inside) if with_budget else None,
        bands,
        plots.unseen_bands(frame, unseen),
        plots.time_ticks(frame),
        plots.table_rows(frame, inside),
        decimals,
        plots.listed(point.total if point else None for point in slots),
        plots.listed(point.total - point.good if point else None for point in slots),
        plots.listed(point.budget_remaining if point else None for point in slots) if with_budget else "",
        _sli_words(inside, target, bands, decimals),
        _budget_words(inside),
    )


def _by_step(frame: Frame, points: Sequence[HistoryPoint]) -> list[HistoryPoint | None]:
    known = {point.time_us: point for point in points}
    return [known.get(us) for us in range(frame.from_us, frame.to_us, frame.step_us)]


def _sli_words(points: Sequence[HistoryPoint], target: float, bands: Sequence[Band], decimals: int) -> str:
    counted = [point for point in points if point.total]
    if not counted:
        return "Share of good samples: nothing was counted in this span."
    good, total = sum(point.good for point in counted), sum(point.total for point in counted)
    below = sum(point.good / point.total < target for point in counted)
    return (
        f"Share of good samples: {figures.percent(good / total, decimals)} over this span, {below} of {len(counted)} "
        f"steps below the target of {figures.target(target)}, {len(bands)} incident{'' if len(bands) == 1 else 's'}."
    )


def _budget_words(points: Sequence[HistoryPoint]) -> str:
    left = [point.budget_remaining for point in points if point.budget_remaining is not None]
    if not left:
        return "Error budget left: not known in this span."
    return f"Error budget left: from {figures.share(left[0])} to {figures.share(left[-1])}, least {figures.share(min(left))}."
