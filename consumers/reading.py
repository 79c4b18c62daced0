"""One partition that is ours: where the ledger stands, how far it has been read, and what came together since."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from consumers.combining import Combiner, Tally, record_crc
from consumers.deduplication import Deduplicator
from consumers.formats.avro import SchemaById, no_registry
from consumers.formats.choice import Formats
from consumers.horizons import Horizons
from consumers.matching import Matcher
from consumers.ports import DeadLetter, Definitions, Entry, Fetched, Partition, PartitionStatus, Position, Records


@dataclass(frozen=True, slots=True)
class Lens:
    """What a reading reads and matches by: formats, horizons, and the definitions of one revision, ready to use."""

    definitions: Definitions
    matcher: Matcher
    formats: Formats
    horizons: Horizons
    schemas: SchemaById = no_registry

    @classmethod
    def of(
        cls,
        definitions: Definitions,
        formats: Formats,
        horizons: Horizons | None = None,
        schemas: SchemaById = no_registry,
    ) -> Lens:
        return cls(definitions, Matcher(definitions.rules), formats, horizons or Horizons(), schemas)

    def deduplicator(self, partition: Partition) -> Deduplicator | None:
        """A new one, where the topic asks for it."""
        horizon = self.horizons.of(partition.topic)
        return None if horizon is None else Deduplicator(partition, self.formats.of(partition.topic), horizon)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What one flush commits of one reading."""

    reading: Reading
    entry: Entry
    tally: Tally

    @property
    def letters(self) -> list[DeadLetter]:
        return self.tally.letters


class Taken(Enum):
    """What became of a fetched span."""

    READ = auto()
    BREAK = auto()  # the log may be another one by now: go on from the record that was committed last
    STRAY = auto()  # not from where we are: seek again
    ANEW = auto()  # the log is not the one that we read: look at it


class Reading:
    """Entries chain: each begins where the last one ended, whether anything was counted between or not."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.leaving = False
        """Being given up: nothing more is taken in."""
        self.epoch = 0
        self.committed = 0
        self.position = 0
        self._cut_at = 0
        self._combiner: Combiner | None = None
        self._lens: Lens | None = None
        self._duplicates: Deduplicator | None = None
        self._fingerprint: tuple[int, int | None] | None = None
        self._back_at: int | None = None  # in front of our position, where records are read that counted before
        self._clock_us = 0
        self._waiting_since_us: int | None = None
        self._short_since_us: int | None = None
        self._end: tuple[int, int] | None = None
        self._high_watermark: int | None = None
        self._last_record_us: int | None = None
        self._watched_since_us: int | None = None
        self._after_gap = False
        self._seen_again_us: int | None = None
        self.watermark_us: int | None = None
        """Greatest event time read, for the metrics."""

    @property
    def placed(self) -> bool:
        """Whether we know where to read."""
        return self._combiner is not None

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return self.position > self._cut_at

    @property
    def waiting_since_us(self) -> int | None:
        """Clock at which the oldest span that is not committed yet was read."""
        return self._waiting_since_us

    @property
    def pending_records(self) -> int:
        return self._combiner.records if self._combiner else 0

    @property
    def pending_letter_bytes(self) -> int:
        return self._combiner.letter_bytes if self._combiner else 0

    @property
    def seek_to(self) -> int:
        """Where to read from: one record earlier while the log has yet to show that it is the one that we know, and a
        horizon earlier while the ids that were seen there are yet to be known.
        """
        return self.position if self._back_at is None else self._back_at

    @property
    def lag(self) -> int | None:
        return None if self._high_watermark is None else max(self._high_watermark - self.position, 0)

    def place(self, position: Position, lens: Lens, future_us: int, bounds: tuple[int, int] | None = None) -> None:
        """Go on from what is committed; whatever was read since is forgotten. `bounds` are the log's, as far as known."""
        self.epoch = position.epoch
        self.committed = self.position = self._cut_at = position.offset
        known = position.last_record_crc is not None and position.offset > 0
        self._fingerprint = (position.last_record_crc or 0, position.last_record_time_us) if known else None
        form = lens.formats.of(self.partition.topic)
        slot_us = lens.definitions.slot_us
        self._combiner = Combiner(self.partition, lens.matcher, slot_us, future_us, form, lens.schemas)
        self._waiting_since_us = self._short_since_us = self._end = self._seen_again_us = None
        self._lens = lens
        first, end = bounds or (0, position.offset)
        self._read_back(first if end >= position.offset else position.offset)

    def skipped(self) -> None:
        """A gap was committed: what is read next ends what was not seen."""
        self._after_gap = True

    def forget(self) -> None:
        """Throw away what was read and not committed; it is placed again before it goes on."""
        self._combiner = self._duplicates = None
        self._waiting_since_us = None

    def trust(self, first: int) -> None:
        """The log has been looked at, and our position is in it. Where ids are to be known it is read from its first
        record on that is in the horizon, and shows our last one by the way.
        """
        if self._duplicates is None or first >= self.position:
            self._fingerprint = None
        self._short_since_us = None
        self._read_back(first)

    def take(self, fetched: Fetched, clock_us: int) -> Taken:
        """Count a span. Only READ changes anything."""
        if self._watched_since_us is None:
            self._watched_since_us = clock_us
        if fetched.after_break and not self._fingerprint:
            return Taken.BREAK
        if fetched.read_from != self.seek_to:
            return Taken.STRAY
        before = self._before(fetched.records)
        if not self._recognises(fetched.records, before):
            return Taken.ANEW
        self._clock_us = clock_us
        if fetched.end_offset is not None:
            self._high_watermark = fetched.end_offset
            self._note_short(clock_us)
        if not self._arrived(fetched, before, clock_us):
            return Taken.READ  # the record to compare with is yet to come
        self._count(fetched.records, before, clock_us)
        if fetched.next_offset > self.position:
            self.position = fetched.next_offset
            if self._waiting_since_us is None:
                self._waiting_since_us = clock_us
        if fetched.asked_at_us is not None and fetched.end_offset == self.position:
            self._end = (self.position, fetched.asked_at_us)
        return Taken.READ

    def short_for_us(self, clock_us: int) -> int:
        """How long the log has been ending before our position."""
        return 0 if self._short_since_us is None else clock_us - self._short_since_us

    def cut(self) -> Cut:
        """Everything read since the last cut, as an entry; `moved` holds."""
        assert self._combiner is not None
        rows, tally = self._combiner.cut()
        key, slot, good, total, excluded_good, excluded_total = rows.columns
        entry = Entry(
            partition=self.partition,
            epoch=self.epoch,
            read_from=self._cut_at,
            next_offset=self.position,
            keys=rows.keys,
            key=key,
            slot=slot,
            good=good,
            total=total,
            excluded_good=excluded_good,
            excluded_total=excluded_total,
            records=tally.records,
            samples=tally.samples,
            dead=len(tally.letters),
            max_event_us=tally.max_event_us,
            clock_us=self._clock_us,
            last_record_crc=tally.last_record_crc,
            last_record_time_us=tally.last_record_time_us,
            points=rows.points,
            seen_again_us=self._seen_again_us,
        )
        self._seen_again_us = None
        self._cut_at = self.position
        self._waiting_since_us = None
        if tally.max_event_us is not None:
            self.watermark_us = max(self.watermark_us or 0, tally.max_event_us)
        return Cut(self, entry, tally)

    def status(self, clock_us: int, worker: str) -> PartitionStatus:
        """Before the first record, the time since we watch stands for it: that nothing came can be said only later."""
        end_position, end_seen_us = self._end or (None, None)
        return PartitionStatus(
            partition=self.partition,
            epoch=self.epoch,
            position=self.committed,
            end_position=end_position,
            end_seen_us=end_seen_us,
            high_watermark=self._high_watermark,
            last_record_us=self._watched_since_us if self._last_record_us is None else self._last_record_us,
            clock_us=clock_us,
            worker=worker,
        )

    def _read_back(self, first: int) -> None:
        """Before our position come the record to compare with and, from `first` on, those whose ids are to be known."""
        assert self._lens is not None
        start = self.position - 1 if self._fingerprint else self.position
        self._duplicates = self._lens.deduplicator(self.partition)
        if self._duplicates is not None and first < self.position:
            start = min(start, max(first, self.position - self._duplicates.horizon))
        self._back_at = start if start < self.position else None

    def _arrived(self, fetched: Fetched, before: int, clock_us: int) -> bool:
        """Whether reading has come to our position."""
        if self._duplicates is not None and self._back_at is not None:
            self._duplicates.recall(fetched.records, before, clock_us)
        if fetched.next_offset < self.position:
            self._back_at = fetched.next_offset
            return False
        self._fingerprint = self._back_at = None
        return True

    def _before(self, records: Records) -> int:
        """How many of the records lie before our position."""
        if self._back_at is None:
            return 0
        return bisect_left(range(len(records.values)), self.position, key=records.offset)

    def _recognises(self, records: Records, before: int) -> bool:
        """Whether the record before our position, if it is there, is the one that was committed."""
        if self._fingerprint is None or not before or records.offset(before - 1) != self.position - 1:
            return True
        crc, time_us = self._fingerprint
        record = records.record(before - 1)
        return record_crc(record) == crc and time_us in (None, record.timestamp_us)

    def _note_short(self, clock_us: int) -> None:
        assert self._high_watermark is not None
        if self._high_watermark >= self.position:
            self._short_since_us = None
        elif self._short_since_us is None:
            self._short_since_us = clock_us

    def _count(self, records: Records, first: int, clock_us: int) -> None:
        assert self._combiner is not None
        after = len(records.values)
        if after > first:
            if self._after_gap:
                self._after_gap = False
                self._seen_again_us = max(records.time_us(first), 0) or clock_us
            if self._duplicates is None:
                self._combiner.take(records, first, after, clock_us)
            else:
                sifted = self._duplicates.sift(records, first)
                self._combiner.take(sifted, first, after, clock_us)
                self._combiner.repeated(sifted.repeated)
            self._last_record_us = clock_us


def gap(reading: Reading, first: int, clock_us: int) -> Entry:
    """An entry that says: records from the reading's position up to `first` were gone before they were read."""
    nothing = np.zeros(0, dtype=np.int64)
    return Entry(
        partition=reading.partition,
        epoch=reading.epoch,
        read_from=reading.position,
        next_offset=first,
        keys=(),
        key=nothing,
        slot=nothing,
        good=nothing,
        total=nothing,
        excluded_good=nothing,
        excluded_total=nothing,
        records=0,
        samples=0,
        dead=0,
        max_event_us=None,
        clock_us=clock_us,
        gap=True,
    )
