"""What ingest needs of the outside, as Protocols: a log to read, a ledger to commit to, definitions to match by.

Each port has an adapter for production and one in memory, and one contract test over both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from consumers.topics import TopicChoice
from evaluators.agreements import Indicator, LabelExclusion
from evaluators.points import Points
from evaluators.slots import Int64s


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Position(NamedTuple):
    """Where a partition's reading goes on: an offset within one epoch of the partition's log.

    `last_record_crc` and `last_record_time_us` are those of the last committed entry that had records: the fingerprint
    by which a log made anew is noticed. None: nothing to compare with.
    """

    epoch: int
    offset: int
    last_record_crc: int | None = None
    last_record_time_us: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as ingest sees it. `timestamp_us` is the record's own Kafka timestamp."""

    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Records(Protocol):
    """Records of one partition in offset order, as columns: no object per record until one is asked for."""

    @property
    def values(self) -> Sequence[bytes | None]: ...

    def offset(self, index: int) -> int: ...

    def time_us(self, index: int) -> int:
        """The record's own Kafka timestamp; negative where it has none."""
        ...

    def headers(self, index: int) -> Sequence[tuple[str, bytes]]: ...

    def record(self, index: int) -> Record: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of one partition in offset order.

    `read_from` is the consumer's position before them and `next_offset` after them (it may pass offsets that hold no
    record: control records, compacted ones). `end_offset` is the end of the log as the newest fetch answer said;
    `asked_at_us` a clock at or before which the fetch that said so was sent. Both None until known. `after_break`: fetching
    failed or stood still since the answer before this one, and the log may have been made anew meanwhile.
    """

    partition: Partition
    records: Records
    read_from: int
    next_offset: int
    end_offset: int | None
    asked_at_us: int | None
    after_break: bool = False


class AssignmentListener(Protocol):
    """Told by the log when partitions come and go."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """They are ours now, and are not read before `Log.seek` has said from where."""
        ...

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Called before they are given up; work in flight is committed or thrown away when this returns."""
        ...


class Log(Protocol):
    """A partitioned log, read as a member of a consumer group."""

    async def start(self, topics: TopicChoice, listener: AssignmentListener) -> None:
        """Join the group; topics that appear later and are chosen are read too. Raises LogUnavailable."""
        ...

    async def fetch(self, timeout_us: int, max_records: int) -> Sequence[Fetched]:
        """What has come, at most after `timeout_us`; an item per assigned partition that has records or whose end
        was seen anew. Raises LogUnavailable (worth a retry), PositionOutOfRange (look at the bounds, then seek).
        """
        ...

    async def seek(self, partition: Partition, offset: int) -> None: ...

    async def bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """First and end offset of each partition, where the broker can tell. Raises LogUnavailable."""
        ...

    async def hint(self, positions: Mapping[Partition, int]) -> None:
        """Tell Kafka's group the committed offsets, for lag tools; failure is logged, never raised."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be used, whole, with why. `code` is stable and short; it never holds payload text."""

    partition: Partition
    record: Record
    code: str
    reason: str


class DeadLetters(Protocol):
    """Takes unusable records to `<topic>.dlq`; returns when they are safe. Raises LogUnavailable."""

    async def send(self, letters: Sequence[DeadLetter]) -> None: ...


@dataclass(frozen=True, slots=True)
class MatchRule:
    """One indicator of one version of one agreement: samples in [from_us, until_us) of event time match by it."""

    indicator_id: int
    agreement: str
    objective: str
    from_us: int
    until_us: int | None
    indicator: Indicator
    group_by: tuple[str, ...] = ()
    exclusions: tuple[LabelExclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """What ingest matches by, as of a revision."""

    revision: int
    slot_us: int
    rules: tuple[MatchRule, ...]


class DefinitionsSource(Protocol):
    """Where the definitions come from."""

    async def load(self) -> Definitions: ...


class SeriesKey(NamedTuple):
    """A series before it has an id: an indicator and the label values of its groupBy, in groupBy order."""

    indicator_id: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one flush counted in one span [read_from, next_offset) of one partition.

    `keys[i]` is the series of the rows whose `key` is i; the six columns have one length. Rows are merged: one per
    (key, slot). The series of `points` is a key too.
    """

    partition: Partition
    epoch: int
    read_from: int
    next_offset: int
    keys: tuple[SeriesKey, ...]
    key: Int64s
    slot: Int64s
    good: Int64s
    total: Int64s
    excluded_good: Int64s
    excluded_total: Int64s
    records: int
    samples: int
    dead: int
    max_event_us: int | None
    clock_us: int
    last_record_crc: int | None = None
    last_record_time_us: int | None = None
    gap: bool = False
    points: Points = field(default_factory=Points.empty)
    seen_again_us: int | None = None
    """Of the first entry after a gap: the Kafka timestamp of its first record, with which what was not seen ends."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """What a worker saw of a partition: see the watermark's rules in DESIGN. `position` is committed."""

    partition: Partition
    epoch: int
    position: int
    end_position: int | None
    end_seen_us: int | None
    high_watermark: int | None
    last_record_us: int | None
    clock_us: int
    worker: str


class Ledger(Protocol):
    """The append-only record of what was counted, and the offsets that go with it."""

    async def positions(self, partitions: Collection[Partition]) -> Mapping[Partition, Position]:
        """Where each partition goes on; a partition never read is absent. Raises LedgerUnavailable."""
        ...

    async def begin_epoch(self, partition: Partition, epoch: int, offset: int) -> None:
        """The partition's log started again: its reading goes on in a new epoch. Idempotent."""
        ...

    async def commit(self, entries: Sequence[Entry], revision: int) -> frozenset[Partition]:
        """All entries in one transaction, each advancing its partition's offset by compare-and-set.

        Returns the partitions that were lost: their offset was not where the entry was read from, and nothing of
        theirs was written. Raises DefinitionsMoved (nothing written; load again and read again), LedgerUnavailable
        (unknown whether written; read the positions again).
        """
        ...

    async def report(self, statuses: Sequence[PartitionStatus]) -> None:
        """Replace what is known of these partitions. Raises LedgerUnavailable."""
        ...


class Observer(Protocol):
    """Told what ingest does, for metrics. Its methods return at once and never raise."""

    def records(self, topic: str, result: str, count: int) -> None:
        """`result` is counted, unmatched (no indicator reads it), skipped (no value), duplicate (each of its events came
        before) or dead.
        """
        ...

    def dead_letters(self, code: str, count: int) -> None: ...

    def committed(self, duration_us: int, entries: int) -> None: ...

    def gap(self, partition: Partition, missing: int) -> None:
        """So many records were gone before they were read."""
        ...

    def epoch_begun(self, partition: Partition) -> None:
        """The log of the partition was made anew."""
        ...

    def partition(self, partition: Partition, lag: int | None, watermark_us: int | None) -> None:
        """Records behind the log's end, and the greatest event time read; None: not known yet."""
        ...

    def released(self, partition: Partition) -> None:
        """Somebody else's from now on: its lag and watermark are no longer ours to tell."""
        ...
