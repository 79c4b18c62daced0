"""The way to PostgreSQL: one engine per process with bounded pools and time-outs, wake-ups, and what an error means.

A frozen process must not hold the others up: the server cuts a session that idles within a transaction, and nobody
waits for a lock or a statement for longer than the bounds below. No password appears in an error or a log line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
import structlog
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.errors import BadSettings, DependencyAway

SCHEMES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})

LOCK_TIMEOUT = "5s"
IDLE_IN_TRANSACTION_TIMEOUT = "10s"  # a frozen process loses its transaction, and with it its row locks
STATEMENT_TIMEOUT = "30s"
TRANSACTION_TIMEOUT = "20s"
"""A client that freezes between two messages of one statement is neither idle nor does a statement run: this alone ends
its transaction. From PostgreSQL 17 on."""
COMMAND_TIMEOUT_S = 35.0  # for a network that swallows packets: the server's own bound comes first
CONNECT_TIMEOUT_S = 5.0
POOL_SIZE = 5
POOL_OVERFLOW = 5
POOL_WAIT_S = 5.0

LISTEN_CHECK_S = 30.0
LISTEN_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)

# SQLSTATE classes and codes that pass by themselves or by mending the database's surroundings: a retry can help.
_AWAY_CLASSES = frozenset(
    {
        "08",  # connection exceptions
        "28",  # refused credentials: rotated, or the server is still being set up
        "3D",  # the database does not exist (yet)
        "40",  # deadlock or serialization failure: the other one goes on
        "53",  # out of memory, disk or connections
        "57",  # shutdown, crash recovery, cancelled by a time-out
        "58",  # I/O errors below the server
    }
)
_AWAY_CODES = frozenset(
    {
        "25006",  # read-only: a standby during a switch-over
        "25P03",  # idle in transaction for too long
        "25P04",  # transaction time-out
        "55P03",  # a lock was not to be had in time
    }
)

_HAS_TRANSACTION_TIMEOUT = (17,)
_TAKE_TIME = text(
    "SELECT set_config('transaction_timeout', '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"
)

_asyncpg: Any = asyncpg  # ships no types; what comes out of it is cast here

log = structlog.get_logger(__name__)


def address(url: str) -> str:
    """The URL as asyncpg reads it. Raises BadSettings, which does not repeat the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadSettings("UPHELD_DATABASE_URL cannot be read as a URL") from None
    if parts.scheme not in SCHEMES:
        raise BadSettings("UPHELD_DATABASE_URL must begin with postgresql:// (or postgres://)")
    return urlunsplit(parts._replace(scheme="postgresql"))


def shown(url: str) -> str:
    """Host, port and database of the URL, for people; never user or password."""
    parts = urlsplit(address(url))
    return f"{parts.netloc.rpartition('@')[2] or 'localhost'}/{unquote(parts.path.lstrip('/'))}"


async def connect(
    url: str, *, application_name: str = "upheld", transaction_timeout: str = TRANSACTION_TIMEOUT, **settings: str
) -> Any:
    """An asyncpg connection with the project's time-outs; `settings` are further server settings.

    Raises what asyncpg raises, and BadSettings.
    """
    session = {
        "application_name": application_name,
        "lock_timeout": LOCK_TIMEOUT,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT,
        "statement_timeout": STATEMENT_TIMEOUT,
        "timezone": "UTC",
        "jit": "off",  # short statements: compiling costs more than it saves
    }
    try:
        connection = await _asyncpg.connect(
            address(url),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=session | settings,
        )
    except ValueError:  # asyncpg repeats the part of the address that it cannot read, which can be the password
        raise BadSettings("UPHELD_DATABASE_URL has a part that cannot be read") from None
    if connection.get_server_version() >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute(f"SET transaction_timeout = '{transaction_timeout}'")
    return connection


async def take_time(connection: AsyncConnection) -> None:
    """Lifts the bound on the transaction's length: for one that reads much and locks nothing."""
    await connection.execute(_TAKE_TIME)


def create_engine(
    url: str, *, application_name: str = "upheld", pool_size: int = POOL_SIZE, overflow: int = POOL_OVERFLOW
) -> AsyncEngine:
    """An engine that connects when first used. Whoever creates it disposes of it."""
    target = address(url)

    async def opened() -> Any:
        return await connect(target, application_name=application_name)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=opened,
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=POOL_WAIT_S,
        pool_use_lifo=True,
        hide_parameters=True,
    )


def is_away(error: BaseException) -> bool:
    """Whether the database is out of reach for now (a retry can help), rather than used wrongly (a bug)."""
    if isinstance(error, (OSError, TimeoutError, exc.TimeoutError)):
        return True
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_away(error.orig))
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state[:2] in _AWAY_CLASSES or state in _AWAY_CODES
    if isinstance(error, asyncpg.InternalClientError):
        return True  # its way to say that the session was ended while it was being opened
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)
    return error.__cause__ is not None and is_away(error.__cause__)


@contextmanager
def reaching(what: str = "the database") -> Generator[None]:
    """Turns errors that mean "away" into DependencyAway; others pass as they are."""
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise DependencyAway(f"{what} is away: {cause(error)}") from error
        raise


def cause(error: BaseException) -> str:
    """The name of what really happened, without values."""
    while isinstance(error, exc.DBAPIError) and error.orig is not None:
        error = error.orig
    inner = error.__cause__
    return type(inner if inner is not None else error).__name__


async def listen(
    url: str,
    channels: Sequence[str],
    heard: Callable[[str, str], None],
    *,
    application_name: str = "upheld listen",
) -> None:
    """Call `heard(channel, payload)` for each notification until cancelled; reconnects for ever.

    Wake-ups are hints: what was sent while the connection was down is lost. So `heard(channel, "")` is called for
    every channel after each connect, and callers poll besides.
    """
    failures = 0
    while True:
        try:
            await _listen_once(url, channels, heard, application_name, told=failures > 0)
            failures = 1
        except Exception as error:
            if not is_away(error):
                raise
            if failures == 0:
                log.warning("Wake-ups from the database are down; polling goes on.", cause=cause(error))
            failures += 1
        await asyncio.sleep(LISTEN_RETRY_S[min(failures, len(LISTEN_RETRY_S)) - 1])


async def _listen_once(
    url: str, channels: Sequence[str], heard: Callable[[str, str], None], application_name: str, *, told: bool
) -> None:
    """Returns when an established connection is gone."""
    connection = await connect(url, application_name=application_name)
    ended = asyncio.Event()

    def notified(_connection: object, _pid: int, channel: str, payload: object) -> None:
        heard(channel, str(payload))

    def terminated(_connection: object) -> None:
        ended.set()

    try:
        connection.add_termination_listener(terminated)
        for channel in channels:
            await connection.add_listener(channel, notified)
        if told:
            log.info("Wake-ups from the database are back.")
        for channel in channels:
            heard(channel, "")
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), LISTEN_CHECK_S)
            except TimeoutError:
                await connection.execute("SELECT 1")
        log.warning("Wake-ups from the database are down; polling goes on.", cause="ConnectionClosed")
    finally:
        connection.terminate()
