"""Plots: what is drawn is what was counted."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from evaluators.durations import DAY, HOUR, MINUTE
from service.web import charts, plots
from service.web.plots import Frame
from service.web.ports import HistoryPoint
from tests.service.web.catalogue import NOW
from tests.service.web.page_data import MadeUpData

FRAME = Frame(NOW // HOUR * HOUR - DAY, NOW // HOUR * HOUR, 10 * MINUTE)
STEPS = range(FRAME.from_us, FRAME.to_us, FRAME.step_us)
TARGETS = st.sampled_from((0.5, 0.9, 0.99, 0.999, 0.99999))


@st.composite
def points(draw: st.DrawFn) -> list[HistoryPoint]:
    """Some of the steps, some of them without samples or budget."""
    chosen = draw(st.lists(st.sampled_from(STEPS), unique=True, max_size=40).map(sorted))
    found: list[HistoryPoint] = []
    for us in chosen:
        total = draw(st.integers(0, 10_000))
        left = draw(st.none() | st.floats(-1000, 1, allow_nan=False))
        found.append(HistoryPoint(us, draw(st.integers(0, total)), total, left))
    return found


def numbers(path: str) -> list[float]:
    """Every number in a path."""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", path)]


@given(points(), TARGETS)
def test_nothing_is_drawn_outside_the_plot(found: list[HistoryPoint], target: float) -> None:
    """Whatever the values are; what is cut off is labelled."""
    drawn = charts.chart(FRAME, found, target, [])
    for plot in (drawn.sli, drawn.budget):
        assert plot is not None
        heights = [float(y) for y in re.findall(r"[ V](-?[\d.]+)", plot.line + plot.bad + plot.good)]
        assert all(plots.TOP <= y <= plot.bottom for y in heights)
        assert all(0 <= x <= plots.WIDTH for x in numbers(re.sub(r"V[\d.]+| [\d.]+", "", plot.line)))
        assert plots.TOP <= plot.rule <= plot.bottom
        assert all(plots.TOP <= tick.y <= plot.bottom for tick in plot.value_ticks)
        assert len(plot.value_ticks) <= 6
        assert "nan" not in plot.line + plot.bad + plot.good
    worst = min((point.budget_remaining for point in found if point.budget_remaining is not None), default=0)
    assert drawn.budget is not None
    assert (drawn.budget.cut is not None) == (worst < plots.DEEPEST_BUDGET)


@given(points(), st.integers(1, 60))
def test_the_table_holds_every_count_of_the_plot(found: list[HistoryPoint], most: int) -> None:
    """Sums over stretches, never averages."""
    rows = plots.table_rows(FRAME, found, most)
    assert len(rows) <= most
    assert sum(row.good for row in rows) == sum(point.good for point in found)
    assert sum(row.total for row in rows) == sum(point.total for point in found)


@given(st.integers(0, 400 * DAY), st.integers(5 * MINUTE, 400 * DAY))
def test_time_ticks_are_few_round_and_inside(start: int, length: int) -> None:
    """At most seven or eight, none outside."""
    frame = Frame(start, start + length, MINUTE)
    ticks = plots.time_ticks(frame)
    assert len(ticks) <= 8
    assert all(0 <= tick.x <= 100 for tick in ticks)
    assert len({tick.x for tick in ticks}) == len(ticks)


def test_a_line_is_broken_where_nothing_was_counted() -> None:
    """A gap is not bridged."""
    found = [HistoryPoint(us, 10, 10, 1.0) for us in STEPS if us // HOUR % 6 != 3]
    assert charts.chart(FRAME, found, 0.99, []).sli.line.count("M") == 4


def test_what_is_far_below_the_target_is_cut_off_and_labelled() -> None:
    """So that one outage does not flatten the rest."""
    found = [HistoryPoint(us, 999, 1000, 1.0) for us in STEPS]
    found[70] = replace(found[70], good=300)
    cut = charts.chart(FRAME, found, 0.999, []).sli.cut
    assert cut is not None
    assert cut.label == "lowest 30.0\u00a0%"


def test_an_incident_of_a_minute_is_still_seen_in_a_month() -> None:
    """Bands have a least width and never leave the plot."""
    record = next(one for one in MadeUpData().records if one.state == "resolved")
    end = NOW
    incident = replace(record.incident, started_us=end - 2 * MINUTE, detected_us=end - MINUTE, resolved_us=end - MINUTE)
    (band,) = plots.bands(Frame(end - 30 * DAY, end, 3 * HOUR), [replace(record, incident=incident)])
    assert band.width >= plots.NARROWEST_BAND
    assert band.x + band.width <= 100


def test_an_incident_of_long_ago_is_drawn_in_the_steps_that_are_kept() -> None:
    """Minutes for thirteen months, then quarters of an hour."""
    record = next(one for one in MadeUpData().records if one.state == "resolved")
    for age, step in ((HOUR, MINUTE), (390 * DAY, MINUTE), (400 * DAY, 15 * MINUTE)):
        start = NOW - age
        incident = replace(record.incident, started_us=start, detected_us=start, resolved_us=start + 10 * MINUTE)
        assert charts.frame_around(incident, NOW).step_us == step


def test_withdrawn_incidents_and_those_outside_are_not_marked() -> None:
    """They did not happen, or not then."""
    records = [one for one in MadeUpData().records if one.state == "withdrawn"]
    assert plots.bands(Frame(0, NOW, DAY), records) == ()
    resolved = [one for one in MadeUpData().records if one.state == "resolved"]
    assert plots.bands(Frame(0, DAY, HOUR), resolved) == ()
