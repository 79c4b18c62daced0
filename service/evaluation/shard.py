"""One shard in memory: its engine, how far it has read, and what it has folded but not yet written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from consumers.ports import PartitionStatus
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.measures.measuring import Measuring
from evaluators.points import Points, joined
from evaluators.slots import SlotCounts, concatenated
from evaluators.standings import SeriesIdentity, StandingTable
from evaluators.watermark import PartitionName, Reached, Sighting, Watermark
from service.storage.entries import EpochName, LedgerBroken, LedgerEntry
from service.storage.evaluation import Cursor, NewStandings, ShardRow
from service.storage.leases import Lease
from service.storage.specs import Specs

UNSAVED_ROWS: Final = 100_000
"""Folded rows that may wait in memory for a tick; more are written without one."""


Heads = tuple[tuple[SeriesIdentity, ...], ...]
"""The series of each block of a table."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What a look at the clock brought: `advance` None where there is no watermark yet.

    `halted`: the evaluation stopped where other definitions come into force.
    """

    clock_us: int
    advance: Advance | None
    halted: bool = False

    @property
    def changed(self) -> bool:
        """Whether it must be written now. Late samples that change nothing that was told wait for the next tick: they may
        trickle in all the time, and a write is of everything that is shown.
        """
        found = self.advance
        return found is not None and bool(found.ticks or found.incidents or found.verdicts or found.restated)


@dataclass(frozen=True, slots=True)
class Shape:
    """What an engine's sums are made for: of each series evaluated its period, in words, and the windows of its policy;
    and all series that had a row then.
    """

    sums: Mapping[int, tuple[str, frozenset[int]]]
    known: frozenset[int]

    @classmethod
    def of(cls, found: Specs) -> Shape:
        """Of an engine that has these specs defined."""
        return cls(
            {spec.identity.series_id: (repr(spec.period), frozenset(spec.policy.windows)) for spec in found.specs},
            frozenset(found.shard_of),
        )

    def holds(self, found: Specs) -> bool:
        """Whether such an engine can carry on with `found`.

        It cannot where a series needs slots that it has not kept: one with another period or with windows that were not
        summed, and one that was counted in before without being evaluated. A series that came later begins with its
        first counts.
        """
        return all(spec.identity.series_id not in self.known or self._sums(spec) for spec in found.specs)

    def _sums(self, spec: SeriesSpec) -> bool:
        period, windows = self.sums.get(spec.identity.series_id, ("", frozenset()))
        return period == repr(spec.period) and windows.issuperset(spec.policy.windows)


class Shard:
    """Not for several tasks at once. `specs` are what the engine has defined, all of this shard; `late_samples` are those
    among what was folded since the last commit. `gathering`: pages up to its checkpoint may be ripe; `rolling_up`: slots may
    be old enough.

    Thrown away at the first doubt whether what it did was written: the database is the truth.
    """

    def __init__(self, lease: Lease, engine: ShardEngine, row: ShardRow, watermark: Watermark, slot_us: int) -> None:
        self.lease = lease
        self.engine = engine
        self.measuring = Measuring(slot_us, engine.evaluated_until_us)
        self.watermark = watermark
        self.tick_seq = row.tick_seq
        self.cursors: dict[EpochName, Cursor] = dict(row.cursors)
        self.specs: dict[int, SeriesSpec] = {}
        self.holds_back = False
        self.late_samples = 0
        self.checkpointed_us = 0
        self.gathering = False
        self.rolling_up = False
        self.first_slot: int | None = None
        self._slot_us = slot_us
        self._found: Specs | None = None
        self._found_at_us: int | None = None
        self._written_us = 0
        self._moved: set[EpochName] = set()
        self._unsaved: list[SlotCounts] = []
        self._blind_written: str | None = None
        self._heads: tuple[Heads, bytes, str] | None = None

    def outdated(self, revision: int, series: Collection[int]) -> bool:
        """Whether its specs must be read again: other definitions, or series that were admitted since."""
        found, tick_us = self._found, self.engine.evaluated_until_us
        if found is None or found.revision != revision or not found.shard_of.keys() >= set(series):
            return True
        if tick_us is None:
            return False
        return self._found_at_us is None or (found.changes_at_us is not None and tick_us >= found.changes_at_us)

    @property
    def begins_us(self) -> int | None:
        """Before the first tick: where it will be, once there is a watermark, and the specs are not of then."""
        if self.engine.evaluated_until_us is not None or self.watermark.overall_us is None:
            return None
        first_us = self.watermark.overall_us if self.first_slot is None else self.first_slot * self._slot_us
        begins_us = min(first_us, self.watermark.overall_us)
        return None if begins_us == self._found_at_us else begins_us

    @property
    def shape(self) -> Shape:
        """What the engine's sums are made for."""
        return Shape.of(self._found) if self._found else Shape({}, frozenset())

    def define(self, found: Specs, at_us: int | None) -> None:
        """The full set in force at the tick `at_us`, told to the engine too."""
        self.engine.define(found.specs)
        self.defined(found, at_us)

    def defined(self, found: Specs, at_us: int | None) -> None:
        """The engine has these specs already."""
        self._found, self._found_at_us = found, at_us
        self.specs = {spec.identity.series_id: spec for spec in found.specs}
        self.measuring.define(found.measures)
        self._heads = None

    def offsets(self) -> dict[EpochName, int]:
        """Where its reading goes on."""
        return {name: cursor.next_offset for name, cursor in self.cursors.items()}

    def fold(self, entries: Iterable[tuple[LedgerEntry, SlotCounts, Points]]) -> None:
        """Fold what lies behind the cursors; counts and points are this shard's part of each entry.

        Raises LedgerBroken where something between is missing.
        """
        fresh: list[SlotCounts] = []
        points: list[Points] = []
        for entry, counts, carried in entries:
            if self._pass_over(entry):
                fresh.append(counts)
                points.append(carried)
        counted, pointed = concatenated(fresh).merged(), joined(points)
        self.late_samples += self._late(counted, pointed)
        self._count(self.measuring.fold(counted, pointed))

    def _late(self, counts: SlotCounts, points: Points) -> int:
        """How many samples came after their slot was evaluated."""
        tick_us = self.engine.evaluated_until_us
        if tick_us is None:
            return 0
        return int(counts.total[counts.slot < tick_us // self._slot_us].sum()) + int((points.time_us < tick_us).sum())

    def _count(self, counts: SlotCounts) -> None:
        self.note_first(counts)
        if len(counts):
            self._unsaved.append(counts)
            self.engine.fold(counts)

    def note_first(self, counts: SlotCounts) -> None:
        """Counts that the first tick may lie at; what has yet to be measured may lie before them."""
        if self.engine.evaluated_until_us is not None:
            return
        firsts = [int(counts.slot.min())] if len(counts) else []
        firsts.extend(each for each in (self.first_slot, self.measuring.first_slot) if each is not None)
        self.first_slot = min(firsts, default=None)

    def _pass_over(self, entry: LedgerEntry) -> bool:
        """Move the cursor behind the entry; False where it is there already."""
        cursor = self.cursors.get(entry.name)
        if cursor is not None and entry.first_offset != cursor.next_offset:
            if entry.next_offset <= cursor.next_offset:
                return False
            raise LedgerBroken(f"shard {self.lease.shard} stands at {cursor.next_offset}, not at {entry.first_offset}")
        times = [cursor.time_us] if cursor is not None and cursor.time_us is not None else []
        if entry.max_event_us is not None:
            times.append(min(entry.max_event_us, entry.clock_us))
        self.cursors[entry.name] = Cursor(entry.next_offset, max(times, default=None), entry.clock_us)
        self._moved.add(entry.name)
        return True

    def look(
        self,
        topics: Collection[str],
        statuses: Sequence[PartitionStatus],
        ends: Mapping[EpochName, int],
        clock_us: int,
    ) -> None:
        """Where the watermark is now. `statuses` and `ends` were read before the entries that were folded last."""
        self._forget(ends)
        sightings = {_name(status): _sighting(status) for status in statuses}
        self.watermark = self.watermark.observe(
            topics=topics, reached=self._reached(sightings, ends), sightings=sightings, clock_us=clock_us
        )

    def _forget(self, ends: Mapping[EpochName, int]) -> None:
        """Drop cursors of epochs that have expired: shards whose cursors differ are not read for together."""
        newest: dict[PartitionName, int] = {}
        for name in ends:
            newest[_partition(name)] = max(name.epoch, newest.get(_partition(name), name.epoch))
        for name in [name for name in self.cursors if name not in ends]:
            if name.epoch < newest.get(_partition(name), name.epoch):
                del self.cursors[name]
                self._moved.discard(name)

    def _reached(
        self, sightings: Mapping[PartitionName, Sighting], ends: Mapping[EpochName, int]
    ) -> dict[PartitionName, Reached]:
        """Each partition's newest epoch, but an older one while entries of it wait: they would come late otherwise.

        An epoch that was sighted while nothing of it is in the ledger is reached.
        """
        reached: dict[PartitionName, Reached] = {}
        waiting: set[PartitionName] = set()
        for name, cursor in sorted(self.cursors.items(), key=lambda each: each[0]):
            partition = _partition(name)
            if partition not in waiting:
                reached[partition] = Reached(name.epoch, cursor.next_offset, cursor.time_us)
            if cursor.next_offset < ends.get(name, cursor.next_offset):
                waiting.add(partition)
        for partition, sighting in sightings.items():
            if partition in waiting:
                continue
            if partition not in reached or reached[partition].epoch < sighting.epoch:
                reached[partition] = Reached(sighting.epoch, sighting.position, None)
        return reached

    def advance(self, clock_us: int, lateness_us: int) -> Tick:
        """Evaluate what the watermark has passed, up to where other definitions come into force."""
        until_us = self.watermark.overall_us
        if until_us is None:
            return Tick(clock_us, None)
        changes_us = self._found.changes_at_us if self._found else None
        if changes_us is not None:
            until_us = min(until_us, -(-changes_us // self._slot_us) * self._slot_us + lateness_us)
        self._count(self.measuring.advance((until_us - lateness_us) // self._slot_us * self._slot_us))
        done = self.engine.advance(until_us, lateness_us=lateness_us, hold_resolves=self.watermark.hold_resolves)
        return Tick(clock_us, done, halted=bool(done.ticks) and until_us != self.watermark.overall_us)

    def due(self, tick: Tick, standings_every_us: int) -> bool:
        """Whether to write now: something changed, too much waits, or what is shown grows old."""
        return (
            tick.changed
            or (self.watermark.blind is None) != (self._blind_written is None)
            or tick.clock_us - self._written_us >= standings_every_us
            or self.measuring.waiting + sum(len(counts) for counts in self._unsaved) >= UNSAVED_ROWS
        )

    def unsaved(self) -> SlotCounts:
        """What was folded since the last commit."""
        return concatenated(self._unsaved).merged()

    def row(self) -> ShardRow:
        """The shard as the next commit leaves it, with the cursors that moved."""
        return ShardRow(
            self.tick_seq + 1,
            self.engine.evaluated_until_us,
            self.watermark.overall_us,
            packed_state(self.engine.open_state(), self.watermark),
            {name: self.cursors[name] for name in self._moved},
        )

    def standings(self) -> NewStandings | None:
        """The table now, packed; None before the first tick, when there is nothing that it could be of."""
        if self.engine.evaluated_until_us is None:
            return None
        table = self.engine.table(blind=self.watermark.blind)
        identities, digest = self._packed_heads(table)
        return NewStandings(identities, digest, table.pack_columns(), table.as_of_us)

    def _packed_heads(self, table: StandingTable) -> tuple[bytes, str]:
        """Packed once per definition, and when groups retire or come back: it is the greater part of a table."""
        heads = tuple(block.identities for block in table.blocks)
        if self._heads is None or self._heads[0] != heads:
            packed = table.pack_identities()
            self._heads = heads, packed, hashlib.blake2b(packed, digest_size=16).hexdigest()
        return self._heads[1:]

    def committed(self, clock_us: int, *, holds_back: bool) -> None:
        """All that `row`, `unsaved` and `standings` gave is written."""
        self.tick_seq += 1
        self.late_samples = 0
        self.measuring.saved()
        self._unsaved.clear()
        self._moved.clear()
        self._blind_written = self.watermark.blind
        self._written_us = clock_us
        self.holds_back = holds_back


def packed_state(engine: bytes, watermark: Watermark) -> bytes:
    """The small truth beside the slots: the engine's, and the watermark's."""
    return msgspec.msgpack.encode((engine, watermark.snapshot()))


def unpacked_state(state: bytes) -> tuple[bytes, Watermark]:
    """Inverse of `packed_state`. Raises msgspec.DecodeError."""
    engine, watermark = msgspec.msgpack.decode(state, type=tuple[bytes, bytes])
    return engine, Watermark.restore(watermark)


def packed_checkpoint(shape: Shape, engine: bytes) -> bytes:
    """A snapshot of the engine, with what it is good for."""
    return msgspec.msgpack.encode((shape.sums, sorted(shape.known), engine))


def unpacked_checkpoint(state: bytes) -> tuple[Shape, bytes]:
    """Inverse of `packed_checkpoint`. Raises msgspec.DecodeError."""
    sums, known, engine = msgspec.msgpack.decode(state, type=_Checkpoint)
    return Shape(sums, frozenset(known)), engine


_Checkpoint = tuple[dict[int, tuple[str, frozenset[int]]], list[int], bytes]


def _partition(name: EpochName) -> PartitionName:
    return PartitionName(name.topic, name.partition)


def _name(status: PartitionStatus) -> PartitionName:
    return PartitionName(status.partition.topic, status.partition.number)


def _sighting(status: PartitionStatus) -> Sighting:
    return Sighting(
        epoch=status.epoch,
        position=status.position,
        end_position=status.end_position,
        end_seen_us=status.end_seen_us,
        high_watermark=status.high_watermark,
        last_record_us=status.last_record_us,
        clock_us=status.clock_us,
    )
