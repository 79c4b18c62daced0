"""Prometheus text of many series with the same label sets, by joining strings and compressing what changed.

A column is one metric with its own labels fixed (`view="contractual",window="5m"`), a value for each row. A column
whose values are those of the scrape before is not written, nor compressed, again: most verdicts, targets and states
stay as they are from one tick to the next.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_LAST_BLOCK: Final = b"\x03\x00"
_LEVEL: Final = 1  # lines repeat so much that higher levels cost time and gain little
_NOT_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_FLAGS: Final = np.array(["0", "1"], dtype=object)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One value a row; NaN: no line. `labels` belong to all rows of it."""

    labels: Mapping[str, str]
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric; a gauge."""

    name: str
    help: str
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an exposition: the text, and the same as deflate blocks that may stand between others."""

    text: bytes
    deflated: bytes

    @classmethod
    def of(cls, text: bytes) -> Chunk:
        """Full flush: the blocks end on a byte and need nothing of what came before."""
        squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(text, squeeze.compress(text) + squeeze.flush(zlib.Z_FULL_FLUSH))


def gzipped(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """One gzip member over all chunks."""
    checksum, size = 0, 0
    yield _GZIP_HEADER
    for chunk in chunks:
        checksum = zlib.crc32(chunk.text, checksum)
        size += len(chunk.text)
        yield chunk.deflated
    yield _LAST_BLOCK + struct.pack("<II", checksum, size & 0xFFFFFFFF)


class ColumnWriter:
    """Writes the columns of one set of rows; `labels` are the rows' own labels, written (`labels_text`)."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._written: dict[tuple[str, str], tuple[NDArray[Any], Chunk]] = {}

    def chunks(self, family: Family) -> Iterator[Chunk]:
        """The family's lines; nothing at all when none of its rows has a value."""
        columns = [chunk for column in family.columns if (chunk := self._column(family.name, column)).text]
        if columns:
            yield _head(family.name, family.help)
            yield from columns

    def _column(self, name: str, column: Column) -> Chunk:
        own = labels_text(column.labels)
        known = self._written.get((name, own))
        if known is not None and _same(known[0], column.values):
            return known[1]
        chunk = Chunk.of(self._text(name, own, column.values))
        self._written[name, own] = (column.values, chunk)
        return chunk

    def _text(self, name: str, own: str, values: NDArray[Any]) -> bytes:
        labels = self._labels
        if values.dtype.kind == "f":
            there = ~np.isnan(values)
            if not there.all():
                values = values[there]
                labels = [labels[row] for row in np.flatnonzero(there).tolist()]
        count = len(labels)
        parts = [""] * (4 * count)
        parts[0::4] = [f"{name}{{"] * count
        parts[1::4] = labels
        parts[2::4] = [f",{own}}} " if own else "} "] * count
        parts[3::4] = [value + "\n" for value in _texts(values)]
        return "".join(parts).encode("utf-8", "replace")


def labels_text(labels: Mapping[str, str]) -> str:
    """`name="value"` pairs, values escaped."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())


def group_labels(group: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`group_<name>` for each label; what Prometheus does not allow in a name becomes `_`, and names stay distinct."""
    found: dict[str, str] = {}
    for name, value in group:
        label = wanted = "group_" + _NOT_A_NAME.sub("_", name)
        copy = 2
        while label in found:
            label = f"{wanted}_{copy}"
            copy += 1
        found[label] = value
    return found


def _head(name: str, text: str) -> Chunk:
    return Chunk.of(f"# HELP {name} {text}\n# TYPE {name} gauge\n".encode())


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one is other or np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _texts(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "b":
        return _FLAGS[values.astype(np.int8)].tolist()
    if values.dtype.kind in "iu":
        return list(map(str, values.tolist()))
    return list(map(repr, values.tolist()))  # the shortest text that reads back as the same number
