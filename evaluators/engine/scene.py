"""The points of one batch at which a block's codes change, and the words for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evaluators import standing_rows
from evaluators.agreements import BurnRateCondition, ExhaustionCondition, Severity, SilentCondition
from evaluators.engine import restating
from evaluators.engine.conditions import PAGE
from evaluators.engine.figures import earliest_bad_us, figures, first_bad_us, last_bad_us
from evaluators.engine.fold import Point
from evaluators.engine.judgement import CONTRACTUAL, VERDICT_OF, Judgement, view_of
from evaluators.engine.restating import Turn
from evaluators.engine.tracks import Track
from evaluators.incidents import Incident, VerdictChange, incident_id
from evaluators.slots import Int64s
from evaluators.standings import DATA_STATES

if TYPE_CHECKING:
    from evaluators.engine.block import Block


class Scene:
    """`at` are the places (ticks, series) of the points in `codes`; `columns` the series where not all of the block are meant."""

    def __init__(
        self,
        block: Block,
        judgement: Judgement,
        codes: Int64s,
        at: tuple[Int64s, Int64s],
        columns: Int64s | None,
        hold_from_us: int | None,
    ) -> None:
        self.block = block
        self.hold_from_us = hold_from_us
        self._judgement = judgement
        self._at = at
        self._codes = codes[at]
        self._columns = at[1] if columns is None else columns[at[1]]
        self._ticks = judgement.counted.ticks[at[0]]
        identities = [block.identities[column] for column in map(int, self._columns)]
        self._rows = figures(judgement, self._codes, at, identities, np.zeros(len(self._codes), dtype=np.int64))
        self._places: dict[tuple[int, int], int] = {}

    def by_series(self) -> Iterator[tuple[int, list[Point]]]:
        """Each series (its place in the batch) with its points in order of time."""
        series_at = self._at[1]
        edges = np.flatnonzero(np.concatenate(([True], series_at[1:] != series_at[:-1], [True]))).tolist()
        ticks, codes = self._ticks.tolist(), self._codes.tolist()
        for first, end in itertools.pairwise(edges):
            place = int(series_at[first])
            self._places.update(((place, ticks[point]), point) for point in range(first, end))
            yield (
                place,
                [
                    Point(ticks[point], codes[point], self.block.plan, partial(self._opened, point))
                    for point in range(first, end)
                ],
            )

    def told(self, track: Track, turns: Sequence[Turn], place: int) -> list[VerdictChange]:
        """Verdict changes with their reasons."""
        changes: list[VerdictChange] = []
        for at_us, verdict, silent in turns:
            point = self._places[place, at_us]
            reason = standing_rows.reason_of(self._rows, point, at_us)
            value = VERDICT_OF[verdict]
            changes.append(
                VerdictChange(
                    track.spec.identity.series_id,
                    at_us,
                    None if value is None else value.value,
                    DATA_STATES[int(silent)].value,
                    reason,
                )
            )
        return changes

    def _opened(self, point: int) -> Incident:
        """The incident that a point's code calls for."""
        block, tick_us, code = self.block, int(self._ticks[point]), int(self._codes[point])
        column = int(self._columns[point])
        spec = block.tracks[column].spec
        identity = spec.identity
        standing = standing_rows.row(self._rows, point, tick_us)
        described = block.plan.described[block.plan.leading(code)]
        view = standing.experienced if described.get("view") == "experienced" else standing.contractual
        named = [described[name] for name in ("long", "short") if name in described]
        severity: Severity = "page" if block.plan.rank(code) >= PAGE else "ticket"
        name = incident_id(identity.agreement, identity.objective, identity.labels, tick_us)
        others = {each.id for each in block.tracks[column].incidents if each.detected_us != tick_us}
        return Incident(
            id=restating.unused(name, others),
            series_id=identity.series_id,
            agreement=identity.agreement,
            objective=identity.objective,
            service=identity.service,
            labels=identity.labels,
            severity=severity,
            started_us=self._started(column, code, tick_us),
            detected_us=tick_us,
            resolved_us=None,
            reason=standing.reason,
            condition=described,
            burn_rates={name: view.burn_rates[name] for name in named or view.burn_rates},
            budget_remaining=view.budget_remaining,
            exhausted_us=standing.exhausted_us,
            runbook=identity.runbook,
            partial=self.hold_from_us is not None and tick_us > self.hold_from_us,
            notify=spec.notify,
        )

    def _started(self, column: int, code: int, tick_us: int) -> int:
        """Start of the first bad slot that mattered, by what the incident is about.

        Burn rate: see figures.first_bad_us. Silence: the end of the last slot with a sample. Exhaustion: the first slot
        with failures of the 6 h that the forecast is made from. Breach and budget left: the last slot with failures,
        which used it up. Where there is no such slot within 6 h, the slot of the tick.
        """
        block = self.block
        timeline, slot_us = block.timeline, block.timeline.slot_us
        leading = block.plan.leading(code)
        condition = None if leading == block.plan.breach else block.plan.conditions[leading]
        if isinstance(condition, SilentCondition):
            point_last = int(self._rows.columns["last_us"][self._places_of(column, tick_us)])
            return max(point_last, block.tracks[column].watched_from_us)
        view = CONTRACTUAL if condition is None else view_of(condition)
        failures, total = self._judgement.counts(timeline.recent(tick_us, column), view)
        if isinstance(condition, BurnRateCondition):
            rate = condition.factor * float(block.terms().budgets[column])
            found = first_bad_us(failures, total, tick_us, slot_us, condition.short_us, rate)
        elif isinstance(condition, ExhaustionCondition):
            found = earliest_bad_us(failures, tick_us, slot_us)
        else:
            found = last_bad_us(failures, tick_us, slot_us)
        return tick_us - slot_us if found is None else found

    def _places_of(self, column: int, tick_us: int) -> int:
        return int(np.flatnonzero((self._columns == column) & (self._ticks == tick_us))[0])
