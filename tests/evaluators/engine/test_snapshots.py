"""The engine as bytes: nothing of a damaged or foreign row is believed."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import msgspec
import pytest

from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    ExhaustionCondition,
    SilentCondition,
)
from evaluators.durations import HOUR, MINUTE
from evaluators.engine import ShardEngine
from evaluators.engine.snapshots import CorruptSnapshot
from evaluators.slots import SlotCounts
from tests.evaluators.engine.promises import SLOT, at, counts, engine_of, promise, traffic

PAGE = BurnRateCondition(HOUR, 5 * MINUTE, 2, "page")
MONTHLY = promise(
    PAGE,
    SilentCondition(HOUR, "ticket"),
    BudgetRemainingCondition(0.5, "ticket", "experienced"),
    ExhaustionCondition(HOUR, "page"),
    series=2,
    period=CalendarPeriod("month", "Europe/Berlin"),
    has_exclusions=True,
    counts_until_us=at(300),
)


def burning() -> ShardEngine:
    """Two promises in trouble, with counts that are late and counts that wait."""
    engine = engine_of(promise(PAGE), MONTHLY)
    engine.fold(traffic(range(60), bad=20))
    engine.fold(traffic(range(60), bad=20, series=2))
    engine.advance(at(60), lateness_us=0)
    engine.fold(traffic(range(10, 12), bad=50))
    engine.fold(counts([(2, at(61) // SLOT, 3, 9, 1, 2)]))
    return engine


def sealed(name: bytes, body: bytes) -> bytes:
    packed = zlib.compress(body)
    return name + zlib.crc32(packed).to_bytes(4, "big") + packed


def opened(data: bytes) -> list[object]:
    return msgspec.msgpack.decode(zlib.decompress(data[7:]))


def again(data: bytes) -> ShardEngine:
    return ShardEngine.rebuilt(SLOT, data, burning().specs, SlotCounts.empty())


def test_a_restored_engine_knows_all_that_it_knew() -> None:
    """Definitions, counts that are late or wait, sums, and the next thing to tell."""
    engine = burning()
    other = ShardEngine.restore(engine.snapshot())
    assert other.specs == engine.specs
    assert list(other.table(blind=None).standings()) == list(engine.table(blind=None).standings())
    assert opened(other.snapshot()) == opened(engine.snapshot())
    assert other.advance(at(70), lateness_us=0) == engine.advance(at(70), lateness_us=0)


def test_an_engine_that_never_ran_is_restored_too() -> None:
    """What waited still waits."""
    engine = ShardEngine(SLOT, windows=("5m",))
    engine.define([promise(PAGE)])
    engine.fold(traffic(range(60), bad=20))
    other = ShardEngine.restore(engine.snapshot())
    assert (other.evaluated_until_us, other.windows) == (None, ("5m",))
    first = other.advance(at(60), lateness_us=0)
    assert [change.kind for change in first.incidents] == ["opened"]
    assert first == engine.advance(at(60), lateness_us=0)


def test_an_open_incident_of_a_series_that_is_gone_ends_after_a_restart() -> None:
    """It was retired while nobody ran."""
    engine = burning()
    other = ShardEngine.rebuilt(SLOT, engine.open_state(), [MONTHLY], SlotCounts.empty())
    advance = other.advance(at(60), lateness_us=0)
    [resolved] = [change for change in advance.incidents if change.incident.series_id == 1]
    assert (resolved.kind, resolved.at_us) == ("resolved", at(60))
    assert resolved.incident.reason.startswith("retired: no longer part of any agreement; ")


@pytest.mark.parametrize("make", [ShardEngine.restore, again])
def test_bytes_of_an_unknown_format_are_refused(make: Callable[[bytes], ShardEngine]) -> None:
    """A row of another version, or no row of ours."""
    with pytest.raises(CorruptSnapshot, match="unknown format"):
        make(b"XX1" + burning().snapshot()[3:])


@pytest.mark.parametrize("where", [3, 40, -1])
def test_a_flipped_bit_is_noticed(where: int) -> None:
    """In the checksum and in the body."""
    data = bytearray(burning().snapshot())
    data[where] ^= 1
    with pytest.raises(CorruptSnapshot, match="damaged"):
        ShardEngine.restore(bytes(data))


def test_bytes_that_were_cut_off_are_noticed() -> None:
    """Whatever is left of them."""
    with pytest.raises(CorruptSnapshot, match="damaged"):
        ShardEngine.restore(burning().snapshot()[:-5])


def test_a_body_that_does_not_unpack_is_noticed() -> None:
    """Though its checksum is right."""
    data = b"not compressed"
    with pytest.raises(CorruptSnapshot, match="damaged"):
        ShardEngine.restore(b"UE1" + zlib.crc32(data).to_bytes(4, "big") + data)


@pytest.mark.parametrize(("name", "make"), [(b"UE1", ShardEngine.restore), (b"UO1", again)])
def test_a_body_of_another_shape_is_refused(name: bytes, make: Callable[[bytes], ShardEngine]) -> None:
    """It was written by another version."""
    with pytest.raises(CorruptSnapshot, match="another version"):
        make(sealed(name, msgspec.msgpack.encode(["no", "engine"])))


def test_a_track_of_another_shape_is_refused() -> None:
    """Tracks are packed one by one."""
    body = opened(burning().open_state())
    body[2] = ["no track"]
    with pytest.raises(CorruptSnapshot, match="another version"):
        again(sealed(b"UO1", msgspec.msgpack.encode(body)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[3][0].__setitem__(1, ["NoSuchPeriod", {}]),
        lambda body: body.__setitem__(6, [b"no slots"]),
        lambda body: body[5][0].__setitem__(4, b"12345678" * 3),
        lambda body: body[5][0].__setitem__(0, []),
    ],
    ids=["period", "pending", "sums", "series"],
)
def test_parts_that_do_not_fit_together_are_refused(spoil: Callable[[list[object]], None]) -> None:
    """Each is well-formed by itself."""
    body = opened(burning().snapshot())
    spoil(body)
    with pytest.raises(CorruptSnapshot, match="fit together"):
        ShardEngine.restore(sealed(b"UE1", msgspec.msgpack.encode(body)))


@pytest.mark.parametrize("series", [[2], [7], [1, 2]])
def test_a_block_of_other_series_than_its_definitions_is_refused(series: list[int]) -> None:
    """Counts must not land with somebody else."""
    body = opened(burning().snapshot())
    body[5][0][0] = series  # type: ignore[index]
    with pytest.raises(CorruptSnapshot):
        ShardEngine.restore(sealed(b"UE1", msgspec.msgpack.encode(body)))
