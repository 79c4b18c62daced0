"""Bring a database to the schema of this version, and tell whether it has it.

Blocking, for the command line and for start-up; from a running event loop call it through `asyncio.to_thread`.
The schema changes in one transaction under an advisory lock: two migrators do not collide, and a failure leaves
nothing half done. `lock_timeout` bounds how long a statement makes the running parts queue behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import migrations
from service.errors import BadSettings, CheckFailed, DependencyAway
from service.storage.database import cause, create_engine, is_away, shown, take_time

SLOT_US: Final = 10_000_000
SHARDS: Final = 4
MINUTE_US: Final = 60_000_000

_MIGRATORS = 0x75706865  # "uphe": key of the advisory lock that migrators queue on
_QUEUE_TIMEOUT = "60s"  # a second migrator waits for the first, and then finds nothing to do
_LOCK_TIMEOUT = "5s"  # running parts must not queue behind a schema change that itself waits
_STATEMENT_TIMEOUT = "0"  # a migration takes as long as its data needs

_Result = TypeVar("_Result")


class SchemaOutdated(CheckFailed):
    """The database has another schema than this version needs; `upheld migrate` mends it."""

    exit_code = 3


def upgrade(url: str, *, slot_us: int = SLOT_US, shards: int = SHARDS) -> list[str]:
    """Apply what is missing and give the revisions applied, oldest first.

    The first run fixes slot length and shard count; a later run with another slot raises BadSettings (nothing is
    changed), and keeps the shard count that is there. Raises DependencyAway.
    """
    if slot_us <= 0 or MINUTE_US % slot_us:
        raise BadSettings("UPHELD_SLOT must divide 60 s")
    if shards < 1:
        raise BadSettings("UPHELD_SHARDS must be at least 1")

    async def work(connection: AsyncConnection) -> list[str]:
        await take_time(connection)
        for statement in (
            f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'",
            f"SET LOCAL lock_timeout = '{_QUEUE_TIMEOUT}'",
            f"SELECT pg_advisory_xact_lock({_MIGRATORS})",
            f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
        ):
            await connection.execute(text(statement))
        applied = await connection.run_sync(_upgrade)
        await _install(connection, slot_us, shards)
        return applied

    return _in_transaction(url, work)


def revision(url: str) -> str | None:
    """The revision that the database is at; None before the first `migrate`. Raises DependencyAway."""

    async def work(connection: AsyncConnection) -> str | None:
        return await connection.run_sync(_current)

    return _in_transaction(url, work)


def require_current(url: str) -> None:
    """Raises SchemaOutdated with its mend unless the schema is this version's; DependencyAway."""
    found, wanted = revision(url), head()
    if found == wanted:
        return
    if found is None:
        raise SchemaOutdated(f"the database {shown(url)} has no tables of Upheld yet: run upheld migrate")
    if found in known():
        raise SchemaOutdated(
            f"the database {shown(url)} is at revision {found}, this needs {wanted}: run upheld migrate"
        )
    raise SchemaOutdated(
        f"the database {shown(url)} is at revision {found}, which this version does not know: run a newer Upheld"
    )


def head() -> str:
    """The newest revision that this version knows."""
    found = _scripts().get_current_head()
    if found is None:
        raise RuntimeError("the package holds no migrations")
    return found


def known() -> list[str]:
    """Every revision, oldest first."""
    return [script.revision for script in _scripts().walk_revisions()][::-1]


def _config() -> Config:
    config = Config()
    folder = str(Path(migrations.__file__).parent).replace("%", "%%")  # the option is interpolated
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> list[str]:
    before = _current(connection)
    revisions = known()
    if before is not None and before not in revisions:
        raise SchemaOutdated(f"the database is at revision {before}, which this version does not know")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return revisions[revisions.index(before) + 1 :] if before is not None else revisions


async def _install(connection: AsyncConnection, slot_us: int, shards: int) -> None:
    """Fix the installation at the first run; refuse another slot length later."""
    await connection.execute(
        text(
            "INSERT INTO installation (id, slot_us, shards) VALUES (1, :slot_us, :shards) ON CONFLICT (id) DO NOTHING"
        ),
        {"slot_us": slot_us, "shards": shards},
    )
    fixed = (await connection.execute(text("SELECT slot_us, shards FROM installation"))).one()
    if fixed.slot_us != slot_us:
        raise BadSettings(
            f"UPHELD_SLOT is {slot_us / 1_000_000:g}s, but this database was made with slots of "
            f"{fixed.slot_us / 1_000_000:g}s, and they cannot change"
        )
    await connection.execute(
        text("INSERT INTO shards (id) SELECT generate_series(0, :shards - 1) ON CONFLICT (id) DO NOTHING"),
        {"shards": fixed.shards},
    )


def _in_transaction(url: str, work: Callable[[AsyncConnection], Coroutine[Any, Any, _Result]]) -> _Result:
    engine = create_engine(url, application_name="upheld migrate", pool_size=1, overflow=0)

    async def run(engine: AsyncEngine) -> _Result:
        try:
            async with engine.begin() as connection:
                return await work(connection)
        except Exception as error:
            if is_away(error):
                raise DependencyAway(f"the database {shown(url)} is away: {cause(error)}") from error
            raise
        finally:
            await engine.dispose()

    return _off_loop(lambda: asyncio.run(run(engine)))


def _off_loop(work: Callable[[], _Result]) -> _Result:
    """Run it here, or on a thread of its own where an event loop already runs here (which it then blocks)."""
    try:
        asyncio.get_running_loop()  # noqa: TID251 - asked only whether one runs
    except RuntimeError:
        running = False
    else:
        running = True
    if not running:
        return work()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
