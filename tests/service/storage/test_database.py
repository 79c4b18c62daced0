"""Connections with bounds, wake-ups, and what an error means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.errors import BadSettings, DependencyAway
from service.storage import database
from service.storage.database import address, cause, connect, create_engine, is_away, listen, reaching, shown


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_usual_way_to_write_the_address_works(database_url: str, scheme: str) -> None:
    """Platforms hand out postgres://, SQLAlchemy's users write the driver."""
    engine = create_engine(database_url.replace("postgresql", scheme, 1))
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()


@pytest.mark.parametrize(
    "url", ["mysql://upheld:hunter2@db/upheld", "upheld:hunter2@db", "", "postgresql://[hunter2", "postgresql//hunter2"]
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(BadSettings, match="UPHELD_DATABASE_URL") as caught:
        address(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_port_that_is_none_is_refused_without_repeating_the_address() -> None:
    """A password with an unescaped character lands in the port."""
    with pytest.raises(BadSettings, match="UPHELD_DATABASE_URL") as caught:
        await connect("postgresql://upheld:pa@ss:hunter2/upheld")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://upheld:hunter2@db:5432/main", "db:5432/main"),
        ("postgresql:///main", "localhost/main"),
        ("postgresql://u:p@ss@db/a%20b", "db/a b"),
    ],
)
def test_people_see_host_and_database_only(url: str, words: str) -> None:
    """Never user or password."""
    assert shown(url) == words


async def test_every_session_has_its_bounds(engine: AsyncEngine) -> None:
    """A frozen process cannot hold the others up."""
    names = (
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "statement_timeout",
        "transaction_timeout",
        "application_name",
        "TimeZone",
    )
    async with engine.begin() as connection:
        found = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]

    assert found == ["5s", "10s", "30s", "20s", "upheld", "UTC"]


async def test_a_transaction_may_take_its_time_where_it_says_so(engine: AsyncEngine) -> None:
    """It alone: the next one of the session has its bound again."""
    async with engine.connect() as connection:
        await database.take_time(connection)
        assert (await connection.execute(text("SHOW transaction_timeout"))).scalar_one() == "0"
        await connection.rollback()
        assert (await connection.execute(text("SHOW transaction_timeout"))).scalar_one() == "20s"


async def test_settings_in_the_address_are_kept(database_url: str) -> None:
    """Such as a search path or TLS."""
    connection = await connect(f"{database_url}?search_path=elsewhere&sslmode=disable")

    assert await connection.fetchval("SHOW search_path") == "elsewhere"
    await connection.close()


async def error_of(engine: AsyncEngine, statement: str, *before: str) -> Exception:
    """What a statement raises."""
    try:
        async with engine.begin() as connection:
            for each in before:
                await connection.execute(text(each))
            await connection.execute(text(statement))
    except exc.SQLAlchemyError as error:
        return error
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("statement", "before"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", ""),
        ("SELECT pg_sleep(5)", "SET LOCAL statement_timeout = '1ms'"),
        ("CREATE TABLE new ()", "SET TRANSACTION READ ONLY"),
    ],
)
async def test_what_passes_by_itself_means_away(engine: AsyncEngine, statement: str, before: str) -> None:
    """Shut down, too slow, switched over to a standby."""
    assert is_away(await error_of(engine, statement, *filter(None, [before])))


@pytest.mark.parametrize(
    "statement",
    ["SELECT nonsense", "SELECT * FROM nowhere", "SELEC", "SELECT 1/0", "INSERT INTO installation VALUES (1, 1, 1, 1)"],
)
async def test_a_wrong_use_is_a_bug_and_not_away(engine: AsyncEngine, statement: str) -> None:
    """A retry would loop for ever."""
    assert not is_away(await error_of(engine, statement))


async def test_a_lock_that_is_not_to_be_had_means_away(engine: AsyncEngine, session: Any) -> None:
    """Its holder goes on, or is cut."""
    async with session.transaction():
        await session.execute("LOCK TABLE installation")
        assert is_away(await error_of(engine, "SELECT * FROM installation", "SET LOCAL lock_timeout = '1ms'"))


async def test_a_pool_that_is_empty_means_away(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections are busy: later there is one."""
    monkeypatch.setattr(database, "POOL_WAIT_S", 0.01)
    engine = create_engine(database_url, pool_size=1, overflow=0)
    async with engine.connect():
        with pytest.raises(exc.TimeoutError) as caught:
            await engine.connect()
    assert is_away(caught.value)
    await engine.dispose()


async def test_an_unknown_password_or_database_means_away_and_is_named(database_url: str) -> None:
    """While a server is set up or a password rotates, a retry helps."""
    for url, name in (
        (database_url.replace("upheld:", "upheld:x", 1), "InvalidPasswordError"),
        (database_url + "_nowhere", "InvalidCatalogNameError"),
    ):
        engine = create_engine(url)
        with pytest.raises(DependencyAway, match=f"the database is away: {name}"), reaching():
            await engine.connect()
        await engine.dispose()


def test_the_cause_is_the_name_of_what_really_happened() -> None:
    """Without statements and values."""
    original = exc.DBAPIError("SELECT secret", {"secret": 1}, asyncpg.DeadlockDetectedError("secret"))

    assert cause(original) == "DeadlockDetectedError"
    assert is_away(original)
    assert cause(ConnectionRefusedError("secret")) == "ConnectionRefusedError"


def test_a_session_that_was_ended_while_it_was_opened_is_away() -> None:
    """asyncpg calls that an internal error, below SQLAlchemy's own."""
    wrapped = Exception("wrapped")
    wrapped.__cause__ = asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")
    assert is_away(exc.InternalError("", {}, wrapped))


@pytest.mark.parametrize("error", [ValueError("x"), exc.InvalidRequestError("x"), asyncpg.InterfaceError("busy")])
def test_reaching_lets_bugs_through(error: Exception) -> None:
    """They stop a worker loudly."""
    with pytest.raises(type(error)), reaching():
        raise error


async def test_values_are_in_no_error(engine: AsyncEngine) -> None:
    """Parameters may hold what somebody sent."""
    with pytest.raises(exc.DBAPIError) as caught:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT CAST(:value AS text) / 2"), {"value": "hunter2"})

    assert "hunter2" not in str(caught.value)


# Wake-ups.


@asynccontextmanager
async def listening(url: str, *channels: str) -> AsyncIterator[asyncio.Queue[tuple[str, str]]]:
    """What is heard, while the block runs."""
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    task = asyncio.create_task(listen(url, channels, lambda *notice: heard.put_nowait(notice)))
    try:
        yield heard
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def next_of(heard: asyncio.Queue[tuple[str, str]]) -> tuple[str, str]:
    """The next notice, in time."""
    return await asyncio.wait_for(heard.get(), 10)


async def test_a_listener_hears_each_channel_once_it_is_connected_and_then_what_is_sent(
    database_url: str, session: Any
) -> None:
    """What was sent before may have been missed, so everything is to be looked at."""
    async with listening(database_url, "upheld_ledger", "upheld_outbox") as heard:
        assert [await next_of(heard), await next_of(heard)] == [("upheld_ledger", ""), ("upheld_outbox", "")]

        await session.execute("SELECT pg_notify('upheld_outbox', '3'), pg_notify('upheld_other', '4')")

        assert await next_of(heard) == ("upheld_outbox", "3")


async def test_a_listener_comes_back_after_its_connection_is_cut(database_url: str, session: Any) -> None:
    """And says so once, each way."""
    with capture_logs() as logs:
        async with listening(database_url, "upheld_ledger") as heard:
            await next_of(heard)
            await session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'upheld listen'"
            )

            assert await next_of(heard) == ("upheld_ledger", "")
            await session.execute("NOTIFY upheld_ledger, 'again'")
            assert await next_of(heard) == ("upheld_ledger", "again")

    assert [line["event"] for line in logs] == [
        "Wake-ups from the database are down; polling goes on.",
        "Wake-ups from the database are back.",
    ]


async def test_a_listener_waits_for_a_database_that_is_away(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, not at every try."""
    tries = 0
    real = connect
    monkeypatch.setattr(database, "LISTEN_RETRY_S", (0.001,))

    async def flaky(url: str, **settings: Any) -> Any:
        nonlocal tries
        tries += 1
        return await real("postgresql://upheld:x@127.0.0.1:1/none" if tries < 4 else url, **settings)

    monkeypatch.setattr(database, "connect", flaky)
    with capture_logs() as logs:
        async with listening(database_url, "upheld_ledger") as heard:
            assert await next_of(heard) == ("upheld_ledger", "")

    assert [line["event"] for line in logs] == [
        "Wake-ups from the database are down; polling goes on.",
        "Wake-ups from the database are back.",
    ]


async def test_a_listener_notices_a_connection_that_swallows_everything(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection would never bring a notice again: it is asked now and then."""
    monkeypatch.setattr(database, "LISTEN_CHECK_S", 0.01)
    monkeypatch.setattr(database, "LISTEN_RETRY_S", (0.001,))
    monkeypatch.setattr(database, "COMMAND_TIMEOUT_S", 0.2)
    proxy = Swallowing(database_url)
    url = await proxy.start()
    async with listening(url, "upheld_ledger") as heard:
        await next_of(heard)
        proxy.swallow = True

        proxy.accept_again = True
        assert await next_of(heard) == ("upheld_ledger", "")
    await proxy.stop()


async def test_a_listener_does_not_hide_a_bug(database_url: str) -> None:
    """An address that can never work ends it, loudly."""
    with pytest.raises(BadSettings):
        await listen("mysql://x", ["upheld_ledger"], lambda *_: None)


class Swallowing:
    """A proxy before the database that, once told, keeps connections open and passes nothing on."""

    def __init__(self, url: str) -> None:
        host, _, rest = url.rpartition("@")[2].partition("/")
        self._upstream = host.split(":")
        self._url = url.replace(host, "127.0.0.1:{port}")
        self._database = rest
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.accept_again = False

    async def start(self) -> str:
        """The proxy's own address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._url.format(port=self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        swallowing: Callable[[], bool] = (lambda: False) if self.accept_again else (lambda: self.swallow)
        up_reader, up_writer = await asyncio.open_connection(self._upstream[0], int(self._upstream[1]))
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            self._tasks.add(asyncio.create_task(_pass_on(source, sink, swallowing)))


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, swallowing: Callable[[], bool]) -> None:
    try:
        while data := await source.read(65_536):
            if not swallowing():
                sink.write(data)
    finally:
        sink.close()
