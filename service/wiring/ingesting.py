"""The ingest part with its adapters."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack

import structlog

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaDeadLetters, KafkaLog, KafkaTopics
from consumers.pace import Pace
from consumers.worker import Worker
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.wiring.clock import now_us
from service.wiring.observing import IngestMetrics
from service.wiring.process import Process
from service.wiring.registry import schema_registry

TOPIC_RETRY_S = 2.0
COLLECT_AFTER = 50_000
"""Allocations between young collections: decoding makes many short-lived objects and no cycles."""

_log = structlog.get_logger(__name__)


class IngestPart:
    """Reads topics into the ledger."""

    name = "ingest"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Commit what is in flight, leave the group."""
        self._stopping.set()

    async def run(self) -> None:
        """Until stopped."""
        settings = self._process.settings
        connection = self._process.kafka()
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            await self._ensure_topics(connection)
            registry = await stack.enter_async_context(schema_registry(settings))
            dead_letters = KafkaDeadLetters(connection)
            stack.push_async_callback(dead_letters.stop)
            worker = Worker(
                log=KafkaLog(connection, group=settings.group, clock=now_us),
                ledger=PostgresLedger(engine),
                dead_letters=dead_letters,
                definitions=DefinitionsStore(engine),
                topics=settings.topic_choice,
                formats=settings.formats,
                registry=registry,
                horizons=settings.horizons,
                clock=now_us,
                name=self._process.name,
                pace=Pace(future_us=settings.future_bound),
                observer=IngestMetrics(self._process.telemetry),
                warmed=settle_memory,
            )
            await stack.enter_async_context(self._process.hearing({"upheld_definitions": worker.definitions_changed}))
            stopper = asyncio.create_task(self._stop_when_told(worker), name="stop ingest")
            stack.callback(stopper.cancel)
            if not self._stopping.is_set():
                await worker.run()

    async def _stop_when_told(self, worker: Worker) -> None:
        await self._stopping.wait()
        await worker.stop()

    async def _ensure_topics(self, connection: KafkaConnection) -> None:
        """A topic that is named and not there yet is made, so that the first start needs no other tool."""
        topics = KafkaTopics(connection)
        told = False
        while not self._stopping.is_set():
            try:
                for topic in self._process.settings.topics:
                    if await topics.ensure(topic, self._process.settings.topic_partitions):
                        _log.info("Topic created.", action="topic_created", topic=topic)
            except LogUnavailable as error:
                if not told:
                    _log.warning("Waiting for the brokers.", action="brokers_awaited", error=str(error))
                told = True
            else:
                return
            await _within(self._stopping, TOPIC_RETRY_S)


def settle_memory() -> None:
    """Everything that lives for ever is made by now: it is left out of collections, which become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 50, 100)


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
