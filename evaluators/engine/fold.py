"""The fold from codes to verdicts and incidents: one state a series, a new one at each change.

A code changes seldom, so only its changes are folded; what happens by lapse of time between them (an incident resolves
RESOLVE_AFTER after the last condition let go) is worked out from the state. Any cut of a stretch of ticks into batches
therefore gives the same states.

One incident is open at a time. What it is about may grow graver (ticket, page, breach): that escalates it, and so does a
page condition that comes back after RESOLVE_AFTER of calm while something lesser keeps the incident open, so that a new
outage is never hidden behind an old incident. A breach keeps its incident open for as long as the verdict is `breached`:
the promise stays broken until what broke it rolls off or a new period begins, and somebody should own it until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from evaluators import reasons
from evaluators.durations import MINUTE
from evaluators.engine.conditions import PAGE, RETIRED_BIT, SILENT_BIT, VERDICT_BITS, Plan
from evaluators.incidents import Incident, IncidentChange

RESOLVE_AFTER: Final = 2 * MINUTE
"""Event time without any condition before an incident resolves: an alert at its threshold must not flap."""

HOLDS: Final = ~(VERDICT_BITS | SILENT_BIT | RETIRED_BIT)
"""The bits of a code that say that a condition holds or the promise is broken."""


@dataclass(frozen=True, slots=True)
class State:
    """How things stand after the tick `at_us`; `verdict` indexes judgement.VERDICT_OF.

    `released_us` is the first tick at which nothing held any more, `calm_us` the same of page conditions; None while
    they hold.
    """

    at_us: int
    verdict: int = 0
    silent: bool = True
    since_us: int = 0
    released_us: int | None = None
    calm_us: int | None = None
    rank: int = 0
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A tick at which a series' code is not what it was; `opened` makes the incident that this code calls for."""

    at_us: int
    code: int
    plan: Plan
    opened: Callable[[], Incident]


def step(state: State, point: Point, hold_from_us: int | None) -> tuple[list[State], list[IncidentChange]]:
    """The states that follow, in order, and what changed; `hold_from_us`: no incident resolves after this tick."""
    code = point.code
    held = bool(code & HOLDS)
    states: list[State] = []
    changes: list[IncidentChange] = []
    resolved = settled(state, point.at_us - held, hold_from_us)
    if resolved is not None:
        state, change = resolved
        states.append(state)
        changes.append(change)
    seen = _seen(state, point)
    after, change = _retired(seen, point) if code & RETIRED_BIT else _alerted(seen, point, held=held)
    if change is not None:
        changes.append(change)
    if after != replace(state, at_us=point.at_us):
        states.append(after)
    return states, changes


def settled(state: State, until_us: int, hold_from_us: int | None) -> tuple[State, IncidentChange] | None:
    """What the lapse of time up to a tick resolves, if anything."""
    if state.incident is None or state.released_us is None:
        return None
    at_us = state.released_us + RESOLVE_AFTER
    if at_us > until_us or (hold_from_us is not None and at_us > hold_from_us):
        return None
    incident = replace(state.incident, resolved_us=at_us)
    quiet = replace(state, at_us=at_us, released_us=None, calm_us=None, rank=0, incident=None)
    return quiet, IncidentChange("resolved", at_us, incident)


def _seen(state: State, point: Point) -> State:
    """Verdict and data state as the code says."""
    verdict = point.code & VERDICT_BITS
    since_us = state.since_us if verdict == state.verdict else point.at_us
    silent = bool(point.code & SILENT_BIT)
    return replace(state, at_us=point.at_us, verdict=verdict, silent=silent, since_us=since_us)


def _retired(state: State, point: Point) -> tuple[State, IncidentChange | None]:
    """A group that is gone takes its incident along at once: nobody can mend it."""
    if state.incident is None:
        return state, None
    reason = f"{reasons.RETIRED_GROUP}; {state.incident.reason}"
    incident = replace(state.incident, resolved_us=point.at_us, reason=reason)
    quiet = replace(state, released_us=None, calm_us=None, rank=0, incident=None)
    return quiet, IncidentChange("resolved", point.at_us, incident)


def _alerted(state: State, point: Point, *, held: bool) -> tuple[State, IncidentChange | None]:
    if not held:
        if state.incident is None:
            return state, None
        released_us = point.at_us if state.released_us is None else state.released_us
        calm_us = point.at_us if state.calm_us is None else state.calm_us
        return replace(state, released_us=released_us, calm_us=calm_us), None
    rank = point.plan.rank(point.code)
    acute = point.plan.acute_rank(point.code) == PAGE
    calm_us = None if acute else point.at_us if state.calm_us is None else state.calm_us
    if state.incident is None:
        incident = point.opened()
        opened = replace(state, released_us=None, calm_us=calm_us, rank=rank, incident=incident)
        return opened, IncidentChange("opened", point.at_us, incident)
    again = acute and state.calm_us is not None and point.at_us > state.calm_us + RESOLVE_AFTER
    if rank <= state.rank and not again:
        return replace(state, released_us=None, calm_us=calm_us), None
    incident = _graver(state.incident, point.opened(), rank)
    raised = replace(state, released_us=None, calm_us=calm_us, rank=max(rank, state.rank), incident=incident)
    return raised, IncidentChange("escalated", point.at_us, incident)


def _graver(known: Incident, now: Incident, rank: int) -> Incident:
    """The known incident with what is so now; it stays the same, since when it was."""
    severity = "page" if rank >= PAGE or known.severity == "page" else "ticket"
    return replace(
        now,
        id=known.id,
        severity=severity,
        started_us=min(known.started_us, now.started_us),
        detected_us=known.detected_us,
        partial=known.partial,
    )
