"""Scenes for fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.devstack.postgres import EmbeddedPostgres
from tests.faults.scene import Scene
from tests.service.alerting.receiver import Receiver


@pytest.fixture
def twin_url(postgres_server: EmbeddedPostgres, migrated_template: str, topic_name: str) -> Iterator[str]:
    """The twin's database."""
    name = f"twin_{topic_name.replace('-', '_')}"
    yield postgres_server.create_database(name, migrated_template)
    postgres_server.drop_database(name)


@pytest.fixture
def scene(
    database_url: str, twin_url: str, kafka_address: str, topic_name: str, tmp_path: Path, receiver: Receiver
) -> Iterator[Scene]:
    """On Apache Kafka and the PostgreSQL that all tests share."""
    with Scene.between(
        database_url, twin_url, kafka=kafka_address, topic=topic_name, folder=tmp_path, receiver=receiver
    ) as made:
        yield made
