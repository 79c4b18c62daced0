"""Series that share period and policy, evaluated together: one timeline, one plan, a track for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluators import calendars, reasons
from evaluators.agreements import SilentCondition
from evaluators.engine import restating
from evaluators.engine.budgets import Float64s, born_at, budget_of
from evaluators.engine.conditions import RETIRED_BIT, Plan
from evaluators.engine.figures import figures
from evaluators.engine.fold import Point, State, settled, step
from evaluators.engine.judgement import CONTRACTUAL, ENDLESS, VERDICT_OF, Judgement, Terms
from evaluators.engine.scene import Scene
from evaluators.engine.specs import Restatement
from evaluators.engine.timeline import BATCH_CELLS, HORIZON, Timeline, live_for
from evaluators.engine.tracks import Track, with_changes
from evaluators.incidents import Incident, IncidentChange, VerdictChange
from evaluators.slots import Int64s
from evaluators.standings import SeriesIdentity, StandingBlock

UNKNOWN: Final = -1
"""A code that no tick has: the next tick is looked at, whatever it says."""


@dataclass(slots=True)
class Changes:
    """What a step of the engine gathers."""

    incidents: list[IncidentChange] = field(default_factory=list[IncidentChange])
    verdicts: list[VerdictChange] = field(default_factory=list[VerdictChange])
    restated: list[Restatement] = field(default_factory=list[Restatement])


@dataclass(frozen=True, slots=True)
class Rows:
    """Counts of a block: `values` has shape [kinds, n]; no order."""

    column: Int64s
    slot: Int64s
    values: Int64s

    def take(self, chosen: Any) -> Rows:
        return Rows(self.column[chosen], self.slot[chosen], self.values[:, chosen])


class Block:
    """`tracks` are in the order of the timeline's columns."""

    def __init__(self, plan: Plan, timeline: Timeline, tracks: Sequence[Track]) -> None:
        self.plan = plan
        self.timeline = timeline
        self.codes: Int64s = np.zeros(0, dtype=np.int64)
        self.tracks: list[Track] = []
        self.identities: tuple[SeriesIdentity, ...] = ()
        self.describe(tracks)

    def describe(self, tracks: Sequence[Track]) -> None:
        """Take the series' newest definitions; columns stay as they are."""
        self.tracks = list(tracks)
        specs = [track.spec for track in tracks]
        self.identities = tuple(spec.identity for spec in specs)
        self._budgets: Float64s = budget_of(np.array([spec.identity.target for spec in specs], dtype=np.float64))
        self._watched_from = np.array([track.watched_from_us for track in tracks], dtype=np.int64)
        self._counts_from = np.array([spec.counts_from_us for spec in specs], dtype=np.int64)
        ends = [ENDLESS if spec.counts_until_us is None else spec.counts_until_us for spec in specs]
        self._counts_until = np.array(ends, dtype=np.int64)
        period_us = calendars.nominal_length(self.plan.period)
        lasting = [period_us if spec.identity.labels else ENDLESS for spec in specs]
        self._retires_after = np.array(lasting, dtype=np.int64)
        self.codes = np.full(len(tracks), UNKNOWN, dtype=np.int64)
        self.since = np.array([track.state.since_us for track in tracks], dtype=np.int64)
        self.releasing = {place for place, track in enumerate(tracks) if _releasing(track.state)}
        self.open = {place for place, track in enumerate(tracks) if track.state.incident is not None}

    def terms(self) -> Terms:
        born = born_at(self.timeline.first_us, self._counts_from)
        return Terms(
            self._budgets, born, self._watched_from, self._counts_from, self._counts_until, self._retires_after
        )

    # ------------------------------------------------------------------------------------------------------- forward

    def advance(self, until_us: int, rows: Rows, hold_from_us: int | None, changes: Changes) -> None:
        """Evaluate every tick up to `until_us`, with the counts of the slots in between."""
        timeline, slot_us = self.timeline, self.timeline.slot_us
        rows = rows.take(np.argsort(rows.slot, kind="stable"))
        done = 0
        while timeline.end_us < until_us:
            batch_end = min(timeline.end_us + timeline.batch * slot_us, until_us)
            here = int(np.searchsorted(rows.slot, batch_end // slot_us, side="left"))
            if here == done and batch_end < until_us:
                upcoming = int(rows.slot[done]) * slot_us if done < len(rows.slot) else until_us
                skipped = self._quiet_until(min(upcoming, until_us))
                if skipped > timeline.end_us:
                    timeline.skip(skipped)
                    continue
            part = rows.take(slice(done, here))
            done = here
            counted = timeline.advance(batch_end, part.column, part.slot, part.values)
            judgement = Judgement(self.plan, counted, self.terms(), slot_us, hold_from_us)
            codes = judgement.codes()
            self._fold(judgement, codes, hold_from_us, changes)
            self.codes = codes[-1].copy()
        self._settle(hold_from_us, changes)

    def _quiet_until(self, until_us: int) -> int:
        """As far as nothing can change: nothing is counted, every silence is long enough (also for a group to retire), no
        agreement begins or ends.
        """
        timeline = self.timeline
        now_us = timeline.end_us
        afters = [*self._silences(), *self._retires_after[self._retires_after < ENDLESS][:1].tolist()]
        heard = np.maximum(timeline.last_us, self._watched_from)[self._counts_from <= now_us]
        quiet_since = int(heard.max(initial=now_us - ENDLESS))
        if (self.codes == UNKNOWN).any() or now_us - quiet_since < max([*afters, live_for(timeline.slot_us)]):
            return now_us
        if not timeline.idle:
            return now_us
        edges = np.concatenate((self._counts_from, self._counts_until))
        ahead = edges[edges > now_us - timeline.slot_us]
        least = min(until_us, int(ahead.min(initial=ENDLESS)) - timeline.slot_us)
        return max(least // timeline.slot_us * timeline.slot_us, now_us)

    def _fold(self, judgement: Judgement, codes: Int64s, hold_from_us: int | None, changes: Changes) -> None:
        before = np.concatenate((self.codes[None, :], codes[:-1]))
        series_at, tick_at = np.nonzero((codes != before).T)
        if not len(series_at):
            return
        scene = Scene(self, judgement, codes, (tick_at, series_at), None, hold_from_us)
        for column, points in scene.by_series():
            track = self.tracks[column]
            states, steps = _run(track.state, points, hold_from_us)
            changes.verdicts += scene.told(track, restating.turns(track.state, states), column)
            changes.incidents += steps
            track.note(states, steps, int(judgement.counted.ticks[-1]))
            self._mark(column)

    def _settle(self, hold_from_us: int | None, changes: Changes) -> None:
        end_us = self.timeline.end_us
        for column in sorted(self.releasing):
            track = self.tracks[column]
            resolved = settled(track.state, end_us, hold_from_us)
            if resolved is not None:
                track.note([resolved[0]], [resolved[1]], end_us)
                changes.incidents.append(resolved[1])
                self._mark(column)

    def _mark(self, column: int) -> None:
        state = self.tracks[column].state
        self.since[column] = state.since_us
        if _releasing(state):
            self.releasing.add(column)
        else:
            self.releasing.discard(column)
        if state.incident is not None:
            self.open.add(column)
        else:
            self.open.discard(column)

    # ------------------------------------------------------------------------------------------------------- again

    def held(self, since_us: int) -> list[int]:
        """The series of which more may be said once a hold is over: an incident was open, or a silence was not looked at."""
        opened = {column for column, track in enumerate(self.tracks) if _open_since(track, since_us)}
        return sorted(opened | self._unnoticed(since_us))

    def _unnoticed(self, since_us: int) -> set[int]:
        """The series that a silence of the stretch after `since_us` would have been told of (see Judgement)."""
        timeline = self.timeline
        from_us = max(since_us, timeline.end_us - HORIZON)
        share = max(BATCH_CELLS // timeline.slots.rows, 1)
        found: set[int] = set()
        for first in range(0, len(self.tracks), share):
            columns = np.arange(first, min(first + share, len(self.tracks)))
            ticks, last = timeline.last_seen(from_us, columns)
            heard = np.maximum(last, self._watched_from[columns])
            missed = _outlasted(last, ticks, since_us, live_for(timeline.slot_us))
            for after_us in self._silences():
                missed |= _outlasted(heard, ticks, since_us, after_us)
            found.update(columns[missed].tolist())
        return found

    def _silences(self) -> list[int]:
        return [each.after_us for each in self.plan.conditions if isinstance(each, SilentCondition)]

    def refold(
        self, since_us: Mapping[int, int], hold_from_us: int | None, old: dict[int, Any], changes: Changes
    ) -> None:
        """Run the fold again for some series (columns), each over the ticks after a time of its own and up to the last.

        `old` are the numbers that stood before the counts were corrected (see `summary`).
        """
        end_us = self.timeline.end_us
        columns = np.array(sorted(since_us), dtype=np.int64)
        from_us = max(min(since_us.values()), end_us - HORIZON)
        ticks = max((end_us - from_us) // self.timeline.slot_us, 1)
        share = max(BATCH_CELLS // ticks, 1)
        for place in range(0, len(columns), share):
            self._refold(columns[place : place + share], from_us, since_us, hold_from_us, old, changes)

    def _refold(
        self,
        columns: Int64s,
        from_us: int,
        since_us: Mapping[int, int],
        hold_from_us: int | None,
        old: dict[int, Any],
        changes: Changes,
    ) -> None:
        if from_us >= self.timeline.end_us:
            return
        counted = self.timeline.back_from(from_us, columns)
        judgement = Judgement(self.plan, counted, self.terms().take(columns), self.timeline.slot_us, hold_from_us)
        codes = judgement.codes()
        self.codes[columns] = codes[-1]
        before = np.concatenate((np.full((1, len(columns)), UNKNOWN), codes[:-1]))
        series_at, tick_at = np.nonzero((codes != before).T)
        scene = Scene(self, judgement, codes, (tick_at, series_at), columns, hold_from_us)
        for place, points in scene.by_series():
            # Who shares the block, and is touched earlier, must not widen what is restated.
            column = int(columns[place])
            own_us = max(since_us[column], from_us, self.tracks[column].ruled_from_us)
            later = [point for point in points if point.at_us > own_us]
            self._restate(column, place, scene, later, own_us, old, changes)

    def _restate(
        self,
        column: int,
        place: int,
        scene: Scene,
        points: list[Point],
        from_us: int,
        old: dict[int, Any],
        changes: Changes,
    ) -> None:
        track, end_us = self.tracks[column], self.timeline.end_us
        base = track.state_at(from_us)
        before, replaced = track.states[base], track.states[base + 1 :]
        states, steps = _run(before, points, scene.hold_from_us)
        last = states[-1] if states else before
        resolved = settled(last, end_us, scene.hold_from_us)
        if resolved is not None:
            states.append(resolved[0])
            steps.append(resolved[1])
        affected = [each for each in track.incidents if each.resolved_us is None or each.resolved_us > from_us]
        untouched = [each for each in track.incidents if each not in affected]
        standing = [] if before.incident is None else [before.incident]
        anew = with_changes(standing, steps)
        names = restating.kept_names(affected, anew)
        states, steps = restating.renamed_states(states, names), restating.renamed_changes(steps, names)
        anew = with_changes(standing, steps)
        told = restating.differences(affected, anew, steps, end_us)
        turned = restating.turns(before, states)
        track.states[base + 1 :] = []
        track.incidents = untouched
        track.note(states, [IncidentChange("opened", 0, each) for each in anew], end_us)
        self._mark(column)
        if told or turned != restating.turns(before, replaced):
            changes.incidents += told
            changes.verdicts += scene.told(track, turned, place)
            changes.restated.append(
                Restatement(
                    track.spec.identity.series_id, from_us, old[column], self.summary(np.array([column]))[column]
                )
            )

    def summary(self, columns: Int64s) -> dict[int, dict[str, Any]]:
        """The numbers of a restatement as they stand now."""
        now = self.timeline.now()
        judgement = Judgement(self.plan, now, self.terms(), self.timeline.slot_us)
        failures, total = judgement.counts(now.period[:, 0], 1)
        agreed_failures, agreed_total = judgement.counts(now.period[:, 0], CONTRACTUAL)
        out: dict[int, dict[str, Any]] = {}
        for column in map(int, columns):
            track = self.tracks[column]
            verdict = VERDICT_OF[track.state.verdict]
            out[column] = {
                "verdict": None if verdict is None else verdict.value,
                "since_us": track.state.since_us,
                "good": int(total[column] - failures[column]),
                "total": int(total[column]),
                "contractual_good": int(agreed_total[column] - agreed_failures[column]),
                "contractual_total": int(agreed_total[column]),
                "incidents": [each.id for each in track.incidents],
            }
        return out

    # ------------------------------------------------------------------------------------------------------- table

    def standing(self, hold_from_us: int | None) -> StandingBlock:
        """All series at the last tick, without the groups that have retired."""
        judgement = Judgement(self.plan, self.timeline.now(), self.terms(), self.timeline.slot_us, hold_from_us)
        codes = judgement.codes()[0]
        present = np.flatnonzero((codes & RETIRED_BIT) == 0)
        identities = self.identities
        if len(present) < len(identities):
            identities = tuple(identities[column] for column in present.tolist())
        return figures(judgement, codes[present], (np.zeros_like(present), present), identities, self.since[present])

    def open_incidents(self) -> Iterator[Incident]:
        found = (self.tracks[column].state.incident for column in sorted(self.open))
        return (incident for incident in found if incident is not None)


def _run(state: State, points: Sequence[Point], hold_from_us: int | None) -> tuple[list[State], list[IncidentChange]]:
    states: list[State] = []
    changes: list[IncidentChange] = []
    for point in points:
        more, steps = step(state, point, hold_from_us)
        states += more
        changes += steps
        state = states[-1] if states else state
    return states, changes


def _outlasted(heard: Int64s, ticks: Int64s, since_us: int, after_us: int) -> NDArray[np.bool_]:
    """Which series were quiet for `after_us` at one of the ticks, and were not yet at `since_us`; `heard` [ticks, series]."""
    missed = (ticks[:, None] - heard >= after_us) & (since_us - heard < after_us)
    return np.logical_or.reduce(missed, axis=0)


def _open_since(track: Track, since_us: int) -> bool:
    return any(state.incident is not None for state in track.states[track.state_at(since_us) :])


def _releasing(state: State) -> bool:
    return state.incident is not None and state.released_us is not None


def retired(incident: Incident, at_us: int) -> IncidentChange:
    """An incident of a series that is no longer defined ends with it."""
    return IncidentChange(
        "resolved", at_us, replace(incident, resolved_us=at_us, reason=f"{reasons.RETIRED}; {incident.reason}")
    )
