"""One partition that is ours: where the ledger stands, how far it has been read, and what came together since."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from consumers.combining import Combiner, Tally, record_crc
from consumers.formats.avro import SchemaById, no_registry
from consumers.formats.choice import Formats
from consumers.matching import Matcher
from consumers.ports import DeadLetter, Definitions, Entry, Fetched, Partition, PartitionStatus, Position, Records


@dataclass(frozen=True, slots=True)
class Lens:
    """What a reading reads and matches by: formats, and the definitions of one revision, ready to use."""

    definitions: Definitions
    matcher: Matcher
    formats: Formats
    schemas: SchemaById = no_registry

    @classmethod
    def of(cls, definitions: Definitions, formats: Formats, schemas: SchemaById = no_registry) -> Lens:
        return cls(definitions, Matcher(definitions.rules), formats, schemas)


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
        self._fingerprint: tuple[int, int | None] | None = None
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
        """Where to read from: one record earlier while the log has yet to show that it is the one that we know."""
        return self.position - 1 if self._fingerprint else self.position

    @property
    def lag(self) -> int | None:
        return None if self._high_watermark is None else max(self._high_watermark - self.position, 0)

    def place(self, position: Position, lens: Lens, future_us: int) -> None:
        """Go on from what is committed; whatever was read since is forgotten."""
        self.epoch = position.epoch
        self.committed = self.position = self._cut_at = position.offset
        known = position.last_record_crc is not None and position.offset > 0
        self._fingerprint = (position.last_record_crc or 0, position.last_record_time_us) if known else None
        form = lens.formats.of(self.partition.topic)
        slot_us = lens.definitions.slot_us
        self._combiner = Combiner(self.partition, lens.matcher, slot_us, future_us, form, lens.schemas)
        self._waiting_since_us = self._short_since_us = self._end = self._seen_again_us = None

    def skipped(self) -> None:
        """A gap was committed: what is read next ends what was not seen."""
        self._after_gap = True

    def forget(self) -> None:
        """Throw away what was read and not committed; it is placed again before it goes on."""
        self._combiner = None
        self._waiting_since_us = None

    def trust(self) -> None:
        """The log has been looked at, and our position is in it."""
        self._fingerprint = None
        self._short_since_us = None

    def take(self, fetched: Fetched, clock_us: int) -> Taken:
        """Count a span. Only READ changes anything."""
        if self._watched_since_us is None:
            self._watched_since_us = clock_us
        if fetched.after_break and not self._fingerprint:
            return Taken.BREAK
        if fetched.read_from != self.seek_to:
            return Taken.STRAY
        if not self._recognises(fetched.records):
            return Taken.ANEW
        self._clock_us = clock_us
        if fetched.end_offset is not None:
            self._high_watermark = fetched.end_offset
            self._note_short(clock_us)
        if self._fingerprint and fetched.next_offset < self.position:
            return Taken.READ  # nothing came: the record to compare with may still
        skipped = 1 if self._fingerprint and self._has_known(fetched.records) else 0
        self._fingerprint = None
        self._count(fetched.records, skipped, clock_us)
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

    def _recognises(self, records: Records) -> bool:
        """Whether the record before our position, if it is there, is the one that was committed."""
        return self._fingerprint is None or not self._has_known(records) or self._matches(records)

    def _has_known(self, records: Records) -> bool:
        return bool(records.values) and records.record(0).offset == self.position - 1

    def _matches(self, records: Records) -> bool:
        assert self._fingerprint is not None
        crc, time_us = self._fingerprint
        record = records.record(0)
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
            self._combiner.take(records, first, after, clock_us)
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
