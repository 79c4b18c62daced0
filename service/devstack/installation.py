"""Postgres and a broker of our own in one folder: what `run --embedded DIR` and the demo bring along."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from consumers.ports import Partition
from service.devstack.broker import EmbeddedBroker
from service.devstack.postgres import EmbeddedPostgres
from service.settings import Settings
from service.storage.database import create_engine, reaching
from service.storage.ledger import PostgresLedger

DATABASE = "upheld"
SETTINGS_FILE = "upheld.yaml"

_POSITIONS = text(
    """
    SELECT topic, partition, max(epoch) AS epoch FROM partition_offsets
    GROUP BY topic, partition HAVING max(next_offset) > 0
    """
)
_EXISTS = text("SELECT 1 FROM pg_database WHERE datname = :name")


class Embedded:
    """Both servers, running; they end with this process."""

    def __init__(self, postgres: EmbeddedPostgres, broker: EmbeddedBroker) -> None:
        self._postgres = postgres
        self._broker = broker

    @classmethod
    @contextmanager
    def start(cls, directory: Path, *, durable: bool = True) -> Generator[Embedded]:
        """Starts both on the data in `directory`; the broker's log is always new. Raises DependencyAway."""
        postgres = EmbeddedPostgres.start(directory / "postgres", durable=durable)
        try:
            broker = EmbeddedBroker.start(directory=directory / "broker")
            try:
                asyncio.run(_ensure_database(postgres))
                yield cls(postgres, broker)
            finally:
                broker.stop()
        finally:
            postgres.stop()

    def settings(self, settings: Settings) -> Settings:
        """The settings with these servers in place of whatever they named."""
        return settings.model_copy(
            update={
                "database_url": SecretStr(self._postgres.url(DATABASE)),
                "kafka_bootstrap_servers": self._broker.bootstrap,
                "kafka_idempotence": False,
            }
        )

    @contextmanager
    def findable(self, settings: Settings, directory: Path) -> Generator[Path]:
        """While inside, a settings file in `directory` leads other commands here. Holds the password: ours to read only."""
        file = directory / SETTINGS_FILE
        known = {
            "database_url": settings.database_url.get_secret_value(),
            "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
            "kafka_idempotence": settings.kafka_idempotence,
            "topics": ",".join(settings.topics),
            "host": settings.host,
            "port": settings.port,
        }
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in known.items()]
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text("# Written by `upheld run --embedded` for as long as it runs.\n" + "".join(lines))
        fresh.replace(file)
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):
                file.unlink()

    def begin_epochs(self, settings: Settings) -> None:
        """Every partition's log starts again with the broker: reading goes on in a new epoch from its beginning."""
        asyncio.run(_begin_epochs(settings.database_url.get_secret_value()))


async def _ensure_database(postgres: EmbeddedPostgres) -> None:
    engine = create_engine(postgres.url(), pool_size=1)
    try:
        with reaching():
            async with engine.connect() as connection:
                exists = (await connection.execute(_EXISTS, {"name": DATABASE})).first() is not None
    finally:
        await engine.dispose()
    if not exists:
        postgres.create_database(DATABASE)


async def _begin_epochs(url: str) -> None:
    engine = create_engine(url, pool_size=1)
    try:
        with reaching():
            async with engine.connect() as connection:
                rows = (await connection.execute(_POSITIONS)).all()
        ledger = PostgresLedger(engine)
        for topic, number, epoch in rows:
            await ledger.begin_epoch(Partition(topic, number), epoch + 1, 0)
    finally:
        await engine.dispose()
