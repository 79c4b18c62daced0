"""`upheld run`, `ingest`, `evaluate`, `deliver` and `serve`: parts in one process, until a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from service.settings import Settings
from service.storage import migrate
from service.storage.database import create_engine
from service.telemetry import Telemetry
from service.wiring.http import HttpServer
from service.wiring.kafka import kafka_connection
from service.wiring.operations import operations_app
from service.wiring.process import Process, database_ready
from service.wiring.supervise import Part, on_signals, supervise

ALL = ("ingest", "evaluate", "deliver", "serve")

_log = structlog.get_logger(__name__)


def run(settings: Settings, names: Sequence[str], *, embedded: Path | None = None) -> None:
    """Runs the parts until SIGINT or SIGTERM. Raises DependencyAway where the database is not there or not migrated."""
    if embedded is None:
        _run(settings, names)
        return
    from service.devstack.installation import Embedded

    with Embedded.start(embedded) as servers:
        ours = servers.settings(settings)
        migrate.upgrade(ours.database_url.get_secret_value(), slot_us=ours.slot, shards=ours.shards)
        servers.begin_epochs(ours)
        with servers.findable(ours, embedded) as file:
            _log.info(
                "PostgreSQL and a broker were brought along; other commands find them by this settings file.",
                action="embedded_started",
                UPHELD_CONFIG=str(file),
            )
            _run(ours, names)


def _run(settings: Settings, names: Sequence[str]) -> None:
    kafka_connection(settings, "upheld")  # what is wrong in the settings is told before anything is waited for
    migrate.require_current(settings.database_url.get_secret_value())
    asyncio.run(_supervised(settings, names))


async def _supervised(settings: Settings, names: Sequence[str]) -> None:
    stopping = asyncio.Event()
    with on_signals(stopping.set):
        if settings.agreements and "evaluate" in names:
            from service.cli import documents

            loaded = documents.checked([settings.agreements], alone=False)
            for line in await documents.applied(settings, loaded, None, "agreements folder"):
                _log.info("Document applied.", action="document_applied", document=line)
        process = Process(settings, Telemetry())
        parts: list[Part] = [_part(name, process) for name in names]
        engine = create_engine(process.database_url, application_name="upheld readiness", pool_size=1)

        async def database() -> str | None:
            return await database_ready(engine)

        operations = operations_app(process.telemetry, {"database": database})
        parts.append(HttpServer("operations", operations, settings.metrics_host, settings.metrics_port))
        try:
            await supervise(parts, stopping=stopping)
        finally:
            await engine.dispose()
        _log.info("Stopped.", action="stopped", parts=list(names))


def _part(name: str, process: Process) -> Part:
    """Imports what this part needs, and nothing of the others: a process that takes over must be there at once."""
    if name == "ingest":
        from service.wiring.ingesting import IngestPart

        return IngestPart(process)
    if name == "evaluate":
        from service.wiring.evaluating import EvaluatePart

        return EvaluatePart(process)
    if name == "deliver":
        from service.wiring.delivering import DeliverPart

        return DeliverPart(process)
    from service.wiring.serving import ServePart

    return ServePart(process)
