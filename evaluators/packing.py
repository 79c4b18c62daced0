"""Counts as bytes: many parts at once, since most are small and a call of numpy costs more than their rows.

Small whole numbers: steps of series and slot after a part's first, failures instead of good, both without their sign. Of
each column the lowest bytes of all rows, then the next, up to the last one that is used: most rows use few.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

COLUMNS: Final = 6
_FORMAT: Final = b"U2"
_LEVEL: Final = 1  # the cheapest zlib level: what is left hardly shrinks more at any other
_HEAD: Final = struct.Struct("<Iqq6B")  # rows, first series, first slot, bytes used of each column
_WORD: Final = 8
_LEAST_OF_WIDTH: Final = np.array([1 << 8 * width for width in range(_WORD)], dtype=np.uint64)


class CorruptSlots(ValueError):
    """Packed slots could not be read back: the row is damaged or of a later version."""


def packed(columns: Int64s, starts: Int64s) -> list[bytes]:
    """Columns of shape [6, rows], cut at `starts` (rising, from 0; at most one of no rows): bytes of each part."""
    rows = columns.shape[1]
    if not rows:
        return [_FORMAT + zlib.compress(_HEAD.pack(0, 0, 0, *[0] * COLUMNS), _LEVEL) for _ in starts]
    steps = _failures_or_good(columns.copy())
    steps[:2, 1:] -= columns[:2, :-1]
    steps[:2, starts] = 0
    words = ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    used = np.searchsorted(_LEAST_OF_WIDTH, np.maximum.reduceat(words, starts, axis=1), side="right")
    most = max(int(used.max()), 1)
    planes = np.ascontiguousarray(
        words.astype("<u8").view(np.uint8).reshape(COLUMNS, rows, _WORD)[:, :, :most].transpose(0, 2, 1)
    )
    found: list[bytes] = []
    edges = [*starts.tolist(), rows]
    for place, (first, series, slot) in enumerate(zip(edges, *columns[:2, starts].tolist(), strict=False)):
        end, widths = edges[place + 1], used[:, place].tolist()
        body = [planes[column, :width, first:end].tobytes() for column, width in enumerate(widths) if width]
        head = _HEAD.pack(end - first, series, slot, *widths)
        found.append(_FORMAT + zlib.compress(b"".join((head, *body)), _LEVEL))
    return found


def unpacked(parts: Sequence[bytes]) -> Int64s:
    """Inverse of `packed`: all rows of all parts in order. Raises CorruptSlots."""
    bodies = [body for body in map(_body, parts) if body[1][0]]
    heads = [head for _, head in bodies]
    edges = np.cumsum([0, *(head[0] for head in heads)]).tolist()
    words = np.zeros((COLUMNS, edges[-1], _WORD), dtype=np.uint8)
    most = max((max(head[3:]) for head in heads), default=0)
    planes = np.zeros((COLUMNS, most, edges[-1]), dtype=np.uint8)
    for place, (body, (rows, _, _, *widths)) in enumerate(bodies):
        first, end, at = edges[place], edges[place + 1], _HEAD.size
        for column, width in enumerate(widths):
            if width:
                part = np.frombuffer(body, dtype=np.uint8, count=width * rows, offset=at)
                planes[column, :width, first:end] = part.reshape(width, rows)
                at += width * rows
    words[:, :, :most] = planes.transpose(0, 2, 1)
    folded = words.view("<u8")[:, :, 0].astype(np.uint64)
    columns = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    firsts = np.array([head[1:3] for head in heads], dtype=np.int64).reshape(-1, 2).T
    columns[:2] = np.cumsum(columns[:2], axis=1)
    columns[:2] += np.repeat(firsts - columns[:2, edges[:-1]], np.diff(edges), axis=1)
    return _failures_or_good(columns)


def _body(data: bytes) -> tuple[bytes, tuple[int, ...]]:
    if not data.startswith(_FORMAT):
        message = "packed slots have an unknown format"
        raise CorruptSlots(message)
    try:
        body = zlib.decompress(data[len(_FORMAT) :])
        head = _HEAD.unpack_from(body)
    except (zlib.error, struct.error) as error:
        message = "packed slots are damaged"
        raise CorruptSlots(message) from error
    widths = head[3:]
    if len(body) != _HEAD.size + head[0] * sum(widths) or max(widths) > _WORD:
        message = "packed slots are damaged"
        raise CorruptSlots(message)
    return body, head


def _failures_or_good(columns: Int64s) -> Int64s:
    """Failures of totals where good was, and the other way round; in place."""
    columns[2] = columns[3] - columns[2]
    columns[4] = columns[5] - columns[4]
    return columns
