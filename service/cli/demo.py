"""`upheld demo`: everything on this machine, with a month of history, live traffic and a bad day to watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import text

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaEventSink, KafkaTopics
from evaluators.documents import load as load_documents
from service import logs
from service.alerting.inbox import Inbox
from service.devstack import directories
from service.devstack.demo import feed, script
from service.devstack.installation import Embedded
from service.errors import BadSettings, DependencyAway
from service.settings import Settings, load
from service.storage import migrate
from service.storage.database import create_engine, reaching
from service.storage.definitions import DefinitionsStore
from service.storage.tables import metadata
from service.telemetry import Telemetry
from service.wiring.clock import now_us
from service.wiring.delivering import DeliverPart
from service.wiring.evaluating import EvaluatePart
from service.wiring.ingesting import IngestPart
from service.wiring.kafka import kafka_connection
from service.wiring.process import Process
from service.wiring.serving import INBOX_PATH, ServePart
from service.wiring.supervise import Part, on_signals, supervise

SECRET_VARIABLE: Final = "UPHELD_DEMO_HOOK_SECRET"  # noqa: S105 - a name
INBOX_IN_DOCUMENTS: Final = f"http://127.0.0.1:8080{INBOX_PATH}"
PREFIX: Final = "upheld-demo-"
MINUTE_US: Final = 60_000_000
SECOND_US: Final = 1_000_000
CAUGHT_UP_US: Final = 30 * SECOND_US
CATCH_UP_WITHIN_S: Final = 300.0
POLL_S: Final = 0.3
PARTITIONS: Final = 4


def demo(*, kafka: str | None, database: str | None, host: str | None, port: int | None, days: int) -> None:
    """Runs until Ctrl-C. With `kafka` and `database` on real ones, otherwise on servers brought along."""
    if (kafka is None) != (database is None):
        raise BadSettings("give both --kafka and --database, or neither")
    logs.configure("auto", "warning")
    console = Console()
    settings = load(
        kafka_bootstrap_servers=kafka,
        database_url=database,
        host=host,
        port=port if port is not None else _port(host or "127.0.0.1"),
        topics=f"{PREFIX}{now_us() // SECOND_US}" if kafka else "events",
        group=f"{PREFIX}{now_us() // SECOND_US}",
        topic_partitions=PARTITIONS,
        metrics_port=0,
    )
    with contextlib.ExitStack() as stack:
        if kafka is None:
            with console.status("starting PostgreSQL and the broker"):
                folder = stack.enter_context(_folder())
                servers = stack.enter_context(Embedded.start(folder, durable=False))
            settings = servers.settings(settings)
        else:
            asyncio.run(_refuse_or_empty(settings))
        with console.status("preparing the database"):
            url = settings.database_url.get_secret_value()
            migrate.upgrade(url, slot_us=settings.slot, shards=settings.shards)
        asyncio.run(_play(settings, console, days))
        console.print("stopping")


async def _play(settings: Settings, console: Console, days: int) -> None:
    secret = "whsec_" + secrets.token_urlsafe(24)
    history_end = now_us() // MINUTE_US * MINUTE_US
    history_start = feed.history_start(history_end, days)
    process = Process(settings, Telemetry(), environment={**os.environ, SECRET_VARIABLE: secret})
    serve = ServePart(process, Inbox(secret, now_us))
    await _apply(settings, serve.port, history_start)
    parts: list[Part] = [serve, IngestPart(process), EvaluatePart(process), DeliverPart(process)]
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(on_signals(stopping.set))
        sink = KafkaEventSink(process.kafka(), settings.topics[0])
        stack.push_async_callback(sink.stop)
        running = asyncio.create_task(supervise(parts, stopping=stopping), name="parts")
        telling = asyncio.create_task(
            _tell(settings, console, sink, serve.port, history_start, history_end), name="traffic"
        )
        await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await running
        if not telling.cancelled() and (failure := telling.exception()):
            raise failure


async def _tell(
    settings: Settings, console: Console, sink: KafkaEventSink, port: int, history_start: int, history_end: int
) -> None:
    """The past, the catch-up, the address, and then the play."""
    url = f"http://{settings.host}:{port}"
    begun: list[int] = []
    try:
        await KafkaTopics(kafka_connection(settings, "upheld-demo")).ensure(
            settings.topics[0], settings.topic_partitions
        )
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[day]}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            total = history_end - history_start
            sending = progress.add_task("sending history", total=total, day="")
            evaluating = progress.add_task("evaluating it  ", total=total, day="")

            def sent(at_us: int) -> None:
                progress.update(sending, completed=at_us - history_start, day=_day(at_us))

            def evaluated(at_us: int) -> None:
                progress.update(evaluating, completed=max(0, at_us - history_start), day=_day(at_us))

            watching = asyncio.create_task(_caught_up(url, evaluated), name="catch-up")
            await feed.send_past(sink, history_start, history_end, sent)
            present = asyncio.create_task(
                feed.send_present(sink, history_end, now_us, lambda: begun[0] if begun else None), name="present"
            )
            try:
                await _first(watching, present)
            except BaseException:
                present.cancel()
                watching.cancel()
                raise
    except LogUnavailable as error:
        raise DependencyAway(str(error)) from error
    begun.append(now_us())
    _announce(console, url)
    try:
        await present
    except LogUnavailable as error:
        raise DependencyAway(str(error)) from error
    finally:
        present.cancel()


async def _first(watching: asyncio.Task[None], present: asyncio.Task[None]) -> None:
    """Waits for the catch-up; traffic that fails meanwhile is raised."""
    await asyncio.wait({watching, present}, return_when=asyncio.FIRST_COMPLETED)
    if present.done():
        await present
    await watching


async def _caught_up(url: str, evaluated: Callable[[int], None]) -> None:
    """Returns when every objective's tick is near the clock."""
    async with asyncio.timeout(CATCH_UP_WITHIN_S), httpx.AsyncClient(base_url=url) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
                items = (await client.get("/api/v1/objectives")).json()["items"]
                ticks = [_microseconds(item["as_of"]) for item in items]
                if ticks:
                    evaluated(min(ticks))
                    if min(ticks) > now_us() - CAUGHT_UP_US:
                        return
            await asyncio.sleep(POLL_S)


def _announce(console: Console, url: str) -> None:
    console.print()
    console.print(f"  Upheld is at [bold link={url}]{url}[/bold link]   (Ctrl-C stops everything)", highlight=False)
    console.print()
    console.print("  Within a minute and a half:", style="dim", highlight=False)
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_row("    at risk", "checkout in Europe burns its 30-day budget; on-call is paged")
    lines.add_row("    breached", "media spends what was left of its day")
    lines.add_row("    silent", "the report exporter has stopped sending; a ticket")
    lines.add_row("    the pages", f"as on-call got them, signed: {url}/inbox")
    console.print(lines, style="dim", highlight=False)
    console.print(f"  The play repeats every {script.CYCLE_US // MINUTE_US} minutes.", style="dim", highlight=False)


async def _apply(settings: Settings, port: int, from_us: int) -> None:
    packaged = resources.files("service.devstack.demo").joinpath("agreements.yaml").read_text("utf-8")
    loaded = load_documents(packaged.replace(INBOX_IN_DOCUMENTS, f"http://127.0.0.1:{port}{INBOX_PATH}"), "demo")
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        await DefinitionsStore(engine).apply(loaded.documents, by="demo", from_us=from_us, now_us=now_us())
    finally:
        await engine.dispose()


async def _refuse_or_empty(settings: Settings) -> None:
    """A database with anything but an earlier demo in it is left alone; an earlier demo's is emptied."""
    packaged = resources.files("service.devstack.demo").joinpath("agreements.yaml").read_text("utf-8")
    ours = {one.name for one in load_documents(packaged, "demo").documents}
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        with reaching():
            async with engine.begin() as connection:
                tables = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
                found = set((await connection.execute(tables)).scalars())
                if not found:
                    return
                if not found <= {*metadata.tables, "alembic_version"}:
                    raise BadSettings("the database holds tables that are not Upheld's; give the demo an empty one")
                applied = set((await connection.execute(text("SELECT name FROM documents"))).scalars())
                if not applied <= ours:
                    raise BadSettings("the database holds agreements that are not the demo's; give it an empty one")
                names = ", ".join(f'"{name}"' for name in sorted(found))
                await connection.execute(text(f"DROP TABLE {names} CASCADE"))
    finally:
        await engine.dispose()


@contextmanager
def _folder() -> Generator[Path]:
    """A folder of this run's own, removed at its end; so are those that killed runs left behind."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, DependencyAway):
            if old.stat().st_uid == os.geteuid():
                os.close(directories.lock(old / "postgres", within_s=0.1))
                shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _port(host: str) -> int:
    """The usual port, or a free one where something else has it."""
    for wanted in (8080, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, wanted))
            return int(probe.getsockname()[1])
    raise DependencyAway(f"no free port on {host}")


def _microseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * SECOND_US)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / SECOND_US, UTC).strftime("%d %b")
