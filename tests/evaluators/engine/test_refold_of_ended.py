"""Late data about an incident that is over."""

from __future__ import annotations

import pytest

from evaluators.agreements import BurnRateCondition
from evaluators.durations import MINUTE
from evaluators.engine import ShardEngine
from evaluators.incidents import Incident, IncidentChange
from tests.evaluators.engine.promises import at, engine_of, promise, told, traffic

PAGE = BurnRateCondition(5 * MINUTE, MINUTE, 5, "page")
TICKET = BurnRateCondition(20 * MINUTE, 2 * MINUTE, 1.5, "ticket")


def after_a_ticket() -> tuple[ShardEngine, tuple[IncidentChange, ...]]:
    """12 % of failures from minute 30 to 45: a ticket that is over at minute 90."""
    engine = engine_of(promise(PAGE, TICKET))
    for part in (traffic(range(30)), traffic(range(30, 45), bad=12), traffic(range(45, 90))):
        engine.fold(part)
    return engine, engine.advance(at(90), lateness_us=0).incidents


def test_a_ticket_that_is_over_and_becomes_a_page_is_told_as_raised_and_as_over() -> None:
    """Whoever is told the escalation alone would have it open for ever."""
    engine, first = after_a_ticket()
    assert [(change.kind, change.incident.severity) for change in first] == [
        ("opened", "ticket"),
        ("resolved", "ticket"),
    ]
    engine.fold(traffic(range(33, 38), bad=100))
    late = engine.advance(at(91), lateness_us=0)
    assert [(change.kind, change.incident.severity) for change in late.incidents] == [
        ("escalated", "page"),
        ("resolved", "page"),
    ]
    assert late.incidents[0].incident.resolved_us is None
    assert late.open_incidents == ()


@pytest.mark.parametrize("worse", [range(33, 38), range(40, 45), range(43, 45)])
def test_what_was_told_is_what_a_run_over_all_counts_tells(worse: range) -> None:
    """The same times and severity; an incident that was told keeps its name."""
    engine, first = after_a_ticket()
    engine.fold(traffic(worse, bad=100))
    known = told((*first, *engine.advance(at(91), lateness_us=0).incidents))
    once = engine_of(promise(PAGE, TICKET))
    for part in (traffic(range(30)), traffic(range(30, 45), bad=12), traffic(range(45, 90)), traffic(worse, bad=100)):
        once.fold(part)
    wanted = told(once.advance(at(91), lateness_us=0).incidents)
    assert [_span(each) for each in known.values()] == [_span(each) for each in wanted.values()]


def test_an_escalation_is_never_told_after_the_end() -> None:
    """Changes go out in order of event time; the last one decides what the store says."""
    engine, _ = after_a_ticket()
    engine.fold(traffic(range(33, 38), bad=100))
    escalated, resolved = engine.advance(at(91), lateness_us=0).incidents
    assert resolved.incident.resolved_us is not None
    assert escalated.at_us <= resolved.at_us == resolved.incident.resolved_us


def _span(incident: Incident) -> tuple[object, ...]:
    return (incident.severity, incident.started_us, incident.detected_us, incident.resolved_us)


def test_what_is_restated_of_a_series_begins_where_its_own_late_data_lies() -> None:
    """Who else shares its policy, and how far back their data reaches, is nothing to it."""
    engine = engine_of(promise(PAGE, TICKET), promise(PAGE, TICKET, series=2))
    for series in (1, 2):
        engine.fold(traffic(range(90), series=series))
    engine.advance(at(90), lateness_us=0)
    engine.fold(traffic(range(20, 30), bad=100, series=1))
    engine.fold(traffic(range(60, 70), bad=100, series=2))
    late = engine.advance(at(91), lateness_us=0)
    assert {each.series_id: each.from_us for each in late.restated} == {1: at(20), 2: at(60)}
