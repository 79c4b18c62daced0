"""The engine as bytes: all of it (a cache), or the small truth that slots do not tell (the open state).

Both begin with a format name and a checksum, so that a damaged or foreign row is noticed before anything is believed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    Condition,
    ExhaustionCondition,
    Minimum,
    Period,
    RollingPeriod,
    SilentCondition,
)
from evaluators.engine.fold import State
from evaluators.engine.specs import SeriesSpec
from evaluators.engine.tiers import Tier
from evaluators.engine.timeline import Timeline
from evaluators.engine.tracks import Track
from evaluators.engine.versions import Version
from evaluators.incidents import Incident, IncidentChange
from evaluators.policies import ResolvedPolicy
from evaluators.slots import CorruptSlots, Int64s, SlotCounts
from evaluators.standings import SeriesIdentity

if TYPE_CHECKING:
    from evaluators.engine.block import Block
    from evaluators.engine.shard import ShardEngine

Body = TypeVar("Body")

_SNAPSHOT: Final = b"UE1"
_OPEN: Final = b"UO1"
_LEVEL: Final = 1
_CHECK_BYTES: Final = 4
_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        RollingPeriod,
        CalendarPeriod,
        BurnRateCondition,
        SilentCondition,
        BudgetRemainingCondition,
        ExhaustionCondition,
    )
}


class CorruptSnapshot(ValueError):
    """The bytes are damaged, cut off, or of another version: rebuild from the slots."""


class _OpenBody(msgspec.Struct, array_like=True):
    evaluated_until_us: int | None
    hold_from_us: int | None
    tracks: list[msgspec.Raw]
    seen: list[tuple[bytes, bytes, bytes, bytes]]  # per block: series, first, last, forgotten
    excluding: list[int]
    retired: list[IncidentChange]
    versions: list[tuple[int, bytes, bytes]]  # tick, series, what the budget before it was more


class _TrackBody(msgspec.Struct, array_like=True):
    series_id: int
    watched_from_us: int
    ruled_from_us: int
    target: float
    states: list[State]
    incidents: list[Incident]


class _SpecBody(msgspec.Struct, array_like=True):
    identity: SeriesIdentity
    period: tuple[str, dict[str, Any]]
    conditions: list[tuple[str, dict[str, Any]]]
    minimum: Minimum
    counts_from_us: int
    counts_until_us: int | None
    notify: tuple[str, ...]
    has_exclusions: bool


class _TierBody(msgspec.Struct, array_like=True):
    step_us: int
    rows: int
    end: int
    rings: list[tuple[str, bytes]]


class _BlockBody(msgspec.Struct, array_like=True):
    series: list[int]
    excluding: bool
    batch: int
    tiers: list[_TierBody]
    carried: bytes
    periods: list[tuple[int, bytes]]
    versions: list[tuple[int, bytes]]
    codes: bytes


class _Body(msgspec.Struct, array_like=True):
    slot_us: int
    windows: tuple[str, ...]
    starts_us: int | None
    specs: list[_SpecBody]
    open_state: bytes
    blocks: list[_BlockBody]
    pending: list[bytes]
    late: list[bytes]


def pack_open(engine: ShardEngine) -> bytes:
    """What `unpack_open` reads back."""
    return _sealed(_OPEN, msgspec.msgpack.encode(_open_body(engine)))


def unpack_open(engine: ShardEngine, data: bytes) -> None:
    """Give a fresh engine, whose specs are known, the state that it had. Raises CorruptSnapshot."""
    body = _decoded(_OPEN, data, _OpenBody)
    _resume(engine, body)


def pack(engine: ShardEngine) -> bytes:
    """What `unpack` reads back."""
    body = _Body(
        slot_us=engine.slot_us,
        windows=engine.windows,
        starts_us=engine.starts_us,
        specs=[_spec_body(spec) for spec in engine.specs],
        open_state=pack_open(engine),
        blocks=[
            _BlockBody(
                series=[track.spec.identity.series_id for track in block.tracks],
                excluding=key[2],
                batch=block.timeline.batch,
                tiers=[_tier_body(tier) for tier in block.timeline.tiers.values()],
                carried=_bytes(block.timeline.carried),
                periods=[(start, _bytes(sums)) for start, sums in block.timeline.periods.items()],
                versions=[(each.at_us, _bytes(each.before)) for each in block.timeline.versions.known],
                codes=_bytes(block.codes),
            )
            for key, block in engine.blocks.items()
        ],
        pending=[part.pack() for part in engine.pending.parts()],
        late=[part.pack() for part in engine.late],
    )
    return _sealed(_SNAPSHOT, msgspec.msgpack.encode(body))


def unpack(make: Callable[..., ShardEngine], data: bytes) -> ShardEngine:
    """Inverse of `pack`. Raises CorruptSnapshot."""
    body = _decoded(_SNAPSHOT, data, _Body)
    engine = make(body.slot_us, starts_us=body.starts_us, windows=body.windows)
    try:
        specs = [_spec(each) for each in body.specs]
        engine.define(_as_placed(specs, body.blocks))
        unpack_open(engine, body.open_state)
        engine.specs = tuple(specs)
        for packed in body.pending:
            engine.pending.add(SlotCounts.unpack(packed))
        engine.late.extend(SlotCounts.unpack(packed) for packed in body.late)
        for block_body in body.blocks:
            _fill(engine, block_body)
    except (CorruptSlots, ValueError, LookupError, TypeError) as error:
        raise CorruptSnapshot("a snapshot does not fit together") from error
    return engine


def _as_placed(specs: list[SeriesSpec], blocks: list[_BlockBody]) -> list[SeriesSpec]:
    """In the order of the blocks' columns, which is that of the definitions only until a series moves to another block."""
    places = {series_id: place for place, series_id in enumerate(each for block in blocks for each in block.series)}
    return sorted(specs, key=lambda spec: places.get(spec.identity.series_id, 0))


def _open_body(engine: ShardEngine) -> _OpenBody:
    return _OpenBody(
        evaluated_until_us=engine.evaluated_until_us,
        hold_from_us=engine.hold_from_us,
        tracks=[msgspec.Raw(_packed_track(track)) for track in engine.tracks.values()],
        seen=[
            (
                _bytes(np.array([track.spec.identity.series_id for track in block.tracks], dtype=np.int64)),
                _bytes(block.timeline.first_us),
                _bytes(block.timeline.last_us),
                _bytes(block.timeline.forgotten_us),
            )
            for block in engine.blocks.values()
        ],
        excluding=sorted(engine.excluding),
        retired=engine.retired,
        versions=[
            _version_body(block, version)
            for block in engine.blocks.values()
            for version in block.timeline.versions.known
        ],
    )


def _packed_track(track: Track) -> bytes:
    if track.packed is None:
        body = _TrackBody(
            track.spec.identity.series_id,
            track.watched_from_us,
            track.ruled_from_us,
            track.target,
            track.states,
            track.incidents,
        )
        track.packed = msgspec.msgpack.encode(body)
    return track.packed


def _resume(engine: ShardEngine, body: _OpenBody) -> None:
    specs = {spec.identity.series_id: spec for spec in engine.specs}
    engine.hold_from_us = body.hold_from_us
    engine.excluding = set(body.excluding)
    engine.retired.extend(body.retired)
    if body.evaluated_until_us is None:
        return
    tracks: dict[int, Track] = {}
    for raw in body.tracks:
        packed = _converted(bytes(raw), _TrackBody)
        spec = specs.get(packed.series_id)
        tracks[packed.series_id] = Track(
            spec or _placeholder(packed),
            packed.watched_from_us,
            packed.states,
            packed.incidents,
            packed.ruled_from_us,
            packed.target,
        )
    engine.tracks = tracks
    engine.begin(body.evaluated_until_us)
    for series, first, last, forgotten in body.seen:
        _see(engine, _ints(series), _ints(first), _ints(last), _ints(forgotten))
    for at_us, series, extra in body.versions:
        engine.versioned(_ints(series), at_us, _reals(extra))


def _placeholder(packed: _TrackBody) -> SeriesSpec:
    """The series is no longer defined: its track only lives until it retires."""
    identity = SeriesIdentity(packed.series_id, "", "", None, (), 0, 0.5, "rolling")
    return SeriesSpec(identity, RollingPeriod(1), ResolvedPolicy((), Minimum()), 0)


def _see(engine: ShardEngine, series: Int64s, first: Int64s, last: Int64s, forgotten: Int64s) -> None:
    block, column = engine.homes.find(series)
    for index, key in enumerate(engine.homes.keys):
        mine = block == index
        timeline = engine.blocks[key].timeline
        at = column[mine]
        np.minimum.at(timeline.first_us, at, first[mine])
        np.maximum.at(timeline.last_us, at, last[mine])
        np.maximum.at(timeline.forgotten_us, at, forgotten[mine])


def _fill(engine: ShardEngine, body: _BlockBody) -> None:
    """Give a block, which was made empty from its definitions, its counts."""
    _, column = engine.homes.find(np.array(body.series, dtype=np.int64))
    key = engine.homes.key_of(body.series[0])
    if key is None or not np.array_equal(column, np.arange(len(body.series))):
        raise CorruptSnapshot("a snapshot's blocks are not those of its definitions")
    block = engine.blocks[key]
    timeline = block.timeline
    timeline.batch = body.batch
    timeline.tiers = {each.step_us: _tier(each, timeline) for each in body.tiers}
    timeline.carried = _ints(body.carried).reshape(timeline.carried.shape)
    timeline.periods = {start: _ints(sums).reshape(timeline.kinds, -1) for start, sums in body.periods}
    before = dict(body.versions)
    for version in timeline.versions.known:
        version.before = _ints(before[version.at_us]).reshape(timeline.kinds, -1)
    block.codes = _ints(body.codes)


def _spec_body(spec: SeriesSpec) -> _SpecBody:
    return _SpecBody(
        identity=spec.identity,
        period=_tagged(spec.period),
        conditions=[_tagged(each) for each in spec.policy.conditions],
        minimum=spec.policy.minimum,
        counts_from_us=spec.counts_from_us,
        counts_until_us=spec.counts_until_us,
        notify=spec.notify,
        has_exclusions=spec.has_exclusions,
    )


def _spec(body: _SpecBody) -> SeriesSpec:
    conditions: tuple[Condition, ...] = tuple(_untagged(each) for each in body.conditions)
    period: Period = _untagged(body.period)
    policy = ResolvedPolicy(conditions, body.minimum)
    return SeriesSpec(
        body.identity, period, policy, body.counts_from_us, body.counts_until_us, body.notify, body.has_exclusions
    )


def _tagged(value: object) -> tuple[str, dict[str, Any]]:
    return type(value).__name__, msgspec.to_builtins(value)


def _untagged(tagged: tuple[str, dict[str, Any]]) -> Any:
    return msgspec.convert(tagged[1], _KINDS[tagged[0]])


def _version_body(block: Block, version: Version) -> tuple[int, bytes, bytes]:
    changed = np.flatnonzero(version.extra)
    series = np.array([block.tracks[column].spec.identity.series_id for column in changed.tolist()], dtype=np.int64)
    return version.at_us, _bytes(series), version.extra[changed].astype("<f8").tobytes()


def _tier_body(tier: Tier) -> _TierBody:
    rings = [(ring.dtype.newbyteorder("<").str, ring.tobytes()) for ring in tier.rings]
    return _TierBody(tier.step_us, tier.rows, tier.end, rings)


def _tier(body: _TierBody, timeline: Timeline) -> Tier:
    tier = Tier(body.step_us, body.rows, 0, 0, body.end)
    tier.rings = [
        np.frombuffer(packed, dtype=width).astype(np.dtype(width).newbyteorder("=")).reshape(body.rows, timeline.series)
        for width, packed in body.rings
    ]
    return tier


def _bytes(numbers: Int64s) -> bytes:
    return np.ascontiguousarray(numbers, dtype="<i8").tobytes()


def _reals(data: bytes) -> NDArray[np.float64]:
    return np.frombuffer(data, dtype="<f8").astype(np.float64)


def _ints(data: bytes) -> Int64s:
    return np.frombuffer(data, dtype="<i8").astype(np.int64)


def _sealed(name: bytes, body: bytes) -> bytes:
    packed = zlib.compress(body, _LEVEL)
    return name + zlib.crc32(packed).to_bytes(_CHECK_BYTES, "big") + packed


def _decoded(name: bytes, data: bytes, kind: type[Body]) -> Body:
    if not data.startswith(name):
        raise CorruptSnapshot("a snapshot has an unknown format")
    packed = data[len(name) + _CHECK_BYTES :]
    if zlib.crc32(packed).to_bytes(_CHECK_BYTES, "big") != data[len(name) : len(name) + _CHECK_BYTES]:
        raise CorruptSnapshot("a snapshot is damaged")
    try:
        return _converted(zlib.decompress(packed), kind)
    except zlib.error as error:
        raise CorruptSnapshot("a snapshot is damaged") from error


def _converted(data: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise CorruptSnapshot("a snapshot is of another version") from error
