"""An application on a real database, asked over HTTP; standings and incidents written by the real packing code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.storage.database import create_engine
from tests.service.api.world import NOW_US, World


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The test's own database."""
    created = create_engine(database_url)
    yield created
    await created.dispose()


@pytest.fixture
def dependencies(engine: AsyncEngine) -> ApiDependencies:
    """A loopback application without tokens, at a fixed time."""
    return ApiDependencies(engine=engine, clock=lambda: NOW_US, public_url="https://upheld.example.com")


@asynccontextmanager
async def serving(app: FastAPI, **client: object) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; its lifespan runs around."""
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8080", **client) as asked,
    ):
        yield asked


Start = Callable[..., object]


@pytest.fixture
def start(dependencies: ApiDependencies) -> Callable[..., object]:
    """`async with start(tokens=...) as client`: an application with some dependencies changed."""

    def started(**changed: object) -> object:
        return serving(create_app(replace(dependencies, **changed)))

    return started


@pytest.fixture
async def client(start: Callable[..., object]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the plain application."""
    async with start() as asked:
        yield asked


@pytest.fixture
def world(engine: AsyncEngine) -> World:
    """Writes what the evaluator would have committed."""
    return World(engine)
