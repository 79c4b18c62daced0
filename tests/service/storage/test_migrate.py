"""Migrations against a real PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from service.errors import BadSettings, DependencyAway
from service.storage import migrate
from service.storage.database import create_engine
from service.storage.tables import metadata


async def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """The rows of one statement."""
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


def test_the_first_run_applies_every_revision_and_fixes_slot_and_shards(empty_database_url: str) -> None:
    """An empty database becomes usable in one call."""
    applied = migrate.upgrade(empty_database_url, slot_us=5_000_000, shards=3)

    assert applied == migrate.known()
    assert migrate.revision(empty_database_url) == migrate.head()
    assert asyncio.run(query(empty_database_url, "SELECT id, slot_us, shards, revision FROM installation")) == [
        (1, 5_000_000, 3, 0)
    ]
    assert asyncio.run(query(empty_database_url, "SELECT id FROM shards ORDER BY id")) == [(0,), (1,), (2,)]


def test_a_second_run_applies_nothing_and_keeps_the_shard_count(empty_database_url: str) -> None:
    """Migrating is safe to repeat."""
    migrate.upgrade(empty_database_url, shards=2)

    assert migrate.upgrade(empty_database_url, shards=8) == []
    assert asyncio.run(query(empty_database_url, "SELECT count(*) FROM shards")) == [(2,)]


def test_another_slot_length_later_is_refused(database_url: str) -> None:
    """What is stored per slot cannot be cut anew."""
    with pytest.raises(BadSettings, match="slots of 10s"):
        migrate.upgrade(database_url, slot_us=5_000_000)


@pytest.mark.parametrize("slot_us", [0, -1, 7_000_000, 61_000_000])
def test_a_slot_that_does_not_divide_a_minute_is_refused(slot_us: int) -> None:
    """Exclusions and service hours have whole-minute edges."""
    with pytest.raises(BadSettings, match="divide 60 s"):
        migrate.upgrade("postgresql://127.0.0.1:1/none", slot_us=slot_us)


def test_no_shard_at_all_is_refused() -> None:
    """Somebody must evaluate."""
    with pytest.raises(BadSettings, match="SHARDS"):
        migrate.upgrade("postgresql://127.0.0.1:1/none", shards=0)


def test_migrators_that_start_together_do_not_collide(empty_database_url: str) -> None:
    """One applies the revisions, the others wait and find nothing to do."""

    async def race() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, empty_database_url) for _ in range(3)))

    assert sorted(asyncio.run(race()), key=len) == [[], [], migrate.known()]


def test_the_migrated_schema_is_the_one_in_the_code(database_url: str) -> None:
    """Nothing in tables.py is missing from the migrations."""

    def difference(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async def compare() -> list[object]:
        engine = create_engine(database_url)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(difference)
        finally:
            await engine.dispose()

    assert asyncio.run(compare()) == []


def test_checks_of_the_code_are_in_the_database(database_url: str) -> None:
    """Autogeneration does not compare check constraints, so they are counted here."""
    found = asyncio.run(
        query(
            database_url,
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
        )
    )

    assert [name for (name,) in found] == ["ck_installation_single"]


def test_a_database_without_tables_names_the_mend(empty_database_url: str) -> None:
    """Whoever forgot to migrate is told the command."""
    with pytest.raises(migrate.SchemaOutdated, match="no tables of Upheld yet: run upheld migrate"):
        migrate.require_current(empty_database_url)


def test_a_migrated_database_is_current(database_url: str) -> None:
    """The check passes where there is nothing to mend."""
    migrate.require_current(database_url)


def test_a_database_of_a_later_version_is_left_alone(database_url: str) -> None:
    """An old binary neither runs on nor migrates a schema that it does not know."""
    asyncio.run(query(database_url, "UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(migrate.SchemaOutdated, match="run a newer Upheld"):
        migrate.require_current(database_url)
    with pytest.raises(migrate.SchemaOutdated, match="does not know"):
        migrate.upgrade(database_url)


async def test_it_can_be_called_where_an_event_loop_runs(database_url: str) -> None:
    """A start-up that is already asynchronous may ask too."""
    assert migrate.revision(database_url) == migrate.head()


def test_a_database_that_is_away_is_said_so_without_the_password() -> None:
    """The message names host and database, never the secret."""
    with pytest.raises(DependencyAway) as caught:
        migrate.revision("postgres://upheld:hunter2@127.0.0.1:1/upheld")

    assert "127.0.0.1:1/upheld" in str(caught.value)
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)
