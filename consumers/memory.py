"""The ports in memory, for tests and tools: a broker with a group, a ledger, dead letters, definitions.

They keep the contracts of the real ones, and can be told to fail: `faults` are raised by the next calls, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.errors import DefinitionsMoved, IngestError, PositionOutOfRange
from consumers.ports import (
    AssignmentListener,
    DeadLetter,
    Definitions,
    Entry,
    Fetched,
    Partition,
    PartitionStatus,
    Position,
    Record,
    SeriesKey,
)
from consumers.topics import TopicChoice


@dataclass(slots=True)
class Faults:
    """What the next calls raise. None lets one through."""

    queue: deque[IngestError | None] = field(default_factory=deque[IngestError | None])

    def strike(self) -> None:
        """Raise the next fault, if it is one's turn."""
        error = self.queue.popleft() if self.queue else None
        if error is not None:
            raise error


@dataclass(frozen=True, slots=True)
class MemoryRecords:
    """Records as they lie in the log."""

    stored: Sequence[Record]

    @property
    def values(self) -> Sequence[bytes | None]:
        return [record.value for record in self.stored]

    def offset(self, index: int) -> int:
        return self.stored[index].offset

    def time_us(self, index: int) -> int:
        return self.stored[index].timestamp_us

    def headers(self, index: int) -> Sequence[tuple[str, bytes]]:
        return self.stored[index].headers

    def record(self, index: int) -> Record:
        return self.stored[index]


@dataclass(slots=True)
class _Stored:
    records: list[Record] = field(default_factory=list[Record])
    first: int = 0
    end: int = 0


class MemoryBroker:
    """Topics of a fixed number of partitions, and one consumer group."""

    def __init__(self) -> None:
        self._partitions: dict[Partition, _Stored] = {}
        self._members: list[MemoryLog] = []
        self._owners: dict[Partition, MemoryLog] = {}
        self._news = asyncio.Event()
        self.hints: dict[Partition, int] = {}

    def create(self, topic: str, partitions: int) -> None:
        """A topic; made anew if it is there, and no reader is told."""
        for number in range(partitions):
            self._partitions[Partition(topic, number)] = _Stored()

    def has(self, partition: Partition) -> bool:
        return partition in self._partitions

    def append(
        self,
        partition: Partition,
        value: bytes | None,
        *,
        key: bytes | None = None,
        timestamp_us: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Gives the record's offset."""
        stored = self._partitions[partition]
        record = Record(stored.end, timestamp_us, key, value, headers)
        stored.records.append(record)
        stored.end += 1
        self._news.set()
        return record.offset

    def pass_offsets(self, partition: Partition, count: int) -> None:
        """Offsets that hold no record, as transaction markers and compaction leave them."""
        self._partitions[partition].end += count
        self._news.set()

    def drop_before(self, partition: Partition, offset: int) -> None:
        """Retention."""
        stored = self._partitions[partition]
        stored.first = max(stored.first, offset)
        stored.records = [record for record in stored.records if record.offset >= offset]

    def bounds(self, partition: Partition) -> tuple[int, int]:
        stored = self._partitions[partition]
        return stored.first, stored.end

    def read(self, partition: Partition, offset: int, most: int) -> tuple[list[Record], int, int]:
        """(records, position after them, end). Raises PositionOutOfRange."""
        stored = self._partitions[partition]
        if not stored.first <= offset <= stored.end:
            raise PositionOutOfRange([partition])
        found = [record for record in stored.records if record.offset >= offset]
        chosen = found[:most]
        return chosen, (chosen[-1].offset + 1 if len(found) > most else stored.end), stored.end

    def log(self, clock: Callable[[], int]) -> MemoryLog:
        """A reader; it joins the group when it starts."""
        return MemoryLog(self, clock)

    async def wait(self, timeout_us: int) -> None:
        """Until something is appended."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_us / 1_000_000):
                await self._news.wait()

    # ------------------------------------------------------------------------------------------------------ the group

    def join(self, member: MemoryLog) -> None:
        self._members.append(member)

    def leave(self, member: MemoryLog) -> None:
        """Also how the group forgets a member that is dead, or frozen and does not know."""
        if member in self._members:
            self._members.remove(member)
        self._owners = {partition: owner for partition, owner in self._owners.items() if owner is not member}

    def share(self, member: MemoryLog, topics: TopicChoice) -> set[Partition]:
        """What the member should hold: every partition by turns over the members."""
        wanted = sorted(partition for partition in self._partitions if topics.matches(partition.topic))
        return {each for index, each in enumerate(wanted) if self._members[index % len(self._members)] is member}

    def is_member(self, member: MemoryLog) -> bool:
        return member in self._members

    def give_up(self, member: MemoryLog, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            if self._owners.get(partition) is member:
                del self._owners[partition]

    def take_free(self, member: MemoryLog, partitions: Iterable[Partition]) -> set[Partition]:
        """Those that nobody holds any more are the member's now."""
        free = {each for each in partitions if self._owners.get(each, member) is member}
        self._owners.update(dict.fromkeys(free, member))
        return free


class MemoryLog:
    """A member of the broker's group. Rebalances happen inside `fetch`; a member that was put out reads on unknowingly
    until `rejoin`.
    """

    def __init__(self, broker: MemoryBroker, clock: Callable[[], int]) -> None:
        self._broker = broker
        self._clock = clock
        self._topics = TopicChoice(())
        self._listener: AssignmentListener | None = None
        self._held: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._broken: set[Partition] = set()
        self.faults = Faults()

    async def start(self, topics: TopicChoice, listener: AssignmentListener) -> None:
        self.faults.strike()
        self._topics = topics
        self._listener = listener
        self._broker.join(self)

    @property
    def started(self) -> bool:
        return self._listener is not None

    async def rejoin(self) -> None:
        """Learn that we were put out, and join again."""
        if self.started and not self._broker.is_member(self):
            await self._give_up(set(self._held))
            self._broker.join(self)

    def broken_off(self, partitions: Iterable[Partition]) -> None:
        """Fetching them has failed; who knows what happened to their logs."""
        self._broken.update(self._held.intersection(partitions))

    async def fetch(self, timeout_us: int, max_records: int) -> Sequence[Fetched]:
        try:
            self.faults.strike()
        except IngestError:
            self.broken_off(self._held)
            raise
        if self._broker.is_member(self):
            await self._rebalance()
        fetched = self._read(max_records)
        if not fetched:
            await self._broker.wait(timeout_us)
            fetched = self._read(max_records)
        return fetched or self._read(max_records, empty=True)

    async def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._held:
            self._positions[partition] = offset

    async def bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        return {partition: self._broker.bounds(partition) for partition in partitions}

    async def hint(self, positions: Mapping[Partition, int]) -> None:
        self._broker.hints.update(positions)

    async def stop(self) -> None:
        self._broker.leave(self)
        self._held.clear()

    def _read(self, max_records: int, *, empty: bool = False) -> list[Fetched]:
        asked_at_us = self._clock()
        fetched: list[Fetched] = []
        for partition, position in sorted(self._positions.items()):
            records, next_offset, end = self._broker.read(partition, position, max_records)
            if next_offset == position and not empty:
                continue
            self._positions[partition] = next_offset
            content, broken = MemoryRecords(records), partition in self._broken
            fetched.append(Fetched(partition, content, position, next_offset, end, asked_at_us, broken))
        self._broken.difference_update(each.partition for each in fetched)
        return fetched

    async def _rebalance(self) -> None:
        wanted = self._broker.share(self, self._topics)
        if self._held - wanted:
            await self._give_up(self._held - wanted)
        new = self._broker.take_free(self, wanted - self._held)
        if new:
            self._held |= new
            assert self._listener is not None
            await self._listener.assigned(new)

    async def _give_up(self, partitions: set[Partition]) -> None:
        assert self._listener is not None
        await self._listener.revoked(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)
        self._held -= partitions
        self._broken -= partitions
        self._broker.give_up(self, partitions)


class MemoryLedger:
    """Keeps every entry, and refuses what does not chain."""

    def __init__(self, revision: int = 1) -> None:
        self.revision = revision
        self.entries: list[Entry] = []
        self.statuses: dict[Partition, PartitionStatus] = {}
        self.faults = Faults()
        """Raised before anything is written."""
        self.lost_answers = Faults()
        """Raised after everything is written."""
        self._positions: dict[Partition, Position] = {}

    async def positions(self, partitions: Collection[Partition]) -> Mapping[Partition, Position]:
        self.faults.strike()
        return {partition: self._positions[partition] for partition in partitions if partition in self._positions}

    async def begin_epoch(self, partition: Partition, epoch: int, offset: int) -> None:
        self.faults.strike()
        known = self._positions.get(partition)
        if known is None or known.epoch < epoch:
            self._positions[partition] = Position(epoch, offset)

    async def commit(self, entries: Sequence[Entry], revision: int) -> frozenset[Partition]:
        self.faults.strike()
        if revision != self.revision:
            raise DefinitionsMoved("the definitions have a newer revision")
        lost: set[Partition] = set()
        for entry in entries:
            known = self._positions.get(entry.partition)
            if known is not None and (known.epoch, known.offset) != (entry.epoch, entry.read_from):
                lost.add(entry.partition)
                continue
            self._advance(entry, known)
            self.entries.append(entry)
        self.lost_answers.strike()
        return frozenset(lost)

    async def report(self, statuses: Sequence[PartitionStatus]) -> None:
        self.faults.strike()
        self.statuses.update((status.partition, status) for status in statuses)

    def counts(self) -> dict[tuple[SeriesKey, int], tuple[int, int, int, int]]:
        """(good, total, excluded good, excluded total) by series and slot, over all entries."""
        sums: dict[tuple[SeriesKey, int], tuple[int, int, int, int]] = {}
        for entry in self.entries:
            columns = (entry.key, entry.slot, entry.good, entry.total, entry.excluded_good, entry.excluded_total)
            rows: list[list[int]] = np.stack(columns).T.tolist()
            for key, slot, *counted in rows:
                place = (entry.keys[key], slot)
                good, total, excluded_good, excluded_total = sums.get(place, (0, 0, 0, 0))
                sums[place] = (
                    good + counted[0],
                    total + counted[1],
                    excluded_good + counted[2],
                    excluded_total + counted[3],
                )
        return sums

    def _advance(self, entry: Entry, known: Position | None) -> None:
        crc, time_us = entry.last_record_crc, entry.last_record_time_us
        if crc is None and known is not None:
            crc, time_us = known.last_record_crc, known.last_record_time_us
        self._positions[entry.partition] = Position(entry.epoch, entry.next_offset, crc, time_us)


class MemoryDeadLetters:
    """Keeps every letter. Letters of work that is done again come again."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []
        self.faults = Faults()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        self.faults.strike()
        self.sent.extend(letters)


class MemoryDefinitions:
    """The definitions as they are set."""

    def __init__(self, current: Definitions) -> None:
        self.current = current
        self.faults = Faults()

    async def load(self) -> Definitions:
        self.faults.strike()
        return self.current
