"""What a second run of the fold changes in what was said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evaluators.engine.fold import State
from evaluators.incidents import Incident, IncidentChange

Turn = tuple[int, int, bool]
"""Tick, verdict and data state after it."""


def turns(before: State, states: Sequence[State]) -> list[Turn]:
    """The ticks at which verdict or data state changed."""
    found: list[Turn] = []
    known = (before.verdict, before.silent)
    for state in states:
        if (state.verdict, state.silent) != known:
            known = (state.verdict, state.silent)
            found.append((state.at_us, *known))
    return found


def kept_names(old: Sequence[Incident], new: Sequence[Incident]) -> dict[str, str]:
    """For each new incident the name that it goes by: that of the old one which it overlaps, if there is one.

    Each old name is given once, in order of time, first to the incident that has it anyway.
    """
    free = {each.id: each for each in old}
    names = {each.id: each.id for each in new if free.pop(each.id, None) is not None}
    for each in new:
        if each.id in names:
            continue
        match = next((name for name, other in free.items() if _overlap(each, other)), None)
        if match is not None:
            del free[match]
            names[each.id] = match
    taken = {*names.values(), *(each.id for each in old)}
    for each in new:
        if each.id not in names:
            names[each.id] = unused(each.id, taken)
            taken.add(names[each.id])
    return names


def renamed_states(states: Sequence[State], names: Mapping[str, str]) -> list[State]:
    return [
        state if state.incident is None else replace(state, incident=_renamed(state.incident, names))
        for state in states
    ]


def renamed_changes(changes: Sequence[IncidentChange], names: Mapping[str, str]) -> list[IncidentChange]:
    return [replace(change, incident=_renamed(change.incident, names)) for change in changes]


def differences(
    old: Sequence[Incident], new: Sequence[Incident], run: Sequence[IncidentChange], tick_us: int
) -> list[IncidentChange]:
    """What must be told so that who knows `old` knows `new`; `run` are the new run's own changes, names kept.

    A new incident is told as it went. One that is gone is withdrawn at `tick_us`. One that is graver is escalated, and
    resolved again if it is over; one that ended in the meantime is resolved; any other that has moved (an end taken back
    included) is amended.
    """
    known = {each.id: each for each in old}
    current = {each.id: each for each in new}
    changes = [
        IncidentChange(
            "withdrawn", tick_us, each if each.resolved_us is not None else replace(each, resolved_us=tick_us)
        )
        for name, each in known.items()
        if name not in current
    ]
    changes += [change for change in run if change.incident.id not in known]
    for name, each in current.items():
        if name in known:
            changes += _moved(known[name], each, run, tick_us)
    return changes


def _moved(old: Incident, new: Incident, run: Sequence[IncidentChange], tick_us: int) -> list[IncidentChange]:
    changes: list[IncidentChange] = []
    if old.severity == "ticket" and new.severity == "page":
        raised = [step for step in run if step.incident.id == new.id and step.incident.severity == "page"]
        at_us = raised[0].at_us if raised else tick_us
        # Changes are told in order of time, and the last decides: what is over must not be raised after its end.
        at_us = at_us if new.resolved_us is None else min(at_us, new.resolved_us)
        changes.append(IncidentChange("escalated", at_us, replace(new, resolved_us=None)))
    if new.resolved_us is not None and (old.resolved_us is None or changes):
        changes.append(IncidentChange("resolved", new.resolved_us, new))
    elif not changes and _told(old) != _told(new):
        changes.append(IncidentChange("amended", tick_us, new))
    return changes


def _told(incident: Incident) -> tuple[object, ...]:
    """What an amendment is about; the numbers of the moment may differ a little without one."""
    return (
        incident.started_us,
        incident.detected_us,
        incident.resolved_us,
        incident.severity,
        dict(incident.condition),
        incident.partial,
    )


def _overlap(one: Incident, other: Incident) -> bool:
    return (other.resolved_us is None or one.detected_us < other.resolved_us) and (
        one.resolved_us is None or other.detected_us < one.resolved_us
    )


def _renamed(incident: Incident, names: Mapping[str, str]) -> Incident:
    return replace(incident, id=names.get(incident.id, incident.id))


def unused(name: str, taken: set[str]) -> str:
    """The name, or the first of its numbered variants that is not taken."""
    number, candidate = 2, name
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    return candidate
