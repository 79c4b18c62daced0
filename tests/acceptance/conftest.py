"""Worlds for acceptance tests: on the embedded broker, and on Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.world import World


@pytest.fixture
def world(database_url: str, log_address: str, topic_name: str, tmp_path: Path) -> Iterator[World]:
    """An installation of its own on a migrated database; runs on both brokers."""
    made = World(database_url, log_address, topic_name, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def quick_world(database_url: str, broker_address: str, topic_name: str, tmp_path: Path) -> Iterator[World]:
    """The same on the embedded broker only."""
    made = World(database_url, broker_address, topic_name, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def kafka_world(database_url: str, kafka_address: str, topic_name: str, tmp_path: Path) -> Iterator[World]:
    """The same on Apache Kafka only."""
    made = World(database_url, kafka_address, topic_name, tmp_path)
    yield made
    made.stop()
