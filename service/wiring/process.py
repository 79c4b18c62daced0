"""What the parts of one process share."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.kafka import KafkaConnection
from service.settings import Settings
from service.storage.database import cause, create_engine, is_away, listen
from service.telemetry import Telemetry
from service.wiring.kafka import kafka_connection

READY_WITHIN_S = 2.0


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
