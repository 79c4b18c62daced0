"""What cannot be summed as it comes: points of counters, states, sightings, sketches and pairs, carried to the evaluator.

They are few beside events. A set of them is a set: the same points in any order and any cut are the same set, and what is
measured from them depends on nothing else.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from evaluators.packing import CorruptSlots
from evaluators.slots import Int64s

COLUMNS: Final = 6
_FORMAT: Final = b"UP1"
_LEVEL: Final = 1
_ROWS: Final = struct.Struct("<I")
_SOURCE_BYTES: Final = 8
_SIGN: Final = 63  # bits below it

_GOOD_SHIFT: Final = 4
_TOTAL_BIT: Final = 1 << 6
_EXCLUDED_BIT: Final = 1 << 7
ANCHOR_BIT: Final = 1 << 8
"""The oldest point that is kept of its source: what came before it has been let go of."""


class Kind(IntEnum):
    """What a point says; the lowest four bits of its tag."""

    COUNTER = 0  # value: occurrences since start_us
    STATE = 1  # value: 0 down, 1 up
    SEEN = 2  # a sample at this time
    SKETCH = 3  # value: occurrences in the bucket that is the source
    OPENED = 4
    CLOSED = 5
    PAUSED = 6
    RESUMED = 7


_KIND_MASK: Final = 15


def tagged(kind: Kind, *, good: int = 0, total: int = 0, excluded: bool = False) -> int:
    """A tag. A counter adds `good` (-1, 0 or 1) and `total` (0 or 1) times its increase."""
    return kind | (good + 1) << _GOOD_SHIFT | _TOTAL_BIT * total | _EXCLUDED_BIT * excluded


def source_of(metric: str, labels: Mapping[str, str]) -> int:
    """The identity of what emits a series, the same in every process: 63 bits of a digest."""
    parts = [metric, *(part for name in sorted(labels) for part in (name, labels[name]))]
    return hashed(parts)


def hashed(parts: Iterable[str]) -> int:
    """63 bits of a digest of texts, told apart by their lengths."""
    digest = hashlib.blake2b(digest_size=_SOURCE_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(_ROWS.pack(len(data)) + data)
    return int.from_bytes(digest.digest(), "big") & ((1 << _SIGN) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Rows of (series, source, tag, time_us, value, start_us), six int64 columns of one length; start 0: unknown."""

    series: Int64s
    source: Int64s
    tag: Int64s
    time_us: Int64s
    value: Int64s
    start_us: Int64s

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls.from_columns(np.zeros((COLUMNS, 0), dtype=np.int64))

    @classmethod
    def from_columns(cls, columns: Int64s) -> Self:
        """From an array of shape (6, rows) in field order."""
        return cls(*(np.ascontiguousarray(column, dtype=np.int64) for column in columns))

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, ...]]) -> Self:
        """From tuples in field order."""
        return cls.from_columns(np.array(rows, dtype=np.int64).reshape(-1, COLUMNS).T)

    @property
    def columns(self) -> Int64s:
        """Shape (6, rows), in field order."""
        return np.stack((self.series, self.source, self.tag, self.time_us, self.value, self.start_us))

    @property
    def kind(self) -> Int64s:
        return self.tag & _KIND_MASK

    @property
    def good(self) -> Int64s:
        return (self.tag >> _GOOD_SHIFT & 3) - 1

    @property
    def total(self) -> Int64s:
        return (self.tag & _TOTAL_BIT) // _TOTAL_BIT

    @property
    def excluded(self) -> NDArray[np.bool_]:
        return (self.tag & _EXCLUDED_BIT) != 0

    @property
    def anchor(self) -> NDArray[np.bool_]:
        return (self.tag & ANCHOR_BIT) != 0

    def __len__(self) -> int:
        return len(self.series)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Points) and np.array_equal(self.sorted().columns, other.sorted().columns)

    __hash__ = None  # type: ignore[assignment]

    def take(self, chosen: NDArray[np.bool_] | Int64s) -> Points:
        """The rows chosen by a mask or by indices."""
        return Points.from_columns(self.columns[:, chosen])

    def of(self, *kinds: Kind) -> Points:
        """Those of some kinds."""
        return self if not len(self) else self.take(np.isin(self.kind, kinds))

    def sorted(self) -> Points:
        """By series, source, time, value, start, tag."""
        order = np.lexsort((self.tag, self.start_us, self.value, self.time_us, self.source, self.series))
        return Points.from_columns(self.columns[:, order])

    def pack(self) -> bytes:
        """Bytes for one row of the store; `unpack` reads them back, sorted."""
        columns = self.sorted().columns
        steps = np.diff(columns, axis=1, prepend=np.zeros((COLUMNS, 1), dtype=np.int64))
        return _FORMAT + zlib.compress(_ROWS.pack(len(self)) + steps.astype("<i8").tobytes(), _LEVEL)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Inverse of `pack`. Raises CorruptSlots."""
        if not data.startswith(_FORMAT):
            raise CorruptSlots("packed points have an unknown format")
        try:
            body = zlib.decompress(data[len(_FORMAT) :])
            (rows,) = _ROWS.unpack_from(body)
            steps = np.frombuffer(body, dtype="<i8", offset=_ROWS.size).reshape(COLUMNS, rows)
        except (zlib.error, ValueError, struct.error) as error:
            raise CorruptSlots("packed points are damaged") from error
        return cls.from_columns(np.cumsum(steps.astype(np.int64), axis=1))


def joined(parts: Sequence[Points]) -> Points:
    """All rows of all parts."""
    found = [part for part in parts if len(part)]
    if len(found) == 1:
        return found[0]
    return Points.from_columns(np.concatenate([part.columns for part in found], axis=1)) if found else Points.empty()
