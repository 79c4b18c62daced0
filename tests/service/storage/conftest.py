"""Fixtures of the stores' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.database import connect, create_engine


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database of this test's own."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Any]:
    """An asyncpg connection of its own to the same database."""
    connection = await connect(database_url)
    yield connection
    connection.terminate()
