"""Where an objective (or one group of it) stands at a tick: the numbers that API, page and /metrics show.

The engine produces a `StandingTable` of columns; `Standing` is one row of it as a value. All times are int microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Basis = Literal["observed", "projected"]
PeriodKind = Literal["rolling", "calendar"]


class Verdict(StrEnum):
    """What the agreement says of an objective now; None where nothing was counted yet."""

    MET = "met"
    AT_RISK = "at_risk"
    BREACHED = "breached"


class DataState(StrEnum):
    """Beside the verdict: do we see, and is there anything to see."""

    LIVE = "live"
    SILENT = "silent"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class SeriesIdentity:
    """What a series is called; fixed while its definition's version is in force."""

    series_id: int
    agreement: str
    objective: str
    service: str | None
    labels: tuple[tuple[str, str], ...]
    version: int
    target: float
    period_kind: PeriodKind
    runbook: str | None = None

    @property
    def group(self) -> dict[str, str]:
        """The groupBy labels of this series; empty where the objective is not grouped."""
        return dict(self.labels)


@dataclass(frozen=True, slots=True)
class ViewNumbers:
    """One view's counts over the period, and burn rates per window name (None: nothing counted in it)."""

    good: int
    total: int
    sli: float | None
    budget_remaining: float | None
    burn_rates: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """One objective and group at one tick."""

    identity: SeriesIdentity
    verdict: Verdict | None
    data: DataState
    firing: Literal["page", "ticket"] | None
    since_us: int
    reason: str
    as_of_us: int
    period_start_us: int
    period_end_us: int
    basis: Basis
    allowed: float
    spent: int
    contractual: ViewNumbers
    experienced: ViewNumbers
    coverage: float
    exhausted_us: int | None


BLOCK_COLUMNS: Mapping[str, str] = {
    "verdict": "i1",  # -1 none, else index into VERDICTS
    "data": "i1",  # index into DATA_STATES
    "firing": "i1",  # -1 none, 0 ticket, 1 page
    "since_us": "i8",  # when the present verdict began, event time
    "period_start_us": "i8",
    "period_end_us": "i8",
    "projected": "i1",  # 1: budget from the expected total of an open or young period
    "allowed": "f8",  # budget in events, contractual
    "good": "i8",  # experienced
    "total": "i8",
    "contractual_good": "i8",
    "contractual_total": "i8",
    "experienced_allowed": "f8",
    "coverage": "f8",
    "exhausted_us": "i8",  # -1: not within the period at this burn
    "condition": "i2",  # index into the block's conditions of the one that explains `firing`, -1 none
    "held_back": "i1",  # 1: the low-traffic gate holds a burn-rate condition back
    "last_us": "i8",  # end of the last slot with a sample, -1: there never was one
}
"""Columns of a block, one value a series, with their dtypes."""

VERDICTS = (Verdict.MET, Verdict.AT_RISK, Verdict.BREACHED)
DATA_STATES = (DataState.LIVE, DataState.SILENT, DataState.BLIND)
FIRING = ("ticket", "page")


@dataclass(frozen=True, slots=True, eq=False)
class StandingBlock:
    """Series that share windows and alert conditions. `burn` has shape (2 views, windows, series), NaN: nothing counted.

    View 0 is contractual, view 1 experienced. `windows` are duration names ("5m", "1h", ...). `conditions` are plain
    dicts as a page carries them: {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"}.
    """

    identities: tuple[SeriesIdentity, ...]
    windows: tuple[str, ...]
    conditions: tuple[Mapping[str, Any], ...]
    columns: Mapping[str, NDArray[Any]]
    burn: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.identities)


@dataclass(frozen=True, slots=True, eq=False)
class StandingTable:
    """All series of a shard at one tick. `blind` names the cause while we cannot see."""

    as_of_us: int
    blocks: tuple[StandingBlock, ...]
    blind: str | None = None

    def standings(self) -> Iterator[Standing]:
        """Every row as a value, in block order (see `evaluators.reasons` for how the reason is worded)."""
        from evaluators.standing_rows import rows  # noqa: PLC0415 - wording depends on these classes

        return rows(self)

    def pack_identities(self) -> bytes:
        """The part that changes with definitions only."""
        return msgspec.msgpack.encode([[block.identities, block.windows, block.conditions] for block in self.blocks])

    def pack_columns(self) -> bytes:
        """The part that changes with each tick."""
        blocks = [
            [
                {name: block.columns[name].astype("<" + kind).tobytes() for name, kind in BLOCK_COLUMNS.items()},
                block.burn.astype("<f8").tobytes(),
            ]
            for block in self.blocks
        ]
        return msgspec.msgpack.encode([self.as_of_us, self.blind, blocks])

    @classmethod
    def unpack(cls, identities: bytes, columns: bytes) -> StandingTable:
        """Inverse of `pack_identities` and `pack_columns`; both must be of the same tick's block layout."""
        return cls.unpack_columns(unpack_identities(identities), columns)

    @classmethod
    def unpack_columns(cls, heads: Sequence[BlockHead], columns: bytes) -> StandingTable:
        """Inverse of `pack_columns`, for identities that were unpacked before."""
        as_of_us, blind, bodies = msgspec.msgpack.decode(
            columns, type=tuple[int, str | None, list[tuple[dict[str, bytes], bytes]]]
        )
        blocks = tuple(
            StandingBlock(
                names,
                windows,
                conditions,
                {name: np.frombuffer(packed[name], dtype="<" + kind) for name, kind in BLOCK_COLUMNS.items()},
                np.frombuffer(burn, dtype="<f8").reshape(2, len(windows), len(names)),
            )
            for (names, windows, conditions), (packed, burn) in zip(heads, bodies, strict=True)
        )
        return cls(as_of_us, blocks, blind)


BlockHead = tuple[tuple[SeriesIdentity, ...], tuple[str, ...], tuple[dict[str, Any], ...]]
"""Identities, windows and conditions of one block."""


def unpack_identities(data: bytes) -> list[BlockHead]:
    """Inverse of `StandingTable.pack_identities`; worth keeping, because it changes with definitions only."""
    return msgspec.msgpack.decode(data, type=list[BlockHead])
