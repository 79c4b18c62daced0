"""A standing table as bytes: what the store keeps and every replica reads."""

from __future__ import annotations

import msgspec
import pytest

from evaluators.standings import StandingTable, unpack_identities
from tests.evaluators.tables import NOW, block

SILENT = {"silent": "10m"}


def table() -> StandingTable:
    """Two blocks of different conditions."""
    return StandingTable(
        NOW, (block(SILENT, verdict=1, condition=0, data=1, allowed=7.25), block(good=-3)), "no broker"
    )


def test_a_table_survives_its_bytes() -> None:
    """Every row, reason and cause."""
    packed = table()
    again = StandingTable.unpack(packed.pack_identities(), packed.pack_columns())
    assert list(again.standings()) == list(packed.standings())
    assert (again.as_of_us, again.blind) == (NOW, "no broker")


def test_identities_that_were_unpacked_before_serve_for_later_columns() -> None:
    """They change with definitions only."""
    heads = unpack_identities(table().pack_identities())
    later = StandingTable(NOW + 1, (block(SILENT, good=9_000), block(verdict=2)))
    again = StandingTable.unpack_columns(heads, later.pack_columns())
    assert [each.experienced.good for each in again.standings()] == [9_000, 9_960]
    assert (again.as_of_us, again.blind) == (NOW + 1, None)


def test_columns_of_another_layout_are_refused() -> None:
    """Half a table would tell rows under wrong names."""
    heads = unpack_identities(table().pack_identities())
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        StandingTable.unpack_columns(heads, StandingTable(NOW, (block(),)).pack_columns())


def test_bytes_that_are_no_table_are_refused() -> None:
    """Nothing is believed of them."""
    with pytest.raises(msgspec.ValidationError):
        unpack_identities(msgspec.msgpack.encode({"no": "table"}))


def test_a_table_without_series_is_empty() -> None:
    """The first tick of an empty shard."""
    empty = StandingTable(NOW, ())
    assert list(StandingTable.unpack(empty.pack_identities(), empty.pack_columns()).standings()) == []
