"""What the engine remembers of one series beside its counts: states, incidents, since when it is watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from evaluators.engine.fold import State
from evaluators.engine.specs import SeriesSpec
from evaluators.engine.timeline import HORIZON
from evaluators.incidents import Incident, IncidentChange

BEFORE_ALL: Final = -(1 << 62)
"""The tick of the state that a series begins with."""


@dataclass(slots=True)
class Track:
    """`states` are all of the last HORIZON and the one before, the newest last; `incidents` likewise, by detection.

    `watched_from_us`: from when silence counts while no sample was ever seen. `ruled_from_us`: the tick from which on the
    present target, period and policy hold; what was said before it is not said anew. `target`: the newest.
    """

    spec: SeriesSpec
    watched_from_us: int
    states: list[State] = field(default_factory=list[State])
    incidents: list[Incident] = field(default_factory=list[Incident])
    ruled_from_us: int = BEFORE_ALL
    target: float = 0.0
    packed: bytes | None = None  # the bytes of this track, until it changes

    def __post_init__(self) -> None:
        self.target = self.target or self.spec.identity.target
        if not self.states:
            self.states = [State(BEFORE_ALL, since_us=self.watched_from_us)]

    @property
    def state(self) -> State:
        return self.states[-1]

    def define(self, spec: SeriesSpec, now_us: int) -> float:
        """Take the newest definition, in force from a tick on; returns the target before it."""
        before = self.target
        if (before, _rules(self.spec)) != (spec.identity.target, _rules(spec)):
            self.ruled_from_us, self.packed = now_us, None
        self.spec, self.target = spec, spec.identity.target
        return before

    def note(self, states: list[State], changes: list[IncidentChange], end_us: int) -> None:
        """Take in what a step gave, and forget what lies beyond the horizon."""
        self.packed = None
        if states:
            self.states.extend(states)
            from_us = end_us - HORIZON
            keep = next(
                (place for place in range(len(self.states) - 1, 0, -1) if self.states[place].at_us <= from_us), 0
            )
            del self.states[:keep]
        if changes:
            self.incidents = with_changes(self.incidents, changes)
            self.incidents = [each for each in self.incidents if _recent(each, end_us)]

    def state_at(self, tick_us: int) -> int:
        """The place among `states` of the one in force at a tick."""
        return next((place for place in range(len(self.states) - 1, 0, -1) if self.states[place].at_us <= tick_us), 0)


def with_changes(incidents: list[Incident], changes: list[IncidentChange]) -> list[Incident]:
    """Incidents after changes: an opened one is new, any other change is of one that is there."""
    by_id = {each.id: each for each in incidents}
    for change in changes:
        by_id[change.incident.id] = change.incident
    return sorted(by_id.values(), key=lambda each: each.detected_us)


def _rules(spec: SeriesSpec) -> tuple[object, ...]:
    return spec.period, spec.policy, spec.counts_from_us, spec.counts_until_us


def _recent(incident: Incident, end_us: int) -> bool:
    return incident.resolved_us is None or incident.resolved_us > end_us - HORIZON
