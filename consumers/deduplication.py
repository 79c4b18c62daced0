"""Events that came before, within a partition: recognised by their ids, over a horizon in offsets.

Every occurrence counts as seen, whether it was counted, was itself a duplicate, or could not be used. So what is a
duplicate follows from the records of the horizon alone, and whoever reads those again knows as much as whoever was there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from consumers.formats.choice import Format
from consumers.formats.identities import identities, without
from consumers.formats.native import LARGEST_VALUE
from consumers.horizons import LARGEST_HORIZON
from consumers.ports import Partition, Record, Records

MOST_IDS: Final = LARGEST_HORIZON
"""Ids kept of a partition, where records hold several events each."""

_PARTS: Final = 16  # a dict that grows is there twice for a moment, and stops everything meanwhile
_LONG_US: Final = 3_000_000  # of reading again, before somebody is told why nothing is counted

_log: Final = structlog.stdlib.get_logger(__name__)


class Seen:
    """Ids by the offset at which each was last seen, over `horizon` offsets and at most `most` occurrences.

    An id is kept as its 64-bit hash, keyed anew in each process (SipHash): nobody can make up two that collide, and two
    that do are mistaken for each other with odds of `horizon` to 2^64 an event.
    """

    def __init__(self, horizon: int, most: int = MOST_IDS) -> None:
        self._horizon = horizon
        self._most = most
        self._last: tuple[dict[int, int], ...] = tuple({} for _ in range(_PARTS))
        self._hashes: deque[int] = deque()  # with `_offsets`: every occurrence, oldest first
        self._offsets: deque[int] = deque()

    def first(self, identity: Hashable, offset: int) -> bool:
        """Whether it was seen neither at an offset in [offset - horizon, offset) nor earlier in the record at `offset`.
        From now on it was. Offsets never fall.
        """
        key = hash(identity)
        part = self._last[key % _PARTS]
        last = part.get(key)
        if last == offset:
            return False
        part[key] = offset
        self._hashes.append(key)
        self._offsets.append(offset)
        earliest = offset - self._horizon
        if self._offsets[0] < earliest or len(self._offsets) > self._most:
            self._let_go(earliest)
        return last is None or last < earliest

    def __len__(self) -> int:
        return sum(map(len, self._last))

    def _let_go(self, earliest: int) -> None:
        hashes, offsets = self._hashes, self._offsets
        while offsets[0] < earliest or len(offsets) > self._most:
            key, offset = hashes.popleft(), offsets.popleft()
            part = self._last[key % _PARTS]
            if part.get(key) == offset:  # else it was seen again since
                del part[key]


@dataclass(frozen=True, slots=True)
class Sifted:
    """Records without the events that came before: those of which nothing is left have no value."""

    records: Records
    values: Sequence[bytes | None]
    repeated: int
    """So many have nothing left."""

    def offset(self, index: int) -> int:
        return self.records.offset(index)

    def time_us(self, index: int) -> int:
        return self.records.time_us(index)

    def headers(self, index: int) -> Sequence[tuple[str, bytes]]:
        return self.records.headers(index)

    def record(self, index: int) -> Record:
        """As it came, whole."""
        return self.records.record(index)


class Deduplicator:
    """What one partition's events have been, from some offset on: `recall` what was read before, then `sift` what is new.

    Records come in order, each once.
    """

    def __init__(self, partition: Partition, form: Format, horizon: int) -> None:
        self.horizon = horizon
        self._partition = partition
        self._identities = identities(form)
        self._seen = Seen(horizon)
        self._recalling_since_us: int | None = None
        self._told = False

    def recall(self, records: Records, after: int, clock_us: int) -> None:
        """Records [0, after), by index, were read before: their ids are seen."""
        for index, value in enumerate(records.values[:after]):
            if value is not None:
                self._known(records, index, value)
        if self._recalling_since_us is None:
            self._recalling_since_us = clock_us
        elif clock_us - self._recalling_since_us > _LONG_US and not self._told:
            self._told = True
            _log.info(
                "The ids of a partition are being read again; counting goes on after that.",
                action="ids_recalled",
                partition=f"{self._partition.topic}/{self._partition.number}",
                horizon=self.horizon,
                known=len(self._seen),
            )

    def sift(self, records: Records, first: int) -> Sifted:
        """Records from `first` on, by index, are new. Indexes stay as they are."""
        values = list(records.values)
        repeated = 0
        for index in range(first, len(values)):
            value = values[index]
            if value is None:
                continue
            places, events = self._known(records, index, value)
            if not places:
                continue
            if len(places) == events:
                values[index] = None
                repeated += 1
            else:
                values[index] = without(value, places)
        return Sifted(records, values, repeated)

    def _known(self, records: Records, index: int, value: bytes) -> tuple[Sequence[int], int]:
        """The places of the record's events that came before, and how many events there are."""
        if len(value) > LARGEST_VALUE:
            return (), 0  # a dead letter, whatever is in it
        found = self._identities(value, records.headers(index))
        first, offset = self._seen.first, records.offset(index)
        if len(found) == 1:
            return ((), 1) if found[0] is None or first(found[0], offset) else ((0,), 1)
        return [place for place, each in enumerate(found) if each is not None and not first(each, offset)], len(found)
