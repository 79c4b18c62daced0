"""What is told when a second run of the fold says something else than the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from evaluators.engine.fold import State
from evaluators.engine.restating import differences, kept_names, renamed_changes, renamed_states, turns, unused
from evaluators.incidents import Incident, IncidentChange

NOW = 100
TICKET = Incident("one", 1, "gold", "latency", None, (), "ticket", 10, 20, None, "slow", {"silent": "10m"})
PAGE = replace(TICKET, severity="page")


def span(name: str, detected_us: int, resolved_us: int | None = None) -> Incident:
    return replace(TICKET, id=name, detected_us=detected_us, resolved_us=resolved_us)


def told(
    old: Sequence[Incident], new: Sequence[Incident], run: Sequence[IncidentChange] = ()
) -> list[tuple[str, int, int | None]]:
    """Kind, time and end of each change."""
    return [(each.kind, each.at_us, each.incident.resolved_us) for each in differences(old, new, run, NOW)]


def test_turns_are_where_verdict_or_data_state_changed() -> None:
    """An incident that comes and goes is no turn."""
    before = State(0, verdict=1, silent=False)
    states = [
        State(10, verdict=1, silent=False, incident=TICKET),
        State(20, verdict=2, silent=False),
        State(30, verdict=2, silent=True),
        State(40, verdict=2, silent=True, rank=1),
        State(50, verdict=1, silent=False),
    ]
    assert turns(before, states) == [(20, 2, False), (30, 2, True), (50, 1, False)]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        # the same name stays
        ([span("a", 10, 20)], [span("a", 12, 22)], {"a": "a"}),
        # another that overlaps goes by the old name, open ones included
        ([span("a", 10, 20)], [span("b", 15, 30)], {"b": "a"}),
        ([span("a", 10)], [span("b", 15)], {"b": "a"}),
        ([span("a", 30)], [span("b", 15)], {"b": "a"}),
        # one that only touches is another
        ([span("a", 10, 20)], [span("b", 20, 30)], {"b": "b"}),
        ([span("a", 20, 30)], [span("b", 10, 20)], {"b": "b"}),
        # each old name is given once, first to the one that has it anyway
        ([span("a", 10, 20)], [span("b", 8, 15), span("a", 16, 20)], {"a": "a", "b": "b"}),
        ([span("a", 10, 20)], [span("b", 8, 15), span("c", 16, 20)], {"b": "a", "c": "c"}),
        # in order of time
        ([span("a", 10, 20), span("b", 22, 30)], [span("c", 12, 28)], {"c": "a"}),
    ],
)
def test_an_incident_goes_by_the_name_of_the_one_that_it_overlaps(
    old: list[Incident], new: list[Incident], names: dict[str, str]
) -> None:
    """So that whoever was called about it hears of the same one."""
    assert kept_names(old, new) == names


@pytest.mark.parametrize(
    ("taken", "name"), [(set[str](), "a"), ({"b"}, "a"), ({"a"}, "a_2"), ({"a", "a_2", "a_3"}, "a_4")]
)
def test_a_name_that_is_taken_gets_a_number(taken: set[str], name: str) -> None:
    """The first that is free."""
    assert unused("a", taken) == name


def test_states_and_changes_take_the_kept_names() -> None:
    """Others stay what they are."""
    states = [State(0), State(1, incident=TICKET), State(2, incident=span("two", 5))]
    changes = [IncidentChange("opened", 1, TICKET), IncidentChange("opened", 2, span("two", 5))]
    assert [each.incident and each.incident.id for each in renamed_states(states, {"one": "first"})] == [
        None,
        "first",
        "two",
    ]
    assert [each.incident.id for each in renamed_changes(changes, {"one": "first"})] == ["first", "two"]


def test_what_is_the_same_is_not_told() -> None:
    """Nor are numbers of the moment that differ a little."""
    assert told([TICKET], [replace(TICKET, budget_remaining=0.5, reason="a little slower")]) == []


def test_an_incident_that_is_gone_is_withdrawn() -> None:
    """An open one ends with that; one that was over keeps its end."""
    assert told([TICKET, span("two", 30, 40)], []) == [("withdrawn", NOW, NOW), ("withdrawn", NOW, 40)]


def test_a_new_incident_is_told_as_it_went() -> None:
    """Each step of the run."""
    over = replace(TICKET, resolved_us=50)
    run = [IncidentChange("opened", 20, TICKET), IncidentChange("resolved", 50, over)]
    assert told([], [over], run) == [("opened", 20, None), ("resolved", 50, 50)]


def test_an_incident_that_ended_in_the_meantime_is_resolved() -> None:
    """At the time that it ended."""
    assert told([TICKET], [replace(TICKET, resolved_us=50)]) == [("resolved", 50, 50)]


@pytest.mark.parametrize(
    "moved", [{"started_us": 5}, {"detected_us": 15}, {"condition": {"silent": "20m"}}, {"partial": True}]
)
def test_an_incident_that_moved_is_amended(moved: dict[str, object]) -> None:
    """Quietly, at the tick."""
    assert told([TICKET], [replace(TICKET, **moved)]) == [("amended", NOW, None)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after"), [(50, 60), (50, None)])
def test_an_end_that_moved_or_was_taken_back_is_amended(before: int, after: int | None) -> None:
    """It was resolved before: nobody is called again."""
    found = told([replace(TICKET, resolved_us=before)], [replace(TICKET, resolved_us=after)])
    assert found == [("amended", NOW, after)]


def test_a_ticket_that_became_a_page_is_escalated_when_it_did() -> None:
    """The time at which the run raised it."""
    run = [IncidentChange("opened", 20, TICKET), IncidentChange("escalated", 30, PAGE)]
    assert told([TICKET], [PAGE], run) == [("escalated", 30, None)]


def test_a_page_that_the_run_did_not_raise_is_escalated_at_the_tick() -> None:
    """It was a page from before the run on."""
    assert told([TICKET], [PAGE]) == [("escalated", NOW, None)]


def test_a_page_that_is_over_is_escalated_and_resolved_again() -> None:
    """Never raised after its end."""
    old, new = replace(TICKET, resolved_us=60), replace(PAGE, resolved_us=60)
    assert told([old], [new]) == [("escalated", 60, None), ("resolved", 60, 60)]


def test_a_page_that_became_a_ticket_is_amended() -> None:
    """Nobody is called for less."""
    assert told([PAGE], [TICKET]) == [("amended", NOW, None)]
