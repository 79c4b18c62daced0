"""ShardEngine: all series of a shard, driven by deltas and a watermark; pure, deterministic, exact.

What the same counts say does not depend on how they were cut into folds and advances, as far as late data lies within
`timeline.HORIZON` of the tick: there the fold is run again. Older late data corrects every sum that still spans it, and the
fold is resumed at the horizon; so it is where a series' definition changed: what was said before stands as it was agreed
then. A changed target, policy or name of a series takes effect with the next tick; its slots carry on, and the budget sums
what each target allowed (see versions). Another period, or windows that were not summed before, start with what was kept for
the others: rebuild from the store to have all of it. Rows of series that are not defined are left out once the tick reaches
them: load them from the store when the series is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from evaluators import calendars, durations, rollup
from evaluators.agreements import CalendarPeriod, Period
from evaluators.durations import MINUTE
from evaluators.engine import snapshots
from evaluators.engine.block import Block, Changes, Rows, retired
from evaluators.engine.budgets import Float64s, budget_of
from evaluators.engine.conditions import FORECAST_WINDOW, Plan
from evaluators.engine.luggage import Luggage
from evaluators.engine.pending import Pending
from evaluators.engine.specs import Advance, SeriesSpec
from evaluators.engine.timeline import HORIZON, PERIODS_KEPT, Timeline
from evaluators.engine.tracks import Track
from evaluators.incidents import IncidentChange
from evaluators.policies import ResolvedPolicy
from evaluators.slots import Int64s, SlotCounts, concatenated
from evaluators.standings import StandingTable

WINDOWS: Final = ("5m", "1h", "6h", "3d")

Key = tuple[Period, ResolvedPolicy, bool]
"""What the series of one block share; the last: whether excluded counts are kept apart."""


class ShardEngine:
    """See the module. `starts_us`: the first slot to evaluate, else that of the first data; `windows` are always shown."""

    def __init__(self, slot_us: int, *, starts_us: int | None = None, windows: tuple[str, ...] = WINDOWS) -> None:
        self.slot_us = slot_us
        self.windows = windows
        self.evaluated_until_us: int | None = None
        self.starts_us = starts_us
        self.hold_from_us: int | None = None
        self.tracks: dict[int, Track] = {}
        self.blocks: dict[Key, Block] = {}
        self.pending = Pending()
        self.excluding: set[int] = set()
        self.specs: tuple[SeriesSpec, ...] = ()
        self.late: list[SlotCounts] = []
        self.retired: list[IncidentChange] = []
        self.homes = Homes.of({})

    # ------------------------------------------------------------------------------------------------------- definitions

    def define(self, specs: Sequence[SeriesSpec]) -> None:
        """The full set in force now: new series start, changed ones carry on, missing ones retire with their incident."""
        self.specs = tuple(specs)
        if self.evaluated_until_us is not None:
            self._arrange(self.evaluated_until_us)

    @property
    def needs_from_us(self) -> int | None:
        """The earliest time that sums reach back to: from here on `load` must be given the stored slots."""
        if self.evaluated_until_us is None:
            return None
        shown = [durations.parse(name) for name in self.windows]
        return min(
            (_reach(spec, shown, self.evaluated_until_us) for spec in self.specs), default=self.evaluated_until_us
        )

    @property
    def needs(self) -> rollup.Needed:
        """How fine: what has left the rings of slots or minutes lies only in windows that begin on coarser steps."""
        rings = [block.timeline.tiers for block in self.blocks.values()]
        slots_us = min((tiers[self.slot_us].first * self.slot_us for tiers in rings), default=0)
        minutes_us = min((tiers[MINUTE].first * MINUTE for tiers in rings if MINUTE in tiers), default=slots_us)
        return rollup.Needed(slots_us, min(slots_us, minutes_us))

    @property
    def edges_us(self) -> set[int]:
        """Times up to which counts are summed although no window need begin there: counts of both sides stay apart."""
        known = (version.at_us for block in self.blocks.values() for version in block.timeline.versions.known)
        bounds = (bound for spec in self.specs for bound in (spec.counts_from_us, spec.counts_until_us))
        return {*known, *(bound for bound in bounds if bound is not None)}

    def _arrange(self, now_us: int) -> None:
        defined = {spec.identity.series_id: spec for spec in self.specs}
        for series_id in [each for each in self.tracks if each not in defined]:
            incident = self.tracks.pop(series_id).state.incident
            if incident is not None:
                self.retired.append(retired(incident, now_us))
        groups: dict[Key, list[int]] = {}
        retargeted: dict[int, float] = {}
        for series_id, spec in defined.items():
            before = self._track(series_id, spec, now_us)
            if before != spec.identity.target:
                retargeted[series_id] = before
            excluding = spec.has_exclusions or series_id in self.excluding
            groups.setdefault((spec.period, spec.policy, excluding), []).append(series_id)
        old, homes = self.blocks, self.homes
        moved = {
            series_id: Luggage.of(old[home].timeline, homes.column_of(series_id))
            for key, ids in groups.items()
            for series_id in ids
            if (home := homes.key_of(series_id)) is not None and home != key
        }
        self.blocks = {key: self._block(key, old.get(key), ids, moved, now_us) for key, ids in groups.items()}
        self.homes = Homes.of(self.blocks)
        if retargeted:
            after = np.array([self.tracks[series_id].target for series_id in retargeted], dtype=np.float64)
            extra = budget_of(np.array(list(retargeted.values()), dtype=np.float64)) - budget_of(after)
            self.versioned(np.array(list(retargeted), dtype=np.int64), now_us, extra)

    def _track(self, series_id: int, spec: SeriesSpec, now_us: int) -> float:
        """Returns the target that was in force."""
        known = self.tracks.get(series_id)
        if known is not None:
            return known.define(spec, now_us)
        self.tracks[series_id] = Track(spec, max(spec.counts_from_us, now_us))
        return spec.identity.target

    def versioned(self, series: Int64s, at_us: int, extra: Float64s) -> None:
        """The budgets of some series were `extra` more before a tick, which all that their period counts lies before."""
        block, column = self.homes.find(series)
        for index, key in enumerate(self.homes.keys):
            mine = block == index
            if mine.any():
                self.blocks[key].timeline.retarget(column[mine], at_us, extra[mine])

    def _block(self, key: Key, known: Block | None, ids: list[int], moved: dict[int, Luggage], now_us: int) -> Block:
        period, policy, excluding = key
        staying = [] if known is None else [track.spec.identity.series_id for track in known.tracks]
        places = {series_id: place for place, series_id in enumerate(staying)}
        kept = [series_id for series_id in ids if series_id in places]
        kept.sort(key=places.__getitem__)
        joining = [series_id for series_id in ids if series_id not in places]
        tracks = [self.tracks[series_id] for series_id in (*kept, *joining)]
        if known is None:
            plan = Plan.of(period, policy, self.windows, self.slot_us)
            kinds = 4 if excluding else 2
            timeline = Timeline(self.slot_us, period, plan.lengths, kinds, len(tracks), now_us)
            known = Block(plan, timeline, tracks)
        else:
            if joining or len(kept) != len(staying):
                known.timeline.keep(np.array([places[each] for each in kept], dtype=np.int64), len(joining))
            known.describe(tracks)
        for column, series_id in enumerate(joining, start=len(kept)):
            if series_id in moved:
                moved[series_id].unpack(known.timeline, column)
        return known

    # ------------------------------------------------------------------------------------------------------- counts

    def load(self, counts: SlotCounts) -> None:
        """Stored slots after a restart, each once, of before and after the tick; nothing is told."""
        if self.evaluated_until_us is None:
            self.pending.add(counts)
            return
        self._admit_exclusions(counts)
        past = counts.slot < self.evaluated_until_us // self.slot_us
        self.pending.add(counts.take(~past))
        for key, rows in self._by_block(self.needs.of(counts.take(past), self.slot_us, self.edges_us)):
            self.blocks[key].timeline.add(rows.column, rows.slot, rows.values)

    def fold(self, counts: SlotCounts) -> int:
        """New deltas, on time, ahead or late; how many samples were late (their slots were evaluated already)."""
        if not len(counts):
            return 0
        if self.evaluated_until_us is None:
            self.pending.add(counts)
            return 0
        late = counts.slot < self.evaluated_until_us // self.slot_us
        if not late.any():
            self.pending.add(counts)
            return 0
        self.pending.add(counts.take(~late))
        behind = counts.take(late)
        self.late.append(behind)
        return int(behind.total.sum())

    def advance(self, watermark_us: int, *, lateness_us: int, hold_resolves: bool = False) -> Advance:
        """Evaluate every slot that the watermark has passed by the lateness; late data is folded again first.

        With `hold_resolves` (somebody's data is missing) incidents open, marked partial, but none resolves, and nothing
        turns silent; once it is over, the fold is run again over the time that it lasted.
        """
        target_us = (watermark_us - lateness_us) // self.slot_us * self.slot_us
        start_us = self.evaluated_until_us
        if start_us is None:
            start_us = self._start(target_us)
            if start_us is None:
                return Advance(0)
        changes = Changes(incidents=self.retired)
        self.retired = []
        self._correct(self._held(start_us, hold_resolves=hold_resolves), changes)
        until_us = max(target_us, start_us)
        if until_us > start_us:
            self._forward(until_us, changes)
        changes.incidents.sort(key=lambda change: change.at_us)
        changes.verdicts.sort(key=lambda change: change.at_us)
        return Advance(
            ticks=(until_us - start_us) // self.slot_us,
            incidents=tuple(changes.incidents),
            verdicts=tuple(changes.verdicts),
            restated=tuple(changes.restated),
            open_incidents=tuple(each for block in self.blocks.values() for each in block.open_incidents()),
        )

    def table(self, *, blind: str | None) -> StandingTable:
        """Where all series stand at the last tick; `blind` is why we cannot see, if we cannot."""
        blocks = tuple(block.standing(self.hold_from_us) for block in self.blocks.values())
        if blind is not None:
            blocks = tuple(_blinded(block) for block in blocks)
        return StandingTable(self.evaluated_until_us or 0, blocks, blind)

    # ------------------------------------------------------------------------------------------------------- inside

    def _start(self, target_us: int) -> int | None:
        """The tick before the first; None while the watermark is not there yet."""
        first = self.pending.first_slot
        start_us = target_us if first is None else min(first * self.slot_us, target_us)
        if self.starts_us is not None:
            start_us = self.starts_us // self.slot_us * self.slot_us
            if start_us > target_us:
                return None
        self.begin(start_us)
        return start_us

    def begin(self, tick_us: int) -> None:
        """Stand at a tick with nothing evaluated before it; what waited for earlier slots is late."""
        self.evaluated_until_us = tick_us
        self._arrange(tick_us)
        early = self.pending.before(tick_us // self.slot_us)
        if len(early):
            self.late.append(early)

    def _held(self, now_us: int, *, hold_resolves: bool) -> dict[Key, dict[int, int]]:
        """Note when holding begins; when it ends, which series must be folded again, and from when."""
        if hold_resolves:
            self.hold_from_us = now_us if self.hold_from_us is None else self.hold_from_us
            return {}
        since_us, self.hold_from_us = self.hold_from_us, None
        if since_us is None:
            return {}
        return {key: dict.fromkeys(block.held(since_us), since_us) for key, block in self.blocks.items()}

    def _correct(self, again: dict[Key, dict[int, int]], changes: Changes) -> None:
        late = concatenated(self.late).merged()
        self.late = []
        self._admit_exclusions(late)
        by_block = dict(self._by_block(late))
        for key, block in self.blocks.items():
            touched = dict(again.get(key, {}))
            rows = by_block.get(key)
            if rows is not None:
                for column, slot in zip(rows.column.tolist(), rows.slot.tolist(), strict=True):
                    touched[column] = min(slot * self.slot_us, touched.get(column, slot * self.slot_us))
            if not touched:
                continue
            columns = np.array(sorted(touched), dtype=np.int64)
            old = block.summary(columns)
            if rows is not None:
                block.timeline.add(rows.column, rows.slot, rows.values)
            block.refold(touched, self.hold_from_us, old, changes)

    def _forward(self, until_us: int, changes: Changes) -> None:
        due = self.pending.before(until_us // self.slot_us)
        self._admit_exclusions(due)
        by_block = dict(self._by_block(due))
        for key, block in self.blocks.items():
            block.advance(until_us, by_block.get(key) or _no_rows(key), self.hold_from_us, changes)
        self.evaluated_until_us = until_us

    def _admit_exclusions(self, counts: SlotCounts) -> None:
        """Series whose definition does not say so may have excluded counts all the same."""
        if not len(counts):
            return
        some = (counts.excluded_total != 0) | (counts.excluded_good != 0)
        if not some.any():
            return
        fresh = set(np.unique(counts.series[some]).tolist()) - self.excluding
        self.excluding |= fresh
        unprepared = {spec.identity.series_id for spec in self.specs if not spec.has_exclusions}
        if fresh & unprepared and self.evaluated_until_us is not None:
            self._arrange(self.evaluated_until_us)

    def _by_block(self, counts: SlotCounts) -> list[tuple[Key, Rows]]:
        if not len(counts):
            return []
        block, column = self.homes.find(counts.series)
        found: list[tuple[Key, Rows]] = []
        for index, key in enumerate(self.homes.keys):
            mine = block == index
            if mine.any():
                found.append((key, Rows(column[mine], counts.slot[mine], _values(counts, mine, excluding=key[2]))))
        return found

    # ------------------------------------------------------------------------------------------------------- keeping

    def open_state(self) -> bytes:
        """The small truth beside the slots: the tick, verdicts since when, open and recent incidents."""
        return snapshots.pack_open(self)

    def snapshot(self) -> bytes:
        """Everything, sums included: a cache that `restore` reads back."""
        return snapshots.pack(self)

    @classmethod
    def restore(cls, data: bytes) -> ShardEngine:
        """Inverse of `snapshot`. Raises CorruptSnapshot."""
        return snapshots.unpack(cls, data)

    @classmethod
    def rebuilt(
        cls,
        slot_us: int,
        open_state: bytes,
        specs: Sequence[SeriesSpec],
        counts: SlotCounts,
        *,
        windows: tuple[str, ...] = WINDOWS,
    ) -> ShardEngine:
        """From truth alone: `counts` are all stored slots from `needs_from_us` on. Raises CorruptSnapshot."""
        engine = cls(slot_us, windows=windows)
        engine.specs = tuple(specs)
        snapshots.unpack_open(engine, open_state)
        engine.load(counts)
        return engine


class Homes:
    """Where each series lives: the place of its block among `keys`, and its column."""

    def __init__(self, keys: list[Key], ids: Int64s, block: Int64s, column: Int64s) -> None:
        order = np.argsort(ids)
        self.keys = keys
        self._ids, self._block, self._column = ids[order], block[order], column[order]

    @classmethod
    def of(cls, blocks: dict[Key, Block]) -> Homes:
        series = [[track.spec.identity.series_id for track in block.tracks] for block in blocks.values()]
        sizes = [len(each) for each in series]
        return cls(
            list(blocks),
            np.array([series_id for each in series for series_id in each], dtype=np.int64),
            np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
            np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(size, dtype=np.int64) for size in sizes)]),
        )

    def find(self, series: Int64s) -> tuple[Int64s, Int64s]:
        """Block and column of each; block -1: not defined."""
        if not len(self._ids):
            return np.full(len(series), -1), np.zeros(len(series), dtype=np.int64)
        place = np.minimum(np.searchsorted(self._ids, series), len(self._ids) - 1)
        known = self._ids[place] == series
        return np.where(known, self._block[place], -1), self._column[place]

    def key_of(self, series_id: int) -> Key | None:
        block = int(self.find(np.array([series_id]))[0][0])
        return None if block < 0 else self.keys[block]

    def column_of(self, series_id: int) -> int:
        return int(self.find(np.array([series_id]))[1][0])


def _values(counts: SlotCounts, chosen: Any, *, excluding: bool) -> Int64s:
    """Failures and total; with exclusions also those of both that are excluded."""
    columns = [(counts.total - counts.good)[chosen], counts.total[chosen]]
    if excluding:
        columns += [(counts.excluded_total - counts.excluded_good)[chosen], counts.excluded_total[chosen]]
    return np.array(columns, dtype=np.int64)


def _no_rows(key: Key) -> Rows:
    nothing = np.zeros(0, dtype=np.int64)
    return Rows(nothing, nothing, np.zeros((4 if key[2] else 2, 0), dtype=np.int64))


def _reach(spec: SeriesSpec, shown: Sequence[int], now_us: int) -> int:
    """How far back a series' sums go: its period, and every window, which may be longer.

    Calendar periods need their predecessor for its total, and its for the horizon.
    """
    windows = [*shown, *spec.policy.windows, FORECAST_WINDOW]
    start_us = now_us
    if isinstance(spec.period, CalendarPeriod):
        for _ in range(PERIODS_KEPT):
            start_us = calendars.bounds(spec.period, start_us - 1)[0]
    else:
        windows.append(spec.period.length_us)
    return min(start_us, now_us - max(windows) - HORIZON - calendars.COARSE_STEP)


def _blinded(block: Any) -> Any:
    data = np.full(len(block), 2, dtype=np.int8)
    return replace(block, columns={**block.columns, "data": data})
