"""The fold, step by step: what a code makes of a state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluators.agreements import BurnRateCondition, Minimum, SilentCondition
from evaluators.durations import HOUR, MINUTE
from evaluators.engine.conditions import BREACH_BIT, CONDITION_SHIFT, SILENT_BIT, Plan
from evaluators.engine.fold import RESOLVE_AFTER, Point, State, settled, step
from evaluators.incidents import Incident, IncidentChange
from evaluators.policies import ResolvedPolicy
from tests.evaluators.engine.promises import A_DAY, SLOT, at

POLICY = ResolvedPolicy((SilentCondition(MINUTE, "ticket"), BurnRateCondition(HOUR, MINUTE, 2, "page")), Minimum())
PLAN = Plan.of(A_DAY, POLICY, (), SLOT)
MET, AT_RISK, BREACHED = 1, 2, 3
NOTHING, TICKET, PAGE = 0, 1 << CONDITION_SHIFT, 2 << CONDITION_SHIFT


def opened(tick_us: int, code: int) -> Incident:
    severity = "page" if PLAN.rank(code) > 1 else "ticket"
    return Incident(
        f"at {tick_us}", 1, "gold", "latency", None, (), severity, tick_us - SLOT, tick_us, None, "why", {"code": code}
    )


def point(minute: float, code: int) -> Point:
    return Point(at(minute), code, PLAN, lambda: opened(at(minute), code))


def run(*points: tuple[float, int], hold_from: int | None = None) -> tuple[State, list[IncidentChange]]:
    """The last state and all changes of these codes, each at its minute; they begin with a live series that is met."""
    state, changes = State(at(0), verdict=MET, silent=False, since_us=at(0)), list[IncidentChange]()
    for minute, code in points:
        states, steps = step(state, point(minute, code), hold_from)
        state = states[-1] if states else state
        changes += steps
    return state, changes


def kinds(changes: list[IncidentChange]) -> list[tuple[str, int, str]]:
    return [(each.kind, each.at_us, each.incident.severity) for each in changes]


def test_a_code_that_changes_nothing_makes_no_state() -> None:
    """Though the tick is a new one."""
    assert step(State(at(0), MET, silent=False), point(1, MET), None) == ([], [])


def test_a_new_verdict_counts_from_its_tick() -> None:
    """Silence that comes later leaves it where it began."""
    state, changes = run((5, AT_RISK), (9, AT_RISK | SILENT_BIT))
    assert (state.verdict, state.silent, state.since_us, state.at_us) == (AT_RISK, True, at(5), at(9))
    assert changes == []


def test_a_condition_that_holds_opens_an_incident() -> None:
    """Detected at that tick."""
    state, changes = run((5, MET | TICKET))
    assert kinds(changes) == [("opened", at(5), "ticket")]
    assert (state.incident, state.rank) == (opened(at(5), MET | TICKET), 1)


def test_an_incident_resolves_after_two_minutes_of_calm() -> None:
    """At that tick, whenever the next code comes."""
    state, changes = run((5, MET | TICKET), (7, MET), (30, AT_RISK))
    assert kinds(changes)[1:] == [("resolved", at(7) + RESOLVE_AFTER, "ticket")]
    assert changes[-1].incident.resolved_us == at(7) + RESOLVE_AFTER
    assert (state.incident, state.rank, state.released_us, state.calm_us) == (None, 0, None, None)


def test_an_incident_goes_on_when_it_holds_again_within_two_minutes() -> None:
    """Neither resolved nor opened again."""
    state, changes = run((5, MET | TICKET), (7, MET), (9, MET | TICKET))
    assert kinds(changes) == [("opened", at(5), "ticket")]
    assert state.released_us is None


def test_an_incident_that_holds_again_later_is_another() -> None:
    """A slot after the two minutes were full."""
    _, changes = run((5, MET | TICKET), (7, MET), (9 + SLOT / MINUTE, MET | TICKET))
    assert [kind for kind, _, _ in kinds(changes)] == ["opened", "resolved", "opened"]


def test_a_calm_that_changes_otherwise_is_counted_from_its_beginning() -> None:
    """A new verdict does not prolong an incident."""
    _, changes = run((5, AT_RISK | TICKET), (7, AT_RISK), (8, MET), (9, MET | SILENT_BIT))
    assert kinds(changes)[1:] == [("resolved", at(9), "ticket")]


def test_a_ticket_that_becomes_a_page_is_escalated() -> None:
    """The same incident, since it was detected, with what is so now."""
    state, changes = run((5, MET | TICKET), (6, MET | TICKET | PAGE))
    assert kinds(changes)[1:] == [("escalated", at(6), "page")]
    first, last = changes[0].incident, changes[1].incident
    assert (last.id, last.detected_us, last.started_us) == (first.id, first.detected_us, first.started_us)
    assert last.condition == {"code": MET | TICKET | PAGE}
    assert state.rank == 2


def test_a_page_that_becomes_a_breach_is_escalated() -> None:
    """It is a page already, and now says more."""
    _, changes = run((5, AT_RISK | PAGE), (6, BREACHED | BREACH_BIT | PAGE))
    assert kinds(changes) == [("opened", at(5), "page"), ("escalated", at(6), "page")]


def test_what_grows_lesser_is_not_told() -> None:
    """The incident keeps its rank and severity."""
    state, changes = run((5, MET | PAGE), (6, MET | TICKET))
    assert kinds(changes) == [("opened", at(5), "page")]
    assert state.rank == 2


def test_a_page_that_comes_back_behind_a_ticket_is_raised_again() -> None:
    """After two minutes without it, a new outage must not hide behind the old incident."""
    _, changes = run((5, MET | PAGE), (6, MET | TICKET), (9, MET | TICKET | PAGE))
    assert kinds(changes)[1:] == [("escalated", at(9), "page")]


def test_a_page_that_comes_back_at_once_is_not() -> None:
    """An alert at its threshold must not flap."""
    _, changes = run((5, MET | PAGE), (6, MET | TICKET), (8, MET | TICKET | PAGE))
    assert len(changes) == 1


def test_a_ticket_of_an_incident_that_was_a_page_stays_a_page_when_breached() -> None:
    """Severity never goes down within an incident."""
    _, changes = run((5, AT_RISK | PAGE), (6, AT_RISK | TICKET), (7, BREACHED | BREACH_BIT))
    assert kinds(changes)[-1] == ("escalated", at(7), "page")


def test_a_breach_keeps_its_incident_open() -> None:
    """However long it lasts."""
    state, changes = run((5, BREACHED | BREACH_BIT | PAGE), (6, BREACHED | BREACH_BIT), (90, BREACHED | BREACH_BIT))
    assert len(changes) == 1
    assert state.incident is not None


@pytest.mark.parametrize(("until", "resolves"), [(8.9, False), (9, True), (60, True)])
def test_what_has_lapsed_by_a_tick_resolves(until: float, resolves: bool) -> None:
    """Without any new code."""
    state, _ = run((5, MET | TICKET), (7, MET))
    assert (settled(state, at(until), None) is not None) is resolves


def test_nothing_resolves_while_data_is_missing() -> None:
    """What lapsed before the hold does."""
    state, _ = run((5, MET | TICKET), (7, MET))
    assert settled(state, at(60), at(8)) is None
    assert settled(state, at(60), at(9)) is not None


def test_nothing_lapses_without_an_incident_or_while_it_holds() -> None:
    """There is no calm to count."""
    held, _ = run((5, MET | TICKET))
    assert settled(held, at(60), None) is None
    assert settled(replace(held, incident=None, released_us=at(1)), at(60), None) is None
