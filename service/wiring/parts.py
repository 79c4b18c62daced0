"""Each part of Upheld with its adapters: what runs in a process, for the supervisor."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaDeadLetters, KafkaLog, KafkaTopics
from consumers.pace import Pace
from consumers.worker import Worker
from service.alerting.channels.alertmanager import AlertmanagerChannel
from service.alerting.channels.webhook import WebhookChannel
from service.alerting.delivery import Delivery
from service.evaluation.runner import Evaluation, EvaluationSettings
from service.settings import Settings
from service.storage.database import cause, create_engine, is_away, listen
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.storage.outbox import PostgresOutbox
from service.telemetry import Telemetry
from service.wiring.clock import now_us
from service.wiring.kafka import kafka_connection
from service.wiring.observing import IngestMetrics

TOPIC_RETRY_S = 2.0
READY_WITHIN_S = 2.0
COLLECT_AFTER = 50_000
"""Allocations between young collections: decoding makes many short-lived objects and no cycles."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Process:
    """What the parts of one process share. `name` is unique among all processes that ever run."""

    settings: Settings
    telemetry: Telemetry
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}")

    @property
    def database_url(self) -> str:
        """With its password: for drivers only."""
        return self.settings.database_url.get_secret_value()

    def kafka(self) -> KafkaConnection:
        """How every Kafka client of this process connects. Raises BadSettings."""
        return kafka_connection(self.settings, f"upheld-{self.name}")

    @asynccontextmanager
    async def database(self, part: str) -> AsyncGenerator[AsyncEngine]:
        """A pool of the part's own."""
        engine = create_engine(self.database_url, application_name=f"upheld {part}")
        try:
            yield engine
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def hearing(self, channels: Mapping[str, Callable[[], object]]) -> AsyncGenerator[None]:
        """Calls each channel's function when the database notifies it."""

        def heard(channel: str, _payload: str) -> None:
            channels[channel]()

        listening = asyncio.create_task(listen(self.database_url, list(channels), heard), name="listen")
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def database_ready(engine: AsyncEngine) -> str | None:
    """None when the database answers, otherwise why not."""
    try:
        async with asyncio.timeout(READY_WITHIN_S), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception as error:
        if is_away(error):
            return f"the database does not answer: {cause(error)}"
        raise
    return None


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
            dead_letters = KafkaDeadLetters(connection)
            stack.push_async_callback(dead_letters.stop)
            worker = Worker(
                log=KafkaLog(connection, group=settings.group, clock=now_us),
                ledger=PostgresLedger(engine),
                dead_letters=dead_letters,
                definitions=DefinitionsStore(engine),
                topics=settings.topic_choice,
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


class EvaluatePart:
    """Evaluates the shards that this process holds."""

    name = "evaluate"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopping = asyncio.Event()
        self._evaluation: Evaluation | None = None

    def stop(self) -> None:
        """Finish the tick under way, give the shards up."""
        self._stopping.set()
        if self._evaluation:
            self._evaluation.stop()

    async def run(self) -> None:
        """Until stopped."""
        settings = self._process.settings
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            self._evaluation = Evaluation(
                database=engine,
                settings=EvaluationSettings(
                    topics=settings.topic_choice,
                    lateness_us=settings.lateness,
                    page_max_lag_us=settings.page_max_lag,
                    public_url=settings.base_url,
                    keep_entries_us=settings.keep_ledger,
                ),
                owner=self._process.name,
                clock=now_us,
                telemetry=self._process.telemetry,
            )
            wake = self._evaluation.wake
            await stack.enter_async_context(self._process.hearing({"upheld_ledger": wake, "upheld_definitions": wake}))
            if not self._stopping.is_set():
                await self._evaluation.run()


class DeliverPart:
    """Sends what the outbox holds."""

    name = "deliver"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopping = asyncio.Event()
        self._delivery: Delivery | None = None

    def stop(self) -> None:
        """Finish the sends under way."""
        self._stopping.set()
        if self._delivery:
            self._delivery.stop()

    async def run(self) -> None:
        """Until stopped."""
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            client = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False))
            self._delivery = Delivery(
                outbox=PostgresOutbox(engine),
                targets=DefinitionsStore(engine),
                channels={
                    "webhook": WebhookChannel(client, self._process.environment, now_us),
                    "alertmanager": AlertmanagerChannel(client, now_us),
                },
                worker=self._process.name,
                chance=random.random,
                results=self._process.telemetry.notifications,
            )
            await stack.enter_async_context(self._process.hearing({"upheld_outbox": self._delivery.wake}))
            if not self._stopping.is_set():
                await self._delivery.run()


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
